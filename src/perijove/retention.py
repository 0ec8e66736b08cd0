"""What the journal no longer keeps: whole subjects, the oldest first, by age and by bytes.

In: the settings, and who still needs a subject. Out: subjects removed in small steps, between which everybody else has
the event loop; the file shrinks with them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perijove.domain.events import Kept
from perijove.domain.ports import Clock
from perijove.domain.settings import JournalSettings
from perijove.journal import ROW, Journal

LOOKED = 100
"""Subjects that are looked at in one step."""
STEP = 100
"""Entries that are removed in one step; the longest take some 5 ms."""
PAUSE = 0.01
"""Seconds between two steps, for everybody else."""
CERTIFICATES = 10_000


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went, or would go."""

    subjects: Mapping[str, int]
    """How many of each kind: `launch`, `session`, `order`."""
    size: int
    """Bytes."""


@dataclass(eq=False)
class Retention:
    """Keeps the journal within its bounds."""

    _journal: Journal
    _clock: Clock
    _settings: Callable[[], JournalSettings]
    _needed: Callable[[str], bool]
    """Whether somebody still reads a subject that is over."""

    def __post_init__(self) -> None:
        self._ledger, self._turn = self._journal.ledger, asyncio.Lock()

    async def clean(self, *, dry_run: bool = False) -> Forgotten:
        """Remove what is too old, and the oldest while there is too much. Raises Fail, as `Ledger` does."""
        async with self._turn:
            before, freed, after, gone = self._ledger.held(), 0, 0, Counter[str]()
            while kept := self._ledger.oldest(after, LOOKED):
                after = kept[-1].seq
                for one in kept:
                    if self._goes(one, freed):
                        gone[one.subject.partition("/")[0]] += 1
                        if dry_run:
                            freed += self._ledger.size(one.subject, ROW)
                        else:
                            await self._remove(one.subject)
                await self._clock.sleep(PAUSE)
            if not dry_run:
                await self._thin()
            return Forgotten(gone, freed or max(before - self._ledger.held(), 0))

    def _goes(self, one: Kept, freed: int) -> bool:
        wish = self._settings()
        if one.ended_at is None:
            return False
        old = 0 < wish.keep_age < self._clock.now() - one.ended_at
        much = 0 < wish.keep_size < self._ledger.held() - freed
        return (old or much) and not self._needed(one.subject)

    async def _remove(self, subject: str) -> None:
        over = False
        while not over:
            over = self._ledger.drop(subject, STEP)
            await self._clock.sleep(PAUSE)
        self._journal.wake(subject)
        while self._ledger.give_back():
            await self._clock.sleep(PAUSE)

    async def _thin(self) -> None:
        """What happened to certificates between attempts, and what operators announced, has no end.

        Of what is old, the last of each kind decides.
        """
        if age := self._settings().keep_age:
            for kind in ("certificate/", "operator/"):
                for subject in self._ledger.subjects(kind, CERTIFICATES):
                    self._ledger.thin(subject, self._clock.now() - age)
                    await self._clock.sleep(PAUSE)
