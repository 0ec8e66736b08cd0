"""Hosts that are IP addresses: a real CA's certificate, shown to who sends no name, and http leads to https."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from socket import create_connection

import httpx
import pytest
from cryptography import x509

from perijove.domain.state import State
from tests.e2e.service import Service, until
from tests.fakes.dns import running_dns
from tests.fakes.dns_zone import free_on
from tests.fakes.pebble import Pebble, needs_pebble, running_pebble

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.e2e, needs_pebble]
BY_HTTP, BY_TLS, SIX, OUR_OWN = "127.0.0.1", "127.0.0.2", "::1", "127.0.0.3"
FROM_THE_CA = (BY_HTTP, BY_TLS, SIX)
CHALLENGES = {BY_HTTP: "http-01", BY_TLS: "tls-alpn-01", SIX: "http-01"}


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    folder, ours = tmp_path_factory.mktemp("addresses"), (BY_HTTP, BY_TLS, OUR_OWN)
    http, https = free_on(*ours), free_on(*ours)
    with running_dns() as dns, running_pebble(folder, dns=dns, http_port=http, tls_port=https) as pebble:
        yield pebble
    assert dns.asked == [], "nobody asks for the name of an address"


@pytest.fixture(scope="module")
def service(pebble: Pebble, module_state: State) -> Iterator[Service]:
    """One for all addresses; one of them has no issuers of its own, and is left to the embedded CA."""
    hosts = [*FROM_THE_CA, OUR_OWN]
    given = {
        "SERVICE_HOSTS": ",".join(hosts),
        "SERVICE_HTTPS": ",".join(f"{in_url(host)}:{pebble.tls_port}" for host in hosts),
        "CERTIFICATES_ACME_CA": str(pebble.ca_file),
        "CERTIFICATES_RESOLVERS": pebble.dns.server,
        "CERTIFICATES_HTTP_PORT": str(pebble.http_port),
        "CERTIFICATES_TLS_PORT": str(pebble.tls_port),
    }
    flags = [word for host in hosts[1:] for word in ("--http", f"{in_url(host)}:{pebble.http_port}")]
    service = Service(module_state, given, port=pebble.http_port, flags=tuple(flags))
    service.config.write_text(
        "".join(
            f'[certificates.host."{host}"]\nissuers = ["{pebble.directory}"]\nchallenges = ["{challenge}"]\n'
            for host, challenge in CHALLENGES.items()
        )
    )
    try:
        service.up()
        yield service
    finally:
        if service.process is not None:
            service.stop()


def shown(pebble: Pebble, host: str) -> x509.Certificate | None:
    """The address's own certificate, as who sends no name sees it; None while there is none, or another's."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            closing(create_connection((host, pebble.tls_port), timeout=5)) as plain,
            context.wrap_socket(plain) as secured,
        ):
            der = secured.getpeercert(binary_form=True)
    except OSError:
        return None
    certificate = x509.load_der_x509_certificate(der or b"")
    return certificate if ip_address(host) in names(certificate).get_values_for_type(x509.IPAddress) else None


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize("host", FROM_THE_CA)
def test_an_address_gets_a_certificate_by_its_challenge(service: Service, pebble: Pebble, host: str) -> None:
    certificate: x509.Certificate = until(lambda: shown(pebble, host))
    assert [one.value for one in names(certificate)] == [ip_address(host)]
    trusting = ssl.create_default_context(cadata=pebble.root().decode())
    answer = httpx.get(f"https://{in_url(host)}:{pebble.tls_port}/", verify=trusting, timeout=10, trust_env=False)
    assert "Perijove" in answer.text, "whose certificate fits the address"
    until(lambda: _ready(service, host))
    challenges = service.cli("get", "challenges").splitlines()
    assert [line for line in challenges if CHALLENGES[host] in line and f" {host} " in f" {line} "], challenges


def _ready(service: Service, host: str) -> bool:
    """Whether all is well: a handshake has shown it, and it was kept."""
    told = json.loads(service.cli("get", "certificate", host, "-o", "json"))["status"]["conditions"]
    return any((one["type"], one["status"]) == ("Ready", "True") for one in told)


@pytest.mark.parametrize("host", FROM_THE_CA)
def test_http_leads_to_https_at_the_address(service: Service, pebble: Pebble, host: str) -> None:
    until(lambda: shown(pebble, host))
    asked = f"http://{in_url(host)}:{pebble.http_port}/v2/gh/a/b/HEAD?x=1"
    led: httpx.Response = until(lambda: _redirected(asked))
    assert led.headers["Location"] == f"https://{in_url(host)}:{pebble.tls_port}/v2/gh/a/b/HEAD?x=1"


def _redirected(url: str) -> httpx.Response | None:
    answer = httpx.get(url, timeout=10, trust_env=False)
    return answer if answer.status_code == 308 else None


def test_an_address_of_this_machine_alone_is_signed_by_the_embedded_ca(service: Service, pebble: Pebble) -> None:
    certificate: x509.Certificate = until(lambda: shown(pebble, OUR_OWN))
    assert "Perijove" in certificate.issuer.rfc4514_string()
