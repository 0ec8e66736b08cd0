"""What is a session as a pod? In: its spec, its image, the operator's terms. Out: manifests. Pure.

Held to the *restricted* profile of the Pod Security Standards (kubernetes.io/docs/concepts/security,
`pod-security-standards`).
`Limits.processes` has no place in a pod: the kubelet's `podPidsLimit` bounds it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove import giving
from perijove.backends.kubernetes import in_pod
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.images import DIGEST, TIME
from perijove.domain.keeping import CACHES, OF_PROGRAMS
from perijove.domain.nouns import ForeignRun, Limits, SandboxSpec, SessionName

Json = dict[str, Any]
MANAGER = "perijove"
INSTANCE, COMPONENT = "app.kubernetes.io/instance", "app.kubernetes.io/component"
SESSION, EGRESS = "perijove/session", "perijove/egress"
TRIAL = "perijove/trial"
"""Label of a pod that is no session: what it tries."""
HOME_OF = "perijove/control-plane"
"""Label of a namespace: of which Perijove the control plane lives there, beside its sessions' own namespace."""
ABOUT = "perijove/"
"""Begins annotations that say whose it is, and what."""
SERVER = "server"
"""The container."""
USER = 1000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_IMAGE = re.compile(rf"[^\s@]+@{DIGEST.pattern}")
RULES = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["networkpolicies"],
        "verbs": ["create", "delete", "get", "list", "patch"],
    },
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "deletecollection"]},
    {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["create", "delete", "get", "patch"]},
)
"""All that our account needs, in the namespace of sessions: the rules of a Role."""
CONFINED: Json = {
    "allowPrivilegeEscalation": False, "privileged": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
"""The `securityContext` of their containers."""
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Annotations by which autoscalers take no node from people who work there to save money."""
SMALL: Json = {
    "requests": {"cpu": "1m", "memory": "16Mi", "ephemeral-storage": "1Mi"},
    "limits": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
}
"""The limit of memory leaves room for gVisor, which counts in it."""
MOUNTS = ({"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
PROGRAM = "PERIJOVE_PROGRAM"
TEXTS = {PROGRAM: Path(in_pod.__file__).read_text(), in_pod.GIVING: Path(giving.__file__).read_text()}
"""What a pod's first process is made of: variables of its Secret, so that whoever looks at pods sees pods."""
RUN = f"import os; exec(os.environ.pop({PROGRAM!r}))"
STAY = 60
"""Seconds in which what a session left is fetched, whose server has ended by itself."""
HOME = "/home/jovyan"


@dataclass(frozen=True, slots=True)
class Owner:
    """What sessions go away with."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What an operator says of sessions in a cluster."""

    namespace: str
    instance: str = "perijove"
    """Which Perijove of the namespace they belong to; begins their pods' names."""
    owner: Owner | None = None
    priority_class: str = ""
    """The PriorityClass of their pods; `` for the cluster's default."""
    runtime_class: str = ""
    """`gvisor`, `kata`; `` for the nodes' own."""
    host_users: bool = True
    """False: each pod has a user namespace of its own (`hostUsers: false`), which nodes have to support."""
    pull_secrets: tuple[str, ...] = ()
    port: int = 8888
    files_port: int = 8889
    """Where the control plane alone fetches what was changed."""
    cpu_request: float = 0.1
    """Processors that a pod is sure of; its limit is the class's."""
    deadline: float = 7 * 86400.0
    """Seconds after which the cluster ends a session whatever we do."""
    grace: int = 5
    """Seconds that a server has to end itself."""
    end_limit: float = 30.0
    """Seconds beyond that until a session counts as over that does not end: its node may be lost."""
    start_limit: float = 300.0
    """Seconds that a pod may take until its container runs: a node may have to be added for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a session runs: its image by digest, and whose it is."""

    image: str
    """`registry.example/name@sha256:…`"""
    about: Mapping[str, str] = field(default_factory=dict)
    """Annotations by their names after `perijove/`: `repository`, `commit`, `launch`, `person`."""


def closing(terms: Terms) -> str:
    """The NetworkPolicy that an installation closes the sessions' namespace with, and that they go away with."""
    return f"{terms.instance}-closed"


def pod_name(session: SessionName, terms: Terms) -> str:
    """Raises Fail: `start.sandbox-failed`."""
    if not _NAME.fullmatch(session):
        remedy = "Name it by small letters, digits and hyphens, at most 40."
        raise Fail(SANDBOX_FAILED("a session cannot have this name", Evidence("name", session[:80]), remedy=remedy))
    return f"{terms.instance}-{session}"


def selector(terms: Terms) -> dict[str, str]:
    """Labels that all sessions of this Perijove have."""
    return {"app.kubernetes.io/managed-by": MANAGER, INSTANCE: terms.instance, COMPONENT: "session"}


def selecting(terms: Terms, *more: str) -> str:
    """The same as lists are asked for them, with what else their labels have to say."""
    return ",".join((*(f"{key}={value}" for key, value in selector(terms).items()), *more))


def metadata(name: str, terms: Terms, labels: Mapping[str, str], owner: Owner | None) -> Json:
    told: Json = {"name": name, "namespace": terms.namespace, "labels": {**selector(terms), **labels}}
    if owner is not None:
        told["ownerReferences"] = [
            {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        ]
    return told


def pod(spec: SandboxSpec, work: Work, terms: Terms) -> Json:
    """Raises Fail: `start.sandbox-failed`."""
    if not _IMAGE.fullmatch(work.image):
        seen, remedy = Evidence("image", work.image[:300]), "Name it as `registry/name@sha256:…`."
        raise Fail(SANDBOX_FAILED("its image is not named by its digest", seen, remedy=remedy))
    name = pod_name(spec.session, terms)
    labels = {SESSION: spec.session, EGRESS: egress_key(spec)}
    whole: Json = {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, terms, labels, terms.owner),
        "spec": {
            **placed(terms), "restartPolicy": "Never",
            "activeDeadlineSeconds": int(terms.deadline), "terminationGracePeriodSeconds": terms.grace,
            "containers": [_container(spec, work.image, name, terms)],
            "volumes": volumes(spec.limits),
        },
    }  # fmt: skip
    whole["metadata"]["annotations"] = {f"{ABOUT}{key}": value for key, value in work.about.items()} | STAYS
    if terms.priority_class:
        whole["spec"]["priorityClassName"] = terms.priority_class
    return whole


def volumes(limits: Limits) -> list[Json]:
    """Of a pod's spec: `/tmp` and `/dev/shm`."""
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{limits.tmp}"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{limits.tmp}"}},
    ]


