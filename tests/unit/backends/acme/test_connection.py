"""A connection to a CA, through proxies that ask for a password; and what is no answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from perijove.backends.acme.connection import Cut, connect
from perijove.proxies import ProxyRefused
from tests.fakes.private_ca import PrivateCa

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
        with suppress(ConnectionError, EOFError, ssl.SSLError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
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


async def connect_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    asked = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    return asked.split()[1]


async def socks_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """RFC 1928 and 1929, as the other side speaks them."""
    assert await reader.readexactly(3) == b"\x05\x01\x02"
    writer.write(b"\x05\x02")
    assert await reader.readexactly(11) == b"\x01\x03ada\x05op@en"
    writer.write(b"\x01\x00")
    assert await reader.readexactly(4) == b"\x05\x01\x00\x03"
    name = await reader.readexactly((await reader.readexactly(1))[0])
    port = int.from_bytes(await reader.readexactly(2), "big")
    writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
    return b"%b:%d" % (name, port)


@pytest.mark.parametrize(("scheme", "words"), [("http", connect_words), ("socks5", socks_words)])
async def test_tls_reaches_the_ca_through_a_proxy(
    tmp_path: Path, scheme: str, words: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]
) -> None:
    ca, named = PrivateCa(tmp_path), list[bytes]()
    leaf = ca.leaf("ca.example")
    behind = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    behind.load_cert_chain(leaf.chain, leaf.key)

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        named.append(await words(reader, writer))
        await writer.drain()
        await writer.start_tls(behind)  # the CA itself: what was decided before is no part of TLS
        await two_answers(reader, writer)

    async with listening(proxy) as port:
        by = f"{scheme}://ada:op%40en@127.0.0.1:{port}"
        connection = await connect("https://ca.example:14000/dir", ssl.create_default_context(cafile=ca.file), by, 5)
        body = (await connection.ask("GET", "https://ca.example:14000/dir", {}, b"", 100)).body
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect("https://another.example/dir", ssl.create_default_context(cafile=ca.file), by, 5)
    assert body == b"GET /dir 0"
    assert named == [b"ca.example:14000", b"another.example:443"]


@pytest.mark.parametrize(
    ("scheme", "said", "told"),
    [
        ("http", b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", "407 Who are you"),
        ("http", b"220 mail.example ESMTP\r\n\r\n", "no answer of a proxy's"),
        ("http", b"HTTP/1.1 200 O", "no answer of a proxy's"),
        ("socks5", b"\x05\xff", "another way to say who we are"),
        ("socks5h", b"\x05\x00\x05\x02\x00\x01", "its rules forbid it"),
        ("socks5", b"\x05", "no answer of a proxy's"),
    ],
)
async def test_a_proxy_that_refuses_is_told_by_its_words(scheme: str, said: bytes, told: str) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.write_eof()
        await reader.read()

    async with listening(proxy) as port:
        with pytest.raises(ProxyRefused, match=told):
            await connect("https://ca.example/dir", NO_TLS, f"{scheme}://127.0.0.1:{port}", 5)


async def test_a_proxy_that_takes_no_password_is_told() -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x02\x01\x01")
        await reader.read()

    async with listening(proxy) as port:
        with pytest.raises(ProxyRefused, match="does not take our password"):
            await connect("http://127.0.0.9/dir", NO_TLS, f"socks5://ada:x@127.0.0.1:{port}", 5)


async def test_a_proxy_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ProxyRefused, match="only proxies with http, https or socks5"):
        await connect("https://ca.example/dir", NO_TLS, "socks4://127.0.0.1:1", 5)


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
