"""What happens to sessions, as one reader hears it. In: events. Out: the same in order, of log lines so many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from perijove.domain.events import SessionHappening, SessionLogged, SessionProgressed
from perijove.domain.nouns import EndReason

UNREAD = 10_000
"""Events a slow reader may leave; beyond them lines are left out, never ends."""
IN_WORDS = {
    EndReason.STOPPED: "it was stopped",
    EndReason.IDLE: "nobody used it",
    EndReason.OLD: "it reached its greatest age",
    EndReason.FAILED_START: "its server did not start",
    EndReason.SERVICE_STOPPED: "the service was stopped",
}
"""How the end of a session is told that somebody asked for."""


class Happenings:
    """One reader's view of what happens, from its making on."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[SessionHappening] = asyncio.Queue()

    def put(self, event: SessionHappening) -> None:
        if not isinstance(event, SessionLogged | SessionProgressed) or self._queue.qsize() < UNREAD:
            self._queue.put_nowait(event)

    def __aiter__(self) -> AsyncIterator[SessionHappening]:
        return self

    async def __anext__(self) -> SessionHappening:
        return await self._queue.get()
