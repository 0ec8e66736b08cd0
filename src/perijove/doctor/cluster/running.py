"""Do the pods run that everything else needs? Crash loops, starts that fail, evictions, leftovers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.database import old_schema
from perijove.doctor.cluster.graph import CERT_MANAGER, NAME_SERVICE, NAMES
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.images import other_architecture
from perijove.doctor.cluster.log_lines import ERROR
from perijove.doctor.cluster.logs import hub_words
from perijove.doctor.cluster.telling import found, seen, span, those
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, at, listed, text
from perijove.domain.cluster_ground_failures import CLUSTER_NAMES_DOWN
from perijove.domain.cluster_pods import OWN_LIMIT
from perijove.domain.cluster_tls_failures import CERT_MANAGER_DOWN
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

SLOW_START = 300.0
"""Seconds that a part of the hub may take to become ready."""
DAY = 86400.0
LAST = 20
"""Lines of a log among which an error is how it ended."""
MANY = 20
STUCK = 600.0
SAID = 200
"""Characters of its last words that are told beside how it ended."""
Loops = list[tuple[str, str, str]]
"""Containers that wait to be started again: name, reason, message."""
COMMAND_FAILS = {126, 127}
"""POSIX sh: what was to be run cannot be, or is not there."""
_FORMAT = re.compile(r"exec format error", re.IGNORECASE)
"""ENOEXEC, by containerd and runc: as recorded of kubernetes/node-problem-detector#797."""
_EMPTY_DIR = re.compile(r'EmptyDir volume "([^"]+)" exceeds the limit "([^"]+)"')
_MISSING = re.compile(r'(secret|configmap) "([^"]+)" not found', re.IGNORECASE)


def crashing(cluster: Cluster) -> Iterator[Finding]:
    """Containers that end again and again, and why where it is known: once for all pods of an owner, or an image."""
    alike: dict[tuple[object, ...], list[tuple[Thing, Loops, pods.Ended]]] = {}
    for pod in cluster.pods:
        if not pods.troubled(pod) or pods.phase(pod) not in {"Running", "Pending"}:
            continue
        loops = [one for one in pods.waiting(pod) if one[1] == "CrashLoopBackOff"]
        if not loops and pods.restarts(pod) < 3:
            continue
        last = max(pods.ended(pod), key=lambda one: one.at, default=None)
        if last is None or (not loops and cluster.age(last.at) > SLOW_START * 2):
            continue
        owner = pod.owners or tuple(("image", one) for one in pods.images(pod))
        alike.setdefault((pod.namespace, owner, last.container, last.code), []).append((pod, loops, last))
    for group in alike.values():
        _, loops, last = group[0]
        yield from _crash(cluster, [one for one, _, _ in group], loops, last)


def _crash(cluster: Cluster, them: list[Thing], loops: Loops, last: pods.Ended) -> Iterator[Finding]:
    pod = them[0]
    name = loops[0][0] if loops else last.container
    evidence = [
        seen(f"{pod.said} containerStatuses[{one}].state.waiting", f"{why}: {words}") for one, why, words in loops
    ]
    about = f"reason {last.reason}, exit code {last.code}{_lasted(last)}; {pods.restarts(pod)} restarts"
    evidence.append(seen(f"{pod.said} containerStatuses[{name}].lastState.terminated", about))
    evidence += [seen(f"{one.said} status", f"{pods.restarts(one)} restarts") for one in them[1:3]]
    if last.message:
        evidence.append(seen(f"{pod.said} lastState.terminated.message", last.message))
    previous = f"kubectl -n {pod.namespace} logs {pod.name} -c {name} --previous"
    if last.reason in pods.CANNOT_START:
        return
    other = next(_no_such_program(cluster, them, last), None)
    if other is not None:
        yield other_architecture(cluster, them, other, *evidence)
        return
    root = _memory(pod, name, evidence) if last.reason == "OOMKilled" else None
    if root is None and pods.component(pod) == "hub":
        root = hub_words(cluster, pod) or old_schema(cluster, pod, last)
    if root is not None:
        yield root
    words = _last_words(cluster, pod) if root is None else []
    evidence += words
    why = f", and last said: {words[0].saw[:SAID]}" if words else ""
    row, subject, more = _row(cluster, pod, last)
    yield found(
        row, f"{name} of {those(them, 'ends', 'end')}{_lasted(last)} with status {last.code}{why}",
        subject or pod.said,
        Confidence.CERTAIN, *evidence, because=root.failure.kind if root else None, about=(*them, *more),
        commands=() if root else (previous,), surer_with="" if root else f"{previous} > logs/{name}-previous.log",
    )  # fmt: skip


