"""How full is the machine? In: what is held now, read afresh for each scrape. Out: gauges. What nobody tells is NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge

from perijove.domain.nouns import Room


@dataclass(frozen=True, slots=True)
class Held:
    """Sessions that run and what the machine has left for more."""

    sessions: int
    ready: int
    """Held ready, which are nobody's yet."""
    memory: int
    disk: int
    """Bytes that they use."""
    processors: float
    """How many they keep busy."""
    ages: Sequence[float]
    """Seconds that each has run."""
    room: Room | None
    """None where whoever holds them does not answer."""
    more: int | None
    """For how many more there is room; None: nobody knows."""


class RoomMetrics:
    """Gauges of sessions, of what they use, and of what is left."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = registry
        Gauge("perijove_info", "Which version this is", ["version"], registry=r).labels(version("perijove")).set(1)
        self._sessions = Gauge("perijove_sessions", "Sessions that run", registry=r)
        self._ready = Gauge("perijove_sessions_ready", "Sessions held ready, which are nobody's yet", registry=r)
        self._memory = Gauge("perijove_sessions_memory_bytes", "Memory of all sandboxes", registry=r)
        self._disk = Gauge("perijove_sessions_disk_bytes", "Disk of all sandboxes' homes", registry=r)
        self._processors = Gauge("perijove_sessions_processors", "Processors that sessions keep busy", registry=r)
        self._age = Gauge("perijove_sessions_age_seconds", "How long sessions have run", ["of"], registry=r)
        self._room_memory = Gauge("perijove_room_memory_bytes", "Memory that could be given out", registry=r)
        self._room_disk = Gauge("perijove_room_disk_bytes", "Disk that is free where sessions live", registry=r)
        self._room = Gauge("perijove_room_sessions", "For how many more sessions there is room", registry=r)

    def tell(self, held: Held) -> None:
        """Set all to what was just read: sessions outlive this process."""
        self._sessions.set(held.sessions)
        self._ready.set(held.ready)
        self._memory.set(held.memory)
        self._disk.set(held.disk)
        self._processors.set(held.processors)
        self._age.labels("oldest").set(max(held.ages, default=0))
        self._age.labels("mean").set(sum(held.ages) / len(held.ages) if held.ages else 0)
        memory = held.room.memory if held.room else None
        self._room_memory.set(math.nan if memory is None else memory)
        self._room_disk.set(held.room.disk if held.room else math.nan)
        self._room.set(held.more if held.room and held.more is not None else math.nan)
