"""Clients that leave, over a real connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx

from perijove.domain.activity import ServerStatus
from perijove.domain.nouns import SessionName
from perijove.web.front import public_app
from tests.fakes.upstream import bound, served
from tests.fakes.world import FakeSessions
from tests.unit.web.conftest import STREAMS, Frame, Web, frames
from tests.ways.conftest import World

THROUGH = {**STREAMS, "X-Forwarded-Proto": "https"}


async def test_a_client_that_leaves_stops_nothing_and_finds_all_of_it_again(web: Web) -> None:
    web.world.repositories.gate = asyncio.Event()
    path = web.world.folder / "control.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(path), verify=False)
    async with (
        served(public_app(web.public), bound(path)),
        httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=THROUGH) as client,
    ):
        async with asyncio.timeout(10), client.stream("GET", "/build/gh/owner/repo/HEAD") as answer:
            first = await anext(answer.aiter_text())
        seen = frames(first)
        web.world.repositories.gate.set()
        await web.world.events(1)
        rest = await client.get("/build/gh/owner/repo/HEAD", headers={"Last-Event-ID": seen[-1].id})
    assert frames(rest.text)[-1].data["phase"] == "ready"
    assert [launch.state for launch in web.public.launches.list(10)] == ["ready"]


class WaitingSessions(FakeSessions):
    """Servers that answer once they may."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = asyncio.Event()

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        await self.answer.wait()
        return await super().status(session, base_url, token, limit)


async def read_until(client: httpx.AsyncClient, phase: str, last: str) -> list[Frame]:
    """The next events, to one of this phase; then the connection is cut."""
    headers = {"Last-Event-ID": last} if last else {}
    async with client.stream("GET", "/build/gh/owner/repo/HEAD", headers=headers) as answer:
        text = ""
        async for part in answer.aiter_text():
            text += part
            found = frames(text[: text.rfind("\n\n") + 2])
            if any(frame.data["phase"] == phase for frame in found):
                return found
    raise AssertionError(f"the stream ended without {phase}: {text}")


async def test_a_stream_that_is_cut_in_every_phase_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(tmp_path)
    sessions = world.sandboxes = WaitingSessions()
    fetch = world.repositories.gate = asyncio.Event()
    build = world.environments.gate = asyncio.Event()
    room, sessions.left = sessions.left, replace(sessions.left, memory=0)

    def there_is_room() -> None:
        sessions.left = room
        world.sessions.over()

    seen: list[Frame] = []
    path = world.folder / "control.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(path), verify=False)
    async with (
        asyncio.timeout(30),
        Web(world).up() as web,
        served(public_app(web.public), bound(path)),
        httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=THROUGH) as client,
    ):
        for phase, goes_on in (
            ("fetching", fetch.set),
            ("building", build.set),
            ("waiting", there_is_room),
            ("launching", sessions.answer.set),
        ):
            seen += await read_until(client, phase, seen[-1].id if seen else "")
            goes_on()
        seen += await read_until(client, "ready", seen[-1].id)
        again = await client.get("/build/gh/owner/repo/HEAD", headers={"Last-Event-ID": seen[-1].id})
        key = seen[0].id.partition(".")[2]
        whole = await client.get(f"/api/launches/1/events?key={key}")
        begun = [launch.number for launch in web.public.launches.list(10)]
    assert again.status_code == 204
    assert seen[-1].data["url"]
    assert [frame.id for frame in seen] == [frame.id for frame in frames(whole.text)]
    assert begun == [1]
