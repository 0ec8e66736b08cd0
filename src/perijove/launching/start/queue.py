"""The line in front of the machine: launches wait here for room, in the order they came.

In: a repository's URL. Out: a place (held until its holder lets go), told by Queued events on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from perijove.domain.events import Queued
from perijove.domain.failures import QUEUE_FULL, WAITED_TOO_LONG, Evidence, Fail
from perijove.domain.nouns import Room
from perijove.domain.settings import Settings
from perijove.launching.start.admission import Load, shortage
from perijove.launching.start.sessions import SessionKeeper

AGAIN_AFTER = 60.0
"""Seconds that a client turned away is asked to wait."""
LOOK_AGAIN = 2.0
"""Seconds; room also comes free without an event: other programs end too."""


@dataclass(eq=False, slots=True)
class Place:
    """Room kept for a session that was let in, until it answers (and is counted as live) or fails."""

    url: str


@dataclass(slots=True)
class Queue:
    """Lets launches in one after the other."""

    sessions: SessionKeeper
    settings: Callable[[], Settings]
    places: set[Place] = field(default_factory=set)
    _waiting: list[object] = field(default_factory=list)

    async def admitted(self, place: Place) -> AsyncIterator[Queued]:
        """Ends when `place` is held; tells the position in the line until then. Raises Fail: `start.*`."""
        settings = self.settings().launching
        room = await self._room()
        # From here to the place being held nothing may wait: two launches must not see the same room.
        short = self._short(place.url, room)
        if not self._waiting and not short:
            self.places.add(place)
            return
        if len(self._waiting) >= settings.queue_length:
            cause = f"{len(self._waiting)} launches are waiting"
            raise Fail(QUEUE_FULL(cause, Evidence("this machine", short or "others came first"), after=AGAIN_AFTER))
        ticket = object()
        self._waiting.append(ticket)
        try:
            async with asyncio.timeout(settings.queue_timeout):
                async for queued in self._advancing(ticket, place):
                    yield queued
        except TimeoutError:
            seen = Evidence("this machine", self._short(place.url, await self._room()) or "others came first")
            cause = f"it waited {settings.queue_timeout:.0f} seconds"
            raise Fail(WAITED_TOO_LONG(cause, seen, after=AGAIN_AFTER)) from None
        finally:
            self._waiting.remove(ticket)
            self.sessions.over.set()

    async def _advancing(self, ticket: object, place: Place) -> AsyncIterator[Queued]:
        told = 0
        while True:
            room = await self._room()
            position, short = self._waiting.index(ticket) + 1, self._short(place.url, room)
            if position == 1 and not short:
                self.places.add(place)
                return
            if told != position:
                told = position
                yield Queued(position, short or "others came first")
            await self._change()

    def leave(self, place: Place) -> None:
        """The session answers, or never will."""
        self.places.discard(place)
        self.sessions.over.set()

    async def _change(self) -> None:
        """Until something may have come free."""
        self.sessions.over.clear()
        try:
            async with asyncio.timeout(LOOK_AGAIN):
                await self.sessions.over.wait()
        except TimeoutError:
            return

    async def _room(self) -> Room:
        return await self.sessions.sandboxes.room()

    def _short(self, url: str, room: Room) -> str:
        settings = self.settings()
        live = [session.repo.address.url for session in self.sessions.live]
        load = Load([*live, *(place.url for place in self.places)], len(self.places))
        return shortage(url, load, room, settings.launching, settings.session)

    @property
    def positions(self) -> Sequence[int]:
        """One number a waiting launch."""
        return range(1, len(self._waiting) + 1)
