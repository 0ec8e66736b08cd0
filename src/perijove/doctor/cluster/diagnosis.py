"""All questions about a cluster, and what explains what. In: a Recording. Out: an Examination. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from perijove.doctor.cluster import (
    autohttps,
    foreseen,
    hub_api,
    images,
    ingress_backends,
    issuing,
    logs,
    mounts,
    network,
    nodes,
    pods,
    refusals,
    running,
    scheduling,
    served,
    storage,
    unknown,
)
from perijove.doctor.cluster.effects import with_effects
from perijove.doctor.cluster.explaining import explained
from perijove.doctor.cluster.graph import Graph
from perijove.doctor.cluster.view import Cluster
from perijove.doctor.engine import Check, Examination, Missing, Outcome, Result, Told, examine, folded
from perijove.domain import cluster_failures as c
from perijove.domain.cluster import Recording
from perijove.domain.findings import Finding

Rule = Callable[[Cluster], Iterable[Finding]]


def diagnosed(recording: Recording) -> Examination:
    """All questions asked, each finding with what explains it."""
    cluster = Cluster(recording)
    graph = Graph(cluster)
    whole = examine(cluster, CHECKS)
    asked = (*whole.results, _others(cluster, _merged(whole.findings), graph))
    merged = _merged(one for result in asked for one in result.findings)
    kept = [with_effects(cluster, _alone(cluster, one)) for one in _relieved(explained(merged, graph))]
    left = {(one.code, one.subject): one for one in kept}
    results = []
    for result in asked:
        # Each is told by the first question that came upon it.
        mine = [left.pop((one.code, one.subject), None) for one in result.findings]
        results.append(replace(result, findings=tuple(one for one in mine if one is not None)))
    return Examination((*_unread(recording), *results))


def _others(cluster: Cluster, told: list[Finding], graph: Graph) -> Result:
    """The last question: what none of the others took."""

    def look(_: Cluster) -> list[Finding]:
        cluster.logs("hub", "binder")
        return unknown.left(cluster, told, graph)

    return examine(cluster, (Check("others", "Does nothing else fail?", _all(look, needs=PODS)),)).results[0]


UNEXPLAINED = "Put right what explains it"
NEEDS_HUB_LOG = {c.LAUNCHES_FAIL, c.HUB_API_TIMEOUT, c.HUB_API_REFUSED}


def _alone(cluster: Cluster, one: Finding) -> Finding:
    """A consequence that nothing explains says so, and what would."""
    unexplained = one.failure.remedy.startswith(UNEXPLAINED)
    if one.because or not (unexplained or one.failure.kind in NEEDS_HUB_LOG):
        return one
    more = one.surer_with
    if one.failure.kind in NEEDS_HUB_LOG:
        hubs = [pod for pod in cluster.pods if pods.component(pod) == "hub"]
        ask = [f"kubectl -n {pod.namespace} logs {pod.name} > logs/hub.log" for pod in hubs[:1]]
        more = more or next(iter(ask), "logs/hub.log")
    cause = f"{one.failure.cause}; what brings that about is not in what was seen"
    remedy = "Show the doctor more, or look there yourself." if unexplained else one.failure.remedy
    return replace(one, failure=replace(one.failure, cause=cause, remedy=remedy), surer_with=more)


def _unread(recording: Recording) -> tuple[Result, ...]:
    """What could not be looked at: whatever it holds, not all is known to be well."""
    why = "; ".join(f"{what}: {words}" for what, words in sorted(recording.unseen.items()))
    return (Result("looked", "Could everything be looked at?", Outcome.UNSEEN, why_skipped=why),) if why else ()


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a fault and object, whichever rules came upon it."""
    told: dict[tuple[str, str], Finding] = {}
    for one in findings:
        first = told.get((one.code, one.subject))
        if first is None:
            told[one.code, one.subject] = one
        else:
            evidence = tuple(dict.fromkeys((*first.failure.evidence, *one.failure.evidence)))
            told[one.code, one.subject] = replace(
                first,
                failure=replace(first.failure, evidence=evidence),
                commands=tuple(dict.fromkeys((*first.commands, *one.commands))),
                objects=tuple(dict.fromkeys((*first.objects, *one.objects))),
                because=first.because or one.because,
            )
    return list(told.values())


