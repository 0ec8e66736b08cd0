"""What is Perijove itself in a cluster? In: settings, the operator's options. Out: manifests, in their order. Pure.

Two namespaces: sessions are held to the *restricted* profile of the Pod Security Standards. The control plane cannot
be: it builds in sandboxes of bubblewrap, which a container's usual seccomp and AppArmor profiles and its masked /proc
forbid.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

import yaml

from perijove.backends.kubernetes.exposing import OWN, Expose, exposed, listened
from perijove.backends.kubernetes.manifests import (
    COMPONENT,
    HOME_OF,
    INSTANCE,
    MANAGER,
    RULES,
    USER,
    Json,
    Terms,
    closing,
    milli,
)
from perijove.domain import settings_file, wire
from perijove.domain.engine_settings import EngineKind
from perijove.domain.settings import ServiceSettings, Settings

SETTINGS, FILES, STATE = "/etc/perijove", "/etc/perijove/files", "/var/lib/perijove"
PLAIN = ("0.0.0.0:8000", "[::]:8000")
"""Where http is spoken to whoever stands in front, unless the settings say so."""
PLACEHOLDER = -10
"""Their priority. Below it the cluster autoscaler adds no node for them (`--expendable-pods-priority-cutoff`)."""
MEMORY = 2 * 1024**3
"""Bytes that the control plane may take beside its builds."""
PROFILE = "pod-security.kubernetes.io/enforce"
_IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_FILE = re.compile(r"\.registry_credentials$|(?<!\.ca)(?<!\.password)_file$")
"""Names of settings that are files of the operator's; authorities may be the image's, passwords lie with the state."""
_INLINE = re.compile(r".*(?:token|secret|password|key)", re.IGNORECASE)
"""What providers of DNS call their secrets."""


class Nodes(StrEnum):
    """How the control plane's pod may make sandboxes."""

    USER_NAMESPACES = "user-namespaces"
    """In a user namespace of its own: Kubernetes 1.33 or newer."""
    PRIVILEGED = "privileged"
    """As a privileged container, though not as root: any Kubernetes from 1.29 on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator says beside the settings."""

    image: str
    """Perijove's own, by its digest."""
    namespace: str = "perijove-system"
    """The control plane's."""
    expose: Expose = Expose.LOAD_BALANCER
    class_name: str = ""
    """The IngressClass, the GatewayClass, or the `loadBalancerClass`; empty: the cluster's."""
    issuer: str = ""
    """The ClusterIssuer of cert-manager whom an Ingress or a Gateway names; empty: its Secrets are the operator's."""
    files: str = ""
    """A Secret of the operator's, mounted at `FILES`: what settings name as files."""
    env_from: str = ""
    """A Secret of the operator's, whose entries are the control plane's variables: proxies, whom it believes."""
    pull_secret: str = ""
    """A Secret of the operator's by which nodes pull `image`."""
    storage: str = "50Gi"
    storage_class: str = ""
    nodes: Nodes = Nodes.USER_NAMESPACES


def manifests(settings: Settings, told: Collection[str], options: Options) -> list[Json]:
    """`told`: the settings that the operator gave. Settings and options have no `faults`."""
    return [*_all(adapted(settings), told, options)]


def possible(settings: Settings, options: Options) -> list[Json]:
    """All that any options would bring: what an installation may have left."""
    service = ServiceSettings(hosts=("binder.example.org",), session_hosts=("*.run.example.org",))
    settings = Settings(engine=replace(settings.engine, placeholders=1), service=service)
    found = {}
    for expose in Expose:
        for one in _all(settings, (), replace(options, expose=expose)):
            found[key(one)] = one
    return [*found.values()]


def key(manifest: Json) -> tuple[str, str, str, str]:
    """Which object it is."""
    about = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], about.get("namespace", ""), about["name"]


