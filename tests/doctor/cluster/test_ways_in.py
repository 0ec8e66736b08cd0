"""The ways into a cluster and to a solver: controllers, Services and ports, policies, addresses, Secrets."""

from __future__ import annotations

import pytest

from perijove.domain.findings import Confidence
from tests.doctor.cluster.world import (
    HOST,
    HUB_POD,
    NAMESPACE,
    Broken,
    Json,
    certificate,
    challenge,
    codes,
    ingress,
    issuer,
    node,
    order,
    pod,
    request,
    secret,
    service,
    thing,
    unplaced,
)

SELF_CHECK = "Waiting for HTTP-01 challenge propagation: "
WRONG = f"{SELF_CHECK}wrong status code '404', expected '200'"
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}
MINE: Json = {"owner": "Challenge/binder-tls-1-9-7", "age": 1000}


def ingress_class(name: str, controller: str) -> Json:
    return thing("IngressClass", name, {"controller": controller}, namespace="", api="networking.k8s.io/v1")


CLASSES = (
    ingress_class("nginx", "k8s.io/ingress-nginx"),
    ingress_class("traefik", "traefik.io/ingress-controller"),
)


def challenged(words: str, *more: Json, state: str = "pending", by: str = "nginx", **status: object) -> Broken:
    """A challenge whose solver is set up, in the class `by`."""
    told = challenge(words, state)
    told["spec"]["issuerRef"] = {"kind": "ClusterIssuer", "name": "letsencrypt"}
    told["status"] |= status
    address = {"loadBalancer": {"ingress": [{"ip": "203.0.113.61"}]}}
    solver = (
        pod("cm-acme-http-solver-1", labels=SOLVER, **MINE),
        thing("Ingress", "cm-acme-http-solver-1", {"ingressClassName": by, "rules": [{"host": HOST}]}, address,
              api="networking.k8s.io/v1", **MINE),
    )  # fmt: skip
    site = ingress(status=address)
    balancer = service("ingress", {"app.kubernetes.io/name": "ingress-nginx"}, "ingress", type="LoadBalancer")
    balancer["status"] = address
    return Broken((certificate(False), request(), order(), told, *solver, site, balancer, *more))


def test_a_solver_of_the_other_of_two_controllers_is_the_reason_why_its_answer_is_not_found() -> None:
    solvers = issuer()
    solvers["spec"]["acme"] = {"solvers": [{"http01": {"ingress": {"class": "traefik"}}}]}
    [root] = challenged(WRONG, *CLASSES, solvers, by="traefik").seen().told
    assert codes([root]) == ["cluster.solver-of-other-class", "cluster.acme-http01-selfcheck-404"]
    assert root.finding.confidence is Confidence.LIKELY
    assert '{"ingressClassName": "nginx"}' in root.finding.commands[0]
    [alone] = challenged(WRONG, *CLASSES).seen().told
    assert codes([alone]) == ["cluster.acme-http01-selfcheck-404"], "both are of one class"


def closed(**spec: object) -> Json:
    whole = {"podSelector": {}, "policyTypes": ["Ingress"], **spec}
    return thing("NetworkPolicy", "default-deny", whole, api="networking.k8s.io/v1")


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (f"{SELF_CHECK}wrong status code '504', expected '200'", "cluster.acme-http01-selfcheck-503"),
        (f"{SELF_CHECK}failed to perform self check GET request: context deadline exceeded",
         "cluster.acme-http01-selfcheck-unreachable"),
    ],
)  # fmt: skip
def test_a_policy_that_closes_the_solver_is_named_with_one_that_opens_it(words: str, verdict: str) -> None:
    [root] = challenged(words, closed()).seen().told
    assert codes([root]) == ["cluster.network-policy-blocks-solver", verdict]
    assert root.finding.subject == f"NetworkPolicy {NAMESPACE}/default-deny"
    assert '"port": 8089' in root.finding.commands[0]


@pytest.mark.parametrize(
    "rule",
    [{}, {"ports": [{"port": 8089}]}, {"from": [{"namespaceSelector": {}}]}, {"from": [{"ipBlock": {"cidr": "::/0"}}]}],
    ids=str,
)
def test_a_policy_that_may_let_the_controller_in_is_not_blamed(rule: Json) -> None:
    [root] = challenged(f"{SELF_CHECK}wrong status code '504', expected '200'", closed(ingress=[rule])).seen().told
    assert codes([root]) == ["cluster.acme-http01-selfcheck-503"]


@pytest.mark.parametrize(
    "rule", [{"ports": [{"port": 8888}]}, {"from": [{"podSelector": {"matchLabels": {"component": "proxy"}}}]}], ids=str
)
def test_a_policy_for_others_closes_the_solver_too(rule: Json) -> None:
    [root] = challenged(f"{SELF_CHECK}wrong status code '504', expected '200'", closed(ingress=[rule])).seen().told
    assert root.finding.code == "cluster.network-policy-blocks-solver"


