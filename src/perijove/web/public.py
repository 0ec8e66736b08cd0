"""What the public application needs of the rest: one value that wiring makes and every handler is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perijove.domain.keys import Keys
from perijove.domain.ports import Clock, Sessions
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.launches import Launches
from perijove.launching.start.sessions import SessionKeeper
from perijove.web.guard import Gate
from perijove.web.metrics import Metrics


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
    gate: Gate = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", Gate(self.settings, self.keys, self.clock, self.journal))
        object.__setattr__(self, "metrics", Metrics())
        self.journal.listeners.append(self.metrics.told)
