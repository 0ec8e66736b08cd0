"""The egress proxy process: `python -m perijove.backends.pad.egress FD UID`. Sandboxes reach the web through it alone.

It is handed listening sockets that lie in the sandboxes' networks, each with a rule; speaks CONNECT and plain proxied
HTTP/1.1; resolves names itself and connects to the very address it has judged; where the operator has a proxy,
that one leads on, by the name. What it refuses or cannot reach it tells
the pad, before it answers. It parses strangers' bytes, so it drops
all rights before the first of them, and ends with the pad.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from perijove.backends.pad import egress_rights
from perijove.backends.pad.egress_rule import Rule, judge, judge_name
from perijove.backends.pad.spawning import readable
from perijove.backends.pad.unreached import REACHED, Told, packed
from perijove.domain.parsing import bracketed
from perijove.domain.ran import OWN_PROXY, Withheld
from perijove.domain.sizes import size
from perijove.domain.way_out import STRAIGHT, WayOut, read_way_out
from perijove.nearby import near
from perijove.proxies import PORTS, ProxyRefused, Streams, authorization, lead_on

HTTP = 80
SILENT = Withheld.UNREACHABLE
HEAD = 64 * 1024
HEAD_LIMIT = 30.0
CONNECT_LIMIT = 10.0
"""Seconds until a host is told as silent: fewer than clients wait, who would not hear of it otherwise."""
SILENCE = 900.0
"""Seconds without a byte either way after which a connection is closed."""
CONNECTIONS = 256
"""Connections one sandbox may have open at once, where there are not too many sandboxes."""
IN_ALL, FEW = 4096, 16
"""Connections of all sandboxes, and those that each may have however many there are."""
TOLD = 32
"""Hosts that a sandbox did not reach, of which the pad is told."""
CHUNK = 32 * 1024
"""Bytes that wait in one direction before its sender has to; a few times as many at worst."""
LINGER = 2.0
"""Seconds for a client to take a refusal in, lest the rest of what it sends resets the connection."""
REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) (HTTP/1\.[01])")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t -~\x80-\xff]*")
"""A line of a head as RFC 9112 has it, and no other: what one reader takes for a space or an end of a line, and another
does not, leads elsewhere than where it was judged to go."""
HOP_BY_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade"}
OURS = HOP_BY_HOP | {b"host"}
"""Fields that say what we say (RFC 9112, 3.2.2): a proxy that goes by `Host` goes where the address says."""


class Refused(Exception):
    """An answer for the client: status line's rest and a text; and why, where the fault is not the client's."""

    def __init__(self, status: str, text: str, why: Withheld | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.why = status, text, why

    @property
    def reason(self) -> str:
        """The text as a part of the status line, which is all that pip and others show of it."""
        return "".join(letter if " " <= letter <= "~" else "?" for letter in self.text[:300])


class SandboxProxy:
    """One sandbox's way out."""

    def __init__(
        self, rule: Rule, share: Callable[[], int], tell: Callable[[Told], None], way_out: WayOut = STRAIGHT
    ) -> None:
        """`tell` hears what is not reached, once, and what then is."""
        self._rule = rule
        self._way_out = way_out
        self._share = share
        self._tell = tell
        self._unreached: dict[str, Withheld] = {}
        self._names = Names()
        self._open = 0
        self.server: asyncio.Server | None = None

    def close(self) -> None:
        """Take nobody more; who is connected may go on."""
        if self.server is not None:
            self.server.close()
        self._names.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from inside."""
        self._open += 1
        try:
            await self._serve(reader, writer)
        except Refused as refusal:
            body = f"Perijove's egress proxy: {refusal.text}.\n".encode()
            kind = "Content-Type: text/plain; charset=utf-8\r\nConnection: close"
            head = f"HTTP/1.1 {refusal.status} ({refusal.reason})\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER):
                    await writer.drain()
                    writer.write_eof()
                    while await reader.read(CHUNK):
                        continue
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return  # whoever spoke is gone or talks something else; there is nobody to answer
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open > (share := self._share()):
            text = f"more than {share} connections at once"
            self._withheld("", Refused("503 Too Many Connections", text, Withheld.LIMIT))
        writer.transport.set_write_buffer_limits(CHUNK)
        try:
            async with asyncio.timeout(HEAD_LIMIT):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            text = f"a request's head may have {size(HEAD)}"
            raise Refused("431 Request Header Fields Too Large", text) from error
        wanted = _understood(head)
        named = f"{wanted.host[:253]}:{wanted.port}"
        by = self._way_out.proxy("http" if wanted.forward else "https", wanted.host)
        try:
            theirs, onwards = await self._connect(wanted, by)
        except Refused as refusal:
            self._withheld(named, refusal)
        if self._unreached.pop(named, None) is not None:
            self._tell(Told(named, REACHED, ""))
        onwards.transport.set_write_buffer_limits(CHUNK)
        try:
            if wanted.forward:
                onwards.write(wanted.plain(by))
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join((reader, onwards), (theirs, writer))
        finally:
            onwards.close()

    def _withheld(self, named: str, refusal: Refused) -> NoReturn:
        """Tell the pad, of each host once. Raises Refused."""
        if refusal.why is not None and self._unreached.get(named) != refusal.why and len(self._unreached) < TOLD:
            self._unreached[named] = refusal.why
            self._tell(Told(named, refusal.why, refusal.text))
        raise refusal

    async def _connect(self, wanted: Wanted, by: str) -> Streams:
        """Straight, or as far as the proxy `by` leads, which is asked by name. Raises Refused."""
        host, port = wanted.host, wanted.port
        try:
            found = await self._names.addresses(host, port)
        except (TimeoutError, OSError, UnicodeError) as error:
            if not by:
                raise _unresolved(host, error) from error
            found = []
        address, reason = judge(host, port, found, self._rule, near) if found else (host, "")
        if not found:
            reason = judge_name(host, port, self._rule)
        if address is None or reason:
            raise Refused("403 Forbidden", reason, Withheld.FORBIDDEN)
        if by:
            return await self._led_on(wanted, by)
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                return await asyncio.open_connection(address, port, limit=CHUNK)
        except TimeoutError as error:
            raise Refused("504 Gateway Timeout", f"{host[:200]}:{port} does not answer", SILENT) from error
        except OSError as error:
            text = f"{host[:200]}:{port} cannot be reached: {os.strerror(error.errno) if error.errno else error}"
            raise Refused("502 Bad Gateway", text, SILENT) from error

    async def _led_on(self, wanted: Wanted, by: str) -> Streams:
        """By the operator's proxy, of which a sandbox hears no more than what it says. Raises Refused."""
        proxy, there = urlsplit(by), f"{wanted.host[:200]}:{wanted.port}"
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                opened = asyncio.open_connection(proxy.hostname, proxy.port or PORTS[proxy.scheme], limit=CHUNK)
                streams = await opened
                if not (wanted.forward and proxy.scheme == "http"):
                    await _lead_on(streams, proxy, wanted)
                return streams
        except TimeoutError as error:
            text = f"{there}: {OWN_PROXY} does not answer"
            raise Refused("504 Gateway Timeout", text, SILENT) from error
        except ProxyRefused as error:
            raise Refused("502 Bad Gateway", f"{there}: {OWN_PROXY} says: {error}", SILENT) from error
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "its name cannot be resolved"
            text = f"{there}: {OWN_PROXY} cannot be reached: {why}"
            raise Refused("502 Bad Gateway", text, SILENT) from error