def _relieved(told: list[Finding]) -> list[Finding]:
    """A consequence's own relief is told with its root cause; who has none is told to put nothing right."""
    relief = {(root.finding.code, root.finding.subject): _commands(root.explains) for root in folded(told)}
    done = []
    for one in told:
        more = tuple(relief.get((one.code, one.subject), ()))
        if more:
            one = replace(one, commands=tuple(dict.fromkeys((*one.commands, *more))))  # noqa: PLW2901
        done.append(one)
    return done


def _commands(explained: Iterable[Told]) -> Iterator[str]:
    for one in explained:
        yield from one.finding.commands
        yield from _commands(one.explains)


# the questions


def _all(*rules: Rule, needs: tuple[str, ...]) -> Callable[[Cluster], list[Finding]]:
    """All rules of a question. That all is well is said only where the kinds that it needs were seen, and everything
    else that a rule came to ask for."""

    def look(cluster: Cluster) -> list[Finding]:
        cluster.forget()
        cluster.of(*needs)
        findings = [one for rule in rules for one in rule(cluster)]
        if not findings and cluster.missing:
            raise Missing("; ".join(f"{what}: {why}" for what, why in sorted(cluster.missing.items())))
        return findings

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
        *hub_api.certificate_wrong(cluster),
        *hub_api.settings_wrong(cluster),
        *hub_api.path_wrong(cluster),
        *hub_api.launches(cluster),
    ]


PODS = ("Pod", "Event")
CERTIFICATES = ("Certificate", "Ingress", "Secret")
CHECKS: tuple[Check[Cluster], ...] = (
    Check("nodes", "Are the nodes well?", _all(nodes.ill, scheduling.all_cordoned, needs=("Node", "Event"))),
    Check("places", "Do pods find a place?", _all(
        scheduling.unplaced, scheduling.unlooked, scheduling.placeholders, refusals.quotas, needs=("Node", *PODS))),
    Check("volumes", "Are volumes bound and mounted?", _all(
        storage.unbound, mounts.unmounted, needs=("PersistentVolumeClaim", *PODS))),
    Check("images", "Are images pulled?", _all(images.unpulled, images.slow, needs=PODS)),
    Check("pods", "Does everything run that launches need?", _all(
        running.crashing, running.unstartable, running.unready, running.evicted, running.terminating, running.leaked,
        running.absent, refusals.others, needs=PODS)),
    Check("network", "Is the cluster's network whole?", _all(
        network.names_inside, network.balancers, network.services, network.policies,
        needs=("Pod", "Service", "NetworkPolicy"))),
    Check("ingress", "Does a controller take each Ingress?", _all(
        network.controllers, network.classes, ingress_backends.without_controller, ingress_backends.wrong,
        ingress_backends.gateways,
        needs=("Ingress", "IngressClass", "Service"))),
    Check("certificate-manager", "Does cert-manager work?", _all(
        network.manager, network.legacy, needs=("Certificate", *PODS))),
    Check("certificates", "Are certificates issued, served and renewed?", _all(certificates, needs=CERTIFICATES)),
    Check("foreseen", "Will it be so after the next restart?", _all(
        foreseen.tokens, foreseen.limits, needs=("Pod", "Secret", "Certificate"))),
    Check("hub", "Can BinderHub call the hub?", _all(_to_the_hub, needs=("Secret", "Pod"))),
    Check("site", "Does the site answer, and say that it is well?", _all(network.site, hub_api.health, needs=())),
    Check("logs", "Do logs say what objects do not?", _all(logs.told, needs=())),
)  # fmt: skip
