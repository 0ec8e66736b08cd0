"""A launch that failed is explained by a look at the machine, which many failures of one moment share."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.environments.store import NOTE
from perijove.domain.failures import NOT_ALLOWED, PAD_DOWN, Failure
from perijove.domain.ground import Own
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.wiring import examining
from perijove.wiring.explaining import FRESH, Explainer
from tests.fakes.world import FakeClock
from tests.unit.doctor.own.test_own import WELL

DOWN = PAD_DOWN("it ended")


class Looks:
    """A machine that can be looked at, unless it is `away`."""

    def __init__(self, away: type[Exception] | None = None) -> None:
        self.looks = 0
        self._away = away

    async def __call__(self) -> Own:
        self.looks += 1
        if self._away is TimeoutError:
            await asyncio.Event().wait()
        if self._away is not None:
            raise self._away
        await asyncio.sleep(0)
        return WELL


async def explained(explainer: Explainer, count: int) -> set[Failure]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(explainer.explain(DOWN)) for _ in range(count)]
    return {task.result() for task in tasks}


async def test_many_failures_of_one_moment_share_one_look_and_later_ones_another() -> None:
    looks, clock = Looks(), FakeClock()
    explainer = Explainer(looks, clock)
    assert await explained(explainer, 200) == {DOWN}
    assert looks.looks == 1
    await clock.sleep(FRESH + 1)
    await explained(explainer, 200)
    assert looks.looks == 2


@pytest.mark.parametrize("away", [TimeoutError, OSError])
async def test_a_look_that_takes_too_long_or_fails_is_not_had_again_for_each(away: type[Exception]) -> None:
    looks = Looks(away)
    assert await explained(Explainer(looks, FakeClock(), limit=0.01), 200) == {DOWN}
    assert looks.looks == 1


async def test_nobody_looks_where_the_machine_has_no_say() -> None:
    looks, stranger = Looks(), NOT_ALLOWED("it is banned")
    assert await Explainer(looks, FakeClock()).explain(stranger) == stranger
    assert looks.looks == 0


async def test_a_look_at_the_store_holds_up_nobody(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9")
    statedir.prepare(state)
    note = state.environments / "one" / NOTE
    note.parent.mkdir(parents=True)
    os.mkfifo(note)

    def written() -> None:
        note.write_text("none")

    held_up = threading.Timer(20, written)
    held_up.start()
    async with asyncio.TaskGroup() as group:
        look = group.create_task(examining.beneath(state, Settings(), FakeClock()))
        while not (there := await asyncio.to_thread(_read_by_somebody, note)):
            assert not look.done()
        os.write(there, b"none")
        os.close(there)
    alone = held_up.is_alive()
    held_up.cancel()
    assert alone, "nothing else ran meanwhile"
    assert [one.where for one in look.result().ground.garbage] == [str(note.parent)]


def _read_by_somebody(fifo: Path) -> int:
    """Open to be written, where somebody has opened it to read; else 0."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0
