"""How is an event told to a client of the Binder protocol? In: events. Out: server-sent event frames. Pure.

Every frame says `message`, ending in a newline; keys beside the protocol's own are additions that its clients ignore.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from perijove.domain import events as e
from perijove.domain.bounded_log import Colours
from perijove.domain.certificate_events import CertificateEvent
from perijove.domain.events import Entry, Event
from perijove.domain.failures import Failure, Retry
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.nouns import EnvironmentKey, RepoAddress, ResolvedRepo, SessionName, ref_url
from perijove.web.progress import NOW
from perijove.web.statuses import status

Message = dict[str, Any]
"""What stands behind `data:`, a JSON object."""

KEEPALIVE = b":keepalive\n\n"
FOLLOWED = "Another launch is building this already; following it"
BUILDS = "Building the environment"
FETCHING, BUILDING, LAUNCHING = (phase.value for phase in e.Phase)
PREPARED = "Done! The environment stands; nothing is launched"
REFUSED_ID = "0.refused"
"""The event id of a refusal that began no launch, so that an EventSource that comes back is told to stop."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a launch, and by which address they reached us."""

    home: str
    """`https://binder.example.org/`, with `service.base`."""
    number: int
    key: str
    """The launch's key where they hold it, else ``: without it no token is told."""
    token: Callable[[SessionName], str]
    opened_at: Callable[[SessionName], str]
    """A session's address for them, with its slash."""
    log: bool
    """Whether they are told its log and its names; else no more than how far it is."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a launch's events told so far, since the last of them has to repeat it."""

    address: RepoAddress | None = None
    repo: ResolvedRepo | None = None
    environment: EnvironmentKey = ""
    options: LaunchOptions = NO_OPTIONS


def learn(known: Known, event: Event) -> Known:
    """What is known after this event."""
    match event:
        case e.Requested(address=address, wish=options):
            return replace(known, address=address, options=options)
        case e.Resolved(repo=repo):
            return replace(known, address=repo.address, repo=repo)
        case e.Built(environment=environment):
            return replace(known, environment=environment)
        case _:
            return known


def frame(entry: Entry, known: Known, reader: Reader) -> bytes:
    """One event as it goes over the wire; its id is `<seq>`, and `<seq>.<key>` for whoever holds the launch.

    `` for an event of which this reader is told nothing.
    """
    number = f"{entry.seq}.{reader.key}" if reader.key else f"{entry.seq}"
    told = message(entry.event, known, reader) if reader.log else outline(entry.event, reader.number)
    return encoded({**told, "at": entry.at}, number) if told else b""


def refusal(failure: Failure) -> bytes:
    """The one frame of a stream that began no launch."""
    return encoded(failed(failure), REFUSED_ID)


def encoded(data: Message, number: str) -> bytes:
    """A frame. JSON as we write it holds no newline."""
    return f"id: {number}\ndata: {json.dumps(data)}\n\n".encode()


def message(event: Event, known: Known, reader: Reader) -> Message:  # noqa: C901, PLR0912  one case an event
    """What stands behind `data:` for this event of a launch or a session."""
    assert not isinstance(event, CertificateEvent | e.Announced), "which have subjects of their own"
    match event:
        case e.Requested(address=address):
            return _requested(f"Launch {reader.number}: {address.provider}/{address.spec}", reader.number)
        case e.Resolved(repo=repo):
            return _resolved(repo)
        case e.Queued(why=why):
            return _waiting(event, f": {why}")
        case e.Fetched(commit=commit):
            return _says("fetching", f"The files of {commit[:12]} are here", stage=BUILDING, now=NOW["building"])
        case e.Logged(phase=phase, line=line, colours=colours):
            return _says(phase.value, line, **_coloured(colours))
        case e.Noted(line=line, urlpath=urlpath):
            return _says("building", line, note=line, **({"urlpath": urlpath} if urlpath else {}))
        case e.BuildStarted():
            return _building(event)
        case e.Built():
            return _built(event, known)
        case e.SessionStarted():
            return _says("launching", "Launching server...", now=NOW["launching"])
        case e.Retrying():
            return _retrying(event)
        case e.Ready():
            return ready(event, known, reader)
        case e.Prepared(environment=environment):
            return _says("ready", PREPARED, imageName=environment, launch=reader.number)
        case e.Failed(failure=failure):
            return {**failed(failure), "launch": reader.number}
        case e.SessionOpened() | e.SessionTitled():
            return _says("session", _named(event))
        case e.SessionLogged(line=line, colours=colours):
            return _says("session", line, **_coloured(colours))
        case e.SessionTroubled(failure=failure):
            return _says("session", failure.message, failure=failure_told(failure))
        case e.SessionEnded(detail=detail, reason=reason):
            return _says("session", f"The session is over: {detail}", reason=reason.value)
        case _:
            assert_never(event)


