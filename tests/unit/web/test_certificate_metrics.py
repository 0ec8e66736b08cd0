"""What Prometheus is told of certificates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from perijove.domain.certificate_events import Issued, IssuerChosen
from perijove.domain.certificate_failures import PORT_REFUSED
from perijove.domain.events import Entry, Event, Failed
from perijove.web.metrics import CertificateMetrics
from tests.fakes.certificate_desk import DAY, REDIRECTED, SERVED, WAITING, Desk
from tests.fakes.world import FakeClock


class Scraped:
    """The metrics over a desk, and their values by name."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.desk = Desk(folder, self.clock.now)
        self.registry = CollectorRegistry()
        self.metrics = CertificateMetrics(self.registry, self.desk.certificates, self.clock)

    def tell(self, *events: Event, subject: str = f"order/{WAITING}-1") -> None:
        for event in events:
            self.metrics.told(Entry(1, self.clock.now(), subject, event))

    def __getitem__(self, line: str) -> float | None:
        """The value of `name{label="value"}`; None where it is not told."""
        lines = dict(one.rsplit(" ", 1) for one in generate_latest(self.registry).decode().splitlines())
        return float(lines[f"perijove_certificate{line}"]) if f"perijove_certificate{line}" in lines else None


@pytest.fixture
def scraped(tmp_path: Path) -> Scraped:
    return Scraped(tmp_path)


def test_expiry_and_days_left_are_those_of_what_is_served(scraped: Scraped) -> None:
    assert scraped[f'_expiry_seconds{{host="{SERVED}"}}'] == scraped.clock.now() + 61.5 * DAY
    assert scraped[f'_days_left{{host="{SERVED}"}}'] == 61.5
    scraped.clock.time += DAY
    assert scraped[f'_days_left{{host="{SERVED}"}}'] == 60.5
    assert scraped[f'_days_left{{host="{WAITING}"}}'] is None


def test_the_next_attempt_and_those_that_run_are_told(scraped: Scraped) -> None:
    assert scraped[f'_next_attempt_seconds{{host="{WAITING}"}}'] == scraped.clock.now() + 2.5
    assert scraped["_orders"] == 1
    assert (scraped[f'_ready{{host="{SERVED}"}}'], scraped[f'_ready{{host="{WAITING}"}}']) == (1, 0)


def test_a_failure_that_is_over_is_told_as_0(scraped: Scraped) -> None:
    line = f'_last_failure{{code="{REDIRECTED.kind.code}",host="{WAITING}"}}'
    assert scraped[line] == 1
    scraped.desk.records[0] = replace(scraped.desk.records[0], failure=None)
    assert scraped[line] == 0
    del scraped.desk.records[0]
    assert scraped[line] is None, "a host that is gone is not told of"


def test_what_was_issued_and_what_failed_is_counted_by_issuer_and_code(scraped: Scraped) -> None:
    scraped.tell(IssuerChosen("letsencrypt", ""), Issued("1", "letsencrypt", "0a", 0, 0))
    scraped.tell(IssuerChosen("letsencrypt", ""), IssuerChosen("zerossl", ""), Failed(PORT_REFUSED("it refuses")))
    scraped.tell(Failed(PORT_REFUSED("it refuses")), subject="launch/1")
    assert scraped['s_issued_total{issuer="letsencrypt"}'] == 1
    text = generate_latest(scraped.registry).decode()
    failed = [line for line in text.splitlines() if line.startswith("perijove_certificate_attempts_failed_total{")]
    assert len(failed) == 1, "a launch that fails is none of ours"
    assert 'issuer="zerossl"' in failed[0]
    assert 'code="cert.port-refused"' in failed[0]
    assert failed[0].endswith(" 1.0")
