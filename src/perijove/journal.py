"""Run a way to its end, write each event down, let any number of readers follow.

In: the events of a way. Out: entries, to whoever reads a subject, from any point and for as long as they like.
A reader that leaves stops nothing; one that returns starts nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

from perijove.domain.events import Entry, Event, Failed, Terminal
from perijove.domain.failures import Fail, Failure
from perijove.domain.ports import Clock, Ledger

BATCH = 500
"""Entries read at once."""


def ends(event: Event) -> bool:
    """Whether nothing follows this event in its subject."""
    return isinstance(event, Terminal)


class Journal:
    """The one place where events are written and read."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self._clock = clock
        self._written: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._unwritten: dict[str, Failure] = {}
        """Subjects whose last event could not be written down, and why."""
        self.listeners: list[Callable[[Entry], object]] = []
        """Called with each entry as soon as it stands; they must not raise."""

    def append(self, subject: str, event: Event) -> Entry:
        """Write an event down and wake its readers. Raises Fail: `platform.disk-full`."""
        try:
            entry = self.ledger.append(subject, self._clock.now(), event)
        except Fail as error:
            self._unwritten[subject] = error.failure
            raise
        else:
            self._unwritten.pop(subject, None)
        finally:
            for bell in self._written.get(subject, ()):
                bell.set()
        for listener in self.listeners:
            listener(entry)
        return entry

    def read(self, subject: str, after: int = 0, limit: int = BATCH) -> Sequence[Entry]:
        """Entries of a subject with a higher seq, in order."""
        return self.ledger.read(subject, after, limit)

    def at(self, seq: int) -> Entry | None:
        """The entry with this seq."""
        return self.ledger.at(seq)

    async def follow(self, subject: str, after: int = 0) -> AsyncIterator[Entry]:
        """A subject's entries after `after`, those to come included; ends after its terminal event.

        A subject that can no longer be written down ends, for those who follow it, with why.
        """
        bell = asyncio.Event()
        self._written[subject].add(bell)
        try:
            while True:
                bell.clear()
                for entry in self.read(subject, after):
                    after = entry.seq
                    yield entry
                    if ends(entry.event):
                        return
                if not self.read(subject, after, 1):
                    if self._over(subject, after):
                        return
                    if subject in self._unwritten:
                        yield Entry(after, self._clock.now(), subject, Failed(self._unwritten[subject]))
                        return
                    await bell.wait()
        finally:
            self._written[subject].discard(bell)
            if not self._written[subject]:
                del self._written[subject]

    def _over(self, subject: str, after: int) -> bool:
        """Whether the reader had seen the terminal event before it came back."""
        last = self.at(after) if after else None
        return last is not None and last.subject == subject and ends(last.event)
