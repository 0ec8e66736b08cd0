"""Everything that grows is kept within its bounds: hour by hour, and when an operator asks.

In: what there is and who uses it. Out: what went. The journal by age and bytes; environments, checkouts and caches by
the disk that shall be free; logs by their size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import KeptWork
from perijove.domain.nouns import EnvironmentKey, ResolvedRepo, StoredEnvironment
from perijove.domain.ports import Clock, Environments, Repositories, Sessions
from perijove.domain.settings import Settings
from perijove.launching.build.cleaning import to_remove
from perijove.launching.launches import Launches
from perijove.launching.start.keeping import Keeping
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
    kept: Sequence[KeptWork]
    """What visitors left in sessions."""


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Acts on everything that grows."""

    launches: Launches
    sessions: SessionKeeper
    sandboxes: Sessions
    repositories: Repositories
    environments: Environments
    retention: Retention
    keeping: Keeping
    clock: Clock
    settings: Callable[[], Settings]
    bound_logs: Callable[[], None]
    prepared: Callable[[], Collection[EnvironmentKey]] = tuple
    """Environments that classes will have."""
    sizes: Callable[[], Sequence[Evidence]] = tuple
    """What takes how much of the disk."""
    _cleaning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Clean hour by hour, for ever."""
        await self.clock.sleep(FIRST)
        while True:
            try:
                await self.clean()
            except (Fail, OSError) as error:
                log.warning("not everything could be cleaned", message=str(error)[:500])
            await self.clock.sleep(EVERY)

    async def make_room(self) -> bool:
        """Clean because a launch has no disk; whether that freed any."""
        try:
            cleaned = await self.clean()
        except (Fail, OSError) as error:
            log.warning("no disk could be freed for a launch", message=str(error)[:500])
            return False
        went = len(cleaned.environments)
        log.info(
            "cleaned, since a launch had no disk", free=cleaned.free, environments=went, checkouts=cleaned.checkouts
        )
        return bool(went or cleaned.checkouts)

    async def held(self) -> Sequence[Evidence]:
        """What takes how much of the disk."""
        try:
            return await asyncio.to_thread(self.sizes)
        except OSError as error:
            return (Evidence("store", str(error)[:200]),)

    async def clean(self, *, dry_run: bool = False) -> Cleaned:
        """Remove what nobody needs and there is too much of. Raises Fail: `platform.*`; OSError."""
        async with self._cleaning:
            return await self._clean(dry_run=dry_run)

    async def _clean(self, *, dry_run: bool) -> Cleaned:
        forgotten = await self.retention.clean(dry_run=dry_run)
        kept = await self.keeping.clean(dry_run=dry_run)
        room, keep_free = await self.sandboxes.room(), self.settings().build.keep_free
        stored, checkouts = await self.environments.stored(), 0
        chosen = to_remove(stored, self._in_use(), room.disk, keep_free)
        if not dry_run:
            await asyncio.to_thread(self.bound_logs)
            for environment in chosen:
                if environment.key not in self._in_use():
                    await self.environments.remove(environment.key)
            if room.disk < keep_free:
                checkouts = await self.repositories.prune(self._checked_out())
                await self.environments.tidy()
        return Cleaned(room.disk, chosen, checkouts, forgotten, kept)

    def _checked_out(self) -> Sequence[ResolvedRepo]:
        """Of launches in progress, and of sessions: by it is known at their end what was changed in them."""
        in_hand = [launch.repo for launch in self.launches.in_hand() if launch.repo]
        return [*in_hand, *(session.repo for session in self.sessions.live)]

    def _in_use(self) -> set[EnvironmentKey]:
        """Environments of sessions, of launches on their way to one, and of classes."""
        in_hand = {launch.environment for launch in self.launches.in_hand()}
        return in_hand.union(self.sessions.environments, self.prepared())
