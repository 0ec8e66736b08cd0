"""Events as frames."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from perijove.domain import events as e
from perijove.domain import failures
from perijove.domain.certificate_events import CertificateEvent
from perijove.domain.events import Entry, Event
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Session, ref_url
from perijove.web.statuses import status
from perijove.web.stream import Known, Reader, frame, learn, message

ADDRESS = RepoAddress("gh", "o/r/main", "https://github.com/o/r", "main", "r")
REPO = ResolvedRepo(ADDRESS, "a" * 40, "refs/heads/main")
OOM = failures.KERNEL_MEMORY("the kernel used 2 GB")
OPENED = "https://hub.test/user/{}/".format
HOLDER = Reader("https://hub.test/", 7, "key", lambda session: f"token of {session}", OPENED, log=True)
READER = Reader("https://hub.test/", 7, "", HOLDER.token, OPENED, log=True)
STRANGER = Reader("https://hub.test/", 7, "", HOLDER.token, OPENED, log=False)

TOLD = [
    pytest.param(e.Requested(ADDRESS, "192.0.2.7"), "waiting", "Launch 7: gh/o/r/main", id="requested"),
    pytest.param(e.Resolved(REPO), "fetching", f"main is main, commit {'a' * 40}", id="resolved"),
    pytest.param(
        e.Queued(3, "no memory"), "waiting", "Waiting for room, number 3 in the queue: no memory", id="queued"
    ),
    pytest.param(
        e.Queued(3, "others start", 12.3),
        "waiting",
        "Waiting for room, number 3 in the queue, about 12 s: others start",
        id="queued, with an estimate",
    ),
    pytest.param(e.Fetched("b" * 40), "fetching", "The files of bbbbbbbbbbbb are here", id="fetched"),
    pytest.param(
        e.Noted("setup.cfg alone is not installed"), "building", "setup.cfg alone is not installed", id="noted"
    ),
    pytest.param(e.Logged(e.Phase.BUILDING, "Collecting x"), "building", "Collecting x", id="logged"),
    pytest.param(e.BuildStarted("k" * 32, False), "building", "Resolving and building the environment", id="building"),
    pytest.param(
        e.BuildStarted("k" * 32, True),
        "building",
        "Another launch is building this already; following it",
        id="building together",
    ),
    pytest.param(e.Built("k" * 32, False, 1.26), "built", "Built the environment in 1.3 s, launching...", id="built"),
    pytest.param(e.Built("k" * 32, True, 0), "built", "Found the environment built, launching...", id="found"),
    pytest.param(e.SessionStarted("s"), "launching", "Launching server...", id="started"),
    pytest.param(e.Retrying(OOM, 2), "waiting", f"{OOM.message} Trying again in 2 s.", id="retrying"),
    pytest.param(e.Ready("s", "/user/s/"), "ready", "server running at https://hub.test/user/s/", id="ready"),
    pytest.param(
        e.Prepared("k"), "ready", "Done! The environment stands; nothing is launched", id="nothing but an environment"
    ),
    pytest.param(e.Failed(OOM), "failed", OOM.message, id="failed"),
    pytest.param(e.SessionOpened(Session("s", 7, REPO, "k", 0)), "session", "Session s opened", id="opened"),
    pytest.param(e.SessionLogged("s", "words"), "session", "words", id="session logged"),
    pytest.param(e.SessionTitled("s", "thesis"), "session", "It is called thesis", id="titled"),
    pytest.param(e.SessionTroubled("s", OOM), "session", OOM.message, id="troubled"),
    pytest.param(
        e.SessionEnded("s", EndReason.IDLE, "nobody used it", 0),
        "session",
        "The session is over: nobody used it",
        id="ended",
    ),
]


def test_the_table_knows_every_event() -> None:
    assert {type(case.values[0]) for case in TOLD} == set(get_args(e.Event)) - {
        e.Announced,
        *get_args(CertificateEvent),
    }


@pytest.mark.parametrize(("event", "phase", "says"), TOLD)
def test_an_event_is_told_in_words_and_by_phase(event: Event, phase: str, says: str) -> None:
    told = message(event, Known(), HOLDER)
    assert (told["phase"], told["message"]) == (phase, f"{says}\n")
    json.dumps(told)


def test_nothing_is_said_to_be_launched_where_nothing_is() -> None:
    known = learn(Known(), e.Requested(ADDRESS, "x", LaunchOptions(build_only=True)))
    assert message(e.Built("k", True, 0), known, HOLDER)["message"] == "Found the environment built\n"
    assert message(e.Prepared("k"), known, HOLDER)["imageName"] == "k"
    assert "url" not in message(e.Prepared("k"), known, HOLDER)


def test_a_reader_without_the_key_is_not_told_where_the_session_is() -> None:
    text = frame(Entry(3, 1.5, "launch/7", e.Ready("s", "/user/s/")), Known(), READER).decode()
    assert text.startswith("id: 3\ndata: ")
    assert "token" not in text
    assert "/user/s/" not in text


NAMES = (
    "o/r",
    "github",
    "aaaa",
    "bbbb",
    "kkkk",
    "Collecting",
    "no memory",
    "2 GB",
    "words",
    "nobody used it",
    "/user/s",
)


@pytest.mark.parametrize("event", [case.values[0] for case in TOLD], ids=[case.id for case in TOLD])
def test_a_stranger_is_told_how_far_it_is_and_no_name_and_no_line(event: Event) -> None:
    text = frame(Entry(3, 1.5, "launch/7", event), Known(ADDRESS, REPO, "k" * 32), STRANGER).decode()
    assert not [name for name in NAMES if name in text]
    assert '"session"' not in text
    if isinstance(event, e.Failed):
        assert OOM.kind.code in text
        assert OOM.kind.remedy in text
    if isinstance(event, e.Queued):
        assert '"position": 3' in text


def test_a_frame_is_one_line_of_data_whatever_the_log_says() -> None:
    entry = Entry(9, 2.0, "launch/7", e.Logged(e.Phase.BUILDING, "a\nid: 1\n\ndata: {}\r\u2028</script>\x00"))
    text = frame(entry, Known(), HOLDER)
    assert text.count(b"\n") == 3
    assert text.endswith(b"\n\n")
    assert b"\r" not in text
    assert text.startswith(b"id: 9.key\ndata: ")


def test_what_was_told_before_is_repeated_at_the_end() -> None:
    known = Known()
    for event in (e.Requested(ADDRESS, "x"), e.Resolved(REPO), e.Built("k" * 32, True, 0)):
        known = learn(known, event)
    ready = message(e.Ready("s", "/user/s/"), known, HOLDER)
    assert ready["image"] == "k" * 32
    assert ready["binder_persistent_request"] == f"v2/gh/o/r/{'a' * 40}"
    assert ready["token"] == "token of s"


URLS = [
    pytest.param("gh", "https://github.com/o/r", "https://github.com/o/r/tree/C", id="GitHub"),
    pytest.param("gl", "https://gitlab.com/g/p.git", "https://gitlab.com/g/p/-/tree/C", id="GitLab"),
    pytest.param("gist", "https://gist.github.com/u/1.git", "https://gist.github.com/u/1/C", id="a gist"),
    pytest.param("git", "https://git.test/r.git", "https://git.test/r.git", id="any other"),
]


@pytest.mark.parametrize(("provider", "url", "page"), URLS)
def test_the_commit_s_page_is_named(provider: str, url: str, page: str) -> None:
    assert ref_url(ResolvedRepo(RepoAddress(provider, "s/main", url, "main", "r"), "C", "")) == page


@pytest.mark.parametrize("kind", failures.CATALOGUE.values(), ids=lambda kind: kind.code)
def test_every_failure_has_a_status(kind: failures.Kind) -> None:
    assert 400 <= status(kind("because")) < 600
