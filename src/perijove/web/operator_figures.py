"""What do launches and certificates come to? In: what is known of them. Out: outcomes, bars, lines over time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from perijove.certifying.records import CertificateRecord
from perijove.domain.events import Phase
from perijove.domain.failures import Kind
from perijove.launching.launches import Launch

HOURS = 24
SLOWEST = 5
HEIGHT = 60
"""Of the highest bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour: how many launches began in it, and how high they stand in a plot."""

    hours_ago: int
    well: int
    failed: int
    well_height: float
    failed_height: float


WIDTH = 300
"""Of a certificate's line of time."""


@dataclass(frozen=True, slots=True)
class Line:
    """A certificate's time, from left to right; all certificates have one scale."""

    record: CertificateRecord
    begins: float
    ends: float
    renewed: float | None
    """When it will be; None where nobody knows."""
    now: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All of them."""

    launches: int
    well: int
    codes: tuple[tuple[Kind, int], ...]
    bars: tuple[Bar, ...]
    slowest: tuple[tuple[Launch, float], ...]
    """Builds, with their seconds."""


def figures(launches: Sequence[Launch], now: float) -> Figures:
    """Of these launches, those that are over."""
    over = [launch for launch in launches if launch.ended_at is not None]
    failed = [launch.failure.kind for launch in over if launch.failure]
    codes = Counter(kind.code for kind in failed)
    kinds = {kind.code: kind for kind in failed}
    return Figures(
        len(over),
        len(over) - len(failed),
        tuple((kinds[code], count) for code, count in codes.most_common()),
        _bars(over, now),
        tuple(sorted(_builds(over), key=lambda built: -built[1])[:SLOWEST]),
    )


def _bars(over: Sequence[Launch], now: float) -> tuple[Bar, ...]:
    counted = [[0, 0] for _ in range(HOURS)]
    for launch in over:
        hours = int((now - launch.started_at) // 3600)
        if 0 <= hours < HOURS:
            counted[hours][launch.failure is not None] += 1
    scale = HEIGHT / max(1, *(sum(pair) for pair in counted))
    return tuple(
        Bar(hours, well, bad, well * scale, bad * scale) for hours, (well, bad) in reversed(list(enumerate(counted)))
    )


def _builds(over: Sequence[Launch]) -> list[tuple[Launch, float]]:
    found = []
    for launch in over:
        began = dict(launch.stages)
        if launch.builds and Phase.BUILDING in began:
            found.append((launch, began.get(Phase.LAUNCHING, launch.ended_at or 0.0) - began[Phase.BUILDING]))
    return found


def lines(records: Sequence[CertificateRecord], now: float) -> tuple[Line, ...]:
    """Of certificates, whether they are there or not."""
    there = [one.secret for one in records if one.secret]
    first = min((now, *(one.not_before for one in there)))
    last = max((now, *(one.not_after for one in there), *(one.renewal_at for one in records)))

    def at(moment: float) -> float:
        return round(WIDTH * (moment - first) / max(1, last - first), 1)

    return tuple(
        Line(
            one,
            at(one.secret.not_before if one.secret else now),
            at(one.secret.not_after if one.secret else now),
            at(max(now, one.renewal_at)) if one.renewal_at else None,
            at(now),
        )
        for one in records
    )
