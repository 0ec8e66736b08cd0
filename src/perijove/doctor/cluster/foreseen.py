"""What works today and will not after the next restart, or the next try. In: a Cluster. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.graph import READ_BY
from perijove.doctor.cluster.telling import found, names, seen
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures, cluster_tls_failures
from perijove.domain.cluster import Thing, at, day, listed, mapping, moment, text
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

A_WHILE = 60.0
"""Seconds: an upgrade writes the Secret and starts the pod at about the same time."""
WEEK, LIMIT, NEAR = 7 * 86400.0, 5, 3
"""Let's Encrypt certifies one set of names so often a week; from so many on it is told."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A component that goes on with what it read of a Secret, which changed since."""

    secret: Thing
    reader: Thing
    since: float

    @property
    def evidence(self) -> tuple[Evidence, Evidence]:
        return (
            seen(f"{self.secret.said} metadata.managedFields", f"changed {day(self.secret.written)}"),
            seen(f"{self.reader.said} status.containerStatuses", f"running since {day(self.since)}"),
        )


def stale(cluster: Cluster) -> Iterator[Stale]:
    """Readers of Secrets that are older than what stands there."""
    for pod in cluster.pods:
        since = _running_since(pod)
        for name in READ_BY.get(pods.component(pod), ()) if since else ():
            secret = cluster.get("Secret", pod.namespace, name)
            if secret is not None and secret.written > since + A_WHILE:
                yield Stale(secret, pod, since)


def tokens(cluster: Cluster) -> Iterator[Finding]:
    """Secrets that changed under a component that goes on with what it read."""
    for namespace in sorted({one.reader.namespace for one in stale(cluster)}):
        them = [one for one in stale(cluster) if one.reader.namespace == namespace]
        secret, readers = them[0].secret, [one.reader for one in them]
        here = {pods.component(one) for one in cluster.pods if one.namespace == namespace}
        deployments = " ".join(name for name in ("hub", "proxy", "binder") if name in here)
        yield found(
            cluster_failures.TOKENS_CHANGE,
            f"{secret.said} changed after {names(readers)} had read it: what it says counts from the next restart on",
            secret.said, Confidence.POSSIBLE, *(said for one in them[:2] for said in one.evidence),
            commands=(f"kubectl -n {namespace} rollout restart deployment {deployments}",),
            foreseen=True, surer_with="whether its tokens changed, or only labels",
            about=[secret, *readers],
        )  # fmt: skip


def _running_since(pod: Thing) -> float:
    """When its containers started; 0 where one of them does not run."""
    states = [moment(at(one, "state", "running", "startedAt")) for one in listed(pod.status, "containerStatuses")]
    return min(states) if states and all(states) else 0


def limits(cluster: Cluster) -> Iterator[Finding]:
    """Certificates that were issued so often this week that some more reinstalls are refused."""
    for certificate in cluster.of("Certificate"):
        issuer = _issuer(cluster, certificate)
        if issuer is None or not _is_public(text(at(issuer.spec, "acme", "server"))):
            continue
        asked = cluster.owned(certificate, "CertificateRequest")
        issued = [one for one in asked if _is_issued(one) and cluster.age(one.created) < WEEK]
        if NEAR <= len(issued) < LIMIT:
            yield found(
                cluster_tls_failures.DUPLICATE_CERTIFICATE_LIMIT,
                f"{certificate.said} was issued {len(issued)} times in a week: after {LIMIT} the CA refuses more",
                certificate.said, Confidence.LIKELY,
                *(seen(f"{one.said} metadata.creationTimestamp", day(one.created)) for one in issued),
                commands=(
                    f"kubectl -n {certificate.namespace} get secret {text(certificate.spec.get('secretName'))} -o yaml"
                    " > backup-of-the-secret.yaml   # restore it after a reinstall instead of asking anew",
                ),
                remedy="Keep the Secret through reinstalls, and try things out with the CA's staging directory.",
                foreseen=True,
            )  # fmt: skip


def _is_issued(request: Thing) -> bool:
    ready = request.condition("Ready")
    return ready is not None and ready.status == "True"


def _issuer(cluster: Cluster, certificate: Thing) -> Thing | None:
    reference = mapping(certificate.spec.get("issuerRef"))
    kind = text(reference.get("kind")) or "Issuer"
    return cluster.get(kind, "" if kind == "ClusterIssuer" else certificate.namespace, text(reference.get("name")))


def _is_public(server: str) -> bool:
    return "letsencrypt.org" in server and "staging" not in server