def adapted(settings: Settings) -> Settings:
    """As they are in a pod: behind whoever speaks https, http is reached from other pods."""
    service = settings.service
    if service.behind:
        service = replace(service, http=service.http or PLAIN, https=service.https or ("off",))
    return replace(settings, service=service, engine=replace(settings.engine, kind=EngineKind.KUBERNETES))


def settings_text(settings: Settings, told: Collection[str]) -> str:
    """The settings file: what the operator gave, and what a pod needs."""
    tables = wire.encode(settings)
    names = [f"{table}.{name}" for table, entries in tables.items() for name in entries]
    wanted = {*told, "engine.kind", *(("service.http", "service.https") if settings.service.behind else ())}
    rows = [
        {"name": name, "value": tables[name.partition(".")[0]][name.partition(".")[2]], "source": "default"}
        for name in names
        if name in wanted
    ]
    return "\n".join(settings_file.written(rows)) + "\n"


def yaml_text(manifests: Iterable[Json]) -> str:
    """For people and kubectl."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Without references, texts line by line."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def faults(settings: Settings, options: Options) -> Iterator[tuple[str, str, str]]:
    """What cannot be followed: a setting's name or an option, words after it, and what stands there."""
    service, front = adapted(settings).service, options.expose in {Expose.INGRESS, Expose.GATEWAY}
    if not _IMAGE.fullmatch(options.image):
        yield "--image", "must be named by its digest: registry/name@sha256:…", options.image
    if options.namespace == settings.engine.namespace:
        why = "must not be engine.namespace: the profile that sessions are held to lets the control plane build nothing"
        yield "--namespace", why, options.namespace
    elif not _NAMESPACE.fullmatch(options.namespace):
        yield "--namespace", "must be small letters, digits and hyphens, 63 at most", options.namespace
    yield from _file_faults(settings, options)
    if options.expose is Expose.GATEWAY and not options.class_name:
        yield "--class", "must name a GatewayClass", ""
    if front and not (service.behind and service.hosts):
        why = "must name the addresses of the ingress controller, and service.hosts the names that it serves"
        yield "service.behind", why, f"behind = {[*service.behind]}, hosts = {[*service.hosts]}"
    if options.expose in OWN and service.behind:
        yield "service.behind", "must be empty where visitors come to the service itself", f"{[*service.behind]}"
    if not listened(service):
        yield "service.hosts", "must be given, or service.http: nothing listens beyond loopback", "no hosts"
    for one in settings.certificates.dns_options:
        if _INLINE.fullmatch(one):
            why = f"must be a file below {FILES} (`{one}_file`): many may read a ConfigMap"
            yield f"certificates.dns_options.{one}", why, "a secret"


def _file_faults(settings: Settings, options: Options) -> Iterator[tuple[str, str, str]]:
    for name, path in _files("", wire.encode(settings)):
        if not path.startswith((f"{FILES}/", f"{STATE}/")):
            yield name, f"must lie below {FILES}, where what --files names is mounted", path
        elif path.startswith(f"{FILES}/") and not options.files:
            yield "--files", f"must name the Secret with the file of {name}, which is looked for at {path}", ""


