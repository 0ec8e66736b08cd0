"""Clients that leave, over a real connection."""

from __future__ import annotations

import asyncio

import httpx

from perijove.web.front import public_app
from tests.fakes.upstream import bound, served
from tests.unit.web.conftest import STREAMS, Web, frames

THROUGH = {**STREAMS, "X-Forwarded-Proto": "https"}


async def test_a_client_that_leaves_stops_nothing_and_finds_all_of_it_again(web: Web) -> None:
    web.world.repositories.gate = asyncio.Event()
    path = web.world.folder / "control.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(path))
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