def _no_such_program(cluster: Cluster, them: list[Thing], last: pods.Ended) -> Iterator[Evidence]:
    """That the kernel does not know the format of what was to be run."""
    for log in cluster.all_logs:
        if any(one in them for one in log.pods):
            yield from (seen(log.name, line.strip()) for line in log.found(_FORMAT))
    if _FORMAT.search(last.message):
        yield seen(f"{them[0].said} lastState.terminated.message", last.message)


def _lasted(last: pods.Ended) -> str:
    if last.lasted is None:
        return ""
    return " within a second" if last.lasted < 1 else f" after {span(last.lasted)}"


def _last_words(cluster: Cluster, pod: Thing) -> list[Evidence]:
    """How the logs of it end, of the container before it first."""
    mine = sorted((log for log in cluster.all_logs if pod in log.pods), key=lambda log: not log.before)
    for log in mine[:1]:
        lines = [line.strip() for line in log.lines if line.strip()]
        last = lines[-LAST:]
        traced = max((number for number, line in enumerate(last) if line.startswith("Traceback (most")), default=-1)
        errors = [line for line in last[traced + 1 :] if ERROR.search(line)]
        return [seen(log.name, errors[-1] if errors else " ⏎ ".join(lines[-3:]))]
    return []


def _row(cluster: Cluster, pod: Thing, last: pods.Ended) -> tuple[Kind, str, tuple[str, ...]]:
    """What it means that it does not live; what that is about where it is more than pods, by whatever names."""
    if pods.component(pod) == "hub":
        return rows.HUB_CRASHLOOP, "", ()
    if pods.is_user(pod) and last.code in COMMAND_FAILS:
        return rows.USER_COMMAND_FAILS, "", ()
    if pods.serves_names(pod) and not any(pods.ready(one) for one in cluster.pods if pods.serves_names(one)):
        return CLUSTER_NAMES_DOWN, NAMES, (NAMES, NAME_SERVICE)
    if pods.is_cert_manager(pod) and not any(pods.ready(one) for one in cluster.pods if pods.is_cert_manager(one)):
        return CERT_MANAGER_DOWN, CERT_MANAGER, (CERT_MANAGER,)
    return rows.POD_CRASHLOOP, "", ()


def _memory(pod: Thing, name: str, evidence: list[Evidence]) -> Finding:
    limits = [one for one in listed(pod.spec, "containers") if text(one.get("name")) == name]
    said = [seen(f"{pod.said} container {name} resources", str(dict(one.get("resources") or {}))) for one in limits]
    cause = f"{name} of {pod.said} went over its memory limit"
    return found(rows.CONTAINER_OUT_OF_MEMORY, cause, pod.said, Confidence.CERTAIN, *evidence, *said)


