"""Why does a challenge not become valid? In: Challenge objects of either API group, probes, the front. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from perijove.doctor.cluster import acme_words, pods, solver
from perijove.doctor.cluster.front import blocked_in_front, trail, way
from perijove.doctor.cluster.telling import change, found, seen, span
from perijove.doctor.cluster.view import Cluster, matches
from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import Thing, at, listed, mapping, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

STUCK = 600.0
"""Seconds after which a deletion that is not done is stuck."""
TRANSIENT = 120.0
"""Seconds in which a fresh challenge may still find its answer missing."""


def of_challenges(cluster: Cluster, challenges: Iterable[Thing], told: set[tuple[str, str]]) -> Iterator[Finding]:
    """One finding a fault and host, however many challenges say it. `told`: the faults and hosts told before."""
    for challenge in challenges:
        if challenge.deleting:
            yield from _stuck(cluster, challenge)
            continue
        words = text(challenge.status.get("reason"))
        state = text(challenge.status.get("state"))
        shown = challenge.status.get("presented") is True or state not in {"", "pending", "processing"}
        meaning = acme_words.of_challenge(words, presented=shown) if words else None
        if meaning is None or state == "valid" or _may_come(cluster, challenge, state):
            continue
        host = text(challenge.spec.get("dnsName"))
        if (meaning.kind.code, host) in told:
            continue
        told.add((meaning.kind.code, host))
        alike = [seen(f"{challenge.said} status.reason", words), *_others(cluster, challenge, words)]
        yield from _explained(cluster, challenge, meaning, host, alike)


def _may_come(cluster: Cluster, challenge: Thing, state: str) -> bool:
    return state in {"", "pending"} and 0 < cluster.age(challenge.created) < TRANSIENT


def _others(cluster: Cluster, challenge: Thing, words: str) -> Iterator[Evidence]:
    for other in cluster.of("Challenge"):
        same_host = other.spec.get("dnsName") == challenge.spec.get("dnsName")
        if other.name != challenge.name and same_host and text(other.status.get("reason")).lower() == words.lower():
            yield seen(f"{other.said} ({other.group}) status.reason", text(other.status.get("reason")))


def _stuck(cluster: Cluster, challenge: Thing) -> Iterator[Finding]:
    since = cluster.age(challenge.deleting)
    finalizers = challenge.metadata.get("finalizers") or []
    if since < STUCK or not finalizers:
        return
    yield found(
        rows.CHALLENGE_STUCK_DELETING, f"It is being deleted since {span(since)}, and a finalizer keeps it",
        challenge.said, Confidence.CERTAIN,
        seen(f"{challenge.said} metadata.finalizers", ", ".join(str(one) for one in finalizers)),
        seen(f"{challenge.said} metadata.deletionTimestamp", text(challenge.metadata.get("deletionTimestamp"))),
        changes=(change(challenge, {"metadata": {"finalizers": []}}),),
    )  # fmt: skip


BY_FRONT = {
    rows.ACME_HTTP01_SELFCHECK_404,
    rows.ACME_HTTP01_SELFCHECK_403,
    rows.ACME_HTTP01_SELFCHECK_FAILED,
    rows.ACME_CHALLENGE_WRONG,
}
"""What somebody in front who answers himself looks like."""


def _explained(
    cluster: Cluster, challenge: Thing, meaning: acme_words.Meaning, host: str, words: Sequence[Evidence]
) -> Iterator[Finding]:
    """A challenge's verdict, with the root cause where something shows it."""
    name = _certificate(cluster, challenge)
    again = f"cmctl status certificate -n {challenge.namespace} {name}"
    if not name:
        again = f"kubectl -n {challenge.namespace} get certificates"
    after = (f"{again}   # cert-manager looks again by itself; wait until Ready",)
    if meaning.kind is rows.CHALLENGE_NOT_PRESENTED:
        yield from _not_presented(cluster, challenge, meaning, words)
        return
    inside = _inside(cluster, challenge)
    front = meaning.kind in BY_FRONT
    root = solver.hindered(cluster, challenge, meaning.kind, words)
    if root is None and front:
        root = blocked_in_front(cluster, host, inside, after, failed=True)
    root = root or solver.by_ipv6(cluster, challenge, words)
    cause = f"{meaning.cause} for {host}"
    if root is not None:
        yield root
        evidence, confidence, surer = [*words], Confidence.CERTAIN, ""
    else:
        more, confidence, surer = _narrowed(cluster, challenge, meaning.kind, host)
        evidence = [*words, *inside, *more]
        cause += ": something in front of the ingress controller answers, or the controller itself" if front else ""
    yield found(
        meaning.kind,
        cause,
        challenge.said,
        confidence,
        *evidence,
        because=root.failure.kind if root is not None else None,
        commands=_commands(meaning, host),
        surer_with=surer,
    )


