"""The egress proxy process: `python -m perijove.backends.pad.egress FD UID`. Sandboxes reach the web through it alone.

It is handed listening sockets that lie in the sandboxes' networks, each with a rule; speaks CONNECT and plain proxied
HTTP/1.1; resolves names itself and connects to the very address it has judged. It parses strangers' bytes, so it drops
all rights before the first of them, and ends with the pad.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import encodings.idna  # noqa: F401 - loaded now: after the rights are dropped its file may be out of reach
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from perijove.backends.pad.egress_rule import Address, Network, Rule, judge, links
from perijove.backends.pad.spawning import readable

HEAD = 64 * 1024
HEAD_LIMIT = 30.0
CONNECT_LIMIT = 15.0
SILENCE = 900.0
"""Seconds without a byte either way after which a connection is closed."""
CONNECTIONS = 256
"""Connections one sandbox may have open at once."""
CHUNK = 64 * 1024
HOP_BY_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade"}
PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG = 38, 1


class Refused(Exception):
    """An answer for the client: status line's rest and a text."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def near(address: Address) -> bool:
    """Whether it is one of this host's own addresses or in a network this host is directly on."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))  # sends nothing; the kernel picks the address we would come from
        except OSError:
            return False
        own = probe.getsockname()[0].partition("%")[0]
    return own == str(address) or any(address in network for network in _links())


def _links() -> list[Network]:
    """Networks that this host reaches without a gateway, from the kernel's tables of routes."""
    fourth, sixth = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
    return links(fourth.read_text(), sixth.read_text() if sixth.exists() else "")


class Door:
    """One sandbox's way out."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._open = 0
        self.server: asyncio.Server | None = None

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
                async with asyncio.timeout(HEAD_LIMIT):
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            return  # whoever spoke is gone or talks something else; there is nobody to answer
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open > CONNECTIONS:
            raise Refused("503 Too Many Connections", f"more than {CONNECTIONS} connections at once")
        async with asyncio.timeout(HEAD_LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
        host, port, forward = _understood(head)
        theirs, onwards = await self._connect(host, port)
        try:
            if forward:
                onwards.write(forward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join((reader, onwards), (theirs, writer))
        finally:
            onwards.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise Refused("502 Bad Gateway", f"{host[:200]} cannot be resolved: {error}") from error
        address, reason = judge(host, port, [str(item[4][0]) for item in found], self._rule, near)
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

    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(carry(*way), name="carry") for way in ways]
        while True:
            _, going = await asyncio.wait(both, timeout=SILENCE, return_when=asyncio.ALL_COMPLETED)
            if not going:
                return
            if moved() - last >= SILENCE:
                raise TimeoutError


class Doors:
    """All sandboxes' ways out, as the pad tells."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._doors: dict[str, Door] = {}

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
        door = self._doors[name] = Door(rule)
        door.server = await asyncio.start_server(door.serve, sock=listener, limit=HEAD)

    def _shut(self, name: str) -> None:
        door = self._doors.pop(name, None)
        if door is not None and door.server is not None:
            door.server.close()


def _drop(uid: int) -> None:
    """Give up every right that a proxy has no use for."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir("/")
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


async def _live(line: socket.socket, uid: int) -> None:
    with contextlib.suppress(OSError):  # load what resolving needs while its files can be read
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    _drop(uid)
    await Doors(line).follow()


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    line.setblocking(False)
    asyncio.run(_live(line, int(sys.argv[2])))


if __name__ == "__main__":
    main()
