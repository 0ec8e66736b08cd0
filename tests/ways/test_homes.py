"""A person's home on the way of their launch: it comes with their session, or the launch says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perijove.domain.events import Failed, Logged, Ready
from perijove.domain.failures import Fail, Failure
from perijove.domain.people import Home
from perijove.domain.people_failures import HOME_UNUSABLE
from tests.ways.conftest import ADDRESS, World


@dataclass
class FakeHomes:
    """Below /homes, unless `failure` says otherwise."""

    failure: Failure | None = None

    async def ready(self, person: str) -> Home | None:
        if self.failure:
            raise Fail(self.failure)
        return Home(Path("/homes", person), "Your home is at ~/home")


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
