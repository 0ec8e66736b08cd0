"""The egress proxy process: `python -m perijove.backends.pad.egress FD UID`. Sandboxes reach the web through it alone.

It is handed listening sockets that lie in the sandboxes' networks, each with a rule; speaks CONNECT and plain proxied
HTTP/1.1; resolves names itself and connects to the very address it has judged. It parses strangers' bytes, so it drops
all rights before the first of them, and ends with the pad.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from perijove.backends.pad import egress_rights
from perijove.backends.pad.egress_names import Names
from perijove.backends.pad.egress_rule import Rule, judge
from perijove.backends.pad.spawning import readable
from perijove.nearby import near

HEAD = 64 * 1024
HEAD_LIMIT = 30.0
CONNECT_LIMIT = 15.0
SILENCE = 900.0
"""Seconds without a byte either way after which a connection is closed."""
CONNECTIONS = 256
"""Connections one sandbox may have open at once, where there are not too many sandboxes."""
IN_ALL, FEW = 4096, 16
"""Connections of all sandboxes, and those that each may have however many there are."""
CHUNK = 32 * 1024
"""Bytes that wait in one direction before its sender has to; a few times as many at worst."""
LINGER = 2.0
"""Seconds for a client to take a refusal in, lest the rest of what it sends resets the connection."""
HOP_BY_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade"}


class Refused(Exception):
    """An answer for the client: status line's rest and a text."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Door:
    """One sandbox's way out."""

    def __init__(self, rule: Rule, share: Callable[[], int]) -> None:
        self._rule = rule
        self._share = share
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
            head = f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
            writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
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
            raise Refused("503 Too Many Connections", f"more than {share} connections at once")
        writer.transport.set_write_buffer_limits(CHUNK)
        try:
            async with asyncio.timeout(HEAD_LIMIT):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            text = f"a request's head may have {HEAD} bytes"
            raise Refused("431 Request Header Fields Too Large", text) from error
        host, port, forward = _understood(head)
        theirs, onwards = await self._connect(host, port)
        onwards.transport.set_write_buffer_limits(CHUNK)
        try:
            if forward:
                onwards.write(forward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join((reader, onwards), (theirs, writer))
        finally:
            onwards.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            found = await self._names.addresses(host, port)
        except TimeoutError as error:
            raise Refused("504 Gateway Timeout", f"{host[:200]} cannot be resolved: no name server answers") from error
        except (OSError, UnicodeError) as error:
            raise Refused("502 Bad Gateway", f"{host[:200]} cannot be resolved: {error}") from error
        address, reason = judge(host, port, found, self._rule, near)
        if address is None:
            raise Refused("403 Forbidden", reason)
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                return await asyncio.open_connection(address, port, limit=CHUNK)
        except TimeoutError as error:
            raise Refused("504 Gateway Timeout", f"{host[:200]}:{port} does not answer") from error
        except OSError as error:
            raise Refused("502 Bad Gateway", f"{host[:200]}:{port} cannot be reached: {error.strerror}") from error


def _understood(head: bytes) -> tuple[str, int, bytes]:
    """Host, port, and what to send on (nothing for CONNECT). Raises Refused."""
    request, *lines = head[:-4].split(b"\r\n")
    words = request.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refused("400 Bad Request", "this is not an HTTP request to a proxy")
    method, target, version = words
    try:
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused("400 Bad Request", f"the address cannot be read: {error}") from error
    if not host or (method == "CONNECT" and port is None) or (method != "CONNECT" and parts.scheme != "http"):
        raise Refused("400 Bad Request", "ask for CONNECT host:port or for a whole http:// address")
    if port == 0:
        raise Refused("400 Bad Request", "there is no port 0")
    if method == "CONNECT":
        return host, port or 443, b""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in HOP_BY_HOP]
    forward = [f"{method} {path} {version}".encode("latin-1"), *kept, b"Connection: close", b"", b""]
    return host, port or 80, b"\r\n".join(forward)


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
    except* OSError as broken:  # TimeoutError is one
        raise broken.exceptions[0] from broken


class Doors:
    """All sandboxes' ways out, as the pad tells."""

    def __init__(self, line: socket.socket, connections: int) -> None:
        self._line = line
        self._connections = connections
        self._doors: dict[str, Door] = {}

    def share(self) -> int:
        """Connections that one sandbox may have."""
        return min(CONNECTIONS, max(self._connections // max(len(self._doors), 1), FEW))

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
                await self._open(message["open"], rule, socket.socket(fileno=fds[0]))

    async def _open(self, name: str, rule: Rule, listener: socket.socket) -> None:
        self._shut(name)
        door = self._doors[name] = Door(rule, self.share)
        door.server = await asyncio.start_server(door.serve, sock=listener, limit=HEAD)

    def _shut(self, name: str) -> None:
        door = self._doors.pop(name, None)
        if door is not None:
            door.close()


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    line.setblocking(False)
    egress_rights.load()
    files = egress_rights.drop(int(sys.argv[2]))
    asyncio.run(Doors(line, min(IN_ALL, files // 4)).follow())


if __name__ == "__main__":
    main()
