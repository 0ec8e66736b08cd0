"""Keep the data plane as it should be: at once when asked, when it dies or when the table changes, and on a timer.

In: a table that may change. Out: calls of the `DataPlane` port, one at a time, and what went wrong. Acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import Fail, Failure
from perijove.domain.ports import Clock, DataPlane

EVERY = 60.0
"""Seconds between two looks when nothing happens."""
DELAYS = (0.1, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next try after the first, second, … failure or early death in a row; the last goes on."""
SETTLED = 10.0
"""Seconds after which a data plane that dies is not called crash-looping."""

Trouble = Callable[[Failure | None], None]
"""Takes the failure of a try; None once the data plane is as it should be again."""


class Applier:
    """Has the data plane do what the table says now; implements `Apply`.

    Each reload may cost a connection, so all who ask while one runs share the next: it reads the table after they
    asked. What it fails with, each of them is told.
    """

    def __init__(self, plane: DataPlane, table: Callable[[], DataPlaneTable]) -> None:
        self.plane = plane
        self._table = table
        self._lock = asyncio.Lock()
        self._asked = 0
        self._applied = 0
        """The last of those who asked before the last try read the table."""
        self._outcome: Failure | None = None

    async def __call__(self) -> None:
        """Returns once a try that began after this call is done. Raises Fail: `platform.*`."""
        self._asked += 1
        number = self._asked
        async with self._lock:  # first come, first served: nobody finds the outcome of a later try than theirs
            if self._applied < number:
                covered = self._asked
                try:
                    await self.plane.ensure(self._table())
                    self._outcome = None
                except Fail as fail:
                    self._outcome = fail.failure
                self._applied = covered
            if self._outcome is not None:
                raise Fail(self._outcome)


async def keep(applier: Applier, changed: asyncio.Event, clock: Clock, trouble: Trouble) -> None:
    """Run until cancelled. Every failure is told, and tried again: sessions are worth nothing without a way to them."""
    misses = 0
    while True:
        changed.clear()
        began = clock.now()
        try:
            await applier()
        except Fail as fail:
            trouble(fail.failure)
            await _first(changed.wait(), clock.sleep(_delay(misses)))
            misses += 1
            continue
        trouble(None)
        try:
            died = await _first(applier.plane.ended(), changed.wait(), clock.sleep(EVERY)) == 0
        except Fail as fail:
            trouble(fail.failure)
            died = True
        if died and clock.now() - began < SETTLED:
            await clock.sleep(_delay(misses))
            misses += 1
        else:
            misses = 0


def _delay(misses: int) -> float:
    return DELAYS[min(misses, len(DELAYS) - 1)]


async def _first(*waits: Coroutine[Any, Any, object]) -> int:
    """Which of these came first; the others are cancelled."""
    tasks = [asyncio.create_task(wait, name=f"keep the data plane, {number}") for number, wait in enumerate(waits)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done = next(number for number, task in enumerate(tasks) if task.done())
        tasks[done].result()
        return done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
