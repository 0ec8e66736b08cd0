"""What is counted? In: every journal entry, once, and at each scrape what is so now. Out: Prometheus text.

The incumbent's names where they mean the same here, without its label `repo`, whose values nothing bounds; `perijove_`
before those that are ours. What happened is counted from nothing with each process, as Prometheus expects; what is so
now is read afresh at each scrape, so that it holds after a restart. What nobody tells is NaN.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from perijove.certifying.records import CertificateRecord
from perijove.domain import events as e
from perijove.domain.certificate_events import Issued, IssuerChosen
from perijove.domain.events import Entry
from perijove.domain.failures import Failure
from perijove.domain.nouns import Room
from perijove.domain.ports import Clock
from perijove.web.operator_desk import Doctor

LAUNCH_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
BUILD_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800)

DAY = 86400.0


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


class _Scraped(Collector):
    """What is read at each scrape. Its names are told with the values, and there are none before it has any."""

    def describe(self) -> Iterable[Metric]:
        return ()


class CertificateMetrics(_Scraped):
    """Registers itself; `told` is for the journal's listeners."""

    def __init__(
        self, registry: CollectorRegistry, records: Callable[[], Sequence[CertificateRecord]], clock: Clock
    ) -> None:
        self._records = records
        self._clock = clock
        self._asked: dict[str, str] = {}
        """Who was asked last, by the subjects of attempts that run."""
        self._seen: set[tuple[str, str]] = set()
        """Hosts and codes that were told once, and are told as 0 afterwards."""
        self._issued = Counter(
            "perijove_certificates_issued", "Certificates that were signed", ["issuer"], registry=registry
        )
        self._failed = Counter(
            "perijove_certificate_attempts_failed", "Attempts that failed", ["issuer", "code"], registry=registry
        )
        registry.register(self)

    def told(self, entry: Entry) -> None:
        """Count one entry of the journal; each is given once, as it is written."""
        if not entry.subject.startswith("order/"):
            return
        match entry.event:
            case IssuerChosen(issuer=issuer):
                self._asked[entry.subject] = issuer
            case Issued(issuer=issuer):
                self._issued.labels(issuer).inc()
            case e.Failed(failure):
                self._failed.labels(self._asked.get(entry.subject, "none"), failure.kind.code).inc()
            case _:
                return
        if isinstance(entry.event, (e.Failed, Issued)):
            self._asked.pop(entry.subject, None)

    def collect(self) -> Iterable[Metric]:
        """The records as they are now."""
        expiry = GaugeMetricFamily(
            "perijove_certificate_expiry_seconds", "Unix time at which the certificate served expires", labels=["host"]
        )
        left = GaugeMetricFamily("perijove_certificate_days_left", "Days until it expires", labels=["host"])
        ahead = GaugeMetricFamily(
            "perijove_certificate_next_attempt_seconds",
            "Unix time of the next attempt; 0 while one runs",
            labels=["host"],
        )
        ready = GaugeMetricFamily("perijove_certificate_ready", "Whether it is served and valid", labels=["host"])
        failing = GaugeMetricFamily(
            "perijove_certificate_last_failure", "Whether this keeps it, or its renewal, away", labels=["host", "code"]
        )
        orders = GaugeMetricFamily("perijove_certificate_orders", "Attempts that run now")
        records, now, failures = self._records(), self._clock.now(), set[tuple[str, str]]()
        for record in records:
            host = [record.name]
            ready.add_metric(host, float(record.ready))
            ahead.add_metric(host, record.next_attempt)
            if record.secret:
                expiry.add_metric(host, record.secret.not_after)
                left.add_metric(host, (record.secret.not_after - now) / DAY)
            if record.failure:
                failures.add((record.name, record.failure.kind.code))
        self._seen = {(host, code) for host, code in self._seen | failures if host in {one.name for one in records}}
        for pair in sorted(self._seen):
            failing.add_metric(pair, float(pair in failures))
        orders.add_metric([], sum(1 for one in records if one.order and not one.order.ended_at))
        return (expiry, left, ahead, ready, failing, orders)


class DoctorMetrics(_Scraped):
    """Registers itself."""

    def __init__(self, registry: CollectorRegistry, doctor: Doctor) -> None:
        self._doctor = doctor
        self._seen: set[tuple[str, str]] = set()
        """Codes and owners that were told once, and are told as 0 afterwards."""
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Its root causes."""
        if (last := self._doctor.last) is None:
            return
        at = GaugeMetricFamily("perijove_doctor_examined_seconds", "Unix time at which the doctor looked last")
        at.add_metric([], last.at)
        yield at
        found = collections.Counter((str(one["code"]), str(one["owner"])) for one in last.told)
        self._seen |= found.keys()
        findings = GaugeMetricFamily("perijove_doctor_findings", "What it found", labels=["code", "owner"])
        for code, owner in sorted(self._seen):
            findings.add_metric([code, owner], found[code, owner])
        yield findings
