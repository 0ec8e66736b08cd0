"""Are volume claims bound? In: claims, their events, storage classes, provisioners. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.placement import claims
from perijove.doctor.cluster.telling import change, found, seen, span
from perijove.doctor.cluster.view import Cluster
from perijove.domain import cluster_ground_failures as rows
from perijove.domain.cluster import Thing, at, text
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding

DEFAULT = "storageclass.kubernetes.io/is-default-class"
PATIENCE = 120.0
"""Seconds that making a volume may take."""
_EXTERNAL = re.compile(r'external provisioner ["\']([^"\']+)["\']')
_NO_CLASS = "no storage class is set"


def unbound(cluster: Cluster) -> Iterator[Finding]:
    """Claims that wait, or whose volume is gone; then the pods that wait for them."""
    for claim in cluster.of("PersistentVolumeClaim"):
        phase = text(claim.status.get("phase"))
        if phase == "Lost":
            said = text(claim.spec.get("volumeName"))
            yield found(
                rows.PVC_LOST, f"{claim.said} was bound to {said or 'a volume'}, which is gone", claim.said,
                Confidence.CERTAIN, seen(f"{claim.said} status.phase", "Lost"),
                seen(f"{claim.said} spec.volumeName", said),
            )  # fmt: skip
        if phase == "Pending" and not claim.deleting:
            told = list(_pending(cluster, claim))
            yield from told
            if told:
                yield from _waiting(cluster, claim, told[-1].failure.kind)


def _waiting(cluster: Cluster, claim: Thing, because: Kind) -> Iterator[Finding]:
    for pod in cluster.pods:
        if pods.unplaced(pod) and claim in claims(cluster, pod):
            words, where = pods.why_unplaced(pod, cluster)
            yield found(
                rows.POD_WAITS_FOR_VOLUME, f"{pod.said} waits for {claim.said}", pod.said, Confidence.CERTAIN,
                seen(where or pod.said, words or "Pending"), because=because,
            )  # fmt: skip


def _pending(cluster: Cluster, claim: Thing) -> Iterator[Finding]:
    events = cluster.events(claim)
    words = " ".join(one.message for one in events)
    # FailedBinding and ExternalProvisioning are of type Normal.
    evidence = [seen(f"event {one.reason} of {one.said}", one.message) for one in events[:2]]
    said = claim.spec.get("storageClassName")
    name = None if said is None else text(said)
    state = seen(f"{claim.said} phase", f"Pending, spec.storageClassName {_said(name)}")
    classes = cluster.of("StorageClass")
    by_name = {one.name: one for one in classes}
    if name is None and (_NO_CLASS in words or (cluster.lacks("StorageClass") and not _defaults(classes))):
        yield from _classless(cluster, claim, [state, *evidence])
        return
    if any(one.reason == "WaitForFirstConsumer" for one in events[:1]):
        return
    if name and ((cluster.lacks("StorageClass") and name not in by_name) or _class_missing(words)):
        known = ", ".join(by_name) or "none"
        yield found(
            rows.STORAGECLASS_NOT_FOUND, f"{claim.said} names the class {text(name)}", claim.said, Confidence.CERTAIN,
            state, *evidence, seen("storage classes", known),
        )  # fmt: skip
        return
    if cluster.age(claim.created) < PATIENCE:
        return
    if name == "" or text(at(by_name.get(text(name), claim).raw, "provisioner")) == "kubernetes.io/no-provisioner":
        cause = f"{claim.said} waits for a volume that somebody makes by hand"
        yield found(rows.PVC_NO_VOLUME, cause, claim.said, Confidence.CERTAIN, state, *evidence)
        return
    yield from _unprovisioned(cluster, claim, words, [state, *evidence])


def _said(name: object) -> str:
    return "unset" if name is None else repr(text(name))


def _class_missing(words: str) -> bool:
    return "storageclass" in words and "not found" in words


def _defaults(classes: list[Thing]) -> list[Thing]:
    return [one for one in classes if text(one.annotations.get(DEFAULT)).lower() == "true"]


def _classless(cluster: Cluster, claim: Thing, evidence: list[Evidence]) -> Iterator[Finding]:
    classes = cluster.of("StorageClass")
    default = _defaults(classes)
    again = f"kubectl -n {claim.namespace} delete pvc {claim.name}   # then helm upgrade makes it anew"
    if default:
        there = seen(default[0].said, f"{DEFAULT}: true, since {text(default[0].metadata.get('creationTimestamp'))}")
        yield found(
            rows.PVC_NO_STORAGECLASS, f"{claim.said} was made before there was a default class", claim.said,
            Confidence.LIKELY, *evidence, there, commands=(again,),
        )  # fmt: skip
        return
    seen_classes = ", ".join(one.name for one in classes) or "there is no StorageClass object at all"
    none = seen(f"no StorageClass object with {DEFAULT}", seen_classes)
    marked = [change(one, {"metadata": {"annotations": {DEFAULT: "true"}}}) for one in classes[:3]]
    patch = [one.command for one in marked]
    install = (
        "# install a provisioner (local-path, nfs-subdir-external-provisioner) and mark its class as the default,",
        "# or for a Binder, which has no state worth keeping, do without:",
        hub(cluster, {"hub.db.type": "sqlite-memory"}),
    )
    commands = (*(patch or [f"kubectl annotate storageclass NAME {DEFAULT}=true   # if one exists"]), *install, again)
    yield found(
        rows.NO_DEFAULT_STORAGECLASS, f"{claim.said} names no class, and no class is the default", "StorageClass",
        Confidence.CERTAIN, *evidence, none, commands=commands, changes=marked if len(marked) == 1 else (),
    )  # fmt: skip
    cause = f"{claim.said} is Pending: no class makes its volume"
    yield found(
        rows.PVC_NO_STORAGECLASS, cause, claim.said, Confidence.CERTAIN, *evidence, because=rows.NO_DEFAULT_STORAGECLASS
    )


def _unprovisioned(cluster: Cluster, claim: Thing, words: str, evidence: list[Evidence]) -> Iterator[Finding]:
    since = span(cluster.age(claim.created))
    external = _EXTERNAL.search(words)
    log = _log(cluster, "selfLink was empty")
    provisioners = [one for one in cluster.pods if _provisions(one)]
    old = [one for one in provisioners if any("nfs-client-provisioner" in image for image in pods.images(one))]
    if (
        log is not None
        or "selfLink was empty" in words
        or (old and external and pods.ready(old[0]) and _modern(cluster))
    ):
        stands = [seen(f"{one.said} image", ", ".join(pods.images(one))) for one in old[:1]]
        sure = Confidence.CERTAIN if log is not None or "selfLink" in words else Confidence.LIKELY
        yield found(
            rows.PROVISIONER_TOO_OLD, f"{claim.said} waits since {since}", claim.said, sure, *evidence, *stands,
            *([log] if log is not None else []), *_versions(cluster),
            commands=("helm install nfs-subdir-external-provisioner "
                      "nfs-subdir-external-provisioner/nfs-subdir-external-provisioner",),
        )  # fmt: skip
    elif external is not None and not any(pods.ready(one) for one in provisioners):
        there = [seen(f"{one.said} status", pods.phase(one)) for one in provisioners[:2]]
        nobody = seen("pods of a provisioner", "none was seen")
        sure = Confidence.LIKELY if provisioners else Confidence.POSSIBLE
        yield found(
            rows.PROVISIONER_NOT_RUNNING, f"{claim.said} waits for {external[1]} since {since}", claim.said, sure,
            *evidence, *(there or [nobody]), commands=("kubectl get pods -A | grep provisioner",),
            surer_with="" if provisioners else "kubectl get pods -A -o yaml",
        )  # fmt: skip
    elif external is not None or any("ProvisioningFailed" in one.where for one in evidence):
        yield found(
            rows.PVC_PROVISIONING_FAILED, f"{claim.said} waits since {since}", claim.said, Confidence.LIKELY, *evidence,
            surer_with="the provisioner's log, in logs/",
        )  # fmt: skip


def _provisions(pod: Thing) -> bool:
    return "provisioner" in pod.name or any("provisioner" in image for image in pods.images(pod))


def _modern(cluster: Cluster) -> bool:
    """Whether a node's Kubernetes has no selfLink (1.20 and newer)."""
    versions = [re.match(r"v1\.(\d+)", text(at(one.status, "nodeInfo", "kubeletVersion"))) for one in cluster.nodes]
    return any(one is not None and int(one[1]) >= 20 for one in versions)


def _versions(cluster: Cluster) -> list[Evidence]:
    return [
        seen(f"{one.said} kubelet", text(at(one.status, "nodeInfo", "kubeletVersion"))) for one in cluster.nodes[:1]
    ]


def _log(cluster: Cluster, words: str) -> Evidence | None:
    for log in cluster.all_logs:
        line = next((one for one in log.lines if words in one), None)
        if line is not None:
            return seen(log.name, line)
    return None
