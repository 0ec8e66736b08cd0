"""How much may one visitor begin? In: who asks and how, the time, what runs. Out: nothing, or the failure.

A visitor is an address, and for IPv6 a /64; or those who read an allowed site's pages there, so that a class behind one
address has its own limits. What was refused or failed is given back. Everything counted is bounded: what is oldest is
forgotten first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from perijove.domain.classes import Class
from perijove.domain.events import Entry, Failed, Prepared, Ready
from perijove.domain.failures import Evidence, Failure
from perijove.domain.keys import Keys
from perijove.domain.ports import Clock
from perijove.domain.reach import household
from perijove.domain.request_failures import RATE_LIMITED, TOO_MANY_AT_ONCE
from perijove.domain.settings import LaunchingSettings, Settings
from perijove.launching.launches import Launches
from perijove.launching.start.sessions import SessionKeeper

COUNTED = 100_000
"""Addresses, and build tokens, counted at once."""
TOKEN_USES = 3
"""Launches that one page may begin: its own, and those of a browser that lost the answer and asks again."""
TOKEN_LIFETIME = 600.0
"""Seconds for which a page of ours may begin its launch."""
AT_ONCE_AGAIN = 60.0
"""Seconds after which whoever has too much at once may look again."""

LOOKS, LOOKS_PERIOD = 300, 600.0
"""Questions to Git hosts that one visitor may have asked in so many seconds; a whole class may be one visitor."""
FAILED = 10
"""How many times its limit a visitor may begin what fails: mistakes count for nothing, a loop of them does."""


class Way(StrEnum):
    """How somebody begins something; each is counted by itself."""

    PAGE = "page"
    """A page of ours."""
    ORIGIN = "origin"
    """A page of `service.cors_allow_origin`."""
    PROGRAM = "program"
    CLASS = "class"
    """Whoever has a seat in an open class, however they come."""
    BUILD = "build"
    """A build without a launch, by whomever."""
    PUSH = "push"
    """A push without a right signature: of others none is counted, and no limit keeps them."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """For whom something is counted."""

    address: str
    origin: str = ""
    """Of the page that asks, where it is not ours; `*` for any. It is one of a few that the operator has named."""
    of: Class | None = None
    """The open class whose repository they launch: its people share its limits."""
    person: str = ""
    """Whoever has logged in: wherever they are, their limits are their own."""

    @property
    def key(self) -> str:
        """What their limits hang on."""
        if self.of:
            return f"class {self.of.name}"
        if self.person:
            return f"person {self.person}"
        return f"{household(self.address)} {self.origin}".rstrip()

    @property
    def words(self) -> str:
        """As they are told."""
        if self.of:
            return f"the class {self.of.name}"
        if self.person:
            return self.person
        pages = f"pages of {self.origin}" if self.origin not in ("", "*") else "pages elsewhere"
        return f"{pages} at your address" if self.origin else "your address"


@dataclass(slots=True)
class _Window:
    began: float
    counted: int = 0
    failed: int = 0
    """Of those that were given back."""


class RateWindows:
    """How many launches each visitor began in their current window. The time is given, so that tests own it."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def wait(self, whose: str, now: float, limit: int, period: float) -> float:
        """Seconds until one more may begin; 0 for now."""
        window = self._windows.get(whose)
        if window is None or now - window.began >= period:
            return 0.0
        full = window.counted >= limit or window.counted + window.failed >= FAILED * limit
        return window.began + period - now if full else 0.0

    def count(self, whose: str, now: float, period: float) -> None:
        """One more has begun."""
        window = self._windows.pop(whose, None)
        if window is None or now - window.began >= period:
            window = _Window(now)
        window.counted += 1
        self._windows[whose] = window
        while len(self._windows) > COUNTED:
            del self._windows[next(iter(self._windows))]

    def give_back(self, whose: str, at: float) -> None:
        """What was counted at that time has failed."""
        window = self._windows.get(whose)
        if window is not None and window.began <= at:
            window.counted -= 1
            window.failed += 1


