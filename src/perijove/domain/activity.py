"""What a session that runs was seen to do, from outside and by what its server says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from perijove.domain.events import Announced
from perijove.domain.failures import Failure
from perijove.domain.nouns import EndReason


@dataclass(frozen=True, slots=True)
class Activity:
    """What all processes of a session have done so far, and what its server does now."""

    used: float
    """Seconds of processor time."""
    waited: float
    """Seconds that its threads were ready to run and stood in line for a processor."""
    queued: bool
    """Whether one of its processes runs or stands in line now, for a processor or for the disk."""
    doing: str
    """Its server: `sleeping in do_epoll_wait`."""
    jobs: int = 0
    """Processes in the foreground of a terminal that are not its shell. A pad of before does not tell."""
    seen: bool = True
    """Whether anybody can see it from outside; else `doing` alone says something."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a session's Jupyter server says of itself at `api/status`."""

    last_activity: float
    """Unix seconds."""
    connections: int
    kernels: int


@dataclass(frozen=True, slots=True)
class ServerUse:
    """What a session's Jupyter server says of its use."""

    busy: int
    """Kernels that execute something."""
    apps: int
    """Open connections to apps that it passes on."""
    pages: int
    """Other open connections of pages."""
    used_at: float
    """When somebody last wanted something of it: Unix seconds; 0 where nobody has."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When a session is stopped unless something happens, and why."""

    at: float
    """Unix seconds."""
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Share:
    """What a session uses of what it may."""

    setting: str
    """By its name: `session.memory`."""
    used: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happened to a session that goes on."""

    at: float
    """Unix seconds."""
    failure: Failure


@dataclass(frozen=True, slots=True)
class Notices:
    """What a session's own pages are told."""

    ending: Ending | None = None
    shares: tuple[Share, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    """The newest last."""
    message: Announced | None = None
    """What the operator tells everybody."""


NO_NOTICES = Notices()
