"""What fails and no rule took: pods, warnings that come again, lines of logs; shown as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from perijove.doctor.cluster import hub_api, known_lines, pods, refusals
from perijove.doctor.cluster.explaining import about
from perijove.doctor.cluster.graph import Graph
from perijove.doctor.cluster.log_lines import ERROR, Log, when
from perijove.doctor.cluster.telling import found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain.cluster import Thing, day, text
from perijove.domain.cluster_ground_failures import NO_RULE
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

PATIENCE = 900.0
"""Seconds that a pod may take to become ready, whatever keeps it."""
DAY = 86400.0
LATELY = 1800.0
"""Seconds within which a warning counts as one of now: events are kept for an hour."""
MANY = 3
"""Alike lines, warnings or builds from which on it is no accident."""
SHOWN = 5
TRACEBACK = 100
"""Lines that are read of one."""
_NAMES = re.compile(r"(?<![\w.-])[\w.]++(?:-[\w.]++){2,}|0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", re.IGNORECASE)


def left(cluster: Cluster, told: Sequence[Finding], graph: Graph) -> list[Finding]:
    """Everything that fails and that none of these findings is about, or quotes; nor what needs one of those."""
    known = {name for one in told for name in about(one)}
    known |= {pod.said for pod in cluster.pods if any(needed in known for needed, _ in graph.needs(pod.said))}
    quoted = [f"{place.where} {place.saw}" for one in told for place in one.failure.evidence]
    return [*_pods(cluster, known, quoted), *_warnings(cluster, known, quoted), *_lines(cluster, quoted)]


def _pods(cluster: Cluster, known: set[str], quoted: Sequence[str]) -> Iterator[Finding]:
    failed = [one for one in cluster.pods if one.said not in known and not any(one.said in words for words in quoted)]
    builds = [one for one in failed if pods.is_build(one) and _ended_badly(cluster, one)]
    failed = [one for one in failed if not pods.is_build(one) and _fails(cluster, one)]
    for one in [*failed, *(builds if len(builds) >= MANY else [])]:
        condition = one.condition("Ready")
        said = f"{pods.phase(one)} {text(one.status.get('reason'))} {text(one.status.get('message'))}".strip()
        waits = [seen(f"{one.said} container {name}", f"{why}: {words}") for name, why, words in pods.waiting(one)]
        ended = [
            seen(f"{one.said} container {end.container}", f"{end.reason}, exit code {end.code} {end.message}".strip())
            for end in pods.ended(one)
        ]
        events = [seen(told.where, told.message) for told in cluster.events(one) if told.warning]
        since = condition.at if condition is not None and condition.at else one.created
        yield found(
            NO_RULE, f"{one.said} is not ready for {span(cluster.age(since))}", one.said, Confidence.CERTAIN,
            seen(f"{one.said} status", said), *waits[:2], *ended[:2], *events[:2], since=since,
        )  # fmt: skip


def _ended_badly(cluster: Cluster, pod: Thing) -> bool:
    return (
        pods.phase(pod) == "Failed" and text(pod.status.get("reason")) != "Evicted" and cluster.age(pod.created) < DAY
    )


def _fails(cluster: Cluster, pod: Thing) -> bool:
    if pods.is_placeholder(pod) or not pods.troubled(pod):
        return False
    if pods.phase(pod) == "Failed":
        alike = (one for one in cluster.pods if one.owners == pod.owners and one.namespace == pod.namespace)
        again = any(one.created > pod.created or pods.ready(one) for one in alike if pod.owners)
        return _ended_badly(cluster, pod) and not again and not pods.is_user(pod)
    condition = pod.condition("Ready")
    since = condition.at if condition is not None and condition.at else pod.created
    return cluster.age(since) > PATIENCE


def _warnings(cluster: Cluster, known: set[str], quoted: Sequence[str]) -> Iterator[Finding]:
    """Warnings about what is there, and is not well for all that can be told."""
    for (kind, namespace, name), events in sorted(cluster.events_by_object.items()):
        thing = cluster.get(kind, namespace, name) if kind in cluster.recording.whole else None
        if thing is None or thing.said in known or thing.deleting:
            continue
        if kind == "Pod" and (not pods.troubled(thing) or cluster.age(thing.created) < PATIENCE):
            continue
        warnings = (one for one in events if one.warning and cluster.now - one.last < LATELY)
        fresh = [one for one in warnings if not known_lines.PASSING.search(one.message)]
        count = sum(one.count for one in fresh)
        if count >= MANY and not any(one.message in words for one in fresh for words in quoted):
            begun = min(one.first for one in fresh)
            yield found(
                NO_RULE, f"{thing.said} was warned of {count} times since {day(begun)}", thing.said, Confidence.CERTAIN,
                *(seen(one.where, f"{one.message} ({one.count} times)") for one in fresh[:SHOWN]), since=begun,
            )  # fmt: skip


@dataclass
class _Alike:
    """Lines that differ by names and numbers alone."""

    last: str
    since: float
    count: int = 0

    def told(self, log: Log) -> Evidence:
        since = f", since {day(self.since)}" if self.since else ""
        return seen(log.name, f"{self.last.strip()} ({self.count} times{since})")


def _lines(cluster: Cluster, quoted: Sequence[str]) -> Iterator[Finding]:
    """Errors that a log tells again and again."""
    told = {_shape(words.partition(" ")[2]) for words in quoted}
    for log in cluster.all_logs:
        alike: dict[str, _Alike] = {}
        for line, beneath in _entries(log):
            shape = _shape(line)
            known = any(_is_known(one, log.of) for one in (line, *beneath))
            if not (known or 0 < when(line) < cluster.now - DAY or any(shape in one for one in told)):
                one = alike.setdefault(shape, _Alike(line, when(line)))
                one.last, one.count = line, one.count + 1
        many = sorted((one for one in alike.values() if one.count >= MANY), key=lambda one: -one.count)
        if many:
            whole = sum(one.count for one in many)
            begun = [one.since for one in many if one.since]
            yield found(
                NO_RULE, f"{log.name} has {whole} errors that say the same again and again", log.name,
                Confidence.CERTAIN, *(one.told(log) for one in many[:SHOWN]), about=(log.name, *log.pods),
                since=min(begun, default=0),
            )  # fmt: skip


def _entries(log: Log) -> Iterator[tuple[str, list[str]]]:
    """Errors, each with what is written beneath it, set in: a traceback ends with what it is about."""
    for number, line in enumerate(log.lines):
        if ERROR.search(line):
            below = log.lines[number + 1 : number + 1 + TRACEBACK]
            yield line, list(takewhile(lambda one: one.startswith((" ", "\t")), below))


def _is_known(line: str, component: str) -> bool:
    return known_lines.is_known(line, component) or hub_api.is_known(line) or refusals.is_known(line)


def _shape(line: str) -> str:
    """A line less what changes from one to the next."""
    return _NAMES.sub("#", line[:2000].strip())
