"""How things look in a terminal. In: JSON values of the admin API. Out: rich renderables and printed lines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from perijove.domain.failures import Failure, Owner

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

OWNERS = {
    Owner.VISITOR: "you",
    Owner.AUTHOR: "the repository's author",
    Owner.OPERATOR: "whoever runs this service",
    Owner.UPSTREAM: "somebody else's service",
    Owner.US: "Perijove's makers",
}


def failure(what: Failure) -> RenderableType:
    """Title, cause, evidence, who can help, remedy, code."""
    head = Text.assemble(("✗ ", "bold red"), (what.kind.title, "bold"), ": ", what.cause.rstrip("."), ".")
    seen = [Text.assemble((f"    {one.where}: ", "dim"), one.saw.replace("\n", "\n      ")) for one in what.evidence]
    foot = Text(f"  {what.kind.code} · can be put right by {OWNERS[what.kind.owner]}", "dim")
    return Group(head, Text(f"  {what.remedy}"), *seen, foot)


def as_json(value: Any) -> None:
    """Print a value for programs."""
    out.print(json.dumps(value, ensure_ascii=False, indent=2), markup=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Columns as operators know them from kubectl: capitals, three spaces apart, no frames, never cut."""
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (columns, *rows)]
    return Text("\n".join(line.rstrip() for line in lines))


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
