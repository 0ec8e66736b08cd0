"""Does each Ingress lead to a controller, a Service and a port that are there? Pure.

Facts: Kubernetes' documentation of Ingress and Service (`targetPort` by name or number).
"""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.cluster import pods
from perijove.doctor.cluster.network import CORE, PATIENCE
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.cluster.view import Cluster, matches
from perijove.domain import cluster_ground_failures as rows
from perijove.domain.cluster import JSON, Thing, at, listed, mapping, moment, text
from perijove.domain.findings import Confidence, Finding


def wrong(cluster: Cluster) -> Iterator[Finding]:
    """Services that an Ingress names and that are not there, or lead to no pod's port."""
    named: dict[str, Thing] = {}
    for ingress in cluster.of("Ingress"):
        solver = any(kind == "Challenge" for kind, _ in ingress.owners)
        if solver or 0 < cluster.age(ingress.created) < PATIENCE:
            continue
        for rule in listed(ingress.spec, "rules"):
            for path in listed(rule, "http", "paths"):
                name = text(at(path, "backend", "service", "name") or at(path, "backend", "serviceName"))
                service = cluster.get("Service", ingress.namespace, name) if name else None
                if service is not None:
                    named.setdefault(service.said, service)
                    yield from _port_of(ingress, service, at(path, "backend", "service", "port"))
                elif name and cluster.lacks("Service"):
                    yield _missing(cluster, ingress, name)
    core = (one for one in cluster.of("Service") if one.name in CORE and cluster.age(one.created) >= PATIENCE)
    for service in {**named, **{one.said: one for one in core}}.values():
        yield from _ports(cluster, service)


def _missing(cluster: Cluster, ingress: Thing, name: str) -> Finding:
    there = [one.name for one in cluster.of("Service") if one.namespace == ingress.namespace]
    return found(
        rows.SERVICE_MISSING, f"{ingress.said} leads to Service {name}, which {ingress.namespace} does not have",
        f"Service {ingress.namespace}/{name}", Confidence.CERTAIN, seen(f"{ingress.said} spec.rules backend", name),
        seen(f"Services of {ingress.namespace}", ", ".join(there) or "none"),
        commands=(f"kubectl -n {ingress.namespace} edit ingress {ingress.name}",),
        about=(ingress, f"Service {ingress.namespace}/{name}"),
    )  # fmt: skip


def _port_of(ingress: Thing, service: Thing, port: object) -> Iterator[Finding]:
    """A port of the Ingress that its Service does not have."""
    wanted = mapping(port).get("number") or mapping(port).get("name")
    has = [one.get(key) for one in listed(service.spec, "ports") for key in ("port", "name")]
    if wanted and has and wanted not in has and service.spec.get("type") != "ExternalName":
        told = ", ".join(text(one.get("port")) for one in listed(service.spec, "ports"))
        yield found(
            rows.SERVICE_PORT_WRONG, f"{ingress.said} asks for port {wanted} of {service.said}, which has {told}",
            ingress.said, Confidence.CERTAIN, seen(f"{ingress.said} spec.rules backend.service.port", text(wanted)),
            seen(f"{service.said} spec.ports", told), about=(ingress, service),
            commands=(f"kubectl -n {ingress.namespace} edit ingress {ingress.name}",),
        )  # fmt: skip


def _ports(cluster: Cluster, service: Thing) -> Iterator[Finding]:
    """Target ports that no pod behind the Service has: by name nobody is reached; a number need not be declared."""
    selector = mapping(service.spec.get("selector"))
    behind = [one for one in cluster.pods if one.namespace == service.namespace and matches(selector, one.labels)]
    declared = [port for pod in behind for one in listed(pod.spec, "containers") for port in listed(one, "ports")]
    if not selector or not declared:
        return
    for one in listed(service.spec, "ports"):
        target = one.get("targetPort") or one.get("port")
        by_name = isinstance(target, str)
        if any(target == port.get("name" if by_name else "containerPort") for port in declared):
            continue
        said = (f"{text(port.get('name'))} {text(port.get('containerPort'))}".strip() for port in declared)
        ports = ", ".join(dict.fromkeys(said))
        edit = f"kubectl -n {service.namespace} edit service {service.name}   # targetPort"
        asked = f"kubectl -n {service.namespace} port-forward service/{service.name} 8080:{text(one.get('port'))}"
        yield found(
            rows.SERVICE_PORT_WRONG,
            f"{service.said} leads to port {target} of {behind[0].said}, which declares {ports}",
            service.said, Confidence.CERTAIN if by_name else Confidence.LIKELY,
            seen(f"{service.said} spec.ports", f"port {text(one.get('port'))}, targetPort {target}"),
            seen(f"{behind[0].said} spec.containers ports", ports), commands=(edit,),
            surer_with="" if by_name else asked,
        )  # fmt: skip


