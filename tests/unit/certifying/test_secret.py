"""Keys, requests and chains as values: each fault of somebody's files is told apart, with what stood there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from perijove.certifying import secret
from perijove.certifying.secret import Origin
from perijove.domain.certificate_failures import (
    CHAIN_BROKEN,
    FILE_UNREADABLE,
    KEY_MISMATCH,
    NAMES_MISSING,
    NOT_VALID_NOW,
)
from perijove.domain.failures import Fail, Failure, Kind
from tests.fakes.private_ca import DAY, PrivateCa


def now() -> float:
    """As late as the certificates that a test has just made."""
    return time.time()


HOST = "binder.example.org"


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path / "ca")


def refused(kind: Kind, act: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        act()
    assert caught.value.failure.kind is kind
    assert caught.value.failure.evidence
    return caught.value.failure


def test_a_chain_that_is_right_is_verified_and_described(ca: PrivateCa, tmp_path: Path) -> None:
    made = ca.leaf(HOST, "192.0.2.1")
    leaf, _ = secret.verified(made.chain.read_bytes(), made.key.read_bytes(), (HOST,), now())
    folder = tmp_path / "20260101-abc"
    told = secret.described(leaf, HOST, Origin("campus", ""), folder / "tls.crt", folder / "tls.key")
    assert (told.host, told.revision, told.issuer) == (HOST, "20260101-abc", "campus")
    assert told.names == (HOST, "192.0.2.1")
    assert told.signed_by == "Loopback test root"
    assert told.fingerprint == leaf.fingerprint(hashes.SHA256()).hex()
    assert int(told.serial, 16) == leaf.serial_number
    assert told.not_before < now() < told.not_after
    assert told.ari.count(".") == 1


@pytest.mark.parametrize(
    ("names", "host"),
    [
        pytest.param((HOST,), HOST, id="its own name"),
        pytest.param(("*.example.org",), HOST, id="a wildcard above it"),
        pytest.param(("*.example.org",), "*.example.org", id="the wildcard itself"),
        pytest.param(("Binder.Example.ORG",), HOST, id="in other letters"),
        pytest.param(("192.0.2.1",), "192.0.2.1", id="an address"),
        pytest.param(("2001:db8::1",), "2001:0DB8:0::1", id="an address written otherwise"),
    ],
)
def test_names_that_hold_a_host(ca: PrivateCa, names: tuple[str, ...], host: str) -> None:
    made = ca.leaf(*names)
    assert secret.verified(made.chain.read_bytes(), made.key.read_bytes(), (host,), now())


@pytest.mark.parametrize(
    ("names", "host"),
    [
        pytest.param(("www.example.org",), HOST, id="another name"),
        pytest.param(("*.example.org",), "example.org", id="the name above a wildcard"),
        pytest.param(("*.example.org",), "a.b.example.org", id="two labels below a wildcard"),
        pytest.param((HOST,), "*.example.org", id="a wildcard that only one name is held of"),
        pytest.param(("192.0.2.1",), "192.0.2.2", id="another address"),
        pytest.param(("*.0.2.1",), "192.0.2.1", id="no wildcard holds an address"),
    ],
)
def test_names_that_do_not_hold_a_host_are_listed(ca: PrivateCa, names: tuple[str, ...], host: str) -> None:
    made = ca.leaf(*names)
    told = refused(
        NAMES_MISSING, lambda: secret.verified(made.chain.read_bytes(), made.key.read_bytes(), (host,), now())
    )
    assert host in told.cause
    assert names[0] in told.evidence[0].saw


def test_a_common_name_alone_holds_no_host() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    start = datetime.fromtimestamp(now() - DAY, UTC)
    leaf = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    assert "none" in refused(NAMES_MISSING, lambda: secret.check_names(leaf, (HOST,), "certificate")).evidence[0].saw
    assert secret.ari(leaf) == "", "nothing says whose key signed it"


@pytest.mark.parametrize(
    ("begins", "ends", "word"),
    [
        pytest.param(-2 * DAY, -DAY, "ended", id="over"),
        pytest.param(secret.CLOCK_GRACE + 60, DAY, "begins", id="not yet"),
    ],
)
def test_a_certificate_out_of_its_time_is_told_with_both_ends_and_our_clock(
    ca: PrivateCa, begins: float, ends: float, word: str
) -> None:
    made = ca.leaf(HOST, valid_from=begins, valid_until=ends)
    told = refused(
        NOT_VALID_NOW, lambda: secret.verified(made.chain.read_bytes(), made.key.read_bytes(), (HOST,), now())
    )
    assert word in told.cause
    assert "this machine's clock says" in told.evidence[0].saw


def test_its_last_second_counts_and_the_next_does_not(ca: PrivateCa) -> None:
    leaf = secret.read_chain(ca.leaf(HOST).chain.read_bytes(), "chain")[0]
    ends = leaf.not_valid_after_utc.timestamp()
    secret.check_time(leaf, ends - 1, "certificate")
    refused(NOT_VALID_NOW, lambda: secret.check_time(leaf, ends, "certificate"))
    secret.check_time(leaf, leaf.not_valid_before_utc.timestamp() - secret.CLOCK_GRACE, "certificate")


def test_a_clock_a_little_ahead_of_ours_is_no_fault(ca: PrivateCa) -> None:
    made = ca.leaf(HOST, valid_from=120)
    assert secret.verified(made.chain.read_bytes(), made.key.read_bytes(), (HOST,), now())


def test_the_key_of_another_certificate_is_told(ca: PrivateCa) -> None:
    made, other = ca.leaf(HOST), ca.leaf(HOST, called="other")
    told = refused(
        KEY_MISMATCH, lambda: secret.verified(made.chain.read_bytes(), other.key.read_bytes(), (HOST,), now())
    )
    assert told.evidence[0].saw.count("SHA-256") == 1
    assert HOST in told.cause


def test_a_chain_in_the_wrong_order_is_told_with_both_names(ca: PrivateCa) -> None:
    made = ca.leaf(HOST)
    told = refused(CHAIN_BROKEN, lambda: secret.read_chain(ca.file.read_bytes() + made.chain.read_bytes(), "chain"))
    assert "certificate 2 did not sign certificate 1" in told.cause
    assert "Loopback test root" in told.evidence[0].saw
    assert HOST in told.evidence[1].saw


def test_an_issuer_with_the_right_name_and_another_key_is_told(ca: PrivateCa, tmp_path: Path) -> None:
    impostor = PrivateCa(tmp_path / "impostor")
    made = ca.leaf(HOST)
    chain = made.chain.read_bytes().replace(ca.file.read_bytes(), impostor.file.read_bytes())
    told = refused(CHAIN_BROKEN, lambda: secret.read_chain(chain, "chain"))
    assert "did not sign" in told.cause


def test_a_certificate_given_twice_is_told(ca: PrivateCa) -> None:
    chain = ca.leaf(HOST).chain.read_bytes()
    refused(CHAIN_BROKEN, lambda: secret.read_chain(chain + chain, "chain"))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"my thesis", id="a text"),
        pytest.param(b"\x30\x82\xff\xfe" * 100, id="bytes"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----\n", id="half a certificate"
        ),
    ],
)
def test_what_is_no_certificate_is_told_by_its_beginning(content: bytes) -> None:
    told = refused(FILE_UNREADABLE, lambda: secret.read_chain(content, "/etc/tls/chain.pem"))
    assert told.evidence[0].where == "/etc/tls/chain.pem"
    assert len(told.evidence[0].saw) < 300


def test_a_key_in_the_chain_s_place_is_told_and_never_shown() -> None:
    key = secret.new_key()
    told = refused(FILE_UNREADABLE, lambda: secret.read_chain(key, "chain"))
    assert "a private key" in told.evidence[0].saw
    assert not [line for line in key.decode().splitlines() if line in told.message + told.evidence[0].saw]


@pytest.mark.parametrize("locked", [False, True], ids=["damaged", "with a passphrase"])
def test_a_key_that_cannot_be_read_is_told_and_never_shown(locked: bool) -> None:
    content = secret.new_key()[:120]
    if locked:
        key = ec.generate_private_key(ec.SECP256R1())
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    told = refused(FILE_UNREADABLE, lambda: secret.read_key(content, "tls.key"))
    assert not [line for line in content.decode().splitlines() if line in told.message + told.evidence[0].saw]


@pytest.mark.parametrize("make", [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate])
def test_an_operator_s_key_may_be_of_another_kind(make: Callable[[], rsa.RSAPrivateKey]) -> None:
    key = make()
    name = x509.Name([])
    start = datetime.fromtimestamp(now() - DAY, UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=9))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=True)
    leaf = builder.sign(key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL if isinstance(key, rsa.RSAPrivateKey) else
                            PrivateFormat.PKCS8, NoEncryption())  # fmt: skip
    assert secret.verified(leaf.public_bytes(Encoding.PEM), pem, (HOST,), now()) == (leaf,)
    refused(KEY_MISMATCH, lambda: secret.check_key(leaf, secret.new_key(), "key"))


def test_what_stands_beside_certificates_and_keys_in_one_file_is_left_out(ca: PrivateCa) -> None:
    made = ca.leaf(HOST)
    both = b"# of the campus\n" + made.key.read_bytes() + made.chain.read_bytes()
    assert secret.chain_pem(secret.verified(both, both, (HOST,), now())) == made.chain.read_bytes()
    assert secret.key_pem(both) == made.key.read_bytes()


@pytest.mark.parametrize("hosts", [(HOST,), ("*.example.org",), ("192.0.2.1",), ("2001:db8::1", HOST)])
def test_a_request_names_its_hosts_and_is_signed_by_its_key(hosts: tuple[str, ...]) -> None:
    key = secret.new_key()
    made = x509.load_der_x509_csr(secret.request(hosts, key))
    assert made.is_signature_valid
    assert set(secret.names(made)) == set(hosts)
    private = load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP256R1)
    assert made.public_key() == private.public_key()
    assert secret.new_key() != key


def test_the_identifier_for_renewal_information_is_that_of_the_standard_s_example() -> None:
    """RFC 9773, 4.1: its key identifier and its serial number, which begins with a byte above 0x7f."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    start = datetime.fromtimestamp(now(), UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0x87654321, start, start + timedelta(days=1))
    identifier = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(identifier, None, None), critical=False)
    leaf = builder.sign(key, hashes.SHA256())
    assert secret.ari(leaf) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert secret.serial(leaf) == "87654321"


def test_a_certificate_alone_leads_to_a_root_that_is_known_or_is_told(ca: PrivateCa) -> None:
    leaf, root = secret.read_chain(ca.leaf(HOST).chain.read_bytes(), "chain")
    secret.check_whole((leaf,), [root], "chain")
    secret.check_whole((leaf, root), [], "chain")
    secret.check_whole((root,), [], "chain")
    with pytest.raises(Fail, match="signed it, and Loopback test root's certificate is not there") as raised:
        secret.check_whole((leaf,), [PrivateCa(ca.folder / "other").root], "chain")
    assert raised.value.failure.kind is CHAIN_BROKEN
    assert "cat leaf.pem" in raised.value.failure.remedy
