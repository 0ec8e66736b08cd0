"""What no rule knows is shown as it is, counted, and by whom; what is known, over or the noise of a day is not."""

from __future__ import annotations

import pytest

from perijove.domain.cluster_failures import USER_COMMAND_FAILS
from perijove.domain.cluster_ground_failures import NO_RULE
from perijove.domain.failures import Owner
from tests.doctor.cluster.world import (
    Broken,
    Json,
    ago,
    codes,
    condition,
    crashing,
    event,
    pod,
    thing,
    waiting,
)

REFUSED = (
    "[E 2026-03-10 08:5{minute}:00.100 JupyterHub base:1] Frobnicator of ada-{minute} said 418 to request {minute}7"
)
LINES = "\n".join(REFUSED.format(minute=minute) for minute in range(5))


def test_errors_that_a_log_repeats_are_shown_verbatim_with_their_number_and_their_beginning() -> None:
    (root,) = Broken(logs={"logs/hub.log": LINES}).seen().told
    finding = root.finding
    assert (finding.code, finding.subject, finding.objects[1:]) == (
        NO_RULE.code,
        "logs/hub.log",
        ("Pod binderhub/hub-1",),
    )
    (saw,) = finding.failure.evidence
    assert saw.saw == f"{LINES.splitlines()[-1]} (5 times, since 2026-03-10T08:50:00Z)"
    assert "perijove record kubernetes" in finding.failure.remedy


def test_launches_that_fail_point_at_what_the_hub_says_and_only_as_possible() -> None:
    said = "[E 260310 08:55:56 launcher:208] Error creating user x: HTTP 500: Internal Server Error"
    (root,) = Broken(logs={"hub.log": LINES, "binder.log": said}).seen().told
    assert codes([root]) == [NO_RULE.code, "cluster.launches-fail"]
    assert root.explains[0].finding.follows.value == "possible"


NOISE = {
    "twice is not often": "\n".join(LINES.splitlines()[:2]),
    "warnings of the web server": "\n".join(
        f"[W 2026-03-10 08:5{n}:00.1 JupyterHub log:1] 403 GET /x" for n in range(9)
    ),
    "words about errors": "\n".join("[I 2026-03-10 08:50:00.1 JupyterHub x:1] no error at all" for _ in range(9)),
}


@pytest.mark.parametrize("name", NOISE)
def test_noise_is_not_told(name: str) -> None:
    assert Broken(logs={"hub.log": NOISE[name]}).seen().findings == ()


def held() -> Json:
    """An Ingress that its controller warns of again and again."""
    return thing("Deployment", "frobnicator", {"replicas": 1}, {}, api="apps/v1")


def failed(name: str, component: str = "") -> Json:
    ended = pod(name, component, age=7200)
    ended["status"] = {"phase": "Failed", "conditions": [condition("Ready", "False", "PodFailed", age=7000)]}
    return ended


def stuck(name: str) -> Json:
    odd = waiting(name, "PodInitializing", component="", age=7200)
    odd["status"]["conditions"][1] = condition("Ready", "False", age=7000)
    return odd


BAD = {
    "a pod that does not become ready": (stuck("odd-1"), "Pod binderhub/odd-1"),
    "a job that failed": (failed("job-1"), "Pod binderhub/job-1"),
}


@pytest.mark.parametrize("name", BAD)
def test_pods_that_fail_for_no_known_reason_are_told(name: str) -> None:
    odd, subject = BAD[name]
    (root,) = Broken((odd,)).seen().told
    assert (root.finding.code, root.finding.subject) == (NO_RULE.code, subject)


def test_warnings_that_come_again_and_again_about_what_is_there_are_told() -> None:
    told = event(held(), "FailedCreate", 'Error creating: pods "x" frobbed')
    (root,) = Broken((held(), told)).seen().told
    assert root.finding.code == NO_RULE.code
    assert 'Error creating: pods "x" frobbed (5 times)' in root.finding.failure.evidence[0].saw
    over = event(held(), "FailedCreate", 'Error creating: pods "x" frobbed', age=3000)
    assert Broken((held(), over)).seen().findings == ()


def test_builds_that_fail_are_their_authors_until_they_are_many() -> None:
    builds = [failed(f"build-{number}", "binderhub-build") for number in range(3)]
    assert Broken((builds[0],)).seen().findings == ()
    assert set(codes(Broken(tuple(builds)).seen().told)) == {NO_RULE.code}


def test_a_server_that_ends_by_what_its_repository_starts_is_its_authors() -> None:
    ends = crashing("jupyter-x", code=127, component="singleuser-server")
    (root,) = Broken((ends,)).seen().told
    assert root.finding.failure.kind is USER_COMMAND_FAILS
    assert root.finding.failure.kind.owner is Owner.AUTHOR


def test_what_stands_on_a_broken_object_is_not_told_by_itself() -> None:
    lost = pod("odd-1", node="node2", age=7200)
    lost["status"]["conditions"][1] = condition("Ready", "False", age=7000)
    told = Broken((lost, _lost_node())).seen().told
    assert codes(told) == ["cluster.node-not-ready"]


def _lost_node() -> Json:
    gone = thing("Node", "node2", {}, {"conditions": [condition("Ready", "Unknown", age=7000)]}, namespace="")
    return gone | {"metadata": gone["metadata"] | {"creationTimestamp": ago(90_000)}}
