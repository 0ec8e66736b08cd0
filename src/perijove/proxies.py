"""The way to a host by a proxy of the operator's. In: streams to it. Out: the same, which lead on. Acts."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote

import h11

from perijove.domain.parsing import bracketed

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_NOTHING_ASKED, _PASSWORD_ASKED = 0, 2
_LENGTHS = {1: 4, 4: 16}
"""Bytes of an address, by its type."""
_REPLIES = {
    1: "it failed", 2: "its rules forbid it", 3: "the network is unreachable", 4: "the host is unreachable",
    5: "the connection was refused", 6: "it took too many hops", 7: "it does not connect", 8: "it knows no such names",
}  # fmt: skip


class ProxyRefused(OSError):
    """The environment's proxy does not let us through."""


async def lead_on(streams: Streams, by: SplitResult, host: str, port: int) -> None:
    """Have the proxy at a URL lead on to a host, whose name it looks up itself. Raises ProxyRefused, OSError."""
    try:
        await (_tunnel if by.scheme in {"http", "https"} else _socks)(streams, by, host, port)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, h11.RemoteProtocolError) as error:
        raise ProxyRefused("what comes back is no answer of a proxy's") from error


def authorization(by: SplitResult) -> str:
    """What a proxy is told of who asks (RFC 7617); `` where its URL has no name for them."""
    return "" if by.username is None else f"Basic {b64encode(b':'.join(_password(by))).decode()}"


async def _tunnel(streams: Streams, by: SplitResult, host: str, port: int) -> None:
    """RFC 9110, 9.3.6."""
    reader, writer = streams
    to = f"{bracketed(host)}:{port}"
    told = [("Host", to)]
    if by.username is not None:
        told.append(("Proxy-Authorization", authorization(by)))
    http = h11.Connection(h11.CLIENT)
    writer.write(http.send(h11.Request(method="CONNECT", target=to, headers=told)) or b"")
    http.send(h11.EndOfMessage())
    http.receive_data(await reader.readuntil(b"\r\n\r\n"))
    answer = http.next_event()
    if not isinstance(answer, h11.Response):
        raise ProxyRefused("it does not say whether it lets us through")
    if answer.status_code // 100 != 2:
        raise ProxyRefused(f"{answer.status_code} {answer.reason.decode('latin-1')[:200]}")


async def _socks(streams: Streams, by: SplitResult, host: str, port: int) -> None:
    """SOCKS 5 (RFC 1928), with a password where the URL has one (RFC 1929)."""
    reader, writer = streams
    asked = _NOTHING_ASKED if by.username is None else _PASSWORD_ASKED
    writer.write(bytes((5, 1, asked)))
    if (await reader.readexactly(2)) != bytes((5, asked)):
        raise ProxyRefused("it wants another way to say who we are")
    if asked == _PASSWORD_ASKED:
        writer.write(b"\x01" + b"".join(bytes((len(one),)) + one for one in _password(by)))
        if (await reader.readexactly(2))[1]:
            raise ProxyRefused("it does not take our password")
    writer.write(bytes((5, 1, 0)) + _address(host) + port.to_bytes(2, "big"))
    _, failed, _, kind = await reader.readexactly(4)
    if failed:
        raise ProxyRefused(_REPLIES.get(failed, f"it answers {failed}"))
    await reader.readexactly((_LENGTHS.get(kind) or (await reader.readexactly(1))[0]) + 2)


def _address(host: str) -> bytes:
    """Its type and itself, as in RFC 1928, 5."""
    try:
        packed = ip_address(host).packed
    except ValueError:
        name = host.encode("idna")
        return bytes((3, len(name))) + name
    return bytes((1 if len(packed) == _LENGTHS[1] else 4,)) + packed


def _password(by: SplitResult) -> tuple[bytes, bytes]:
    return unquote(by.username or "").encode(), unquote(by.password or "").encode()
