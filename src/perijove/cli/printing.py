"""How things look in a terminal. In: JSON values of the admin API. Out: rich renderables and printed lines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from perijove.domain.failures import Failure, Owner

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

OWNERS = {
    Owner.VISITOR: "you",
    Owner.AUTHOR: "the repository's author",
    Owner.OPERATOR: "whoever runs this service",
    Owner.UPSTREAM: "somebody else's service",
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


def as_json(value: Any) -> None:
    """Print a value for programs."""
    out.print(json.dumps(value, ensure_ascii=False, indent=2), markup=False)


def as_yaml(value: Any) -> None:
    """Print a value as people and programs both read it."""
    import yaml  # noqa: PLC0415  imported late: few ask for it, and it takes as long as a table

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    out.print(text, markup=False, end="")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> RenderableType:
    """Columns as operators know them from kubectl: capitals, three spaces apart, no frames, never cut."""
    cells = [columns, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return Text("\n".join(indent + aligned(row, widths) for row in cells))


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


def size(count: int | None) -> str:
    """`12M`, `1.5G` for bytes; `-` for none."""
    if count is None:
        return "-"
    if count >= 1024**3:
        return f"{count / 1024**3:.1f}G"
    return f"{count // 1024**2}M" if count >= 1024**2 else f"{count // 1024}K"
