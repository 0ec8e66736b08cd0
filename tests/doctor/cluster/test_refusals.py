"""What the API refuses to those who make pods: whose lines count, of which day, and about which objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perijove.doctor.cluster.diagnosis import diagnosed
from tests.doctor.cluster.world import (
    DAY,
    NAMESPACE,
    Broken,
    Json,
    ago,
    challenge,
    codes,
    crashing,
    event,
    issuer,
    pod,
    recording,
    service,
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


RULES = [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}]
SERVICE = {"namespace": "policies", "name": "answers"}
HOOK: Json = {"name": "pods.example", "failurePolicy": "Fail", "rules": RULES, "clientConfig": {"service": SERVICE}}


def hooked(*more: Json, **changed: Any) -> Broken:
    """A webhook that is asked for pods, whose Service `answers` may be among what is more."""
    api, labels = "admissionregistration.k8s.io/v1", {"tier": "hubs"}
    webhook = thing("MutatingWebhookConfiguration", "policies", namespace="", api=api, webhooks=[HOOK | changed])
    return Broken((webhook, thing("Namespace", NAMESPACE, namespace="", labels=labels), *more))


BEHIND = service("answers", {"app": "policies"}, "policies")
OUT = crashing("policies-1", namespace="policies", component="", labels={"app": "policies"})
OURS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
SESSIONS = {"objectSelector": {"matchLabels": {"component": "singleuser-server"}}}


@pytest.mark.parametrize(
    "broken",
    [hooked(), hooked(BEHIND), hooked(BEHIND, OUT), hooked(**OURS), hooked(**SESSIONS),
     hooked(namespaceSelector={"matchExpressions": [{"key": "tier", "operator": "In", "values": ["hubs"]}]})],
    ids=["no Service", "no pods", "a pod that crashes", "of our namespace", "of sessions", "by a label"],
)  # fmt: skip
def test_a_webhook_that_must_be_asked_and_that_nobody_answers_is_told_before_it_refuses_anything(
    broken: Broken,
) -> None:
    told = codes(broken.seen().told)
    assert "cluster.webhook-down" in told
    assert told[0] == ("cluster.pod-crashloop" if len(broken.add) == 4 else "cluster.webhook-down")


@pytest.mark.parametrize(
    "broken",
    [
        hooked(failurePolicy="Ignore"),
        hooked(rules=[{"apiGroups": [""], "operations": ["CREATE"], "resources": ["services"]}]),
        hooked(rules=[{"apiGroups": [""], "operations": ["DELETE"], "resources": ["pods"]}]),
        hooked(namespaceSelector={"matchLabels": {"tier": "others"}}),
        hooked(objectSelector={"matchLabels": {"inject": "yes"}}),
        hooked(matchConditions=[{"name": "x", "expression": "object.metadata.name == 'x'"}]),
        hooked(clientConfig={"url": "https://policies.example/"}),
        hooked(BEHIND, pod("policies-1", namespace="policies", labels={"app": "policies"})),
        hooked(service("answers", {}, "policies")),
        hooked(BEHIND, waiting("policies-1", "ContainerCreating", namespace="policies", age=20, component="",
                               labels={"app": "policies"})),
    ],
    ids=["may fail", "of Services", "of what goes", "of other namespaces", "of other pods", "by an expression",
         "elsewhere", "somebody answers", "by hand", "starts"],
)  # fmt: skip
def test_a_webhook_that_keeps_no_session_from_starting_is_well(broken: Broken) -> None:
    assert codes(broken.seen().told) == []


def test_a_webhook_whose_namespace_was_not_looked_at_is_not_said_to_be_gone() -> None:
    here = [one for one in hooked().recorded().things if one.namespace in {"", NAMESPACE}]
    told = diagnosed(replace(hooked().recorded(), things=tuple(here))).told
    assert "cluster.webhook-down" not in codes(told)


def test_a_namespace_that_ends_explains_why_no_session_starts() -> None:
    words = f"unable to create new content in namespace {NAMESPACE} because it is being terminated"
    log = written(600, "Unhandled error starting ada's server") + f'"message":"pods is forbidden: {words}","reason":'
    fails = written(590, "Error starting server for user ada: HTTP 500: Internal Server Error")
    ending = thing("Namespace", NAMESPACE, namespace="", deletionTimestamp=ago(700), finalizers=["kubernetes"])
    for add in ((ending,), ()):
        told = Broken(add, logs={"hub-1.log": log, "binder-1.log": fails}).seen().told
        assert codes(told) == ["cluster.namespace-terminating", "cluster.launches-fail"]
    assert codes(Broken((ending | {"metadata": ending["metadata"] | {"name": "other", "deletionTimestamp": ago(9)}},))
                 .seen().told) == []  # fmt: skip
