"""What do logs say that objects do not? Lines that are known, each with the failure that it stands for. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.database import upgrade, upgrade_evidence
from perijove.doctor.cluster.foreseen import stale
from perijove.doctor.cluster.helm import binder
from perijove.doctor.cluster.known_lines import HUB, INOTIFY, LATE, OTHERS, STOPPING, WHILE_UP, Line
from perijove.doctor.cluster.log_lines import Log, when
from perijove.doctor.cluster.telling import MOST, found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain import cluster_ground_failures as ground
from perijove.domain.cluster import Thing, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

MANY = 3
_ANSWERED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|gaierror): ")
_UNAUTHORIZED = re.compile(r"HTTP (?:401|403)")


def line(cluster: Cluster, known: Line, *of: str) -> tuple[Evidence, Log, float] | None:
    """The last line that fits, in the logs of some components or in all; with when the first one was written."""
    for log in cluster.logs(*of) if of else cluster.all_logs:
        fitting = list(log.found(known.pattern)) if known.told_by(log.of) else []
        if fitting:
            match = known.pattern.search(fitting[-1])
            begin = max(0, match.start() - MOST // 2) if match is not None else 0
            return seen(log.name, fitting[-1][begin:].strip()), log, when(fitting[0])
    return None


def hub_words(cluster: Cluster, pod: Thing) -> Finding | None:
    """Why the hub does not live, in its own words."""
    for known in HUB:
        stood = line(cluster, known, "hub")
        if stood is not None:
            more, commands = _beside(cluster, pod, known)
            commands = commands or _filled(cluster, known.commands, stood[1])
            about: list[Thing | str] = [pod, stood[1].name, *_readers(cluster, pod, known.kind)]
            return found(known.kind, known.cause, pod.said, known.sure, stood[0], *more, commands=commands, about=about)
    return None


def _beside(cluster: Cluster, pod: Thing, known: Line) -> tuple[list[Evidence], Sequence[str]]:
    """What objects say of a line, and what to do where they know better."""
    if known.kind is rows.HUB_DB_SCHEMA_OLD:
        return upgrade_evidence(pod), upgrade(cluster)
    if known.kind is rows.REGISTRY_CHECK_FAILS:
        return _registry(cluster, known)
    if known.kind is rows.HUB_API_TOKEN_REFUSED:
        old = [one for one in stale(cluster) if one.reader.namespace == pod.namespace]
        said = [said for one in old for said in one.evidence]
        return said, [f"kubectl -n {one.reader.namespace} delete pod {one.reader.name}" for one in old]
    if known.kind is rows.PROXY_TOKEN_MISMATCH:
        proxies = _readers(cluster, pod, known.kind)
        said = [said for one in stale(cluster) if one.reader in proxies for said in one.evidence]
        return said, [f"kubectl -n {one.namespace} delete pod {one.name}" for one in proxies]
    return [], ()


def _registry(cluster: Cluster, known: Line) -> tuple[list[Evidence], Sequence[str]]:
    """What the registry answered, as the traceback beneath the line ends."""
    for log in cluster.all_logs:
        begun = next((number for number, line in enumerate(log.lines) if known.pattern.search(line)), None)
        beneath = (line.strip() for line in (log.lines[begun + 1 : begun + 60] if begun is not None else []))
        answer = next((line for line in beneath if _ANSWERED.search(line)), "")
        refused = [
            binder({"registry.username": "USER", "registry.password": "TOKEN"}, "an account that may pull and push")
        ]
        if answer:
            return [seen(log.name, answer)], refused if _UNAUTHORIZED.search(answer) else ()
    return [], ()


def _readers(cluster: Cluster, pod: Thing, kind: Kind) -> list[Thing]:
    """Whose tokens differ, where that is what the line says."""
    here = (one for one in cluster.pods if one.namespace == pod.namespace)
    return [one for one in here if kind is rows.PROXY_TOKEN_MISMATCH and pods.component(one) == "proxy"]


def told(cluster: Cluster) -> Iterator[Finding]:
    """What stands in logs while everything seems to run."""
    cluster.logs("hub", "binder")
    for known in OTHERS:
        stood = line(cluster, known)
        if stood is not None:
            evidence, log, since = stood
            more, commands = _beside(cluster, log.pods[0], known) if log.pods else ([], ())
            yield found(
                known.kind, known.cause, log.name, known.sure, evidence, *more, since=since,
                commands=commands or _filled(cluster, known.commands, log),
                about=(log.name, *_more_of(known.kind, log)),
            )  # fmt: skip
    yield from _inotify(cluster)
    yield from _of_the_hub(cluster)
    yield from _never_stopped(cluster)
    yield from _unseen_pods(cluster)


def _restarted(cluster: Cluster, log: Log) -> tuple[str, ...]:
    """How the hub is started anew: servers go on meanwhile."""
    hubs = [one for one in cluster.pods if pods.component(one) == "hub"]
    mine = [one for one in log.pods if one in hubs] or hubs
    return tuple(f"kubectl -n {one.namespace} delete pod {one.name}" for one in mine)


def _filled(cluster: Cluster, commands: Sequence[str], log: Log) -> list[str]:
    """Commands with the namespace of whoever wrote the line."""
    spaces = [one.namespace for one in log.pods] or [one.namespace for one in cluster.pods if pods.component(one)]
    return [one.replace("NAMESPACE", spaces[0]) if spaces else one.replace("-n NAMESPACE ", "") for one in commands]


def _more_of(kind: Kind, log: Log) -> tuple[str, ...]:
    """What a line is about beside the process that wrote it."""
    namespace = log.pods[0].namespace if log.pods else ""
    if kind is rows.HUB_API_TOKEN_REFUSED:
        return tuple(one.said for one in log.pods)
    if kind in {rows.HUB_GAVE_UP, rows.SPAWN_LIMIT}:
        return (f"Servers {namespace}",)
    return (f"Service {namespace}/hub",) if kind is rows.USER_POD_CANNOT_REACH_HUB else ()


def _of_the_hub(cluster: Cluster) -> Iterator[Finding]:
    """What a hub's log says where the hub's pod was not recorded, or runs all the same."""
    hubs = [one for one in cluster.pods if pods.component(one) == "hub"]
    if hubs and not all(pods.ready(one) for one in hubs):
        return  # its pod is told, with these words
    for known in HUB:
        stood = line(cluster, known, "hub") if not hubs or known.kind in WHILE_UP else None
        if stood is not None and not (hubs and stood[1].before):
            evidence, log, since = stood
            sure = Confidence.LIKELY if hubs else known.sure
            yield found(
                known.kind, known.cause, log.name, sure, evidence, commands=_filled(cluster, known.commands, log),
                since=since, about=(log.name, *log.pods, *_more_of(known.kind, log)),
            )  # fmt: skip
            return


def _inotify(cluster: Cluster) -> Iterator[Finding]:
    """Nodes whose processes may watch no more files."""
    lines = {log.name: list(log.found(INOTIFY)) for log in cluster.all_logs}
    logs = [log for log in cluster.all_logs if lines[log.name]]
    if not logs:
        return
    told_by = [seen(log.name, f"{lines[log.name][0].strip()} ({len(lines[log.name])} times)") for log in logs[:3]]
    failed = [one for one in cluster.pods if pods.is_build(one) and pods.phase(one) == "Failed"]
    writers = [one for log in logs for one in log.pods]
    loops = [seen(f"{one.said} {name}", f"{why}: {words}") for one in writers for name, why, words in pods.waiting(one)]
    places = sorted({text(one.spec.get("nodeName")) for one in (*writers, *failed)} - {""})
    limits = "fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288"
    keep = f"printf '%s\\n' {limits} | sudo tee /etc/sysctl.d/99-inotify.conf"
    yield found(
        ground.INOTIFY_EXHAUSTED, f"No process of {', '.join(places) or 'the nodes'} may watch more files",
        f"Node {places[0]}" if places else logs[0].name, Confidence.CERTAIN, *told_by, *loops[:2],
        *(seen(f"{one.said} status.phase", "Failed") for one in failed[:2]), since=when(lines[logs[0].name][0]),
        about=(*(log.name for log in logs), *writers, *failed),
        commands=[f"ssh {node} {shlex.quote(f'sudo sysctl -w {limits}; {keep}')}" for node in places]
        or [f"sudo sysctl -w {limits}; {keep}"],
    )  # fmt: skip


def _never_stopped(cluster: Cluster) -> Iterator[Finding]:
    """Servers that are asked to stop again and again."""
    for log in cluster.all_logs:
        stopping = list(log.found(STOPPING))
        if len(stopping) >= MANY:
            yield found(
                rows.LEAKED_USER_PODS, f"The hub says {len(stopping)} times that a server is still stopping", log.name,
                Confidence.POSSIBLE, seen(log.name, stopping[-1]),
                commands=_restarted(cluster, log),
            )  # fmt: skip
            return


def _unseen_pods(cluster: Cluster) -> Iterator[Finding]:
    """The hub gives servers up whose pods are ready."""
    for log in cluster.all_logs:
        late = next(log.found(LATE), "")
        match = LATE.search(late)
        if match is None:
            continue
        patience = float(match[1])
        here = [one for one in cluster.pods if pods.is_user(one) and pods.ready(one)]
        well = [one for one in here if cluster.age(one.created) > patience and one.name in log.words]
        if well:
            since = span(cluster.age(well[0].created))
            yield found(
                rows.REFLECTOR_LOST, f"The hub gave up {well[0].said}, which is ready", well[0].said, Confidence.LIKELY,
                seen(log.name, late), seen(f"{well[0].said} Ready", f"True, made {since} ago"),
                commands=_restarted(cluster, log),
            )  # fmt: skip
            return
