"""How do visitors reach the control plane? In: settings, the operator's choice. Out: Service, Ingress, Gateway. Pure.

Where they come to the service itself, it gets its certificates as on any machine; behind an Ingress or a Gateway these
are cert-manager's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from perijove.backends.kubernetes.manifests import Json
from perijove.domain.listening import UDP, http_listeners, https_listeners, named_session_hosts, quic_listeners
from perijove.domain.parsing import split_address
from perijove.domain.settings import ServiceSettings

LARGEST, LONGEST = "0", "86400"
"""What visitors upload and how many seconds a websocket is quiet, for ingress-nginx: no limit, a day."""
Part = tuple[str, str, str, Json]
"""`apiVersion`, kind, name, and what else it says."""


class Expose(StrEnum):
    """By what visitors come."""

    LOAD_BALANCER = "load-balancer"
    NODE_PORT = "node-port"
    CLUSTER_IP = "cluster-ip"
    """Nothing leads there from outside but what the operator makes."""
    INGRESS = "ingress"
    GATEWAY = "gateway"


OWN = {Expose.LOAD_BALANCER: "LoadBalancer", Expose.NODE_PORT: "NodePort"}
"""Those who come to the service itself, and its Service's type."""


@dataclass(frozen=True, slots=True)
class Port:
    """One that other pods reach."""

    name: str
    number: int
    protocol: str = "TCP"


def listened(service: ServiceSettings) -> list[Port]:
    """Where it listens beyond loopback."""
    found: dict[tuple[str, int], Port] = {}
    for name, addresses in (
        ("http", http_listeners(service)), ("https", https_listeners(service)), ("quic", quic_listeners(service)),
    ):  # fmt: skip
        for address in addresses:
            host, number = split_address(address.removeprefix(UDP))
            if host != "localhost" and not (host and ip_address(host).is_loopback):
                protocol = "UDP" if name == "quic" else "TCP"
                count = sum(one.name.startswith(f"{name}-") or one.name == name for one in found.values())
                found.setdefault((protocol, number), Port(name + (f"-{count}" if count else ""), number, protocol))
    return [*found.values()]


def exposed(
    service: ServiceSettings, name: str, labels: Mapping[str, str], expose: Expose, class_name: str, issuer: str
) -> Iterator[Part]:
    """All that leads there."""
    ports = [{"name": one.name, "port": one.number, "targetPort": one.name, "protocol": one.protocol}
             for one in listened(service)]  # fmt: skip
    spec: Json = {
        "type": OWN.get(expose, "ClusterIP"), "selector": {**labels}, "ports": ports,
        # CAs are answered before all stands, and where something is ill, pages say what.
        "publishNotReadyAddresses": True,
    }  # fmt: skip
    if expose in OWN:
        spec["externalTrafficPolicy"] = "Local"  # else all visitors would be one, by whose address limits go
    if expose is Expose.LOAD_BALANCER and class_name:
        spec["loadBalancerClass"] = class_name
    yield "v1", "Service", name, {"spec": spec}
    certificates = [one for one in ((f"{name}-tls", service.hosts),
                                    (f"{name}-sessions-tls", named_session_hosts(service))) if one[1]]  # fmt: skip
    if expose is Expose.INGRESS:
        yield _ingress(name, certificates, class_name, issuer, listened(service)[0])
    elif expose is Expose.GATEWAY:
        yield from _gateway(name, certificates, class_name, issuer, listened(service)[0])


def secrets(name: str) -> tuple[str, str]:
    """Those that cert-manager keeps certificates in."""
    return f"{name}-tls", f"{name}-sessions-tls"


def _issued(issuer: str) -> dict[str, str]:
    return {"cert-manager.io/cluster-issuer": issuer} if issuer else {}


def _ingress(
    name: str, certificates: list[tuple[str, tuple[str, ...]]], class_name: str, issuer: str, port: Port
) -> Part:
    # Other controllers pay no heed to annotations of ingress-nginx.
    nginx = "nginx.ingress.kubernetes.io/proxy-"
    about = {**_issued(issuer), f"{nginx}body-size": LARGEST, f"{nginx}read-timeout": LONGEST}
    backend = {"service": {"name": name, "port": {"name": port.name}}}
    paths = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec: Json = {
        "tls": [{"hosts": [*hosts], "secretName": secret} for secret, hosts in certificates],
        "rules": [{"host": host, **paths} for _, hosts in certificates for host in hosts],
    }
    if class_name:
        spec["ingressClassName"] = class_name
    return "networking.k8s.io/v1", "Ingress", name, {"annotations": about, "spec": spec}


def _gateway(
    name: str, certificates: list[tuple[str, tuple[str, ...]]], class_name: str, issuer: str, port: Port
) -> Iterator[Part]:
    api, hosts = "gateway.networking.k8s.io/v1", [host for _, hosts in certificates for host in hosts]
    listeners: list[Json] = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    for secret, names in certificates:
        tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": secret}]}
        for host in names:
            called = f"https-{len(listeners)}"
            listeners.append({"name": called, "port": 443, "protocol": "HTTPS", "hostname": host, "tls": tls})
    gateway = {"gatewayClassName": class_name, "listeners": listeners}
    yield api, "Gateway", name, {"annotations": _issued(issuer), "spec": gateway}
    of_https = [{"name": name, "sectionName": one["name"]} for one in listeners[1:]]
    # Envoy would cut event streams and websockets after 15 s.
    rule = {"backendRefs": [{"name": name, "port": port.number}], "timeouts": {"request": "0s"}}
    yield api, "HTTPRoute", name, {"spec": {"parentRefs": of_https, "hostnames": hosts, "rules": [rule]}}
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    to_https = {"parentRefs": [{"name": name, "sectionName": "http"}], "hostnames": hosts}
    yield api, "HTTPRoute", f"{name}-to-https", {"spec": {**to_https, "rules": [{"filters": [redirect]}]}}
