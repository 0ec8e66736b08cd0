"""What is kept of a log: its first part, how much was left out, its last lines. In: items with sizes. No I/O.

Who writes it may say whatever they like, for as long as they like: it never takes more than its limit.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")
LINE = 2000
"""Characters of a line that are kept."""
TAIL = 16
"""Which part of a log's size is for its last lines: a sixteenth."""
CUT = "… (the log grows too long; from here on only its last lines are kept)"


def clean(line: str) -> str:
    """A stranger's line as it may be kept and shown in a terminal: bounded, no control characters."""
    kept = line if len(line) <= LINE else f"{line[: LINE - 1]}…"
    if not kept.isprintable():
        kept = "".join(c if c.isprintable() or c == "\t" else " " for c in kept)
    return kept.rstrip()


class BoundedLog(Generic[T]):
    """A log of at most `most` bytes, of which `spent` are taken already."""

    def __init__(self, most: int, spent: int = 0) -> None:
        self._left, self._room = most - most // TAIL - spent, most // TAIL
        self._last: deque[tuple[T, int]] = deque()
        self._held = self._lines = self._bytes = 0
        self.cut = False
        """Whether anything was held back."""

    def takes(self, item: T, size: int) -> bool:
        """Whether it belongs to the first part; else it is held back, for as long as it is among the last."""
        if not self.cut and size <= self._left:
            self._left -= size
            return True
        self.cut = True
        self._last.append((item, size))
        self._held += size
        while self._held > self._room and len(self._last) > 1:
            _, gone = self._last.popleft()
            self._held -= gone
            self._lines, self._bytes = self._lines + 1, self._bytes + gone
        return False

    def rest(self) -> tuple[str, list[T]]:
        """How much was left out, in words, and the last lines; to be asked once, at the log's end."""
        return f"… {self._lines:,} lines of {self._bytes:,} bytes are left out here", [item for item, _ in self._last]
