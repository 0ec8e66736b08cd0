"""What of a launch is told over the wire? In: the journal. Out: frames, encoded once for all who read the same.

A launch is told in chunks that begin where the one before ended, so that readers who come at any time find the same
ones. The least recently read are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from perijove.domain.events import Built, Entry, Ready
from perijove.journal import BATCH, Journal, ends
from perijove.launching.launches import subject
from perijove.web import stream
from perijove.web.stream import Reader

KEPT = 32 * 1024**2
"""Bytes of all chunks that are kept."""
OVERHEAD = 200
"""Bytes of a frame beside its text."""

Frame = bytes | Callable[[Reader], bytes]
"""What is told to all, or to each reader by the address at which they reached us."""
Key = tuple[str, str, bool, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of a launch's frames, each with its seq."""

    frames: tuple[tuple[int, Frame], ...]
    last: int
    """The seq of the last entry read for it."""
    full: bool
    """More may follow at once."""
    over: bool
    """Nothing follows."""

    def told(self, reader: Reader, after: int) -> bytes:
        """Those after `after`, for this reader."""
        return b"".join(
            frame if isinstance(frame, bytes) else frame(reader) for seq, frame in self.frames if seq > after
        )

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(OVERHEAD + (len(frame) if isinstance(frame, bytes) else 0) for _, frame in self.frames)


class Frames:
    """The chunks of all launches that are read."""

    def __init__(self, journal: Journal, kept: int = KEPT) -> None:
        self._journal = journal
        self._kept = kept
        self._chunks: OrderedDict[Key, Chunk] = OrderedDict()
        self.size = 0
        """Bytes of all chunks, about."""
        self._growing: dict[str, set[Key]] = defaultdict(set)
        journal.listeners.append(self._heard)

    def chunk(self, reader: Reader, after: int) -> Chunk:
        """What follows the chunk that ended with `after`, for readers who are told as much as this one."""
        name = subject(reader.number)
        key = (name, reader.key, reader.log, after)
        if found := self._chunks.get(key):
            self._chunks.move_to_end(key)
            return found
        chunk = self._encoded(reader, after)
        self._chunks[key] = chunk
        self.size += chunk.size
        if not (chunk.full or chunk.over):
            self._growing[name].add(key)
        while self.size > self._kept and len(self._chunks) > 1:
            self._forget(next(iter(self._chunks)))
        return chunk

    def _encoded(self, reader: Reader, after: int) -> Chunk:
        entries = self._journal.read(subject(reader.number), after)
        frames = [(entry.seq, self._frame(entry, reader)) for entry in entries]
        last, over = (entries[-1].seq, ends(entries[-1].event)) if entries else (after, False)
        return Chunk(tuple(one for one in frames if one[1]), last, len(entries) >= BATCH, over)

    def _frame(self, entry: Entry, reader: Reader) -> Frame:
        known = stream.Known()
        if not isinstance(entry.event, (Built, Ready)):
            return stream.frame(entry, known, reader)
        for step in self._journal.ledger.steps(subject(reader.number)):
            known = stream.learn(known, step.event)
        return partial(stream.frame, entry, known)

    def _heard(self, entry: Entry) -> None:
        for key in tuple(self._growing.get(entry.subject, ())):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self.size -= self._chunks.pop(key).size
        self._growing[key[0]].discard(key)
        if not self._growing[key[0]]:
            del self._growing[key[0]]
