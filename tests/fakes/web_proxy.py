"""An operator's HTTP proxy on loopback, which alone reaches the web: it knows names that nobody else does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class WebProxy:
    """What it was asked, and what it answers."""

    hosts: Mapping[str, int]
    """`name:port` of the web, and the port of loopback where that is."""
    password: str = ""
    """`user:password`, where it wants one."""
    asked: list[str] = field(default_factory=list)
    """First lines of requests."""
    port: int = 0

    @property
    def url(self) -> str:
        """As an operator names it."""
        return f"http://{f'{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            self.asked.append(first)
            await self._answer(first, lines, reader, writer)
        writer.close()

    async def _answer(
        self, first: str, lines: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = first.split(" ")
        host = target if method == "CONNECT" else target.partition("://")[2].partition("/")[0]
        told = f"Proxy-Authorization: Basic {base64.b64encode(self.password.encode()).decode()}"
        if self.password and told not in lines:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        port = self.hosts.get(host if ":" in host else f"{host}:80")
        if port is None:
            writer.write(b"HTTP/1.1 403 Not On The List\r\n\r\n")
            return
        theirs, onwards = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
        else:
            path = "/" + target.partition("://")[2].partition("/")[2]
            onwards.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines]).encode())
        try:
            await asyncio.gather(_carried(reader, onwards), _carried(theirs, writer))
        finally:
            onwards.close()


async def _carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


@asynccontextmanager
async def web_proxy(hosts: Mapping[str, int], password: str = "") -> AsyncIterator[WebProxy]:
    """One that listens."""
    proxy = WebProxy(hosts, password)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