def placed(terms: Terms) -> Json:
    """Of a pod's spec: as whom it runs, on which nodes, and how they get its images."""
    told: Json = {
        "automountServiceAccountToken": False, "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip
    if not terms.host_users:
        told["hostUsers"] = False
    if terms.runtime_class:
        told["runtimeClassName"] = terms.runtime_class
    if terms.pull_secrets:
        told["imagePullSecrets"] = [{"name": one} for one in terms.pull_secrets]
    return told


def _container(spec: SandboxSpec, image: str, name: str, terms: Terms) -> Json:
    limits = spec.limits
    disk = f"{limits.disk + limits.tmp}"  # /tmp counts in it too
    most = {"memory": f"{limits.memory}", "cpu": milli(limits.cpus), "ephemeral-storage": disk}
    return {
        "name": SERVER, "image": image, "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/env", "python3", "-ISc", RUN, *_words(terms), "--", *spec.command],
        "workingDir": HOME,
        "envFrom": [{"secretRef": {"name": name}}],
        "ports": [
            {"name": "http", "containerPort": terms.port}, {"name": "files", "containerPort": terms.files_port}
        ],
        # Nobody listens any more as soon as its server is over, whose pod waits for what it left to be fetched.
        "readinessProbe": {
            "tcpSocket": {"port": terms.port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1,
        },
        "resources": {"requests": {**most, "cpu": milli(min(terms.cpu_request, limits.cpus))}, "limits": most},
        "securityContext": CONFINED,
        "terminationMessagePolicy": "FallbackToLogsOnError",  # its last words come with its end
        "volumeMounts": [*MOUNTS],
    }  # fmt: skip


def small_container(name: str, image: str, *command: str) -> Json:
    """One of no session, that does next to nothing."""
    return {
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["/usr/bin/env", *command],
        "resources": SMALL, "securityContext": CONFINED,
    }  # fmt: skip


def _words(terms: Terms) -> list[str]:
    """What `in_pod` is told."""
    return [
        f"port={terms.port}", f"files={terms.files_port}", f"folder={HOME}", f"made={TIME}", f"stay={STAY}",
        f"top={'/'.join(OF_PROGRAMS)}", f"names={'/'.join(CACHES)}",
    ]  # fmt: skip


def milli(cpus: float) -> str:
    """Processors, as the API takes them."""
    return f"{max(1, math.ceil(cpus * 1000))}m"


def secret(spec: SandboxSpec, made: Mapping[str, Any], token: str, terms: Terms) -> Json:
    """Its variables, and what opens its files: nobody sees them who sees the pod. Gone with the pod that was `made`."""
    name = pod_name(spec.session, terms)
    owner = Owner("v1", "Pod", name, str(made["metadata"]["uid"]))
    told = {**dict(spec.environ), **TEXTS, in_pod.TOKEN: token}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True,
        "metadata": metadata(name, terms, {SESSION: spec.session}, owner), "stringData": told,
    }  # fmt: skip


def egress_key(spec: SandboxSpec | ForeignRun) -> str:
    """Which NetworkPolicy is its: one for all that may reach the same."""
    if not spec.egress_allowed:
        return spec.egress.value
    return hashlib.sha256(repr((spec.egress.value, sorted(spec.egress_allowed))).encode()).hexdigest()[:12]
