"""How many may follow launches at once? In: a launch, a visitor, whether they hold its key. Out: a seat, or why not.

Strangers' seats are counted apart: however many of them look on, whoever began a launch finds one.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager

from perijove.domain.failures import Evidence, Fail
from perijove.domain.request_failures import TOO_MANY_READERS

PER_LAUNCH = 100
"""A class may look at one launch on a screen each."""
PER_VISITOR = 300
"""A class behind one address, with a few pages open each."""
IN_ALL = 1000
"""Each reader is a connection here, and two of Caddy's."""
AGAIN = 5.0
"""Seconds after which whoever found no seat may ask again."""

Place = tuple[str, bool]
"""What is counted, and whether for those who hold the launch's key."""


class Seat(AbstractContextManager["Seat"]):
    """One reader's; given back when they leave."""

    def __init__(self, taken: Counter[Place], places: tuple[Place, ...]) -> None:
        self._taken, self._places = taken, places
        taken.update(places)

    def __exit__(self, *_: object) -> None:
        self._taken.subtract(self._places)
        for place in self._places:
            if not self._taken[place]:
                del self._taken[place]


class Readers:
    """Who follows which launch now."""

    def __init__(self) -> None:
        self._taken: Counter[Place] = Counter()

    @property
    def taken(self) -> int:
        """Seats that are taken now."""
        return sum(self._taken["all", holds] for holds in (True, False))

    def seat(self, number: int, visitor: str, *, holds: bool) -> Seat:
        """A seat before a launch's events. Raises Fail: `start.too-many-readers`."""
        limits = ((f"launch/{number}", PER_LAUNCH), (visitor, PER_VISITOR), ("all", IN_ALL))
        for what, most in limits:
            if self._taken[what, holds] >= most:
                seen = Evidence(f"readers of {what}", str(most))
                raise Fail(TOO_MANY_READERS(f"{most} follow {_words(what, visitor)} already", seen, after=AGAIN))
        return Seat(self._taken, tuple((what, holds) for what, _ in limits))


def _words(what: str, visitor: str) -> str:
    return "launches from your address" if what == visitor else "launches" if what == "all" else "this launch"
