"""How a pod stands: ready, waiting for what, ended how, asking for how much. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from perijove.doctor.cluster.view import Cluster, Happening
from perijove.domain.cluster import JSON, Thing, at, listed, mapping, moment, text

CORE = {"hub", "proxy", "binder", "autohttps", "user-scheduler", "dind", "podman", "image-builder"}
"""Components without which nothing is launched, by the charts' label `component`."""
PULLING = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"}
STARTING = {"", "ContainerCreating", "PodInitializing"}
_QUANTITY = re.compile(r"([0-9.]+)(?:e([0-9]+))?([A-Za-z]*)")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_UNITS |= {f"{unit}i": 1024.0 ** (power + 1) for power, unit in enumerate("KMGTP")}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    container: str
    reason: str
    code: int
    message: str
    lasted: float
    """Seconds it ran."""
    at: float


def component(pod: Thing) -> str:
    """`hub`, `binder`, `singleuser-server` …; `` for what is not of the charts."""
    return text(pod.labels.get("component") or pod.labels.get("app.kubernetes.io/component"))


def is_user(pod: Thing) -> bool:
    return component(pod) == "singleuser-server"


def is_build(pod: Thing) -> bool:
    return component(pod) == "binderhub-build" or (pod.name.startswith("build-") and not component(pod))


def is_core(pod: Thing) -> bool:
    return component(pod) in CORE or pod.namespace in {"kube-system", "cert-manager"} or is_ingress_controller(pod)


def is_ingress_controller(pod: Thing) -> bool:
    app = text(pod.labels.get("app.kubernetes.io/name") or pod.labels.get("app"))
    return "ingress" in app or "traefik" in app


def is_placeholder(pod: Thing) -> bool:
    return component(pod) == "user-placeholder"


def phase(pod: Thing) -> str:
    return text(pod.status.get("phase"))


def ready(pod: Thing) -> bool:
    """Whether it does what it is for, or has done it."""
    condition = pod.condition("Ready")
    return phase(pod) == "Succeeded" or (condition is not None and condition.status == "True")


def troubled(pod: Thing) -> bool:
    return not ready(pod) and not pod.deleting


def waiting(pod: Thing) -> Iterator[tuple[str, str, str]]:
    """Containers that wait: name, reason, message."""
    for one in _statuses(pod):
        state = at(one, "state", "waiting")
        if state is not None:
            yield text(one.get("name")), text(mapping(state).get("reason")), text(mapping(state).get("message"))


def ended(pod: Thing) -> Iterator[Ended]:
    """How containers ended: now, or before they were started again."""
    for one in _statuses(pod):
        for when in ("state", "lastState"):
            state = mapping(at(one, when, "terminated"))
            if state:
                code = state.get("exitCode")
                begun, end = moment(state.get("startedAt")), moment(state.get("finishedAt"))
                reason, message = text(state.get("reason")), text(state.get("message"))
                whole = code if isinstance(code, int) else 0
                yield Ended(text(one.get("name")), reason, whole, message, max(0, end - begun), end)


def restarts(pod: Thing) -> int:
    counts = [one.get("restartCount") for one in _statuses(pod)]
    return sum(count for count in counts if isinstance(count, int))


def _statuses(pod: Thing) -> list[JSON]:
    return [one for key in ("initContainerStatuses", "containerStatuses") for one in listed(pod.status, key)]


def starting(pod: Thing) -> bool:
    """Whether it has a place, and its containers do not run yet for another reason than their images."""
    reasons = {reason for _, reason, _ in waiting(pod)}
    return bool(pod.spec.get("nodeName")) and phase(pod) == "Pending" and reasons <= STARTING


def unplaced(pod: Thing) -> bool:
    condition = pod.condition("PodScheduled")
    return (
        phase(pod) == "Pending" and not pod.spec.get("nodeName") and (condition is None or condition.status != "True")
    )


def why_unplaced(pod: Thing, cluster: Cluster) -> tuple[str, str]:
    """The scheduler's words and where they stand: the condition outlives the event."""
    condition = pod.condition("PodScheduled")
    if condition is not None and condition.message:
        return condition.message, f"{pod.said} status.conditions PodScheduled"
    told = failed_scheduling(pod, cluster)
    return (told[0].message, told[0].where) if told else ("", "")


def failed_scheduling(pod: Thing, cluster: Cluster) -> list[Happening]:
    return [one for one in cluster.events(pod, "FailedScheduling") if "skip schedule deleting pod" not in one.message]


def quantity(value: object) -> float:
    """`20Gi`, `500m`, `1e3` as a number; 0 for what is none."""
    match = _QUANTITY.fullmatch(text(value).strip())
    if match is None or match[1].count(".") > 1 or match[3] not in _UNITS:
        return 0.0
    return float(match[1]) * 10.0 ** int(match[2] or 0) * _UNITS[match[3]]


def requests(pod: Thing, resource: str) -> float:
    """What it needs of a resource to be given a place: the containers' sum, or the greediest init container."""
    first = [quantity(at(one, "resources", "requests", resource)) for one in listed(pod.spec, "initContainers")]
    rest = [quantity(at(one, "resources", "requests", resource)) for one in listed(pod.spec, "containers")]
    return max([sum(rest), *first])


def images(pod: Thing) -> list[str]:
    return [text(one.get("image")) for key in ("initContainers", "containers") for one in listed(pod.spec, key)]


def amount(value: float, resource: str) -> str:
    """`15.4Gi` for memory, `2.5` for the rest."""
    if resource in {"memory", "ephemeral-storage"}:
        return f"{value / 1024**3:.1f}Gi" if value >= 1024**3 else f"{value / 1024**2:.0f}Mi"
    return f"{value:g}"
