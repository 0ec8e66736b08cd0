"""What every part of a service is given. Out: the clock, the words for these values, tasks that end together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from perijove.domain.keys import Keys
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal

Layered = tuple[Settings, Mapping[str, str]]
"""Settings, and where each value came from."""


class SystemClock:
    """The port `Clock`, as it is."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Given:
    """For each part of one service the same."""

    state: State
    layered: Callable[[], Layered]
    """The settings as they are now."""
    keys: Keys
    clock: SystemClock
    journal: Journal
    group: asyncio.TaskGroup
    reloaded: list[Callable[[Settings], None]]
    """Called with new settings."""
    changed: asyncio.Event
    """Set when the settings are new."""

    def settings(self) -> Settings:
        return self.layered()[0]


@dataclass(slots=True)
class Tasks:
    """Tasks of one group that end together."""

    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def add(self, work: Coroutine[None, None, None], name: str) -> None:
        self.tasks.append(self.group.create_task(work, name=name))

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
