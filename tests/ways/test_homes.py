"""A person's home on the way of their launch: it comes with their session, or the launch says why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from perijove.domain.events import Failed, Logged, Ready, SessionEnded, SessionTroubled
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import EndReason
from perijove.domain.people import Home
from perijove.domain.people_failures import HOME_FULL, HOME_SILENT, HOME_UNUSABLE
from perijove.launching.start.home_quota import LOOK, ROOM, HomeQuota
from tests.ways.conftest import ADDRESS, World


@dataclass
class FakeHomes:
    """Below /homes, unless `failure` says otherwise."""

    failure: Failure | None = None
    used: int = 0

    async def ready(self, person: str) -> Home | None:
        if self.failure:
            raise Fail(self.failure)
        return Home(Path("/homes", person), "Your home is at ~/home", self.used)


async def test_a_person_s_session_has_their_home_and_nobody_s_has_none(world: World) -> None:
    world.homes = FakeHomes()
    async with world.up():
        events = await world.events(world.launches.begin(ADDRESS, "192.0.2.7", person="ada"))
        assert isinstance(events[-1], Ready)
        assert world.sandboxes.specs[events[-1].session].person_home == Path("/homes/ada")
        assert any(isinstance(event, Logged) and "~/home" in event.line for event in events)
        events = await world.launched()
        assert isinstance(events[-1], Ready)
        assert world.sandboxes.specs[events[-1].session].person_home is None


async def test_a_home_that_cannot_be_used_fails_the_launch_and_nothing_starts(world: World) -> None:
    world.homes = FakeHomes(HOME_UNUSABLE("it is gone"))
    async with world.up():
        events = await world.events(world.launches.begin(ADDRESS, "192.0.2.7", person="ada"))
        assert isinstance(events[-1], Failed)
        assert events[-1].failure.kind is HOME_UNUSABLE
        assert world.sandboxes.specs == {}


async def test_where_people_have_homes_no_session_is_held_ready(world: World) -> None:
    world.homes = FakeHomes()
    world.set(home__path="/homes", launching__ready=5)
    async with world.up():
        for _ in range(3):
            await world.events(world.launches.begin(ADDRESS, "192.0.2.7", person="ada"))
        await world.way.pool.renew()
        assert world.way.pool.held == []


GIB = 1024**3


@dataclass
class Held:
    """Ada's session, and what her home is seen to hold."""

    world: World
    homes: FakeHomes
    session: str
    quota: HomeQuota

    async def seen(self, used: int) -> list[str]:
        """What her session was told by then."""
        self.homes.used = used
        await self.quota.look()
        events = [one.event for one in self.world.journal.read(f"session/{self.session}", 0)]
        return [one.failure.cause for one in events if isinstance(one, SessionTroubled)]

    def ends(self) -> list[EndReason]:
        events = [one.event for one in self.world.journal.read(f"session/{self.session}", 0)]
        return [one.reason for one in events if isinstance(one, SessionEnded)]


@asynccontextmanager
async def held(world: World, used: int = 0) -> AsyncIterator[Held]:
    world.homes = homes = FakeHomes(used=used)
    world.set(home__path="/homes", home__quota=GIB)
    async with world.up():
        events = await world.events(world.launches.begin(ADDRESS, "192.0.2.7", person="ada"))
        assert isinstance(events[-1], Ready), "a full home can be launched with: how else would it be emptied"
        quota = HomeQuota(homes, world.sessions, world.launches.whose, lambda: world.settings.home, world.clock)
        yield Held(world, homes, events[-1].session, quota)


FULL, GREW = "it is fuller than home.quota allows", "it grew on, so the session is ended"


async def test_a_home_that_grows_beyond_its_quota_is_told_and_then_ends_its_session(world: World) -> None:
    async with held(world) as ada:
        assert await ada.seen(GIB) == []
        assert await ada.seen(2 * GIB) == [FULL], "it is told first, however much there is"
        assert await ada.seen(GIB - 1) == [FULL], "it was heard"
        assert await ada.seen(2 * GIB) == [FULL, FULL]
        assert ada.ends() == []
        assert await ada.seen(2 * GIB) == [FULL, FULL, GREW]
        await world.until(lambda: ada.ends() == [EndReason.DISK])


async def test_who_comes_with_a_full_home_may_make_room_and_not_fill_it_again(world: World) -> None:
    async with held(world, 5 * GIB) as ada:
        assert await ada.seen(5 * GIB) == [FULL]
        assert await ada.seen(5 * GIB + ROOM) == [FULL], "programs write while something is removed"
        assert await ada.seen(3 * GIB) == [FULL]
        assert world.sessions.live
        assert await ada.seen(4 * GIB) == [FULL, GREW]
        await world.until(lambda: ada.ends() == [EndReason.DISK])


async def test_what_cannot_be_counted_ends_nothing(world: World) -> None:
    async with held(world) as ada:
        for _ in range(3):
            assert await ada.seen(-1) == []
        ada.homes.failure = HOME_SILENT("it hangs")
        assert await ada.seen(5 * GIB) == []
        ada.homes.failure = None
        world.set(home__quota=0)
        assert await ada.seen(5 * GIB) == []
        events = await world.launched()
        assert isinstance(events[-1], Ready)
        world.set(home__quota=GIB)
        assert await ada.seen(GIB + 1) == [FULL]
        assert HOME_FULL.code in {one.failure.kind.code for one in troubles(world, ada.session)}
        assert troubles(world, events[-1].session) == [], "nobody's session has none"


async def test_homes_are_looked_at_in_time_and_no_more_often_than_that_is_cheap(world: World) -> None:
    async with held(world, 5 * GIB) as ada:
        running = asyncio.create_task(ada.quota.run(), name="quota")
        await world.until(lambda: bool(troubles(world, ada.session)))
        running.cancel()
        assert world.clock.now() >= LOOK


def troubles(world: World, session: str) -> list[SessionTroubled]:
    events = [one.event for one in world.journal.read(f"session/{session}", 0)]
    return [one for one in events if isinstance(one, SessionTroubled)]