def _not_presented(
    cluster: Cluster, challenge: Thing, meaning: acme_words.Meaning, words: Sequence[Evidence]
) -> Iterator[Finding]:
    """What kept cert-manager from setting the answer up, in its own words."""
    events = [seen(one.where, one.message) for one in cluster.events(challenge, "PresentError")[:1]]
    lacks = acme_words.refusal(text(challenge.status.get("reason")))
    root = None
    if lacks is not None:
        account = f"{lacks.namespace}/{lacks.account}"
        cause = (
            f"cert-manager's service account {account} may not {lacks.verb} {lacks.resource} in {challenge.namespace}"
        )
        root = found(
            rows.CHALLENGE_FORBIDDEN, cause, challenge.said, Confidence.CERTAIN, *words, *events,
            commands=(_right(lacks),),
        )  # fmt: skip
        yield root
    else:
        reference = mapping(challenge.spec.get("issuerRef"))
        kind, name = text(reference.get("kind")) or "Issuer", text(reference.get("name"))
        issuer = cluster.get(kind, "" if kind == "ClusterIssuer" else challenge.namespace, name)
        root = next(solver.secret_elsewhere(cluster, issuer, words[0]), None)
        root = root or next(solver.credentials_refused(cluster, challenge, [*words, *events]), None)
        yield from () if root is None else (root,)
    host = text(challenge.spec.get("dnsName"))
    yield found(
        meaning.kind, f"{meaning.cause} for {host}", challenge.said, Confidence.CERTAIN, *words, *events,
        because=root.failure.kind if root is not None else None,
    )  # fmt: skip


def _right(lacks: acme_words.Refusal) -> str:
    """The rule that is missing, beside those that cert-manager's chart keeps (deploy/charts/cert-manager rbac.yaml)."""
    name = "cert-manager-controller-challenges-restored"
    verbs = "[create, delete, get, list, patch, update, watch]"
    return "\n".join((
        "kubectl apply -f - <<'END'",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: ClusterRole",
        f"metadata: {{name: {name}}}",
        f'rules: [{{apiGroups: ["{lacks.group}"], resources: ["{lacks.resource}"], verbs: {verbs}}}]',
        "---",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: ClusterRoleBinding",
        f"metadata: {{name: {name}}}",
        f"roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}",
        f"subjects: [{{kind: ServiceAccount, name: {lacks.account}, namespace: {lacks.namespace}}}]",
        "END",
    ))  # fmt: skip


def _narrowed(cluster: Cluster, challenge: Thing, kind: Kind, host: str) -> tuple[list[Evidence], Confidence, str]:
    """What else was seen, how sure that makes it, and what would say more."""
    looked = way(cluster, host)
    trails = [trail(one) for one in (*looked.public, *looked.direct)]
    if kind is rows.ACME_HTTP01_SELFCHECK_UNREACHABLE:
        if looked.open:
            return trails, Confidence.LIKELY, ""
        return trails, Confidence.POSSIBLE, "probes.json with the challenge's path asked from outside"
    if kind is rows.ACME_HTTP01_SELFCHECK_503:
        return _solver_down(cluster, challenge), Confidence.CERTAIN, ""
    surer = (
        "probes.json with the challenge's path asked by the public name and at the ingress's own address; "
        "front/ with the configuration of whatever stands in front"
    )
    return (trails, Confidence.CERTAIN, surer) if kind in BY_FRONT else ([], Confidence.CERTAIN, "")


def _certificate(cluster: Cluster, challenge: Thing) -> str:
    """The name of the certificate that it is for; `` where no object says."""
    for kind, name in challenge.owners:
        order = cluster.get(kind, challenge.namespace, name)
        if order is not None:
            return text(order.annotations.get("cert-manager.io/certificate-name"))
    return ""


def _commands(meaning: acme_words.Meaning, host: str) -> tuple[str, ...]:
    if meaning.kind is rows.PATHTYPE_EXACT_REFUSED:
        return (
            "helm upgrade cert-manager jetstack/cert-manager -n cert-manager --reuse-values "
            "--set config.featureGates.ACMEHTTP01IngressPathTypeExact=false",
        )
    if meaning.kind in {rows.ACME_NAME_UNRESOLVED, rows.ACME_CHALLENGE_UNREACHABLE}:
        return (f"dig +short A {host}; dig +short AAAA {host}   # both must lead to the ingress, from everywhere",)
    if meaning.kind is rows.ACME_DNS01_UNSEEN:
        return (f"dig +trace TXT _acme-challenge.{host.removeprefix('*.')}",)
    if meaning.kind is rows.ACME_CAA:
        return (f"dig CAA {host}",)
    return ()


def _inside(cluster: Cluster, challenge: Thing) -> list[Evidence]:
    """What shows that the cluster's own side is in order: the solver's pod, Service and Ingress."""
    told = []
    solver = cluster.owned(challenge, "Pod", "Service", "Ingress")
    for one in solver:
        if one.kind == "Pod":
            told.append(seen(f"solver {one.said}", "Ready" if pods.ready(one) else f"not ready: {pods.phase(one)}"))
        elif one.kind == "Ingress":
            addresses = [
                text(row.get("ip") or row.get("hostname")) for row in listed(one.status, "loadBalancer", "ingress")
            ]
            told.append(seen(f"solver {one.said} status.loadBalancer", ", ".join(addresses) or "no address"))
        else:
            told.append(seen(f"solver {one.said}", "present"))
    return told


def _solver_down(cluster: Cluster, challenge: Thing) -> list[Evidence]:
    solvers = cluster.owned(challenge, "Pod")
    if not solvers and cluster.lacks("Pod"):
        service = next(iter(cluster.owned(challenge, "Service")), None)
        selector = mapping(at(service.raw, "spec", "selector")) if service is not None else {}
        found_by = [one for one in cluster.pods if selector and matches(selector, one.labels)]
        solvers = found_by
    if not solvers:
        return [seen(f"solver of {challenge.said}", "no pod")]
    return [
        seen(
            f"{one.said} status",
            f"{pods.phase(one)}; " + "; ".join(f"{why}: {words}" for _, why, words in pods.waiting(one)),
        )
        for one in solvers
        if not pods.ready(one)
    ]
