"""Keeping the data plane, over a fake one and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from perijove.domain.failures import DATA_PLANE_DOWN, Failure
from perijove.domain.nouns import DataPlaneTable
from perijove.routing import reconcile
from tests.fakes.data_plane import FakeDataPlane

TABLE = DataPlaneTable(("127.0.0.1:1",), (), (), False, (), (), (), Path("/c"), Path("/s"), Path("/a"), "v1")


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
            reconcile.keep(self.plane, lambda: self.table, self.changed, self.clock, self.told.append)
        )
        try:
            yield self
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
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
