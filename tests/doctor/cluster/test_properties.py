"""What holds for every cluster: nothing is well for want of facts, and no fault changes what another comes from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.cluster import sifting
from perijove.doctor.cluster.diagnosis import CHECKS, diagnosed
from perijove.doctor.engine import Examination, Outcome, Told
from perijove.domain.cluster import Recording, Thing, moment
from perijove.domain.findings import Finding
from perijove.wiring.cluster import from_folder
from tests.doctor.cluster.test_several import CASES as SEVERAL
from tests.doctor.cluster.world import NOW, Json, claim, condition, crashing, healthy, node, recording, unplaced

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/expected.md"))
CLUSTERS = {path.name: path for path in FOLDERS}
AT = moment("2026-03-10T09:00:00Z")
WHOLE = recording(
    healthy(),
    logs={"logs/hub.log": "", "logs/binder.log": "", "logs/autohttps.log": ""},
    probes=[{"kind": "http", "url": "https://binder.example/health", "hops": [{"status": 200, "body": "{}"}]}],
)


@cache
def cluster(name: str) -> Recording:
    return replace(from_folder(CLUSTERS[name], AT), where="memory") if name in CLUSTERS else _made(name)


def _made(name: str) -> Recording:
    return WHOLE if name == "healthy" else SEVERAL[name][0].recorded()


NAMES = [*CLUSTERS, *SEVERAL, "healthy"]


@cache
def judged(name: str) -> Examination:
    return diagnosed(cluster(name))


def well(examination: Examination) -> set[str]:
    return {one.name for one in examination.results if one.outcome is Outcome.WELL}


def without(seen: Recording) -> Iterator[tuple[str, Recording]]:
    """The recording less one fact."""
    for kind in sorted({*seen.whole, *(one.kind for one in seen.things)}):
        left = tuple(one for one in seen.things if one.kind != kind)
        yield kind, replace(seen, things=left, whole=seen.whole - {kind})
        yield f"{kind}: 403", replace(seen, things=left, whole=seen.whole - {kind}, unseen={kind: "403 forbidden"})
    for namespace in sorted({one.namespace for one in seen.things} - {""}):
        yield namespace, replace(seen, things=tuple(one for one in seen.things if one.namespace != namespace))
    for name in seen.logs:
        yield name, replace(seen, logs={key: words for key, words in seen.logs.items() if key != name})
    for number, probe in enumerate(seen.probes):
        yield repr(probe), replace(seen, probes=(*seen.probes[:number], *seen.probes[number + 1 :]))
    yield "front", replace(seen, front=None)
    yield "served", replace(seen, served={})


@pytest.mark.parametrize("name", NAMES)
def test_a_fact_less_never_makes_anything_well(name: str) -> None:
    before = well(judged(name))
    for fact, less in without(cluster(name)):
        more = well(diagnosed(less)) - before
        # A namespace that was left out cannot be told from one that never was.
        assert not more or (not fact[0].isupper() and fact in {one.namespace for one in cluster(name).things}), fact


def test_everything_is_well_only_where_everything_was_seen() -> None:
    assert well(diagnosed(WHOLE)) == {*(one.name for one in CHECKS), "others"}


def test_a_single_pod_makes_nothing_well() -> None:
    (pod,) = (one for one in healthy() if one["metadata"]["name"] == "hub-1")
    told = diagnosed(Recording("memory", NOW, "", tuple(sifting.things([pod])), whole=frozenset({"Pod"})))
    assert (told.findings, well(told)) == ((), set())
    (nodes,) = (one for one in told.results if one.name == "nodes")
    assert nodes.outcome is Outcome.UNSEEN
    assert "Node: nobody recorded them" in nodes.why_skipped
    some = diagnosed(Recording("memory", NOW, "", tuple(sifting.things([pod])))).results
    assert any("Pod: only some of them were recorded" in one.why_skipped for one in some)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_in_which_it_was_recorded_changes_nothing(name: str) -> None:
    seen = cluster(name)
    expected = judged(name)
    for seed in range(3):
        mixed = random.Random(seed)
        things, probes = list(seen.things), list(seen.probes)
        mixed.shuffle(things)
        mixed.shuffle(probes)
        logs = dict(sorted(seen.logs.items(), key=lambda _: mixed.random()))
        assert diagnosed(replace(seen, things=tuple(things), probes=tuple(probes), logs=logs)) == expected


def broken(name: str) -> Json:
    """An object that is broken and has nothing to do with anything else."""
    if name == "node":
        lost = node("lonely", spec={"taints": [{"key": "only-for", "value": "others", "effect": "NoSchedule"}]})
        lost["status"]["conditions"] = [condition("Ready", "Unknown", "NodeStatusUnknown", age=30 * 86400)]
        return lost
    made = {
        "claim": claim("grafana", phase="Pending", spec={"storageClassName": "nowhere", "volumeName": None}),
        "pod": crashing("grafana-1", component="", node="node-of-grafana"),
        "waiting": unplaced("grafana-2", "0/9 nodes are available: 9 Too many pods.", component=""),
    }[name]
    made["metadata"]["namespace"] = "monitoring"
    return made


def roots(told: Examination) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Each root with all that it explains."""

    def key(finding: Finding) -> tuple[str, str]:
        return finding.code, finding.subject

    def below(one: Told) -> set[tuple[str, str]]:
        return {key(one.finding), *(each for other in one.explains for each in below(other))}

    return {key(one.finding): below(one) for one in told.told}


@pytest.mark.parametrize("unrelated", ["node", "claim", "pod", "waiting"])
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_elsewhere_changes_no_other_root(name: str, unrelated: str) -> None:
    seen = cluster(name)
    more = tuple(sifting.things([broken(unrelated)]))
    whole = seen.whole | {"StorageClass"} if unrelated == "claim" else seen.whole
    before, after = roots(judged(name)), roots(diagnosed(replace(seen, things=(*seen.things, *more), whole=whole)))
    assert {key: after.get(key) for key in before} == before
    assert all("lonely" in subject or "grafana" in subject for _, subject in after.keys() - before.keys())


ODD: list[Any] = [None, 7, "x", [], {}, [7], {"a": 7}, True, -1, "2026-13-99", "{{", ["x", {"y": 1}]]


def odd(drawn: random.Random, value: Any) -> Any:
    """The same with a few values that nobody writes there."""
    if drawn.random() < 0.01:
        return drawn.choice(ODD)
    if isinstance(value, Mapping):
        return {key: odd(drawn, one) for key, one in value.items()}
    return [odd(drawn, one) for one in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", NAMES)
def test_no_value_however_odd_ends_it_in_a_traceback(name: str) -> None:
    seen = cluster(name)
    for seed in range(8):
        drawn = random.Random(seed)
        raws = [{key: odd(drawn, value) for key, value in one.raw.items() if key != "kind"} for one in seen.things]
        kinds = [one.kind for one in seen.things]
        things = tuple(Thing(raw | {"kind": kind}) for raw, kind in zip(raws, kinds, strict=True))
        assert diagnosed(replace(seen, things=things)).results
