"""The dashboard and the alert rules that ship: every metric and label they name is one that the service tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from perijove.domain.failures import CATALOGUE
from perijove.web.metrics import CertificateMetrics, DoctorMetrics, Metrics
from perijove.web.operator_desk import Examined
from tests.architecture.commands import understood
from tests.fakes.certificate_desk import records
from tests.fakes.world import FakeClock
from tests.unit.web.conftest import FakeDoctor

MONITORING = Path(__file__).parents[2] / "packaging" / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
PANELS = json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"]
NAME = re.compile(r"\b(?:perijove|binderhub)_[a-z_]+")


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a service with certificates tells: the type of each metric, by its name in an expression."""
    metrics = Metrics()
    found = records(tmp_path_factory.mktemp("records"), 1_800_000_000.0)
    DoctorMetrics(metrics.registry, FakeDoctor(Examined(0, [{"code": "platform.disk-full", "owner": "operator"}], ())))
    CertificateMetrics(metrics.registry, lambda: found, FakeClock())
    names: dict[str, str] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        if family.type == "counter":
            names[f"{family.name}_total"] = "counter"
        elif family.type == "histogram":
            names |= {f"{family.name}_{part}": "histogram" for part in ("bucket", "count", "sum")}
        else:
            names[family.name] = family.type
    return names


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_metric_that_is_named_is_told(expression: str, told: dict[str, str]) -> None:
    named = NAME.findall(expression)
    assert named
    assert not [name for name in named if name not in told]


@pytest.mark.parametrize("expression", list(expressions()))
def test_counters_and_buckets_are_read_by_their_rate(expression: str, told: dict[str, str]) -> None:
    for name in NAME.findall(expression):
        by_rate = re.search(rf"\b(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[", expression) is not None
        assert by_rate is (told[name] in ("counter", "histogram")), name


def test_owners_that_wake_somebody_are_owners() -> None:
    owners = {kind.owner.value for kind in CATALOGUE.values()}
    named = [
        one for rule in ALERTS for found in re.findall(r'owner=~"([^"]+)"', rule["expr"]) for one in found.split("|")
    ]
    assert named
    assert set(named) <= owners


def test_every_alert_says_whom_it_wakes_and_what_to_do() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        description = rule["annotations"]["description"]
        assert description.endswith(".")
        for line in re.findall(r"`(perijove [^`]+)`", description):
            assert understood(line.replace("{{ $labels.host }}", "a.example.org"))


def test_panels_have_names_of_their_own_and_do_not_overlap() -> None:
    places: set[tuple[int, int]] = set()
    for panel in PANELS:
        at: dict[str, Any] = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        places |= cells
    assert len({panel["title"] for panel in PANELS}) == len({panel["id"] for panel in PANELS}) == len(PANELS)