def _files(name: str, told: Any) -> Iterator[tuple[str, str]]:
    """Settings that name a file of the operator's."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield from _files(f"{name}.{key}".lstrip("."), value)
    elif isinstance(told, list):
        for one in told:
            yield from _files(name, one)
    elif told and _FILE.search(name):
        yield name, str(told)


def _all(settings: Settings, told: Collection[str], options: Options) -> Iterator[Json]:
    name, engine = settings.engine.instance, settings.engine
    ours, text = _Named(options.namespace, name), settings_text(settings, told)
    theirs = _Named(engine.namespace, name)
    home = {HOME_OF: name, PROFILE: "privileged"}
    yield ours("v1", "Namespace", options.namespace, labels=home)
    yield ours("v1", "Namespace", engine.namespace, labels={PROFILE: "restricted"})
    account = {"kind": "ServiceAccount", "name": name, "namespace": options.namespace}
    yield ours("v1", "ServiceAccount", name, automountServiceAccountToken=False)
    yield theirs("rbac.authorization.k8s.io/v1", "Role", name, rules=[*RULES])
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    yield theirs("rbac.authorization.k8s.io/v1", "RoleBinding", name, roleRef=role, subjects=[account])
    yield ours("v1", "ConfigMap", name, data={"perijove.toml": text})
    claim: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": options.storage}}}
    if options.storage_class:
        claim["storageClassName"] = options.storage_class
    yield ours("v1", "PersistentVolumeClaim", name, spec=claim)
    yield ours("networking.k8s.io/v1", "NetworkPolicy", name, spec=_reached(settings, options, ours.labels))
    # Nobody there is reached, and reaches anything, but by what the program opens for each kind of session.
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    yield theirs("networking.k8s.io/v1", "NetworkPolicy", closing(Terms(engine.namespace, name)), spec=closed)
    yield ours("apps/v1", "Deployment", name, spec=_control_plane(settings, options, ours.labels, text))
    for version, kind, called, content in exposed(settings.service, name, ours.labels, options.expose,
                                                  options.class_name, options.issuer):  # fmt: skip
        yield ours(version, kind, called, **content)
    if engine.placeholders > 0:
        yield from _placeholders(settings, options, theirs)


@dataclass(frozen=True, slots=True)
class _Named:
    """Makes objects of one namespace."""

    namespace: str
    instance: str

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/managed-by": MANAGER, INSTANCE: self.instance, COMPONENT: "control-plane"}

    def __call__(
        self, version: str, kind: str, name: str, labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None, **content: Any,
    ) -> Json:  # fmt: skip
        about: Json = {"name": name, "labels": {**self.labels, **(labels or {})}}
        if annotations:
            about["annotations"] = {**annotations}
        if kind not in {"Namespace", "PriorityClass"}:
            about["namespace"] = self.namespace
        return {"apiVersion": version, "kind": kind, "metadata": about, **content}


def _reached(settings: Settings, options: Options, labels: Mapping[str, str]) -> Json:
    """Its ports, by everybody or by whoever may stand in front; it reaches all: Git hosts, indexes, CAs, the API."""
    rule: Json = {"ports": [{"port": one.number, "protocol": one.protocol} for one in listened(settings.service)]}
    if options.expose not in OWN:
        # Some network plugins know pods by their labels alone, others by their addresses too.
        name, theirs = "kubernetes.io/metadata.name", settings.engine.namespace
        others = {"matchExpressions": [{"key": name, "operator": "NotIn", "values": [theirs]}]}
        fronts = [f"{ip_network(one, strict=False)}" for one in settings.service.behind]
        rule["from"] = [{"namespaceSelector": others}, *({"ipBlock": {"cidr": one}} for one in fronts)]
    return {"podSelector": {"matchLabels": {**labels}}, "policyTypes": ["Ingress"], "ingress": [rule]}


def _control_plane(settings: Settings, options: Options, labels: Mapping[str, str], text: str) -> Json:
    pod: Json = {
        "serviceAccountName": settings.engine.instance, "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(settings.service.drain) + 20,
        # What builds leave has the engine's pause as its parent, which reaps it.
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            # Else each start would have the group read keys that are their owner's alone.
            "fsGroupChangePolicy": "OnRootMismatch",
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [_container(settings, options)],
        "volumes": [
            {"name": "settings", "configMap": {"name": settings.engine.instance}},
            {"name": "state", "persistentVolumeClaim": {"claimName": settings.engine.instance}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }  # fmt: skip
    if options.files:
        pod["volumes"].append({"name": "files", "secret": {"secretName": options.files, "defaultMode": 0o440}})
    if options.nodes is Nodes.USER_NAMESPACES:
        pod["hostUsers"] = False
    if options.pull_secret:
        pod["imagePullSecrets"] = [{"name": options.pull_secret}]
    about = {"labels": {**labels}, "annotations": {"perijove/settings": hashlib.sha256(text.encode()).hexdigest()[:16]}}
    return {
        "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": {**labels}},
        "template": {"metadata": about, "spec": pod},
    }  # fmt: skip


def _container(settings: Settings, options: Options) -> Json:
    ports = listened(settings.service)
    most = MEMORY + settings.build.concurrent * settings.build.memory
    mounts = [
        {"name": "settings", "mountPath": f"{SETTINGS}/perijove.toml", "subPath": "perijove.toml", "readOnly": True},
        {"name": "state", "mountPath": STATE}, {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]  # fmt: skip
    if options.files:
        mounts.append({"name": "files", "mountPath": FILES, "readOnly": True})
    environ = {"PERIJOVE_CONFIG": f"{SETTINGS}/perijove.toml", "PERIJOVE_STATE": f"{STATE}/state", "HOME": "/tmp"}  # noqa: S108
    return {
        "name": "perijove", "image": options.image, "command": ["perijove", "up"],
        **({"envFrom": [{"secretRef": {"name": options.env_from}}]} if options.env_from else {}),
        "env": [{"name": name, "value": value} for name, value in environ.items()],
        "ports": [{"name": one.name, "containerPort": one.number, "protocol": one.protocol} for one in ports],
        # A first start installs a Jupyter server.
        "startupProbe": _probe(settings, "versions", 90), "livenessProbe": _probe(settings, "versions", 6),
        "readinessProbe": _probe(settings, "health", 3),
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": f"{most}"}},
        "securityContext": _confinement(options.nodes),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }  # fmt: skip


def _confinement(nodes: Nodes) -> Json:
    if nodes is Nodes.PRIVILEGED:
        return {"privileged": True}
    return {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "procMount": "Unmasked",
        "seccompProfile": {"type": "Unconfined"}, "appArmorProfile": {"type": "Unconfined"},
    }  # fmt: skip


def _probe(settings: Settings, endpoint: str, failures: int) -> Json:
    """By the pod's address, which is no name that http leads to https for; a handshake would want a name."""
    port, often = listened(settings.service)[0], {"periodSeconds": 10, "timeoutSeconds": 10}
    asked: Json = {"tcpSocket": {"port": port.name}}
    if port.name == "http":
        asked = {"httpGet": {"path": f"{settings.service.base}{endpoint}", "port": port.name}}
    return {**asked, **often, "failureThreshold": failures}


