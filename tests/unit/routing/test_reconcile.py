"""Keeping the data plane, over a fake one and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import DATA_PLANE_DOWN, Fail, Failure
from perijove.routing import reconcile
from perijove.routing.reconcile import Applier
from tests.fakes.data_plane import FakeDataPlane

TABLE = DataPlaneTable(
    ("127.0.0.1:1",), (), (), False, (), (), (), Path("/c"), Path("/s"), Path("/a"), "v1", Path("/t")
)


@dataclass
class HeldClock:
    """Time stands still until it is moved."""

    time: float = 0.0
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        bell = asyncio.Event()
        self.slept.append(seconds)
        self.sleepers.append((self.time + seconds, bell))
        await bell.wait()

    def pass_by(self, seconds: float) -> None:
        self.time += seconds
        for due, bell in self.sleepers:
            if due <= self.time:
                bell.set()


@dataclass
class Kept:
    """A data plane that is being kept."""

    plane: FakeDataPlane = field(default_factory=FakeDataPlane)
    clock: HeldClock = field(default_factory=HeldClock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    table: DataPlaneTable = TABLE
    told: list[Failure | None] = field(default_factory=list)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Kept]:
        keeping = asyncio.create_task(
            reconcile.keep(Applier(self.plane, lambda: self.table), self.changed, self.clock, self.told.append)
        )
        try:
            yield self
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0)


async def test_it_is_made_so_at_once() -> None:
    async with Kept().up() as kept:
        await kept.until(lambda: kept.plane.tables == [TABLE] and kept.told == [None])


async def test_a_changed_table_is_made_so_at_once() -> None:
    async with Kept().up() as kept:
        await kept.until(lambda: kept.plane.asked == 1)
        kept.table = replace(TABLE, http=("127.0.0.1:2",))
        kept.changed.set()
        await kept.until(lambda: kept.plane.tables[1:] == [kept.table])


async def test_one_that_dies_after_a_while_is_started_at_once() -> None:
    async with Kept().up() as kept:
        await kept.until(lambda: kept.clock.sleepers != [])
        kept.clock.time += reconcile.SETTLED
        kept.plane.die()
        await kept.until(lambda: kept.plane.asked == 2)
        assert kept.clock.slept == [reconcile.EVERY, reconcile.EVERY][: len(kept.clock.slept)]


async def test_one_that_hung_is_told_and_started_at_once() -> None:
    async with Kept().up() as kept:
        await kept.until(lambda: kept.clock.sleepers != [])
        kept.clock.time += reconcile.SETTLED
        kept.plane.hung = DATA_PLANE_DOWN("it hung")
        kept.plane.die()
        await kept.until(lambda: kept.told == [None, DATA_PLANE_DOWN("it hung"), None])


async def test_one_that_dies_as_soon_as_it_starts_is_started_ever_more_slowly() -> None:
    async with Kept().up() as kept:
        for times, delay in enumerate((*reconcile.DELAYS, reconcile.DELAYS[-1]), start=1):
            await kept.until(lambda times=times: kept.plane.asked == times)  # type: ignore[misc]
            kept.plane.die()
            await kept.until(lambda delay=delay: kept.clock.slept[-1:] == [delay])  # type: ignore[misc]
            kept.clock.pass_by(delay)


async def test_it_is_looked_at_now_and_then() -> None:
    async with Kept().up() as kept:
        await kept.until(lambda: kept.clock.slept == [reconcile.EVERY])
        kept.clock.pass_by(reconcile.EVERY)
        await kept.until(lambda: kept.plane.asked == 2)
        assert kept.plane.tables == [TABLE]


async def test_a_failure_is_told_and_tried_again_until_it_is_over() -> None:
    kept = Kept()
    down = DATA_PLANE_DOWN("Caddy ended as soon as it started")
    kept.plane.fails = [down, down]
    async with kept.up():
        for delay in reconcile.DELAYS[:2]:
            await kept.until(lambda delay=delay: kept.clock.slept[-1:] == [delay])  # type: ignore[misc]
            kept.clock.pass_by(delay)
        await kept.until(lambda: kept.told == [down, down, None])


class SlowDataPlane(FakeDataPlane):
    """Begins, and ends when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[DataPlaneTable] = []
        self.let = asyncio.Semaphore(0)

    async def ensure(self, table: DataPlaneTable) -> None:
        self.begun.append(table)
        await self.let.acquire()
        await super().ensure(table)


@dataclass
class Asked:
    """An applier whose table can change, and those who asked."""

    plane: SlowDataPlane = field(default_factory=SlowDataPlane)
    table: DataPlaneTable = TABLE
    applier: Applier = field(init=False)

    def __post_init__(self) -> None:
        self.applier = Applier(self.plane, lambda: self.table)

    def ask(self, times: int = 1) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.applier()) for _ in range(times)]

    async def begins(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.plane.begun) < times:
                await asyncio.sleep(0)


OTHER = replace(TABLE, http=("127.0.0.1:2",))
DOWN = DATA_PLANE_DOWN("Caddy refused its configuration")


async def test_all_who_ask_while_one_runs_share_the_next_reload() -> None:
    asked = Asked()
    waiting = asked.ask(200)
    await asked.begins(1)
    asked.plane.let.release()
    await asked.begins(2)
    asked.plane.let.release()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert len(asked.plane.begun) == 2


async def test_who_asks_while_one_runs_waits_for_the_next_which_reads_the_table_anew() -> None:
    asked = Asked()
    first = asked.ask()
    await asked.begins(1)
    asked.table = OTHER
    later = asked.ask(50)
    asked.plane.let.release()
    await asyncio.wait_for(asyncio.gather(*first), 5)
    await asked.begins(2)
    assert not any(task.done() for task in later)
    asked.plane.let.release()
    await asyncio.wait_for(asyncio.gather(*later), 5)
    assert asked.plane.begun == [TABLE, OTHER]


async def test_a_failure_is_told_to_all_who_share_it_and_to_nobody_else() -> None:
    asked = Asked()
    another = DATA_PLANE_DOWN("Caddy ended as soon as it started")
    asked.plane.fails = [DOWN, another]
    first = asked.ask()
    await asked.begins(1)
    sharing = asked.ask(3)
    asked.plane.let.release()
    await asked.begins(2)
    later = asked.ask()
    asked.plane.let.release()
    asked.plane.let.release()
    ends = await asyncio.wait_for(asyncio.gather(*first, *sharing, *later, return_exceptions=True), 5)
    told = [end.failure if isinstance(end, Fail) else end for end in ends]
    assert told == [DOWN, another, another, another, None]
    assert len(asked.plane.begun) == 3


async def test_who_gives_up_takes_nobody_along() -> None:
    asked = Asked()
    first, second, third = asked.ask(3)
    await asked.begins(1)
    first.cancel()
    second.cancel()
    await asyncio.wait({first, second})
    await asked.begins(2)
    asked.plane.let.release()
    await asyncio.wait_for(third, 5)
    assert (first.cancelled(), second.cancelled()) == (True, True)


async def test_the_one_who_keeps_it_and_those_who_ask_share_reloads() -> None:
    asked, told = Asked(), list[Failure | None]()
    clock, changed = HeldClock(), asyncio.Event()
    keeping = asyncio.create_task(reconcile.keep(asked.applier, changed, clock, told.append))
    try:
        await asked.begins(1)
        waiting = asked.ask(10)
        asked.plane.let.release()
        asked.plane.let.release()
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert (len(asked.plane.begun), told) == (2, [None])
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
