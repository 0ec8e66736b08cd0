"""What the public application needs of the rest: one value that wiring makes and every handler is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perijove.domain.certificates import HostName
from perijove.domain.keys import Keys
from perijove.domain.listening import session_origin
from perijove.domain.nouns import SessionName
from perijove.domain.ports import Clock, Sessions
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.launches import Launches
from perijove.launching.start.sessions import SessionKeeper
from perijove.web.frames import Frames
from perijove.web.guard import CertificateStanding, Gate
from perijove.web.limits import Limits
from perijove.web.metrics import Metrics
from perijove.web.readers import Readers


def _none(name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Public:
    """The living parts behind the pages."""

    launches: Launches
    sessions: SessionKeeper
    sandboxes: Sessions
    journal: Journal
    keys: Keys
    clock: Clock
    settings: Callable[[], Settings]
    answers: Callable[[str], str | None] = _none
    """The key authorization that stands for a token of http-01; None for tokens that are not ours."""
    certificates: Callable[[HostName], CertificateStanding | None] = _none
    """What keeps a host's certificate away; None where nobody knows."""
    held: float = 60.0
    """Seconds for which a stream of the Binder protocol is left open after `ready`, as BinderHub leaves it.

    Clients that do not close it themselves come back for another launch, or take its end for a failure.
    """
    gate: Gate = field(init=False)
    metrics: Metrics = field(init=False)
    readers: Readers = field(init=False)
    frames: Frames = field(init=False)

    def opened_at(self, origin: str) -> Callable[[SessionName], str]:
        """Where whoever reached us at `origin` opens a session: its address with its slash, without its token."""
        service = self.settings().service
        return lambda name: f"{session_origin(service, origin, name)}/user/{name}/"

    def __post_init__(self) -> None:
        limits = Limits(self.settings, self.clock, self.launches, self.sessions)
        gate = Gate(self.settings, self.keys, self.clock, self.journal, self.certificates, limits)
        object.__setattr__(self, "gate", gate)
        object.__setattr__(self, "metrics", Metrics())
        object.__setattr__(self, "readers", Readers())
        object.__setattr__(self, "frames", Frames(self.journal))
        self.journal.listeners.append(self.metrics.told)
