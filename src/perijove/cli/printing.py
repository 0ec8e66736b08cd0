"""How things look in a terminal. In: JSON values of the admin API. Out: rich renderables and printed lines."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.text import Text

from perijove.domain.bounded_log import Colours
from perijove.domain.failures import Failure, Owner
from perijove.log import log

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
PATIENCE = 1.0
"""Seconds that nobody has to be told anything."""
_ONE = threading.Lock()
"""A terminal shows one thing that goes on."""
LEAST = 12
"""Columns that a cell keeps, however narrow the terminal is."""


def any_encoding() -> None:
    """Have standard output and error write a question mark for what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def writes_all() -> bool:
    """Whether standard output can write every character."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def width() -> int | None:
    """Columns of the terminal; None where standard output is none, and nothing is to be shortened."""
    return out.width if out.is_terminal else None


OWNERS = {
    Owner.VISITOR: "you",
    Owner.AUTHOR: "the repository's author",
    Owner.OPERATOR: "whoever runs this service",
    Owner.UPSTREAM: "whoever runs the other service",
    Owner.US: "Perijove's makers",
}


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text from outside: what would command a terminal, or turn its letters around, is shown and not obeyed."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def failure(what: Failure) -> RenderableType:
    """Title, cause, evidence, who can help, remedy, code."""
    head = Text.assemble(("✗ ", "bold red"), (what.kind.title, "bold"), ": ", plain(what.cause).rstrip("."), ".")
    return Group(head, Text(f"  {plain(what.remedy)}"), seen(what))


def seen(what: Failure) -> RenderableType:
    """Evidence, code, who can help."""
    lines = [
        Text.assemble((f"    {plain(one.where)}: ", "dim"), plain(one.saw).replace("\n", "\n      "))
        for one in what.evidence
    ]
    return Group(*lines, Text(f"  {what.kind.code} · can be put right by {OWNERS[what.kind.owner]}", "dim"))


@contextmanager
def patience(words: str) -> Iterator[None]:
    """Shows that something goes on where it takes longer than a moment and somebody watches."""
    if not (err.is_terminal and _ONE.acquire(blocking=False)):
        yield
        return
    status = err.status(Text(f"{plain(words)}…", "dim"))
    soon = threading.Timer(PATIENCE, status.start)
    soon.daemon = True
    soon.start()
    try:
        yield
    finally:
        soon.cancel()
        soon.join()
        status.stop()
        _ONE.release()


class MovingLine:
    """One line that changes while something goes on, where a terminal can show it."""

    def __init__(self) -> None:
        self.status = out.status("") if out.is_terminal else None

    def __enter__(self) -> Self:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()

    def moved(self, text: str) -> bool:
        """Have it say so; False where none can move."""
        if self.status:
            self.status.update(Text(text[: out.width - 4], "dim"))
        return self.status is not None


def say(text: str, *, level: str = "info", style: str = "") -> None:
    """What the service says of itself: to a terminal, lost where that hung up; else as a line of the log."""
    if err.is_terminal:
        with suppress(OSError):
            err.print(Text(text, style))
    else:
        getattr(log, level)(text.strip())


def coloured(line: str, colours: Colours) -> Text:
    """A line of a log; in colours where a terminal shows it."""
    text = Text(line)
    for (at, look), (end, _) in pairwise([*colours, (len(line), "")]):
        codes = [int(code) for code in look.split(";") if code]
        numbers = [code - 30 if code < 40 else code - 82 for code in codes if code != 1]
        text.stylize(Style(bold=1 in codes, color=f"color({numbers[0]})" if numbers else None), at, end)
    return text


def as_json(value: Any) -> None:
    """Print a value for programs."""
    out.print(json.dumps(value, ensure_ascii=not writes_all(), indent=2), markup=False)


def as_yaml(value: Any) -> None:
    """Print a value as people and programs both read it."""
    import yaml  # noqa: PLC0415  imported late: few ask for it, and it takes as long as a table

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=writes_all(), width=10_000)
    out.print(text, markup=False, end="")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "", width: int | None = None
) -> RenderableType:
    """Columns as operators know them from kubectl: capitals, three spaces apart, no frames; shortened to `width`."""
    cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    fitting = widths(cells, width)
    short = [[_shortened(cell, wide) for cell, wide in zip(row, fitting, strict=True)] for row in cells]
    return Text("\n".join(indent + aligned(row, fitting) for row in short))


def _shortened(text: str, wide: int) -> str:
    return text if len(text) <= wide else f"{text[: wide - 1]}…"


def widths(cells: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """How wide each column is; where there is less room, the widest but the first, which names things, give way."""
    wide = [max(len(one_line(cell)) for cell in column) for column in zip(*cells, strict=True)]
    while room is not None and sum(wide) + 3 * (len(wide) - 1) > room and max(wide[1:], default=0) > LEAST:
        wide[wide.index(max(wide[1:]), 1)] -= 1
    return wide


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A table's row."""
    return "   ".join(one_line(cell).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def one_line(text: str) -> str:
    """A cell's text: whatever stands in it, one line."""
    return " ".join(plain(text).split()) if "\n" in text or "\t" in text else plain(text)


def at(moment: str | None) -> float | None:
    """Unix seconds of a time as JSON tells it; None for none."""
    return datetime.fromisoformat(moment).timestamp() if moment else None


def age(since: float | None) -> str:
    """`45s`, `12m`, `3h`, `5d` since a moment; `-` for none."""
    if not since:
        return "-"
    seconds = max(0, int(time.time() - since))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length or (unit == "d" and seconds >= length):
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def moment(seconds: float) -> str:
    """`2026-12-01 14:03:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def local(at: float | None) -> str:
    """`Mon 2027-01-11 09:30`, by this machine's local time; `-` for none."""
    return datetime.fromtimestamp(at).strftime("%a %Y-%m-%d %H:%M") if at else "-"  # noqa: DTZ006


def size(count: int | None) -> str:
    """`12M`, `1.5G` for bytes; `-` for none."""
    if count is None:
        return "-"
    if count >= 1024**3:
        return f"{count / 1024**3:.1f}G"
    return f"{count // 1024**2}M" if count >= 1024**2 else f"{count // 1024}K"
