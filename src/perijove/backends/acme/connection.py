"""One connection to a CA, kept from request to request: HTTP/1.1 by h11 on asyncio's streams.

In: a request. Out: a Reply. Not by httpx: what its layers and pools take for a request is more than all else that we
do for it.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import h11

from perijove.proxies import PORTS, ProxyRefused, Streams, lead_on

AT_ONCE = 1 << 16
"""Bytes that are read at once."""


class Cut(OSError):
    """What came is no answer, or ended in the midst of one. Its cause says more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `whole` is False where its body was longer than asked for, and is cut."""

    status: int
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes
    whole: bool = True


class Connection:
    """Open until `close`, or until the CA ends it. `limit` is in seconds, for connecting and for each read."""

    def __init__(self, streams: Streams, limit: float) -> None:
        self._reader, self._writer = streams
        self._limit = limit
        self._http = h11.Connection(h11.CLIENT)

    @property
    def usable(self) -> bool:
        """Whether another request can be asked."""
        idle = self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE
        return idle and not self._reader.at_eof() and not self._writer.is_closing()

    def certificate(self) -> bytes:
        """What the other side showed, in DER; empty without TLS."""
        tls = self._writer.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) or b"" if tls is not None else b""

    def close(self) -> None:
        """At once; nothing is waited for."""
        self._writer.transport.abort()

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes, most: int) -> Reply:
        """At most `most` bytes of the answer's body. Raises Cut, TimeoutError, h11.LocalProtocolError."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        told = [("Host", host_and_port(parts)), *headers.items()]
        if body:
            told.append(("Content-Length", str(len(body))))
        sent = self._http.send(h11.Request(method=method, target=target, headers=told)) or b""
        sent += (self._http.send(h11.Data(data=body)) or b"") if body else b""
        self._http.send(h11.EndOfMessage())
        try:
            self._writer.write(sent)
            reply = await self._answered(most)
        except (h11.RemoteProtocolError, ConnectionError, ssl.SSLError) as error:
            raise Cut(str(error)) from error
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return reply

    async def _answered(self, most: int) -> Reply:
        answer, body = await self._head(), bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > most:
                return Reply(answer.status_code, answer.headers, bytes(body[:most]), whole=False)
        return Reply(answer.status_code, answer.headers, bytes(body))

    async def _head(self) -> h11.Response:
        """The answer's beginning, past those that are merely informational (RFC 9110, 15.2)."""
        while isinstance(event := await self._event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            raise Cut("it is no answer")
        return event

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(self._limit):
                self._http.receive_data(await self._reader.read(AT_ONCE))
        return event


async def connect(url: str, context: ssl.SSLContext, proxy: str, limit: float) -> Connection:
    """A connection to a URL's host, by a proxy's URL where there is one.

    Raises OSError (also ssl.SSLError, ProxyRefused, Cut), TimeoutError, and ValueError for URLs of no use.
    """
    parts = urlsplit(url)
    secure, name = parts.scheme == "https", parts.hostname
    if parts.scheme not in {"http", "https"} or not name:
        raise ValueError(f"no URL that can be asked: {url[:200]}")
    port = parts.port or PORTS[parts.scheme]
    trust = context if secure else None
    async with asyncio.timeout(limit):
        streams = await (_by_proxy(proxy, name, port, trust) if proxy else _opened(name, port, trust))
    return Connection(streams, limit)


async def _by_proxy(proxy: str, host: str, port: int, trust: ssl.SSLContext | None) -> Streams:
    by = urlsplit(proxy)
    if by.scheme not in PORTS or not by.hostname:
        raise ProxyRefused("only proxies with http, https or socks5 can be used")
    own = await asyncio.to_thread(ssl.create_default_context) if by.scheme == "https" else None
    streams = await _opened(by.hostname, by.port or PORTS[by.scheme], own)
    try:
        await lead_on(streams, by, host, port)
        if trust is not None:
            await streams[1].start_tls(trust, server_hostname=host)
    except BaseException:
        streams[1].transport.abort()
        raise
    return streams


def host_and_port(parts: SplitResult) -> str:
    """As the header Host has them."""
    return parts.netloc.rpartition("@")[2]


async def _opened(host: str, port: int, trust: ssl.SSLContext | None) -> Streams:
    name = host if trust is not None else None
    try:
        return await asyncio.open_connection(host, port, ssl=trust, server_hostname=name, happy_eyeballs_delay=0.25)
    except OSError as error:
        # Of a host with several addresses asyncio tells all errors as one without a number.
        if error.errno is None and f"[Errno {errno.ECONNREFUSED}]" in str(error):
            raise ConnectionRefusedError(errno.ECONNREFUSED, str(error)[:500]) from error
        raise
