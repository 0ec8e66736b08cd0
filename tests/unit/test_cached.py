"""One look for all who ask."""

from __future__ import annotations

import asyncio

import pytest

from perijove.cached import LIFETIME, Cached
from tests.fakes.world import FakeClock


class Looks:
    """Counts looks; each ends when the gate opens."""

    def __init__(self) -> None:
        self.clock = FakeClock(time=1000.0)
        self.gate = asyncio.Event()
        self.count = 0
        self.cached = Cached(self.look, self.clock.now, "a look")

    async def look(self) -> int:
        self.count += 1
        await self.gate.wait()
        if self.count == 3:
            raise ValueError("ill")
        return self.count


async def test_however_many_ask_there_is_one_look_at_a_time() -> None:
    looks = Looks()
    asking = [asyncio.create_task(looks.cached.get()) for _ in range(500)]
    await asyncio.sleep(0)
    asking[0].cancel()
    looks.clock.time += 60
    looks.gate.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 499
    assert asking[0].cancelled()
    assert await looks.cached.get() == 1
    looks.clock.time += LIFETIME
    assert [await looks.cached.get() for _ in range(3)] == [2, 2, 2]


async def test_what_went_wrong_is_told_to_all_and_looked_at_again() -> None:
    looks = Looks()
    looks.count = 2
    looks.gate.set()
    for _ in range(2):
        with pytest.raises(ValueError, match="ill"):
            await looks.cached.get()
    looks.clock.time += LIFETIME
    assert await looks.cached.get() == 4


async def test_a_clock_that_was_set_back_does_not_keep_what_is_old() -> None:
    looks = Looks()
    looks.gate.set()
    assert await looks.cached.get() == 1
    looks.clock.time -= 3600
    assert await looks.cached.get() == 2
