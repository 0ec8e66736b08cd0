"""A launch's stages as pages show them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perijove.domain import failures
from perijove.domain.events import (
    BuildStarted,
    Built,
    Entry,
    Event,
    Failed,
    Fetched,
    Phase,
    Prepared,
    Ready,
    Resolved,
    Retrying,
    SessionStarted,
)
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.nouns import ResolvedRepo
from perijove.launching.launches import Launch, after
from perijove.launching.resolve.address import from_launch_path
from perijove.web.progress import lasted, stages

ADDRESS = from_launch_path("gh/owner/repo/HEAD")
RESOLVED = Resolved(ResolvedRepo(ADDRESS, "1" * 40, "refs/heads/main"))
FETCHED, BUILDS, BUILT = Fetched("1" * 40), BuildStarted("b", shared=False), Built("e", found=False, seconds=3)
FAILED = Failed(failures.CONFLICT("no"))


def launch(*events: Event, options: LaunchOptions = NO_OPTIONS) -> Launch:
    made = Launch(1, ADDRESS, "x", "resolving", 100.0, options=options, stages=((Phase.FETCHING, 100.0),))
    for n, event in enumerate(events, 1):
        made = after(made, Entry(n, 100.0 + n, "launch/1", event))
    return made


MARKS = [
    pytest.param((), ["now", "", ""], id="begun"),
    pytest.param((RESOLVED,), ["now", "", ""], id="its commit known"),
    pytest.param((RESOLVED, FETCHED), ["done", "now", ""], id="fetched"),
    pytest.param((FAILED,), ["broken", "", ""], id="failed while it was resolved"),
    pytest.param((RESOLVED, FAILED), ["broken", "", ""], id="failed while it was fetched"),
    pytest.param((RESOLVED, FETCHED, FAILED), ["done", "broken", ""], id="its files say nothing that can be built"),
    pytest.param((RESOLVED, FETCHED, BUILDS, FAILED), ["done", "broken", ""], id="its build failed"),
    pytest.param((RESOLVED, FETCHED, BUILDS, BUILT), ["done", "done", "now"], id="built"),
    pytest.param((RESOLVED, FETCHED, BUILT, FAILED), ["done", "done", "broken"], id="its start failed"),
    pytest.param((RESOLVED, FETCHED, BUILT, Retrying(FAILED.failure, 2)), ["now", "", ""], id="tried again"),
    pytest.param(
        (RESOLVED, FETCHED, BUILT, Retrying(FAILED.failure, 2), FAILED), ["broken", "", ""], id="tried again in vain"
    ),
    pytest.param((RESOLVED, FETCHED, BUILT, SessionStarted("s"), Ready("s", "/user/s/")), ["done"] * 3, id="ready"),
]


@pytest.mark.parametrize(("events", "marks"), MARKS)
def test_the_stage_is_marked_that_it_is_at_or_failed_in(events: tuple[Event, ...], marks: list[str]) -> None:
    assert [stage.mark for stage in stages(launch(*events))] == marks


def test_each_stage_says_how_long_it_took_once_it_is_over() -> None:
    going = launch(RESOLVED, FETCHED, BUILDS, BUILT)
    assert [stage.seconds for stage in stages(going)] == [2.0, 2.0, None]
    assert [stage.seconds for stage in stages(replace(going, ended_at=110.0))] == [2.0, 2.0, 6.0]
    assert [stage.seconds for stage in stages(launch(RESOLVED, FETCHED, BUILDS, FAILED))] == [2.0, 2.0, None]


def test_a_stage_lasts_over_what_was_tried_again_in_it_and_begins_anew_behind_a_later_one() -> None:
    again = Retrying(FAILED.failure, 2)
    found = [stage.seconds for stage in stages(replace(launch(again, again, FAILED), ended_at=103.0))]
    assert found == [3.0, None, None]
    assert [stage.seconds for stage in stages(launch(RESOLVED, FETCHED, again, FETCHED))] == [1.0, None, None]


def test_what_only_builds_has_no_session_to_start() -> None:
    built = launch(RESOLVED, FETCHED, BUILT, Prepared("e"), options=LaunchOptions(build_only=True))
    assert [(stage.phase, stage.mark) for stage in stages(built)] == [("fetching", "done"), ("building", "done")]


def test_before_a_launch_its_first_stage_is_the_next() -> None:
    assert [stage.mark for stage in stages(None)] == ["now", "", ""]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.0, "0.0 s"), (-1.0, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s")],
)
def test_times_are_told_as_people_say_them(seconds: float, says: str) -> None:
    assert lasted(seconds) == says
