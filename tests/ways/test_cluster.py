"""Launches where a cluster says late whether there is room: after they were let in, in the words of the line."""

from __future__ import annotations

import asyncio

import pytest

from perijove.domain.events import Logged, Phase, Queued, Ready, SessionProgressed, SessionStarted
from perijove.domain.nouns import EndReason, Room, SandboxSpec, SessionName
from tests.fakes.world import FakeSessions
from tests.ways.conftest import ADDRESS, OTHER, World, names

FULL = "no node has a place for it: 0/1 nodes are available: 1 Insufficient memory."
PUSHING = Logged(Phase.LAUNCHING, "Pushing a layer")


class Cluster(FakeSessions):
    """Of so many places; who finds none waits, and is told so."""

    def __init__(self, places: int) -> None:
        super().__init__(Room(None, 100 * 1024**3, 1_000_000, None))
        self.places = places
        self._freed = asyncio.Event()

    async def start(self, spec: SandboxSpec) -> None:
        self.tell(SessionProgressed(spec.session, PUSHING))
        waited = len(self.specs) >= self.places
        if waited:
            self.tell(SessionProgressed(spec.session, Queued(1, FULL)))
        while len(self.specs) >= self.places:
            self._freed.clear()
            await self._freed.wait()
        if waited:
            self.tell(SessionProgressed(spec.session, SessionStarted(spec.session)))
            await asyncio.sleep(0)
        await super().start(spec)

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        await super().stop(session, reason)
        self._freed.set()


@pytest.fixture
def cluster(world: World) -> Cluster:
    world.sandboxes = cluster = Cluster(1)
    return cluster


async def test_a_launch_that_waits_for_a_place_is_told_so_and_goes_on_where_one_comes_free(
    world: World, cluster: Cluster
) -> None:
    world.set(launching__ready=0)
    async with world.up():
        first = await world.launched()
        number = world.launches.begin(ADDRESS, "192.0.2.8")
        await world.until(lambda: (launch := world.launches.get(number)) is not None and launch.state == "waiting")
        assert isinstance(first[-1], Ready)
        await world.sessions.stop(first[-1].session, EndReason.STOPPED)
        events = await world.events(number)
        ready = events[-1]
        assert isinstance(ready, Ready)
        assert Queued(1, FULL) in events
        assert PUSHING in events
        assert names(events).count("SessionStarted") == 1
        log = [entry.event for entry in world.journal.read(f"session/{ready.session}")]
        assert names(log) == ["SessionOpened"], "what our side does is no word of its server"


async def test_one_that_is_held_ready_gives_its_place_to_a_launch_that_waits_for_one(
    world: World, cluster: Cluster
) -> None:
    cluster.places = 3
    world.set(launching__ready=1)
    async with world.up():
        for _ in range(2):
            await world.launched()
        await world.way.pool.renew()
        (held,) = world.way.pool.held
        events = await world.launched(OTHER)
        assert isinstance(events[-1], Ready)
        assert Queued(1, FULL) in events
        assert world.way.pool.held == []
        assert (held, EndReason.STOPPED) in cluster.stopped


async def test_none_is_held_ready_that_would_wait_for_a_place(world: World, cluster: Cluster) -> None:
    cluster.places = 2
    world.set(launching__ready=1)
    async with world.up():
        for _ in range(2):
            await world.launched()
        async with asyncio.timeout(10):
            await world.way.pool.renew()
        assert world.way.pool.held == []
        assert len(world.sessions.names) == 2
