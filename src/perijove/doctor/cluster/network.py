"""Is the cluster's own network there: names, Services, balancers, policies, ingress controllers? Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.graph import CERT_MANAGER as MANAGER
from perijove.doctor.cluster.graph import NAME_SERVICE, NAMES
from perijove.doctor.cluster.helm import hub
from perijove.doctor.cluster.telling import change, found, names, seen, span, those
from perijove.doctor.cluster.view import Cluster, matches, selected
from perijove.domain import cluster_failures, cluster_tls_failures
from perijove.domain import cluster_ground_failures as rows
from perijove.domain.cluster import HttpProbe, Thing, at, items, listed, mapping, moment, text
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding

PATIENCE = 300.0
"""Seconds in which an address is given out, and pods come."""
CORE = {"hub", "proxy-public", "proxy-api", "proxy-http", "binder"}
"""Services without which nothing is launched."""


def names_inside(cluster: Cluster) -> Iterator[Finding]:
    """The cluster's name service: its pods, its Service."""
    servers = [one for one in cluster.within("kube-system", "Pod") if pods.serves_names(one)]
    if not servers:
        cluster.missing.setdefault("a pod of the name service", "none was recorded")
    if servers and not any(pods.ready(one) for one in servers):
        told = [seen(f"{one.said} status", _state(one)) for one in servers[:3]]
        yield found(
            rows.CLUSTER_NAMES_DOWN, f"None of {len(servers)} pods is ready", NAMES, Confidence.CERTAIN, *told,
            commands=("kubectl -n kube-system describe pods -l k8s-app=kube-dns",),
            about=(NAMES, NAME_SERVICE, *servers),
        )  # fmt: skip
    services = cluster.within("kube-system", "Service")
    # Every cluster has default/kubernetes: where it is seen, the Services of all namespaces were asked for.
    whole = bool(services) or cluster.get("Service", "default", "kubernetes") is not None
    # Distributions name it as they like: what leads to one of the servers is their Service.
    leads = [mapping(one.spec.get("selector")) for one in services if one.spec.get("selector")]
    has = any(map(pods.serves_names, services)) or any(matches(one, pod.labels) for one in leads for pod in servers)
    if servers and whole and not has:
        there = [one.name for one in services]
        yield found(
            rows.KUBE_DNS_SERVICE_MISSING, "Pods ask an address that nobody has", NAMES,
            Confidence.CERTAIN, seen("services of kube-system", ", ".join(there) or "none"),
            seen(f"{servers[0].said}", _state(servers[0])), commands=("sudo kubeadm init phase addon coredns",),
            about=(NAMES, NAME_SERVICE),
        )  # fmt: skip


def _state(pod: Thing) -> str:
    waits = "; ".join(f"{why} {words}".strip() for _, why, words in pods.waiting(pod))
    return f"{'Ready' if pods.ready(pod) else 'not ready'}, {pods.phase(pod)}{'; ' if waits else ''}{waits}"


def balancers(cluster: Cluster) -> Iterator[Finding]:
    """Services of type LoadBalancer that wait for an address."""
    for one in cluster.of("Service"):
        wants = one.spec.get("type") == "LoadBalancer" and not one.spec.get("externalIPs")
        has = any(True for _ in listed(one.status, "loadBalancer", "ingress"))
        if wants and not has and cluster.age(one.created) > PATIENCE and not one.deleting:
            ports = ", ".join(
                f"{text(port.get('port'))}:{text(port.get('nodePort'))}" for port in listed(one.spec, "ports")
            )
            yield _pending(cluster, one, ports)


def _pending(cluster: Cluster, service: Thing, ports: str) -> Finding:
    words = [one for one in cluster.events(service) if one.warning]
    taken = [one for one in cluster.of("Service") if any(True for _ in listed(one.status, "loadBalancer", "ingress"))]
    installed = any("metallb" in image for pod in cluster.pods for image in pods.images(pod))
    commands, remedy = [], ""
    if any("no available IPs" in one.message for one in words) or (installed and not words):
        remedy = "Give MetalLB a pool that has a free address and that this Service may use."
        commands.append("kubectl get ipaddresspools.metallb.io -A -o yaml")
        held = [one for one in cluster.things if one.kind == "IPAddressPool"]
        commands += [f"kubectl -n {one.namespace} edit ipaddresspool {one.name}   # add addresses" for one in held]
    elif words:
        remedy = "Put right what its events say."
    else:
        commands.append("# install MetalLB; or without it:")
        patch = change(service, {"spec": {"type": "NodePort"}}).command
        of_chart = hub(cluster, {"proxy.service.type": "NodePort"})
        commands.append(of_chart if service.name == "proxy-public" else patch)
    held_by = ", ".join(one.said for one in taken if one.spec.get("type") == "LoadBalancer")
    return found(
        rows.LOAD_BALANCER_PENDING,
        f"{service.said} waits for an address since {span(cluster.age(service.created))}",
        service.said, Confidence.CERTAIN, *(seen(one.where, one.message) for one in words[:2]),
        seen(f"{service.said} status.loadBalancer", "empty (<pending>)"), seen(f"{service.said} spec.ports", ports),
        *([seen("Services that have one", held_by)] if held_by and words else []), commands=commands, remedy=remedy,
    )  # fmt: skip


