"""Times and names in words, for sentences: `12 s`, `2026-12-01 14:03 UTC`, `a, b, c and 7 more`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def span(seconds: float) -> str:
    """A duration in its two largest digits or so: `12 s`, `4 min`, `3 h`, `61 d`."""
    seconds = max(0.0, seconds)
    for unit, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds:.0f} s"


def moment(at: float) -> str:
    """A point in time to the minute, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first ones by name."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
