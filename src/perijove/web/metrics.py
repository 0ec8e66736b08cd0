"""What is counted? In: every journal entry, once. Out: Prometheus text.

The incumbent's names where they mean the same here, without its label `repo`, whose values nothing bounds; `perijove_`
before those that are ours.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from perijove.domain import events as e
from perijove.domain.events import Entry
from perijove.domain.failures import Failure
from perijove.web.room_metrics import RoomMetrics

LAUNCH_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
BUILD_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800)


class Metrics:
    """Counts; starts from nothing with each process, as Prometheus expects."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        GCCollector(registry=r)
        self._launches = Counter("binderhub_launch_count", "Launches that ended", ["status", "provider"], registry=r)
        self._launch_time = Histogram(
            "binderhub_launch_time_seconds",
            "Request to ready",
            ["status", "retries"],
            buckets=LAUNCH_BUCKETS,
            registry=r,
        )
        self._builds = Counter("binderhub_build_count", "Environments looked for", ["status", "provider"], registry=r)
        self._build_time = Histogram(
            "binderhub_build_time_seconds", "Building an environment", ["status"], buckets=BUILD_BUCKETS, registry=r
        )
        self._launching = Gauge("binderhub_inprogress_launches", "Launches that run", registry=r)
        self._building = Gauge("binderhub_inprogress_builds", "Launches that wait for a build", registry=r)
        self._queued = Gauge("perijove_queued_launches", "Launches that wait for room", registry=r)
        self.room = RoomMetrics(r)
        self._failures = Counter("perijove_failures", "Failed launches by cause", ["code", "owner"], registry=r)
        self._retries = Counter("perijove_retries", "Failures that were tried again", ["code"], registry=r)
        self._ends = Counter("perijove_sessions_ended", "Sessions that are over", ["reason"], registry=r)
        self._troubles = Counter("perijove_session_troubles", "Troubles of running sessions", ["code"], registry=r)
        self._begun: dict[str, tuple[float, str, int]] = {}
        self._in_build: set[str] = set()
        self._in_queue: set[str] = set()

    def told(self, entry: Entry) -> None:
        """Count one entry of the journal; each is given once, as it is written."""
        match entry.event:
            case e.Requested(address=address):
                self._begun[entry.subject] = (entry.at, address.provider, 0)
            case e.Queued():
                self._in_queue.add(entry.subject)
            case e.BuildStarted():
                self._in_build.add(entry.subject)
            case e.Built(found=found, seconds=seconds):
                self._built(entry.subject, seconds, found=found)
            case e.Retrying(failure=failure):
                self._retry(entry.subject, failure)
            case e.Ready() | e.Prepared():
                self._ended(entry, "success")
            case e.Failed(failure=failure):
                self._failures.labels(failure.kind.code, failure.kind.owner.value).inc()
                self._ended(entry, "failure")
            case e.SessionTroubled(failure=failure):
                self._troubles.labels(failure.kind.code).inc()
            case e.SessionEnded(reason=reason):
                self._ends.labels(reason.value).inc()
            case _:
                pass
        self._gauge()

    @property
    def building(self) -> int:
        """Launches that wait for a build now."""
        return len(self._in_build)

    def text(self) -> bytes:
        """All of it, in Prometheus's format."""
        return generate_latest(self.registry)

    def _gauge(self) -> None:
        self._launching.set(len(self._begun))
        self._building.set(len(self._in_build))
        self._queued.set(len(self._in_queue))

    def _built(self, subject: str, seconds: float, *, found: bool) -> None:
        self._in_build.discard(subject)
        _, provider, _ = self._begun.get(subject, (0, "unknown", 0))
        self._builds.labels("found" if found else "success", provider).inc()
        if not found:
            self._build_time.labels("success").observe(seconds)

    def _retry(self, subject: str, failure: Failure) -> None:
        self._retries.labels(failure.kind.code).inc()
        self._in_build.discard(subject)
        self._in_queue.discard(subject)
        if begun := self._begun.get(subject):
            self._begun[subject] = (begun[0], begun[1], begun[2] + 1)

    def _ended(self, entry: Entry, status: str) -> None:
        if entry.subject in self._in_build:
            self._in_build.discard(entry.subject)
            self._builds.labels("failure", self._begun.get(entry.subject, (0, "unknown", 0))[1]).inc()
        self._in_queue.discard(entry.subject)
        if begun := self._begun.pop(entry.subject, None):
            at, provider, retries = begun
            self._launches.labels(status, provider).inc()
            self._launch_time.labels(status, str(retries)).observe(max(0.0, entry.at - at))
