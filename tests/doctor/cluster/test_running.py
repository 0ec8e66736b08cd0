"""What runs, what it writes, the network between: a healthy cluster with one of them broken, in others' words."""

from __future__ import annotations

import pytest

from tests.doctor.cluster.test_ground import Case
from tests.doctor.cluster.world import (
    DAY,
    Broken,
    Json,
    ago,
    codes,
    condition,
    crashing,
    event,
    ingress,
    node,
    pod,
    policy,
    service,
    thing,
    unplaced,
    waiting,
)  # fmt: skip

USER = "jupyter-b"


def hub(code: int, lasted: float) -> Json:
    return crashing("hub-1", code, lasted=lasted, container="hub", component="hub")


def hub_says(words: str) -> Broken:
    return Broken((hub(code=1, lasted=40),), logs={"hub-previous.log": f"[I] Using Authenticator\n{words}\n[I] end"})


HUBS = [
    (
        "cluster.hub-db-schema-old",
        "DatabaseSchemaMismatch: Found database schema version None != 4621fec11365",
    ),
    ("cluster.proxy-token-mismatch", "[E JupyterHub proxy:989] api_request to proxy failed: HTTP 403: Forbidden"),
    (
        "cluster.proxy-token-mismatch",
        "Proxy running at http://proxy-api:8001, but can't access it (HTTP 403: Forbidden)",
    ),
    ("cluster.hub-db-locked", "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked"),
    ("cluster.hub-service-unreachable", "[W] Cannot connect to managed service binder at http://binder"),
    ("cluster.hub-threads-exhausted", "RuntimeError: can't start new thread"),
    ("cluster.hub-gave-up", "[C] Aborting due to 5 consecutive spawn failures"),
    (
        "cluster.hub-cannot-reach-api",
        "Pool(host='10.96.0.1', port=443): Max retries exceeded with url: /api/v1/x",
    ),
]


@pytest.mark.parametrize(("code", "words"), HUBS, ids=[code for code, _ in HUBS])
def test_a_hub_that_says_why_it_ends(code: str, words: str) -> None:
    Case(hub_says(words), (code, "cluster.hub-crashloop"), words[:80]).check()


def test_a_hub_that_does_not_say_is_asked_for_its_log() -> None:
    [told] = Broken((hub(code=1, lasted=40),)).seen().told
    assert told.finding.code == "cluster.hub-crashloop"
    assert "--previous" in told.finding.surer_with


def test_containers_that_do_not_live() -> None:
    Case(Broken((crashing(USER),)), ("cluster.pod-crashloop",), "exit code 1").check()
    killed = crashing(USER, 137, "OOMKilled")
    Case(Broken((killed,)), ("cluster.container-out-of-memory", "cluster.pod-crashloop"), "OOMKilled").check()
    exec_ = 'exec: "jupyterhub-singleuser": executable file not found in $PATH'
    Case(Broken((waiting(USER, "RunContainerError", exec_),)), ("cluster.container-start-failed",), exec_).check()
    unmounted = waiting(USER, "CreateContainerConfigError", 'secret "hub-secret" not found')
    Case(Broken((unmounted,)), ("cluster.mount-object-missing",), "hub-secret").check()


def test_a_hub_that_runs_and_is_not_ready() -> None:
    ill = pod("hub-1", "hub", container="hub")
    ill["status"]["conditions"][1] = condition("Ready", "False", "ContainersNotReady", "containers with unready", 900)
    Case(Broken((ill,)), ("cluster.hub-not-ready",), "containers with unready").check()


def test_pods_that_were_thrown_out() -> None:
    gone = pod(USER, "singleuser-server", age=3000)
    gone["status"] = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "low on resource: ephemeral-storage",
    }
    Case(Broken((gone,)), ("cluster.pods-evicted",), "ephemeral-storage").check()
    full = node("node1")
    full["status"]["conditions"][1] = condition("DiskPressure", "True", "KubeletHasDiskPressure", "it has")
    Case(Broken((gone, full)), ("cluster.node-disk-pressure", "cluster.pods-evicted"), "it has").check()


def test_a_pod_that_does_not_end() -> None:
    stuck = pod(USER, "singleuser-server", deletionTimestamp=ago(3600), finalizers=["x"])
    Case(Broken((stuck,)), ("cluster.pod-stuck-terminating",), "deletionTimestamp").check()


def test_users_pods_that_nobody_ends() -> None:
    old = tuple(pod(f"jupyter-{number}", "singleuser-server", age=3 * DAY) for number in range(25))
    [told] = Broken(old).seen().told
    assert told.finding.code == "cluster.leaked-user-pods"
    assert told.finding.foreseen
    young = tuple(pod(f"jupyter-{number}", "singleuser-server", age=3000) for number in range(60))
    assert Broken((*old, *young)).seen().well, "a few old ones among many are somebody's work"


def test_a_log_of_a_good_day_gives_nothing() -> None:
    said = "[I] 200 GET /health\n[I] Launched jupyter-a\n[I] 403 GET /api/users (@198.51.100.7)\n"
    assert Broken(logs={"binder.log": said, "hub.log": said}).seen().well


