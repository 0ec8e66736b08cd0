"""Nothing that ends a session is lost while nobody listens."""

from __future__ import annotations

from perijove.backends.pad.backlog import KEPT, Backlog
from perijove.backends.pad.wire import Message
from perijove.domain.events import SessionEnded, SessionLogged
from perijove.domain.nouns import EndReason

ENDED = SessionEnded("s", EndReason.EXITED, "x", 1)


def test_an_end_waits_for_the_first_client_and_a_line_does_not() -> None:
    backlog, got = Backlog(), list[Message]()
    backlog.tell(SessionLogged("s", "line"))
    backlog.tell(ENDED)
    backlog.join(got.append)
    assert [message["event"] for message in got] == [ENDED]


def test_what_a_client_has_not_told_on_is_sent_to_the_next() -> None:
    backlog, first, second = Backlog(), list[Message](), list[Message]()
    backlog.join(first.append)
    backlog.tell(ENDED)
    backlog.join(second.append)
    assert first == second
    backlog.heard(first[0]["number"])
    third = list[Message]()
    backlog.join(third.append)
    assert third == []


def test_a_client_that_left_gets_nothing() -> None:
    backlog, got = Backlog(), list[Message]()
    send = got.append
    backlog.join(send)
    backlog.leave(send)
    backlog.tell(ENDED)
    assert got == []
    assert not backlog.listened_to


def test_the_backlog_is_bounded() -> None:
    backlog, got = Backlog(), list[Message]()
    for _ in range(KEPT + 10):
        backlog.tell(ENDED)
    backlog.join(got.append)
    assert len(got) == KEPT
    assert got[0]["number"] == 11
