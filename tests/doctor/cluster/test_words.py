"""Words of other programs, as their sources write them: what the doctor makes of each."""

from __future__ import annotations

import pytest

from tests.doctor.cluster.world import (
    Broken,
    ago,
    certificate,
    challenge,
    codes,
    event,
    order,
    pod,
    request,
    waiting,
)

USER = "jupyter-b"


def challenged(words: str) -> Broken:
    return Broken((certificate(False), request(), order(), challenge(words, "invalid")))


def ordered(words: str) -> Broken:
    return Broken((certificate(False), request(), order("errored", f"Failed to create Order: {words}")))


def unpulled(words: str) -> Broken:
    stuck = waiting(USER, "ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {words}')
    return Broken((stuck, event(stuck, "Failed", f'Failed to pull image "x": {words}')))


def evicted(words: str) -> Broken:
    gone = pod(USER, "singleuser-server", age=900)
    return Broken((gone | {"status": {"phase": "Failed", "reason": "Evicted", "message": words}},))


def refused(words: str, age: float = 600) -> Broken:
    begun = f"[E {ago(age)} JupyterHub user:1019] Unhandled error starting ada's server: (403)\n"
    said = words.replace('"', '\\"')
    return Broken(logs={"hub.log": f'{begun}{{"kind":"Status","message":"{said}","reason":"Forbidden","code":403}}\n'})


def stored(words: str, age: float = 600, times: int = 1) -> Broken:
    return Broken(logs={"hub.log": f"{ago(age)} rpc error: code = Unavailable desc = {words}\n" * times})


CAA, STORAGE, QUOTA = "cluster.acme-caa", "cluster.pod-storage-limit", "cluster.resource-quota-exceeded"
PULL = 'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/x/y:1"'
FORBIDDEN = 'pods "jupyter-ada" is forbidden: '
WORDS = {
    "boulder va/caa.go, checkCAA": (challenged(
        "403 urn:ietf:params:acme:error:caa: While processing CAA for binder.example: CAA record for example prevents "
        "issuance"), CAA, "do not let this CA"),
    "boulder va/caa.go, processRemoteCAAResults": (challenged(
        "403 urn:ietf:params:acme:error:caa: During secondary CAA checking: While processing CAA for binder.example: "
        "CAA record for binder.example prevents issuance"), CAA, "do not let this CA"),
    "boulder bdns/problem.go, Error": (challenged(
        "400 urn:ietf:params:acme:error:dns: While processing CAA for binder.example: DNS problem: SERVFAIL looking up "
        "CAA for binder.example - the domain's nameservers may be malfunctioning"), CAA, "got no answer"),
    "boulder bdns/problem.go, Error, timeout": (challenged(
        "400 urn:ietf:params:acme:error:dns: DNS problem: query timed out looking up CAA for example"), CAA, "no ans"),
    "boulder ra/ra.go, recheckCAA": (ordered(
        '403 urn:ietf:params:acme:error:caa: Rechecking CAA for "binder.example" and 1 more identifiers failed. Refer '
        "to sub-problems for more information"), CAA, "do not let this CA"),
    "boulder policy/pa.go; a name with a number": (ordered(
        '400 urn:ietf:params:acme:error:rejectedIdentifier: Cannot issue for "lab429.local": Domain name does not end '
        "with a valid public suffix (TLD)"), "cluster.acme-name-refused", "does not issue"),
    "containerd core/images/image.go, Manifest": (unpulled(
        f"{PULL}: no match for platform in manifest: not found"), "cluster.image-other-architecture", ""),
    "containers/image internal/manifest/oci_index.go": (unpulled(
        'choosing image instance: no image found in image index for architecture "arm64", variant "v8", OS "linux"'),
        "cluster.image-other-architecture", ""),
    "containers/image internal/manifest/docker_schema2_list.go": (unpulled(
        'choosing image instance: no image found in manifest list for architecture "arm64", variant "v8", OS "linux"'),
        "cluster.image-other-architecture", ""),
    "etcd api/v3rpc/rpctypes/error.go, ErrGRPCNoSpace": (stored(
        "etcdserver: mvcc: database space exceeded", 7200), "cluster.api-store-ill", "database is full"),
    "etcd api/v3rpc/rpctypes/error.go, ErrGRPCUnhealthy": (stored(
        "etcdserver: unhealthy cluster", 7200), "cluster.api-store-ill", "what etcd says"),
    "etcd api/v3rpc/rpctypes/error.go, ErrGRPCTimeoutDueToLeaderFail": (stored(
        "etcdserver: request timed out, possibly due to previous leader failure", 7200, 3),
        "cluster.api-store-ill", ""),
    "etcd api/v3rpc/rpctypes/error.go, ErrGRPCLeaderChanged": (stored(
        "etcdserver: leader changed", 7200), "", ""),
    "kubernetes pkg/kubelet/eviction/helpers.go, nodeLowMessageFmt": (evicted(
        "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. Container notebook "
        "was using 5Gi, request is 0, has larger consumption of ephemeral-storage. "), "cluster.pods-evicted", ""),
    "kubernetes pkg/kubelet/eviction/helpers.go, nodeConditionMessageFmt": (evicted(
        "The node had condition: [DiskPressure]. "), "cluster.pods-evicted", ""),
    "kubernetes pkg/kubelet/eviction/helpers.go, containerEphemeralStorageMessageFmt": (evicted(
        'Container notebook exceeded its local ephemeral storage limit "10Gi". '), STORAGE, "ephemeral-storage"),
    "kubernetes pkg/kubelet/eviction/helpers.go, podEphemeralStorageMessageFmt": (evicted(
        "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. "), STORAGE,
        "ephemeral-storage"),
    "kubernetes pkg/kubelet/eviction/helpers.go, emptyDirMessageFmt": (evicted(
        'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '), STORAGE, "sizeLimit of the emptyDir scratch"),
    "kubernetes plugin/pkg/admission/resourcequota/controller.go, exceeded": (refused(
        f"{FORBIDDEN}exceeded quota: compute, requested: limits.memory=2Gi, used: limits.memory=31Gi, limited: "
        "limits.memory=32Gi"), QUOTA, "is exceeded"),
    "kubernetes pkg/quota/v1/evaluator/core/pods.go, Constraints": (refused(
        f"{FORBIDDEN}failed quota: compute: must specify limits.cpu for: notebook; limits.memory for: notebook"), QUOTA,
        "limit: 2G"),
    "kubernetes pkg/quota/v1/evaluator/core/pods.go, Constraints, as it was": (refused(
        f"{FORBIDDEN}failed quota: compute: must specify limits.ephemeral-storage"), QUOTA, "extraResource"),
    "kubernetes pkg/quota/v1/evaluator/core/pods.go, Constraints, of a build": (refused(
        f"{FORBIDDEN}failed quota: compute: must specify requests.cpu for: builder"), QUOTA, '"kind": "LimitRange"'),
    "kubernetes plugin/pkg/admission/resourcequota/controller.go, hasUsageStats": (refused(
        f"{FORBIDDEN}status unknown for quota: compute, resources: limits.cpu,limits.memory"), QUOTA,
        "has not been counted"),
}  # fmt: skip


@pytest.mark.parametrize("source", WORDS)
def test_what_a_source_writes_is_known_by_its_very_words(source: str) -> None:
    broken, code, said = WORDS[source]
    roots = [one.finding for one in broken.seen().told]
    assert (code in codes(broken.seen().told)) if code else not roots
    words = " ".join(f"{one.failure.cause} {one.failure.remedy} {one.commands}" for one in roots)
    assert said in words