def unstartable(cluster: Cluster) -> Iterator[Finding]:
    """Containers that the runtime or the kubelet refuses to start."""
    for pod in cluster.pods:
        if not pods.troubled(pod):
            continue
        told = [(name, why, words) for name, why, words in pods.waiting(pod) if why in pods.CANNOT_START]
        told += [(one.container, one.reason, one.message) for one in pods.ended(pod) if one.reason in pods.CANNOT_START]
        if told:
            name, why, words = told[0]
            if _FORMAT.search(words):
                yield other_architecture(cluster, [pod], seen(f"{pod.said} container {name}", f"{why}: {words}"))
                continue
            yield found(
                rows.CONTAINER_START_FAILED, f"{name} of {pod.said}: {why}", pod.said, Confidence.CERTAIN,
                seen(f"{pod.said} container {name}", f"{why}: {words}"),
            )  # fmt: skip
        for name, why, words in pods.waiting(pod):
            match = _MISSING.search(words) if why == "CreateContainerConfigError" else None
            if match is not None:
                yield missing(pod, match[1].lower(), match[2], seen(f"{pod.said} container {name}", f"{why}: {words}"))


def missing(pod: Thing, kind: str, name: str, *evidence: Evidence) -> Finding:
    """A Secret or a ConfigMap that is named and not there."""
    # The kubelet writes `"namespace/name"` in some messages.
    name = name.rpartition("/")[2]
    remedy = "Set use_registry and the registry's credentials, then helm upgrade." if "docker-config" in name else ""
    return found(
        rows.MOUNT_OBJECT_MISSING, f"{pod.said} needs the {kind} {name}, and {pod.namespace} has none", pod.said,
        Confidence.CERTAIN, *evidence, remedy=remedy,
        commands=(f"kubectl -n {pod.namespace} get {kind} {name}   # create it, or drop it from the configuration",),
    )  # fmt: skip


def unready(cluster: Cluster) -> Iterator[Finding]:
    """Parts that run, do not crash, and are not ready."""
    for pod in cluster.pods:
        if not pods.troubled(pod) or pods.phase(pod) != "Running" or pods.component(pod) not in pods.CORE:
            continue
        condition = pod.condition("Ready")
        since = condition.at if condition is not None and condition.at else pod.created
        crashes = any(True for _ in pods.waiting(pod)) or pods.restarts(pod) >= 3
        if crashes or cluster.age(since) < SLOW_START:
            continue
        told = [seen(one.where, one.message) for one in cluster.events(pod, "Unhealthy")[:1]]
        said = f"{condition.reason}: {condition.message}" if condition is not None else "no condition Ready"
        root = hub_words(cluster, pod) if pods.component(pod) == "hub" else None
        if root is not None:
            yield root
        yield found(
            rows.HUB_NOT_READY, f"{pod.said} runs since {span(cluster.age(since))} without being ready", pod.said,
            Confidence.CERTAIN, seen(f"{pod.said} status.conditions Ready", said), *told,
            because=root.failure.kind if root else None,
            surer_with=f"kubectl -n {pod.namespace} logs {pod.name} > logs/{pods.component(pod)}.log",
        )  # fmt: skip


def evicted(cluster: Cluster) -> Iterator[Finding]:
    """Pods that were thrown out lately, by the node that did it."""
    them = [one for one in cluster.pods if text(one.status.get("reason")) == "Evicted" and cluster.age(_end(one)) < DAY]
    own = [one for one in them if OWN_LIMIT.search(text(one.status.get("message")))]
    them = [one for one in them if one not in own]
    if own:
        yield _beyond_limit(cluster, own)
    for node in sorted({text(one.spec.get("nodeName")) for one in them}):
        here = [one for one in them if text(one.spec.get("nodeName")) == node]
        yield found(
            rows.PODS_EVICTED, f"{those(here, 'was', 'were')} evicted", here[0].said, Confidence.CERTAIN,
            seen(f"{here[0].said} status.message", text(here[0].status.get("message"))), about=here,
            commands=("kubectl get pods -A --field-selector=status.phase=Failed",
                      f"kubectl -n {here[0].namespace} delete pods --field-selector=status.phase=Failed"),
        )  # fmt: skip


