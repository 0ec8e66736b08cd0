"""No rule fires on what is well, of any kind, whatever happened to it before."""

from __future__ import annotations

import pytest

from perijove.backends.cluster.kinds import KINDS
from perijove.doctor.cluster.diagnosis import diagnosed
from tests.doctor.cluster.world import DAY, ago, challenge, event, healthy, pod, recording, waiting


def test_every_kind_that_is_looked_at_is_among_the_healthy_ones() -> None:
    assert {one.kind for one in KINDS} <= {one["kind"] for one in healthy()}


def test_a_healthy_cluster_gives_nothing() -> None:
    assert diagnosed(recording(healthy())).findings == ()


@pytest.mark.parametrize("kind", sorted({one["kind"] for one in healthy()}))
def test_objects_of_one_kind_alone_give_nothing(kind: str) -> None:
    """What was not recorded is not missing."""
    assert diagnosed(recording([one for one in healthy() if one["kind"] == kind], whole=frozenset())).findings == ()


@pytest.mark.parametrize("kind", sorted({one["kind"] for one in healthy()}))
def test_a_kind_that_was_not_recorded_gives_nothing(kind: str) -> None:
    there = [one for one in healthy() if one["kind"] != kind]
    assert diagnosed(recording(there, whole=frozenset())).findings == ()


@pytest.mark.parametrize(
    "fresh",
    [
        pytest.param([waiting("jupyter-b", "ContainerCreating", age=20)], id="a server that is starting"),
        pytest.param([pod("old-1", "singleuser-server", age=40 * DAY)], id="one old server"),
        pytest.param(
            [challenge("Waiting for HTTP-01 challenge propagation: wrong status code '404'", age=30)],
            id="a fresh challenge",
        ),
        pytest.param([pod("jupyter-c", "singleuser-server", deletionTimestamp=ago(10))], id="a server that is ending"),
        pytest.param(
            [
                waiting("jupyter-d", "ContainerCreating", age=60),
                event(waiting("jupyter-d", ""), "Pulling", "Pulling", "Normal", 30),
            ],
            id="an image that is being pulled",
        ),
    ],
)
def test_what_is_under_way_gives_nothing(fresh: list[dict[str, object]]) -> None:
    assert diagnosed(recording([*healthy(), *fresh])).findings == ()


def test_a_redirect_whose_last_answer_is_right_gives_nothing() -> None:
    hops = [{"status": 301, "server": "nginx", "location": "https://binder.example/x"}, {"status": 200, "body": "x"}]
    probe = {"kind": "http", "url": "http://binder.example/.well-known/acme-challenge/x", "hops": hops}
    assert diagnosed(recording(healthy(), probes=[probe])).findings == ()


def test_objects_without_anything_in_them_break_nothing() -> None:
    bare = [{"apiVersion": "v1", "kind": one["kind"], "metadata": {"name": "x"}} for one in healthy()]
    odd = [one | {"spec": None, "status": "gone"} for one in bare]
    told = diagnosed(recording([*bare, *odd], whole=frozenset()))
    assert {one.code for one in told.findings} <= {"cluster.certificate-not-issued"}
