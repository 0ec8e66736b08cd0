"""Words that other deployments met, as they are on record: what the doctor makes of a cluster that says them.

By group: D scheduling, G network and names, J nodes, K what runs out, L settings, M limits of others, N abuse, and
launches (A), builds (B), certificates (H). Group I, web servers in front, is in tests/unit/doctor/front/test_corpus.py,
O, one machine, in tests/unit/doctor/own/test_corpus.py.
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
    crashing,
    event,
    node,
    order,
    pod,
    request,
    settings,
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
    silent: tuple[str, ...] = ()
    """What the root must not say."""


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


def unready(words: str) -> Broken:
    ill = node()
    ill["status"]["conditions"] = [condition("Ready", "False", "KubeletNotReady", words)]
    return Broken((ill,))


def dns_killed(log: str) -> Broken:
    """The name service's pods end again and again, and BinderHub says what comes of it."""
    killed = crashing("coredns-1", namespace="kube-system", labels={"k8s-app": "kube-dns"}, code=137)
    return Broken((killed,), logs={"binder.log": log})


def unbuilt(image: str, words: str) -> Broken:
    stuck = waiting("build-x", "ImagePullBackOff", f'Back-off pulling image "{image}"', image=image,
                    component="binderhub-build")  # fmt: skip
    return Broken((stuck, event(stuck, "Failed", words)))


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
NO_CNI = (
    "runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not "
    "ready: cni config uninitialized"
)
PLEG = "PLEG is not healthy: pleg was last seen active 16h17m50.791825508s ago; threshold is 3m0s"
OWN_MACHINE = (
    "[E 2018-04-07 18:04:17.300 SingleUserNotebookApp singleuser:354] Failed to connect to my Hub at "
    "http://127.0.0.1:8081/hub/api (attempt 1/5). Is it running?"
)
LETTER = 'Unable to obtain ACME certificate for domains \\"n\\"'
REPO2DOCKER = "jupyter/repo2docker:0.11.0-169.gae6c2dc"
TOO_MANY = "toomanyrequests: You have reached your pull rate limit"
DUPLICATE = (
    "429 urn:ietf:params:acme:error:rateLimited: too many certificates (5) already issued for this exact set of "
    "domains in the last 168 hours: x.example, retry after 2022-09-26T01:29:08Z"
)
GITHUB = "GitHub rate limit exceeded. Try again in 12 minutes."
FULL = "Too many users on this BinderHub! Try again soon."
HUG = "Too many users running https://github.com/ines/spacy-binder! Try again soon."
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
    Row("J-cni", "kubernetes/kubeadm#1031", unready(NO_CNI), "cluster.node-not-ready", "cni config uninitialized",
        ("stopped reporting", "does not report")),
    Row("J-pleg", "nds-org/jupyter-et#13", unready(PLEG), "cluster.node-not-ready", PLEG,
        ("stopped reporting", "does not report")),
    Row("L-hub-on-loopback", "jupyterhub/batchspawner#63", Broken(logs={"jupyter-b.log": OWN_MACHINE}),
        "cluster.user-pod-cannot-reach-hub", "http://127.0.0.1:8081", ("network policy", "reinstall")),
    Row("L-placeholder", "binderhub docs setup-binderhub.rst", Broken((settings(
        hub_url="http://<IP in EXTERNAL-IP>", hub_url_local=None),)), "cluster.hub-url-placeholder",
        "http://<IP in EXTERNAL-IP>", ("certificate",)),
    Row("L-letters", "the-littlest-jupyterhub#310", Broken(
        (pod("autohttps-1", "autohttps"),), logs={"autohttps.log": LETTER}), "cluster.autohttps-hosts-no-list", LETTER,
        ("firewall", "port 80")),
    Row("M-github", "binderhub repoproviders.py, github_api_request", Broken(logs={"binder.log": GITHUB}),
        "cluster.github-rate-limited", GITHUB, ("private", "does not exist")),
    Row("M-dockerhub", "pangeo-data/pangeo-binder#194",
        unbuilt(REPO2DOCKER, f'Failed to pull image "{REPO2DOCKER}": rpc error: {TOO_MANY}'),
        "cluster.dockerhub-anonymous-pulls", TOO_MANY, ("does not have the image", "delete the node")),
    Row("M-letsencrypt", "argoproj/argo-cd#10697",
        Broken((certificate(False), request(), order("errored", f"Failed to create Order: {DUPLICATE}"))),
        "cluster.acme-rate-limited", DUPLICATE, ("takes no order", "port 80", "wait until")),
    Row("N-full", "mybinder.org-deploy#2725", Broken(logs={"binder.log": FULL}), "cluster.quota-full", FULL,
        ("certificate", "scheduling", "restart")),
    Row("N-hug", "binderhub quota.py, check_repo_quota; mybinder.org-deploy#582", Broken(logs={"binder.log": HUG}),
        "cluster.quota-full", HUG, ("restart", "crash")),
    Row("N-names-killed", "mybinder.org-deploy#2795",
        dns_killed(f"tornado.curl_httpclient.CurlError: {UNRESOLVED}"), "cluster.cluster-names-down", "coredns-1",
        ("no Service", "certificate")),
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
    roots = {one.finding.code: one.finding for one in row.broken.seen().told}
    assert row.code in roots, sorted(roots)
    root = roots[row.code]
    cited = " ".join(f"{one.saw} {one.where}" for one in root.failure.evidence)
    assert row.words in cited + root.failure.cause
    told = " ".join((root.failure.kind.title, root.failure.cause, root.failure.remedy, *root.commands)).lower()
    assert [one for one in row.silent if one.lower() in told.replace(row.words.lower(), "")] == []


def test_each_group_has_three() -> None:
    groups = [row.name.partition("-")[0] for row in ROWS]
    assert {group: groups.count(group) for group in "JLMN"} == dict.fromkeys("JLMN", 3)
