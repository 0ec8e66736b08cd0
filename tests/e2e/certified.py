"""A service with a CA and a name server of its own: Pebble, a mock DNS, and `perijove up --host` on ephemeral ports.

with certified_world(folder) as world:
    service = world.service(state, "a.example")
    service.up()
    world.shown("a.example")      # what the https port shows, None while it refuses
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography import x509

from perijove.domain.state import State
from tests.e2e.service import Service, free_port, until
from tests.fakes.dns import Dns, running_dns
from tests.fakes.pebble import Pebble, running_pebble

ADDRESS = "127.0.0.1"


@dataclass
class CertifiedWorld:
    """Who is who, and on which ports."""

    dns: Dns
    pebble: Pebble
    http_port: int
    """Where the service listens for http."""
    https_port: int

    def service(self, state: State, *hosts: str, **settings: str) -> Service:
        """A service for these hosts, not started; `settings` as in PERIJOVE_*."""
        for host in hosts:
            if not host.startswith("*."):
                self.dns.set(host, "A", ADDRESS)
        given = {
            "SERVICE_HOSTS": ",".join(hosts),
            "SERVICE_HTTPS": f"{ADDRESS}:{self.https_port}",
            "CERTIFICATES_ISSUERS": self.pebble.directory,
            "CERTIFICATES_ACME_CA": str(self.pebble.ca_file),
            "CERTIFICATES_RESOLVERS": self.dns.server,
            "CERTIFICATES_HTTP_PORT": str(self.pebble.http_port),
            "CERTIFICATES_TLS_PORT": str(self.pebble.tls_port),
        }
        return Service(state, given | settings, port=self.http_port)

    def shown(self, host: str, port: int = 0) -> x509.Certificate | None:
        """What a handshake for a name shows; None where it is refused, or nobody listens."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection((ADDRESS, port or self.https_port), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                shown = secured.getpeercert(binary_form=True)
        except OSError:
            return None
        return x509.load_der_x509_certificate(shown) if shown else None

    def has(self, host: str, limit: float = 30) -> x509.Certificate:
        """The certificate of a host as soon as it is served. Raises TimeoutError."""
        certificate: x509.Certificate = until(lambda: self.shown(host), limit)
        return certificate

    def ask(
        self, host: str, path: str, *, https: bool = True, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request as a visitor of this host would make it; the certificate is judged by the CA's root."""
        port = self.https_port if https else self.http_port
        scheme = "https" if https else "http"
        trust = ssl.create_default_context(cadata=self.pebble.root().decode())
        with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
            asked = client.build_request(
                "GET",
                f"{scheme}://{ADDRESS}:{port}{path}",
                headers={"Host": host if port in (80, 443) else f"{host}:{port}", **(headers or {})},
                extensions={"sni_hostname": host},
            )
            return client.send(asked)


@contextmanager
def certified_world(
    folder: Path, *, http_port: int = 0, tls_port: int = 0, nonce_reject: int = 0, authz_reuse: int = 0
) -> Iterator[CertifiedWorld]:
    """A world whose CA looks at `http_port` and `tls_port`; those of the service itself where they are 0."""
    http, https = free_port(), free_port()
    with (
        running_dns() as dns,
        running_pebble(
            folder,
            dns=dns,
            http_port=http_port or http,
            tls_port=tls_port or https,
            nonce_reject=nonce_reject,
            authz_reuse=authz_reuse,
        ) as pebble,
    ):
        yield CertifiedWorld(dns, pebble, http, https)
