"""What `perijove describe` says of an event, in a line."""

from __future__ import annotations

import pytest

from perijove.cli.objects import happened, shown
from perijove.domain.events import Event, Failed, Queued, Ready, Retrying, SessionEnded, SessionTroubled
from perijove.domain.failures import HOST_UNREACHABLE, KERNEL_MEMORY, Evidence
from perijove.domain.nouns import EndReason
from perijove.domain.wire import encode

KILLED = KERNEL_MEMORY("it reached its 2 GB", Evidence("memory.events", "1"))
AWAY = HOST_UNREACHABLE("it is away")


@pytest.mark.parametrize(
    ("name", "event", "words"),
    [
        pytest.param(
            "hello-1",
            SessionTroubled("hello-1", KILLED),
            "session.kernel-out-of-memory: it reached its 2 GB",
            id="a session's trouble",
        ),
        pytest.param(
            "hello-1",
            SessionEnded("hello-1", EndReason.EXITED, "by signal 9", -9),
            "reason=exited  detail=by signal 9  exit_code=-9",
            id="a session's end",
        ),
        pytest.param("7", Failed(AWAY), "resolve.host-unreachable: it is away", id="a launch's failure"),
        pytest.param("7", Retrying(AWAY, 2.0), "delay=2.0  resolve.host-unreachable: it is away", id="tried again"),
        pytest.param("7", Queued(3, "others start"), "position=3  why=others start", id="no failure"),
        pytest.param("7", Queued(2, "they start", 12.345), "position=2  why=they start  seconds=12.3", id="a number"),
        pytest.param("7", Ready("hello-1", "/user/hello-1/"), "session=hello-1  path=/user/hello-1/", id="ready"),
    ],
)
def test_a_failure_is_told_by_its_code_and_cause_and_the_object_s_own_name_is_left_out(
    name: str, event: Event, words: str
) -> None:
    assert happened(encode(event), name) == words


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        pytest.param("last_activity", 0.0, "-", id="nobody used it yet"),
        pytest.param("builds", False, "no", id="no"),
        pytest.param("builds", True, "yes", id="yes"),
        pytest.param("memory_limit", 2 * 1024**3, "2 GB", id="a size"),
        pytest.param("title", "", "-", id="nothing"),
    ],
)
def test_a_value_is_shown_as_people_read_it(key: str, value: object, words: str) -> None:
    assert shown(key, value) == words
