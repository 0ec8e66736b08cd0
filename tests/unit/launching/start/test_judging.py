"""Which failure an end is: a table of how it ended, with which status, and what was seen."""

from __future__ import annotations

import pytest

from perijove.domain.events import SessionEnded
from perijove.domain.failures import Owner, Retry
from perijove.domain.nouns import EndReason
from perijove.launching.start.judging import death, never_answered

CRASH = ("Traceback (most recent call last):", "ModuleNotFoundError: No module named 'jupyterlab'")
FULL = ("OSError: [Errno 28] No space left on device", "shutting down")
SIGNALS = (-1, -2, -3, -4, -6, -7, -8, -11, -24, -25, -31)

BEFORE_IT_ANSWERED = [
    pytest.param(EndReason.EXITED, 0, (), "start.server-crashed", id="ended as if all were well"),
    pytest.param(EndReason.SHUT_DOWN, 0, (), "start.server-crashed", id="shut down"),
    pytest.param(EndReason.EXITED, 1, CRASH, "start.server-crashed", id="exit code 1"),
    pytest.param(EndReason.EXITED, 1, (), "start.server-crashed", id="exit code 1, without a word"),
    *(pytest.param(EndReason.EXITED, n, CRASH, "start.server-crashed", id=f"its own signal {-n}") for n in SIGNALS),
    pytest.param(EndReason.EXITED, -9, CRASH, "start.server-killed", id="SIGKILL, whatever it said"),
    pytest.param(EndReason.EXITED, -15, (), "start.server-killed", id="SIGTERM"),
    pytest.param(EndReason.EXITED, 1, FULL, "start.disk-full", id="no space left"),
    pytest.param(EndReason.EXITED, 1, ("[Errno 122] Disk quota exceeded",), "start.disk-full", id="quota exceeded"),
    pytest.param(EndReason.MEMORY, -9, (), "start.out-of-memory", id="its own limit of memory"),
    pytest.param(EndReason.DISK, -9, (), "start.disk-full", id="its own limit of disk"),
    pytest.param(EndReason.PAD_LOST, None, CRASH, "platform.pad-down", id="the pad is gone, whatever it said"),
    pytest.param(EndReason.SERVICE_STOPPED, None, (), "platform.draining", id="the service stops"),
    pytest.param(EndReason.STOPPED, -9, (), "start.stopped", id="somebody stopped it"),
    pytest.param(EndReason.IDLE, None, (), "start.stopped", id="stopped as idle"),
    pytest.param(EndReason.OLD, None, (), "start.stopped", id="stopped as old"),
    pytest.param(EndReason.FAILED_START, None, (), "start.stopped", id="given up by another"),
]
MACHINES = {"start.server-killed", "platform.pad-down", "platform.draining"}


@pytest.mark.parametrize(("reason", "exit_code", "lines", "code"), BEFORE_IT_ANSWERED)
def test_an_end_before_the_first_answer_has_the_name_of_its_cause(
    reason: EndReason, exit_code: int | None, lines: tuple[str, ...], code: str
) -> None:
    failure = never_answered(SessionEnded("one", reason, "it ended", exit_code), lines)
    assert failure.kind.code == code
    assert failure.evidence
    assert (failure.kind.retry is Retry.BACKOFF) == (code in MACHINES)
    assert (failure.kind.owner is Owner.AUTHOR) == (code == "start.server-crashed")


def test_every_reason_stands_in_the_table() -> None:
    assert {row.values[0] for row in BEFORE_IT_ANSWERED} == set(EndReason)


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [(0, ""), (1, "session.server-died"), (-11, "session.server-died"), (-9, "session.server-killed")],
)
def test_a_session_that_was_used_is_not_its_author_s_to_mend_when_the_machine_killed_it(
    exit_code: int, code: str
) -> None:
    failure = death(SessionEnded("one", EndReason.EXITED, "it ended", exit_code), CRASH)
    assert (failure.kind.code if failure else "") == code
