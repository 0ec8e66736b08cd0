"""What the last launches come to."""

from __future__ import annotations

from pathlib import Path

from perijove.domain import failures
from perijove.domain.events import Phase
from perijove.domain.failures import Failure
from perijove.launching.launches import Launch
from perijove.launching.resolve.address import from_launch_path
from perijove.web.operator_figures import HEIGHT, HOURS, SLOWEST, WIDTH, figures, lines
from tests.fakes.certificate_desk import SERVED, WAITING, records

NOW = 1_000_000.0


def launch(number: int, ago: float, failure: Failure | None = None, built: float = 0) -> Launch:
    began = NOW - ago
    stages = ((Phase.FETCHING, began), (Phase.BUILDING, began + 1), (Phase.LAUNCHING, began + 1 + built))
    return Launch(
        number, from_launch_path("gh/o/r/HEAD"), "x", "failed" if failure else "ready", began,
        failure=failure, ended_at=began + 9, stages=stages, builds=built > 0,
    )  # fmt: skip


def test_outcomes_are_counted_by_code_the_most_frequent_first() -> None:
    conflict, full = failures.CONFLICT("a"), failures.DISK_FULL("b")
    found = figures([launch(1, 5), launch(2, 5, full), launch(3, 5, conflict), launch(4, 5, conflict)], NOW)
    assert (found.launches, found.well) == (4, 1)
    assert [(kind.code, count) for kind, count in found.codes] == [("build.conflict", 2), ("platform.disk-full", 1)]


def test_hours_stand_in_their_order_and_the_highest_fills_the_plot() -> None:
    failed = failures.CONFLICT("a")
    found = figures([launch(1, 60), launch(2, 60, failed), launch(3, 3 * 3600 + 60), launch(4, HOURS * 3600 + 60)], NOW)
    assert [bar.hours_ago for bar in found.bars] == list(range(HOURS - 1, -1, -1))
    counted = {bar.hours_ago: (bar.well, bar.failed) for bar in found.bars if bar.well or bar.failed}
    assert counted == {0: (1, 1), 3: (1, 0)}
    assert max(bar.well_height + bar.failed_height for bar in found.bars) == HEIGHT


def test_only_what_was_really_built_counts_as_a_build() -> None:
    found = figures([launch(n, 5, built=n) for n in range(SLOWEST + 2)], NOW)
    assert [(one.number, seconds) for one, seconds in found.slowest] == [
        (n, float(n)) for n in range(SLOWEST + 1, 1, -1)
    ]


def test_nothing_comes_to_nothing() -> None:
    found = figures([], NOW)
    assert (found.launches, found.codes, found.slowest) == (0, (), ())
    assert all(bar.well_height == 0 for bar in found.bars)


def test_certificates_have_one_scale_of_time(tmp_path: Path) -> None:
    found = records(tmp_path, NOW)
    drawn = {line.record.name: line for line in lines(found, NOW)}
    there, waits = drawn[SERVED], drawn[WAITING]
    assert 0 == there.begins < there.now < (there.renewed or 0) < there.ends == WIDTH
    assert (waits.begins, waits.ends) == (waits.now, waits.now), "there is none yet"
    assert waits.now == there.now
    assert lines([], NOW) == ()
