"""One look for all who ask at once. In: how to look. Out: what was seen, at most LIFETIME seconds old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

LIFETIME = 1.0
"""Seconds for which what was seen is told to whoever asks."""
Seen = TypeVar("Seen")


class Cached(Generic[Seen]):
    """What is looked at no more than once at a time, however many ask, and whoever of them leaves."""

    def __init__(self, look: Callable[[], Coroutine[None, None, Seen]], now: Callable[[], float], name: str) -> None:
        self._look = look
        self._now = now
        self._name = name
        self._looking: asyncio.Task[Seen] | None = None
        self._seen_at = 0.0

    async def get(self) -> Seen:
        """Raises what the look raised."""
        if self._looking is None or self.stale:
            self._looking = asyncio.create_task(self._fresh(), name=self._name)
            self._looking.add_done_callback(_told)
        return await asyncio.shield(self._looking)

    @property
    def stale(self) -> bool:
        """Whether the next who asks has a new look begun."""
        done = self._looking is None or self._looking.done()
        return done and not 0 <= self._now() - self._seen_at < LIFETIME

    async def _fresh(self) -> Seen:
        try:
            return await self._look()
        finally:
            self._seen_at = self._now()


def _told(looked: asyncio.Task[Seen]) -> None:
    """What went wrong is whoever asks's to tell; if all of them have left, nobody's."""
    if not looked.cancelled():
        looked.exception()
