"""A cluster as a Recording, from a folder of what kubectl wrote and from an API server: both tell the same."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kmock
import pytest
import yaml
from typer.testing import CliRunner

from perijove.backends.cluster.kubernetes import USUAL, Limits, asked, change
from perijove.cli.main import app
from perijove.doctor.cluster.diagnosis import diagnosed
from perijove.domain.cluster import Recording
from perijove.domain.cluster_failures import CHANGE_REFUSED
from perijove.domain.failures import Fail
from perijove.domain.findings import Change
from perijove.wiring.cluster import from_folder
from tests.doctor.cluster.world import (
    NAMESPACE,
    NOW,
    Json,
    ago,
    certificate,
    challenge,
    codes,
    condition,
    crashing,
    healthy,
    ingress,
    order,
    request,
    service,
    thing,
    unplaced,
)
from tests.fakes.cluster_api import TOKEN, kubeconfig, serving, silence

pytestmark = pytest.mark.same_for_any_user

Reader = Callable[[Path, list[Json], dict[str, str]], Recording]
KNOWN_SECRETS = ("s3cr3t-t0ken", "no key", TOKEN)
LOG = (
    "[E 2026-03-10 08:59:00 BinderHub] Error accessing Hub API (using http://proxy-public/hub/api): HTTP 403: Forbidden"
)
NO_PLACE = unplaced("jupyter-b", "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available")
SELF_CHECK = "Waiting for http-01 challenge propagation: wrong status code '404', expected '200'"


def ask(
    folder: Path,
    objects: list[Json],
    answers: dict[str, Any] | None = None,
    *,
    namespace: str | None = None,
    limits: Limits = USUAL,
) -> tuple[Recording, list[tuple[str, str]]]:
    """What a real client made of a server with these objects, and what it asked."""

    async def scenario() -> tuple[Recording, list[tuple[str, str]]]:
        async with serving(folder, objects, answers) as api:
            seen = await asked(None, namespace, str(api.kubeconfig), limits)
            return replace(seen, now=NOW), api.asked

    return asyncio.run(scenario())


def from_api(folder: Path, objects: list[Json], logs: dict[str, str]) -> Recording:
    answers = {f"get /api/v1/namespaces/{NAMESPACE}/pods/{pod}/log": log.encode() for pod, log in logs.items()}
    return ask(folder, objects, {**dict.fromkeys(LOGS, b""), **answers})[0]


def from_kubectl(folder: Path, objects: list[Json], logs: dict[str, str]) -> Recording:
    """Half of it as lists of a kind, the other half as single objects; YAML and JSON."""
    kinds = {one["kind"] for one in objects}
    for number, kind in enumerate(sorted(kinds)):
        items = [one for one in objects if one["kind"] == kind]
        if number % 2:
            whole = {"apiVersion": "v1", "kind": "List", "items": items}
            (folder / f"{kind.lower()}.yaml").write_text(yaml.safe_dump(whole))
        else:
            for at, one in enumerate(items):
                (folder / f"{kind.lower()}-{at}.json").write_text(json.dumps(one))
    (folder / "logs").mkdir()
    for pod, log in logs.items():
        (folder / "logs" / f"{pod}.log").write_text(log)
    return from_folder(folder, NOW)


LOGS = [f"get /api/v1/namespaces/{NAMESPACE}/pods/{pod}/log" for pod in ("hub-1", "binder-1")]


def broken(*add: Json) -> list[Json]:
    """The healthy cluster with other objects in place of those of the same name."""
    names = {(one["kind"], one["metadata"]["name"]) for one in add}
    kept = [one for one in healthy() if (one["kind"], one["metadata"]["name"]) not in names]
    return [*kept, *add]


RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
HOOK = {"name": "validate.kyverno.svc-fail", "failurePolicy": "Fail", "rules": RULES,
        "clientConfig": {"service": {"namespace": "kyverno", "name": "kyverno-svc"}}}  # fmt: skip
WEBHOOK = thing(
    "ValidatingWebhookConfiguration", "kyverno", namespace="", api="admissionregistration.k8s.io/v1", webhooks=[HOOK]
)
WAITING = condition("Accepted", "Unknown", "Pending", "Waiting for controller") | {
    "lastTransitionTime": "1970-01-01T00:00:00Z"
}
GATEWAY = thing("Gateway", "public", {}, {"conditions": [WAITING]}, api="gateway.networking.k8s.io/v1")
DETACHED = {"parentRef": {"name": "public"}, "conditions": [
    condition("Accepted", "False", "NotAllowedByListeners", "No listener allows this route")]}  # fmt: skip
ROUTE = thing("HTTPRoute", "binder", {}, {"parents": [DETACHED]}, api="gateway.networking.k8s.io/v1")
LEFT = "Some content in the namespace has finalizers remaining: finalizer.acme.cert-manager.io in 1 resource instances"
ENDING = thing(
    "Namespace", "old", namespace="", deletionTimestamp=ago(3600), finalizers=["kubernetes"],
    status={"phase": "Terminating", "conditions": [
        condition("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", LEFT)]},
)  # fmt: skip
CLUSTERS: dict[str, tuple[list[Json], dict[str, str], list[str]]] = {
    "healthy": (healthy(), {}, []),
    "no place for a session": (
        broken(NO_PLACE), {}, ["cluster.pod-unschedulable-full", "cluster.pod-unschedulable-memory"]
    ),
    "a challenge that is held back": (
        broken(certificate(ready=False), request(), order(), challenge(SELF_CHECK)), {},
        ["cluster.acme-http01-selfcheck-404"],
    ),
    "a webhook that nobody answers": (
        broken(WEBHOOK, service("kyverno-svc", {"app": "kyverno"}, "kyverno"),
               crashing("kyverno-1", namespace="kyverno", component="", labels={"app": "kyverno"})), {},
        ["cluster.pod-crashloop", "cluster.webhook-down"],
    ),
    "a Gateway that waits, and a route that is let in nowhere": (
        broken(GATEWAY, ROUTE), {}, ["cluster.gateway-not-programmed", "cluster.gateway-not-programmed"],
    ),
    "a namespace that does not end": (broken(ENDING), {}, ["cluster.namespace-terminating"]),
    "a hub that refuses BinderHub": (healthy(), {"binder-1": LOG}, ["cluster.hub-api-token-refused"]),
}  # fmt: skip


@pytest.mark.parametrize("read", [from_kubectl, from_api], ids=["folder", "API"])
@pytest.mark.parametrize("name", CLUSTERS)
def test_the_same_cluster_is_diagnosed_alike_from_a_folder_and_from_an_api(
    tmp_path: Path, read: Reader, name: str
) -> None:
    objects, logs, expected = CLUSTERS[name]
    seen = read(tmp_path, objects, logs)
    assert codes(diagnosed(seen).told) == expected
    known = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert {(one.kind, one.name) for one in seen.things} == known
    assert not seen.unseen
    assert not any(word in repr(seen) for word in KNOWN_SECRETS), "values of Secrets are not even kept"


def test_a_hub_that_was_started_again_shows_both_its_logs(tmp_path: Path) -> None:
    again = hub_started_again()
    answers = {LOGS[0]: lambda request: f"previous: {request.params.get('previous')}".encode(), LOGS[1]: b""}
    seen, _ = ask(tmp_path, broken(again), answers)
    assert {name: words for name, words in seen.logs.items() if "hub-1" in name} == {
        "log binderhub/hub-1": "previous: None", "log binderhub/hub-1 (previous)": "previous: true",
    }  # fmt: skip


def hub_started_again() -> Json:
    (hub,) = (one for one in copy.deepcopy(healthy()) if one["metadata"]["name"] == "hub-1")
    hub["status"]["containerStatuses"][0]["restartCount"] = 1
    return hub


@pytest.mark.parametrize("command", [["record", "kubernetes", "-o"], ["doctor", "kubernetes", "--save"]])
def test_a_cluster_that_runs_is_written_down(tmp_path: Path, command: list[str]) -> None:
    async def scenario() -> int:
        async with serving(tmp_path, broken(NO_PLACE), dict.fromkeys(LOGS, b"")) as api:
            environ = {"KUBECONFIG": str(api.kubeconfig)}
            ran = asyncio.to_thread(CliRunner().invoke, app, [*command, str(tmp_path / "x")], env=environ)
            return (await ran).exit_code

    assert asyncio.run(scenario()) == (0 if command[0] == "record" else 1)
    again = from_folder(tmp_path / "x", NOW)
    assert codes(diagnosed(again).told) == ["cluster.pod-unschedulable-full", "cluster.pod-unschedulable-memory"]
    assert not any(word in repr(again) for word in KNOWN_SECRETS)
    assert not any(word in path.read_text() for path in (tmp_path / "x").rglob("*.*") for word in KNOWN_SECRETS)


PAGED = "get /api/v1/pods"


def of_kind(kind: str) -> list[Json]:
    return [one for one in healthy() if one["kind"] == kind]


def test_long_lists_are_read_page_by_page(tmp_path: Path) -> None:
    pods = of_kind("Pod")

    def page(request: kmock.Request) -> Json:
        begin = int(request.params.get("continue") or 0)
        after = {"continue": str(begin + 3)} if begin + 3 < len(pods) else {}
        return {"kind": "PodList", "metadata": after, "items": pods[begin : begin + 3]}

    seen, requests = ask(tmp_path, healthy(), {PAGED: page})
    assert [one.name for one in seen.things if one.kind == "Pod"] == [one["metadata"]["name"] for one in pods]
    assert "Pod" in seen.whole
    assert sum(path == "/api/v1/pods" for _, path in requests) == -(-len(pods) // 3)


def test_a_list_without_an_end_is_not_read_for_ever(tmp_path: Path) -> None:
    endless = {"metadata": {"continue": "more"}, "items": of_kind("Pod")[:1]}
    seen, requests = ask(tmp_path, healthy(), {PAGED: endless}, limits=Limits(pages=4))
    assert sum(path == "/api/v1/pods" for _, path in requests) == 4
    assert "Pod" not in seen.whole, "nothing is concluded from what may not be all"
    assert seen.unseen["Pod"] == "more than 2000"


WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")


def refused(what: str, code: int = 403) -> tuple[int, Json]:
    words = f'{what} is forbidden: User "me" cannot list resource "{what}" in API group "" at the cluster scope'
    body = {"kind": "Status", "status": "Failure", "message": words, "reason": "Forbidden", "code": code}
    return code, body


def test_what_this_account_may_not_see_is_said_and_nothing_is_concluded_from_it(tmp_path: Path) -> None:
    closed = {
        "get /api/v1/secrets": refused("secrets"), "get /api/v1/namespaces/binderhub/secrets": refused("secrets"),
        "get /api/v1/nodes": refused("nodes"), LOGS[0]: refused("pods/log"),
        **{f"get /apis/admissionregistration.k8s.io/v1/{one}": refused(one) for one in WEBHOOKS},
    }  # fmt: skip
    seen, _ = ask(tmp_path, broken(WEBHOOK), closed)
    kinds = {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
    assert set(seen.unseen) == {"Secret", "Node", "log of Pod binderhub/hub-1", *kinds}
    assert 'cannot list resource "secrets"' in seen.unseen["Secret"]
    assert not {"Secret", "Node"} & seen.whole
    assert diagnosed(seen).well, "what was not seen is not missing"


def test_an_account_of_one_namespace_sees_that_namespace(tmp_path: Path) -> None:
    mine = [one for one in healthy() if one["metadata"].get("namespace") == NAMESPACE]
    seen, _ = ask(tmp_path, healthy(), {PAGED: refused("pods")})
    pods = {one.name for one in seen.things if one.kind == "Pod"}
    assert pods == {one["metadata"]["name"] for one in mine if one["kind"] == "Pod"}


def test_one_namespace_alone(tmp_path: Path) -> None:
    seen, requests = ask(tmp_path, healthy(), namespace="cert-manager")
    assert {one.name for one in seen.things if one.kind == "Pod"} == {"cert-manager-1"}
    assert ("method.GET", "/api/v1/pods") not in requests
    assert any(one.kind == "Node" for one in seen.things), "what has no namespace is of all"


def test_a_cluster_without_cert_manager_is_no_failure(tmp_path: Path) -> None:
    seen, _ = ask(tmp_path, [one for one in healthy() if "cert-manager" not in one["apiVersion"]], {
        f"get /apis/cert-manager.io/v1/{plural}": (404, {}) for plural in ("issuers", "clusterissuers", "certificates")
    })  # fmt: skip
    assert seen.unseen == {}
    assert {"Issuer", "ClusterIssuer", "Certificate"} <= seen.whole, "there are none, and that was seen"
    assert diagnosed(seen).well


def test_nothing_is_changed(tmp_path: Path) -> None:
    _, requests = ask(tmp_path, healthy())
    assert {method for method, _ in requests} == {"method.GET"}


UNUSABLE: dict[str, Any] = {
    "a page of somebody's proxy": b"<html>Sign in</html>",
    "an error": (500, {}),
    "credentials that are over": refused("version", 401),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_answer_that_is_none_of_an_api_server(tmp_path: Path, name: str) -> None:
    with pytest.raises(Fail) as raised:
        ask(tmp_path, [], {"get /version/": UNUSABLE[name]})
    assert raised.value.failure.kind.code == "cluster.api-unreachable"
    assert TOKEN not in repr(raised.value.failure)


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Fail) as raised:
        ask(tmp_path, healthy(), {"get /api/v1/events": silence}, limits=Limits(whole=1))
    assert raised.value.failure.kind.code == "cluster.api-unreachable"
    assert raised.value.failure.cause == "it did not answer within 1 s"
    assert time.monotonic() - began < 5


def test_one_list_that_does_not_come_leaves_the_others(tmp_path: Path) -> None:
    seen, _ = ask(tmp_path, healthy(), {"get /api/v1/events": silence, LOGS[0]: silence}, limits=Limits(answer=0.5))
    assert set(seen.unseen) == {"Event", "log of Pod binderhub/hub-1"}
    assert diagnosed(seen).well


def test_an_account_that_may_see_nothing(tmp_path: Path) -> None:
    nothing = {"get /api": refused("anything"), "get /apis": refused("anything"), kmock.method.GET: refused("anything")}
    with pytest.raises(Fail) as raised:
        ask(tmp_path, [], nothing)
    assert raised.value.failure.kind.code == "cluster.api-unreachable"
    assert "cannot list" in raised.value.failure.evidence[0].saw


WRONG_KIND = broken(
    certificate(ready=False, spec={"issuerRef": {"kind": "ClusterIssuer", "name": "other"}}),
    request('Referenced "ClusterIssuer" not found: clusterissuer.cert-manager.io "other" not found'),
    ingress(annotations={"cert-manager.io/cluster-issuer": "other", "kept": "as it is"}),
)
FIXED = {"kept": "as it is", "cert-manager.io/issuer": "other"}


def test_a_fix_changes_what_the_remedy_says_and_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> tuple[dict[str, Any], list[tuple[str, str]]]:
        async with serving(tmp_path, WRONG_KIND) as api:
            seen = replace(await asked(None, None, str(api.kubeconfig)), now=NOW)
            changes = [one for finding in diagnosed(seen).findings for one in finding.changes]
            await change(None, None, changes, str(api.kubeconfig))
            kept = api.double.objects["networking.k8s.io/v1/ingresses", NAMESPACE, "binderhub"]
            return dict(kept["metadata"]["annotations"]), api.asked

    notes, requests = asyncio.run(scenario())
    assert {key: value for key, value in notes.items() if value is not None} == FIXED
    path = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses/binderhub"
    assert [one for one in requests if one[0] != "method.GET"] == [("method.PATCH", path)]


def test_a_change_that_is_refused(tmp_path: Path) -> None:
    path = f"patch /apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses/binderhub"
    wanted = Change("networking.k8s.io", "Ingress", NAMESPACE, "binderhub", '{"metadata":{"annotations":{"a":"b"}}}')

    async def scenario() -> None:
        async with serving(tmp_path, WRONG_KIND, {path: refused("ingresses")}) as api:
            await change(None, None, [wanted], str(api.kubeconfig))

    with pytest.raises(Fail) as raised:
        asyncio.run(scenario())
    failure = raised.value.failure
    assert failure.kind.code == CHANGE_REFUSED.code
    assert failure.evidence[0].where == f"kubectl -n {NAMESPACE} annotate ingress binderhub a=b"
    assert failure.evidence[0].saw.startswith("403")


def test_a_recording_cannot_be_fixed(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "kubernetes", "--from", str(tmp_path), "--fix"])
    assert done.exit_code == 2
    assert "recording" in done.output


def told(arguments: list[str], config: Path) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["doctor", "kubernetes", "--json", *arguments], env={"KUBECONFIG": str(config)})
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--context", "gone"], "cluster.api-unreachable"),
        (["--context", "unknown"], "cluster.api-unreachable"),
        (["--from", "/nowhere"], "cluster.recording-unreadable"),
        (["--from", "EMPTY"], "cluster.recording-unreadable"),
    ],
    ids=["closed port", "no such context", "no folder", "empty folder"],
)
def test_what_cannot_be_looked_at_is_neither_well_nor_ill(tmp_path: Path, arguments: list[str], code: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [str(empty) if one == "EMPTY" else one for one in arguments]
    status, said = told(given, kubeconfig(tmp_path, "http://127.0.0.1:9"))
    assert status == 2
    assert said["failure"]["code"] == code
