"""Are images pulled? In: pods that wait for one, and the kubelet's words about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import binder, hub
from perijove.doctor.cluster.telling import around, found, names, seen, span, those
from perijove.doctor.cluster.view import Cluster, KubernetesEvent
from perijove.domain import cluster_failures as rows
from perijove.domain import cluster_ground_failures as ground
from perijove.domain.cluster import Thing, day, listed, moment, text
from perijove.domain.cluster_pods import ANY_IMAGE_WORDS, why_unpulled
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

ARCHITECTURE = "kubernetes.io/arch"
CLOCKS = 300.0
"""Seconds by which the clocks of a node and of the API may differ."""
_TIMES = re.compile(r"not yet valid: current time (?P<now>\S+) is (?P<how>before|after) (?P<limit>\S+)")
"""Go's crypto/x509 verify.go: the time is the one of whoever looked, here the node's."""
SLOW = 150.0
"""Seconds after which a pull is slow: half of the spawner's usual patience."""


def unpulled(cluster: Cluster) -> Iterator[Finding]:
    """Why images do not come, one finding a reason and registry."""
    groups: dict[tuple[str, str], list[tuple[Thing, Kind, list[Evidence]]]] = {}
    for pod in cluster.pods:
        if pods.troubled(pod) and pods.phase(pod) == "Pending":
            told = _of_pod(cluster, pod)
            if told is not None:
                kind, image, evidence = told
                host = text(pod.spec.get("nodeName")) if kind is ground.NODE_CLOCK_WRONG else pods.registry(image)
                groups.setdefault((kind.code, host), []).append((pod, kind, evidence))
    for (_, host), alike in groups.items():
        yield from _told(cluster, host, [pod for pod, _, _ in alike], alike[0][1], alike[0][2])


def _of_pod(cluster: Cluster, pod: Thing) -> tuple[Kind, str, list[Evidence]] | None:
    stuck = [(name, reason, words) for name, reason, words in pods.waiting(pod) if reason in pods.PULLING]
    if not stuck:
        return None
    name, reason, words = stuck[0]
    statuses = [*listed(pod.status, "initContainerStatuses"), *listed(pod.status, "containerStatuses")]
    image = next((text(one.get("image")) for one in statuses if text(one.get("name")) == name), "")
    events = [one for one in cluster.events(pod, "Failed", "InspectFailed") if "image" in one.message.lower()]
    told = [one for one in events if why_unpulled(one.message) is not None] or events
    evidence = [seen(f"event {one.reason} of {one.said}", around(ANY_IMAGE_WORDS, one.message)) for one in told[:2]]
    evidence.append(seen(f"{pod.said} containerStatuses[{name}].state.waiting", f"{reason}: {words}"))
    # The pod's own words last: while it backs off they say only that it does.
    for said in [*(one.message for one in events), words, reason]:
        known = why_unpulled(said)
        if known is not None:
            return _of_time(cluster, pod, told, known, evidence), image, evidence
    return rows.IMAGE_PULL_FAILED, image, evidence


