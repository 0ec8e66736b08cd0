"""Perijove itself in a cluster: all manifests of all options, held to Kubernetes' published schemas."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from perijove.backends.kubernetes.applying import path
from perijove.backends.kubernetes.exposing import Expose
from perijove.backends.kubernetes.installing import Nodes, Options, faults, key, manifests, possible, yaml_text
from perijove.backends.kubernetes.manifests import RULES, Terms
from perijove.backends.kubernetes.policies import policy
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import Layer, merged
from tests.fakes.confined import spec
from tests.fakes.pod_security import RESTRICTED
from tests.fakes.schemas import wrong_manifest

Json = dict[str, Any]
OPTIONS = Options(f"registry.example.org/perijove@sha256:{'a' * 64}")
HOSTS = {"service.hosts": ["binder.example.org"], "service.session_hosts": ["*.run.example.org"]}
OWN = {**HOSTS, "engine.placeholders": 2, "engine.pull_secrets": ["pull"], "engine.runtime_class": "gvisor"}
BEHIND = {**OWN, "service.behind": ["10.0.0.0/8", "fd00::1"], "service.base": "/binder/"}
FULL: Json = {
    "class_name": "outer", "issuer": "letsencrypt", "files": "files", "env_from": "environ", "pull_secret": "pull",
    "storage_class": "fast",
}  # fmt: skip
FRONT = (Expose.INGRESS, Expose.GATEWAY, Expose.CLUSTER_IP)
KINDS = {"gateway.networking.k8s.io/v1"}
"""Not Kubernetes' own: their schemas are published elsewhere."""


def made(expose: Expose = Expose.LOAD_BALANCER, given: Json | None = None, **others: Any) -> dict[str, Json]:
    """By kind and name."""
    settings, told = merged([Layer("file", given or (BEHIND if expose in FRONT else OWN))])
    options = replace(OPTIONS, expose=expose, **others)
    assert not [*faults(settings, options)]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in manifests(settings, told, options)}


@pytest.mark.parametrize(
    ("version", "nodes"),
    [("1.29", Nodes.PRIVILEGED), ("1.33", Nodes.USER_NAMESPACES), ("1.37", Nodes.USER_NAMESPACES)],
)
def test_all_manifests_are_what_the_published_schemas_hold(version: str, nodes: Nodes) -> None:
    found = [*made(nodes=nodes).values()]
    for expose in Expose:
        found += made(expose, nodes=nodes, **FULL).values()
    different = {json.dumps(one) for one in found if one["apiVersion"] not in KINDS}
    assert len(different) > 20
    for one in different:
        assert wrong_manifest(json.loads(one), version) == ""


def test_what_is_printed_is_what_is_applied() -> None:
    told = made()
    text = yaml_text(told.values())
    assert [*yaml.safe_load_all(text)] == json.loads(json.dumps([*told.values()]))
    assert "&id" not in text


def test_the_settings_file_in_the_cluster_says_what_the_operator_s_said_and_what_a_pod_needs() -> None:
    for expose, given in ((Expose.LOAD_BALANCER, OWN), (Expose.INGRESS, BEHIND)):
        tables = tomllib.loads(made(expose)["ConfigMap perijove"]["data"]["perijove.toml"])
        values = {f"{table}.{name}": value for table, entries in tables.items() for name, value in entries.items()}
        added = {"service.http": ["0.0.0.0:8000", "[::]:8000"], "service.https": ["off"]} if expose in FRONT else {}
        assert values == {**given, **added, "engine.kind": "kubernetes"}
        merged([Layer("perijove.toml", values)])


def test_a_change_of_settings_starts_it_anew() -> None:
    def template(given: Json) -> Json:
        told: Json = made(given=given)["Deployment perijove"]["spec"]["template"]
        return told

    assert template(OWN) == template({**OWN}) != template({**OWN, "service.title": "Another"})


