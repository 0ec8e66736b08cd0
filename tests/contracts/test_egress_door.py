"""A sandbox's way out, over real connections on loopback: whoever cuts one off, it is over without an error."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from perijove.backends.pad.egress import Door
from perijove.backends.pad.egress_rule import Rule

pytestmark = pytest.mark.e2e


def cut_off(writer: asyncio.StreamWriter) -> None:
    """By a reset, as a process does that is killed with bytes unread."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("who", ["client", "host"])
async def test_a_tunnel_that_is_cut_off_is_over(who: str) -> None:
    hosts: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    served: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()

    async def host(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hosts.put(writer)

    web = await asyncio.start_server(host, "127.0.0.1", 0)
    port = web.sockets[0].getsockname()[1]
    door = Door(Rule(public=False, allowed=(f"127.0.0.1:{port}",)), lambda: 10, lambda _: None)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.put(asyncio.create_task(door.serve(reader, writer), name="door"))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with web, proxy, asyncio.timeout(20):
        reader, client = await asyncio.open_connection(*proxy.sockets[0].getsockname())
        client.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        ends = {"client": client, "host": await hosts.get()}
        cut_off(ends.pop(who))
        await (await served.get())
        for end in ends.values():
            end.close()
    door.close()
