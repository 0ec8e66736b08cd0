"""The line in front of the machine: who is let in, when and in which order."""

from __future__ import annotations

import asyncio

import pytest

from perijove.domain.activity import Activity, ServerStatus
from perijove.domain.events import Queued, Ready, SessionStarted
from perijove.domain.nouns import SandboxSpec
from tests.fakes.world import FakeSessions
from tests.ways.conftest import ADDRESS, World


class SlowSessions(FakeSessions):
    """Servers that answer when they are told to; `starting` is who does not answer yet, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.starting: list[str] = []
        self.most = 0
        self.answered = 0
        self._answers: dict[str, asyncio.Event] = {}

    async def start(self, spec: SandboxSpec) -> None:
        await super().start(spec)
        self.starting.append(spec.session)
        self.most = max(self.most, len(self.starting))
        self._answers[spec.session] = asyncio.Event()

    async def status(self, session: str, base_url: str, token: str, limit: float) -> ServerStatus:
        await self._answers[session].wait()
        return await super().status(session, base_url, token, limit)

    async def activity(self, session: str) -> Activity:
        """Nobody looks at them while they start."""
        await self._answers[session].wait()
        return await super().activity(session)

    def answer(self) -> str:
        """The first that starts answers."""
        session = self.starting.pop(0)
        self._answers[session].set()
        self.answered += 1
        return session


@pytest.fixture
def slow(world: World) -> SlowSessions:
    world.sandboxes = slow = SlowSessions()
    return slow


def told(world: World, number: int) -> list[object]:
    return [entry.event for entry in world.journal.read(f"launch/{number}")]


async def begun(world: World, slow: SlowSessions, count: int) -> list[int]:
    """So many launches of a built environment, in the order in which they came to the queue; as many start as may."""
    built = world.launches.begin(ADDRESS, "a")
    await world.until(lambda: bool(slow.starting))
    slow.answer()
    await world.events(built)
    numbers = [world.launches.begin(ADDRESS, "a") for _ in range(count)]
    await world.until(lambda: len(slow.starting) + len(world.queue.positions) == count)
    return sorted(numbers, key=lambda number: position(world, number))


def position(world: World, number: int) -> int:
    """Which one a launch was last told to be; 0 where it was let in at once."""
    return next((event.position for event in reversed(told(world, number)) if isinstance(event, Queued)), 0)


async def test_as_many_start_at_once_as_processors_carry_and_the_others_follow_in_order(
    world: World, slow: SlowSessions
) -> None:
    async with world.up():
        numbers = await begun(world, slow, 12)
        assert [position(world, number) for number in numbers] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        waiting = [event for number in numbers for event in told(world, number) if isinstance(event, Queued)]
        assert all("4 servers start now" in event.why for event in waiting)
        order = []
        for left in reversed(range(12)):
            order.append(slow.answer())
            await world.until(lambda left=left: len(slow.starting) == min(4, left))  # type: ignore[misc]
        started = {
            event.session: number
            for number in numbers
            for event in await world.events(number)
            if isinstance(event, SessionStarted)
        }
        came = [started[session] for session in order]
        assert came[4:] == numbers[4:]
        assert set(came) == set(numbers)
        assert slow.most == 4
        assert not world.queue.places


async def test_places_that_come_free_are_taken_at_once_however_many_in_one_moment(
    world: World, slow: SlowSessions
) -> None:
    async with world.up():
        world.queue.look_again = 3600
        numbers = await begun(world, slow, 12)
        while slow.answered < 1 + len(numbers):
            await world.until(lambda: bool(slow.starting))
            while slow.starting:
                slow.answer()
        assert all([isinstance((await world.events(number))[-1], Ready) for number in numbers])


async def test_a_start_that_is_given_up_frees_its_place(world: World, slow: SlowSessions) -> None:
    world.set(launching__starting=1)
    async with world.up():
        first, second = await begun(world, slow, 2)
        world.launches._running[first].cancel()
        await world.until(lambda: len(slow.starting) == 2)
        slow.starting.pop(0)
        slow.answer()
        assert isinstance((await world.events(second))[-1], Ready)


async def test_whoever_gives_up_waiting_is_passed_by(world: World, slow: SlowSessions) -> None:
    world.set(launching__starting=1)
    async with world.up():
        numbers = await begun(world, slow, 3)
        world.launches._running[numbers[1]].cancel()
        why = "1 servers start now, and 1 at once are what the processors carry"
        await world.until(lambda: told(world, numbers[2])[-1] == Queued(1, why))
        slow.answer()
        await world.until(lambda: len(slow.starting) == 1)
        slow.answer()
        assert isinstance((await world.events(numbers[2]))[-1], Ready)


async def test_whoever_waits_for_starts_is_told_how_long_those_before_took(world: World, slow: SlowSessions) -> None:
    world.set(launching__starting=2)
    async with world.up():
        now = 0.0
        world.queue.now = lambda: now
        world.queue.look_again = 0.01
        numbers = await begun(world, slow, 8)
        for answered in range(2, 6):
            now += 10
            slow.answer()
            await world.until(lambda left=8 - answered: len(world.queue.positions) == left - 1)  # type: ignore[misc]
        last = numbers[-1]
        await world.until(lambda: position(world, last) == 2)
        queued = [event for event in told(world, last) if isinstance(event, Queued)]
        assert queued[0].seconds is None
        assert queued[-1].seconds == 20.0


async def test_no_time_is_told_to_whoever_waits_for_what_may_never_come_free(world: World, slow: SlowSessions) -> None:
    async with world.up():
        await begun(world, slow, 4)
        while slow.starting:
            slow.answer()
        world.set(launching__total_quota=1)
        number = world.launches.begin(ADDRESS, "a")
        await world.until(lambda: bool(world.queue.positions))
        (queued,) = [event for event in told(world, number) if isinstance(event, Queued)]
        assert queued.seconds is None
