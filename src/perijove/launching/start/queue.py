"""The line in front of the machine: launches wait here for room, in the order they came.

In: a repository's canonical name. Out: a place (held until its holder lets go), told by Queued events on the way. An
open class has a line of its own: its seats are not for whoever came before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perijove.domain.classes import Class
from perijove.domain.events import Queued
from perijove.domain.failures import QUEUE_FULL, WAITED_TOO_LONG, Evidence, Fail, Failure
from perijove.domain.repository_names import canonical
from perijove.domain.settings import Settings
from perijove.launching.start.admission import (
    Load,
    crowded,
    kept,
    lack_of_disk,
    lack_of_room,
    quota_reached,
    shortage,
)
from perijove.launching.start.estimate import Turnover
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.start.timetable import NO_CLASSES, Timetable

AGAIN_AFTER = 60.0
"""Seconds that a client turned away is asked to wait."""
NO_DISK = (
    "Try again later. The operator removes what nobody needs with `perijove clean`, finds what grows by these sizes, "
    "gives the state directory a larger disk, or lowers launching.keep_disk."
)
CLEANED_AGAIN = 60.0
"""Seconds after which it is looked again whether disk can be freed."""
LOOK_AGAIN = 2.0
"""Seconds; room also comes free without an event: other programs end too."""


@dataclass(eq=False, slots=True)
class Place:
    """Room kept for a session that was let in, until it answers (and is counted as live) or fails."""

    repository: str
    since: float = 0
    """When it was let in."""


async def no_more(repository: str) -> bool:
    """Nothing can be given up."""
    return False


class Store(Protocol):
    """What lies on the disk beside sessions."""

    async def make_room(self) -> bool:
        """Remove what nobody needs; whether anything went."""
        ...

    async def held(self) -> Sequence[Evidence]:
        """What takes how much."""
        ...


class NothingStored:
    """Nothing can be removed."""

    async def make_room(self) -> bool:
        return False

    async def held(self) -> Sequence[Evidence]:
        return ()


@dataclass(slots=True)
class Line:
    """Those who wait, the first one first."""

    waiting: list[asyncio.Event] = field(default_factory=list)
    """One a launch, set when it is first in the line and something may have come free."""
    short: str = ""
    """What the first one lacked when it looked last."""
    crowded: bool = False
    """Whether that was nothing but a place among those that start: those come free by themselves."""
    disk: bool = False
    """Whether that was disk."""


@dataclass(slots=True)
class Queue:
    """Lets launches in one after the other."""

    sessions: SessionKeeper
    settings: Callable[[], Settings]
    places: set[Place] = field(default_factory=set)
    look_again: float = LOOK_AGAIN
    now: Callable[[], float] = time.monotonic
    """Seconds, by which it is told how long starts take."""
    make_room: Callable[[str], Awaitable[bool]] = no_more
    """Gives something up that no launch needs, for one of this repository; False where there is nothing left of it."""
    timetable: Timetable = NO_CLASSES
    store: Store = field(default_factory=NothingStored)
    _cleaned_at: float = -math.inf
    _classes: dict[str, Line] = field(default_factory=dict)
    """Of each class that was open when somebody waited."""
    _others: Line = field(default_factory=Line)
    _turnover: Turnover = field(default_factory=Turnover)
    _entrance: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a newcomer looks, lest another that came later is let in before it."""

    def __post_init__(self) -> None:
        self.sessions.over = self._call

    async def admitted(self, place: Place) -> AsyncIterator[Queued]:
        """Ends when `place` is held; tells the position in the line until then. Raises Fail: `start.*`."""
        settings, called = self.settings().launching, asyncio.Event()
        one = self.timetable.seats_for(place.repository)
        line = self._classes.setdefault(one.name, Line()) if one else self._others
        try:
            async with asyncio.timeout(settings.queue_timeout):
                async with self._entrance:
                    # What frees disk takes its time: who waits for that waits in the line, and is told.
                    if not line.waiting and await self._fits(place, line, frees_disk=False):
                        return
                    if len(line.waiting) >= max(settings.queue_length, one.seats if one else 0):
                        cause = f"{len(line.waiting)} launches are waiting"
                        raise Fail(QUEUE_FULL(cause, Evidence("this machine", line.short), after=AGAIN_AFTER))
                    line.waiting.append(called)
                if line.disk:
                    called.set()
                async for queued in self._advancing(called, place, line):
                    yield queued
        except TimeoutError:
            raise Fail(await self._waited(line, settings.queue_timeout)) from None
        finally:
            if called in line.waiting:
                line.waiting.remove(called)
                self._call()

    async def _advancing(self, called: asyncio.Event, place: Place, line: Line) -> AsyncIterator[Queued]:
        told = 0
        while True:
            position = line.waiting.index(called) + 1
            if told != position:
                told = position
                yield Queued(position, line.short, self._wait(position, line))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look_again):
                    await called.wait()
            called.clear()
            if line.waiting[0] is called and await self._fits(place, line):
                return

    async def _waited(self, line: Line, seconds: float) -> Failure:
        cause, short = f"it waited {seconds:.0f} seconds", Evidence("this machine", line.short)
        if not line.disk:
            return WAITED_TOO_LONG(cause, short, after=AGAIN_AFTER)
        held = await self.store.held()
        return WAITED_TOO_LONG(f"{cause} for disk", short, *held, after=AGAIN_AFTER, remedy=NO_DISK)

    async def _fits(self, place: Place, line: Line, *, frees_disk: bool = True) -> bool:
        """Hold the place if there is room."""
        while True:
            room = await self.sessions.sandboxes.room()
            # From here to the place being held nothing may wait: two launches must not see the same room.
            settings, load, classes = self.settings(), self._load(), self.timetable.seated()
            short = shortage(place.repository, load, room, settings.launching, settings.session, classes)
            seats = kept(place.repository, load, classes)
            lacking = short and short == lack_of_room(load, room, settings.launching, settings.session, seats)
            disk = bool(lacking) and short == lack_of_disk(room, settings.launching)
            freed = disk and frees_disk and await self._disk_freed()
            if not freed and not (lacking and await self.make_room(place.repository)):
                break
        if short:
            line.short, line.crowded, line.disk = short, short == crowded(load, room, settings.launching), disk
        else:
            place.since = self.now()
            self.places.add(place)
        return not short

    async def _disk_freed(self) -> bool:
        """Whether the store has given something up; it is asked now and then."""
        if (now := self.now()) - self._cleaned_at < CLEANED_AGAIN:
            return False
        self._cleaned_at = now
        return await self.store.make_room()

    def _load(self) -> Load:
        live = [canonical(session.repo.address.url) for session in self.sessions.live]
        return Load([*live, *(place.repository for place in self.places)], len(self.places))

    def quota_reached(self, repository: str) -> bool:
        """Whether no more sessions of the repository of this canonical name are allowed, however much room there is."""
        load, classes = self._load(), self.timetable.seated()
        return bool(quota_reached(repository, load, self.settings().launching, classes))

    @contextlib.contextmanager
    def handing_out(self, repository: str) -> Iterator[None]:
        """Count a session that is there already as a launch of this repository, until it is told as one."""
        place = Place(repository, self.now())
        self.places.add(place)
        try:
            yield
        finally:
            self.places.remove(place)
            self._call()

    def taken(self, one: Class) -> int:
        """How many seats of a class are taken: those about to start included."""
        return one.taken(self._load().repositories)

    @property
    def _lines(self) -> Sequence[Line]:
        """Those of classes first."""
        return (*self._classes.values(), self._others)

    @property
    def busy(self) -> bool:
        """Whether a launch starts or waits."""
        return bool(self.places or self.positions)

    def leave(self, place: Place) -> None:
        """The session answers, or never will."""
        if place in self.places:
            self.places.remove(place)
            self._turnover.freed(self.now(), self.now() - place.since)
        self._call()

    def _wait(self, position: int, line: Line) -> float | None:
        before = len(self.positions) - len(line.waiting) if line is self._others else 0
        return self._turnover.wait(position + before, len(self.places), self.now()) if line.crowded else None

    def _call(self) -> None:
        """Have the first in each line look again."""
        for line in self._lines:
            if line.waiting:
                line.waiting[0].set()

    @property
    def positions(self) -> Sequence[int]:
        """One number a waiting launch."""
        return range(1, sum(len(line.waiting) for line in self._lines) + 1)
