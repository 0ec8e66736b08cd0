"""How a pod stands, and which failure the words stand for that a cluster has about it. Pure.

For the doctor, which looks at anybody's cluster, and for sessions that are pods of ours: each rule once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import JSON, Thing, at, listed, mapping, moment, text
from perijove.domain.failures import Kind

PULLING = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"}
CANNOT_START = {"StartError", "RunContainerError", "CreateContainerError", "ContainerCannotRun"}
IMAGE_WORDS: tuple[tuple[Kind, str], ...] = (
    (rows.IMAGE_PULL_RATE_LIMITED, r"toomanyrequests|429 too many requests|pull rate limit|rate limit exceeded"),
    (rows.REGISTRY_PLAIN_HTTP, r"server gave http response to https client"),
    (rows.REGISTRY_UNTRUSTED, r"x509:|certificate signed by unknown authority|certificate has expired|"
                             r"tls: failed to verify"),
    (rows.REGISTRY_UNREACHABLE, r"no such host|i/o timeout|connection refused|tls handshake timeout|no route to host|"
                                r"connection reset|context deadline exceeded|server misbehaving|"
                                r"network is unreachable"),
    (rows.IMAGE_PULL_UNAUTHORIZED, r"401 unauthorized|403 forbidden|unauthorized|authentication required|no basic auth|"
                                   r"pull access denied|access denied|denied:|authorization failed"),
    (rows.IMAGE_OTHER_ARCHITECTURE, r"no match for platform|no matching manifest for|"
                                    r"no image found in (?:manifest list|image index) for architecture|"
                                    r"does not match the specified platform"),
    (rows.IMAGE_NOT_FOUND, r"manifest unknown|not found|name unknown|does not exist|invalidimagename|"
                           r"couldn't parse image|invalid reference format"),
)  # fmt: skip
ANY_IMAGE_WORDS = "|".join(pattern for _, pattern in IMAGE_WORDS)
OWN_LIMIT = re.compile(r"exceeds the (?:total )?limit|exceeded its local ephemeral storage limit")
"""In an eviction for what the pod itself wrote (pkg/kubelet/eviction/helpers.go): pod, container and
emptyDir. A node that is low on `ephemeral-storage` ends those that kept their limits too.
"""
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+[\w])")
TAINT = re.compile(r"taint \{([^}:]+)")
"""Its name; newer schedulers say only `untolerated taint(s)`."""
_ELSE = re.compile(r"(?: (?:no new claims to deallocate|still not schedulable),)? preemption:")
SHORT_OF = {
    "memory": rows.POD_UNSCHEDULABLE_MEMORY,
    "cpu": rows.POD_UNSCHEDULABLE_CPU,
    "": rows.POD_UNSCHEDULABLE_RESOURCE,
}
"""What a pod finds no node for, by the resource; `` for any other."""
_SELECTOR = re.compile(r"didn't match Pod's node affinity|didn't match node selector|MatchNodeSelector", re.I)
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
    lasted: float | None
    """Seconds it ran; None where it is not told when it began."""
    at: float


def phase(pod: Thing) -> str:
    return text(pod.status.get("phase"))


def waiting(pod: Thing) -> Iterator[tuple[str, str, str]]:
    """Containers that wait: name, reason, message."""
    for one in statuses(pod):
        state = at(one, "state", "waiting")
        if state is not None:
            yield text(one.get("name")), text(mapping(state).get("reason")), text(mapping(state).get("message"))


def ended(pod: Thing) -> Iterator[Ended]:
    """How containers ended: now, or before they were started again."""
    for one in statuses(pod):
        for when in ("state", "lastState"):
            state = mapping(at(one, when, "terminated"))
            if state:
                code = state.get("exitCode")
                begun, end = moment(state.get("startedAt")), moment(state.get("finishedAt"))
                reason, message = text(state.get("reason")), text(state.get("message"))
                whole = code if isinstance(code, int) else 0
                yield Ended(text(one.get("name")), reason, whole, message, _lasted(begun, end), end)


def _lasted(begun: float, end: float) -> float | None:
    return max(0.0, end - begun) if begun and end else None


def statuses(pod: Thing) -> list[JSON]:
    """Of all its containers."""
    return [one for key in ("initContainerStatuses", "containerStatuses") for one in listed(pod.status, key)]


def unplaced(pod: Thing) -> bool:
    condition = pod.condition("PodScheduled")
    return (
        phase(pod) == "Pending" and not pod.spec.get("nodeName") and (condition is None or condition.status != "True")
    )


def quantity(value: object) -> float:
    """`20Gi`, `500m`, `1e3` as a number; 0 for what is none."""
    match = _QUANTITY.fullmatch(text(value).strip())
    if match is None or match[1].count(".") > 1 or match[3] not in _UNITS:
        return 0.0
    return float(match[1]) * 10.0 ** int(match[2] or 0) * _UNITS[match[3]]


def why_unpulled(said: str) -> Kind | None:
    """What the kubelet's or a registry's words about an image mean; None where no rule knows them."""
    return next((kind for kind, pattern in IMAGE_WORDS if re.search(pattern, said, re.IGNORECASE)), None)


def why_unplaced(said: str) -> Kind | None:
    """What the scheduler's words mean; None where no rule knows them."""
    told = said.partition("preemption:")[0]
    if short := INSUFFICIENT.search(told):
        return SHORT_OF.get(short[1], SHORT_OF[""])
    if "volume node affinity conflict" in told:
        return rows.VOLUME_ON_OTHER_NODE
    if "no nodes available" in told:
        return rows.POD_UNSCHEDULABLE_FULL
    if "were unschedul" in told:
        return rows.NODES_CORDONED
    if _SELECTOR.search(told):
        return rows.NODE_SELECTOR_MISMATCH
    if "Too many pods" in told:
        return rows.NODE_POD_LIMIT
    return rows.TAINT_UNTOLERATED if TAINT.search(told) or "untolerated taint" in told else None


def lacking(said: str) -> str:
    """Of the scheduler's words what nodes lack, without why nothing else would have to go for it."""
    return _ELSE.split(said, maxsplit=1)[0]
