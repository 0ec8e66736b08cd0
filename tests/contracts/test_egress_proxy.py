"""A sandbox's way out, over real connections on loopback: whoever cuts one off, it is over without an error."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine

import pytest

from perijove.backends.pad.egress import SandboxProxy
from perijove.backends.pad.egress_rule import Rule
from perijove.backends.pad.unreached import Told
from perijove.domain.ran import Withheld
from perijove.domain.way_out import WayOut
from tests.fakes.web_proxy import web_proxy

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
    way = SandboxProxy(Rule(public=False, allowed=(f"127.0.0.1:{port}",)), lambda: 10, lambda _: None)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.put(asyncio.create_task(way.serve(reader, writer), name="way out"))

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
    way.close()


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


async def asked_through(rule: Rule, way_out: WayOut, request: bytes, told: list[Told]) -> bytes:
    """What a sandbox is answered by its way out; nobody knows names that end with `.example` (RFC 2606)."""
    way = SandboxProxy(rule, lambda: 10, told.append, way_out)
    served: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.put(asyncio.create_task(way.serve(reader, writer), name="way out"))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await (await served.get())
    way.close()
    return answer


PUBLIC = Rule(public=True, allowed=())
PLAIN = b"GET http://mirror.example/a?b HTTP/1.1\r\nHost: mirror.example\r\nProxy-Authorization: mine\r\n\r\n"
TUNNEL = b"CONNECT mirror.example:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def greeting(heads: list[bytes]) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]:
    """A web server that notes what it was asked."""

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HELLO)
        await writer.drain()
        writer.close()

    return web


async def test_the_operator_s_proxy_leads_on_by_name_and_no_sandbox_sees_its_password() -> None:
    heads: list[bytes] = []
    told: list[Told] = []
    server = await asyncio.start_server(greeting(heads), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hosts = {"mirror.example:443": port, "mirror.example:80": port}
    async with server, web_proxy(hosts, "us:secret") as proxy:
        way = WayOut(proxy.url, proxy.url)
        assert (await asked_through(PUBLIC, way, PLAIN, told)).endswith(b"hello")
        assert (await asked_through(PUBLIC, way, TUNNEL, told)).endswith(b"hello")
        assert proxy.asked == [
            "GET http://mirror.example/a?b HTTP/1.1", "CONNECT mirror.example:443 HTTP/1.1",
        ]  # fmt: skip
        assert b"mine" not in heads[0], "what a sandbox says to a proxy is for us"
        refused = await asked_through(PUBLIC, way, TUNNEL.replace(b"mirror", b"other"), told)
        assert b"502 " in refused.partition(b"\r\n")[0]
        assert b"this service's own proxy says: 403 Not On The List" in refused
        stranger = WayOut(proxy.url.replace("secret", "wrong"), proxy.url.replace("secret", "wrong"))
        refused += await asked_through(PUBLIC, stranger, TUNNEL, told)
        assert b"says: 407" in refused
        assert not any(word in refused for word in (b"secret", b"wrong", str(proxy.port).encode()))
        before = len(proxy.asked)
        for near in (b"printer.local:80", b"127.0.0.1:443", b"mirror.example:22", b"intranet:443"):
            answer = await asked_through(PUBLIC, way, b"CONNECT " + near + b" HTTP/1.1\r\n\r\n", told)
            assert answer.startswith(b"HTTP/1.1 403 "), near
        assert len(proxy.asked) == before, "what is refused is not asked for"
    refused = await asked_through(PUBLIC, way, TUNNEL, told)
    assert b"own proxy cannot be reached: Connection refused" in refused
    assert str(proxy.port).encode() not in refused
    assert {one.why for one in told} == {Withheld.UNREACHABLE, Withheld.FORBIDDEN}


@pytest.mark.parametrize(
    "request_line",
    [
        pytest.param(b"GET\thttp://10.0.0.5/\tHTTP/1.1\nX: http://mirror.example/ HTTP/1.1", id="tab"),
        pytest.param(b"GET\nGET http://mirror.example/ HTTP/1.1", id="line feed in the method"),
        pytest.param(b"GET http://mirror.example/\x0bx HTTP/1.1", id="another space"),
        pytest.param(b"GET http://mirror.example/ HTTP/1.1\nX:y", id="line feed behind the version"),
        pytest.param(b"GET http://mirror.example/ HTTP/1.1\r\nX: a\n\nGET http://10.0.0.5/ HTTP/1.1", id="two in one"),
        pytest.param(b"GET http://mirror.example/ HTTP/1.1\r\nX: a\r", id="carriage return"),
        pytest.param(b"GET http://mirror.example/ HTTP/1.1\r\nX: a\r\n b", id="folded"),
        pytest.param(b"GET http://mirror.example/ HTTP/1.1\r\nConnection : keep-alive", id="space before a colon"),
        pytest.param(b"TRACE http://mirror.example/ HTTP/1.1\r\nMax-Forwards: 0", id="told back"),
    ],
)
async def test_what_another_may_read_otherwise_is_not_sent_on(request_line: bytes) -> None:
    async with web_proxy({"mirror.example:80": 1}, "us:secret") as proxy:
        answer = await asked_through(PUBLIC, WayOut(proxy.url, proxy.url), request_line + b"\r\n\r\n", [])
        assert answer.partition(b" ")[2][:2] == b"40", answer
        assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_name_that_no_proxy_can_be_asked_for_is_answered(scheme: str) -> None:
    way = WayOut(https=f"{scheme}://127.0.0.1:1")
    answer = await asked_through(PUBLIC, way, "CONNECT m\u00fcnchen.example:443 HTTP/1.1\r\n\r\n".encode("latin-1"), [])
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_proxy_that_goes_by_the_host_is_told_of_no_other() -> None:
    heads: list[bytes] = []
    server = await asyncio.start_server(greeting(heads), "127.0.0.1", 0)
    async with server, web_proxy({"mirror.example:80": server.sockets[0].getsockname()[1]}) as proxy:
        asked = b"GET http://mirror.example/ HTTP/1.1\r\nHost: intranet\r\nConnection: keep-alive\r\nA: b\r\n\r\n"
        assert (await asked_through(PUBLIC, WayOut(proxy.url), asked, [])).endswith(b"hello")
    assert heads[0].split(b"\r\n")[1:] == [b"Connection: close", b"Host: mirror.example", b"A: b", b"", b""]


async def test_what_the_operator_reaches_straight_is_not_asked_of_the_proxy() -> None:
    async with web_proxy({}) as proxy:
        way = WayOut(proxy.url, proxy.url, ("mirror.example",))
        told: list[Told] = []
        assert b"502 Bad Gateway (mirror.example cannot be resolved" in await asked_through(PUBLIC, way, TUNNEL, told)
        assert proxy.asked == []
