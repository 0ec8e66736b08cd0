"""What the API refuses to those who make pods: whose lines count, of which day, and about which objects."""

from __future__ import annotations

import pytest

from perijove.doctor.cluster.diagnosis import diagnosed
from tests.doctor.cluster.world import (
    DAY,
    NAMESPACE,
    Broken,
    ago,
    challenge,
    codes,
    crashing,
    event,
    issuer,
    recording,
    thing,
    waiting,
)

QUOTA = (
    '{"kind":"Status","message":"pods \\"jupyter-ada\\" is forbidden: exceeded quota: compute, requested: pods=1, '
    'used: pods=9, limited: pods=9","reason":"Forbidden"}'
)
SECURITY = (
    '{"kind":"Status","message":"pods \\"jupyter-ada\\" is forbidden: violates PodSecurity \\"restricted:latest\\": '
    'allowPrivilegeEscalation != false","reason":"Forbidden"}'
)


def written(age: float, words: str) -> str:
    return f"{ago(age)} {words}\n"


@pytest.mark.parametrize(
    "words",
    ["etcdserver: leader changed", 'failed calling webhook "gone.example": failed to call webhook: x509: no authority'],
)
def test_what_the_api_said_yesterday_is_no_finding_of_today(words: str) -> None:
    assert codes(Broken(logs={"hub.log": written(DAY + 600, words)}).seen().told) == []
    assert codes(Broken(logs={"hub.log": written(600, words)}).seen().told) != []


def test_what_etcd_writes_of_itself_is_none_of_its_refusals() -> None:
    log = f"{ago(600)} I | etcdserver: start to snapshot (applied: 10001, lastsnap: 0)\n"
    assert codes(Broken(logs={"etcd-1.log": log}).seen().told) == []


def test_a_quota_is_the_one_of_the_namespace_whose_pods_are_refused() -> None:
    status = {"hard": {"pods": "9"}, "used": {"pods": "9"}}
    there = tuple(thing("ResourceQuota", "compute", {}, status, namespace=one) for one in ("astaging", NAMESPACE))
    told = [one.finding for one in Broken(add=there, logs={"hub.log": written(600, QUOTA)}).seen().told]
    (exceeded,) = [one for one in told if one.failure.kind.code == "cluster.resource-quota-exceeded"]
    assert exceeded.subject == f"ResourceQuota {NAMESPACE}/compute"
    assert [one for one in exceeded.commands if "astaging" in one] == []


@pytest.mark.parametrize("lines", [(SECURITY, SECURITY, QUOTA), (QUOTA, QUOTA, SECURITY)], ids=["last", "first"])
def test_two_refusals_are_counted_apart_whichever_came_last(lines: tuple[str, ...]) -> None:
    told = Broken(logs={"hub.log": "".join(written(600, one) for one in lines)}).seen().told
    (refused,) = [one.finding for one in told if one.finding.failure.kind.code == "cluster.admission-refused"]
    assert "cluster.resource-quota-exceeded" in codes(told)
    assert f"{lines.count(SECURITY)} times" in refused.failure.cause
    assert "PodSecurity" in refused.failure.cause


def test_a_name_server_that_takes_no_connection_has_refused_no_credentials() -> None:
    said = "Error presenting challenge: dial tcp 10.0.0.5:53: connect: connection refused"
    asked = challenge(said)
    asked["spec"] |= {
        "type": "DNS-01", "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"},
        "solver": {"dns01": {"rfc2136": {"nameserver": "10.0.0.5", "tsigSecretSecretRef": {"name": "t", "key": "k"}}}},
    }  # fmt: skip
    asked["status"]["presented"] = False
    assert "cluster.dns-credentials-refused" not in codes(diagnosed(recording([asked, issuer()])).told)


def test_a_clock_that_is_ahead_is_told_by_the_time_that_the_api_wrote() -> None:
    """A kubelet dates its events itself: by them its clock is always right."""
    stuck = waiting("jupyter-ada", "ErrImagePull")
    theirs = "2027-11-02T03:14:25Z"
    words = f"x509: certificate has expired or is not yet valid: current time {theirs} is after 2026-06-07T05:48:45Z"
    told = event(stuck, "Failed", f'Failed to pull image "r.example/a:1": {words}', count=1)
    told["metadata"]["creationTimestamp"] = ago(300)
    told |= {"firstTimestamp": theirs, "lastTimestamp": theirs}
    found = Broken(add=(stuck, told)).seen().told
    assert codes(found) == ["cluster.node-clock-wrong"]
    told["message"] = told["message"].replace(theirs, ago(300))
    told |= {"firstTimestamp": ago(300), "lastTimestamp": ago(300)}
    assert codes(Broken(add=(stuck, told)).seen().told) == ["cluster.registry-certificate-expired"]


def test_how_a_container_ended_is_its_traceback_and_no_error_of_long_before() -> None:
    log = "level=error msg=retrying\n" + "going on\n" * 30 + "Traceback (most recent call last):\nKeyError: 'x'\n"
    (told,) = Broken(add=(crashing("autohttps-1", component="autohttps"),), logs={"autohttps-1.log": log}).seen().told
    evidence = " ".join(one.saw for one in told.finding.failure.evidence)
    assert "KeyError: 'x'" in evidence
    assert "retrying" not in evidence


def test_one_server_that_did_not_answer_is_no_certain_fault_of_the_cluster() -> None:
    line = written(600, "octo-x1's server never showed up at http://10.0.0.3:8888/user/octo-x1/ after 30 s. Giving up")
    (told,) = Broken(logs={"hub.log": line}).seen().told
    assert (told.finding.failure.kind.code, told.finding.confidence.value) == ("cluster.server-unanswered", "possible")
