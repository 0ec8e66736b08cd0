"""How long must whoever waits for a start wait? In: how long starts took of late. Out: seconds, or nothing. Pure.

It is told to people, so it is only said where it rests on something: on places that came free a short while ago.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

REMEMBERED = 600.0
"""Seconds after which a start says nothing any more about the next one: the machine is busy with other things then."""
KNOWN = 20
"""Starts that are remembered."""
FEWEST = 3
"""Starts from which on something is said: one alone may have been anything."""


@dataclass(slots=True)
class Turnover:
    """How long places were held, of late."""

    _held: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KNOWN))
    """When each came free, and for how many seconds it was held."""

    def freed(self, now: float, seconds: float) -> None:
        """A place came free that was held for so long."""
        self._held.append((now, seconds))

    def wait(self, position: int, places: int, now: float) -> float | None:
        """Seconds until the one at `position` (1 is next) is let in, where so many places are held now."""
        recent = [seconds for at, seconds in self._held if now - at <= REMEMBERED]
        if len(recent) < FEWEST or not places:
            return None
        return position * median(recent) / places
