"""What keeps a session, and for how long: the table of docs/operating.md, a row a test, with hours that do not pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.domain.activity import Activity, Ending, ServerUse
from perijove.domain.nouns import EndReason
from perijove.domain.settings import SessionSettings
from perijove.launching.start.idling import Idling

HOUR = 3600.0
LIMITS = SessionSettings(idle_timeout=HOUR, tab_timeout=3 * HOUR, max_age=20 * HOUR)
UNUSED = ServerUse(0, 0, 0, 0)
RESTING = Activity(1, 0, queued=False, doing="sleeping")


def ended(use: ServerUse | None, activity: Activity = RESTING, settings: SessionSettings = LIMITS) -> Ending:
    """When a session that goes on like this from its first second is stopped, looked at every quarter of an hour."""
    idling = Idling(0)
    for quarter in range(400):
        now = quarter * HOUR / 4
        used = Activity(activity.used * quarter, 0, activity.queued, activity.doing, activity.jobs)
        idling.look(now, use, used)
        ending = idling.ending(0, settings)
        if ending is not None and now >= ending.at:
            return ending
    raise AssertionError("it is never stopped")


ROWS = [
    pytest.param(UNUSED, RESTING, 1, EndReason.IDLE, id="no page, nothing runs"),
    pytest.param(replace(UNUSED, pages=2), RESTING, 3, EndReason.IDLE, id="an open page alone"),
    pytest.param(replace(UNUSED, busy=1), RESTING, 20, EndReason.OLD, id="a kernel executes"),
    pytest.param(replace(UNUSED, busy=1, pages=1), RESTING, 20, EndReason.OLD, id="a kernel executes, page open"),
    pytest.param(UNUSED, replace(RESTING, jobs=1), 20, EndReason.OLD, id="a job in a terminal"),
    pytest.param(replace(UNUSED, apps=1), RESTING, 20, EndReason.OLD, id="an app with a connection"),
    pytest.param(replace(UNUSED, used_at=1e12), RESTING, 20, EndReason.OLD, id="says that it is used, truly or not"),
    pytest.param(None, RESTING, 20, EndReason.OLD, id="does not answer, and computes"),
    pytest.param(None, replace(RESTING, used=0), 1, EndReason.IDLE, id="does not answer, and does nothing"),
    pytest.param(None, replace(RESTING, used=0, jobs=1), 20, EndReason.OLD, id="does not answer, a job in a terminal"),
]


@pytest.mark.parametrize(("use", "activity", "hours", "reason"), ROWS)
def test_a_session_that_goes_on_like_this_is_stopped_when(
    use: ServerUse | None, activity: Activity, hours: float, reason: EndReason
) -> None:
    assert ended(use, activity) == Ending(hours * HOUR, reason)


@pytest.mark.parametrize(
    ("use", "settings"),
    [(UNUSED, replace(LIMITS, idle_timeout=0)), (replace(UNUSED, pages=1), replace(LIMITS, tab_timeout=0))],
    ids=["no page", "a page"],
)
def test_a_limit_of_0_is_none(use: ServerUse, settings: SessionSettings) -> None:
    assert ended(use, settings=settings).reason is EndReason.OLD
    idling = Idling(0)
    idling.look(0, use, RESTING)
    assert idling.ending(0, replace(settings, max_age=0)) is None


def test_when_what_ran_is_over_the_limit_begins() -> None:
    idling = Idling(0)
    for hour in range(5):
        idling.look(hour * HOUR, replace(UNUSED, busy=1), RESTING)
    idling.look(5 * HOUR, UNUSED, RESTING)
    assert idling.ending(0, LIMITS) == Ending(5 * HOUR, EndReason.IDLE)


def test_when_a_page_is_closed_or_comes_back_its_own_limits_hold() -> None:
    idling = Idling(0)
    idling.look(2 * HOUR, replace(UNUSED, pages=1), RESTING)
    assert idling.ending(0, LIMITS) == Ending(3 * HOUR, EndReason.IDLE)
    idling.look(2.5 * HOUR, UNUSED, RESTING)
    assert idling.ending(0, LIMITS) == Ending(3 * HOUR, EndReason.IDLE), "an hour after it was closed"
    idling.look(2.75 * HOUR, replace(UNUSED, pages=1, used_at=2.75 * HOUR), RESTING)
    assert idling.ending(0, LIMITS) == Ending(5.75 * HOUR, EndReason.IDLE), "somebody came back to it"


def test_it_says_how_many_processors_were_kept_busy_between_two_looks() -> None:
    idling, told = Idling(0), []
    for now, used in ((10, 100), (30, 130), (30, 131), (50, 131), (70, 20)):
        idling.look(now, UNUSED, replace(RESTING, used=used))
        told.append(idling.processors)
    assert told == [0, 1.5, 0, 0, 0], "at first, then by the looks; a pad of another start counts anew"