def _coloured(colours: Colours) -> Message:
    return {"colours": colours} if colours else {}


def _named(event: e.SessionOpened | e.SessionTitled) -> str:
    return (
        f"Session {event.session.name} opened" if isinstance(event, e.SessionOpened) else f"It is called {event.title}"
    )


def _requested(text: str, number: int) -> Message:
    return _says("waiting", text, launch=number, stage=FETCHING, now=NOW["resolving"])


def _resolved(repo: ResolvedRepo) -> Message:
    name = repo.ref_name.removeprefix("refs/heads/").removeprefix("refs/tags/")
    text = f"{repo.address.ref} is {name + ', ' if name else ''}commit {repo.commit}"
    return _says("fetching", text, now=NOW["fetching"])


def _built(event: e.Built, known: Known) -> Message:
    how = "Found the environment built" if event.found else f"Built the environment in {event.seconds:.1f} s"
    text = f"{how}{'' if known.options.build_only else ', launching...'}"
    return _says("built", text, imageName=event.environment, stage=LAUNCHING, now=NOW["launching"])


def _waiting(event: e.Queued, why: str) -> Message:
    words = f"Waiting for room, number {event.position} in the queue{event.about}{why}"
    return _says("waiting", words, position=event.position, seconds=event.seconds, now=words)


def _building(event: e.BuildStarted) -> Message:
    text, now = (FOLLOWED, FOLLOWED) if event.shared else ("Resolving and building the environment", BUILDS)
    return _says("building", text, builds=True, now=now)


def _retrying(event: e.Retrying) -> Message:
    failure = event.failure
    text, now = f"{failure.message} Trying again in {event.delay:g} s.", f"{failure.kind.title}. It is tried again."
    return _says("waiting", text, retrying=failure_told(failure), stage=FETCHING, now=now)


def outline(event: Event, number: int) -> Message:
    """How far a launch is, for those who may not read its log: no line, no name, no address; empty for most events."""
    match event:
        case e.Requested():
            return _requested(f"Launch {number}", number)
        case e.Resolved():
            return _says("fetching", "The commit is known", now=NOW["fetching"])
        case e.Fetched():
            return _says("building", "The environment is being made", stage=BUILDING, now=NOW["building"])
        case e.BuildStarted():
            return _says("building", "The environment is being made", builds=True, now=BUILDS)
        case e.Built():
            return _says("built", "The environment stands", stage=LAUNCHING, now=NOW["launching"])
        case e.Queued():
            return _waiting(event, "")
        case e.SessionStarted():
            return _says("launching", "Launching server...", now=NOW["launching"])
        case e.Retrying(failure=failure):
            text = f"{failure.kind.title}. It is tried again."
            return _says("waiting", text, stage=FETCHING, now=text)
        case e.Ready():
            return _says("ready", "The server runs", launch=number)
        case e.Prepared():
            return _says("ready", "The environment stands", launch=number)
        case e.Failed(failure=failure):
            return {**failed(outlined(failure)), "launch": number}
        case _:
            return {}


def outlined(failure: Failure) -> Failure:
    """Its code, for those who may not read the log."""
    return failure.kind("its cause and its log are told to whoever began the launch", after=failure.after)


def ready(event: e.Ready, known: Known, reader: Reader) -> Message:
    """The end everybody hopes for. Only whoever holds the launch is told where it runs and by which token."""
    told: Message = {"launch": reader.number, "image": known.environment, "binder_launch_host": reader.home}
    if known.address is not None:
        told |= {"repo_url": known.address.url, "binder_request": known.address.path}
    if known.repo is not None:
        told |= {
            "binder_ref_url": ref_url(known.repo),
            "binder_persistent_request": f"v2/{known.repo.address.provider}/{known.repo.persistent_spec}",
        }
    if not reader.key:
        return _says("ready", "The server runs", **told)
    url = reader.opened_at(event.session)
    return _says("ready", f"server running at {url}", **told, url=url, token=reader.token(event.session))


def failed(failure: Failure) -> Message:
    """The other end: the one message every client can show, and its parts for those that can do more."""
    return _says("failed", failure.message, status_code=status(failure), failure=failure_told(failure))


def failure_told(failure: Failure) -> Message:
    """A failure as JSON."""
    told: Message = {
        "code": failure.kind.code,
        "title": failure.kind.title,
        "cause": failure.cause,
        "sentence": failure.sentence,
        "owner": failure.kind.owner.value,
        "evidence": [{"where": seen.where, "saw": seen.saw} for seen in failure.evidence],
        "remedy": failure.remedy,
        "retry": failure.kind.retry.value,
    }
    return told | ({"after": failure.after} if failure.kind.retry is Retry.AFTER else {})


def _says(phase: str, text: str, **more: object) -> Message:
    return {"phase": phase, "message": f"{text}\n", **more}
