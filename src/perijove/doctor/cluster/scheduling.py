"""Do pods find a place? By arithmetic where the scheduler only says that something is insufficient. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.telling import found, names, seen
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, at, listed, mapping, text
from perijove.domain.cluster_ground_failures import NODE_NOT_READY
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

VERDICTS = {
    "memory": rows.POD_UNSCHEDULABLE_MEMORY,
    "cpu": rows.POD_UNSCHEDULABLE_CPU,
    "": rows.POD_UNSCHEDULABLE_RESOURCE,
}
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+[\w])")
_SELECTOR = re.compile(r"didn't match Pod's node affinity|didn't match node selector|MatchNodeSelector", re.I)
_TAINT = re.compile(r"taint \{([^}:]+)")
_LOST = {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}
_USUAL = ("node-role.kubernetes.io/", *_LOST, "node.kubernetes.io/unschedulable")
SHARE = 0.8
"""Of what is free on an empty node, for servers; the rest is the system's."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pods that one thing keeps without a place; the first stands for all."""

    pods: tuple[Thing, ...]
    words: str
    where: str

    @property
    def pod(self) -> Thing:
        return self.pods[0]

    @property
    def evidence(self) -> Evidence:
        return seen(self.where, self.words)


def unplaced(cluster: Cluster) -> Iterator[Finding]:
    """Why pods that want a place have none."""
    groups: dict[tuple[str, ...], list[Thing]] = {}
    for pod in cluster.pods:
        if pods.unplaced(pod) and not pod.deleting and not pods.is_placeholder(pod):
            words, _ = pods.why_unplaced(pod, cluster)
            wants = tuple(str(pods.requests(pod, one)) for one in ("memory", "cpu"))
            groups.setdefault((words.partition("preemption")[0], *wants), []).append(pod)
    for alike in groups.values():
        words, where = pods.why_unplaced(alike[0], cluster)
        if words and "PersistentVolumeClaim" not in words and "persistentvolumeclaim" not in words:
            yield from _why(cluster, Waiting(tuple(alike), words, where))


def _why(cluster: Cluster, one: Waiting) -> Iterator[Finding]:
    told = one.words.partition("preemption:")[0]
    hook = one.pod.name.startswith("hook-image-puller")
    causes: list[Finding] = []
    short = _INSUFFICIENT.findall(told)
    if short:
        causes += _insufficient(cluster, one, short)
    elif "volume node affinity conflict" in told:
        causes += _volume_elsewhere(cluster, one)
    elif "unschedulable" in told and "were unschedul" in told:
        causes += [cordoned(cluster, one)]
    elif _SELECTOR.search(told):
        causes += [_selector(cluster, one)]
    elif "Too many pods" in told:
        causes += [_crowded(cluster, one)]
    elif _TAINT.search(told):
        causes += _tainted(one, told)
    yield from causes
    if hook and causes:
        cause = f"helm upgrade waits for {names(one.pods)}"
        yield found(
            rows.HOOK_IMAGE_PULLER_STUCK, cause, one.pod.said, Confidence.CERTAIN, one.evidence,
            because=causes[0].failure.kind,
        )  # fmt: skip


def _crowded(cluster: Cluster, one: Waiting) -> Finding:
    most = [
        seen(f"{node.said} allocatable pods", text(at(node.status, "allocatable", "pods"))) for node in cluster.nodes
    ]
    cause = f"Without a place: {names(one.pods)}"
    return found(rows.NODE_POD_LIMIT, cause, one.pod.said, Confidence.CERTAIN, one.evidence, *most[:3])


# arithmetic


def usable(pod: Thing, nodes: Sequence[Thing]) -> list[Thing]:
    """Nodes that the pod may be placed on, room aside."""
    return [one for one in nodes if not one.spec.get("unschedulable") and _fits(pod, one)]


def _fits(pod: Thing, node: Thing) -> bool:
    ready = node.condition("Ready")
    if ready is not None and ready.status != "True":
        return False
    wanted = mapping(pod.spec.get("nodeSelector"))
    if any(node.labels.get(key) != value for key, value in wanted.items()):
        return False
    hard = [one for one in listed(node.spec, "taints") if one.get("effect") in {"NoSchedule", "NoExecute"}]
    return all(any(_tolerates(one, taint) for one in listed(pod.spec, "tolerations")) for taint in hard)


def _tolerates(toleration: object, taint: object) -> bool:
    one, other = mapping(toleration), mapping(taint)
    key = one.get("key")
    if one.get("effect") not in {None, "", other.get("effect")}:
        return False
    if key in {None, ""}:
        return one.get("operator") == "Exists"
    same = one.get("operator") == "Exists" or text(one.get("value")) == text(other.get("value"))
    return key == other.get("key") and same


