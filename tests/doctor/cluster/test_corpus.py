"""Words that other deployments met, as they are on record: what the doctor makes of a cluster that says them.

By group: D scheduling, G network and names, J nodes, K what runs out, and launches (A), builds (B), certificates (H).
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.doctor.cluster.world import (
    DAY,
    Broken,
    certificate,
    challenge,
    condition,
    event,
    node,
    order,
    pod,
    request,
    unplaced,
    waiting,
)

USER = "jupyter-b"


@dataclass(frozen=True)
class Row:
    """A line of the record, where it was published, and what it comes to."""

    name: str
    source: str
    broken: Broken
    code: str
    words: str
    """Verbatim, and to be cited."""


def mounting(reason: str, words: str) -> Broken:
    stuck = waiting(USER, "ContainerCreating", age=400)
    return Broken((stuck, event(stuck, reason, words)))


def of_node(reason: str, words: str) -> Broken:
    return Broken((node(), event(node(), reason, words)))


def challenged(words: str, state: str = "invalid") -> Broken:
    return Broken((certificate(False), request(), order(), challenge(words, state)))


def evicted(words: str) -> Broken:
    """A user's pod that was thrown out an hour ago."""
    gone = pod(USER, "singleuser-server", age=DAY)
    over = condition("Ready", "False", "PodFailed", age=3600)
    gone["status"] = {"phase": "Failed", "reason": "Evicted", "message": words, "conditions": [over]}
    return Broken((gone,))


def lost() -> Broken:
    silent = node()
    words = "Kubelet stopped posting node status."
    silent["status"]["conditions"] = [condition("Ready", "Unknown", "NodeStatusUnknown", words)]
    return Broken((silent,))


MEMORY = "0/3 nodes are available: 3 Insufficient memory."
AFFINITY = "4 node(s) didn't match Pod's node affinity/selector"
TAINTED = "1 node(s) had taint {node.kubernetes.io/unreachable: }, 2 node(s) had volume node affinity conflict."
CNI = "CNI failed to retrieve network namespace path: cannot find network namespace for the terminated container"
UNRESOLVED = "HTTP 599: Could not resolve host: ovh2.mybinder.org"
NO_ADDRESS = "urn:ietf:params:acme:error:dns :: No valid IP addresses found for jhub.example.com"
HAIRPIN = "dial tcp 109.173.40.107:80: connect: connection timed out"
OOM = "System OOM encountered, victim process: rsession, pid: 5412"
CGROUP = "Memory cgroup out of memory: Kill process 8339 (python)"
STORAGE = "was using 34260Ki, which exceeds its request of 0."
JOIN = "cannot join network of a non running container"
GITCONFIG = 'MountVolume.SetUp failed for volume "etc-gitconfig" : secret "user-etc-gitconfig" not found'
CAFILE = "HTTP 599: error setting certificate verify locations: CAfile: /etc/pki/tls/certs/ca-bundle.crt CApath: none"
CAA = "DNS problem: SERVFAIL looking up CAA for"

ROWS = [
    Row(
        "D-memory", "zero-to-jupyterhub-k8s#1384", Broken((unplaced(USER, MEMORY, memory="64Gi"),)),
        "cluster.request-larger-than-any-node", MEMORY,
    ),
    Row(
        "D-affinity", "2i2c-org/infrastructure#2271",
        Broken((unplaced(USER, f"0/4 nodes are available: {AFFINITY}.", spec={"nodeSelector": {"pool": "user"}}),)),
        "cluster.node-selector-mismatch", AFFINITY,
    ),
    Row(
        "D-volume", "cal-itp/data-infra#956",
        Broken((unplaced(USER, f"0/3 nodes are available: {TAINTED}"),)),
        "cluster.volume-on-other-node", TAINTED,
    ),
    Row(
        "G-cni", "LibreTexts/metalc NetworkingFailInPodsOnSpecificNodes.md", mounting("FailedCreatePodSandBox", CNI),
        "cluster.node-network-broken", CNI,
    ),
    Row(
        "G-names", "mybinder.org-deploy#2795",
        Broken(logs={"binder.log": f"tornado.curl_httpclient.CurlError: {UNRESOLVED}"}),
        "cluster.hub-name-unresolved", UNRESOLVED,
    ),
    Row("G-no-address", "zero-to-jupyterhub-k8s#1602", challenged(f"acme: error: 400 :: {NO_ADDRESS}"),
        "cluster.acme-name-unresolved", NO_ADDRESS),
    Row(
        "G-hairpin", "cert-manager#1292", challenged(
            "Waiting for HTTP-01 challenge propagation: failed to perform self check GET request "
            f"'http://binder.example/.well-known/acme-challenge/x': {HAIRPIN}", "pending",
        ),
        "cluster.acme-http01-selfcheck-unreachable", HAIRPIN,
    ),
    Row("J-lost", "mybinder.org-deploy incident-reports/2018-03-13", lost(), "cluster.node-not-ready",
        "Kubelet stopped posting node status."),
    Row("K-system-oom", "LibreTexts/metalc#200", of_node("SystemOOM", OOM), "cluster.node-out-of-memory", OOM),
    Row("K-cgroup-oom", "mybinder.org-deploy incident-reports/2017-11-30", of_node("OOMKilling", CGROUP),
        "cluster.node-out-of-memory", CGROUP),
    Row(
        "K-ephemeral", "pangeo-cloud-federation#274",
        evicted(f"The node was low on resource: ephemeral-storage. Container notebook {STORAGE}"),
        "cluster.pods-evicted", STORAGE,
    ),
    Row(
        "K-best-effort", "mybinder.org-deploy incident-reports/2018-02-20",
        Broken((waiting("grafana-1", "CreateContainerError", f'failed to start container "grafana": {JOIN}'),)),
        "cluster.container-start-failed", JOIN,
    ),
    Row("A-gitconfig", "berkeley-dsep-infra/datahub#3313", mounting("FailedMount", GITCONFIG),
        "cluster.mount-object-missing", "user-etc-gitconfig"),
    Row(
        "B-ca-bundle", "2i2c-org/binderhub-service#89",
        Broken(logs={"binder.log": f"Error resolving ref for gh:binder-examples/conda/HEAD: {CAFILE}"}),
        "cluster.ca-bundle-missing", CAFILE,
    ),
    Row("H-caa", "acmesh-official/acme.sh#5142", challenged(f"400 urn:ietf:params:acme:error:dns: {CAA} x.example"),
        "cluster.acme-caa", CAA),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_others_met_is_named_with_their_words(row: Row) -> None:
    findings = {one.code: one for one in row.broken.seen().findings}
    assert row.code in findings, sorted(findings)
    cited = " ".join(f"{one.saw} {one.where}" for one in findings[row.code].failure.evidence)
    assert row.words in cited + findings[row.code].failure.cause