BY_IPV6 = (
    "Error accepting authorization: acme: authorization error for binder.example: 403 "
    "urn:ietf:params:acme:error:unauthorized: 2001:db8::1: Invalid response from "
    "http://binder.example/.well-known/acme-challenge/x: 404"
)


def test_a_ca_that_came_by_ipv6_to_somebody_else_is_the_reason_of_what_it_found() -> None:
    [root] = challenged(BY_IPV6, state="invalid").seen().told
    assert codes([root]) == ["cluster.acme-ipv6-elsewhere", "cluster.acme-challenge-wrong"]
    assert "dig +short AAAA binder.example" in root.finding.commands[0]
    own = {"loadBalancer": {"ingress": [{"ip": "203.0.113.61"}, {"ip": "2001:db8:0::1"}]}}
    [ours] = challenged(BY_IPV6, ingress(status=own), state="invalid").seen().told
    assert codes([ours]) == ["cluster.acme-challenge-wrong"]


NO_TOKEN = 'error getting cloudflare secret: secrets "cloudflare-api-token" not found'


def test_a_secret_beside_the_ingress_is_not_where_a_cluster_issuer_looks() -> None:
    token = secret("cloudflare-api-token", token="x")
    broken = challenged(NO_TOKEN, token, presented=False)
    [root] = broken.seen().told
    assert codes([root]) == ["cluster.issuer-secret-missing", "cluster.challenge-not-presented"]
    assert "reads Secret cloudflare-api-token in cert-manager" in root.finding.failure.cause
    assert "one of that name is in binderhub" in root.finding.failure.cause
    there = secret("cloudflare-api-token", "cert-manager", token="x")
    [now] = challenged(NO_TOKEN, there, presented=False).seen().told
    assert codes([now]) == ["cluster.challenge-not-presented"], "it is there by now"


def test_a_class_without_its_controller_is_told_and_one_of_a_cloud_is_not() -> None:
    waits = ingress(spec={"ingressClassName": "traefik"}, status={"loadBalancer": {}})
    [root] = Broken((waits, *CLASSES)).seen().told
    assert (root.finding.code, root.finding.confidence) == ("cluster.ingress-controller-absent", Confidence.LIKELY)
    runs = pod("traefik-1", namespace="traefik", labels={"app": "traefik"})
    assert Broken((waits, *CLASSES, runs)).seen().well
    assert Broken((waits, ingress_class("traefik", "ingress.k8s.aws/alb"))).seen().well


def leads_to(name: str, port: Json) -> Json:
    path = {"path": "/", "backend": {"service": {"name": name, "port": port}}}
    return ingress(spec={"rules": [{"host": HOST, "http": {"paths": [path]}}]})


def test_an_ingress_to_a_service_or_a_port_that_is_not_there() -> None:
    [root] = Broken((leads_to("binderx", {"number": 80}),)).seen().told
    assert (root.finding.code, root.finding.subject) == ("cluster.service-missing", f"Service {NAMESPACE}/binderx")
    [root] = Broken((leads_to("binder", {"number": 8585}),)).seen().told
    assert root.finding.code == "cluster.service-port-wrong"
    assert "asks for port 8585" in root.finding.failure.cause
    assert Broken((leads_to("binder", {"number": 80}),)).seen().well
    nobody = service("other", {"app": "none"})
    [root] = Broken((leads_to("other", {"number": 80}), nobody)).seen().told
    assert root.finding.code == "cluster.service-without-pods"


@pytest.mark.parametrize(("target", "sure"), [("web", Confidence.CERTAIN), (9999, Confidence.LIKELY)])
def test_a_target_port_that_no_pod_declares(target: object, sure: Confidence) -> None:
    binder = pod("binder-1", "binder")
    binder["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8585}]
    labels = {"app": "jupyterhub", "component": "binder"}

    def to(port: object) -> Broken:
        return Broken((binder, service("binder", labels, ports=[{"port": 80, "targetPort": port}])))

    [root] = to(target).seen().told
    assert (root.finding.code, root.finding.confidence) == ("cluster.service-port-wrong", sure)
    assert "http 8585" in root.finding.failure.cause
    assert to("http").seen().well
    assert to(8585).seen().well


def test_a_hub_whose_volume_is_in_another_zone_explains_the_launches_that_fail() -> None:
    zone = "topology.kubernetes.io/zone"
    terms = [{"matchExpressions": [{"key": zone, "operator": "In", "values": ["eu-1b"]}]}]
    volume = thing(
        "PersistentVolume", "pv1", {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}, {"phase": "Bound"},
        namespace="",
    )  # fmt: skip
    words = "0/2 nodes are available: 2 node(s) had volume node affinity conflict."
    hub = unplaced("hub-1", words, component="hub", volumes=HUB_POD["spec"]["volumes"])
    nodes = tuple(node(name, labels={zone: "eu-1a"}) for name in ("node1", "node2"))
    log = "Error creating user binder-x: ConnectionRefusedError(111, 'Connection refused')"
    [root] = Broken((volume, hub, *nodes), logs={"binder.log": log}).seen().told
    assert codes([root]) == ["cluster.volume-on-other-node", "cluster.hub-api-refused", "cluster.launches-fail"]