def services(cluster: Cluster) -> Iterator[Finding]:
    """Services that launches or an Ingress need, and that select no pod."""
    core = CORE | {name for one in cluster.of("Ingress") for name in _backends(one)}
    for one in cluster.of("Service"):
        selector = mapping(one.spec.get("selector"))
        here = [pod for pod in cluster.pods if pod.namespace == one.namespace]
        if one.name not in core or not selector or not here or cluster.age(one.created) < PATIENCE:
            continue
        if not any(matches(selector, pod.labels) for pod in here):
            said = ", ".join(f"{key}={text(value)}" for key, value in selector.items())
            deployments = [other for other in cluster.of("Deployment") if other.namespace == one.namespace]
            none = [
                seen(f"{other.said} spec.replicas", "0") for other in deployments if other.spec.get("replicas") == 0
            ]
            yield found(
                rows.SERVICE_WITHOUT_PODS, f"{one.said} leads nowhere", one.said, Confidence.CERTAIN,
                seen(f"{one.said} spec.selector", f"{said}: no pod of {one.namespace} has these labels"), *none,
                commands=(f"kubectl -n {one.namespace} get pods --show-labels",),
            )  # fmt: skip


def _backends(ingress: Thing) -> Iterator[str]:
    """Services that somebody's Ingress names; a solver's has its own rules."""
    if not _of_solver(ingress):
        for rule in listed(ingress.spec, "rules"):
            for path in listed(rule, "http", "paths"):
                yield text(at(path, "backend", "service", "name") or at(path, "backend", "serviceName"))


def policies(cluster: Cluster) -> Iterator[Finding]:
    """Network policies that leave no way to the name service, or the hub none to the API."""
    told: set[tuple[str, ...]] = set()
    for pod in cluster.pods:
        if pods.component(pod) not in {"singleuser-server", "hub", "binder", "binderhub-build"}:
            continue
        here = [one for one in cluster.of("NetworkPolicy") if one.namespace == pod.namespace]
        mine = [one for one in here if _egress(one) and selected(one.spec.get("podSelector"), [pod])]
        key = (pods.component(pod), *(one.name for one in mine))
        if not mine or key in told:
            continue
        told.add(key)
        said = [seen(f"{one.said} spec.egress", _ports(one)) for one in mine]
        if not any(_allows(one, 53) for one in mine):
            yield found(
                rows.NETWORK_POLICY_BLOCKS_NAMES,
                f"{those(mine, 'selects', 'select')} {pod.said}, and none allows port 53",
                mine[0].said, Confidence.LIKELY, *said, about=mine,
                commands=("# egress: [{ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]",),
            )  # fmt: skip
        if pods.component(pod) == "hub" and not pods.ready(pod) and not any(_allows(one, 443, 6443) for one in mine):
            yield found(
                cluster_failures.HUB_CANNOT_REACH_API,
                f"{those(mine, 'selects', 'select')} {pod.said}, and none allows the API's port",
                mine[0].said,
                Confidence.LIKELY,
                *said,
            )


def _egress(policy: Thing) -> bool:
    return "Egress" in items(policy.spec.get("policyTypes")) or "egress" in policy.spec


def _allows(policy: Thing, *ports: int) -> bool:
    for rule in listed(policy.spec, "egress"):
        if not rule.get("ports"):
            return True
        for one in listed(rule, "ports"):
            begin, end = one.get("port"), one.get("endPort")
            if not isinstance(begin, int):
                # A named port, or all of a protocol.
                return True
            if any(begin <= port <= (end if isinstance(end, int) else begin) for port in ports):
                return True
    return False


def _ports(policy: Thing) -> str:
    told = [text(one.get("port")) for rule in listed(policy.spec, "egress") for one in listed(rule, "ports")]
    return f"ports {', '.join(told)}" if told else "nothing"


