"""Do pods find a place? By arithmetic where the scheduler only says that something is insufficient. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.placement import claims, free, repelling, required, usable
from perijove.doctor.cluster.telling import found, names, seen, those
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, at, items, listed, mapping, text
from perijove.domain.cluster_pods import INSUFFICIENT, SHORT_OF, TAINT, why_unplaced
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

_LOST = {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}
_CONTROL = "node-role.kubernetes.io/"
_USUAL = (_CONTROL, "node.kubernetes.io/")
PURPOSE = "hub.jupyter.org/node-purpose"
"""The label that JupyterHub's chart asks for with matchNodePurpose (jupyterhub/templates/_helpers.tpl)."""
PATIENCE = 120.0
"""Seconds within which a scheduler looks at a pod, however long its queue is."""
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


def unlooked(cluster: Cluster) -> Iterator[Finding]:
    """Pods of which no scheduler has said anything: it writes a condition for each that it cannot place."""
    groups: dict[tuple[str, str], list[Thing]] = {}
    for pod in cluster.pods:
        silent = pod.condition("PodScheduled") is None and not cluster.events(pod, "FailedScheduling", "Scheduled")
        if pods.unplaced(pod) and silent and not pod.deleting and cluster.age(pod.created) > PATIENCE:
            groups.setdefault((pod.namespace, pods.scheduler(pod)), []).append(pod)
    for (namespace, name), them in groups.items():
        there = [one for one in cluster.pods if pods.schedules(one, them[0])]
        of_chart = name.endswith(pods.USER_SCHEDULER)
        space, component = (namespace, pods.USER_SCHEDULER) if of_chart else ("kube-system", "kube-scheduler")
        yield found(
            rows.NO_SCHEDULER, f"{those(them, 'waits', 'wait')} for the scheduler {name}", them[0].said,
            Confidence.CERTAIN if there or of_chart else Confidence.LIKELY,
            seen(f"{them[0].said} spec.schedulerName", name),
            seen(f"{them[0].said} status.conditions", "no PodScheduled, and no event of a scheduler"),
            *(seen(f"{one.said} status", "Ready" if pods.ready(one) else "not ready") for one in there[:3]),
            commands=(f"kubectl -n {space} get pods -l component={component}",), about=them,
        )  # fmt: skip


def _why(cluster: Cluster, one: Waiting) -> Iterator[Finding]:
    told = one.words.partition("preemption:")[0]
    hook = one.pod.name.startswith("hook-image-puller")
    causes: list[Finding] = []
    match why_unplaced(told):
        case rows.VOLUME_ON_OTHER_NODE:
            causes += _volume_elsewhere(cluster, one)
        case rows.NODES_CORDONED:
            causes += [cordoned(cluster, one)]
        case rows.NODE_SELECTOR_MISMATCH:
            causes += [_selector(cluster, one)]
        case rows.NODE_POD_LIMIT:
            causes += [_crowded(cluster, one)]
        case rows.TAINT_UNTOLERATED:
            causes += _tainted(cluster, one, told)
        case Kind():
            causes += _insufficient(cluster, one, INSUFFICIENT.findall(told))
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


def has(node: Thing, resource: str) -> float:
    return pods.quantity(at(node.status, "allocatable", resource))


def _insufficient(cluster: Cluster, one: Waiting, short: Sequence[str]) -> Iterator[Finding]:
    """Too large for any node, or only for what is free now: decided by what nodes have."""
    nodes = usable(one.pod, cluster.nodes)
    too_large = [
        name for name in short if nodes and all(has(node, name) < pods.requests(one.pod, name) for node in nodes)
    ]
    resource = too_large[0] if too_large else short[0]
    verdict = SHORT_OF.get(resource, SHORT_OF[""])
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
            about=one.pods, surer_with="" if nodes else "kubectl get nodes -o yaml",
        )  # fmt: skip
        because = rows.POD_UNSCHEDULABLE_FULL
    cause = f"Without a place for want of {', '.join(dict.fromkeys(short))}: {names(one.pods)}"
    events = [
        seen(f"event {told.reason} of {told.said}", told.message) for told in pods.failed_scheduling(one.pod, cluster)
    ]
    yield found(
        verdict, cause, one.pod.said, Confidence.CERTAIN, one.evidence, *events[:1], because=because, about=one.pods
    )


def _asked(pod: Thing, resource: str) -> Iterator[Evidence]:
    for one in listed(pod.spec, "containers"):
        value = at(one, "resources", "requests", resource)
        if value is not None:
            said = f"{text(value)} ({pods.amount(pods.quantity(value), resource)})"
            yield seen(f"{pod.said} container {text(one.get('name'))} request {resource}", said)