IN_CLUSTER = {
    "k8s.io/ingress-nginx": "ingress-nginx",
    "nginx.org/ingress-controller": "nginx-ingress",
    "traefik.io/ingress-controller": "traefik",
    "haproxy-ingress.github.io/controller": "haproxy",
    "haproxy.org/ingress-controller": "haproxy",
    "ingress-controllers.konghq.com/kong": "kong",
}
"""Controllers that run as pods, with a word of their names or images; those of clouds run outside."""


def without_controller(cluster: Cluster) -> Iterator[Finding]:
    """Ingresses of a class that exists and whose controller does not run, as far as pods tell."""
    for ingress in cluster.of("Ingress"):
        one = cluster.get("IngressClass", "", text(ingress.spec.get("ingressClassName")))
        by = text(one.spec.get("controller")) if one is not None else ""
        taken = any(True for _ in listed(ingress.status, "loadBalancer", "ingress"))
        solver = any(kind == "Challenge" for kind, _ in ingress.owners)
        if one is None or by not in IN_CLUSTER or taken or solver or cluster.age(ingress.created) < PATIENCE:
            continue
        if not cluster.within("kube-system", "Pod") or not cluster.lacks("Pod"):
            continue
        if not any(IN_CLUSTER[by] in " ".join((pod.name, *pods.images(pod))) for pod in cluster.pods):
            others = [pod.said for pod in cluster.pods if pods.is_ingress_controller(pod)]
            yield found(
                rows.INGRESS_CONTROLLER_ABSENT,
                f"{ingress.said} is of the class {one.name}, and no pod of its controller {by} was seen",
                ingress.said, Confidence.LIKELY, seen(f"{one.said} spec.controller", by),
                seen(f"{ingress.said} status.loadBalancer", "empty"),
                seen("pods of ingress controllers", ", ".join(others[:3]) or "none"),
                commands=(f"kubectl get pods -A | grep {IN_CLUSTER[by]}",), about=(ingress, one),
            )  # fmt: skip


def gateways(cluster: Cluster) -> Iterator[Finding]:
    """Gateways and their routes that are not served, in the words of their controller.

    Facts: Gateway API 1.3 apis/v1 gateway_types.go, shared_types.go: conditions, and `Waiting for controller`.
    """
    for one in cluster.there("Gateway", "HTTPRoute"):
        if one.group != "gateway.networking.k8s.io" or one.deleting:
            continue
        for place, what, holder in _conditioned(one):
            ill = [row for row in listed(holder, "conditions") if _unserved(row)]
            ill.sort(key=lambda row: text(row.get("type")) != "ResolvedRefs")
            since = min((moment(row.get("lastTransitionTime")) or one.created for row in ill), default=0)
            if ill and cluster.age(since) > PATIENCE:
                yield found(
                    rows.GATEWAY_NOT_PROGRAMMED, f"{one.said} {what}: {text(ill[0].get('reason'))}", one.said,
                    Confidence.CERTAIN, *(
                        seen(f"{one.said} {place} {text(row.get('type'))}",
                             f"{text(row.get('status'))} {text(row.get('reason'))}: {text(row.get('message'))}")
                        for row in ill),
                    commands=(f"kubectl -n {one.namespace} describe {one.kind.lower()} {one.name}",), since=since,
                    about=(one, *_gateways_of(one)),
                )  # fmt: skip


def _conditioned(one: Thing) -> Iterator[tuple[str, str, JSON]]:
    """What has conditions: where it stands, what it does where they are not met, and the conditions' holder."""
    for listener in listed(one.status, "listeners"):
        name = text(listener.get("name"))
        yield f"status.listeners {name}", f"does not serve its listener {name}", listener
    for parent in listed(one.status, "parents"):
        name = text(at(parent, "parentRef", "name"))
        yield f"status.parents {name}", f"is not served by {name} as it stands", parent
    yield "status", "is not served", one.status


def _unserved(row: JSON) -> bool:
    if text(row.get("type")) not in {"Accepted", "Programmed", "ResolvedRefs"}:
        return False
    waits = text(row.get("status")) == "Unknown" and text(row.get("reason")) in {"Pending", "NotReconciled"}
    return waits or text(row.get("status")) == "False"


def _gateways_of(route: Thing) -> Iterator[str]:
    for one in listed(route.spec, "parentRefs"):
        if text(one.get("kind")) in {"", "Gateway"}:
            yield f"Gateway {text(one.get('namespace')) or route.namespace}/{text(one.get('name'))}"
