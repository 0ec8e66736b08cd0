"""Keep the data plane as it should be: at once when it dies or the table changes, and on a timer.

In: a table that may change. Out: calls of the `DataPlane` port, and what went wrong. Acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import DataPlaneTable
from perijove.domain.ports import Clock, DataPlane

EVERY = 60.0
"""Seconds between two looks when nothing happens."""
DELAYS = (0.1, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next try after the first, second, … failure or early death in a row; the last goes on."""
SETTLED = 10.0
"""Seconds after which a data plane that dies is not called crash-looping."""

Trouble = Callable[[Failure | None], None]
"""Takes the failure of a try; None once the data plane is as it should be again."""


async def keep(
    plane: DataPlane, table: Callable[[], DataPlaneTable], changed: asyncio.Event, clock: Clock, trouble: Trouble
) -> None:
    """Run until cancelled. Every failure is told, and tried again: sessions are worth nothing without a way to them."""
    misses = 0
    while True:
        changed.clear()
        began = clock.now()
        try:
            await plane.ensure(table())
        except Fail as fail:
            trouble(fail.failure)
            await _first(changed.wait(), clock.sleep(_delay(misses)))
            misses += 1
            continue
        trouble(None)
        died = await _first(plane.ended(), changed.wait(), clock.sleep(EVERY)) == 0
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
