"""Are images pulled? In: pods that wait for one, and the kubelet's words about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.telling import around, found, names, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_failures as rows
from perijove.domain.cluster import Thing, listed, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

SLOW = 150.0
"""Seconds after which a pull is slow: half of the spawner's usual patience."""
WORDS: tuple[tuple[Kind, str], ...] = (
    (rows.IMAGE_PULL_RATE_LIMITED, r"toomanyrequests|429 too many requests|pull rate limit|rate limit exceeded"),
    (rows.REGISTRY_PLAIN_HTTP, r"server gave http response to https client"),
    (rows.REGISTRY_UNTRUSTED, r"x509:|certificate signed by unknown authority|certificate has expired|"
                             r"tls: failed to verify"),
    (rows.REGISTRY_UNREACHABLE, r"no such host|i/o timeout|connection refused|tls handshake timeout|no route to host|"
                                r"connection reset|context deadline exceeded|server misbehaving"),
    (rows.IMAGE_PULL_UNAUTHORIZED, r"401 unauthorized|403 forbidden|unauthorized|authentication required|no basic auth|"
                                   r"pull access denied|access denied|denied:|authorization failed"),
    (rows.IMAGE_NOT_FOUND, r"manifest unknown|not found|name unknown|does not exist|invalidimagename|"
                           r"couldn't parse image|invalid reference format|no match for platform"),
)  # fmt: skip
_ANY = "|".join(pattern for _, pattern in WORDS)


def unpulled(cluster: Cluster) -> Iterator[Finding]:
    """Why images do not come, one finding a reason and registry."""
    groups: dict[tuple[str, str], list[tuple[Thing, Kind, list[Evidence]]]] = {}
    for pod in cluster.pods:
        if pods.troubled(pod) and pods.phase(pod) == "Pending":
            told = _of_pod(cluster, pod)
            if told is not None:
                kind, image, evidence = told
                groups.setdefault((kind.code, registry(image)), []).append((pod, kind, evidence))
    for (_, host), alike in groups.items():
        yield from _told(cluster, host, [pod for pod, _, _ in alike], alike[0][1], alike[0][2])


def registry(image: str) -> str:
    """`docker.io` for names without a host, as container runtimes read them."""
    first, slash, _ = image.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host


def _of_pod(cluster: Cluster, pod: Thing) -> tuple[Kind, str, list[Evidence]] | None:
    stuck = [(name, reason, words) for name, reason, words in pods.waiting(pod) if reason in pods.PULLING]
    if not stuck:
        return None
    name, reason, words = stuck[0]
    statuses = [*listed(pod.status, "initContainerStatuses"), *listed(pod.status, "containerStatuses")]
    image = next((text(one.get("image")) for one in statuses if text(one.get("name")) == name), "")
    events = [one for one in cluster.events(pod, "Failed", "InspectFailed") if "image" in one.message.lower()]
    told = [one for one in events if _known(one.message) is not None] or events
    evidence = [seen(f"event {one.reason} of {one.said}", around(_ANY, one.message)) for one in told[:2]]
    evidence.append(seen(f"{pod.said} containerStatuses[{name}].state.waiting", f"{reason}: {words}"))
    # The pod's own words last: while it backs off they say only that it does.
    for said in [*(one.message for one in events), words, reason]:
        known = _known(said)
        if known is not None:
            return known, image, evidence
    return rows.IMAGE_PULL_FAILED, image, evidence


def _known(said: str) -> Kind | None:
    return next((kind for kind, pattern in WORDS if re.search(pattern, said, re.IGNORECASE)), None)


def _told(
    cluster: Cluster, host: str, them: Sequence[Thing], kind: Kind, evidence: Sequence[Evidence]
) -> Iterator[Finding]:
    pod = them[0]
    secrets = [text(one.get("name")) for one in listed(pod.spec, "imagePullSecrets")]
    secretless = seen(f"{pod.said} spec.imagePullSecrets", ", ".join(secrets) or "absent")
    cause = f"{names(them)} cannot pull from {host}"
    if kind is rows.IMAGE_PULL_RATE_LIMITED:
        root = rows.DOCKERHUB_ANONYMOUS_PULLS if host == "docker.io" and not secrets else None
        if root is not None:
            yield found(
                root, f"{names(them)} pulls from docker.io without an account", pod.said, Confidence.CERTAIN,
                *evidence, secretless, commands=_account(),
            )  # fmt: skip
        yield found(kind, f"{cause}: 429", pod.said, Confidence.CERTAIN, *evidence, secretless, because=root)
        return
    if kind is rows.IMAGE_PULL_UNAUTHORIZED:
        gone = _secret_gone(cluster, pod)
        ambiguous = any("may require" in one.saw or "does not exist" in one.saw for one in evidence)
        sure = Confidence.POSSIBLE if ambiguous else Confidence.LIKELY
        root = rows.PULL_SECRET_MISSING if gone or not secrets else None
        if root is not None:
            yield found(
                root, f"{pod.said} has no credentials for {host}", pod.said, Confidence.CERTAIN if gone else sure,
                *(gone or [secretless]), *evidence, commands=(_credentials(host),),
            )  # fmt: skip
        yield found(kind, cause, pod.said, Confidence.CERTAIN, *evidence, secretless, because=root)
        return
    sure = Confidence.POSSIBLE if kind is rows.IMAGE_PULL_FAILED else Confidence.CERTAIN
    surer = "kubectl get events -A -o yaml, soon after a pull failed" if kind is rows.IMAGE_PULL_FAILED else ""
    yield found(kind, cause, pod.said, sure, *evidence, surer_with=surer)


def _credentials(host: str) -> str:
    return f"jupyterhub.imagePullSecret: {{create: true, registry: {host}, username: …, password: …}}"


def _account() -> tuple[str, ...]:
    return (
        _credentials("https://index.docker.io/v1/"),
        "# and the same for build pods: config.KubernetesBuildExecutor.image_pull_secrets",
        "# longer term: a registry of your own, quay.io, ghcr.io, or a mirror that pulls through",
        "# it heals by itself within 6 h, until the next rush",
    )


def _secret_gone(cluster: Cluster, pod: Thing) -> list[Evidence]:
    """What shows that a pull secret is named and not there."""
    events = cluster.events(pod, "FailedToRetrieveImagePullSecret")
    return [seen(f"event {one.reason} of {one.said}", one.message) for one in events[:1]]


def slow(cluster: Cluster) -> Iterator[Finding]:
    """Pulls that have been going on for long, and did not fail yet."""
    for pod in cluster.pods:
        if not pods.troubled(pod) or not pods.starting(pod):
            continue
        events = cluster.events(pod, "Pulling", "Pulled", "Failed", "FailedMount", "FailedCreatePodSandBox")
        if events and events[0].reason == "Pulling" and cluster.now - events[0].last > SLOW:
            since = span(cluster.now - events[0].last)
            yield found(
                rows.IMAGE_PULL_SLOW, f"{pod.said} has been pulling for {since}", pod.said, Confidence.LIKELY,
                seen(events[0].where, events[0].message),
                commands=("jupyterhub.singleuser.startTimeout: 900",),
            )  # fmt: skip
