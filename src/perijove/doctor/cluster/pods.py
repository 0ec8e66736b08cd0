"""How a pod stands: ready, waiting for what, ended how, asking for how much. Pure."""

from __future__ import annotations

import re

from perijove.doctor.cluster import log_lines
from perijove.doctor.cluster.view import Cluster, KubernetesEvent
from perijove.domain import cluster_pods
from perijove.domain.cluster import Thing, at, listed, text

component = log_lines.component
USER_SCHEDULER = "user-scheduler"
CORE = {"hub", "proxy", "binder", "autohttps", USER_SCHEDULER, "dind", "podman", "image-builder"}
"""Components without which nothing is launched, by the charts' label `component`."""
STARTING = {"", "ContainerCreating", "PodInitializing"}
PULLING, CANNOT_START = cluster_pods.PULLING, cluster_pods.CANNOT_START
Ended = cluster_pods.Ended
phase, waiting, ended, unplaced = cluster_pods.phase, cluster_pods.waiting, cluster_pods.ended, cluster_pods.unplaced
quantity = cluster_pods.quantity


def is_user(pod: Thing) -> bool:
    return component(pod) == "singleuser-server"


def is_build(pod: Thing) -> bool:
    return component(pod) == "binderhub-build" or (pod.name.startswith("build-") and not component(pod))


def is_ingress_controller(pod: Thing) -> bool:
    app = text(pod.labels.get("app.kubernetes.io/name") or pod.labels.get("app"))
    return "ingress" in app or "traefik" in app


def is_cert_manager(pod: Thing) -> bool:
    """Whether it is cert-manager's controller, in whatever namespace and by whatever name."""
    main = any("cert-manager-controller" in image for image in images(pod))
    app = text(pod.labels.get("app.kubernetes.io/name") or pod.labels.get("app")) == "cert-manager"
    named = pod.namespace == "cert-manager" and re.fullmatch(r"cert-manager(-[a-z0-9]+){1,2}", pod.name) is not None
    other = "webhook" in pod.name or "cainjector" in pod.name or "acme" in pod.name
    return (main or (app and component(pod) in {"", "controller"}) or named) and not other


def serves_names(one: Thing) -> bool:
    """Whether it is, or selects, the cluster's name service."""
    return text(one.labels.get("k8s-app")) in {"kube-dns", "coredns"} or one.name.startswith(("coredns", "kube-dns"))


def provisions(pod: Thing, name: str = "") -> bool:
    """Whether it makes volumes, as far as its name and its images say; for a provisioner of that name."""
    about = (pod.name, *images(pod))
    if not any("provisioner" in one or "csi" in one for one in about):
        return False
    words = [word for word in re.split(r"[./-]", name) if word not in {"io", "com", "org", "k8s", "cluster"}]
    return not name or any(word in one for word in words for one in about)


def registry(image: str) -> str:
    """`docker.io` for names without a host, as container runtimes read them."""
    first, slash, _ = image.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host


def is_placeholder(pod: Thing) -> bool:
    return component(pod) == "user-placeholder"


def scheduler(pod: Thing) -> str:
    """Who shall place it."""
    return text(pod.spec.get("schedulerName")) or "default-scheduler"


def schedules(one: Thing, pod: Thing) -> bool:
    """Whether it is of the scheduler that the other names: JupyterHub's chart calls its own RELEASE-user-scheduler."""
    if scheduler(pod).endswith(USER_SCHEDULER):
        return component(one) == USER_SCHEDULER and one.namespace == pod.namespace
    return component(one) == "kube-scheduler" and scheduler(pod) == "default-scheduler"


def ready(pod: Thing) -> bool:
    """Whether it does what it is for, or has done it."""
    condition = pod.condition("Ready")
    return phase(pod) == "Succeeded" or (condition is not None and condition.status == "True")


def troubled(pod: Thing) -> bool:
    return not ready(pod) and not pod.deleting


def restarts(pod: Thing) -> int:
    counts = [one.get("restartCount") for one in cluster_pods.statuses(pod)]
    return sum(count for count in counts if isinstance(count, int))


def starting(pod: Thing) -> bool:
    """Whether it has a place, and its containers do not run yet for another reason than their images."""
    reasons = {reason for _, reason, _ in waiting(pod)}
    return bool(pod.spec.get("nodeName")) and phase(pod) == "Pending" and reasons <= STARTING


def why_unplaced(pod: Thing, cluster: Cluster) -> tuple[str, str]:
    """The scheduler's words and where they stand: the condition outlives the event."""
    condition = pod.condition("PodScheduled")
    if condition is not None and condition.message:
        return condition.message, f"{pod.said} status.conditions PodScheduled"
    told = failed_scheduling(pod, cluster)
    return (told[0].message, told[0].where) if told else ("", "")


def failed_scheduling(pod: Thing, cluster: Cluster) -> list[KubernetesEvent]:
    return [one for one in cluster.events(pod, "FailedScheduling") if "skip schedule deleting pod" not in one.message]


def requests(pod: Thing, resource: str) -> float:
    """What it needs of a resource to be given a place: the containers' sum, or the greediest init container."""
    first = [quantity(at(one, "resources", "requests", resource)) for one in listed(pod.spec, "initContainers")]
    rest = [quantity(at(one, "resources", "requests", resource)) for one in listed(pod.spec, "containers")]
    return max([sum(rest), *first])


def images(pod: Thing) -> list[str]:
    return [text(one.get("image")) for key in ("initContainers", "containers") for one in listed(pod.spec, key)]


def amount(value: float, resource: str) -> str:
    """`15.4Gi` for memory, `2.5` for the rest."""
    if resource in {"memory", "ephemeral-storage"}:
        return f"{value / 1024**3:.1f}Gi" if value >= 1024**3 else f"{value / 1024**2:.0f}Mi"
    return f"{value:g}"