def has(node: Thing, resource: str) -> float:
    return pods.quantity(at(node.status, "allocatable", resource))


def _insufficient(cluster: Cluster, one: Waiting, short: Sequence[str]) -> Iterator[Finding]:
    """Too large for any node, or only for what is free now: decided by what nodes have."""
    nodes = usable(one.pod, cluster.nodes)
    too_large = [
        name for name in short if nodes and all(has(node, name) < pods.requests(one.pod, name) for node in nodes)
    ]
    resource = too_large[0] if too_large else short[0]
    verdict = VERDICTS.get(resource, VERDICTS[""])
    wants = pods.requests(one.pod, resource)
    evidence = [one.evidence, *_asked(one.pod, resource), *(_offered(node, resource) for node in nodes[:3])]
    if too_large:
        best = max(nodes, key=lambda node: has(node, resource))
        most, need = pods.amount(has(best, resource), resource), pods.amount(wants, resource)
        cause = f"{one.pod.said} asks for {need} of {resource}, and the largest node that it may use has {most}"
        yield found(
            rows.REQUEST_LARGER_THAN_ANY_NODE, cause, one.pod.said, Confidence.CERTAIN, *evidence,
            commands=_smaller(cluster, one.pod, best, resource),
        )  # fmt: skip
        because = rows.REQUEST_LARGER_THAN_ANY_NODE
    else:
        evidence += [_taken(cluster, node, resource) for node in nodes[:3]]
        cause = f"{names(one.pods)} would fit on an empty node, and what runs there leaves too little {resource}"
        sure = Confidence.CERTAIN if nodes else Confidence.POSSIBLE
        yield found(
            rows.POD_UNSCHEDULABLE_FULL, cause, one.pod.said, sure, *evidence,
            commands=("kubectl get pods -A -l component=singleuser-server --sort-by=.metadata.creationTimestamp",),
            surer_with="" if nodes else "kubectl get nodes -o yaml",
        )  # fmt: skip
        because = rows.POD_UNSCHEDULABLE_FULL
    cause = f"Without a place for want of {', '.join(dict.fromkeys(short))}: {names(one.pods)}"
    events = [
        seen(f"event {told.reason} of {told.said}", told.message) for told in pods.failed_scheduling(one.pod, cluster)
    ]
    yield found(verdict, cause, one.pod.said, Confidence.CERTAIN, one.evidence, *events[:1], because=because)


def _asked(pod: Thing, resource: str) -> Iterator[Evidence]:
    for one in listed(pod.spec, "containers"):
        value = at(one, "resources", "requests", resource)
        if value is not None:
            said = f"{text(value)} ({pods.amount(pods.quantity(value), resource)})"
            yield seen(f"{pod.said} container {text(one.get('name'))} request {resource}", said)


def _offered(node: Thing, resource: str) -> Evidence:
    value = text(at(node.status, "allocatable", resource))
    return seen(f"{node.name} allocatable {resource}", f"{value} ({pods.amount(pods.quantity(value), resource)})")


def _requested(cluster: Cluster, node: Thing, resource: str, *, users: bool) -> float:
    on = [
        one
        for one in cluster.pods
        if one.spec.get("nodeName") == node.name and pods.phase(one) in {"Running", "Pending"}
    ]
    return sum(pods.requests(one, resource) for one in on if users or not pods.is_user(one))


def _taken(cluster: Cluster, node: Thing, resource: str) -> Evidence:
    taken = _requested(cluster, node, resource, users=True)
    room = pods.amount(max(0.0, has(node, resource) - taken), resource)
    return seen(f"pods on {node.name} request {resource}", f"{pods.amount(taken, resource)}, so {room} is left")


def _smaller(cluster: Cluster, pod: Thing, node: Thing, resource: str) -> tuple[str, ...]:
    free = has(node, resource) - _requested(cluster, node, resource, users=False)
    most = f"{max(1, int(SHARE * free / 1024**3))}G" if resource == "memory" else f"{max(0.1, SHARE * free):.1f}"
    where = {"memory": "memory.guarantee", "cpu": "cpu.guarantee"}.get(resource, f"extraResource.guarantees.{resource}")
    if not pods.is_user(pod):
        return (f"# {pod.said}: resources.requests.{resource} at most {most} on {node.name}, or a larger node",)
    return (f"jupyterhub.singleuser.{where}: {most}   # at most, on {node.name}; or add a larger node",)


# whatever else keeps pods off nodes


