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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from websockets.asyncio.client import connect

from perijove.domain.state import State
from tests.e2e.service import Service, Session, until
from tests.fakes.dns import Dns, running_dns
from tests.fakes.pebble import Pebble, running_pebble
from tests.fakes.ports import free_port

ADDRESS = "127.0.0.1"


@dataclass
class CertifiedWorld:
    """Who is who, and on which ports."""

    dns: Dns
    pebble: Pebble
    http_port: int
    """Where the service listens for http."""
    https_port: int
    front: str = ADDRESS
    """The address at which visitors find these ports."""

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
                socket.create_connection((self.front, port or self.https_port), timeout=5) as plain,
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

    def trust(self) -> ssl.SSLContext:
        """What a visitor's browser has that trusts this CA."""
        return ssl.create_default_context(cadata=self.pebble.root().decode())

    def ask(
        self,
        host: str,
        path: str,
        *,
        https: bool = True,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        json: object = None,
        source: str = "",
    ) -> httpx.Response:
        """One request as a visitor of this host, at the address `source`, makes it; judged by the CA's root.

        As browsers do, a GET is made again where a reload of the data plane cost the connection.
        """
        port = self.https_port if https else self.http_port
        scheme = "https" if https else "http"
        transport = httpx.HTTPTransport(verify=self.trust(), trust_env=False, local_address=source or None)
        with httpx.Client(transport=transport, timeout=30) as client:
            asked = client.build_request(
                method,
                f"{scheme}://{self.front}:{port}{path}",
                headers={"Host": host if port in (80, 443) else f"{host}:{port}", **(headers or {})},
                json=json,
                extensions={"sni_hostname": host},
            )
            for _ in range(3 if method == "GET" else 0):
                with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                    return client.send(asked)
            return client.send(asked)

    def secured(self, service: Service, link: str) -> SecuredSession:
        """A launch that got ready, by https."""
        told = str(service.launch(link)[-1]["url"])
        assert told.startswith("https://"), told
        return SecuredSession(self, Session(told))


@dataclass(frozen=True)
class SecuredSession:
    """A session as a browser would use it by https, its name led to loopback."""

    world: CertifiedWorld
    session: Session

    @property
    def host(self) -> str:
        return urlsplit(self.session.base).hostname or ""

    def ask(self, path: str, method: str = "GET", json: object = None) -> httpx.Response:
        """One request to its server."""
        path = urlsplit(self.session.base).path + path
        return self.world.ask(self.host, path, headers=self.session.headers, method=method, json=json)

    def channel(self) -> connect:
        """A new kernel's websocket, to be entered."""
        kernel = self.ask("api/kernels", "POST", {"name": "python3"}).raise_for_status().json()["id"]
        address = f"{self.session.base.replace('https', 'wss', 1)}api/kernels/{kernel}/channels"
        return connect(
            address,
            host=self.world.front,
            port=self.world.https_port,
            ssl=self.world.trust(),
            server_hostname=self.host,
            proxy=None,
            max_size=None,
            additional_headers=self.session.headers,
        )


@contextmanager
def certified_world(
    folder: Path,
    *,
    http_port: int = 0,
    tls_port: int = 0,
    nonce_reject: int = 0,
    authz_reuse: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Iterator[CertifiedWorld]:
    """A world whose CA looks at `http_port` and `tls_port`; those of the service itself where they are 0.

    `environ`: more of its variables.
    """
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
            environ=environ,
        ) as pebble,
    ):
        yield CertifiedWorld(dns, pebble, http, https)
