"""Checks run in the order of their needs; what follows is folded under what it follows from."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from perijove.doctor.engine import Check, NotSeen, Outcome, Told, examine, folded
from perijove.domain.failures import DATA_PLANE_DOWN, DISK_FULL, PORT_TAKEN, Kind
from perijove.domain.findings import Confidence, Finding


def finding(kind: Kind, because: Kind | None = None, subject: str = "here") -> Finding:
    return Finding(kind("it is so"), subject, Confidence.CERTAIN, because.code if because else "")


def says(*findings: Finding, name: str = "one", needs: tuple[str, ...] = ()) -> Check[None]:
    return Check(name, f"Is {name} well?", lambda facts: findings, needs)


def test_a_check_without_findings_is_well_and_one_with_findings_is_ill() -> None:
    found = examine(None, [says(), says(finding(DISK_FULL), name="two")])
    assert [result.outcome for result in found.results] == [Outcome.WELL, Outcome.ILL]
    assert not found.well
    assert examine(None, [says()]).well


def test_a_check_whose_need_is_not_well_is_skipped_and_says_for_which() -> None:
    found = examine(
        None,
        [
            says(finding(DISK_FULL)),
            says(name="two", needs=("one",)),
            says(name="three", needs=("two",)),
            says(name="four"),
        ],
    )
    assert [(result.outcome, result.why_skipped) for result in found.results] == [
        (Outcome.ILL, ""),
        (Outcome.SKIPPED, "needs one"),
        (Outcome.SKIPPED, "needs two"),
        (Outcome.WELL, ""),
    ]


def test_a_check_that_has_nothing_to_look_at_is_not_well() -> None:
    def look(facts: None) -> Iterable[Finding]:
        raise NotSeen("no probes were recorded")

    (result,) = examine(None, [Check("one", "Is it?", look)]).results
    assert (result.outcome, result.why_skipped) == (Outcome.SKIPPED, "no probes were recorded")


def test_consequences_are_folded_under_their_root() -> None:
    root, middle, leaf = finding(DISK_FULL), finding(DATA_PLANE_DOWN, DISK_FULL), finding(PORT_TAKEN, DATA_PLANE_DOWN)
    assert folded([leaf, middle, root]) == (Told(root, (Told(middle, (Told(leaf),)),)),)


def test_what_nobody_explains_is_a_root() -> None:
    alone = finding(PORT_TAKEN, DISK_FULL)
    assert folded([alone]) == (Told(alone),)


def test_two_of_one_kind_are_both_told_and_the_first_explains() -> None:
    first, second = finding(DISK_FULL, subject="/a"), finding(DISK_FULL, subject="/b")
    after = finding(DATA_PLANE_DOWN, DISK_FULL)
    assert folded([first, second, after]) == (Told(first, (Told(after),)), Told(second))


def test_what_is_said_twice_is_told_once() -> None:
    assert folded([finding(DISK_FULL), finding(DISK_FULL)]) == (Told(finding(DISK_FULL)),)


@pytest.mark.parametrize("because", [DISK_FULL, DATA_PLANE_DOWN])
def test_a_circle_hides_nothing(because: Kind) -> None:
    one, two = finding(DISK_FULL, because), finding(DATA_PLANE_DOWN, DISK_FULL)
    assert {told.finding for told in folded([one, two])} >= {one}
    assert len(str(folded([one, two])).split("it is so")) == 3
