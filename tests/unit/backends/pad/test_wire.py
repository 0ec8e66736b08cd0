"""What goes over the pad's socket comes out as it went in."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.backends.pad.wire import order_of, pack, read_order, unpack
from perijove.domain import wire
from perijove.domain.events import SessionEnded, SessionEvent, SessionLogged, SessionTroubled
from perijove.domain.failures import KERNEL_MEMORY, Evidence, Failure
from perijove.domain.nouns import Egress, EndReason, ForeignRun, Limits, Mount, SandboxSpec

LIMITS = Limits(1, 0.5, 2, 3, 4)
SPEC = SandboxSpec(
    "s",
    ("a", "b\nc"),
    (("K", "ü\u2028"),),
    (Mount(Path("/x"), Path("/y")),),
    Path("/h"),
    LIMITS,
    Egress.PUBLIC,
    ("h:1",),
    server=(Mount(Path("/x"), Path("/y")),),
)
RUN = ForeignRun("r", ("a",), (), (), None, "dist", LIMITS, Egress.NONE, (), 1.5)
TROUBLE = KERNEL_MEMORY("cause", Evidence("a", "b"), remedy="other", after=3)


@pytest.mark.parametrize("thing", [SPEC, RUN], ids=["session", "run"])
def test_an_order_survives(thing: SandboxSpec | ForeignRun) -> None:
    order = order_of(thing)
    assert read_order(unpack(pack({"order": order}))["order"]) == order


def test_only_sessions_listen() -> None:
    assert order_of(SPEC).listens
    assert not order_of(RUN).listens


def test_a_failure_survives() -> None:
    assert wire.decode(Failure, unpack(pack({"fail": TROUBLE}))["fail"]) == TROUBLE


@pytest.mark.parametrize(
    "event",
    [
        SessionLogged("s", "line\twith \u2028 and \x1b[1m"),
        SessionTroubled("s", TROUBLE),
        SessionEnded("s", EndReason.MEMORY, "detail", -9),
        SessionEnded("s", EndReason.STOPPED, "detail", None),
    ],
    ids=["logged", "troubled", "killed", "stopped"],
)
def test_an_event_survives(event: SessionEvent) -> None:
    assert wire.decode(SessionEvent, unpack(pack({"event": event}))["event"]) == event


def test_a_message_is_one_line() -> None:
    assert pack({"x": "a\nb\r\u2028"}).count(b"\n") == 1


@pytest.mark.parametrize("line", [b"[]", b"1", b"{", b""], ids=["list", "number", "half", "nothing"])
def test_what_is_no_message_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(line)