def _of_time(
    cluster: Cluster, pod: Thing, told: Sequence[KubernetesEvent], known: Kind, evidence: list[Evidence]
) -> Kind:
    """Whose fault it is that a certificate is not valid at a time: its own, or the clock's of the node that looked."""
    for one in told if known is rows.REGISTRY_UNTRUSTED else ():
        match = _TIMES.search(one.message)
        if match is None:
            continue
        theirs = moment(match["now"].rstrip(":,."))
        # An event that gathers others keeps the time at which it was made, while its words change.
        latest = one.created if one.count == 1 else cluster.now
        if not one.created - CLOCKS <= theirs <= latest + CLOCKS:
            node = text(pod.spec.get("nodeName"))
            evidence.insert(0, seen(f"Node {node} clock, when the API's said {day(one.created)}", match["now"]))
            return ground.NODE_CLOCK_WRONG
        return rows.REGISTRY_CERTIFICATE_EXPIRED if match["how"] == "after" else known
    return known


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
                root, f"{those(them, 'pulls', 'pull')} from docker.io without an account", pod.said, Confidence.CERTAIN,
                *evidence, secretless, commands=_account(cluster), about=them,
            )  # fmt: skip
        yield found(
            kind, f"{cause}: 429", pod.said, Confidence.CERTAIN, *evidence, secretless, because=root, about=them
        )
        return
    if kind is rows.IMAGE_PULL_UNAUTHORIZED:
        gone = _secret_gone(cluster, pod)
        ambiguous = any("may require" in one.saw or "does not exist" in one.saw for one in evidence)
        sure = Confidence.POSSIBLE if ambiguous else Confidence.LIKELY
        root = rows.PULL_SECRET_MISSING if gone or not secrets else None
        if root is not None:
            lack = f"{those(them, 'has', 'have')} no credentials for {host}"
            yield found(
                root, lack, pod.said, Confidence.CERTAIN if gone else sure,
                *(gone or [secretless]), *evidence, commands=(_credentials(cluster, host),), about=them,
            )  # fmt: skip
        yield found(kind, cause, pod.said, Confidence.CERTAIN, *evidence, secretless, because=root, about=them)
        return
    if kind is ground.NODE_CLOCK_WRONG:
        yield from _by_clock(them, evidence)
        return
    if kind is rows.IMAGE_OTHER_ARCHITECTURE:
        yield other_architecture(cluster, them, *evidence)
        return
    sure = Confidence.POSSIBLE if kind is rows.IMAGE_PULL_FAILED else Confidence.CERTAIN
    surer = "kubectl get events -A -o yaml, soon after a pull failed" if kind is rows.IMAGE_PULL_FAILED else ""
    yield found(kind, cause, pod.said, sure, *evidence, surer_with=surer, about=them)


def _by_clock(them: Sequence[Thing], evidence: Sequence[Evidence]) -> Iterator[Finding]:
    node = text(them[0].spec.get("nodeName"))
    yield found(
        ground.NODE_CLOCK_WRONG, f"{node} takes certificates to be of another time: {names(them)} cannot pull",
        f"Node {node}", Confidence.CERTAIN, *evidence, about=(f"Node {node}", *them),
        commands=(f"ssh {node} 'date -u; timedatectl status; sudo timedatectl set-ntp true'",),
    )  # fmt: skip


def other_architecture(cluster: Cluster, them: Sequence[Thing], *evidence: Evidence) -> Finding:
    """Images that the processors of their nodes cannot run. A script that does not say by what says the same."""
    said = [text(one.spec.get("nodeName")) for one in them]
    nodes = [one for one in cluster.nodes if one.name in said]
    kinds = {text(one.labels.get(ARCHITECTURE)) for one in nodes}
    rest = [one for one in cluster.nodes if text(one.labels.get(ARCHITECTURE)) not in {"", *kinds}]
    labels = (seen(f"{one.said} labels", f"{ARCHITECTURE}: {text(one.labels.get(ARCHITECTURE))}")
              for one in (*nodes[:2], *rest[:2]))  # fmt: skip
    sure = Confidence.LIKELY if rest else Confidence.POSSIBLE
    pulled = any(why_unpulled(one.saw) is rows.IMAGE_OTHER_ARCHITECTURE for one in evidence)
    return found(
        rows.IMAGE_OTHER_ARCHITECTURE,
        f"{those(them, 'runs', 'run')} on {', '.join(dict.fromkeys(said))} ({', '.join(sorted(kinds - {''}))})",
        them[0].said, Confidence.CERTAIN if pulled else sure, *evidence, *labels, about=them,
        commands=[f"kubectl taint node {one.name} {ARCHITECTURE}={text(one.labels.get(ARCHITECTURE))}:NoSchedule"
                  "   # pods that do not ask for it are placed elsewhere" for one in nodes if rest],
    )  # fmt: skip


def _credentials(cluster: Cluster, host: str) -> str:
    secret = {"create": True, "registry": host, "username": "USER", "password": "PASSWORD"}
    return hub(cluster, {"imagePullSecret": secret}, "with your account")


def _account(cluster: Cluster) -> tuple[str, ...]:
    return (
        _credentials(cluster, "https://index.docker.io/v1/"),
        "# and for build pods, which dind and repo2docker pull with:",
        binder({"config.KubernetesBuildExecutor.image_pull_secrets": ["image-pull-secret"]}),
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
                commands=(hub(cluster, {"singleuser.startTimeout": 900}),),
            )  # fmt: skip
