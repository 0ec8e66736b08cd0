from __future__ import annotations

import json
from typing import get_args

import pytest

from perijove.domain import wire
from perijove.domain.events import (
    BuildStarted,
    Built,
    Event,
    Failed,
    Fetched,
    Logged,
    Phase,
    Queued,
    Ready,
    Requested,
    Resolved,
    Retrying,
    SessionEnded,
    SessionLogged,
    SessionOpened,
    SessionStarted,
    SessionTroubled,
)
from perijove.domain.failures import CONFLICT, Evidence
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Session

ADDRESS = RepoAddress("gh", "owner/repo/HEAD", "https://github.com/owner/repo", "HEAD", "repo")
REPO = ResolvedRepo(ADDRESS, "a" * 40, "refs/heads/main")
FAILURE = CONFLICT("a needs b<2", Evidence("uv", "because a==1 … é\n☃"), after=3.5)
EVENTS: list[Event] = [
    Requested(ADDRESS, "192.0.2.7"),
    Resolved(REPO),
    Queued(2, "full"),
    Fetched("a" * 40),
    Logged(Phase.BUILDING, 'a "line" with \u2028'),
    BuildStarted("k", shared=True),
    Built("k", found=False, seconds=1.25),
    SessionStarted("repo-1"),
    Retrying(FAILURE, 2.0),
    Ready("repo-1", "/user/repo-1/"),
    Failed(FAILURE),
    SessionOpened(Session("repo-1", 7, REPO, "k", 12.5)),
    SessionLogged("repo-1", "line"),
    SessionTroubled("repo-1", FAILURE),
    SessionEnded("repo-1", EndReason.MEMORY, "killed", None),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert wire.decode_event(json.loads(json.dumps(wire.encode(event)))) == event


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_a_failure_of_a_kind_no_longer_known_is_still_read() -> None:
    data = wire.encode(Failed(FAILURE))
    data["failure"]["kind"] = "build.of-old"
    event = wire.decode_event(data)
    assert isinstance(event, Failed)
    assert event.failure.cause == "a needs b<2"
