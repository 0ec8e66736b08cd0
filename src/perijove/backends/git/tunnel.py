"""A SOCKS 5 proxy (RFC 1928) on loopback that connects to public addresses only. Not pure.

One is open for as long as git fetches one repository, so that what it refused is told with that launch.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

from perijove.domain.failures import FORBIDDEN_ADDRESS, HOST_UNREACHABLE, Evidence, Fail, Failure
from perijove.domain.reach import carried, why_not
from perijove.nearby import near

_CONNECT_LIMIT = 15.0
_LOOKUP_LIMIT = 10.0
_REFUSED, _UNREACHABLE = 2, 4


async def addresses(host: str, port: int, *, unknown: bool = False) -> tuple[str, ...]:
    """The IP addresses of a public host. `unknown`: whether having none is no failure.

    Raises Fail: `resolve.forbidden-address` when one of them may not be reached, `resolve.host-unreachable`.
    """
    try:
        async with asyncio.timeout(_LOOKUP_LIMIT):
            found = await _looked_up(host, port)
    except (OSError, UnicodeError) as error:
        if unknown:
            return ()
        cause = f"the name {host} has no address"
        saw = f"{host}: {error or f'no answer within {_LOOKUP_LIMIT:g} seconds'}"
        raise Fail(HOST_UNREACHABLE(cause, Evidence("name resolution", saw))) from error
    for address in found:
        if why := why_not(address) or _nearness(address):
            raise Fail(FORBIDDEN_ADDRESS(f"{host} is not a public host", Evidence(host, f"{address} ({why})")))
    return found


def _nearness(address: str) -> str:
    judged = ip_address(address.partition("%")[0])
    own = any(near(one) for one in (judged, carried(judged)) if one is not None)
    return "of this machine or its network" if own else ""


async def _looked_up(host: str, port: int) -> tuple[str, ...]:
    """By a thread that nobody waits for: one of the loop's pool would hold up the end of a call to the last answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def tell(found: tuple[str, ...], error: Exception | None) -> None:
        if not answer.done():
            answer.set_result(found) if error is None else answer.set_exception(error)

    def ask() -> None:
        found: tuple[str, ...] = ()
        failed: Exception | None = None
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
        except (OSError, UnicodeError) as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=ask, name="a name's look-up", daemon=True).start()
    return await answer


class Tunnel:
    """The proxy. `refused` holds what it did not let through, in order."""

    def __init__(self) -> None:
        self.port = 0
        self.refused: list[Failure] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Tunnel]:
        """A proxy that listens until the context ends; then all its connections are closed."""
        tunnel = cls()
        server = await asyncio.start_server(tunnel._accept, "127.0.0.1", 0)
        tunnel.port = server.sockets[0].getsockname()[1]
        try:
            yield tunnel
        finally:
            server.close()
            for task in tunnel._tasks:
                task.cancel()
            await asyncio.gather(*tunnel._tasks, return_exceptions=True)
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="git's tunnel")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT * 2):
                host, port = await _asked(reader, writer)
                far = await self._connected(host, port, writer)
            if far is not None:
                await _joined((reader, writer), far)
        except (OSError, EOFError, ValueError):
            # Either end hung up or spoke no SOCKS: git tells what that meant to it.
            pass
        finally:
            writer.close()

    async def _connected(
        self, host: str, port: int, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            found = await addresses(host, port)
            far = await _opened(host, found, port)
        except Fail as fail:
            self.refused.append(fail.failure)
            forbidden = fail.failure.kind is FORBIDDEN_ADDRESS
            writer.write(_reply(_REFUSED if forbidden else _UNREACHABLE))
            with suppress(OSError):
                await writer.drain()
            return None
        writer.write(_reply(0))
        return far


async def _opened(host: str, found: tuple[str, ...], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    seen: list[Evidence] = []
    for address in found:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT / len(found)):
                return await asyncio.open_connection(address, port)
        except OSError as error:
            seen.append(Evidence(f"{address} port {port}", str(error) or "no answer"))
    raise Fail(HOST_UNREACHABLE(f"no connection with {host} could be made", *seen[:5]))


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """The greeting and the request: which host and port to connect to."""
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    if version != 5:
        raise ValueError("not SOCKS 5")
    writer.write(b"\x05\x00")
    version, command, _, kind = await reader.readexactly(4)
    if version != 5 or command != 1 or kind not in (1, 3, 4):
        raise ValueError("not a request to connect")
    if kind == 3:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode("ascii")
    else:
        raw = await reader.readexactly(4 if kind == 1 else 16)
        host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, raw)
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    return host, port


def _reply(status: int) -> bytes:
    return bytes((5, status, 0, 1)) + bytes(6)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _joined(ours: Ends, far: Ends) -> None:
    """Carry bytes both ways until both have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carried(ours[0], far[1]), name="git's tunnel, outward")
            group.create_task(_carried(far[0], ours[1]), name="git's tunnel, inward")
    except* OSError:
        pass
    finally:
        far[1].close()


async def _carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(262144):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
