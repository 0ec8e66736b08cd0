"""Classes: what their sessions have, the seats that are kept for them, and what is prepared when."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from perijove.domain.classes import Class, ClassSettings
from perijove.domain.events import Prepared, Queued, Ready
from perijove.domain.failures import BAD_FILE, HOST_UNREACHABLE, Failure
from perijove.domain.nouns import RepoAddress, Room
from perijove.launching.preparing import AGAIN
from tests.fakes.world import FakeSessions
from tests.ways.conftest import ADDRESS, OTHER, World

GB = 1024**3
CLASS = ClassSettings("term", ("https://github.com/Owner/Repo/tree/main",), memory=GB, cpus=0.5)

MONDAY = "1970-01-12 13:00"
"""Before the time at which these clocks begin, 13:46."""


def waits(world: World, number: int) -> list[Queued]:
    return [entry.event for entry in world.journal.read(f"launch/{number}") if isinstance(entry.event, Queued)]


async def test_its_sessions_have_its_limits_however_their_link_is_spelled_and_others_do_not(world: World) -> None:
    world.set(launching__classes=(CLASS,))
    async with world.up():
        spelled = replace(ADDRESS, provider="git", spec="…/HEAD", url=ADDRESS.url + ".git")
        for address, memory, cpus in ((ADDRESS, GB, 0.5), (spelled, GB, 0.5), (OTHER, 2 * GB, 2.0)):
            ready = (await world.launched(address))[-1]
            assert isinstance(ready, Ready)
            limits = world.sandboxes.specs[ready.session].limits
            assert (limits.memory, limits.cpus) == (memory, cpus)


async def test_sixty_that_click_at_once_get_their_seats_and_all_others_what_is_left(world: World) -> None:
    term = ClassSettings("term", ("gh/owner/repo/HEAD",), seats=60, prepare=MONDAY, until="1970-01-12 18:00")
    world.set(launching__classes=(term,), launching__total_quota=70, launching__queue_length=20)
    world.sandboxes = FakeSessions(Room(64 * GB, 100 * GB, 1_000_000, 2))
    async with world.up():
        world.queue.look_again = 0.01
        others = [world.launches.begin(OTHER, f"192.0.2.{number}") for number in range(20)]
        await world.until(lambda: len(world.queue.positions) == len(world.sessions.live) == 10)
        clicks = [world.launches.begin(ADDRESS, "198.51.100.1") for _ in range(60)]
        for number in clicks:
            assert isinstance((await world.events(number))[-1], Ready)
        late = world.launches.begin(ADDRESS, "198.51.100.1")
        await world.until(lambda: bool(waits(world, late)))
        assert waits(world, late)[0].why == "all 60 seats of the class term are taken"
        assert "10 sessions run, 60 seats are kept for classes, and this service allows 70" in {
            queued.why for number in others for queued in waits(world, number)
        }
        world.set(launching__total_quota=80)
        for number in others:
            assert isinstance((await world.events(number))[-1], Ready)


async def test_what_was_kept_is_free_for_all_when_the_class_closes(world: World) -> None:
    term = ClassSettings("term", ("gh/owner/repo/HEAD",), seats=2, prepare=MONDAY, until="1970-01-12 18:00")
    world.set(launching__classes=(term,), launching__total_quota=2)
    async with world.up():
        world.queue.look_again = 0.01
        number = world.launches.begin(OTHER, "a")
        await world.until(lambda: bool(waits(world, number)))
        world.clock.time += 86400
        assert isinstance((await world.events(number))[-1], Ready)


BEFORE, OPEN, CLOSED = 999_800.0, 1_000_000.0, 1_003_600.0
MORNING = ClassSettings(
    "morning", ("gh/owner/repo/HEAD",), seats=5, prepare="Mon 13:45", ready=3, until="Mon 14:30"
)  # fmt: skip


async def prepared(world: World) -> None:
    """Whatever is due is begun, and over."""
    world.preparations.look()
    await world.until(lambda: not world.launches.running)


async def test_it_is_built_when_it_opens_and_sessions_are_held_ready_until_it_closes(world: World) -> None:
    world.set(launching__classes=(MORNING,), launching__ready=0)
    world.clock.time = BEFORE
    async with world.up():
        await prepared(world)
        assert not world.launches.list(9)
        world.clock.time = OPEN
        for _ in range(3):
            await prepared(world)
            await world.way.pool.renew()
        (launch,) = world.launches.list(9)
        assert (launch.state, launch.client) == ("built", "class morning")
        assert world.preparations.last(*of(world)) == launch
        held = set(world.way.pool.held)
        assert len(held) == 3 == world.way.pool.held_for(of(world)[0])
        ready = (await world.launched())[-1]
        assert isinstance(ready, Ready)
        assert ready.session in held
        for _ in range(3):
            await world.launched()
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 1, "one seat is free"
        world.clock.time = CLOSED
        await world.way.pool.renew()
        assert not world.way.pool.held
        world.clock.time += 7 * 86400 - 3600
        await prepared(world)
        assert len(world.launches.list(99)) == 6, "a week later once more"


def of(world: World) -> tuple[Class, RepoAddress]:
    """The class and its link."""
    (one,) = world.timetable.classes()
    return one, one.addresses[0]


async def test_those_of_an_open_class_are_given_up_for_its_own_launches_alone(world: World) -> None:
    world.set(launching__classes=(MORNING,), launching__ready=0)
    async with world.up():
        await prepared(world)
        await world.way.pool.renew()
        assert not await world.way.pool.give_way("github.com/owner/other")
        assert await world.way.pool.give_way("github.com/owner/repo")
        world.clock.time = CLOSED
        assert await world.way.pool.give_way("github.com/owner/other")


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        pytest.param(HOST_UNREACHABLE("it is away"), True, id="trying again can help"),
        pytest.param(BAD_FILE("it is broken"), False, id="it cannot"),
    ],
)
async def test_what_cannot_be_prepared_is_told_and_tried_again_as_the_catalogue_says(
    world: World, failure: Failure, *, again: bool
) -> None:
    world.set(launching__classes=(MORNING,), launching__retries=0)
    world.repositories.fails = [failure]
    async with world.up():
        await prepared(world)
        last = world.preparations.last(*of(world))
        assert last
        assert last.failure == failure
        await prepared(world)
        assert len(world.launches.list(9)) == 1
        world.clock.time += AGAIN
        await prepared(world)
        assert len(world.launches.list(9)) == 1 + again
        last = world.preparations.last(*of(world))
        assert last
        assert last.state == ("built" if again else "failed")


async def test_a_restart_midway_goes_on(world: World) -> None:
    world.set(launching__classes=(MORNING,))
    world.repositories.gate = asyncio.Event()
    async with world.up():
        world.preparations.look()
        await world.until(lambda: world.launches.list(1)[0].state == "fetching")
    world.repositories.gate.set()
    async with world.up():
        last = world.preparations.last(*of(world))
        assert last
        assert last.failure
        assert last.failure.kind.code == "platform.interrupted"
        await prepared(world)
        last = world.preparations.last(*of(world))
        assert last
        assert last.state == "built"


async def test_a_push_builds_what_its_class_s_links_lead_to_and_nothing_of_others(world: World) -> None:
    links = ("gh/owner/repo/HEAD", "gh/owner/repo/main", "gh/owner/other/HEAD")
    world.set(launching__classes=(replace(MORNING, repositories=links),))
    world.clock.time = BEFORE
    async with world.up():
        assert not world.preparations.pushed("github.com/owner/third")
        numbers = world.preparations.pushed("github.com/owner/repo")
        assert world.preparations.pushed("github.com/owner/repo") == numbers, "they have not looked yet"
        for number in numbers:
            assert isinstance((await world.events(number))[-1], Prepared)
        assert {launch.address.path for launch in world.launches.list(9)} == {f"v2/{link}" for link in links[:2]}