def controllers(cluster: Cluster) -> Iterator[Finding]:
    """Ingress controllers on cordoned nodes alone, behind a balancer."""
    them = [one for one in cluster.pods if pods.is_ingress_controller(one) and pods.phase(one) == "Running"]
    closed = {node.name for node in cluster.nodes if node.spec.get("unschedulable")}
    balanced = [one for one in cluster.of("Service") if one.spec.get("type") == "LoadBalancer"]
    behind = [one for one in balanced if any(matches(one.spec.get("selector"), pod.labels) for pod in them)]
    if (
        them
        and behind
        and len(cluster.nodes) > len(closed)
        and all(text(one.spec.get("nodeName")) in closed for one in them)
    ):
        told = [seen(f"{one.said} spec.nodeName", f"{text(one.spec.get('nodeName'))} (cordoned)") for one in them[:3]]
        yield found(
            rows.INGRESS_ON_CORDONED,
            f"{those(them, 'runs', 'run')} on cordoned nodes alone",
            them[0].said,
            Confidence.LIKELY,
            *told,
            commands=(f"kubectl uncordon {text(them[0].spec.get('nodeName'))}",),
        )


def classes(cluster: Cluster) -> Iterator[Finding]:
    """Ingresses and solvers that no controller takes."""
    known = cluster.of("IngressClass")
    if known and cluster.lacks("IngressClass"):
        yield from _unknown(cluster, known)
    if any(text(one.annotations.get("ingressclass.kubernetes.io/is-default-class")) == "true" for one in known):
        return
    for one in cluster.of("Ingress"):
        named = one.spec.get("ingressClassName") or one.annotations.get("kubernetes.io/ingress.class")
        ignored = _ignored(cluster, one)
        if not named and not _taken(one) and (ignored or cluster.age(one.created) > PATIENCE):
            evidence = [
                seen(f"{one.said} spec.ingressClassName", "unset"),
                seen(f"{one.said} status.loadBalancer", "empty"),
            ]
            evidence += [seen(*ignored)] if ignored else []
            yield found(
                rows.INGRESS_WITHOUT_CLASS, f"{one.said} belongs to no class, and no controller has taken it", one.said,
                Confidence.CERTAIN if ignored else Confidence.LIKELY, *evidence, commands=_name_it(one, known),
            )  # fmt: skip


def _taken(ingress: Thing) -> bool:
    return any(True for _ in listed(ingress.status, "loadBalancer", "ingress"))


def _name_it(ingress: Thing, known: Sequence[Thing]) -> tuple[str, ...]:
    """How a class that exists is named, where there is one alone or each of several."""
    patches = [change(ingress, {"spec": {"ingressClassName": one.name}}).command for one in known[:3]]
    return (*patches, "# and the same in config.yaml, or helm puts it back") if patches else ()


def _unknown(cluster: Cluster, known: Sequence[Thing]) -> Iterator[Finding]:
    """Names of classes that no IngressClass has. Only `ingressClassName` has to be one: annotations need no object."""
    there = {one.name for one in known}
    classes_there = seen("IngressClass objects", ", ".join(sorted(there)))
    for one in cluster.of("Ingress"):
        name = text(one.spec.get("ingressClassName"))
        if name and name not in there and not _taken(one) and not _of_solver(one) and _old(cluster, one):
            yield found(
                rows.INGRESS_CLASS_UNKNOWN, f"{one.said} names the class {name}, and there is none of that name",
                one.said, Confidence.CERTAIN, seen(f"{one.said} spec.ingressClassName", name), classes_there,
                seen(f"{one.said} status.loadBalancer", "empty"), commands=_name_it(one, known),
            )  # fmt: skip
    for one in cluster.of("Issuer", "ClusterIssuer"):
        for number, solver in enumerate(listed(one.spec, "acme", "solvers")):
            name = text(at(solver, "http01", "ingress", "ingressClassName"))
            if name and name not in there:
                yield _solver_unknown(cluster, one, number, name, known, classes_there)


def _old(cluster: Cluster, ingress: Thing) -> bool:
    return not ingress.created or cluster.age(ingress.created) > PATIENCE


def _of_solver(ingress: Thing) -> bool:
    return any(kind == "Challenge" for kind, _ in ingress.owners)


def _solver_unknown(
    cluster: Cluster, issuer: Thing, number: int, name: str, known: Sequence[Thing], classes_there: Evidence
) -> Finding:
    path = f"/spec/acme/solvers/{number}/http01/ingress/ingressClassName"
    where = ["-n", issuer.namespace] if issuer.namespace else []
    patches = (json.dumps([{"op": "replace", "path": path, "value": one.name}]) for one in known[:3])
    resource = f"{issuer.kind.lower()}.cert-manager.io"
    using = [one for one in cluster.of("Ingress") if _of_solver(one) and one.spec.get("ingressClassName") == name]
    return found(
        rows.INGRESS_CLASS_UNKNOWN,
        f"{issuer.said} has challenges answered by the class {name}, and there is none of that name",
        issuer.said, Confidence.CERTAIN, seen(f"{issuer.said} spec.acme.solvers[{number}].http01.ingress", name),
        *(seen(f"solver {one.said} spec.ingressClassName", name) for one in using[:2]), classes_there,
        commands=[shlex.join(("kubectl", *where, "patch", resource, issuer.name, "--type", "json", "-p", one))
                  for one in patches],
        about=(issuer, *using), foreseen=not using,
    )  # fmt: skip


