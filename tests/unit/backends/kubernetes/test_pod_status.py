"""What a pod stands for, on statuses that were recorded from clusters."""

from __future__ import annotations

from typing import Any

import pytest

from perijove.backends.kubernetes.manifests import SESSION
from perijove.backends.kubernetes.pod_status import end, removed, slow, waits
from perijove.domain.cluster import Thing
from perijove.domain.nouns import EndReason

Json = dict[str, Any]


def pod(status: Json, **metadata: Any) -> Thing:
    about = {"name": "perijove-one", "namespace": "sessions", "labels": {SESSION: "one"}, **metadata}
    spec = {"nodeName": "node1"} if status.get("hostIP") or status.get("phase") == "Failed" else {}
    return Thing({"kind": "Pod", "metadata": about, "spec": spec, "status": status})


def unplaced(message: str) -> Json:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [scheduled], "qosClass": "Burstable"}


def stuck(reason: str, message: str = "") -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    one = {"name": "server", "ready": False, "restartCount": 0, "started": False, "state": state}
    return {"phase": "Pending", "hostIP": "10.0.0.111", "containerStatuses": [one]}


def over(reason: str, code: int, message: str = "") -> Json:
    state = {"terminated": {"reason": reason, "exitCode": code, "message": message}}
    return {"phase": "Failed", "containerStatuses": [{"name": "server", "state": state}]}


def event(message: str, reason: str = "Failed") -> Thing:
    return Thing({"kind": "Event", "reason": reason, "message": message})


UNNAMED = "0/3 nodes are available: 3 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3"
CORDONED = "0/1 nodes are available: 1 node(s) were unschedulable."
OTHER = "0/1 nodes are available: 1 of another kind."
DISK = 'Usage of EmptyDir volume "tmp" exceeds the limit "16Mi".'
LOW = (
    "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. Container server was"
    " using 5Gi, request is 8Gi, has larger consumption of ephemeral-storage. "
)
TAINTED = (
    "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 3 node(s) had"
    " untolerated taint {hub.jupyter.org/dedicated: user}. preemption: 0/4 nodes are available: 4 Preemption is not"
    " helpful for scheduling."
)
FULL = (
    "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {node-role.kubernetes.io/"
    "control-plane: }. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod."
)
NO_USERS = (  # kubelet 1.33
    "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces"
)
NO_IDMAP = (  # containerd 2.1.9 with runc 1.1.5
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create containerd task: failed to"
    " validate OCI runtime features: idmap mounts not supported: missing `mountExtensions.idmap` entry in `features`"
)
LIMITED = (
    "failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/x/manifests/"
    "sha256:50aa: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
)
WAITS = {
    "full": (unplaced(FULL), [], "cluster.pod-unschedulable-full", False),
    "tainted": (unplaced(TAINTED), [], "cluster.taint-untolerated", False),
    "tainted, unnamed": (unplaced(UNNAMED), [], "cluster.taint-untolerated", False),
    "cordoned": (unplaced(CORDONED), [], "cluster.nodes-cordoned", False),
    "no nodes": (unplaced("no nodes available to schedule pods"), [], "cluster.pod-unschedulable-full", False),
    "no rule": (unplaced(OTHER), [], "cluster.pod-unschedulable-resource", False),
    "limited": (stuck("ImagePullBackOff"), [event(f"Failed to pull image: {LIMITED}")],
                "cluster.image-pull-rate-limited", False),
    "no registry": (stuck("ErrImagePull", "dial tcp: lookup registry: no such host"), [],
                    "cluster.registry-unreachable", False),
    "no image": (stuck("ErrImagePull", "manifest unknown"), [], "cluster.image-not-found", True),
    "unknown pull": (stuck("ImagePullBackOff", "Back-off"), [], "cluster.image-pull-failed", False),
    "no secret yet": (stuck("CreateContainerConfigError", 'secret "perijove-one" not found'), [],
                      "cluster.mount-object-missing", False),
    "old runtime": (stuck("ContainerCreating"), [event(NO_USERS, "FailedCreatePodSandBox")],
                    "cluster.session-cannot", True),
    "old runc": (stuck("ContainerCreating"), [event(NO_IDMAP, "FailedCreatePodSandBox")],
                 "cluster.session-cannot", True),
    "runtime": (stuck("RunContainerError", "oci"), [], "cluster.container-start-failed", True),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_why_a_pod_waits_and_whether_that_passes(name: str) -> None:
    status, events, code, lasting = WAITS[name]
    told = waits(pod(status), events)
    assert told is not None
    assert (told.failure.kind.code, told.lasting) == (code, lasting)
    assert told.failure.evidence[0].saw


def test_why_an_image_is_not_pulled_is_told_however_often_it_is_named_before() -> None:
    image = f"registry.example.org/project/perijove@sha256:{'d' * 64}"
    words = (  # containerd 1.6.20
        f'Failed to pull image "{image}": rpc error: code = Unknown desc = failed to pull and unpack image "{image}":'
        f' failed to resolve reference "{image}": failed to do request: Head "https://registry.example.org/v2/project/'
        f'perijove/manifests/sha256:{"d" * 64}": dial tcp 192.0.2.7:443: connect: connection refused'
    )
    told = waits(pod(stuck("ImagePullBackOff", "Back-off")), [event(words)])
    assert told is not None
    assert told.failure.evidence[0].saw.startswith(f'Failed to pull image "{image[:60]}')
    assert told.failure.evidence[0].saw.endswith("connection refused")


@pytest.mark.parametrize("status", [{"phase": "Pending"}, stuck("ContainerCreating"), {"phase": "Running"}])
def test_a_pod_that_is_on_its_way_waits_for_nothing(status: Json) -> None:
    assert waits(pod(status), []) is None
    assert end(pod(status)) is None


def test_what_nobody_knows_is_told_as_it_stands() -> None:
    failure = slow(pod(stuck("ContainerCreating")), [event("MountVolume.SetUp failed", "FailedMount")], 300)
    assert failure.kind.code == "cluster.pod-start-slow"
    assert [one.saw for one in failure.evidence] == ["ContainerCreating", "MountVolume.SetUp failed"]


ENDS = {
    "memory": (over("OOMKilled", 137), EndReason.MEMORY, 137),
    "crash": (over("Error", 1, "Traceback\nModuleNotFoundError"), EndReason.EXITED, 1),
    "killed": (over("Error", 137), EndReason.EXITED, -9),
    "no command": (over("StartError", 128, "exec: no such file"), EndReason.FAILED_START, None),
    "disk": ({"phase": "Failed", "reason": "Evicted", "message": DISK}, EndReason.DISK, None),
    "the node's disk": ({"phase": "Failed", "reason": "Evicted", "message": LOW}, EndReason.PAD_LOST, None),
    "unread": ({"phase": "Failed"}, EndReason.EXITED, None),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_how_it_ended(name: str) -> None:
    status, reason, code = ENDS[name]
    told = end(pod(status))
    assert told is not None
    assert (told.reason, told.code) == (reason, code)


def test_its_last_words_come_with_its_end() -> None:
    told = end(pod(over("Error", 1, "Traceback\nModuleNotFoundError")))
    assert told is not None
    assert told.lines == ("Traceback", "ModuleNotFoundError")


def test_one_that_is_being_ended_is_nobody_s_crash() -> None:
    marked = pod(over("Error", 143), deletionTimestamp="2026-03-10T09:00:00Z")
    assert end(marked) is None
    assert removed(marked).reason is EndReason.STOPPED
