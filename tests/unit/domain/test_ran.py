"""What ends a run that does not end by itself is told; its own ends are its own."""

from __future__ import annotations

import signal

import pytest

from perijove.domain.failures import Fail
from perijove.domain.ran import Ran


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_somebody_ended_is_told_as_killed(number: signal.Signals) -> None:
    with pytest.raises(Fail) as caught:
        Ran(-number).not_killed("apt")
    assert caught.value.failure.kind.code == "platform.killed"
    assert caught.value.failure.cause == "apt was ended by somebody else"
    assert caught.value.failure.evidence[0].saw == f"ended by signal {number}"


@pytest.mark.parametrize("status", [0, 1, 125, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGXFSZ])
def test_a_run_that_ended_by_itself_is_as_it_was(status: int) -> None:
    assert Ran(status).not_killed("apt") == Ran(status)
