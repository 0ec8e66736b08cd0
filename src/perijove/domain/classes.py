"""Classes: who works in the same repositories together. What an operator says of one, and when it is open. Pure.

A moment is `Mon 09:30`, `Mon,Wed 09:30` or `2027-01-11 09:30`. A zone of None is this machine's: Python's datetime then
asks the C library, which knows the days on which clocks change. An hour that they skip is taken as if they did not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated

from perijove.domain.nouns import RepoAddress
from perijove.domain.people import strangely_named

Size = Annotated[int, "size"]
USES = 10
"""Launches a seat in one period of `launching.rate_period`, unless the class has a number of its own."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOMENT = re.compile(r"(?:(?P<days>[A-Za-z]{3}(?:, ?[A-Za-z]{3})*)|(?P<date>\d{4}-\d\d-\d\d)) (?P<time>\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class ClassSettings:
    name: str = ""
    """What it is called: small letters, digits and hyphens."""
    repositories: tuple[str, ...] = ()
    """Links to its repositories, in any form that the front page takes, or folders of this machine. A launch is the
    class's by its repository, however its link is spelled."""
    seats: int = 0
    """How many of its sessions may run at once while it is open; memory and a part of `launching.total_quota` are kept
    for them. 0: it has no seats of its own, and the limits of all others."""
    rate_limit: int = 0
    """Launches of all its people in `launching.rate_period` while it is open, in place of the limits that each visitor
    has; 0: ten times its seats."""
    memory: Size = 0
    """Memory for one of its sessions; 0: as `session.memory`. So much it gets whether the class is open or not."""
    cpus: float = 0
    """Processors' worth of time for one of its sessions; 0: as `session.cpus`."""
    disk: Size = 0
    """Disk for the home of one of its sessions; 0: as `session.disk`."""
    prepare: str = ""
    """When it opens and its repositories are built: `Mon 09:30`, `Mon,Wed 09:30` or `2027-01-11 09:30`, by this
    machine's local time. Empty: it is always open."""
    ready: int = 0
    """How many of its sessions are held ready while it is open, beside those of `launching.ready`, as long as memory
    allows; those that start from the links in `repositories` as they are written there."""
    until: str = ""
    """When it closes, written like `prepare`: the first such moment after it opened. Empty: never."""
    who: tuple[str, ...] = ()
    """Where people log in: who may launch its repositories, by name, or by group as `@students`. Empty: everybody."""


@dataclass(frozen=True, slots=True)
class Class:
    """A class whose links were understood."""

    settings: ClassSettings
    addresses: tuple[RepoAddress, ...]
    repositories: frozenset[str]
    """Their canonical names."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def seats(self) -> int:
        return self.settings.seats

    @property
    def rate_limit(self) -> int:
        return self.settings.rate_limit or USES * self.seats

    def taken(self, repositories: Collection[str]) -> int:
        """How many of these sessions, each by its repository's canonical name, are its own."""
        return sum(one in self.repositories for one in repositories)


def owner(repository: str, classes: Sequence[Class]) -> Class | None:
    """Which of these classes has the repository of this canonical name."""
    return next((one for one in classes if repository in one.repositories), None)


@dataclass(frozen=True, slots=True)
class Hours:
    """A class at one moment; all in Unix seconds."""

    since: float | None
    """When it opened; None while it is closed, 0 where it always is open."""
    until: float | None = None
    """When it closes; None while it is closed, or where nothing closes it."""
    next: float | None = None
    """When it opens next; None where it does not."""

    @property
    def open(self) -> bool:
        return self.since is not None


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on some days of each week, or on one day."""

    time: time
    weekdays: frozenset[int] = frozenset()
    day: date | None = None

    def after(self, then: float, zone: tzinfo | None) -> float | None:
        """The first such moment after a time in Unix seconds; None where there is none."""
        return next((at for at in self._around(then, zone) if at > then), None)

    def before(self, now: float, zone: tzinfo | None) -> float | None:
        """The last such moment that is not after a time in Unix seconds; None where there is none."""
        return max((at for at in self._around(now, zone) if at <= now), default=None)

    def _around(self, then: float, zone: tzinfo | None) -> Iterator[float]:
        """All within a week and a day of it, in order."""
        if self.day:
            yield datetime.combine(self.day, self.time, zone).timestamp()
            return
        today = datetime.fromtimestamp(then, zone).date()
        for away in range(-8, 9):
            day = today + timedelta(days=away)
            if day.weekday() in self.weekdays:
                yield datetime.combine(day, self.time, zone).timestamp()


def moment(text: str) -> Moment:
    """Raises ValueError with words that follow the setting's name."""
    if match := _MOMENT.fullmatch(text.strip()):
        with suppress(ValueError):
            at = time.fromisoformat(match["time"])
            if match["date"]:
                return Moment(at, day=date.fromisoformat(match["date"]))
            return Moment(at, frozenset(DAYS.index(day.strip().capitalize()) for day in match["days"].split(",")))
    raise ValueError("must be a moment like Mon 09:30, Mon,Wed 09:30 or 2027-01-11 09:30")


def hours(settings: ClassSettings, now: float, zone: tzinfo | None = None) -> Hours:
    """Whether it is open, and when that changes. It is open from its last `prepare` to the first `until` after that."""
    begin = moment(settings.prepare) if settings.prepare else None
    end = moment(settings.until) if settings.until else None
    since = begin.before(now, zone) if begin else 0.0
    following = begin.after(now, zone) if begin else None
    if following is not None and end and end.after(following, zone) is None:
        following = None
    until = end.after(since, zone) if end and since is not None else None
    if since is None or (end and (until is None or until <= now)):
        return Hours(None, next=following)
    return Hours(since, until, following)


def faults(classes: Sequence[ClassSettings]) -> Iterator[tuple[str, str]]:
    """What cannot be followed: words after the setting's name, and what stands there."""
    for one in classes:
        if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", one.name):
            yield "must have a name each, of small letters, digits and hyphens", one.name or "no name"
            continue
        if not one.repositories:
            yield f"of {one.name}: repositories must name at least one", "no repositories"
        moments = dict[str, Moment]()
        for field, text in (("prepare", one.prepare), ("until", one.until)):
            try:
                if text:
                    moments[field] = moment(text)
            except ValueError as error:
                yield f"of {one.name}: {field} {error}", text
        end = moments.get("until")
        if end and end.weekdays and not one.prepare:
            yield f"of {one.name}: until closes it each week, and nothing opens it: it needs prepare", one.until
        for who in strangely_named(one.who):
            yield f"of {one.name}: who must hold people's names, and groups like @students", who
        if one.seats and one.ready > one.seats:
            yield f"of {one.name}: ready must not be more than its seats", f"ready = {one.ready}"
    for name, count in Counter(one.name for one in classes).items():
        if count > 1:
            yield f"of {name}: another class has this name", name