def test_a_server_that_the_hub_gave_up_though_it_is_ready() -> None:
    words = "jupyter-ada's server failed to start in 300 seconds, giving up"
    Case(Broken(logs={"hub.log": words}), ("cluster.reflector-lost",), "failed to start in 300 seconds").check()


def test_a_name_service_that_is_not_there() -> None:
    down = waiting(
        "coredns-1", "CrashLoopBackOff", namespace="kube-system", labels={"k8s-app": "kube-dns"}, component=""
    )
    told = Broken((down,)).seen().told
    assert codes(told)[0] == "cluster.cluster-names-down"
    Case(Broken(drop=("Service/kube-dns",)), ("cluster.kube-dns-service-missing",), "coredns-1").check()
    other = service("rke2-coredns-rke2-coredns", {"k8s-app": "kube-dns"}, "kube-system")
    assert Broken((other,), drop=("Service/kube-dns",)).seen().well


def test_services_that_lead_nowhere() -> None:
    waits = service("ingress", {"app.kubernetes.io/name": "ingress-nginx"}, "ingress", type="LoadBalancer")
    told = codes(Broken((waits,)).seen().told)
    assert told[0] == "cluster.load-balancer-pending"
    empty = service("hub", {"component": "hub", "release": "other"})
    Case(Broken((empty,)), ("cluster.service-without-pods",), "release=other").check()


def test_policies_that_leave_no_way() -> None:
    Case(Broken((policy("singleuser-server", 443),)), ("cluster.network-policy-blocks-names",), "ports 443").check()


def test_controllers_on_cordoned_nodes_alone() -> None:
    there = pod(
        "ingress-nginx-1", namespace="ingress", labels={"app.kubernetes.io/name": "ingress-nginx"}, node="node2"
    )
    told = Broken((there, node("node2", spec={"unschedulable": True}))).seen().told
    assert "cluster.ingress-on-cordoned" in codes(told)


def test_an_ingress_that_no_controller_takes() -> None:
    left = ingress(spec={"ingressClassName": None}, status={})
    assert "cluster.ingress-without-class" in codes(Broken((left,)).seen().told)


def test_cert_manager_that_is_down_or_cannot_be_asked() -> None:
    down = pod("cert-manager-1", namespace="cert-manager")
    down["status"]["conditions"][1] = condition("Ready", "False", "ContainersNotReady", "", 900)
    assert codes(Broken((down,)).seen().told)[0] == "cluster.cert-manager-down"
    words = (
        'Internal error occurred: failed calling webhook "webhook.cert-manager.io": Post '
        '"https://cert-manager-webhook.cert-manager.svc:443/mutate": x509: certificate signed by unknown authority'
    )
    refused = event(thing("Certificate", "binder-tls"), "Failed", words)
    assert codes(Broken((refused,)).seen().told)[0] == "cluster.cert-manager-webhook-broken"


def test_what_is_left_of_an_old_cert_manager() -> None:
    old = thing("Issuer", "letsencrypt-old", {"acme": {}}, api="certmanager.k8s.io/v1alpha1")
    Case(Broken((old,)), ("cluster.legacy-cert-manager",), "certmanager.k8s.io/v1alpha1").check()


def test_a_site_that_does_not_answer_at_all() -> None:
    hops = [{"status": 502, "server": "nginx", "body": "Bad Gateway"}]
    probe = {"kind": "http", "url": "https://binder.example/health", "hops": hops}
    told = Broken(probes=(probe,)).seen().told
    assert "cluster.site-unreachable" in codes(told)


def asks(resource: str, amount: str) -> Broken:
    stuck = unplaced(USER, f"0/2 nodes are available: 2 Insufficient {resource}.")
    stuck["spec"]["containers"][0]["resources"] = {"requests": {resource: amount}}
    return Broken((stuck,))


@pytest.mark.parametrize(
    ("resource", "amount", "told"),
    [
        ("memory", "64Gi", ("cluster.request-larger-than-any-node", "cluster.pod-unschedulable-memory")),
        ("memory", "1Gi", ("cluster.pod-unschedulable-full", "cluster.pod-unschedulable-memory")),
        ("cpu", "32", ("cluster.request-larger-than-any-node", "cluster.pod-unschedulable-cpu")),
        ("nvidia.com/gpu", "1", ("cluster.request-larger-than-any-node", "cluster.pod-unschedulable-resource")),
    ],
)
def test_too_large_for_any_node_or_for_what_is_left(resource: str, amount: str, told: tuple[str, ...]) -> None:
    Case(asks(resource, amount), told, f"Insufficient {resource}").check()


def test_placeholders_that_all_wait() -> None:
    waits = unplaced("user-placeholder-0", "0/2 nodes are available", component="user-placeholder", age=3600)
    [told] = Broken((waits,)).seen().told
    assert (told.finding.code, told.finding.foreseen) == ("cluster.placeholders-pending", True)
