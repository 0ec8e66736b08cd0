"""What the public application needs of the rest: one value that wiring makes and every handler is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from perijove.domain.certificates import HostName
from perijove.domain.events import Entry, Ready
from perijove.domain.keys import Keys
from perijove.domain.listening import session_origin
from perijove.domain.nouns import SessionName, session_path
from perijove.domain.ports import Clock, Sessions
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.expected import Expected
from perijove.launching.launches import Launches
from perijove.launching.links import Links
from perijove.launching.resolve.pasted import Link, pasted
from perijove.launching.start.keeping import Keeping
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.start.timetable import NO_CLASSES, Timetable
from perijove.web.frames import Frames
from perijove.web.guard import CertificateStanding, Gate
from perijove.web.identity import Identity, People
from perijove.web.limits import Limits
from perijove.web.metrics import Metrics
from perijove.web.operator_desk import Desk
from perijove.web.readers import Readers
from perijove.web.requests import origin

RECALLED = 200
"""Launches."""


def _none(name: str) -> None:
    return None


def _no_class(repository: str) -> Sequence[int]:
    return ()


def _nothing(urlpath: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Public:
    """The living parts behind the pages."""

    launches: Launches
    links: Links
    sessions: SessionKeeper
    sandboxes: Sessions
    journal: Journal
    keys: Keys
    clock: Clock
    settings: Callable[[], Settings]
    keeping: Keeping
    desk: Desk
    answers: Callable[[str], str | None] = _none
    """The key authorization that stands for a token of http-01; None for tokens that are not ours."""
    certificates: Callable[[HostName], CertificateStanding | None] = _none
    """What keeps a host's certificate away; None where nobody knows."""
    held: float = 60.0
    """Seconds for which a stream of the Binder protocol is left open after `ready`, as BinderHub leaves it.

    Clients that do not close it themselves come back for another launch, or take its end for a failure.
    """
    script: Callable[[str], str] = _nothing
    """The address of the largest script that a session's page at an `urlpath` loads; `` where nobody knows yet."""
    timetable: Timetable = NO_CLASSES
    pushed: Callable[[str], Sequence[int]] = _no_class
    """Builds what a class has of the repository of this canonical name: the launches."""
    people: People | None = None
    """Who logs in; None where nobody can."""
    gate: Gate = field(init=False)
    metrics: Metrics = field(init=False)
    readers: Readers = field(init=False)
    frames: Frames = field(init=False)
    expected: Expected = field(init=False)

    def opened_at(self, request: Request) -> Callable[[SessionName], str]:
        """Where whoever asks opens a session: its address with its slash, without its token."""
        service, here = self.settings().service, origin(request)
        return lambda name: session_origin(service, here, name) + session_path(service.base, name)

    @property
    def base(self) -> str:
        """The path that everything lies below, with both slashes, as links in pages and JSON begin."""
        return self.settings().service.base

    def home(self, request: Request) -> str:
        """The service's address with its slash, as whoever asks reached it."""
        return origin(request) + self.base

    def token_for(self, request: Request) -> Callable[[SessionName], str]:
        """What opens a session for whoever asks: its token, and for a program a grant besides."""
        identity, token = self.gate.identity, self.keys.session_token
        asking = identity.who(request)
        if asking is None or not asking.program or identity.people is None:
            return token
        login, grants = asking.login, identity.people.grants
        return lambda name: f"{token(name)}.{grants.give(name, login)}"

    def __post_init__(self) -> None:
        limits = Limits(self.settings, self.clock, self.launches, self.sessions)
        identity = Identity(self.settings, self.clock, self.people)
        gate = Gate(
            self.settings, self.keys, self.clock, self.journal, self.certificates, limits, self.timetable,
            identity, self.launches,
        )  # fmt: skip
        object.__setattr__(self, "gate", gate)
        object.__setattr__(self, "metrics", Metrics())
        object.__setattr__(self, "readers", Readers())
        object.__setattr__(self, "frames", Frames(self.journal))
        object.__setattr__(self, "expected", Expected())
        self.journal.listeners += [self.metrics.told, limits.told, self._learned]

    async def meant(self, request: Request, text: str) -> Link:
        """What a text that this visitor pasted means; its host is asked where they may have it asked. Raises Fail."""
        link = pasted(text)
        asks = link.longer and self.gate.not_for(request, link.address) is None and self.gate.may_look(request)
        return await self.links.meant(text) if asks else link

    def recall(self) -> None:
        """Learn from launches of before the service was started how long they take."""
        for launch in reversed(self.launches.list(RECALLED)):
            if launch.state == "ready":
                self.expected.ready(launch)

    def _learned(self, entry: Entry) -> None:
        if isinstance(entry.event, Ready) and (launch := self.launches.get(int(entry.subject.partition("/")[2]))):
            self.expected.ready(launch)
