"""Images, places, volumes, mounts, nodes: a healthy cluster with one of them broken, in the words that others met."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.doctor.cluster.world import (
    HUB_POD,
    Broken,
    Json,
    claim,
    codes,
    condition,
    event,
    node,
    pod,
    thing,
    unplaced,
    waiting,
)  # fmt: skip

USER = "jupyter-b"


@dataclass(frozen=True)
class Case:
    """What was seen is in `broken`; every code that is told, roots first, and words of the evidence."""

    broken: Broken
    told: tuple[str, ...]
    cites: str

    def check(self) -> None:
        told = self.broken.seen().told
        assert tuple(codes(told)) == self.told
        assert len(told) == 1, "one root cause"
        assert self.cites in " ".join(f"{one.where}: {one.saw}" for one in told[0].finding.failure.evidence)


def unpulled(words: str, image: str = "registry.example.org/binder/x:1", **more: object) -> Broken:
    stuck = waiting(USER, "ImagePullBackOff", f'Back-off pulling image "{image}"', image=image, **more)
    return Broken((stuck, event(stuck, "Failed", f'Failed to pull image "{image}": {words}')))


def mounted(words: str, reason: str = "FailedMount", *more: Json, age: float = 400) -> Broken:
    stuck = waiting(USER, "ContainerCreating", age=age)
    return Broken((stuck, event(stuck, reason, words), *more))


ACCOUNT = {"imagePullSecrets": [{"name": "account"}]}
PULLS = [
    Case(
        unpulled("429 Too Many Requests - Server message: toomanyrequests: You have reached your limit.", "x:1"),
        ("cluster.dockerhub-anonymous-pulls", "cluster.image-pull-rate-limited"), "toomanyrequests",
    ),
    Case(
        unpulled(
            "toomanyrequests: You have reached your pull rate limit.", "x:1",
            spec=ACCOUNT,
        ),
        ("cluster.image-pull-rate-limited",), "account",
    ),
    Case(
        unpulled(
            "failed to fetch anonymous token: unexpected status from GET request to "
            "https://ghcr.io/token?scope=x: 401 Unauthorized", "ghcr.io/binder/x:1",
        ),
        ("cluster.pull-secret-missing", "cluster.image-pull-unauthorized"), "imagePullSecrets: absent",
    ),
    Case(
        unpulled("denied: requested access to the resource is denied", spec=ACCOUNT),
        ("cluster.image-pull-unauthorized",), "requested access to the resource is denied",
    ),
    Case(
        unpulled("http: server gave HTTP response to HTTPS client"),
        ("cluster.registry-plain-http",), "HTTP response",
    ),
    Case(
        unpulled("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        ("cluster.registry-untrusted",), "unknown authority",
    ),
    Case(
        unpulled("dial tcp: lookup registry.example.org on 10.96.0.10:53: no such host"),
        ("cluster.registry-unreachable",), "no such host",
    ),
    Case(unpulled("manifest unknown: manifest unknown"), ("cluster.image-not-found",), "manifest unknown"),
    Case(unpulled("something that nobody wrote down yet"), ("cluster.image-pull-failed",), "ImagePullBackOff"),
]  # fmt: skip


@pytest.mark.parametrize("case", PULLS, ids=lambda case: case.cites)
def test_images_that_do_not_come(case: Case) -> None:
    case.check()


def test_a_pull_that_takes_long_is_told_before_it_fails() -> None:
    stuck = waiting(USER, "ContainerCreating")
    told = Broken((stuck, event(stuck, "Pulling", 'Pulling image "big"', "Normal", age=300))).seen()
    assert codes(told.told) == ["cluster.image-pull-slow"]


def test_an_image_that_came_at_the_second_try_gives_nothing() -> None:
    came = pod(USER, "singleuser-server", age=400)
    told = Broken((came, event(came, "Failed", 'Failed to pull image "x": manifest unknown', age=350)))
    assert told.seen().well


MOUNTS = [
    Case(
        mounted("Output: mount.nfs: access denied by server while mounting nfs-server-01:/export/home-01/homes/"),
        ("cluster.nfs-access-denied",), "access denied by server",
    ),
    Case(
        mounted(
            "mount.nfs: mounting nfs-server-01:/export/home-01/homes/demo failed, reason given by server: "
            "No such file or directory"
        ),
        ("cluster.nfs-path-missing",), "/export/home-01/homes/demo",
    ),
    Case(mounted("Output: mount.nfs: Connection timed out"), ("cluster.nfs-unreachable",), "Connection timed out"),
    Case(
        mounted("mkdir /var/lib/kubelet/pods/x/volumes: read-only file system"), ("cluster.node-filesystem-readonly",),
        "read-only file system",
    ),
    Case(
        mounted("applyFSGroup failed for vol pvc-1: lstat /var/lib/kubelet/x/.gsutil: input/output error"),
        ("cluster.volume-io-error",), "input/output error",
    ),
    Case(
        mounted(
            'failed to setup network for sandbox "x": plugin type="calico" failed (add): connection refused',
            "FailedCreatePodSandBox",
        ),
        ("cluster.node-network-broken",), "calico",
    ),
    Case(mounted("an engine of volumes that nobody knows says no"), ("cluster.volume-mount-failed",), "says no"),
    Case(
        mounted("write /var/lib/kubelet/x: no space left on device"),
        ("cluster.node-disk-pressure",), "no space left on device",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", MOUNTS, ids=lambda case: case.cites)
def test_volumes_that_are_not_mounted(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", MOUNTS, ids=lambda case: case.cites)
def test_what_was_said_of_a_pod_that_runs_now_gives_nothing(case: Case) -> None:
    runs = pod(USER, "singleuser-server", age=400)
    assert Broken((runs, *case.broken.add[1:])).seen().well


def test_a_volume_that_a_lost_node_holds_is_told_with_who_holds_it() -> None:
    volume = [{"name": "pvc", "persistentVolumeClaim": {"claimName": "hub-db-dir"}}]
    stuck = waiting("hub-2", "ContainerCreating", component="hub", volumes=volume)
    words = 'Multi-Attach error for volume "pv1" Volume is already used by pod(s) hub-1'
    holds = HUB_POD | {"spec": HUB_POD["spec"] | {"nodeName": "node2"}}
    told = Broken((stuck, event(stuck, "FailedAttachVolume", words), holds)).seen().told
    assert "cluster.volume-multi-attach" in codes(told)
    lost = node("node2")
    lost["status"]["conditions"][0] = condition(
        "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting", 3600
    )
    told = Broken((stuck, event(stuck, "FailedAttachVolume", words), holds, lost)).seen().told
    assert codes(told)[0] == "cluster.node-not-ready"
    assert "cluster.volume-multi-attach" in codes(told[:1]), "what the lost node explains is folded under it"


@pytest.mark.parametrize(
    ("socket", "root"),
    [
        ("/var/run/docker.sock", "cluster.builder-needs-docker"),
        ("/var/run/dind/docker.sock", "cluster.build-dind-down"),
    ],
)
def test_a_build_without_its_docker(socket: str, root: str) -> None:
    stuck = waiting("build-x", "ContainerCreating", component="binderhub-build")
    words = f'MountVolume.SetUp failed for volume "docker-socket": hostPath type check failed: {socket} is not a socket'
    Case(
        Broken((stuck, event(stuck, "FailedMount", words))),
        (root, "cluster.build-docker-socket-missing"),
        "containerd://1.7.27",
    ).check()


CORDONED = "0/2 nodes are available: 2 node(s) were unschedulable."
NO_CLAIMS = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful."
"""What newer schedulers end with."""
CLOSED = tuple(node(name, spec={"unschedulable": True}) for name in ("node1", "node2"))


PLACES = [
    Case(
        Broken((unplaced(USER, CORDONED), *CLOSED)),
        ("cluster.nodes-cordoned",), "unschedulable",
    ),
    Case(
        Broken((
            unplaced(
                USER, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
                spec={"nodeSelector": {"pool": "users"}},
            ),
        )),
        ("cluster.node-selector-mismatch",), "pool=users",
    ),
    Case(
        Broken((unplaced(USER, "0/2 nodes are available: 2 node(s) had untolerated taint {dedicated: gpu}."),)),
        ("cluster.taint-untolerated",), "dedicated",
    ),
    Case(
        Broken((
            unplaced(USER, f"0/2 nodes are available: 2 node(s) had untolerated taint(s). {NO_CLAIMS}"),
            *(node(name, spec={"taints": [{"key": "lab/dedicated", "value": "gpu", "effect": "NoSchedule"}]})
              for name in ("node1", "node2")),
        )),
        ("cluster.taint-untolerated",), "lab/dedicated=gpu",
    ),
    Case(
        Broken((unplaced(USER, "0/2 nodes are available: 2 Too many pods."),)), ("cluster.node-pod-limit",), "110",
    ),
    Case(
        Broken((unplaced(USER, "0/2 nodes are available: 2 node(s) had volume node affinity conflict."),)),
        ("cluster.volume-on-other-node",), "volume node affinity conflict",
    ),
    Case(
        Broken((unplaced("hook-image-puller-2", CORDONED, component="hook-image-puller"), *CLOSED)),
        ("cluster.nodes-cordoned", "cluster.hook-image-puller-stuck"), "unschedulable",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", PLACES, ids=lambda case: f"{case.told[-1]}")
def test_pods_without_a_place(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("condition_of", ["MemoryPressure", "PIDPressure", "DiskPressure", "NetworkUnavailable"])
def test_a_node_that_says_that_it_is_not_well(condition_of: str) -> None:
    rows = {
        "MemoryPressure": "cluster.node-memory-pressure", "PIDPressure": "cluster.node-pid-pressure",
        "DiskPressure": "cluster.node-disk-pressure", "NetworkUnavailable": "cluster.node-network-broken",
    }  # fmt: skip
    ill = node("node2")
    ill["status"]["conditions"] = [condition("Ready"), condition(condition_of, "True", "Kubelet", "it says so")]
    Case(Broken((ill,)), (rows[condition_of],), "it says so").check()


def test_a_node_that_says_nothing_any_more_and_one_without_an_address() -> None:
    lost = node("node2")
    lost["status"]["conditions"] = [
        condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    ]
    Case(Broken((lost,)), ("cluster.node-not-ready",), "stopped posting").check()
    nameless = node("node2")
    nameless["status"]["addresses"] = [{"type": "Hostname", "address": "node2"}]
    Case(Broken((nameless,)), ("cluster.node-without-address",), "Hostname").check()


def test_a_node_that_killed_processes_lately() -> None:
    said = event(node("node2"), "SystemOOM", "System OOM encountered, victim process: python, pid: 1", age=300)
    Case(Broken((said,)), ("cluster.node-out-of-memory",), "victim process").check()


def test_a_quota_that_counts_pods_which_are_gone_explains_what_it_forbids() -> None:
    quota = thing("ResourceQuota", "pods", {}, {"hard": {"pods": "300"}, "used": {"pods": "300"}})
    refused = event(
        thing("ReplicaSet", "hub-9"), "FailedCreate",
        'pods "hub-9-x" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=300, limited: pods=300',
    )  # fmt: skip
    assert codes(Broken((refused,)).seen().told) == ["cluster.resource-quota-exceeded"]
    broken = Broken((quota, refused))
    told = broken.seen().told
    assert set(codes(told)) <= {"cluster.resource-quota-miscounted", "cluster.resource-quota-exceeded"}


def pending(words: str, reason: str = "ProvisioningFailed", **more: object) -> tuple[Json, Json, Json]:
    waits = claim("new", phase="Pending", spec={"volumeName": None, **more}, age=3600)
    user = unplaced(USER, "pod has unbound immediate PersistentVolumeClaims.", volumes=[
        {"name": "home", "persistentVolumeClaim": {"claimName": "new"}}
    ])  # fmt: skip
    return waits, event(waits, reason, words, "Normal"), user


EXTERNAL = 'waiting for a volume to be created, either by external provisioner "cluster.local/nfs" or manually'
VOLUMES = [
    Case(
        Broken(pending('storageclass.storage.k8s.io "fast" not found', storageClassName="fast")),
        ("cluster.storageclass-not-found", "cluster.pod-waits-for-volume"), "fast",
    ),
    Case(
        Broken(pending("no", storageClassName="")),
        ("cluster.pvc-no-volume", "cluster.pod-waits-for-volume"), "storageClassName ''",
    ),
    Case(
        Broken(pending(EXTERNAL, "ExternalProvisioning")),
        ("cluster.provisioner-not-running", "cluster.pod-waits-for-volume"), "cluster.local/nfs",
    ),
    Case(
        Broken(pending(
            'provision "default/pvc1" class "managed-nfs-storage": unexpected error getting claim reference: '
            "selfLink was empty, can't make reference"
        )),
        ("cluster.provisioner-too-old", "cluster.pod-waits-for-volume"), "selfLink was empty",
    ),
    Case(
        Broken(pending("failed to provision volume: rpc error: code = Internal desc = no such pool")),
        ("cluster.pvc-provisioning-failed", "cluster.pod-waits-for-volume"), "no such pool",
    ),
    Case(Broken((claim("old", phase="Lost"),)), ("cluster.pvc-lost",), "Lost"),
]  # fmt: skip


@pytest.mark.parametrize("case", VOLUMES, ids=lambda case: case.told[0])
def test_claims_that_stay_without_a_volume(case: Case) -> None:
    case.check()


def test_a_claim_that_waits_for_its_first_pod_gives_nothing() -> None:
    waits = claim("new", phase="Pending", spec={"volumeName": None})
    words = "waiting for first consumer to be created before binding"
    assert Broken((waits, event(waits, "WaitForFirstConsumer", words, "Normal"))).seen().well
