"""What does a session's pod stand for? In: the pod as the API tells it, events about it. Out: its end, or a wait. Pure.

Reasons are those of kubelet, scheduler and node lifecycle controller of Kubernetes 1.29 to 1.34 (`status.reason`, and
`reason` of a container that terminated or waits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from perijove.backends.kubernetes.manifests import SERVER, SESSION
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, at, listed, mapping, text
from perijove.domain.cluster_pods import (
    CANNOT_START,
    OWN_LIMIT,
    PULLING,
    SHORT_OF,
    Ended,
    ended,
    lacking,
    phase,
    quantity,
    unplaced,
    waiting,
    why_unplaced,
    why_unpulled,
)
from perijove.domain.cluster_session_failures import POD_SLOW, SESSION_CANNOT
from perijove.domain.events import SessionEnded, SessionEvent, SessionLogged, SessionTroubled
from perijove.domain.failures import Evidence, Failure, Kind, Retry
from perijove.domain.nouns import EndReason, Limits, RunningSandbox, SessionName
from perijove.session_events import IN_WORDS

OVER = {"Failed", "Succeeded"}
NO_USERS = re.compile(r'spec\.[hH]ostUsers|the handler "" is not known|idmap mounts not supported')
"""By kubelet (since kubernetes/kubernetes#131623, and before) and containerd 2.1: pods have no user namespace there."""
LINE = 2000
"""Letters of a line of a server's that are told."""
SAW = 500
"""Letters of what is shown of a stranger's words."""


@dataclass(frozen=True, slots=True)
class End:
    """How a pod came to its end by itself."""

    reason: EndReason
    detail: str
    code: int | None
    failure: Failure | None = None
    """Where it is the cluster's doing."""
    lines: tuple[str, ...] = ()
    """Its server's last ones, as far as they are told."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Why a pod does not run yet."""

    failure: Failure
    lasting: bool
    """Whether no waiting helps."""


def session(pod: Thing) -> str:
    return text(pod.labels.get(SESSION))


def runs(pod: Thing) -> bool:
    """Whether its server has been started, has not ended, and is not being ended."""
    state = [at(one, "state", "running") for one in listed(pod.status, "containerStatuses")]
    return phase(pod) == "Running" and not pod.deleting and any(one is not None for one in state)


def silent(pod: Thing) -> bool:
    """Whether it runs, and nobody listens in it: its server is over, or has not begun."""
    return runs(pod) and any(at(one, "ready") is False for one in listed(pod.status, "containerStatuses"))


def lives(pod: Thing) -> bool:
    """Whether it runs, or may come to: neither over nor being ended."""
    return not pod.deleting and end(pod) is None


def told(pod: Thing) -> str:
    """Its state in words: `Running on node1`."""
    return f"{phase(pod)} on {_node(pod)}"


def sandbox(pod: Thing) -> RunningSandbox:
    """What it uses, its pod does not say: 0."""
    most = mapping(next((at(one, "resources", "limits") for one in listed(pod.spec, "containers")), None))
    tmp = next((quantity(at(one, "emptyDir", "sizeLimit")) for one in listed(pod.spec, "volumes")), 0.0)
    memory, cpus, disk = (quantity(most.get(one)) for one in ("memory", "cpu", "ephemeral-storage"))
    limits = Limits(int(memory), cpus, 0, int(disk - tmp), int(tmp))
    return RunningSandbox(session(pod), pod.created, 0, 0, 0, limits=limits)


def end(pod: Thing) -> End | None:
    """None while it is not over, and where somebody ends it: whoever does knows why."""
    last = next((one for one in ended(pod) if one.container == SERVER), None)
    why, words = text(pod.status.get("reason")), text(pod.status.get("message"))
    if pod.deleting or (phase(pod) not in OVER and last is None):
        return None
    lines = tuple(line[:LINE] for line in last.message.splitlines() if line.strip()) if last else ()
    if why == "DeadlineExceeded":
        return End(EndReason.OLD, "it reached the cluster's deadline for it", None, lines=lines)
    if why == "Evicted" and OWN_LIMIT.search(words):
        return End(EndReason.DISK, f"it was evicted: {shown(words)}", None, lines=lines)
    if taken := _taken(pod, why, words):
        return End(EndReason.PAD_LOST, taken.cause, None, taken, lines)
    return _exited(pod, last, lines) if last else End(EndReason.EXITED, f"its pod is over: {why or phase(pod)}", None)


def removed(pod: Thing) -> End:
    """How a pod is over that is gone, and not by us."""
    words = text(pod.status.get("message"))
    if taken := _taken(pod, text(pod.status.get("reason")), words):
        return End(EndReason.PAD_LOST, taken.cause, None, taken)
    return End(EndReason.STOPPED, "somebody deleted its pod", None)


def _taken(pod: Thing, why: str, words: str) -> Failure | None:
    """The cluster took its place: eviction, preemption, a node that shuts down, is lost, or had no room after all."""
    target = pod.condition("DisruptionTarget")
    if not why and target and target.status == "True":
        why, words = target.reason, target.message
    if not why:
        return None
    seen = Evidence(f"{pod.said} status", shown(f"{why}: {words}"))
    if why.startswith("OutOf") or why == "UnexpectedAdmissionError":
        return rows.POD_UNSCHEDULABLE_FULL(f"node {_node(pod)} had no room for it after all", seen)
    remedy = "Launch again. Have nodes with room, requests near the limits, and drain nodes when few people work."
    return rows.PODS_EVICTED(f"the cluster took its place on node {_node(pod)}: {why}", seen, remedy=remedy)


def _exited(pod: Thing, last: Ended, lines: tuple[str, ...]) -> End:
    if last.reason == "OOMKilled":
        return End(EndReason.MEMORY, "its server was killed for memory", last.code, lines=lines)
    if last.reason in CANNOT_START:
        failure = _unstarted(pod, last.reason, last.message)
        return End(EndReason.FAILED_START, failure.cause, None, failure)
    if last.code > 128:
        return End(EndReason.EXITED, f"its server was ended by signal {last.code - 128}", 128 - last.code, lines=lines)
    return End(EndReason.EXITED, f"its server ended with exit code {last.code}", last.code, lines=lines)


def waits(pod: Thing, events: Sequence[Thing]) -> Waits | None:
    """Why it does not run yet, by the words of scheduler, kubelet and registry; None where nothing is amiss so far."""
    if unplaced(pod):
        return _without_place(pod)
    for name, why, words in waiting(pod):
        if why in PULLING:
            return _unpulled(pod, name, why, words, events)
        if why in CANNOT_START:
            return Waits(_unstarted(pod, why, words), lasting=True)
        if why == "CreateContainerConfigError":  # its Secret comes a moment after it
            seen = Evidence(f"{pod.said} container {name}", shown(f"{why}: {words}"))
            cause = f"{pod.said} needs what {pod.namespace} does not have"
            return Waits(rows.MOUNT_OBJECT_MISSING(cause, seen), lasting=False)
    without = next((one for one in events if NO_USERS.search(message(one))), None)
    if without is None:
        return None
    seen = Evidence(f"event {text(without.raw.get('reason'))}", shown(message(without)))
    remedy = "Set engine.user_namespaces = false, or give nodes a kernel and a runtime that have them."
    cause = f"node {_node(pod)} has no user namespaces for pods"
    return Waits(SESSION_CANNOT(cause, seen, remedy=remedy), lasting=True)


def slow(pod: Thing, events: Sequence[Thing], seconds: float) -> Failure:
    """It does not run, and nothing says why in words that are known."""
    said = [f"{why} {words}".strip() for _, why, words in waiting(pod)] or [phase(pod) or "nothing"]
    told = [Evidence(f"event {text(one.raw.get('reason'))}", shown(message(one))) for one in events[-3:]]
    cause = f"after {seconds:.0f} s {pod.said} does not run"
    return POD_SLOW(cause, Evidence(f"{pod.said} status", shown("; ".join(said))), *told)


def _without_place(pod: Thing) -> Waits | None:
    condition = pod.condition("PodScheduled")
    if condition is None or not condition.message:
        return None
    known = why_unplaced(condition.message)
    # Whether an empty node had room, nobody says who may see no nodes.
    kind = rows.POD_UNSCHEDULABLE_FULL if known in SHORT_OF.values() else known or rows.POD_UNSCHEDULABLE_RESOURCE
    seen = Evidence(f"{pod.said} status.conditions PodScheduled", shown(condition.message))
    # The cluster may add a node, and taints of a node's state go with it.
    return Waits(kind(f"no node takes {pod.said}", seen), lasting=False)


def without_room(pod: Thing) -> str:
    """What the scheduler says that the cluster lacks, in words; `` where it says nothing."""
    condition = pod.condition("PodScheduled")
    if not unplaced(pod) or condition is None or not condition.message:
        return ""
    return f"no node has a place for it: {shown(lacking(condition.message))}"


def _unpulled(pod: Thing, name: str, why: str, words: str, events: Sequence[Thing]) -> Waits:
    about = [message(one) for one in events if text(one.raw.get("reason")) in {"Failed", "InspectFailed"}]
    said = [one for one in reversed(about) if "image" in one.lower()]
    # The pod's own words last: while it backs off they say only that it does.
    told = next(((kind, one) for one in (*said, words, why) if (kind := why_unpulled(one))), None)
    kind, what = told or (rows.IMAGE_PULL_FAILED, words)
    evidence = [Evidence(f"{pod.said} containerStatuses[{name}].state.waiting", shown(f"{why}: {words}"))]
    if what not in (words, why):
        evidence.insert(0, Evidence(f"event Failed of {pod.said}", shown(what)))
    return Waits(kind(f"node {_node(pod)} cannot pull its image", *evidence), lasting=_lasting(kind))


def _lasting(kind: Kind) -> bool:
    return kind.retry is Retry.NEVER


def _unstarted(pod: Thing, why: str, words: str) -> Failure:
    seen = Evidence(f"{pod.said} container {SERVER}", shown(f"{why}: {words}"))
    return rows.CONTAINER_START_FAILED(f"the runtime of node {_node(pod)} does not start it: {why}", seen)


def _node(pod: Thing) -> str:
    return text(pod.spec.get("nodeName")) or "unknown"


def shown(words: str) -> str:
    """Cut in its middle: containerd names an image four times before it says what the matter is."""
    return words if len(words) <= SAW else f"{words[: SAW // 4]} … {words[-SAW * 3 // 4 :]}"


def message(event: Thing) -> str:
    """What an event says."""
    return text(event.raw.get("message") or event.raw.get("note"))


def stopped(name: SessionName, reason: EndReason) -> SessionEnded:
    return SessionEnded(name, reason, IN_WORDS.get(reason, reason.value), None)


def events(name: SessionName, over: End) -> list[SessionEvent]:
    """What is told of an end."""
    lines: list[SessionEvent] = [SessionLogged(name, line) for line in over.lines]
    trouble = [SessionTroubled(name, over.failure)] if over.failure else []
    return [*lines, *trouble, SessionEnded(name, over.reason, over.detail, over.code)]
