"""What was measured, and how it is shown. Pure: numbers in, a table or JSON out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity, measured so often as there are values, and the same of the peer where it has such a thing."""

    what: str
    values: Sequence[float]
    peer: Sequence[float] = ()
    target: float | None = None
    """What we want to reach; never asserted."""
    unit: str = "s"


@dataclass(slots=True)
class Part:
    """Rows that belong together."""

    name: str
    title: str
    peer: str = ""
    """Whom `Row.peer` was measured of."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation; `share` from 0 to 1."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def ratio(row: Row) -> float | None:
    """How many times ours the peer's median is; None without a peer."""
    if not row.values or not row.peer or not statistics.median(row.values):
        return None
    return statistics.median(row.peer) / statistics.median(row.values)


def table(part: Part) -> Table:
    """For people."""
    shown = Table(title=f"{part.title}", title_justify="left", title_style="bold", min_width=100)
    shown.add_column("")
    for heading in ("n", "median", "p95", "target"):
        shown.add_column(heading, justify="right")
    if part.peer:
        for heading in (part.peer, "p95", "ratio"):
            shown.add_column(heading, justify="right")
    for row in part.rows:
        cells = [row.what, str(len(row.values)), *_pair(row.values, row.unit), _target(row)]
        if part.peer:
            times = ratio(row)
            cells += [*_pair(row.peer, row.unit), f"{times:.2f} x" if times else ""]
        shown.add_row(*cells)
    return shown


def _pair(values: Sequence[float], unit: str) -> tuple[str, str]:
    if not values:
        return "", ""
    return _number(statistics.median(values), unit), _number(percentile(values, 0.95), unit) if len(values) > 1 else ""


def _number(value: float, unit: str) -> str:
    return f"{value:.3f}" if unit == "s" else f"{value:.1f} {unit}" if unit else f"{value:.0f}"


def _target(row: Row) -> str:
    if row.target is None or not row.values:
        return ""
    met = statistics.median(row.values) <= row.target
    return f"{'' if met else 'not '}≤ {row.target:g}"


def as_json(part: Part) -> dict[str, Any]:
    """For programs: every single value."""
    rows = [
        {
            "what": row.what,
            "unit": row.unit,
            "values": [round(value, 4) for value in row.values],
            "peer": [round(value, 4) for value in row.peer],
            "target": row.target,
            "median": statistics.median(row.values) if row.values else None,
            "p95": percentile(row.values, 0.95) if row.values else None,
            "peer_median": statistics.median(row.peer) if row.peer else None,
            "peer_p95": percentile(row.peer, 0.95) if row.peer else None,
        }
        for row in part.rows
    ]
    return {"name": part.name, "title": part.title, "peer": part.peer, "rows": rows, "notes": part.notes}
