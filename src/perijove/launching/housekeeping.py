"""Everything that grows is kept within its bounds: hour by hour, and when an operator asks.

In: what there is and who uses it. Out: what went. The journal by age and bytes; environments, checkouts and caches by
the disk that shall be free; logs by their size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perijove.domain.failures import Fail
from perijove.domain.nouns import EnvironmentKey, StoredEnvironment
from perijove.domain.ports import Clock, Environments, Repositories, Sessions
from perijove.domain.settings import Settings
from perijove.launching.build.cleaning import to_remove
from perijove.launching.launches import Launches
from perijove.launching.start.sessions import SessionKeeper
from perijove.log import log
from perijove.retention import Forgotten, Retention

FIRST, EVERY = 600.0, 3600.0
"""Seconds until the first round, and between two."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What went, or would go."""

    free: int
    """Bytes of the disk that were free before."""
    environments: Sequence[StoredEnvironment]
    checkouts: int
    journal: Forgotten


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Acts on everything that grows."""

    launches: Launches
    sessions: SessionKeeper
    sandboxes: Sessions
    repositories: Repositories
    environments: Environments
    retention: Retention
    clock: Clock
    settings: Callable[[], Settings]
    bound_logs: Callable[[], None]

    async def run(self) -> None:
        """Clean hour by hour, for ever."""
        await self.clock.sleep(FIRST)
        while True:
            try:
                await self.clean()
            except (Fail, OSError) as error:
                log.warning("not everything could be cleaned", message=str(error)[:500])
            await self.clock.sleep(EVERY)

    async def clean(self, *, dry_run: bool = False) -> Cleaned:
        """Remove what nobody needs and there is too much of. Raises Fail: `platform.*`; OSError."""
        forgotten = await self.retention.clean(dry_run=dry_run)
        room, wish = await self.sandboxes.room(), self.settings().build.keep_free
        stored, checkouts = await self.environments.stored(), 0
        chosen = to_remove(stored, self._in_use(), room.disk, wish)
        if not dry_run:
            await asyncio.to_thread(self.bound_logs)
            for environment in chosen:
                if environment.key not in self._in_use():
                    await self.environments.remove(environment.key)
            if room.disk < wish:
                in_hand = self.launches.in_hand()
                checkouts = await self.repositories.prune([launch.repo for launch in in_hand if launch.repo])
                await self.environments.tidy()
        return Cleaned(room.disk, chosen, checkouts, forgotten)

    def _in_use(self) -> set[EnvironmentKey]:
        """Environments of sessions, and of launches on their way to one."""
        in_hand = {launch.environment for launch in self.launches.in_hand()}
        return in_hand.union(self.sessions.environments)
