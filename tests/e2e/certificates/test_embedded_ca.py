"""`perijove up` with no host: https on localhost by the embedded CA, believed by its root, for local names alone."""

from __future__ import annotations

import json
import signal
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from perijove.domain.certificate_failures import NAME_REJECTED
from perijove.domain.state import State
from tests.e2e.service import Service, until
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.e2e]
PUBLIC, LOCAL = "www.example.org", "binder.internal"


@pytest.fixture(scope="module")
def https_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(module_state: State, https_port: int) -> Iterator[Service]:
    service = Service(module_state, flags=("--https", f"127.0.0.1:{https_port}"))
    service.config.write_text('[service]\ntitle = "Orbit"\n')
    try:
        yield service.up()
    finally:
        if service.process is not None:
            service.stop()


def answers(port: int, root: str, host: str = "localhost") -> bool:
    """Whether whoever trusts this root alone is answered by https."""
    trust = ssl.create_default_context(cadata=root)
    with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
        told, name = {"Host": f"{host}:{port}"}, {"sni_hostname": host}
        try:
            answer = client.get(f"https://127.0.0.1:{port}/health", headers=told, extensions=name)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            return False
    return answer.status_code == 200


def test_localhost_is_believed_by_whoever_trusts_the_printed_root(service: Service, https_port: int) -> None:
    root = service.cli("trust", "--print")
    assert "root.pem" in service.told[-1], "what to do with it is told beside it"
    until(lambda: answers(https_port, root))
    certificate = x509.load_pem_x509_certificate(root.encode())
    assert certificate.subject == certificate.issuer
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    told = until(lambda: status(service, "localhost")["secret"] and status(service, "localhost"))
    assert told["secret"]["issuer"] == "local"
    assert told["hsts"] is False
    assert service.cli("describe", "certificate", "localhost").startswith("✓ Ready")
    until(lambda: f"https://localhost:{https_port}/ certificate" in service.log.read_text())


def status(service: Service, host: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(service.cli("get", "certificate", host, "-o", "json"))["status"]
    return told


def test_a_restart_keeps_the_root_and_the_certificate(service: Service, https_port: int) -> None:
    root = service.cli("trust", "--print")
    until(lambda: answers(https_port, root))
    before = ssl.get_server_certificate(("127.0.0.1", https_port))
    service.stop()
    assert service.cli("trust", "--print") == root, "it is told where no service runs, too"
    service.up()
    assert answers(https_port, root), "https answers as soon as the service says that it is up"
    assert service.cli("trust", "--print") == root
    assert ssl.get_server_certificate(("127.0.0.1", https_port)) == before


def test_its_key_makes_no_certificate_for_a_public_name_that_anybody_believes(service: Service, tmp_path: Path) -> None:
    """Whoever trusts the root need not fear for their bank, whatever becomes of the key."""
    root = service.cli("trust", "--print")
    key = load_pem_private_key((service.state.local_ca / "root.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    believed = forged(x509.load_pem_x509_certificate(root.encode()), key, LOCAL, tmp_path)
    handshake(believed, root, LOCAL)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(forged(x509.load_pem_x509_certificate(root.encode()), key, PUBLIC, tmp_path), root, PUBLIC)


def test_a_public_name_is_refused_and_a_local_one_signed(service: Service, https_port: int) -> None:
    assert service.process is not None
    service.config.write_text(f'[service]\nhosts = ["{LOCAL}", "{PUBLIC}"]\n[certificates]\nissuers = ["local"]\n')
    service.process.send_signal(signal.SIGHUP)
    root = service.cli("trust", "--print")
    until(lambda: answers(https_port, root, LOCAL))
    told = until(lambda: status(service, PUBLIC)["failure"])
    assert told["kind"] == NAME_REJECTED.code
    assert service.cli("describe", "certificate", PUBLIC).startswith("✗ ")
    assert not answers(https_port, root, PUBLIC)


def forged(root: x509.Certificate, key: ec.EllipticCurvePrivateKey, host: str, folder: Path) -> ssl.SSLContext:
    """A server with a certificate that the root's key was made to sign."""
    own, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder(root.subject, x509.Name([]), own.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / f"{host}.pem", folder / f"{host}.key"
    chain.write_bytes(leaf.public_bytes(Encoding.PEM))
    secret.touch(0o600)
    secret.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server


def handshake(server: ssl.SSLContext, root: str, host: str) -> None:
    """Between a client that trusts the root and a server, in memory. Raises SSLCertVerificationError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=root).wrap_bio(to_client, to_server, server_hostname=host)
    served = server.wrap_bio(to_server, to_client, server_side=True)
    over = {"client": False, "server": False}
    while not all(over.values()):
        for name, side in (("client", client), ("server", served)):
            try:
                side.do_handshake()
                over[name] = True
            except ssl.SSLWantReadError:
                continue
