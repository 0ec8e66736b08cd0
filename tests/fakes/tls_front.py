"""A real Caddy with https before servers on unix sockets, its certificates by a CA of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import httpx
from cryptography import x509

from perijove.backends.caddy import Caddy
from perijove.domain.data_plane import DataPlaneTable, ServedCertificate
from perijove.domain.state import State
from tests.fakes.ports import free_port
from tests.fakes.private_ca import PrivateCa
from tests.fakes.upstream import upstream

LIMIT = 20.0


@dataclass
class TlsFront:
    """A Caddy that runs, and clients before it."""

    state: State
    table: DataPlaneTable
    caddy: Caddy = field(init=False)
    ca: PrivateCa = field(init=False)
    _revisions: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.caddy = Caddy(self.state)
        self.ca = PrivateCa(self.state.root / "ca")

    def certificate(self, host: str, *names: str, hsts: bool = False) -> ServedCertificate:
        """A new one for a host, in files of its own."""
        leaf = self.ca.leaf(*(names or (host,)), called=f"revision-{next(self._revisions)}")
        return ServedCertificate(host, leaf.chain, leaf.key, hsts)

    async def ensure(self, **changes: object) -> None:
        """Have it do what the table says with these changes."""
        self.table = replace(self.table, **changes)  # type: ignore[arg-type]
        await self.caddy.ensure(self.table)

    @property
    def port(self) -> int:
        return int(self.table.https[0].rpartition(":")[2])

    @property
    def http(self) -> str:
        return f"http://{self.table.http[0]}"

    def trusting(self, *alpn: str) -> ssl.SSLContext:
        """As a browser that trusts the test's CA."""
        context = ssl.create_default_context(cafile=str(self.ca.file))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def shown(
        self, name: str, *alpn: str, address: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> x509.Certificate:
        """The certificate of a handshake for a name; an address sends none. Raises ssl.SSLError, ConnectionError."""
        context = context or self.trusting(*alpn)
        async with asyncio.timeout(LIMIT):
            _, writer = await asyncio.open_connection(address, self.port, ssl=context, server_hostname=name)
        try:
            found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(found)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def shows(self, name: str, certificate: ServedCertificate, address: str = "127.0.0.1") -> bool:
        """Whether a handshake for a name is shown this very certificate: after a reload not at once."""
        wanted, deadline = x509.load_pem_x509_certificate(certificate.chain.read_bytes()), time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            with contextlib.suppress(ssl.SSLError):
                if await self.shown(name, address=address) == wanted:
                    return True
            await asyncio.sleep(0.01)
        return await self.shown(name, address=address) == wanted

    async def refuses(self, name: str) -> bool:
        """Whether a handshake for a name is refused with an alert, not by a certificate that does not fit."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            await self.shown(name, context=context)
        except ssl.SSLError as error:
            return "alert" in str(error).lower()
        return False

    @contextlib.asynccontextmanager
    async def asking(self, name: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client of https by a name, whatever DNS says of it."""
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=self.trusting(),
            headers={"Host": f"{name}:{self.port}"},
            trust_env=False,
            timeout=LIMIT,
        ) as client:
            client.event_hooks["request"].append(_named(name))
            yield client


def _named(name: str) -> Callable[[httpx.Request], Awaitable[None]]:
    async def named(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = name

    return named


@contextlib.asynccontextmanager
async def tls_front(state: State) -> AsyncIterator[TlsFront]:
    """Not yet started: `ensure` does."""
    assets = state.root / "assets"
    assets.mkdir(mode=0o755)
    (assets / "page.css").write_text("a {}")
    http, https = free_port(), free_port()
    front = TlsFront(
        state,
        DataPlaneTable(
            http=(f"127.0.0.1:{http}",),
            https=(f"127.0.0.1:{https}",),
            certificates=(),
            redirects=False,
            alpn_hosts=(),
            alpn_directories=(),
            proxies=(),
            control=state.control_socket,
            sessions=state.session_sockets,
            assets=assets,
            assets_version="v1",
            servers=assets,
        ),
    )
    async with upstream(state.control_socket, "control"):
        try:
            yield front
        finally:
            await front.caddy.close()
