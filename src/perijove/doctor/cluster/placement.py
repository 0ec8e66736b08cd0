"""Which nodes may a pod be placed on, and which claims are its own? In: specs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.view import Cluster, expressed
from perijove.domain.cluster import Thing, at, items, listed, mapping, text

_OF_STATE = "node.kubernetes.io/"
"""What taints begin with that say how a node is, and go with that: `unreachable`, `disk-pressure`, `unschedulable`."""


def usable(pod: Thing, nodes: Sequence[Thing]) -> list[Thing]:
    """Nodes that it may be placed on now, room aside."""
    return [one for one in candidates(pod, nodes) if _takes(pod, one)]


def candidates(pod: Thing, nodes: Iterable[Thing]) -> list[Thing]:
    """Nodes that it may be placed on once they are well: by its selector, its affinity and their lasting taints."""
    return [one for one in nodes if labelled(pod, one) and not repelling(pod, one)]


def _takes(pod: Thing, node: Thing) -> bool:
    ready = node.condition("Ready")
    well = ready is None or ready.status == "True"
    return well and not node.spec.get("unschedulable") and not repelling(pod, node, of_state=True)


def labelled(pod: Thing, node: Thing) -> bool:
    """Whether a node has the labels that it asks for."""
    if any(node.labels.get(key) != value for key, value in mapping(pod.spec.get("nodeSelector")).items()):
        return False
    terms = required(pod)
    return not terms or any(expressed(term, node.labels) for term in terms)


def required(pod: Thing) -> list[object]:
    """The terms of its required node affinity, of which one has to fit."""
    way = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    return list(items(at(pod.spec, *way)))


def repelling(pod: Thing, node: Thing, *, of_state: bool = False) -> list[object]:
    """Taints that keep it off a node; those of the node's state only where asked for."""
    hard = (one for one in listed(node.spec, "taints") if text(one.get("effect")) in {"NoSchedule", "NoExecute"})
    lasting = (one for one in hard if of_state or not text(one.get("key")).startswith(_OF_STATE))
    return [one for one in lasting if not any(_tolerates(each, one) for each in listed(pod.spec, "tolerations"))]


def _tolerates(toleration: object, taint: object) -> bool:
    one, other = mapping(toleration), mapping(taint)
    key = text(one.get("key"))
    if text(one.get("effect")) not in {"", text(other.get("effect"))}:
        return False
    if not key:
        return one.get("operator") == "Exists"
    same = one.get("operator") == "Exists" or text(one.get("value")) == text(other.get("value"))
    return key == text(other.get("key")) and same


def claims(cluster: Cluster, pod: Thing) -> list[Thing]:
    """The volume claims of a pod that are there."""
    told = [text(at(one, "persistentVolumeClaim", "claimName")) for one in listed(pod.spec, "volumes")]
    there = (cluster.get("PersistentVolumeClaim", pod.namespace, name) for name in told if name)
    return [one for one in there if one is not None]


def free(cluster: Cluster, node: Thing, resource: str, *, users: bool = True) -> float:
    """What pods leave of a node's resource; with users' pods or without."""
    on = (one for one in cluster.pods if one.spec.get("nodeName") == node.name)
    there = (one for one in on if pods.phase(one) in {"Running", "Pending"} and (users or not pods.is_user(one)))
    return pods.quantity(at(node.status, "allocatable", resource)) - sum(pods.requests(one, resource) for one in there)
