"""How much may one visitor begin? In: their address, the time, what runs. Out: nothing, or the failure.

A visitor is an address, and for IPv6 a /64. Everything counted is bounded: what is oldest is forgotten first.
"""

from __future__ import annotations

from collections.abc import Callable

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


class RateWindows:
    """How many launches each address began in its current window. The time is given, so that tests own it."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, address: str, now: float, limit: int, period: float) -> float:
        """Count one launch; seconds to wait when that is one too many, else 0."""
        began, counted = self._windows.pop(address, (now, 0))
        if now - began >= period:
            began, counted = now, 0
        self._windows[address] = (began, min(counted + 1, limit + 1))
        while len(self._windows) > COUNTED:
            del self._windows[next(iter(self._windows))]
        return began + period - now if counted >= limit else 0.0


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


class Limits:
    """What each visitor has begun, and what of it still runs."""

    def __init__(
        self, settings: Callable[[], Settings], clock: Clock, launches: Launches, sessions: SessionKeeper
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._launches = launches
        self._sessions = sessions
        self._by_pages = RateWindows()
        self._by_programs = RateWindows()
        self._builds = RateWindows()
        self._households: dict[int, str] = {}

    def refusal(self, address: str, *, by_page: bool, build_only: bool = False) -> Failure | None:
        """Why this visitor may not begin one more launch now; None, and it is counted, where they may."""
        settings = self._settings().launching
        if refused := self._at_once(address, settings, build_only=build_only):
            return refused
        if build_only:
            return self._too_often(address, settings, self._builds, settings.build_rate_limit)
        if by_page:
            return self._too_often(address, settings, self._by_pages, settings.page_rate_limit)
        return self._too_often(address, settings, self._by_programs, settings.rate_limit)

    def _at_once(self, address: str, settings: LaunchingSettings, *, build_only: bool) -> Failure | None:
        running, open_ = set(self._launches.running), {session.launch for session in self._sessions.live}
        self._households = {
            number: self._households.get(number) or household(self._launches.asked_by(number))
            for number in running | open_
        }
        theirs = {number for number, visitor in self._households.items() if visitor == household(address)}
        for count, limit, what in (
            (len(theirs & running), settings.per_visitor_launches, "launches of your address are in progress"),
            (
                len(theirs),
                0 if build_only else settings.per_visitor_quota,
                "sessions of your address run or are about to",
            ),
        ):
            if limit and count >= limit:
                cause = f"{count} {what}, and this service allows {limit}"
                return TOO_MANY_AT_ONCE(cause, Evidence("your address", address), after=AT_ONCE_AGAIN)
        return None

    def _too_often(self, address: str, settings: LaunchingSettings, windows: RateWindows, limit: int) -> Failure | None:
        if not limit:
            return None
        wait = windows.count(household(address), self._clock.now(), limit, settings.rate_period)
        if not wait:
            return None
        minutes = f"{settings.rate_period / 60:g} minutes"
        return RATE_LIMITED(
            f"More than {limit} launches in {minutes}; the next is possible in {wait:.0f} seconds",
            Evidence("your address", address),
            remedy="Wait." if windows is not self._by_programs else "",
            after=wait,
        )
