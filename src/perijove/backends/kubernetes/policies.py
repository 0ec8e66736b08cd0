"""What may a session's pod reach, and who may reach it? In: a spec, the operator's terms. Out: a NetworkPolicy. Pure.

A policy knows addresses and no hosts: what an operator opens by a host's name is refused. It holds where the cluster's
network plugin enforces it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from perijove.backends.kubernetes.manifests import (
    COMPONENT,
    EGRESS,
    INSTANCE,
    Json,
    Terms,
    egress_key,
    metadata,
    selector,
)
from perijove.domain.cluster_session_failures import SESSION_CANNOT
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Egress, SandboxSpec

WEB = (80, 443)
NOT_PUBLIC = {
    "0.0.0.0/0": (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    ),
    "::/0": (
        "::/127", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0/96", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10",
        "ff00::/8",
    ),
}  # fmt: skip
"""All addresses, and which of them are a site's own: RFC 1918, 6598, 3927 (clouds' metadata), 4193, 4291, 6052."""
NAMES = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


def policy(spec: SandboxSpec, terms: Terms) -> Json:
    """For all sessions that may reach what this one may. Raises Fail: `cluster.session-cannot`."""
    key = egress_key(spec)
    mine = {"app.kubernetes.io/managed-by": "perijove", INSTANCE: terms.instance, COMPONENT: "control-plane"}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": metadata(f"{terms.instance}-sessions-{key}", terms, {EGRESS: key}, terms.owner),
        "spec": {
            "podSelector": {"matchLabels": {**selector(terms), EGRESS: key}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": mine}}], "ports": [_port(terms.port)]}],
            "egress": [*_egress(spec)],
        },
    }  # fmt: skip


def _egress(spec: SandboxSpec) -> Iterator[Json]:
    if spec.egress is Egress.PUBLIC:
        yield {"to": [NAMES], "ports": [{"port": 53, "protocol": "UDP"}, _port(53)]}
        blocks = [{"ipBlock": {"cidr": cidr, "except": [*without]}} for cidr, without in NOT_PUBLIC.items()]
        yield {"to": blocks, "ports": [_port(port) for port in WEB]}
    for one in spec.egress_allowed:
        address, _, port = one.rpartition(":")
        try:
            network, number = ip_network(address.strip("[]"), strict=False), int(port)
        except ValueError as error:
            cause = "a NetworkPolicy opens addresses, and no host by its name"
            raise Fail(SESSION_CANNOT(cause, Evidence("session.egress_allowed", one[:300]))) from error
        yield {"to": [{"ipBlock": {"cidr": str(network)}}], "ports": [_port(number)]}


def _port(number: int) -> Json:
    return {"port": number, "protocol": "TCP"}
