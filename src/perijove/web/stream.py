"""How is an event told to a client of the Binder protocol? In: events. Out: server-sent event frames. Pure.

Every frame says `message`, ending in a newline; keys beside the protocol's own are additions that its clients ignore.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

from perijove.domain.certificate_events import CertificateEvent
from perijove.domain.events import (
    BuildStarted,
    Built,
    Entry,
    Event,
    Failed,
    Fetched,
    Logged,
    Prepared,
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
from perijove.domain.failures import Failure, Retry
from perijove.domain.nouns import NO_WISH, EnvironmentKey, RepoAddress, ResolvedRepo, SessionName, Wish, ref_url
from perijove.web.statuses import status

Message = dict[str, Any]
"""What stands behind `data:`, a JSON object."""

KEEPALIVE = b":keepalive\n\n"
FOLLOWED = "Another launch is building this already; following it"
PREPARED = "Done! The environment stands; nothing is launched"
REFUSED_ID = "0.refused"
"""The event id of a refusal that began no launch, so that an EventSource that comes back is told to stop."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a launch, and by which address they reached us."""

    origin: str
    """`https://binder.example.org`"""
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
    wish: Wish = NO_WISH


def learn(known: Known, event: Event) -> Known:
    """What is known after this event."""
    match event:
        case Requested(address=address, wish=wish):
            return replace(known, address=address, wish=wish)
        case Resolved(repo=repo):
            return replace(known, address=repo.address, repo=repo)
        case Built(environment=environment):
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
    assert not isinstance(event, CertificateEvent), "certificates have subjects of their own"
    match event:
        case Requested(address=address):
            return _says("waiting", f"Launch {reader.number}: {address.provider}/{address.spec}", launch=reader.number)
        case Resolved(repo=repo):
            name = repo.ref_name.removeprefix("refs/heads/").removeprefix("refs/tags/")
            return _says("fetching", f"{repo.address.ref} is {name + ', ' if name else ''}commit {repo.commit}")
        case Queued(position=position, why=why):
            return _says("waiting", f"Waiting for room, number {position} in the queue: {why}", position=position)
        case Fetched(commit=commit):
            return _says("fetching", f"The files of {commit[:12]} are here")
        case Logged(phase=phase, line=line):
            return _says(phase.value, line)
        case BuildStarted(shared=shared):
            return _says("building", FOLLOWED if shared else "Resolving and building the environment")
        case Built(environment=environment, found=found, seconds=seconds):
            how = "Found the environment built" if found else f"Built the environment in {seconds:.1f} s"
            return _says("built", f"{how}{'' if known.wish.build_only else ', launching...'}", imageName=environment)
        case SessionStarted():
            return _says("launching", "Launching server...")
        case Retrying(failure=failure, delay=delay):
            return _says("waiting", f"{failure.message} Trying again in {delay:g} s.", retrying=failure_told(failure))
        case Ready():
            return ready(event, known, reader)
        case Prepared(environment=environment):
            return _says("ready", PREPARED, imageName=environment, launch=reader.number)
        case Failed(failure=failure):
            return {**failed(failure), "launch": reader.number}
        case SessionOpened(session=session):
            return _says("session", f"Session {session.name} opened")
        case SessionLogged(line=line):
            return _says("session", line)
        case SessionTroubled(failure=failure):
            return _says("session", failure.message, failure=failure_told(failure))
        case SessionEnded(detail=detail, reason=reason):
            return _says("session", f"The session is over: {detail}", reason=reason.value)
        case _:
            assert_never(event)


def outline(event: Event, number: int) -> Message:
    """How far a launch is, for those who may not read its log: no line, no name, no address; empty for most events."""
    match event:
        case Requested():
            return _says("waiting", f"Launch {number}", launch=number)
        case Resolved():
            return _says("fetching", "The commit is known")
        case Fetched() | BuildStarted():
            return _says("building", "The environment is being made")
        case Built():
            return _says("built", "The environment stands")
        case Queued(position=position):
            return _says("waiting", f"Waiting for room, number {position} in the queue", position=position)
        case SessionStarted():
            return _says("launching", "Launching server...")
        case Retrying(failure=failure):
            return _says("waiting", f"{failure.kind.title}. It is tried again.")
        case Ready():
            return _says("ready", "The server runs", launch=number)
        case Prepared():
            return _says("ready", "The environment stands", launch=number)
        case Failed(failure=failure):
            return {**failed(outlined(failure)), "launch": number}
        case _:
            return {}


def outlined(failure: Failure) -> Failure:
    """Its code, for those who may not read the log."""
    return failure.kind("its cause and its log are told to whoever began the launch", after=failure.after)


def ready(event: Ready, known: Known, reader: Reader) -> Message:
    """The end everybody hopes for. Only whoever holds the launch is told where it runs and by which token."""
    told: Message = {"launch": reader.number, "image": known.environment, "binder_launch_host": f"{reader.origin}/"}
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
        "owner": failure.kind.owner.value,
        "evidence": [{"where": seen.where, "saw": seen.saw} for seen in failure.evidence],
        "remedy": failure.remedy,
        "retry": failure.kind.retry.value,
    }
    return told | ({"after": failure.after} if failure.kind.retry is Retry.AFTER else {})


def _says(phase: str, text: str, **more: object) -> Message:
    return {"phase": phase, "message": f"{text}\n", **more}