def _offered(node: Thing, resource: str) -> Evidence:
    value = text(at(node.status, "allocatable", resource))
    return seen(f"{node.name} allocatable {resource}", f"{value} ({pods.amount(pods.quantity(value), resource)})")


def _taken(cluster: Cluster, node: Thing, resource: str) -> Evidence:
    left = free(cluster, node, resource)
    taken, room = (pods.amount(one, resource) for one in (has(node, resource) - left, max(0.0, left)))
    return seen(f"pods on {node.name} request {resource}", f"{taken}, so {room} is left")


def _smaller(cluster: Cluster, pod: Thing, node: Thing, resource: str) -> tuple[str, ...]:
    left = free(cluster, node, resource, users=False)
    most = f"{max(1, int(SHARE * left / 1024**3))}G" if resource == "memory" else f"{max(0.1, SHARE * left):.1f}"
    where = {"memory": "memory.guarantee", "cpu": "cpu.guarantee"}.get(resource, f"extraResource.guarantees.{resource}")
    if not pods.is_user(pod):
        return (f"# {pod.said}: resources.requests.{resource} at most {most} on {node.name}, or a larger node",)
    value = most if resource == "memory" else float(most)
    return (hub(cluster, {f"singleuser.{where}": value}, f"at most this on {node.name}; or add a larger node"),)


# whatever else keeps pods off nodes


def cordoned(cluster: Cluster, one: Waiting | None = None) -> Finding:
    """Nodes are cordoned, and pods wait for it, or will."""
    closed = [node for node in cluster.nodes if node.spec.get("unschedulable")]
    evidence = [seen(f"{node.said} spec.unschedulable", "true") for node in closed[:3]]
    commands = [f"kubectl uncordon {node.name}   # once its maintenance is over" for node in closed[:3]]
    if one is None:
        cause = f"{those(closed, 'takes', 'take')} no new pods, and there is no other"
        return found(
            rows.NODES_CORDONED,
            cause,
            closed[0].said,
            Confidence.CERTAIN,
            *evidence,
            commands=commands,
            foreseen=True,
            about=(*closed, *_cleaners(cluster, closed)),
        )
    shut = those(closed, "is", "are") if closed else "those that would do are"
    cause = f"{those(one.pods, 'waits', 'wait')} for a node, and {shut} cordoned"
    return found(
        rows.NODES_CORDONED, cause, one.pod.said, Confidence.CERTAIN, one.evidence, *evidence, commands=commands,
        about=(*one.pods, *closed, *_cleaners(cluster, closed)),
    )  # fmt: skip


def _cleaners(cluster: Cluster, closed: Sequence[Thing]) -> Iterator[Thing]:
    """Image cleaners of these nodes, which cordon them while they work (jupyterhub/docker-image-cleaner)."""
    there = {node.name for node in closed}
    them = (one for one in cluster.pods if pods.component(one) == "image-cleaner")
    yield from (one for one in them if text(one.spec.get("nodeName")) in there)


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
    """Labels that it asks for by its nodeSelector, or by its required affinity, and those that nodes have."""
    wanted = {key: text(value) for key, value in mapping(one.pod.spec.get("nodeSelector")).items()}
    evidence = [one.evidence]
    if wanted:
        said = ", ".join(f"{key}={value}" for key, value in wanted.items())
        evidence.append(seen(f"{one.pod.said} spec.nodeSelector", said))
    for term in required(one.pod):
        rules = list(listed(term, "matchExpressions"))
        said = ", ".join(f"{text(rule.get('key'))} {text(rule.get('operator'))} {_values(rule)}" for rule in rules)
        evidence.append(seen(f"{one.pod.said} spec.affinity.nodeAffinity.required…", said))
        for rule in rules:
            if rule.get("operator") == "In" and items(rule.get("values")):
                wanted.setdefault(text(rule.get("key")), text(items(rule.get("values"))[0]))
    open_to_it = [node for node in cluster.nodes if not repelling(one.pod, node)]
    for node in open_to_it[:3]:
        has = ", ".join(f"{key}={text(node.labels[key])}" for key in wanted if key in node.labels)
        usual = (key for key in node.labels if not key.startswith("beta.kubernetes.io/"))
        evidence.append(seen(f"{node.said} labels", has or f"none of {', '.join(wanted)}; it has {', '.join(usual)}"))
    labels = " ".join(f"{key}={value}" for key, value in wanted.items())
    commands = [f"kubectl label node {node.name} {labels}" for node in open_to_it[:5] if labels]
    if PURPOSE in wanted:
        commands.append("# or let any node take them:")
        commands.append(hub(cluster, {"scheduling.userPods.nodeAffinity.matchNodePurpose": "prefer"}))
    cause = f"{those(one.pods, 'fits', 'fit')} no node's labels: wanted is {labels or 'what no node has'}"
    return found(
        rows.NODE_SELECTOR_MISMATCH, cause, one.pod.said, Confidence.CERTAIN, *evidence, commands=commands,
        about=one.pods,
    )  # fmt: skip


