"""What the doctor found last, for Prometheus. In: what it came to. Out: gauges; none before it has looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perijove.web.operator_desk import Doctor


class DoctorMetrics(Collector):
    """Registers itself."""

    def __init__(self, registry: CollectorRegistry, doctor: Doctor) -> None:
        self._doctor = doctor
        self._seen: set[tuple[str, str]] = set()
        """Codes and owners that were told once, and are told as 0 afterwards."""
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are told with the values."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Its root causes."""
        if (last := self._doctor.last) is None:
            return
        at = GaugeMetricFamily("perijove_doctor_examined_seconds", "Unix time at which the doctor looked last")
        at.add_metric([], last.at)
        yield at
        found = Counter((str(one["code"]), str(one["owner"])) for one in last.told)
        self._seen |= found.keys()
        findings = GaugeMetricFamily("perijove_doctor_findings", "What it found", labels=["code", "owner"])
        for code, owner in sorted(self._seen):
            findings.add_metric([code, owner], found[code, owner])
        yield findings
