"""Why a launch failed, where the machine beneath it can say; and the failure itself where it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.doctor.own import diagnosis
from perijove.doctor.own.explaining import BY, explained, may_be
from perijove.domain import failures as rows
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.egress_failures import HOST_SILENT
from perijove.domain.failures import Evidence, Failure, Kind
from perijove.domain.ground import Own
from perijove.domain.server_failures import SERVER_CRASHED, SERVER_TOO_SLOW
from perijove.domain.service_failures import NAMES_UNRESOLVED
from tests.unit.doctor.own.test_own import NO_ANSWER, NOW, ROOM, WELL, reaching, with_ground

SWITCH = Evidence("user.max_user_namespaces", "0")
OFF = with_ground(sandbox=rows.NAMESPACES_FORBIDDEN("off", SWITCH))
FULL = with_ground(room=replace(ROOM, disk=0))
BACK = replace(WELL, now=NOW - 3 * 86400)
CRASHED = rows.SANDBOX_FAILED("bubblewrap could not set it up", Evidence("bwrap", "No space left on device"))


def test_the_machine_s_finding_is_told_in_place_of_what_it_brought_about() -> None:
    told = explained(CRASHED, OFF)
    assert told.kind is rows.NAMESPACES_FORBIDDEN
    ended = Evidence("the launch ended with", "start.sandbox-failed: bubblewrap could not set it up")
    assert told.evidence == (SWITCH, ended, *CRASHED.evidence)


def test_what_the_doctor_would_have_one_run_stands_in_the_remedy() -> None:
    assert "`perijove clean`" in explained(rows.INSTALL_FAILED("uv ended"), FULL).remedy


@pytest.mark.parametrize(
    ("failure", "own", "kind"),
    [
        (rows.INSTALL_FAILED("uv ended"), FULL, rows.DISK_FULL),
        (rows.HOST_UNREACHABLE("no TLS"), BACK, CLOCK_WRONG),
        (SERVER_CRASHED("status 1"), FULL, rows.DISK_FULL),
        (rows.BUG("KeyError"), FULL, rows.DISK_FULL),
        (rows.BUILD_BROKE("gcc ended"), FULL, rows.DISK_FULL),
        (rows.POST_BUILD_FAILED("status 1"), FULL, rows.DISK_FULL),
        (rows.TOO_SLOW("600 s"), FULL, rows.DISK_FULL),
        (HOST_SILENT("no TLS"), BACK, CLOCK_WRONG),
    ],
    ids=lambda value: value.kind.code if isinstance(value, Failure) else getattr(value, "code", ""),
)
def test_each_is_explained_by_what_can_bring_it_about(failure: Failure, own: Own, kind: Kind) -> None:
    assert explained(failure, own).kind is kind


@pytest.mark.parametrize(
    ("failure", "own"),
    [
        (CRASHED, WELL),
        (rows.REPO_NOT_FOUND("no such repository"), OFF),
        (SERVER_CRASHED("status 1"), OFF),
        (rows.HOST_UNREACHABLE("no TLS"), OFF),
        (SERVER_TOO_SLOW("60 s"), with_ground(room=replace(ROOM, memory=1 << 20))),
    ],
    ids=["a healthy machine", "says it itself", "not by that", "not by that either", "foreseen, and not so yet"],
)
def test_what_the_machine_does_not_explain_is_told_as_it_is(failure: Failure, own: Own) -> None:
    assert explained(failure, own) == failure


def test_a_moment_s_silence_takes_no_author_s_failure_away() -> None:
    """One lost packet while the machine was looked at, and a script that is wrong was the resolver's fault."""
    silent = reaching(replace(NO_ANSWER, words="no answer within 3 s"))
    assert explained(rows.HOST_UNREACHABLE("no TLS"), silent).kind is NAMES_UNRESOLVED
    assert explained(rows.POST_BUILD_FAILED("status 1"), reaching(NO_ANSWER)).kind is NAMES_UNRESOLVED
    told = explained(rows.POST_BUILD_FAILED("status 1"), silent)
    assert told.kind is rows.POST_BUILD_FAILED
    assert "no answer within 3 s" in {one.saw for one in told.evidence}


def test_what_says_itself_what_broke_costs_no_look() -> None:
    assert not may_be(rows.REPO_NOT_FOUND("no such repository"))
    assert may_be(CRASHED)


def test_every_reason_is_a_check_and_every_failure_a_row() -> None:
    assert {name for names in BY.values() for name in names} <= {check.name for check in diagnosis.CHECKS}
    assert set(BY) <= set(rows.CATALOGUE)
