"""What is counted of certificates? In: every journal entry, once, and the records at each scrape. Out: Prometheus text.

What is so now is read afresh at each scrape, so that it holds after a restart; what happened is counted from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perijove.certifying.records import CertificateRecord
from perijove.domain.certificate_events import Issued, IssuerChosen
from perijove.domain.events import Entry, Failed
from perijove.domain.ports import Clock

DAY = 86400.0


class CertificateMetrics(Collector):
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
            case Failed(failure):
                self._failed.labels(self._asked.get(entry.subject, "none"), failure.kind.code).inc()
            case _:
                return
        if isinstance(entry.event, (Failed, Issued)):
            self._asked.pop(entry.subject, None)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are told with the values."""
        return ()

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
