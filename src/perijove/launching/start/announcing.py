"""What does the operator tell everybody now? In: words, and for how long. Out: the same until then, restarts or not."""

from __future__ import annotations

from perijove.domain.events import Announced
from perijove.domain.ports import Clock
from perijove.journal import Journal

SUBJECT = "operator/message"
"""In the journal."""
LONGEST = 300
"""Characters."""


class Announcing:
    """One message at a time; the journal keeps it."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        told = [entry.event for entry in journal.ledger.steps(SUBJECT) if isinstance(entry.event, Announced)]
        self._last = told[-1] if told else None

    @property
    def now(self) -> Announced | None:
        """None where nothing is told, or no longer."""
        return self._last if self._last and self._last.text and self._clock.now() < self._last.until else None

    def say(self, words: str, seconds: float) -> None:
        """Tell it in the place of what was told before; nothing with ``. Raises Fail, as `Journal.append` does."""
        now = self._clock.now()
        told = Announced(" ".join(words.split())[:LONGEST], now, now + seconds)
        self._journal.append(SUBJECT, told)
        self._last = told