def test_it_may_do_what_sessions_need_in_their_namespace_and_nothing_else() -> None:
    told = made()
    role, binding, account = (told[f"{kind} perijove"] for kind in ("Role", "RoleBinding", "ServiceAccount"))
    assert role["rules"] == [*RULES]
    assert (role["metadata"]["namespace"], binding["roleRef"]["name"]) == ("perijove", "perijove")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "perijove", "namespace": "perijove-system"}]
    assert not [one for one in told if one.startswith("ClusterRole")]
    assert account["automountServiceAccountToken"] is False
    assert told["Deployment perijove"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_sessions_namespace_is_held_to_the_restricted_profile_and_the_control_plane_s_cannot_be() -> None:
    told = made()
    profiles = {
        one["metadata"]["name"]: one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for one in told.values()
        if one["kind"] == "Namespace"
    }
    assert profiles == {"perijove": "restricted", "perijove-system": "privileged"}
    control = told["Deployment perijove"]["spec"]["template"]
    short = {rule for rule, holds in RESTRICTED.items() if rule != "seccomp" and not holds(control)}
    assert short == {"unmasked"}  # and it has no seccomp profile: all else is as of sessions


@pytest.mark.parametrize("rule", RESTRICTED)
def test_a_placeholder_is_a_pod_of_the_restricted_profile(rule: str) -> None:
    assert RESTRICTED[rule](made()["Deployment perijove-placeholder"]["spec"]["template"])


def test_a_placeholder_asks_for_what_a_session_asks_for_and_gives_way_to_it() -> None:
    told = made()
    one = told["Deployment perijove-placeholder"]["spec"]["template"]
    assert told["Deployment perijove-placeholder"]["spec"]["replicas"] == 2
    assert told["Deployment perijove-placeholder"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0
    priority = told[f"PriorityClass {one['spec']['priorityClassName']}"]
    assert (priority["value"], priority["preemptionPolicy"]) == (-10, "Never")
    assert one["spec"]["containers"][0]["resources"]["requests"] == {
        "cpu": "100m", "memory": f"{2 << 30}", "ephemeral-storage": f"{(2 << 30) + (512 << 20)}",
    }  # fmt: skip
    assert not [one for one in made(given=HOSTS) if "laceholder" in one]


def test_sessions_let_in_the_control_plane_of_its_own_namespace() -> None:
    told = made()
    peer = policy(spec("one", Path("/checkout")), Terms("perijove"))["spec"]["ingress"][0]["from"][1]
    wanted = peer["namespaceSelector"]["matchLabels"].items(), peer["podSelector"]["matchLabels"].items()
    assert wanted[0] <= told["Namespace perijove-system"]["metadata"]["labels"].items()
    assert wanted[1] == told["Deployment perijove"]["spec"]["template"]["metadata"]["labels"].items()
    assert not wanted[0] <= told["Namespace perijove"]["metadata"]["labels"].items()
    assert told["NetworkPolicy perijove-closed"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("expose", [Expose.LOAD_BALANCER, Expose.NODE_PORT])
def test_visitors_come_to_the_service_itself_with_their_own_addresses(expose: Expose) -> None:
    told = made(expose)
    service = told["Service perijove"]["spec"]
    assert [(one["port"], one["targetPort"]) for one in service["ports"]] == [(80, "http"), (443, "https")]
    assert (service["externalTrafficPolicy"], service["publishNotReadyAddresses"]) == ("Local", True)
    assert "from" not in told["NetworkPolicy perijove"]["spec"]["ingress"][0]


def test_quic_has_its_port_too() -> None:
    told = made(given={**HOSTS, "service.http3": True})
    ports = [(one["port"], one["protocol"]) for one in told["Service perijove"]["spec"]["ports"]]
    assert ports == [(80, "TCP"), (443, "TCP"), (443, "UDP")]


def test_an_ingress_leads_all_names_there_and_sessions_cannot_come_by_themselves() -> None:
    told = made(Expose.INGRESS, class_name="nginx", issuer="letsencrypt")
    one = told["Ingress perijove"]
    assert one["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert [rule["host"] for rule in one["spec"]["rules"]] == ["binder.example.org", "*.run.example.org"]
    assert one["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] == {"name": "http"}
    assert [tls["secretName"] for tls in one["spec"]["tls"]] == ["perijove-tls", "perijove-sessions-tls"]
    (rule,) = told["NetworkPolicy perijove"]["spec"]["ingress"]
    assert rule["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"] == ["perijove"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"][1:]] == ["10.0.0.0/8", "fd00::1/128"]
    probe = told["Deployment perijove"]["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/binder/health", "port": "http"}


def test_a_gateway_s_routes_name_listeners_that_it_has() -> None:
    told = made(Expose.GATEWAY, class_name="envoy")
    there = {one["name"] for one in told["Gateway perijove"]["spec"]["listeners"]}
    routes = [one for one in told.values() if one["kind"] == "HTTPRoute"]
    assert {parent["sectionName"] for one in routes for parent in one["spec"]["parentRefs"]} == there
    (rule,) = told["HTTPRoute perijove"]["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "perijove", "port": 8000}]


def with_files(options: Options) -> Options:
    return replace(options, files="files")


REFUSED: dict[str, tuple[Json, Callable[[Options], Options]]] = {
    "--image": (OWN, lambda one: replace(one, image="perijove:latest")),
    "--namespace": (OWN, lambda one: replace(one, namespace="perijove")),
    "--namespace of capitals": (OWN, lambda one: replace(one, namespace="Perijove")),
    "--files": ({**OWN, "engine.registry_credentials": "/etc/perijove/files/config.json"}, lambda one: one),
    "engine.registry_credentials": ({**OWN, "engine.registry_credentials": "~/.docker/config.json"}, with_files),
    "launching.push_secret_file": ({**OWN, "launching.push_secret_file": "/etc/perijove/push"}, with_files),
    "--class": (BEHIND, lambda one: replace(one, expose=Expose.GATEWAY)),
    "service.behind": (OWN, lambda one: replace(one, expose=Expose.INGRESS)),
    "service.hosts": ({}, lambda one: one),
    "certificates.dns_options.auth_token": (
        {**OWN, "certificates.dns": "cloudflare", "certificates.dns_options": {"auth_token": "x"}}, lambda one: one
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_named(name: str) -> None:
    given, changed = REFUSED[name]
    settings, _ = merged([Layer("file", given)])
    assert [one for one, _, _ in faults(settings, changed(OPTIONS))] == [name.partition(" ")[0]]


def test_files_of_the_operator_s_secret_and_of_the_state_are_there() -> None:
    named = {"engine.registry_credentials": "/etc/perijove/files/config.json", "auth.password_file": "people"}
    settings, _ = merged([Layer("file", {**OWN, **named, "launching.push_secret_file": "/var/lib/perijove/push"})])
    assert not [*faults(settings, with_files(OPTIONS))]


def test_a_proxy_and_authorities_of_the_operator_s_are_variables_of_its_secret() -> None:
    def container(**options: Any) -> Json:
        told: Json = made(**options)["Deployment perijove"]["spec"]["template"]["spec"]["containers"][0]
        return told

    assert container(env_from="environ")["envFrom"] == [{"secretRef": {"name": "environ"}}]
    assert "envFrom" not in container()


def test_whoever_is_named_in_front_is_not_passed_by() -> None:
    settings, _ = merged([Layer("file", BEHIND)])
    assert [one for one, _, _ in faults(settings, OPTIONS)] == ["service.behind"]


def test_all_that_any_options_bring_is_known_for_removal() -> None:
    known = {key(one) for one in possible(Settings(), OPTIONS)}
    brought = {key(one) for expose in Expose for one in made(expose, class_name="outer").values()}
    assert brought == known


def test_every_object_is_asked_for_where_the_api_has_it() -> None:
    told = made(Expose.INGRESS)
    assert path(told["Namespace perijove"]) == ("/api", "namespaces/perijove")
    assert path(told["Ingress perijove"]) == (
        "/apis/networking.k8s.io",
        "namespaces/perijove-system/ingresses/perijove",
    )
    assert path(told["PriorityClass perijove-perijove-placeholder"])[1].startswith("priorityclasses/")
