"""How much of the disk was free, hour by hour: what a forecast rests on. In: a file of ours. Out: samples.

A line a sample, `UNIX-SECONDS FREE-BYTES`, the last ones kept. What cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from perijove import durable
from perijove.domain.ground import FreeThen

KEPT = 24 * 14
"""Samples: two weeks of hours."""
APART = 1800.0
"""Seconds that lie between two samples at least, however often the service starts."""


def read(path: Path) -> tuple[FreeThen, ...]:
    """The oldest first. Raises OSError, but not where there is none yet."""
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(one for line in lines if (one := _parsed(line)) is not None)


def add(path: Path, now: FreeThen) -> None:
    """Keep one more, unless the last is too fresh. Raises OSError."""
    before = read(path)
    if before and 0 <= now.at - before[-1].at < APART:
        return
    durable.write(path, _lines((*before, now)[-KEPT:]))


def _lines(samples: Sequence[FreeThen]) -> bytes:
    return "".join(f"{one.at:.0f} {one.disk}\n" for one in samples).encode()


def _parsed(line: str) -> FreeThen | None:
    match = re.fullmatch(r"([0-9]{1,15}) ([0-9]{1,18})", line)
    return FreeThen(float(match[1]), int(match[2])) if match else None