def cordoned(cluster: Cluster, one: Waiting | None = None) -> Finding:
    """Nodes are cordoned, and pods wait for it, or will."""
    closed = [node for node in cluster.nodes if node.spec.get("unschedulable")]
    evidence = [seen(f"{node.said} spec.unschedulable", "true") for node in closed[:3]]
    commands = [f"kubectl uncordon {node.name}   # once its maintenance is over" for node in closed[:3]]
    if one is None:
        cause = f"{names(closed)} take no new pods, and there is no other"
        return found(
            rows.NODES_CORDONED, cause, closed[0].said, Confidence.CERTAIN, *evidence, commands=commands, foreseen=True
        )
    cause = f"{names(one.pods)} wait for a node, and {names(closed) if closed else 'those that would do'} are cordoned"
    return found(
        rows.NODES_CORDONED, cause, one.pod.said, Confidence.CERTAIN, one.evidence, *evidence, commands=commands
    )


def all_cordoned(cluster: Cluster) -> Iterator[Finding]:
    """No node takes new pods, though none waits yet."""
    workers = [one for one in cluster.nodes if not _controls(one)] or cluster.nodes
    if workers and all(one.spec.get("unschedulable") for one in workers):
        waits = any(
            pods.unplaced(pod) and "were unschedul" in pods.why_unplaced(pod, cluster)[0] for pod in cluster.pods
        )
        if not waits:
            yield cordoned(cluster)


def _controls(node: Thing) -> bool:
    return any(text(one.get("key")).startswith("node-role.kubernetes.io/") for one in listed(node.spec, "taints"))


def _selector(cluster: Cluster, one: Waiting) -> Finding:
    wanted = mapping(one.pod.spec.get("nodeSelector"))
    evidence = [one.evidence]
    if wanted:
        evidence.append(
            seen(
                f"{one.pod.said} spec.nodeSelector", ", ".join(f"{key}={text(value)}" for key, value in wanted.items())
            )
        )
        for node in cluster.nodes[:3]:
            told = ", ".join(f"{key}={text(node.labels[key])}" for key in wanted if key in node.labels)
            evidence.append(seen(f"{node.said} labels", told or f"none of {', '.join(wanted)}"))
    label = next((f"{key}={text(value)}" for key, value in wanted.items()), "KEY=VALUE")
    return found(
        rows.NODE_SELECTOR_MISMATCH, f"{names(one.pods)} fit no node's labels", one.pod.said, Confidence.CERTAIN,
        *evidence, commands=(f"kubectl label node NODE {label}   # or correct singleuser.nodeSelector",),
    )  # fmt: skip


def _tainted(one: Waiting, told: str) -> Iterator[Finding]:
    taints = [name.strip() for name in _TAINT.findall(told)]
    special = [name for name in taints if not name.startswith(_USUAL)]
    if special or not any(name in _LOST for name in taints):
        name = (special or taints)[0]
        yield found(
            rows.TAINT_UNTOLERATED, f"{names(one.pods)} do not tolerate {name}", one.pod.said, Confidence.CERTAIN,
            one.evidence, commands=(f"kubectl taint node NODE {name}-   # or add a toleration of it",),
        )  # fmt: skip


def _volume_elsewhere(cluster: Cluster, one: Waiting) -> Iterator[Finding]:
    evidence = [one.evidence]
    lost = [node for node in cluster.nodes if (ready := node.condition("Ready")) is not None and ready.status != "True"]
    for claim in claims(cluster, one.pod):
        volume = cluster.get("PersistentVolume", "", text(claim.spec.get("volumeName")))
        for term in listed(volume.spec if volume else {}, "nodeAffinity", "required", "nodeSelectorTerms"):
            for rule in listed(term, "matchExpressions"):
                said = f"{text(rule.get('key'))} in {rule.get('values')}"
                evidence.append(seen(f"PersistentVolume {text(claim.spec.get('volumeName'))} nodeAffinity", said))
    yield found(
        rows.VOLUME_ON_OTHER_NODE, f"{names(one.pods)} can use its volume on other nodes alone", one.pod.said,
        Confidence.CERTAIN, *evidence, because=NODE_NOT_READY if lost else None,
    )  # fmt: skip


def claims(cluster: Cluster, pod: Thing) -> list[Thing]:
    """The volume claims of a pod that are there."""
    told = [text(at(one, "persistentVolumeClaim", "claimName")) for one in listed(pod.spec, "volumes")]
    there = (cluster.get("PersistentVolumeClaim", pod.namespace, name) for name in told if name)
    return [one for one in there if one is not None]


def placeholders(cluster: Cluster) -> Iterator[Finding]:
    """All of them wait, so that the next user does as well."""
    them = [one for one in cluster.pods if pods.is_placeholder(one) and not one.deleting]
    if them and all(pods.unplaced(one) and cluster.age(one.created) > 600 for one in them):
        words, where = pods.why_unplaced(them[0], cluster)
        yield found(
            rows.PLACEHOLDERS_PENDING, f"All {len(them)} placeholders wait", them[0].said, Confidence.CERTAIN,
            seen(where or them[0].said, words or "Pending"), foreseen=True,
        )  # fmt: skip
