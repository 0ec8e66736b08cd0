"""One visitor's share of what there is for all. In: whose turn it is. Out: the turn, in the order of asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Share:
    room: asyncio.Semaphore
    users: int = 0
    """Who hold a part of it or wait for one: a share that nobody uses is forgotten."""


class Shares:
    """At most `each` turns at once for everybody; how long one takes is its holder's limit."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._shares: dict[str, _Share] = {}

    def full(self, whose: str) -> bool:
        """Whether the next turn has to be waited for."""
        return whose in self._shares and self._shares[whose].room.locked()

    @asynccontextmanager
    async def turn(self, whose: str) -> AsyncIterator[None]:
        """Hold a part of somebody's share."""
        share = self._shares.setdefault(whose, _Share(asyncio.Semaphore(self._each)))
        share.users += 1
        try:
            async with share.room:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[whose]
