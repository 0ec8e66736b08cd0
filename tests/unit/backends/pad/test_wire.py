"""What goes over the pad's socket comes out as it went in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.pad.wire import (
    order_of,
    pack,
    read_event,
    read_failure,
    read_order,
    unpack,
    write_event,
    write_failure,
    write_order,
)
from perijove.domain.events import SessionEnded, SessionEvent, SessionLogged, SessionTroubled
from perijove.domain.failures import KERNEL_MEMORY, Evidence, Fail
from perijove.domain.nouns import Egress, EndReason, ForeignRun, Limits, Mount, SandboxSpec
from perijove.domain.people_failures import HOME_UNUSABLE

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
    assert read_order(unpack(pack(write_order(order)))) == order


def test_a_pad_of_before_is_told_of_no_home_that_it_would_not_show() -> None:
    assert write_order(order_of(SPEC), ())["name"] == "s"
    with pytest.raises(Fail) as caught:
        write_order(order_of(replace(SPEC, person_home=Path("/srv/homes/ada"))), ("fill",))
    assert (caught.value.failure.kind, "perijove-pad" in caught.value.failure.remedy) == (HOME_UNUSABLE, True)


def test_only_sessions_listen() -> None:
    assert order_of(SPEC).listens
    assert not order_of(RUN).listens


def test_a_failure_survives() -> None:
    assert read_failure(unpack(pack(write_failure(TROUBLE)))) == TROUBLE


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
    assert read_event(unpack(pack(write_event(event)))) == event


def test_a_message_is_one_line() -> None:
    assert pack({"x": "a\nb\r\u2028"}).count(b"\n") == 1


@pytest.mark.parametrize("line", [b"[]", b"1", b"{", b""], ids=["list", "number", "half", "nothing"])
def test_what_is_no_message_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(line)