def _beyond_limit(cluster: Cluster, them: list[Thing]) -> Finding:
    limits = [
        seen(f"{them[0].said} container {text(one.get('name'))} limit", text(value))
        for one in listed(them[0].spec, "containers")
        if (value := at(one, "resources", "limits", "ephemeral-storage")) is not None
    ]
    words = text(them[0].status.get("message"))
    volume = _EMPTY_DIR.search(words)
    if volume is not None:
        limits = [seen(f"{them[0].said} volume {volume[1]} emptyDir.sizeLimit", volume[2])]
    more = hub(cluster, {"singleuser.extraResource.limits": {"ephemeral-storage": "20Gi"}}, "for users' servers")
    ranges = f"kubectl -n {them[0].namespace} get limitranges -o yaml"
    return found(
        rows.POD_STORAGE_LIMIT, f"{those(them, 'wrote', 'wrote')} more than allowed", them[0].said, Confidence.CERTAIN,
        seen(f"{them[0].said} status.message", words), *limits, about=them,
        remedy=f"Raise sizeLimit of the emptyDir {volume[1]}, or have them write less there." if volume else "",
        commands=() if volume else (more if any(map(pods.is_user, them)) else ranges,),
    )  # fmt: skip


def _end(pod: Thing) -> float:
    ready = pod.condition("Ready")
    return max((one.at for one in pods.ended(pod)), default=0) or (ready.at if ready is not None else 0) or pod.created


def terminating(cluster: Cluster) -> Iterator[Finding]:
    """Pods that do not end."""
    for pod in cluster.pods:
        grace = pod.metadata.get("deletionGracePeriodSeconds")
        late = cluster.age(pod.deleting) - (grace if isinstance(grace, int) else 30)
        lost = text(pod.status.get("reason")) == "NodeLost" or pods.phase(pod) == "Unknown"
        if not (pod.deleting and late > STUCK) and not lost:
            continue
        since = f"since {span(cluster.age(pod.deleting))}" if pod.deleting else "Unknown"
        yield found(
            rows.POD_STUCK_TERMINATING, f"{pod.said} is terminating {since}", pod.said, Confidence.CERTAIN,
            seen(f"{pod.said} metadata.deletionTimestamp", text(pod.metadata.get("deletionTimestamp")) or "none"),
            seen(f"{pod.said} node", text(pod.spec.get("nodeName"))), since=pod.deleting,
            commands=(f"kubectl -n {pod.namespace} delete pod {pod.name} --force   # only once its node is off",),
        )  # fmt: skip


def leaked(cluster: Cluster) -> Iterator[Finding]:
    """Users' pods that should have ended long ago."""
    users = [one for one in cluster.pods if pods.is_user(one) and not one.deleting]
    old = [one for one in users if cluster.age(one.created) > DAY]
    if len(old) >= MANY and len(old) * 2 > len(users):
        oldest = min(old, key=lambda one: one.created)
        yield found(
            rows.LEAKED_USER_PODS, f"{len(old)} of {len(users)} users' pods are older than a day", oldest.said,
            Confidence.POSSIBLE, seen(f"{oldest.said} age", span(cluster.age(oldest.created))), foreseen=True,
            surer_with="logs/hub.log", about=[*old, *_around(cluster, old)],
        )  # fmt: skip


def _around(cluster: Cluster, them: list[Thing]) -> Iterator[str | Thing]:
    """What they take: room on their nodes, the hub's patience."""
    yield from sorted({f"Node {text(one.spec.get('nodeName'))}" for one in them})
    spaces = {one.namespace for one in them}
    yield from (one for one in cluster.pods if pods.component(one) == "hub" and one.namespace in spaces)


def absent(cluster: Cluster) -> tuple[Finding, ...]:
    """Nothing is said of what launches need where nobody recorded it."""
    if not any(pods.component(one) == "hub" for one in cluster.pods):
        cluster.missing["a pod of the hub"] = "none was recorded"
    return ()