def _values(rule: Mapping[str, Any]) -> str:
    return ", ".join(text(value) for value in items(rule.get("values")))


def _tainted(cluster: Cluster, one: Waiting, told: str) -> Iterator[Finding]:
    """Lasting taints that it does not tolerate. Those of a node's state go with that state, and are never removed."""
    there = (mapping(taint) for node in cluster.nodes for taint in repelling(one.pod, node, of_state=True))
    taints = [name.strip() for name in TAINT.findall(told)] or [text(taint.get("key")) for taint in there]
    special = [name for name in taints if not name.startswith(_USUAL)]
    if not special and any(name in _LOST for name in taints):
        return
    name = (special or [one for one in taints if not one.startswith(_CONTROL)] or taints or ["its nodes' taints"])[0]
    pairs = [(node, taint) for node in cluster.nodes for taint in listed(node.spec, "taints")]
    with_it = [(node, taint) for node, taint in pairs if taint.get("key") == name]
    evidence = [seen(f"{node.said} spec.taints", _said_taint(taint)) for node, taint in with_it[:3]]
    tolerations = [
        {"key": name, "operator": "Equal", "value": text(taint.get("value")), "effect": text(taint.get("effect"))}
        for _, taint in with_it[:1]
    ]
    commands: list[str] = []
    if special and tolerations and pods.is_user(one.pod):
        commands = [hub(cluster, {"scheduling.userPods.tolerations": tolerations})]
    elif special and tolerations:
        commands = [f"# {one.pod.said}: a toleration of {_said_taint(with_it[0][1])} in its spec, or a node without"]
    elif name.startswith(_CONTROL) and with_it:
        alone = f"kubectl taint node {with_it[0][0].name} {name}-"
        commands = [f"# add a node that is there for pods; or, where one node shall do everything: {alone}"]
    yield found(
        rows.TAINT_UNTOLERATED, f"{those(one.pods, 'does', 'do')} not tolerate {name}", one.pod.said,
        Confidence.CERTAIN, one.evidence, *evidence, commands=commands, about=one.pods,
    )  # fmt: skip


def _said_taint(taint: Mapping[str, Any]) -> str:
    return f"{text(taint.get('key'))}={text(taint.get('value'))}:{text(taint.get('effect'))}"


def _volume_elsewhere(cluster: Cluster, one: Waiting) -> Iterator[Finding]:
    evidence = [one.evidence]
    for claim in claims(cluster, one.pod):
        volume = cluster.get("PersistentVolume", "", text(claim.spec.get("volumeName")))
        for term in listed(volume.spec if volume else {}, "nodeAffinity", "required", "nodeSelectorTerms"):
            for rule in listed(term, "matchExpressions"):
                said = f"{text(rule.get('key'))} in {rule.get('values')}"
                evidence.append(seen(f"PersistentVolume {text(claim.spec.get('volumeName'))} nodeAffinity", said))
    cause = f"{those(one.pods, 'can use its volume', 'can use their volumes')} on other nodes alone"
    yield found(
        rows.VOLUME_ON_OTHER_NODE, cause, one.pod.said,
        Confidence.CERTAIN, *evidence, about=one.pods,
    )  # fmt: skip


def placeholders(cluster: Cluster) -> Iterator[Finding]:
    """All of them wait, so that the next user does as well."""
    them = [one for one in cluster.pods if pods.is_placeholder(one) and not one.deleting]
    if them and all(pods.unplaced(one) and cluster.age(one.created) > 600 for one in them):
        words, where = pods.why_unplaced(them[0], cluster)
        yield found(
            rows.PLACEHOLDERS_PENDING, f"All {len(them)} placeholders wait", them[0].said, Confidence.CERTAIN,
            seen(where or them[0].said, words or "Pending"), foreseen=True,
        )  # fmt: skip