async def _lead_on(streams: Streams, proxy: SplitResult, wanted: Wanted) -> None:
    try:
        await lead_on(streams, proxy, wanted.host, wanted.port)
    except BaseException:
        streams[1].transport.abort()
        raise


def _unresolved(host: str, error: Exception) -> Refused:
    if isinstance(error, TimeoutError):
        text = f"{host[:200]} cannot be resolved: no name server answers"
        return Refused("504 Gateway Timeout", text, SILENT)
    return Refused("502 Bad Gateway", f"{host[:200]} cannot be resolved: {error}", SILENT)


NAMES_AT_ONCE = 4
"""Look-ups of one sandbox; more wait for these."""
NAME_LIMIT = 10.0
"""Seconds that a name may take, waiting included."""


class Names:
    """One sandbox's look-ups, by the system's resolver, in threads of its own.

    A name server that never answers holds up the sandbox that asked it, and nobody else.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(NAMES_AT_ONCE)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Raises OSError, UnicodeError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(NAME_LIMIT):
            try:
                found = await loop.run_in_executor(self._threads, _look_up, host, port)
            except RuntimeError as error:
                raise ConnectionAbortedError("the sandbox is gone") from error
        return [str(item[4][0]) for item in found]

    def close(self) -> None:
        """Look nothing more up. What has begun ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[tuple[object, object, object, object, tuple[object, ...]]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for: a tunnel, or a plain request that is sent on."""

    host: str
    port: int
    forward: str = ""
    """Its method; empty for a tunnel."""
    path: str = ""
    rest: tuple[bytes, ...] = ()
    """Its version, and the lines of its head that are sent on."""

    def plain(self, by: str) -> bytes:
        """What is sent on: to the host itself, or to the proxy `by`: HTTP's want the whole address."""
        proxy, (version, *lines) = urlsplit(by), self.rest
        host = bracketed(self.host)
        host, target = f"{host}{f':{self.port}' if self.port != HTTP else ''}", self.path
        ours = ["Connection: close", f"Host: {host}"]
        if proxy.scheme == "http":
            target = f"http://{host}{self.path}"
            if told := authorization(proxy):
                ours.append(f"Proxy-Authorization: {told}")
        first = f"{self.forward} {target} ".encode("latin-1") + version
        return b"\r\n".join((first, *(one.encode("latin-1") for one in ours), *lines, b"", b""))


def _understood(head: bytes) -> Wanted:
    """Raises Refused."""
    request, *lines = head[:-4].split(b"\r\n")
    words, fields = REQUEST.fullmatch(request), [FIELD.fullmatch(line) for line in lines]
    if words is None or None in fields:
        raise Refused("400 Bad Request", "this is not an HTTP request to a proxy")
    method, target, version = (word.decode("latin-1") for word in words.groups())
    if method == "TRACE":  # a proxy answers with all that it was told, our password for it included
        raise Refused("405 Method Not Allowed", "TRACE is not sent on")
    try:
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused("400 Bad Request", f"the address cannot be read: {error}") from error
    if not host or (method == "CONNECT" and port is None) or (method != "CONNECT" and parts.scheme != "http"):
        raise Refused("400 Bad Request", "ask for CONNECT host:port or for a whole http:// address")
    if not host.isascii():  # no proxy could be asked for it
        raise Refused("400 Bad Request", "a host's name is written as DNS has it, in ASCII")
    if port == 0:
        raise Refused("400 Bad Request", "there is no port 0")
    if method == "CONNECT":
        return Wanted(host, port or 443)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [field[0] for field in fields if field and field[1].lower() not in OURS]
    return Wanted(host, port or HTTP, method, path, (version.encode("latin-1"), *kept))


async def _join(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Carry bytes both ways until both have ended, or neither has carried any for long."""
    moved = asyncio.get_running_loop().time

    last = moved()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal last
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
            last = moved()
        if writer.can_write_eof():
            writer.write_eof()

    try:
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(carry(*way), name="carry") for way in ways]
            while (await asyncio.wait(both, timeout=SILENCE))[1]:
                if moved() - last >= SILENCE:
                    raise TimeoutError
    except ExceptionGroup as group:
        if group.split(OSError)[1] is not None:
            raise
        raise ConnectionError("one end is gone, or both are silent") from group


class SandboxProxies:
    """All sandboxes' ways out, as the pad tells."""

    def __init__(self, line: socket.socket, connections: int) -> None:
        self._line = line
        self._connections = connections
        self._proxies: dict[str, SandboxProxy] = {}

    def share(self) -> int:
        """Connections that one sandbox may have."""
        return min(CONNECTIONS, max(self._connections // max(len(self._proxies), 1), FEW))

    async def follow(self) -> None:
        """Obey the pad until it hangs up."""
        while True:
            await readable(self._line.fileno())
            text, fds, _, _ = socket.recv_fds(self._line, HEAD, 1)
            if not text:
                return
            message = json.loads(text)
            if "close" in message:
                self._shut(message["close"])
            else:
                rule = Rule(message["public"], tuple(message["allowed"]))
                way_out = read_way_out(message["way_out"])
                await self._open(message["open"], rule, way_out, socket.socket(fileno=fds[0]))

    async def _open(self, name: str, rule: Rule, way_out: WayOut, listener: socket.socket) -> None:
        self._shut(name)
        proxy = self._proxies[name] = SandboxProxy(rule, self.share, lambda told: self._tell(name, told), way_out)
        proxy.server = await asyncio.start_server(proxy.serve, sock=listener, limit=HEAD)

    def _tell(self, name: str, told: Told) -> None:
        with contextlib.suppress(OSError):  # the pad reads nothing: it has worse to see to
            self._line.send(packed(name, told))

    def _shut(self, name: str) -> None:
        proxy = self._proxies.pop(name, None)
        if proxy is not None:
            proxy.close()


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    line.setblocking(False)
    egress_rights.load()
    files = egress_rights.drop(int(sys.argv[2]))
    asyncio.run(SandboxProxies(line, min(IN_ALL, files // 4)).follow())


if __name__ == "__main__":
    main()
