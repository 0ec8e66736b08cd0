"""What a session answers reaches no further than its own path: real Caddy, any server behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from perijove.backends.caddy import Caddy
from perijove.backends.caddy.sessions import FAR_REACHING
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.state import State
from tests.fakes.data_plane import begun_anew, plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import bound, upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
LIMIT = 20.0
OK = "HTTP/1.1 200 OK"
FAR = [name.replace("-*", "-Registration") for name in FAR_REACHING]
CORS = (
    "Access-Control-Allow-Origin: https://evil.test",
    "Access-Control-Allow-Credentials: true",
    "Access-Control-Allow-Private-Network: true",
    "Access-Control-Allow-Headers: X-Own",
)


@asynccontextmanager
async def saying(path: Path, answer: str) -> AsyncIterator[None]:
    """A server whose every answer is this, byte for byte."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode("latin-1"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answered, sock=bound(path))
    async with server:
        yield
    path.unlink()


@dataclass
class Front:
    state: State
    caddy: Caddy
    table: DataPlaneTable

    async def answer(self, *said: str, first: str = OK, asked: tuple[str, ...] = ()) -> list[str]:
        """The head that a browser gets, line by line, where the session `s-1` answers with these headers."""
        answer = "\r\n".join([first, *said, "Content-Length: 0", "", ""])
        host, _, port = self.table.http[0].rpartition(":")
        async with saying(self.state.session_sockets / "s-1.sock", answer), asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(host, int(port))
            connection = () if any(one.startswith("Connection:") for one in asked) else ("Connection: close",)
            writer.write(
                "\r\n".join(["GET /user/s-1/x HTTP/1.1", "Host: hub.test", *connection, *asked, "", ""]).encode()
            )
            head = (await reader.read()).decode("latin-1").partition("\r\n\r\n")
            writer.close()
        return [head[0], *head[2].split("\r\n")] if first != OK else head[0].split("\r\n")


@pytest.fixture
async def front(state: State) -> AsyncIterator[Front]:
    listen = f"127.0.0.1:{free_port()}"
    table = plain_table(state, listen)
    caddy = Caddy(state)
    async with upstream(state.control_socket, "control", 418):
        await caddy.ensure(table)
        try:
            yield Front(state, caddy, table)
        finally:
            await caddy.close()


def named(head: list[str], name: str) -> list[str]:
    """The values of a header."""
    return [value.strip() for line in head for key, _, value in [line.partition(":")] if key.lower() == name.lower()]


async def test_no_header_with_power_beyond_its_path_leaves_a_session(front: Front) -> None:
    for spelled in (str.title, str.lower, str.upper):
        head = await front.answer(*(f"{spelled(name)}: x" for name in FAR), "X-Own: kept")
        assert named(head, "x-own") == ["kept"]
        assert [name for name in FAR if named(head, name)] == []
    switching = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    head = await front.answer(
        "Upgrade: websocket", "Connection: Upgrade", "Set-Cookie: a=b; Path=/", *(f"{name}: x" for name in FAR),
        first="HTTP/1.1 101 Switching Protocols", asked=(*switching, "Sec-WebSocket-Version: 13"),
    )  # fmt: skip
    lines = head[0].split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert [name for name in FAR if named(lines, name)] == []
    assert named(lines, "set-cookie") == ["a=b; Path=/user/s-1/"]


async def test_an_early_hint_carries_nothing_either(front: Front) -> None:
    hints = "\r\n".join(
        ["HTTP/1.1 103 Early Hints", *(f"{name}: x" for name in FAR), "Set-Cookie: a=b; Path=/", "", OK]
    )
    head = await front.answer("X-Own: kept", first=hints)
    lines = [line for part in head for line in part.split("\r\n")]
    assert named(lines, "x-own") == ["kept"]
    assert [name for name in FAR if named(lines, name)] == []
    assert set(named(lines, "set-cookie")) <= {"a=b; Path=/user/s-1/"}