class BuildTokens:
    """Tokens of our own pages, each good for its spec, for a while, and for a few launches."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._uses: dict[str, int] = {}

    def make(self, spec: str, nonce: str) -> str:
        """For a page of its own `nonce`."""
        return self._keys.build_token(spec, nonce, self._clock.now(), TOKEN_LIFETIME)

    def spend(self, token: str, spec: str) -> bool:
        """Whether this token begins one more launch of this spec."""
        if not self._keys.build_token_holds(token, spec, self._clock.now()):
            return False
        uses = self._uses.pop(token, 0)
        self._uses[token] = uses + 1
        while len(self._uses) > COUNTED:
            del self._uses[next(iter(self._uses))]
        return uses < TOKEN_USES


@dataclass(eq=False)
class Limits:
    """What each visitor has begun, and what of it still runs."""

    _settings: Callable[[], Settings]
    _clock: Clock
    _launches: Launches
    _sessions: SessionKeeper

    def __post_init__(self) -> None:
        self._windows = {way: RateWindows() for way in Way}
        self._looks = RateWindows()
        self._counted: dict[int, tuple[Way, str, float]] = {}
        """Of launches in progress: where and when they were counted."""
        self._whose: dict[int, str] = {}
        """Of launches in progress and of sessions: the visitor's key."""

    def refusal(self, visitor: Visitor, way: Way) -> Failure | None:
        """Why this visitor may not begin one more launch now; None where they may."""
        settings = self._settings().launching
        if visitor.of:  # what runs at once is bounded by its seats, and what waits by its line
            return self._too_often(visitor, way, settings)
        return self._at_once(visitor, way, settings) or self._too_often(visitor, way, settings)

    def look(self, visitor: Visitor) -> bool:
        """Count a question to a Git host; whether there were few enough of them."""
        now = self._clock.now()
        few = not self._looks.wait(visitor.key, now, LOOKS, LOOKS_PERIOD)
        if few:
            self._looks.count(visitor.key, now, LOOKS_PERIOD)
        return few

    def unsigned(self, visitor: Visitor) -> Failure | None:
        """Count a push that nobody signed; the failure where there were too many."""
        settings = self._settings().launching
        failure = self._too_often(visitor, Way.PUSH, settings)
        self._windows[Way.PUSH].count(visitor.key, self._clock.now(), settings.rate_period)
        return failure

    def begun(self, number: int, visitor: Visitor, way: Way) -> None:
        """They have begun this launch."""
        now = self._clock.now()
        self._windows[way].count(visitor.key, now, self._settings().launching.rate_period)
        self._counted[number] = (way, visitor.key, now)
        self._whose[number] = visitor.key

    def told(self, entry: Entry) -> None:
        """Hear of a launch's end: what failed is given back."""
        if isinstance(entry.event, Ready | Prepared | Failed) and entry.subject.startswith("launch/"):
            counted = self._counted.pop(int(entry.subject.partition("/")[2]), None)
            if counted and isinstance(entry.event, Failed):
                way, whose, at = counted
                self._windows[way].give_back(whose, at)

    def _at_once(self, visitor: Visitor, way: Way, settings: LaunchingSettings) -> Failure | None:
        running, open_ = set(self._launches.running), {session.launch for session in self._sessions.live}
        self._whose = {number: self._whose.get(number) or self._key(number) for number in running | open_}
        theirs = {number for number, whose in self._whose.items() if whose == visitor.key}
        quota = self._settings().auth.sessions if visitor.person else settings.per_visitor_quota
        sessions = 0 if way is Way.BUILD else quota
        for count, limit, what in (
            (len(theirs & running), settings.per_visitor_launches, f"launches of {visitor.words} are in progress"),
            (len(theirs), sessions, f"sessions of {visitor.words} run or are about to"),
        ):
            if limit and count >= limit:
                cause = f"{count} {what}, and this service allows {limit}; it is worth another look in a minute"
                return TOO_MANY_AT_ONCE(cause, Evidence(visitor.words, visitor.address), after=AT_ONCE_AGAIN)
        return None

    def _key(self, number: int) -> str:
        """Of whoever began a launch before a restart."""
        return Visitor(self._launches.asked_by(number), person=self._launches.whose(number)).key

    def _too_often(self, visitor: Visitor, way: Way, settings: LaunchingSettings) -> Failure | None:
        limit = {
            Way.PAGE: settings.page_rate_limit,
            Way.ORIGIN: settings.origin_rate_limit,
            Way.PROGRAM: settings.rate_limit,
            Way.BUILD: settings.build_rate_limit,
            Way.PUSH: settings.build_rate_limit,
            Way.CLASS: visitor.of.rate_limit if visitor.of else 0,
        }[way]
        wait = self._windows[way].wait(visitor.key, self._clock.now(), limit, settings.rate_period) if limit else 0
        if not wait:
            return None
        what = "unsigned pushes" if way is Way.PUSH else "launches"
        return RATE_LIMITED(
            f"{limit} {what} of {visitor.words} in {_span(settings.rate_period)} are what this service allows;"
            f" the next is possible in {_span(wait)}",
            Evidence(visitor.words, visitor.address),
            remedy="" if way is Way.PROGRAM else "Wait.",
            after=wait,
        )


def _span(seconds: float) -> str:
    """In words; never less than it is."""
    if seconds <= 90:
        return f"{math.ceil(seconds)} seconds"
    return f"{math.ceil(seconds / 60)} minutes"
