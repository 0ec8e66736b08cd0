"""The line in front of the machine: launches wait here for room, in the order they came.

In: a repository's URL. Out: a place (held until its holder lets go), told by Queued events on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from perijove.domain.events import Queued
from perijove.domain.failures import QUEUE_FULL, WAITED_TOO_LONG, Evidence, Fail
from perijove.domain.settings import Settings
from perijove.launching.start.admission import Load, lack_of_room, quota_reached, shortage
from perijove.launching.start.sessions import SessionKeeper

AGAIN_AFTER = 60.0
"""Seconds that a client turned away is asked to wait."""
LOOK_AGAIN = 2.0
"""Seconds; room also comes free without an event: other programs end too."""


@dataclass(eq=False, slots=True)
class Place:
    """Room kept for a session that was let in, until it answers (and is counted as live) or fails."""

    url: str


async def no_more() -> bool:
    """Nothing can be given up."""
    return False


@dataclass(slots=True)
class Queue:
    """Lets launches in one after the other."""

    sessions: SessionKeeper
    settings: Callable[[], Settings]
    places: set[Place] = field(default_factory=set)
    look_again: float = LOOK_AGAIN
    make_room: Callable[[], Awaitable[bool]] = no_more
    """Gives something up that no launch needs; False where there is nothing left of it."""
    _waiting: list[asyncio.Event] = field(default_factory=list)
    """One a launch, set when it is first in the line and something may have come free."""
    _short: str = ""
    """What the first one lacked when it looked last."""
    _entrance: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a newcomer looks, lest another that came later is let in before it."""

    def __post_init__(self) -> None:
        self.sessions.over = self._call

    async def admitted(self, place: Place) -> AsyncIterator[Queued]:
        """Ends when `place` is held; tells the position in the line until then. Raises Fail: `start.*`."""
        settings = self.settings().launching
        async with self._entrance:
            if not self._waiting and await self._fits(place):
                return
            if len(self._waiting) >= settings.queue_length:
                cause = f"{len(self._waiting)} launches are waiting"
                raise Fail(QUEUE_FULL(cause, Evidence("this machine", self._short), after=AGAIN_AFTER))
            called = asyncio.Event()
            self._waiting.append(called)
        try:
            async with asyncio.timeout(settings.queue_timeout):
                async for queued in self._advancing(called, place):
                    yield queued
        except TimeoutError:
            cause = f"it waited {settings.queue_timeout:.0f} seconds"
            raise Fail(WAITED_TOO_LONG(cause, Evidence("this machine", self._short), after=AGAIN_AFTER)) from None
        finally:
            self._waiting.remove(called)
            self._call()

    async def _advancing(self, called: asyncio.Event, place: Place) -> AsyncIterator[Queued]:
        told = 0
        while True:
            position = self._waiting.index(called) + 1
            if told != position:
                told = position
                yield Queued(position, self._short)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look_again):
                    await called.wait()
            called.clear()
            if self._waiting[0] is called and await self._fits(place):
                return

    async def _fits(self, place: Place) -> bool:
        """Hold the place if there is room."""
        while True:
            room = await self.sessions.sandboxes.room()
            # From here to the place being held nothing may wait: two launches must not see the same room.
            settings, load = self.settings(), self._load()
            short = shortage(place.url, load, room, settings.launching, settings.session)
            lacking = short and short == lack_of_room(load, room, settings.launching, settings.session)
            if not (lacking and await self.make_room()):
                break
        self._short = short or self._short
        if not short:
            self.places.add(place)
        return not short

    def _load(self) -> Load:
        live = [session.repo.address.url for session in self.sessions.live]
        return Load([*live, *(place.url for place in self.places)], len(self.places))

    def quota_reached(self, url: str) -> bool:
        """Whether no more sessions of the repository at `url` are allowed, however much room there is."""
        return bool(quota_reached(url, self._load(), self.settings().launching))

    @property
    def busy(self) -> bool:
        """Whether a launch starts or waits."""
        return bool(self.places or self._waiting)

    def leave(self, place: Place) -> None:
        """The session answers, or never will."""
        self.places.discard(place)
        self._call()

    def _call(self) -> None:
        """Have the first in the line look again."""
        if self._waiting:
            self._waiting[0].set()

    @property
    def positions(self) -> Sequence[int]:
        """One number a waiting launch."""
        return range(1, len(self._waiting) + 1)
