"""What happens, in the past tense: a closed union for launches, one for sessions, one for certificates; and what an
operator announces. Pure.

A launch ends in exactly one of `Ready`, `Prepared` or `Failed`. Each event is appended once to the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perijove.domain.bounded_log import Colours
from perijove.domain.certificate_events import CertificateEvent, Certified
from perijove.domain.failures import Failure
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.nouns import (
    EndReason,
    EnvironmentKey,
    RepoAddress,
    ResolvedRepo,
    Session,
    SessionName,
)


class Phase(StrEnum):
    """Which part of a launch a log line belongs to."""

    FETCHING = "fetching"
    BUILDING = "building"
    LAUNCHING = "launching"


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody asked for a launch; always the first event."""

    address: RepoAddress
    client: str
    """The visitor's address, or `local` for the command line."""
    wish: LaunchOptions = NO_OPTIONS
    """By this name journals have it."""
    visitor: str = ""
    """The public half of the visitor's key; `` where they brought none."""
    person: str = ""
    """Whose launch it is, by the name they logged in by; `` without log-in."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The commit is known."""

    repo: ResolvedRepo


@dataclass(frozen=True, slots=True)
class Queued:
    """There is no room yet; told again whenever the position changes. 1 is next."""

    position: int
    why: str
    seconds: float | None = None
    """How much longer it will take, as far as starts of late tell; None where they tell nothing."""

    @property
    def about(self) -> str:
        """`, about 12 s`; `` where nothing is known."""
        if self.seconds is None:
            return ""
        return f", about {self.seconds / 60:.0f} min" if self.seconds >= 90 else f", about {max(1, self.seconds):.0f} s"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files are here."""

    commit: str


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of what git, uv, a package's build or the session's server said, without its newline."""

    phase: Phase
    line: str
    colours: Colours = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """What the repository's author should know of how it is read; the launch goes on. Pages show it above the log."""

    line: str
    urlpath: str = ""
    """What is opened in the place of the options' `urlpath`, which this commit does not have; else ``."""


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """The environment has to be resolved and made; `shared` when another launch is already at it."""

    environment: str
    """The build's name: which environment it comes to is known when it is built."""
    shared: bool


@dataclass(frozen=True, slots=True)
class Built:
    """The environment stands; `found` when it stood already."""

    environment: EnvironmentKey
    found: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The sandbox runs, or its pod has a node; its server does not answer yet."""

    session: SessionName


@dataclass(frozen=True, slots=True)
class Retrying:
    """A failure that trying again can help; the whole way runs once more after `delay` seconds."""

    failure: Failure
    delay: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The session's server answered. Terminal."""

    session: SessionName
    path: str
    """`/user/<name>/`, below `service.base`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The environment stands, and nothing else was asked for. Terminal."""

    environment: EnvironmentKey


@dataclass(frozen=True, slots=True)
class Failed:
    """The launch, or the attempt to get a certificate, is over. Terminal."""

    failure: Failure


LaunchEvent = (
    Requested
    | Resolved
    | Queued
    | Fetched
    | Logged
    | Noted
    | BuildStarted
    | Built
    | SessionStarted
    | Retrying
    | Ready
    | Prepared
    | Failed
)


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session was made; always the first event of its subject."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionLogged:
    """A line of a session's server."""

    session: SessionName
    line: str
    colours: Colours = ()


@dataclass(frozen=True, slots=True)
class SessionTroubled:
    """Something happened to a session that goes on: a kernel killed for memory, a disk nearly full."""

    session: SessionName
    failure: Failure


@dataclass(frozen=True, slots=True)
class SessionTitled:
    """Its person called it something; the last one counts."""

    session: SessionName
    title: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session is over. Terminal for the session."""

    session: SessionName
    reason: EndReason
    detail: str
    """In words, for people: `its server ended with exit code 1`."""
    exit_code: int | None
    """Negative for a signal; None where nobody could see."""


@dataclass(frozen=True, slots=True)
class Announced:
    """The operator tells everybody something, in the place of what was told before; `` for nothing any more."""

    text: str
    at: float
    until: float
    """Unix seconds, both."""


@dataclass(frozen=True, slots=True)
class SessionProgressed:
    """How its start gets on, for its launch alone: none of it are words of its server."""

    session: SessionName
    told: Logged | Queued | SessionStarted


SessionEvent = SessionOpened | SessionLogged | SessionTroubled | SessionEnded
SessionHappening = SessionEvent | SessionProgressed
Event = LaunchEvent | SessionEvent | SessionTitled | CertificateEvent | Announced
Terminal = Ready | Prepared | Failed | SessionEnded | Certified


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it stands in the journal."""

    seq: int
    """Rises over the whole journal; the event stream's `id`."""
    at: float
    """Unix seconds."""
    subject: str
    """`launch/<number>`, `session/<name>`, `order/<host>-<number>`, `certificate/<host>` or `operator/message`."""
    event: Event


@dataclass(frozen=True, slots=True)
class Kept:
    """A subject that the journal keeps."""

    subject: str
    seq: int
    """Of its first entry."""
    ended_at: float | None
    """When its terminal event was written, Unix seconds; None while it goes on."""
