"""packaging/helm: its templates are the manifests of `perijove install kubernetes`, with values in place of options.

`python -m tests.architecture.helm_chart` writes them. They use what Go's text/template has and nothing of Helm's own,
so that kubectl can render them too.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from perijove.backends.kubernetes.exposing import Expose
from perijove.backends.kubernetes.installing import PLAIN, Nodes, Options, manifests, yaml_text
from perijove.domain.settings_layers import Layer, merged
from tests.architecture.sources import ROOT

Json = dict[str, Any]
CHART = ROOT / "packaging" / "helm" / "perijove"
VALUES = {
    f"registry.example/image@sha256:{'a' * 64}": '{{ printf "%q" .Values.image }}',
    "HELM-NAMESPACE": "{{ .Release.Namespace }}", "SESSIONS-NAMESPACE": "{{ .Values.sessionsNamespace }}",
    "host.example": '{{ printf "%q" .Values.host }}', "'*.sessions.example'": '{{ printf "%q" .Values.sessionHosts }}',
    "THE-SETTINGS": '{{ printf "%q" .Values.settings }}', "HELM-REVISION": '"{{ .Release.Revision }}"',
    **{f"THE-{name}": f'{{{{ printf "%q" .Values.{name} }}}}' for name in (
        "class", "issuer", "files", "envFrom", "pullSecret", "storageClass", "storage", "runtimeClass",
        "placeholderCpu", "placeholderMemory", "placeholderDisk", "memoryLimit",
    )},
    "THE-NUMBER": "{{ .Values.placeholders }}", "THE-BEHIND": '"{{ range $at, $one := .Values.behind }}'
    '{{ if $at }},{{ end }}{{ $one }}{{ end }}"', "THE-EACH": '{{ printf "%q" . }}',
    "THE-TYPE": '{{ if eq .Values.expose "load-balancer" }}LoadBalancer{{ else if eq .Values.expose "node-port" }}'
    "NodePort{{ else }}ClusterIP{{ end }}",
}  # fmt: skip
"""What stands in the manifests, and in the templates for it."""
ITSELF = '(or (eq .Values.expose "load-balancer") (eq .Values.expose "node-port"))'
CONDITIONS = {
    **{name: f"if .Values.{name}" for name in (
        "class", "issuer", "files", "envFrom", "pullSecret", "storageClass", "runtimeClass", "privileged",
        "sessionHosts", "placeholders", "pullSecrets",
    )},
    "confined": "if not .Values.privileged", "itself": f"if {ITSELF}", "front": f"if not {ITSELF}",
    "balancer": 'if and .Values.class (eq .Values.expose "load-balancer")',
    "ingress": 'if eq .Values.expose "ingress"', "gateway": 'if eq .Values.expose "gateway"',
    "eachBehind": "range .Values.behind", "eachPullSecret": "range .Values.pullSecrets",
}  # fmt: skip
KEEP = {"helm.sh/resource-policy": "keep"}
_MARKED = re.compile(r"^(?P<indent> *)(?P<item>- )?WHEN-(?P<name>\w+)-(?P<rest>.*)$")


def when(name: str, value: Json, key: str) -> None:
    """Have a key, or that item of a list whose first key it is, stand there under a condition."""
    items = [*value.items()]
    value.clear()
    value.update((f"WHEN-{name}-{one}" if one == key else one, content) for one, content in items)


def templates() -> dict[str, str]:
    """By file name."""
    made: dict[Expose, dict[str, Json]] = {}
    for expose in (Expose.LOAD_BALANCER, Expose.INGRESS, Expose.GATEWAY):
        behind = {} if expose is Expose.LOAD_BALANCER else {"service.behind": ["10.0.0.0/8"]}
        made[expose] = _by_name(expose, behind)
    plain, front, gateway = made.values()
    both = (front["Ingress perijove"], gateway["Gateway perijove"])
    _way_in(plain, front, both)
    _control_plane(plain, front)
    _placeholders(plain)
    del plain["Namespace HELM-NAMESPACE"]
    for one in (plain["Namespace SESSIONS-NAMESPACE"], plain["PersistentVolumeClaim perijove"]):
        one["metadata"]["annotations"] = KEEP
    when("storageClass", plain["PersistentVolumeClaim perijove"]["spec"], "storageClassName")
    plain["ConfigMap perijove"]["data"]["perijove.toml"] = "THE-SETTINGS"
    placeholders = [plain.pop(one) for one in [*plain] if "laceholder" in one]
    routes = [one for one in gateway.values() if one["kind"] in {"Gateway", "HTTPRoute"}]
    return {
        "perijove.yaml": _written([*plain.values()]), "ingress.yaml": _written([both[0]], "ingress"),
        "gateway.yaml": _written(routes, "gateway"), "placeholders.yaml": _written(placeholders, "placeholders"),
    }  # fmt: skip


def _by_name(expose: Expose, more: Json) -> dict[str, Json]:
    settings, told = merged([Layer("chart", {
        "service.hosts": ["host.example"], "service.session_hosts": ["*.sessions.example"],
        "engine.namespace": "SESSIONS-NAMESPACE", "engine.runtime_class": "THE-runtimeClass",
        "engine.placeholders": 1, "engine.pull_secrets": ["THE-EACH"], **more,
    })])  # fmt: skip
    image = next(iter(VALUES))
    options = Options(
        image, "HELM-NAMESPACE", expose, "THE-class", "THE-issuer", "THE-files", "THE-envFrom", "THE-pullSecret",
        "THE-storage", "THE-storageClass",
    )  # fmt: skip
    found = {f"{one['kind']} {one['metadata']['name']}": one for one in manifests(settings, told, options)}
    privileged = manifests(settings, told, replace(options, nodes=Nodes.PRIVILEGED))
    pod = found["Deployment perijove"]["spec"]["template"]["spec"]["containers"][0]
    other = next(one for one in privileged if one["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    pod["WHEN-privileged-securityContext"] = other["securityContext"]
    return copy.deepcopy(found)


def _way_in(plain: dict[str, Json], front: dict[str, Json], both: tuple[Json, Json]) -> None:
    service = plain["Service perijove"]["spec"]
    service["type"] = "THE-TYPE"
    service["WHEN-front-ports"] = front["Service perijove"]["spec"]["ports"]
    when("itself", service, "ports")
    when("itself", service, "externalTrafficPolicy")
    when("balancer", service, "loadBalancerClass")
    policy = plain["NetworkPolicy perijove"]["spec"]
    (rule,) = policy["WHEN-front-ingress"] = front["NetworkPolicy perijove"]["spec"]["ingress"]
    rule["from"][1] = {"WHEN-eachBehind-ipBlock": {"cidr": "THE-EACH"}}
    when("itself", policy, "ingress")
    for one in both:
        when("issuer", one["metadata"]["annotations"], "cert-manager.io/cluster-issuer")
    ingress, gateway = (one["spec"] for one in both)
    when("class", ingress, "ingressClassName")
    when("sessionHosts", ingress["tls"][1], "hosts")
    when("sessionHosts", ingress["rules"][1], "host")
    when("sessionHosts", gateway["listeners"][2], "name")


def _control_plane(plain: dict[str, Json], front: dict[str, Json]) -> None:
    template = plain["Deployment perijove"]["spec"]["template"]
    template["metadata"]["annotations"] = {"perijove/settings": "HELM-REVISION"}
    pod, container = template["spec"], template["spec"]["containers"][0]
    other = front["Deployment perijove"]["spec"]["template"]["spec"]["containers"][0]
    container["WHEN-front-ports"] = other["ports"]
    when("itself", container, "ports")
    when("confined", container, "securityContext")
    when("envFrom", container, "envFrom")
    when("confined", pod, "hostUsers")
    when("pullSecret", pod, "imagePullSecrets")
    when("files", pod["volumes"][-1], "name")
    when("files", container["volumeMounts"][-1], "name")
    container["resources"]["limits"]["memory"] = "THE-memoryLimit"
    told = {
        "ENGINE_KIND": "kubernetes", "ENGINE_NAMESPACE": "SESSIONS-NAMESPACE", "SERVICE_HOSTS": "host.example",
        "sessionHosts-SERVICE_SESSION_HOSTS": "*.sessions.example", "front-SERVICE_BEHIND": "THE-BEHIND",
        "front-SERVICE_HTTP": ",".join(PLAIN), "front-SERVICE_HTTPS": "off",
        "runtimeClass-ENGINE_RUNTIME_CLASS": "THE-runtimeClass",
    }  # fmt: skip
    for name, value in told.items():
        condition, _, variable = name.rpartition("-")
        key = f"WHEN-{condition}-name" if condition else "name"
        container["env"].append({key: f"PERIJOVE_{variable}", "value": value})


def _placeholders(plain: dict[str, Json]) -> None:
    spec = plain["Deployment perijove-placeholder"]["spec"]
    spec["replicas"], pod = "THE-NUMBER", spec["template"]["spec"]
    size = {"cpu": "THE-placeholderCpu", "memory": "THE-placeholderMemory", "ephemeral-storage": "THE-placeholderDisk"}
    pod["containers"][0]["resources"] = {"requests": size, "limits": size}
    when("runtimeClass", pod, "runtimeClassName")
    pod["imagePullSecrets"] = [{"WHEN-eachPullSecret-name": "THE-EACH"}]
    when("pullSecrets", pod, "imagePullSecrets")


def _written(documents: list[Json], condition: str = "") -> str:
    lines = [*_conditional(yaml_text(documents).splitlines())]
    if condition:
        lines = [f"{{{{- {CONDITIONS[condition]} }}}}", *lines, "{{- end }}"]
    text = "\n".join(lines) + "\n"
    for stands, value in VALUES.items():
        text = text.replace(stands, value)
    return text


def _conditional(lines: list[str]) -> Iterator[str]:
    """Marked lines and what is below them, within their conditions."""
    while lines:
        line, lines = lines[0], lines[1:]
        found = _MARKED.match(line)
        if found is None:
            yield line
            continue
        indent, item = found["indent"], found["item"] or ""
        # A key's list stands where the key does.
        deeper = (f"{indent}  ",) if item else (f"{indent}  ", f"{indent}- ")
        count = next((at for at, one in enumerate(lines) if not one.startswith(deeper)), len(lines))
        yield f"{{{{- {CONDITIONS[found['name']]} }}}}"
        yield from _conditional([f"{indent}{item}{found['rest']}", *lines[:count]])
        yield "{{- end }}"
        lines = lines[count:]


if __name__ == "__main__":
    for name, text in templates().items():
        (CHART / "templates" / name).write_text(text)
