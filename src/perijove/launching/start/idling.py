"""Is a session used, and when is it stopped if it stays as it is? In: looks at it. Out: a moment and a reason. Pure.

The table of docs/operating.md says what counts. What a server says of itself may be a lie, which `session.max_age`
bounds; what its terminals do is seen from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from perijove.domain.activity import Activity, Ending, ServerUse
from perijove.domain.nouns import EndReason
from perijove.domain.settings import SessionSettings

SILENT_CPU = 0.5
"""Seconds of processor time between two looks beyond which a server that does not answer is busy."""


@dataclass(slots=True)
class Idling:
    """What was seen of one session's use."""

    used_at: float
    """When it was used last: Unix seconds, at first when it was handed out."""
    opened_at: float = 0
    """When a page was last seen connected to it."""
    open: bool = False
    """Whether one is."""
    stopped_at: float = 0
    """When the operator has it stopped; 0 where they do not."""
    processors: float = 0
    """How many its processes kept busy between the last two looks."""
    _cpu: float = 0
    _looked_at: float = 0

    def look(self, now: float, use: ServerUse | None, activity: Activity) -> None:
        """Take in what it says, None where it does not answer, and what its processes do."""
        spent, self._cpu = activity.used - self._cpu, activity.used
        self.processors = max(0, spent) / (now - self._looked_at) if 0 < self._looked_at < now else 0
        self._looked_at = now
        if use is None:
            runs = activity.jobs > 0 or spent > SILENT_CPU
        else:
            runs = activity.jobs > 0 or use.busy > 0 or use.apps > 0
            self.used_at = max(self.used_at, min(use.used_at, now))
            self.open = use.pages > 0
        if runs:
            self.used_at = now
        if self.open:
            self.opened_at = now

    def ending(self, started_at: float, settings: SessionSettings) -> Ending | None:
        """None: never."""
        found = [Ending(self.stopped_at, EndReason.STOPPED)] if self.stopped_at else []
        if settings.max_age:
            found.append(Ending(started_at + settings.max_age, EndReason.OLD))
        if self.open and settings.tab_timeout:
            found.append(Ending(self.used_at + settings.tab_timeout, EndReason.IDLE))
        if not self.open and settings.idle_timeout:
            found.append(Ending(max(self.used_at, self.opened_at) + settings.idle_timeout, EndReason.IDLE))
        return min(found, key=lambda ending: ending.at, default=None)
