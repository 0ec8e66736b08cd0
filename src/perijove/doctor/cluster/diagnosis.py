"""All questions about a cluster, and what explains what. In: a Recording. Out: an Examination. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from perijove.doctor.cluster import (
    autohttps,
    foreseen,
    hub_api,
    images,
    issuing,
    logs,
    mounts,
    network,
    nodes,
    running,
    scheduling,
    served,
    storage,
)
from perijove.doctor.cluster.view import Cluster
from perijove.doctor.engine import Check, Examination, NotSeen, Told, examine, folded
from perijove.domain import cluster_failures as c
from perijove.domain import cluster_ground_failures as g
from perijove.domain import cluster_tls_failures as t
from perijove.domain.cluster import Recording
from perijove.domain.failures import Kind
from perijove.domain.findings import Finding

Rule = Callable[[Cluster], Iterable[Finding]]

HUB_DOWN = (c.HUB_CRASHLOOP, c.HUB_NOT_READY, g.POD_WAITS_FOR_VOLUME, c.PODS_EVICTED)
HUB_AWAY = (
    c.HUB_API_TLS_EXPIRED, c.HUB_API_TLS_UNTRUSTED, c.HUB_API_TOKEN_REFUSED, c.HUB_NAME_UNRESOLVED, c.HUB_API_REFUSED,
    c.HUB_API_TIMEOUT, c.HUB_URL_PLACEHOLDER,
)  # fmt: skip
NO_ROOM = (c.POD_UNSCHEDULABLE_FULL, c.NODES_CORDONED, c.REQUEST_LARGER_THAN_ANY_NODE)
NO_NAMES = (g.KUBE_DNS_SERVICE_MISSING, g.CLUSTER_NAMES_DOWN, g.NETWORK_POLICY_BLOCKS_NAMES)
EXPLAINED: dict[Kind, tuple[Kind, ...]] = {
    c.LAUNCHES_FAIL: (*HUB_AWAY, *HUB_DOWN, g.SERVICE_WITHOUT_PODS, *NO_NAMES),
    c.HUB_API_REFUSED: (*HUB_DOWN, g.SERVICE_WITHOUT_PODS),
    c.HUB_API_TIMEOUT: (*HUB_DOWN, c.HUB_THREADS_EXHAUSTED, g.NODE_NOT_READY),
    c.HUB_NAME_UNRESOLVED: (*NO_NAMES, c.HUB_URL_PLACEHOLDER),
    c.BUILD_NO_NAMES: NO_NAMES,
    c.USER_POD_CANNOT_REACH_HUB: (*NO_NAMES, g.NODE_NETWORK_BROKEN),
    c.HUB_GAVE_UP: (*NO_ROOM, c.IMAGE_PULL_RATE_LIMITED, g.VOLUME_MOUNT_FAILED, c.MOUNT_OBJECT_MISSING),
    c.SPAWN_LIMIT: (*NO_ROOM, c.IMAGE_PULL_RATE_LIMITED, c.REFLECTOR_LOST),
    c.PLACEHOLDERS_PENDING: NO_ROOM,
    c.PODS_EVICTED: (g.NODE_DISK_PRESSURE, g.NODE_MEMORY_PRESSURE),
    c.POD_CRASHLOOP: (g.NODE_OUT_OF_MEMORY,),
    c.POD_STUCK_TERMINATING: (g.NODE_NOT_READY, g.NODE_FILESYSTEM_READONLY),
    c.POD_UNSCHEDULABLE_FULL: (c.LEAKED_USER_PODS,),
    c.TAINT_UNTOLERATED: (g.NODE_NOT_READY, g.NODE_DISK_PRESSURE, g.NODE_MEMORY_PRESSURE),
    c.QUOTA_FULL: (c.LEAKED_USER_PODS,),
    g.VOLUME_MULTI_ATTACH: (g.NODE_NOT_READY,),
    g.CLUSTER_NAMES_DOWN: (g.NODE_NOT_READY, g.NODE_NETWORK_BROKEN),
    g.SITE_UNREACHABLE: (g.LOAD_BALANCER_PENDING, g.INGRESS_ON_CORDONED, g.INGRESS_WITHOUT_CLASS, *HUB_DOWN),
    t.CERTIFICATE_NOT_ISSUED: (t.CERT_MANAGER_DOWN, t.CERT_MANAGER_WEBHOOK_BROKEN, t.LEGACY_CERT_MANAGER),
    t.CERTIFICATE_EXPIRED: (t.CERT_MANAGER_DOWN, t.AUTOHTTPS_NO_CERTIFICATE),
    t.CERTIFICATE_NOT_RENEWED: (t.CERT_MANAGER_DOWN,),
    t.FAKE_CERTIFICATE: (t.CERTIFICATE_NOT_ISSUED, t.CERT_MANAGER_DOWN, g.INGRESS_WITHOUT_CLASS),
    t.ACME_HTTP01_SELFCHECK_404: (g.INGRESS_WITHOUT_CLASS, t.TWO_TLS_OWNERS),
    t.AUTOHTTPS_NO_CERTIFICATE: (t.TWO_TLS_OWNERS, g.LOAD_BALANCER_PENDING),
}
"""What a failure follows from where its own rule names nothing, the likeliest first."""


def diagnosed(recording: Recording) -> Examination:
    """All questions asked, each finding with what explains it."""
    whole = examine(Cluster(recording), CHECKS)
    kept = _linked(_merged(whole.findings))
    taken: set[int] = set()

    def of(name: str) -> tuple[Finding, ...]:
        """A check's findings as they are now, each told by the first check that made it."""
        mine = []
        codes = {(one.code, one.subject) for one in by_name[name].findings}
        for number, one in enumerate(kept):
            if number not in taken and (one.code, one.subject) in codes:
                taken.add(number)
                mine.append(one)
        return tuple(mine)

    by_name = {result.name: result for result in whole.results}
    return Examination(tuple(replace(result, findings=of(result.name)) for result in whole.results))


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a fault and object, whichever rules came upon it."""
    told: dict[tuple[str, str], Finding] = {}
    for one in findings:
        first = told.get((one.code, one.subject))
        if first is None:
            told[one.code, one.subject] = one
        else:
            evidence = tuple(dict.fromkeys((*first.failure.evidence, *one.failure.evidence)))
            commands = tuple(dict.fromkeys((*first.commands, *one.commands)))
            failure = replace(first.failure, evidence=evidence)
            told[one.code, one.subject] = replace(first, failure=failure, commands=commands)
    return list(told.values())


def _linked(findings: list[Finding]) -> list[Finding]:
    """Consequences say what they follow from, and their own relief is told with the root cause."""
    there = {one.code for one in findings}
    told = []
    for one in findings:
        if one.because not in there:
            wanted = (kind.code for kind in EXPLAINED.get(one.failure.kind, ()))
            one = replace(one, because=next((code for code in wanted if code in there), ""))  # noqa: PLW2901
        told.append(one)
    hub = next((one for one in told if one.code == c.HUB_API_TLS_EXPIRED.code), None)
    if hub is not None:
        told = _one_end(told, hub)
    relief = {id(root.finding): tuple(_commands(root.explains)) for root in folded(told)}
    return [_relieved(one, relief.get(id(one), ())) for one in told]


def _one_end(told: list[Finding], hub: Finding) -> list[Finding]:
    """Where nothing deeper is known, the certificate that ended is told once: as what BinderHub stumbles over."""
    ends = t.CERTIFICATE_EXPIRED.code
    if hub.because != ends:
        return told
    return [replace(one, because="") if one is hub else one for one in told if one.code != ends]


def _commands(explained: Iterable[Told]) -> Iterator[str]:
    for one in explained:
        yield from one.finding.commands
        yield from _commands(one.explains)


def _relieved(one: Finding, more: tuple[str, ...]) -> Finding:
    return replace(one, commands=tuple(dict.fromkeys((*one.commands, *more)))) if more else one


# the questions


def _all(*rules: Rule, kinds: tuple[str, ...] = ()) -> Callable[[Cluster], list[Finding]]:
    """All rules of a question; where none of the kinds was looked at, nobody can say."""

    def look(cluster: Cluster) -> list[Finding]:
        if kinds and not cluster.of(*kinds):
            unseen = [f"{kind}: {cluster.recording.unseen[kind]}" for kind in kinds if kind in cluster.recording.unseen]
            raise NotSeen("; ".join(unseen) or f"no {' or '.join(kinds)} was seen")
        return [one for rule in rules for one in rule(cluster)]

    return look


def certificates(cluster: Cluster) -> list[Finding]:
    """Issued, served, lasting."""
    issued = issuing.not_issued(cluster)
    return [
        *(one for told in issued.values() for one in told),
        *served.wrong(cluster, issued),
        *served.ageing(cluster, issued),
        *autohttps.without(cluster),
        *autohttps.two_owners(cluster),
    ]


def _to_the_hub(cluster: Cluster) -> list[Finding]:
    return [
        *hub_api.certificate_wrong(cluster, certificates(cluster)),
        *hub_api.settings_wrong(cluster),
        *hub_api.launches(cluster),
    ]


def _spoken(cluster: Cluster) -> list[Finding]:
    if not cluster.recording.logs:
        raise NotSeen("no logs were given")
    return list(logs.told(cluster))


PODS = ("Pod",)
VOLUMES = (*PODS, "PersistentVolumeClaim")
PLACES = (scheduling.unplaced, scheduling.placeholders, nodes.quotas)
CHECKS: tuple[Check[Cluster], ...] = (
    Check("nodes", "Are the nodes well?", _all(nodes.ill, scheduling.all_cordoned, kinds=("Node",))),
    Check("places", "Do pods find a place?", _all(*PLACES, kinds=PODS)),
    Check("volumes", "Are volumes bound and mounted?", _all(storage.unbound, mounts.unmounted, kinds=VOLUMES)),
    Check("images", "Are images pulled?", _all(images.unpulled, images.slow, kinds=PODS)),
    Check("pods", "Does everything run that launches need?", _all(
        running.crashing, running.unstartable, running.unready, running.evicted, running.terminating, running.leaked,
        kinds=PODS)),
    Check("network", "Is the cluster's network whole?", _all(
        network.names_inside, network.balancers, network.services, network.policies, network.controllers,
        network.classes, network.site)),
    Check("certificate-manager", "Does cert-manager work?", _all(network.manager, network.legacy)),
    Check("certificates", "Are certificates issued, served and renewed?", certificates),
    Check("foreseen", "Will it be so after the next restart?", _all(
        foreseen.tokens, foreseen.limits)),
    Check("hub", "Can BinderHub call the hub?", _to_the_hub),
    Check("logs", "Do logs say what objects do not?", _spoken),
)  # fmt: skip
