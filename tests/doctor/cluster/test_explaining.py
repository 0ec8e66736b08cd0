"""Which finding follows from which: by what objects need, in the order of time, less surely by what was inferred."""

from __future__ import annotations

import pytest

from perijove.doctor.cluster.explaining import MAY_FOLLOW
from perijove.doctor.cluster.graph import Graph
from perijove.doctor.cluster.view import Cluster
from perijove.domain.cluster_ground_failures import NO_RULE
from perijove.domain.findings import Confidence
from tests.doctor.cluster.world import (
    Broken,
    Json,
    ago,
    b64,
    claim,
    codes,
    condition,
    crashing,
    event,
    healthy,
    node,
    pod,
    recording,
    secret,
    settings,
    thing,
    unplaced,
    waiting,
)  # fmt: skip

TIMEOUT = "[E {at} launcher:208] Error creating user x: HTTP 599: Timeout while connecting"
LOST = node("node1")
LOST["status"]["conditions"][0] = condition("Ready", "Unknown", "NodeStatusUnknown", age=600)
UNREADY_HUB = pod("hub-1", "hub", container="hub")
UNREADY_HUB["status"]["conditions"][1] = condition("Ready", "False", age=590)


def said(at: str) -> dict[str, str]:
    return {"logs/binder.log": TIMEOUT.format(at=at)}


def test_a_node_that_was_lost_before_explains_what_its_hub_does_not_answer() -> None:
    told = Broken((LOST, UNREADY_HUB), logs=said("260310 08:55:56")).seen().told
    (lost,) = (one for one in told if one.finding.code == "cluster.node-not-ready")
    assert {"cluster.hub-not-ready", "cluster.hub-api-timeout", "cluster.launches-fail"} <= set(codes([lost]))


def test_a_node_that_was_lost_later_explains_nothing_of_before() -> None:
    roots = {one.finding.code for one in Broken((LOST,), logs=said("260310 07:00:00")).seen().told}
    assert roots == {"cluster.node-not-ready", "cluster.hub-api-timeout"}


def test_a_node_that_carries_nothing_of_the_hub_explains_nothing() -> None:
    other = node("node2")
    other["status"]["conditions"][0] = condition("Ready", "Unknown", age=86400)
    roots = {one.finding.code for one in Broken((other,), logs=said("260310 08:55:56")).seen().told}
    assert roots == {"cluster.node-not-ready", "cluster.hub-api-timeout"}


def test_what_was_inferred_makes_it_less_sure() -> None:
    binder = pod("binder-1", "binder", node="node2")
    made = Broken((settings(hub_url=None, hub_url_local=None), binder, LOST, UNREADY_HUB), logs=said("260310 08:55:56"))
    (lost,) = (one for one in made.seen().told if one.finding.code == "cluster.node-not-ready")
    (unready,) = lost.explains
    assert (unready.finding.code, unready.finding.follows) == ("cluster.hub-not-ready", Confidence.CERTAIN)
    (timeout,) = unready.explains
    assert (timeout.finding.code, timeout.finding.follows) == ("cluster.hub-api-timeout", Confidence.LIKELY)


NFS = (
    "MountVolume.SetUp failed: exit status 32 Mounting arguments: -t nfs 10.0.0.9:/srv/{0} /x Output: mount.nfs: "
    "Connection timed out"
)


def nfs() -> tuple[Json, ...]:
    """A server of files that is gone: users' pods, the hub's and the provisioner's wait for it."""
    volumes = [{"name": "x", "nfs": {"server": "10.0.0.9", "path": "/srv"}}]
    them = [
        waiting("jupyter-b", "ContainerCreating", volumes=volumes),
        waiting("jupyter-c", "ContainerCreating", volumes=volumes),
        waiting("nfs-subdir-external-provisioner-1", "ContainerCreating", component="", volumes=volumes),
    ]  # fmt: skip
    wants = claim("claim-ada", phase="Pending", spec={"storageClassName": "nfs-client", "volumeName": None})
    made_by = thing("StorageClass", "nfs-client", namespace="", provisioner="k8s.io/nfs-subdir-external-provisioner",
                    api="storage.k8s.io/v1")  # fmt: skip
    told = [event(one, "FailedMount", NFS.format(number)) for number, one in enumerate(them)]
    words = (
        "waiting for a volume to be created, either by external provisioner 'k8s.io/nfs-subdir-external-provisioner'"
    )
    return (*them, *told, wants, made_by, event(wants, "ExternalProvisioning", words, "Normal"))


def test_a_server_of_files_that_is_gone_is_one_root() -> None:
    (root,) = Broken(nfs()).seen().told
    assert (root.finding.code, root.finding.subject) == ("cluster.nfs-unreachable", "NFS 10.0.0.9")
    (waits,) = root.explains
    assert (waits.finding.code, waits.finding.follows) == ("cluster.provisioner-not-running", Confidence.LIKELY)


def test_nodes_that_a_cleaner_left_cordoned_follow_from_it() -> None:
    closed = [node(name, spec={"unschedulable": True}) for name in ("node1", "node2")]
    words = "0/2 nodes are available: 2 node(s) were unschedulable."
    cleaner = crashing("cleaner-1", component="image-cleaner", container="image-cleaner")
    (root,) = Broken((*closed, unplaced("jupyter-b", words), cleaner)).seen().told
    assert codes([root])[:2] == ["cluster.pod-crashloop", "cluster.nodes-cordoned"]


def test_a_token_that_changed_is_one_root_with_whose_it_is() -> None:
    changed = secret("binder-secret", values__yaml=b64("config: {}"))
    written = {"manager": "helm", "time": ago(600), "fieldsV1": {"f:data": {}}}
    changed["metadata"]["managedFields"] = [written]
    log = {"logs/binder.log": "[E 260310 08:55:56 launcher:208] Error creating user x: HTTP 403: Forbidden"}
    (root,) = Broken((changed,), logs=log).seen().told
    assert root.finding.code == "cluster.hub-api-token-refused"
    assert "cluster.tokens-change-at-restart" in codes([root])
    then = "then Pod binderhub/binder-1 is made anew; builds and launches under way break off"
    assert f"kubectl -n binderhub delete pod binder-1   # {then}" in root.finding.commands


def test_no_failure_follows_from_itself_and_what_nobody_knows_from_nothing() -> None:
    assert all(kind not in causes for kind, causes in MAY_FOLLOW.items())
    assert NO_RULE not in MAY_FOLLOW


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("Ingress binderhub/binderhub", "IngressClass nginx"),
        ("Certificate binderhub/binder-tls", "Challenge binderhub/binder-tls-1-9-7"),
        ("Certificate binderhub/binder-tls", "ClusterIssuer letsencrypt"),
        ("Pod binderhub/hub-1", "PersistentVolume pv1"),
        ("Pod binderhub/binder-1", "Pod binderhub/hub-1"),
        ("Secret binderhub/binder-tls", "cert-manager"),
        ("Service kube-system/kube-dns", "Pod kube-system/coredns-1"),
    ],
)
def test_the_graph_leads_from_what_suffers_to_what_it_needs(begin: str, end: str) -> None:
    graph = Graph(Cluster(recording(healthy())))
    assert end in graph.reached([begin])


def test_what_is_needed_does_not_need_those_who_need_it() -> None:
    graph = Graph(Cluster(recording(healthy())))
    for kind in ("Node node1", "PersistentVolume pv1", "StorageClass local-path", "IngressClass nginx"):
        reached = graph.reached([kind])
        assert kind in reached
        assert not any(name.startswith(("Pod binderhub", "Ingress ")) for name in reached)
