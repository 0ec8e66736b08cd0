"""What is kept of a log: its first part, how much was left out, its last lines. In: items with sizes. No I/O.

Who writes it may say whatever they like, for as long as they like: it never takes more than its limit.
"""

from __future__ import annotations

import re
from collections import deque
from typing import AnyStr, Generic, TypeVar

from perijove.domain.sizes import size

T = TypeVar("T")
LINE = 2000
"""Characters of a line that are kept."""
COLOURS = 100
"""Changes of a line's colours that are kept."""
TAIL = 16
"""Which part of a log's size is for its last lines: a sixteenth."""
CUT = "… (the log grows too long; from here on only its last lines are kept)"


_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, and the cursor moved
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|[ -/]*[0-~])"
)
"""What a terminal does with a line and does not show (ECMA-48, 5.4 and 8.3)."""


_SGR = re.compile(r"\x1b\[([0-9;]{0,40})m")
"""Select graphic rendition (ECMA-48, 8.3.117)."""
_BOLD, _NOT_BOLD, _DEFAULT, _LONGER = "1", ("", "22"), ("", "39"), ("38", "48", "58")
_FOREGROUND = frozenset(str(code) for code in (*range(30, 38), *range(90, 98)))

Colours = tuple[tuple[int, str], ...]
"""From which character of a line on it looks how: `1` is bold, 30 to 37 and 90 to 97 colours (`1;31`), `` plain."""


def overwritten(line: AnyStr) -> AnyStr:
    """What a terminal shows in the end of a line that is written over again and again, as progress is."""
    end = "\r" if isinstance(line, str) else b"\r"
    return line.rstrip(end).rpartition(end)[2]


def clean(line: str) -> str:
    """A stranger's line as it may be kept and shown in a terminal: bounded, no control characters."""
    return clean_colours(line)[0]


def clean_colours(line: str) -> tuple[str, Colours]:
    """The same, and the colours that a terminal would have shown of it."""
    line = overwritten(line)
    kept = line if len(line) <= LINE else f"{line[: LINE - 1]}…"
    if kept.isprintable():
        return kept.rstrip(), ()
    text, colours, read = "", [(0, "")], 0
    for found in _ESCAPES.finditer(kept):
        text += _printable(kept[read : found.start()])
        read = found.end()
        if (sgr := _SGR.fullmatch(found[0])) and len(colours) < COLOURS:
            look = _look(colours[-1][1], sgr[1]) if len(colours) < COLOURS - 1 else ""
            _change(colours, len(text), look)
    text = (text + _printable(kept[read:])).rstrip()
    return text, tuple((at, look) for at, look in colours[colours[0] == (0, "") :] if at < len(text))


def _change(colours: list[tuple[int, str]], at: int, look: str) -> None:
    if colours[-1][0] == at:
        colours.pop()
    if not colours or colours[-1][1] != look:
        colours.append((at, look))


def _look(before: str, codes: str) -> str:
    """How text looks after such a sequence. Backgrounds, and what of all colours may be named, are left out."""
    bold, colour = before.startswith(_BOLD), before.removeprefix(_BOLD).removeprefix(";")
    for code in (part.lstrip("0") for part in codes.split(";")):
        if code in _LONGER:  # its own parameters follow
            break
        bold = code == _BOLD or (bold and code not in _NOT_BOLD)
        colour = code if code in _FOREGROUND else "" if code in _DEFAULT else colour
    return ";".join(filter(None, (_BOLD * bold, colour)))


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\t" else " " for c in text)


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
        return f"… {self._lines:,} lines of {size(self._bytes)} are left out here", [item for item, _ in self._last]
