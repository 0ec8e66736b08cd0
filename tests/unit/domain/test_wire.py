from __future__ import annotations

import json
from dataclasses import is_dataclass
from enum import Enum
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import pytest

from perijove.domain import events as e
from perijove.domain import wire
from perijove.domain.certificate_events import (
    Certified,
    ChallengeAnswered,
    ChallengePresented,
    ChallengeSeen,
    Foreseen,
    HookRan,
    Imported,
    Issued,
    IssuerChosen,
    Looked,
    NameRefused,
    OrderBegun,
    OrderPlaced,
    OrderSeen,
    Revoked,
    Served,
    Waiting,
)
from perijove.domain.certificate_settings import IssuerSettings
from perijove.domain.certificates import ChallengeType, Confidence, OrderStatus, Problem
from perijove.domain.events import Event
from perijove.domain.failures import CONFLICT, Evidence
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Session
from perijove.domain.settings import Settings

ADDRESS = RepoAddress("gh", "owner/repo/HEAD", "https://github.com/owner/repo", "HEAD", "repo")
REPO = ResolvedRepo(ADDRESS, "a" * 40, "refs/heads/main")
FAILURE = CONFLICT("a needs b<2", Evidence("uv", "because a==1 … é\n☃"), after=3.5)
PROBLEM = Problem("urn:ietf:params:acme:error:caa", "forbidden", 403, {"subproblems": [{"type": "x", "n": 1}]})
EVENTS: list[Event] = [
    e.Requested(ADDRESS, "192.0.2.7", LaunchOptions(again=True)),
    e.Resolved(REPO),
    e.Queued(2, "full"),
    e.Fetched("a" * 40),
    e.Logged(e.Phase.BUILDING, 'a "line" with \u2028'),
    e.BuildStarted("k", shared=True),
    e.Built("k", found=False, seconds=1.25),
    e.SessionStarted("repo-1"),
    e.Retrying(FAILURE, 2.0),
    e.Ready("repo-1", "/user/repo-1/"),
    e.Noted("Requirements.txt is not read"),
    e.Prepared("k"),
    e.Failed(FAILURE),
    e.SessionOpened(Session("repo-1", 7, REPO, "k", 12.5)),
    e.SessionLogged("repo-1", "line"),
    e.SessionTitled("s", "thesis"),
    e.SessionTroubled("repo-1", FAILURE),
    e.SessionEnded("repo-1", EndReason.MEMORY, "killed", None),
    e.Announced("tests at 10", 1.5, 2.5),
    OrderBegun("b.example-1", "b.example", "DoesNotExist", "there is none yet"),
    Looked(FAILURE, Confidence.INSIDE, (ChallengeType.HTTP, ChallengeType.TLS_ALPN), 0.01),
    IssuerChosen("letsencrypt", "https://ca.example/directory", "zerossl is down"),
    OrderPlaced("letsencrypt", "https://ca.example/directory", "https://ca.example/order/1", True, 12.5),
    ChallengePresented(ChallengeType.HTTP, "https://ca.example/chall/1", "t"),
    ChallengeAnswered("https://ca.example/chall/1"),
    ChallengeSeen("https://ca.example/chall/1", "invalid", PROBLEM),
    NameRefused("s1.example.org", FAILURE),
    OrderSeen(OrderStatus.INVALID, PROBLEM),
    Waiting("the CA has been processing the order since 12 s", FAILURE, 13.5),
    Issued("r1", "letsencrypt", "0a", 1.0, 2.0),
    Served("r1", "127.0.0.1:443", True),
    HookRan("/bin/true", None),
    Certified("r1"),
    Foreseen(None, Confidence.CERTAIN),
    Imported("r2", "/tmp/chain.pem"),
    Revoked("0a", "keyCompromise"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert wire.decode_event(json.loads(json.dumps(wire.encode(event)))) == event


def some(hint: Any) -> Any:
    """A value of a setting's type that is not its default."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return some(args[0])
    if origin is tuple:
        return (some(args[0]),)
    if origin is not None:
        return {"campus": some(args[1])}
    if is_dataclass(hint):
        return cast("type", hint)(**{name: some(of) for name, of in get_type_hints(hint, include_extras=True).items()})
    if issubclass(hint, Enum):
        return list(hint)[-1]
    return {str: "x", int: 7, float: 1.5, bool: True}[hint]


def test_settings_of_every_type_come_back_as_they_were() -> None:
    written = some(Settings)
    assert isinstance(written.certificates.issuer["campus"], IssuerSettings)
    assert wire.decode(Settings, json.loads(json.dumps(wire.encode(written)))) == written


def test_events_of_one_name_are_read_as_they_were_written_before_there_were_several() -> None:
    written = {"is": "OrderPlaced", "issuer": "ca", "directory": "d", "url": "u", "rehearsal": False, "expires": 1.0}
    assert wire.decode_event(written) == OrderPlaced("ca", "d", "u", False, 1.0)
    written = {"is": "Looked", "failure": None, "confidence": "certain", "open": ["http-01"], "seconds": 0.5}
    assert wire.decode_event(written) == Looked(None, Confidence.CERTAIN, (ChallengeType.HTTP,), 0.5, "")
    written = {"is": "OrderBegun", "order": "b-1", "host": "b", "reason": "Expired", "message": "it ended"}
    assert wire.decode_event(written) == OrderBegun("b-1", "b", "Expired", "it ended", ())


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_a_failure_of_a_kind_no_longer_known_is_still_read() -> None:
    data = wire.encode(e.Failed(FAILURE))
    data["failure"]["kind"] = "build.of-old"
    event = wire.decode_event(data)
    assert isinstance(event, e.Failed)
    assert event.failure.cause == "a needs b<2"


def test_a_type_is_read_once_and_no_answer_is_kept() -> None:
    """Reading one takes longer than a value does; answers are as many as anybody gives."""
    assert wire._hints(Evidence) is wire._hints(Evidence)
    told = json.dumps({"failure": wire.encode(CONFLICT("x", Evidence("a", "b")))})
    assert wire.refusal("/", told) == wire.refusal("/", told)
    assert wire.refusal("/", told) is not wire.refusal("/", told)