COOKIES = [
    pytest.param("a=b", "a=b", id="without a path"),
    pytest.param("a=b; Path=/", "a=b", id="for all paths"),
    pytest.param("a=b;PATH=/launch;path=/", "a=b", id="twice, in any case"),
    pytest.param("a=b; Path = /; Secure", "a=b; Secure", id="with spaces"),
    pytest.param("a=b; \tpAtH\t=/", "a=b", id="with tabs"),
    pytest.param('a="x; Path=/"; HttpOnly', 'a="x; HttpOnly', id="inside quotes, where browsers read it too"),
    pytest.param("a=b; Domain=example.org; SameSite=Lax", "a=b; SameSite=Lax", id="for the hosts beside it"),
    pytest.param("a=b; domain", "a=b", id="a domain without a value"),
    pytest.param("a=b; Path=/user/other/; Max-Age=5", "a=b; Max-Age=5", id="another session's"),
    pytest.param("path=domain; Expires=Wed, 01 Jan 2031 00:00:00 GMT", None, id="a cookie called path"),
    pytest.param("__Host-a=b; Secure; Path=/", "__Host-a=b; Secure", id="the whole host's: browsers drop it"),
    pytest.param("=__Host-a=b; Path=/", "=__Host-a=b", id="without a name"),
    pytest.param("", "", id="nothing"),
]


@pytest.mark.parametrize(("said", "left"), COOKIES)
async def test_a_session_s_cookie_is_for_its_own_path_on_its_own_host(
    front: Front, said: str, left: str | None
) -> None:
    head = await front.answer(f"Set-Cookie: {said}", "set-cookie: c=d; path=/")
    own = "; Path=/user/s-1/"
    assert named(head, "set-cookie") == [(said if left is None else left) + own, "c=d" + own]


async def test_an_answer_with_a_control_character_in_a_cookie_is_none(front: Front) -> None:
    for byte in "\0\n\r\x0b\x0c":
        head = await front.answer(f"Set-Cookie: a=b{byte}; Path=/; {byte}Domain=example.org")
        assert head[0].startswith("HTTP/1.1 418"), "the control plane answers for a session that cannot"
        assert not named(head, "set-cookie")
    head = await front.answer("Set-Cookie: a=b\x85; Path=/; \x85Domain=example.org")
    assert named(head, "set-cookie") == ["a=b\x85; Path=/user/s-1/"]


async def test_whose_pages_may_read_a_session_the_operator_says(front: Front) -> None:
    assert not [line for line in await front.answer(*CORS) if line.lower().startswith("access-control-")]
    books = ("https://book.example.org", "https://b.example.org")
    for shared in (("*",), books):
        await begun_anew(front.caddy, replace(front.table, cors_allow_origin=shared))
        head = await front.answer(*CORS, asked=("origin: https://b.example.org",))
        assert named(head, "access-control-allow-origin") == [shared[-1]]
        assert named(head, "access-control-allow-headers") == ["X-Own"]
        assert not named(head, "access-control-allow-credentials")
        assert not named(head, "access-control-allow-private-network")
    assert not named(await front.answer(*CORS, asked=("origin: https://evil.test",)), "access-control-allow-origin")


async def test_whose_pages_may_frame_a_session_the_operator_says_unless_its_server_does(front: Front) -> None:
    jupyter = "frame-ancestors 'self'; report-uri /user/s-1/api/security/csp-report; default-src 'none'"
    own = ("frame-ancestors *", "frame-ancestors 'self' https://c.example", "script-src 'none'")
    name = "Content-Security-Policy"
    assert named(await front.answer(f"{name}: {jupyter}"), name) == [jupyter]
    two = ("https://a.example", "https://b.example")
    await begun_anew(front.caddy, replace(front.table, frame_ancestors=two))
    framed = f"frame-ancestors 'self' {' '.join(two)}"
    assert named(await front.answer(f"{name}: {jupyter}"), name) == [jupyter.replace("frame-ancestors 'self'", framed)]
    assert named(await front.answer(f"{name}: frame-ancestors 'self'"), name) == [framed]
    for said in own:
        assert named(await front.answer(f"{name}: {said}"), name) == [said]


async def test_no_session_gives_a_browser_a_service_worker(front: Front) -> None:
    head = await front.answer("Content-Type: text/javascript", asked=("service-worker: script",))
    assert head[0].startswith("HTTP/1.1 403")
    assert (await front.answer())[0] == OK
