"""Run a way to its end, write each event down, let any number of readers follow.

In: the events of a way. Out: entries, to whoever reads a subject, from any point and for as long as they like.
A reader that leaves stops nothing; one that returns starts nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from perijove.domain.bounded_log import CUT, BoundedLog, clean_colours
from perijove.domain.events import Entry, Event, Failed, Logged, SessionLogged, SessionTroubled, Terminal
from perijove.domain.failures import Fail, Failure
from perijove.domain.ports import Clock, Ledger
from perijove.domain.settings import JournalSettings

BATCH = 500
"""Entries read at once."""
ROW = 150
"""Bytes that an entry takes in the journal beside its words."""
COLOUR = 15
"""Of each change of a line's colours."""
Said = Logged | SessionLogged | SessionTroubled
"""What strangers make happen, as often as they like."""


def ends(event: Event) -> bool:
    """Whether nothing follows this event in its subject."""
    return isinstance(event, Terminal)


class Journal:
    """The one place where events are written and read."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Callable[[], JournalSettings] = JournalSettings) -> None:
        self.ledger = ledger
        self._clock = clock
        self._settings = settings
        self._logs: dict[str, dict[type[Said], BoundedLog[Said]]] = defaultdict(dict)
        """What was said so far in the subjects that go on."""
        self._written: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._unwritten: dict[str, Failure] = {}
        """Subjects whose last event could not be written down, and why."""
        self.listeners: list[Callable[[Entry], object]] = []
        """Called with each entry as soon as it stands; they must not raise."""

    def append(self, subject: str, event: Event) -> None:
        """Write an event down and wake its readers. Raises Fail, as `Ledger` does.

        Of a log that is too long the first part is written, and the last lines with the subject's end.
        """
        if isinstance(event, Said):
            self._say(subject, event)
            return
        if ends(event):
            for log in self._logs.pop(subject, {}).values():
                if log.cut:
                    left_out, last = log.rest()
                    for one in (_line(last[-1], left_out), *last):
                        self._write(subject, one)
        self._write(subject, event)

    def _say(self, subject: str, event: Said) -> None:
        if not isinstance(event, SessionTroubled):
            line, colours = clean_colours(event.line)
            event = replace(event, line=line, colours=colours or event.colours)
        logs, kind = self._logs[subject], type(event)
        if kind not in logs:
            spent = 0 if kind is SessionTroubled else self.ledger.size(subject, ROW)
            logs[kind] = BoundedLog(self._settings().log_size, spent)
        log, cut = logs[kind], logs[kind].cut
        if log.takes(event, _size(event)):
            self._write(subject, event)
        elif not cut:
            self._write(subject, _line(event, CUT))

    def _write(self, subject: str, event: Event) -> None:
        try:
            entry = self.ledger.append(subject, self._clock.now(), event)
        except Fail as error:
            self._unwritten[subject] = error.failure
            raise
        else:
            self._unwritten.pop(subject, None)
        finally:
            self.wake(subject)
        for listener in self.listeners:
            listener(entry)

    def wake(self, subject: str) -> None:
        """Have a subject's readers look again."""
        for bell in self._written.get(subject, ()):
            bell.set()

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
        with self.bell(subject) as bell:
            while True:
                bell.clear()
                try:
                    entries = self.read(subject, after)
                except Fail as error:
                    yield Entry(after, self._clock.now(), subject, Failed(error.failure))
                    return
                for entry in entries:
                    after = entry.seq
                    yield entry
                    if ends(entry.event):
                        return
                if not self.read(subject, after, 1):
                    if self._over(subject, after):
                        return
                    if failure := self.unwritten(subject):
                        yield Entry(after, self._clock.now(), subject, Failed(failure))
                        return
                    await bell.wait()

    @contextmanager
    def bell(self, subject: str) -> Iterator[asyncio.Event]:
        """Rings whenever an entry of a subject was written down or could not be."""
        bell = asyncio.Event()
        self._written[subject].add(bell)
        try:
            yield bell
        finally:
            self._written[subject].discard(bell)
            if not self._written[subject]:
                del self._written[subject]

    def unwritten(self, subject: str) -> Failure | None:
        """Why the last event of a subject is not in the journal; None where it is."""
        return self._unwritten.get(subject)

    def _over(self, subject: str, after: int) -> bool:
        """Whether the reader had seen the terminal event before it came back, or what it saw is no longer kept."""
        if not after:
            return False
        last = self.at(after)
        return last is None or (last.subject == subject and ends(last.event))


def _line(beside: Said, words: str) -> Logged | SessionLogged:
    """A line of ours in the same log."""
    return Logged(beside.phase, words) if isinstance(beside, Logged) else SessionLogged(beside.session, words)


def _size(event: Said) -> int:
    """Bytes that it takes in the journal."""
    if isinstance(event, SessionTroubled):
        failure = event.failure
        return ROW + len("".join((failure.message, *(one.saw for one in failure.evidence))).encode())
    return ROW + len(event.line.encode()) + COLOUR * len(event.colours)