def _placeholders(settings: Settings, options: Options, named: _Named) -> Iterator[Json]:
    """Each as large as a session, in whose favour it is ended; sessions have the priority of all pods, 0."""
    engine, session = settings.engine, settings.session
    name = f"{engine.instance}-placeholder"
    labels = {**named.labels, COMPONENT: "placeholder"}
    priority = f"{engine.namespace}-{name}"
    yield named(
        "scheduling.k8s.io/v1", "PriorityClass", priority, labels, value=PLACEHOLDER, preemptionPolicy="Never",
        description="Gives way to sessions.",
    )  # fmt: skip
    size = {
        "cpu": milli(min(engine.cpu_request, session.cpus)), "memory": f"{session.memory}",
        "ephemeral-storage": f"{session.disk + session.tmp}",
    }  # fmt: skip
    pod: Json = {
        "priorityClassName": priority, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "placeholder", "image": options.image, "command": ["sleep", "infinity"],
            "resources": {"requests": size, "limits": size},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }],
    }  # fmt: skip
    if engine.runtime_class:
        pod["runtimeClassName"] = engine.runtime_class
    if engine.pull_secrets:
        pod["imagePullSecrets"] = [{"name": one} for one in engine.pull_secrets]
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {
        "replicas": engine.placeholders, "selector": {"matchLabels": labels}, "template": template,
        # New ones beside the old would wait for a place that the old ones hold.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
    }  # fmt: skip
    yield named("apps/v1", "Deployment", name, labels, spec=spec)