def _ignored(cluster: Cluster, ingress: Thing) -> tuple[str, str] | None:
    for log in cluster.all_logs:
        told = next((one for one in log.lines if "does not contain a valid IngressClass" in one), None)
        if told is not None:
            return log.name, told
    return None


def manager(cluster: Cluster) -> Iterator[Finding]:
    """cert-manager itself: its controller wherever it is."""
    certificates = [one for one in cluster.of("Certificate") if one.group == "cert-manager.io"]
    them = [one for one in cluster.pods if pods.is_cert_manager(one) and not one.deleting]
    if them and not any(pods.ready(one) for one in them):
        yield found(
            cluster_tls_failures.CERT_MANAGER_DOWN, f"None of {len(them)} pods of its controller is ready", MANAGER,
            Confidence.CERTAIN, *(seen(f"{one.said} status", _state(one)) for one in them[:3]),
            commands=(f"kubectl -n {them[0].namespace} describe pods {them[0].name}",), about=(MANAGER, *them),
        )  # fmt: skip
    elif certificates and not them and cluster.within("kube-system", "Pod") and cluster.lacks("Pod"):
        yield _gone(cluster, certificates)


def _gone(cluster: Cluster, certificates: Sequence[Thing]) -> Finding:
    """Certificates that nobody renews."""
    spaces = sorted({one.namespace for one in cluster.pods})
    ends = [moment(one.status.get("notAfter")) for one in certificates]
    told = [
        seen(f"{one.said} status", f"renewalTime {text(one.status.get('renewalTime')) or 'none'}, "
                                   f"notAfter {text(one.status.get('notAfter')) or 'none'}")
        for one in certificates[:4]
    ]  # fmt: skip
    looked = seen(
        "pods with the image cert-manager-controller or app.kubernetes.io/name=cert-manager",
        f"none of {len(cluster.pods)} pods in {', '.join(spaces)}",
    )
    scaled = [one for one in cluster.of("Deployment") if "cert-manager" in one.name and one.spec.get("replicas") == 0]
    start = [f"kubectl -n {one.namespace} scale deployment {one.name} --replicas=1" for one in scaled]
    install = (
        "helm upgrade --install cert-manager oci://quay.io/jetstack/charts/cert-manager --namespace cert-manager "
        "--create-namespace --set crds.enabled=true"
    )
    return found(
        cluster_tls_failures.CERT_MANAGER_DOWN,
        f"No controller of it runs anywhere, so none of {len(certificates)} certificates will be renewed", MANAGER,
        Confidence.CERTAIN, *told, looked, *(seen(f"{one.said} spec.replicas", "0") for one in scaled),
        commands=start or (install,), foreseen=all(end > cluster.now for end in ends), about=(MANAGER, *certificates),
    )  # fmt: skip


def legacy(cluster: Cluster) -> Iterator[Finding]:
    """Issuers and Certificates of an API group that is gone, where the new one has none of that name."""
    old = [one for one in cluster.of("Issuer", "ClusterIssuer", "Certificate") if one.group == "certmanager.k8s.io"]
    new = {(one.kind, one.namespace, one.name) for one in cluster.of("Issuer", "ClusterIssuer", "Certificate")
           if one.group == "cert-manager.io"}  # fmt: skip
    left = [one for one in old if (one.kind, one.namespace, one.name) not in new]
    if left:
        yield found(
            cluster_tls_failures.LEGACY_CERT_MANAGER, f"{names(left)} are of certmanager.k8s.io", left[0].said,
            Confidence.LIKELY, *(seen(f"{one.said} apiVersion", text(one.raw.get("apiVersion"))) for one in left[:3]),
            commands=(
                "kubectl get issuers,clusterissuers,certificates -A -o yaml > old.yaml",
                "perijove convert issuer old.yaml",
            ),
        )  # fmt: skip


def site(cluster: Cluster) -> Iterator[Finding]:
    """The site's own health, asked from outside: no answer at all."""
    for probe in cluster.probes:
        if isinstance(probe, HttpProbe) and probe.url.endswith("/health") and probe.origin != "in-cluster":
            host = urlsplit(probe.url).hostname or ""
            last = probe.last
            if last.status in {0, 502, 504}:
                said = f"{last.status or last.error} {last.body}"
                yield found(
                    rows.SITE_UNREACHABLE, f"{probe.url} does not answer", probe.url, Confidence.CERTAIN,
                    seen(f"probe GET {probe.url}", said), about=(f"Host {host}",),
                )  # fmt: skip
