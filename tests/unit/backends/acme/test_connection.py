"""A connection to a CA, through an HTTP proxy that asks for a password; and what is no answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from perijove.backends.acme.connection import Cut, ProxyRefused, connect

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """The port at which `serve` is called for each connection."""

    over = asyncio.Queue[None]()
    begun = 0

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        with suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.put_nowait(None)

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        yield server.sockets[0].getsockname()[1]
        for _ in range(begun):
            await over.get()


async def two_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        head += await reader.readexactly(2) if b"Content-Length: 2" in head else b""
        words = head.partition(b" HTTP")[0] + b" %d" % number
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(words) + words)
    await reader.read()


async def test_requests_go_through_a_proxy_by_one_tunnel_with_its_password() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await two_answers(reader, writer)

    async with listening(proxy) as port:
        connection = await connect("http://ca.example/dir", NO_TLS, f"http://ada:op%40n@127.0.0.1:{port}", 5)
        bodies = [(await connection.ask("GET", "http://ca.example/dir?a", {}, b"", 100)).body for _ in range(2)]
        connection.close()
    assert bodies == [b"GET /dir?a 0", b"GET /dir?a 1"]
    assert len(asked) == 1
    assert asked[0].startswith(b"CONNECT ca.example:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic YWRhOm9wQG4=\r\n" in asked[0]


async def test_a_proxy_that_refuses_is_told_by_its_words() -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(proxy) as port:
        with pytest.raises(ProxyRefused, match="407 Who are you"):
            await connect("https://ca.example/dir", NO_TLS, f"http://127.0.0.1:{port}", 5)
    with pytest.raises(ProxyRefused, match="only proxies with http or https"):
        await connect("https://ca.example/dir", NO_TLS, "socks5://127.0.0.1:1", 5)


async def test_a_connection_is_used_again_until_the_other_side_ends_it() -> None:
    async with listening(two_answers) as port:
        url = f"http://127.0.0.1:{port}/x"
        connection = await connect(url, NO_TLS, "", 5)
        first = await connection.ask("POST", url, {}, b"{}", 100)
        assert (first.status, first.body, first.whole, connection.usable) == (200, b"POST /x 0", True, True)
        cut = await connection.ask("GET", url, {}, b"", 3)
        assert (cut.body, cut.whole, connection.usable) == (b"GET", False, False)
        connection.close()


@pytest.mark.parametrize("said", [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_what_is_no_whole_answer_is_cut(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with listening(serve) as port:
        url = f"http://127.0.0.1:{port}/x"
        connection = await connect(url, NO_TLS, "", 5)
        with pytest.raises(Cut):
            await connection.ask("GET", url, {}, b"", 100)
        assert not connection.usable
        connection.close()


@pytest.mark.parametrize("url", ["ftp://ca.example/", "https:///dir", "nonsense", "https://ca.example:x/"])
async def test_a_url_of_no_use_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        await connect(url, NO_TLS, "", 5)
