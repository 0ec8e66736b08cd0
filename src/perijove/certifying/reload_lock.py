"""CAs' looks and reloads of the data plane take turns. In: who begins and ends. Out: whose turn it is. Acts.

A web server that is told something new closes http connections that it has just accepted. A CA whose look is lost that
way calls the answer wrong, and counts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PATIENCE = 2.0
"""Seconds for which a reload waits for looks; a CA that takes longer holds nobody up."""


class ReloadLock:
    """Reloads go first: no new look begins while one waits."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._looks = 0
        self._reloads = 0
        self._no_look, self._no_reload = asyncio.Event(), asyncio.Event()
        self._no_look.set()
        self._no_reload.set()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[None]:
        """A CA looks for as long as the block lasts."""
        await self._no_reload.wait()
        self._looks += 1
        self._no_look.clear()
        try:
            yield
        finally:
            self._looks -= 1
            if not self._looks:
                self._no_look.set()

    @asynccontextmanager
    async def reload(self) -> AsyncIterator[None]:
        """The data plane is told something new within the block."""
        self._reloads += 1
        self._no_reload.clear()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._no_look.wait()
            yield
        finally:
            self._reloads -= 1
            if not self._reloads:
                self._no_reload.set()
