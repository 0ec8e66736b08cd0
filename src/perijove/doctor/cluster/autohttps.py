"""Has autohttps, the Traefik of JupyterHub's chart, a certificate? In: its pod, its Secret, its log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_tls_failures as rows
from perijove.domain.cluster import SeenCertificate, Thing, items, listed, text
from perijove.domain.findings import Confidence, Finding

TRIES = 900.0
"""Seconds that its first order may take."""
_LETTER = re.compile(r'domains \\?"\w\\?"')
_UNABLE = re.compile(r"unable to obtain acme certificate for domains.*", re.IGNORECASE)


def running(cluster: Cluster) -> list[Thing]:
    """Its pods."""
    return [one for one in cluster.pods if pods.component(one) == "autohttps" and pods.phase(one) == "Running"]


def keepers(cluster: Cluster) -> Iterator[SeenCertificate]:
    """What it keeps: the leaves of acme.json."""
    for secret in cluster.of("Secret"):
        yield from (one for one in secret.certificates if one.where.endswith(" acme.json") and not one.problem)


def without(cluster: Cluster) -> Iterator[Finding]:
    """It runs and has none."""
    for pod in running(cluster):
        secret = next((one for one in cluster.of("Secret") if _is_its(one, pod)), None)
        if any(not one.problem for one in (secret.certificates if secret is not None else ())):
            continue
        words, where = _complaint(cluster)
        says_so = secret is not None or (cluster.lacks("Secret") and _knows(cluster, pod))
        if cluster.age(pod.created) < TRIES or not (says_so or words):
            continue
        none = "acme.json holds no certificate" if secret else "its Secret is not there"
        here = seen(secret.said if secret else pod.said, none)
        logs = f"kubectl -n {pod.namespace} logs deploy/autohttps -c traefik > logs/autohttps.log"
        again = f"kubectl -n {pod.namespace} delete pod -l component=autohttps   # once the name answers on port 80"
        if words and _LETTER.search(words):
            cause = "The CA is asked for certificates for single letters"
            yield found(rows.AUTOHTTPS_HOSTS_NO_LIST, cause, pod.said, Confidence.CERTAIN, seen(where, words))
            continue
        refused = "It asked when it started, was refused, and does not ask again"
        yield found(
            rows.AUTOHTTPS_NO_CERTIFICATE, refused if words else "It has none, and asks when it starts alone", pod.said,
            Confidence.CERTAIN if words else Confidence.LIKELY, here, *([seen(where, words)] if words else []),
            commands=(again,), surer_with="" if words else logs,
        )  # fmt: skip


def _is_its(secret: Thing, pod: Thing) -> bool:
    return secret.namespace == pod.namespace and secret.name.endswith("tls-acme")


def _knows(cluster: Cluster, pod: Thing) -> bool:
    """Whether Secrets of its namespace were looked at."""
    return any(one.namespace == pod.namespace for one in cluster.of("Secret"))


def _complaint(cluster: Cluster) -> tuple[str, str]:
    for log in cluster.all_logs:
        line = next(log.found(_UNABLE), None)
        if line is not None:
            return line, log.name
    return "", ""


def two_owners(cluster: Cluster) -> Iterator[Finding]:
    """An Ingress with TLS for a host that autohttps has a certificate for."""
    its = {name: one for one in keepers(cluster) for name in one.names} if running(cluster) else {}
    for ingress in cluster.of("Ingress"):
        for block in listed(ingress.spec, "tls"):
            for host in items(block.get("hosts")):
                if text(host) in its:
                    where = f"{ingress.said} spec.tls[].hosts"
                    yield found(
                        rows.TWO_TLS_OWNERS, f"{ingress.said} and autohttps both have TLS for {host}", ingress.said,
                        Confidence.LIKELY, seen(where, text(host)), seen(its[text(host)].where, f"names: {host}"),
                    )  # fmt: skip
