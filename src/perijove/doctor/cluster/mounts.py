"""Are volumes mounted? In: pods that have a place and do not start, and the kubelet's words about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import binder
from perijove.doctor.cluster.placement import claims
from perijove.doctor.cluster.running import missing
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.cluster.view import Cluster, KubernetesEvent
from perijove.domain import cluster_failures, cluster_ground_failures
from perijove.domain.cluster import Thing, at, listed, text
from perijove.domain.failures import Kind
from perijove.domain.findings import Confidence, Finding

FRESH = 60.0
"""Seconds in which a mount that fails may still come: a Secret is made a moment after the pod."""
REASONS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer")
_g = cluster_ground_failures
_NO_SOCKET = re.compile(r"hostPath type check failed: (\S*docker\S*) is not a socket", re.IGNORECASE)
_OBJECT = re.compile(r'(secret|configmap) "([^"]+)" not found', re.IGNORECASE)
_MOUNTED = re.compile(r"-t nfs4? .*?([\w.-]+):(/\S*)")
"""`Mounting arguments: -t nfs SERVER:/PATH …`: as recorded of kubelets."""
_USED_BY = re.compile(r"already used by pod\(s\) ([\w.-]+)")
WORDS: tuple[tuple[Kind, str, str], ...] = (
    (_g.NFS_ACCESS_DENIED, r"access denied by server", "sudo exportfs -ra   # once /etc/exports names the node"),
    (_g.NFS_PATH_MISSING, r"mount(?:\.nfs4?)?:.*No such file or directory", "sudo mkdir -p PATH   # on the NFS server"),
    (_g.NFS_UNREACHABLE, r"mount(?:\.nfs4?)?:.*(?:timed out|refused|No route|not responding|unreachable)",
     "sudo systemctl status nfs-server   # on the server; port 2049 has to be open for the nodes"),
    (_g.VOLUME_MULTI_ATTACH, r"Multi-Attach error", ""),
    (_g.NODE_FILESYSTEM_READONLY, r"read-only file system", "kubectl drain NODE --ignore-daemonsets"),
    (_g.VOLUME_IO_ERROR, r"input/output error|structure needs cleaning", ""),
    (_g.NODE_DISK_PRESSURE, r"no space left on device", "kubectl describe node NODE"),
    # containernetworking/plugins host-local; its files outlive pods that nobody took down.
    (_g.NODE_ADDRESSES_USED_UP, r"no IP addresses available in range set",
     "ssh NODE 'ls /var/lib/cni/networks/*/ | wc -l; sudo crictl pods -q | wc -l'   # more addresses than pods?"),
    # aws/amazon-vpc-cni-k8s; cilium pkg/ipam/pool.go.
    (_g.NODE_ADDRESSES_USED_UP,
     r"failed to assign an IP address to container|all CIDR ranges are exhausted", ""),
    (_g.NODE_NETWORK_BROKEN, r"CNI|network plugin|failed to setup network|pod sandbox.*network", "kubectl cordon NODE"),
)  # fmt: skip


def unmounted(cluster: Cluster) -> Iterator[Finding]:
    """Why pods that have a place do not start."""
    told: set[tuple[str, str]] = set()
    for pod in cluster.pods:
        if not pods.troubled(pod) or not pods.starting(pod) or cluster.age(pod.created) < FRESH:
            continue
        events = cluster.events(pod, *REASONS)
        for one in _of_pod(cluster, pod, events):
            about = (one.code, text(pod.spec.get("nodeName")) if one.code in _OF_NODES else one.failure.evidence[0].saw)
            if about not in told:
                told.add(about)
                yield one


_OF_NODES = {
    _g.NODE_ADDRESSES_USED_UP.code,
    _g.NODE_NETWORK_BROKEN.code,
    _g.NODE_FILESYSTEM_READONLY.code,
    _g.NODE_DISK_PRESSURE.code,
}


def _of_pod(cluster: Cluster, pod: Thing, events: list[KubernetesEvent]) -> list[Finding]:
    for one in events:
        if socket := _NO_SOCKET.search(one.message):
            return _no_socket(cluster, pod, one, socket[1])
        if gone := _OBJECT.search(one.message):
            if cluster.get({"secret": "Secret", "configmap": "ConfigMap"}[gone[1].lower()], pod.namespace, gone[2]):
                continue
            return [missing(pod, gone[1].lower(), gone[2], seen(one.where, one.message))]
        for kind, pattern, command in WORDS:
            if re.search(pattern, one.message, re.IGNORECASE):
                return [_known(cluster, pod, one, kind, command)]
    for one in events:
        # Attaching is tried again for minutes: only what goes on is told.
        if one.count > 2 and cluster.now - one.last < 900:
            return [
                found(
                    _g.VOLUME_MOUNT_FAILED, f"{pod.said} waits for a volume", pod.said, Confidence.POSSIBLE,
                    seen(one.where, one.message),
                )
            ]  # fmt: skip
    return []


def _known(cluster: Cluster, pod: Thing, one: KubernetesEvent, kind: Kind, command: str) -> Finding:
    node = text(pod.spec.get("nodeName"))
    evidence = [seen(one.where, one.message), seen(f"{pod.said} spec.nodeName", node)]
    if kind is _g.VOLUME_MULTI_ATTACH:
        match = _USED_BY.search(one.message)
        holder = cluster.get("Pod", pod.namespace, match[1]) if match is not None else _holder(cluster, pod)
        if holder is not None:
            its = cluster.get("Node", "", text(holder.spec.get("nodeName")))
            ready = its.condition("Ready") if its is not None else None
            state = f"on {text(holder.spec.get('nodeName'))}, {pods.phase(holder)}"
            evidence.append(seen(f"{holder.said} holds it", state))
            command = f"kubectl -n {holder.namespace} delete pod {holder.name}   # if nobody needs it"
            if ready is not None and ready.status != "True":
                command = (
                    f"kubectl -n {holder.namespace} delete pod {holder.name} --force   # only once its node is off"
                )
    mounted = _MOUNTED.search(one.message)
    command = command.replace("PATH", mounted[2] if mounted is not None else "").replace("NODE", node)
    commands = (command,) if command and (mounted is not None or kind is not _g.NFS_PATH_MISSING) else ()
    subject, about = _about(cluster, pod, one, kind)
    return found(
        kind, f"{pod.said} on {node} does not start", subject, Confidence.CERTAIN, *evidence, commands=commands,
        about=about, since=one.first,
    )  # fmt: skip


def _about(cluster: Cluster, pod: Thing, one: KubernetesEvent, kind: Kind) -> tuple[str, list[Thing | str]]:
    """The subject, and all of it: the pod, its node, or the server of files that refuses it."""
    node = f"Node {text(pod.spec.get('nodeName'))}"
    if kind.code in _OF_NODES:
        return node, [node]
    if kind in {_g.NFS_UNREACHABLE, _g.NFS_ACCESS_DENIED, _g.NFS_PATH_MISSING}:
        servers = [f"NFS {name}" for name in _servers(cluster, pod, one)]
        return (servers[0] if servers else pod.said), [pod, *servers]
    holder = _holder(cluster, pod) if kind is _g.VOLUME_MULTI_ATTACH else None
    return pod.said, [pod] if holder is None else [pod, holder]


def _servers(cluster: Cluster, pod: Thing, one: KubernetesEvent) -> list[str]:
    """NFS servers that its volumes are on; the one that the kubelet names first."""
    said = _MOUNTED.search(one.message)
    volumes = [cluster.get("PersistentVolume", "", text(one.spec.get("volumeName"))) for one in claims(cluster, pod)]
    specs = [*(one.spec for one in volumes if one is not None), *listed(pod.spec, "volumes")]
    known = sorted({text(at(one, "nfs", "server")) for one in specs} - {""})
    return list(dict.fromkeys(([said[1]] if said is not None else []) + known))


def _holder(cluster: Cluster, pod: Thing) -> Thing | None:
    """Another pod with the same claim on another node."""
    mine = claims(cluster, pod)
    for other in cluster.pods:
        elsewhere = other.name != pod.name and other.spec.get("nodeName") not in {None, pod.spec.get("nodeName")}
        if elsewhere and any(one in mine for one in claims(cluster, other)):
            return other
    return None


def _no_socket(cluster: Cluster, pod: Thing, one: KubernetesEvent, socket: str) -> list[Finding]:
    node = cluster.get("Node", "", text(pod.spec.get("nodeName")))
    runtime = text(at(node.status, "nodeInfo", "containerRuntimeVersion")) if node is not None else ""
    evidence = [seen(one.where, one.message)]
    if runtime and node is not None:
        evidence.append(seen(f"{node.said} containerRuntimeVersion", runtime))
    settings = cluster.settings()
    if settings is not None and "imageBuilderType" in settings[1]:
        evidence.append(seen(f"{settings[0].said} values.yaml imageBuilderType", settings[1]["imageBuilderType"]))
    dind = "dind" in socket
    place = text(pod.spec.get("nodeName")) or "NODE"
    root, confidence = cluster_failures.BUILD_DIND_DOWN, Confidence.LIKELY
    commands: tuple[str, ...] = (
        f"sudo rm -rf {socket.rstrip('/')}/   # on {place}",
        f"kubectl -n {pod.namespace} delete pod -l component=dind --field-selector spec.nodeName={place}",
    )
    cause = f"{socket} on {text(pod.spec.get('nodeName'))} is not a socket"
    if not dind:
        confidence = Confidence.CERTAIN if runtime and not runtime.startswith("docker") else Confidence.LIKELY
        root, dind = cluster_failures.BUILDER_NEEDS_DOCKER, False
        commands = (binder({"imageBuilderType": "dind"}),)
        cause = f"{text(pod.spec.get('nodeName'))} runs {runtime or 'another runtime'}, and the build wants {socket}"
    else:
        daemons = [other for other in cluster.pods if pods.component(other) == "dind"]
        here = [other for other in daemons if other.spec.get("nodeName") == pod.spec.get("nodeName")]
        evidence += [seen(f"{other.said} status", "Ready" if pods.ready(other) else "not ready") for other in here]
    return [
        found(root, cause, pod.said, confidence, *evidence, commands=commands),
        found(
            cluster_failures.BUILD_DOCKER_SOCKET_MISSING, f"{pod.said} waits for {socket}", pod.said,
            Confidence.CERTAIN, evidence[0], because=root,
        ),
    ]  # fmt: skip
