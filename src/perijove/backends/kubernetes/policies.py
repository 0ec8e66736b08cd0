"""What may a pod of ours reach, and who may reach it? In: a spec or a run, the terms. Out: a NetworkPolicy. Pure.

A policy knows addresses and no hosts: what an operator opens to sessions by a host's name is refused. It holds where
the cluster's network plugin enforces it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from perijove.backends.kubernetes import manifests
from perijove.backends.kubernetes.manifests import Json, Terms
from perijove.domain.cluster_session_failures import SESSION_CANNOT
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Egress, ForeignRun, SandboxSpec

WEB = (80, 443)
PUBLIC = {
    "0.0.0.0/0": (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    ),
    "2000::/3": ("2001::/23", "2001:db8::/32", "2002::/16"),
}  # fmt: skip
"""Addresses of the internet, and which among them are not (IANA's special-purpose registries, RFC 6890; of IPv6 only
global unicast, RFC 4291). What NAT64 translates (64:ff9b::/96) stays closed: it leads to private addresses too."""
DNS: tuple[Json, ...] = (
    {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchExpressions": [
            {"key": "k8s-app", "operator": "In", "values": ["kube-dns", "node-local-dns"]},
        ]},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
    {"ipBlock": {"cidr": "169.254.169.254/32"}},
)  # fmt: skip
"""Who answers for names: the cluster's DNS; and at addresses of the node itself, which are no pod's, NodeLocal DNSCache
(kubernetes.io/docs/tasks/administer-cluster/nodelocaldns) and GKE's Cloud DNS, whose metadata have another port."""


def policy(spec: SandboxSpec | ForeignRun, terms: Terms) -> Json:
    """For all sessions, or builds, that may reach what this one may. Raises Fail: `cluster.session-cannot`."""
    key, whose = manifests.egress_key(spec), "build" if isinstance(spec, ForeignRun) else "session"
    labels = {manifests.COMPONENT: whose, manifests.EGRESS: key}
    mine = {**manifests.selector(terms), manifests.COMPONENT: "control-plane"}
    homes: tuple[Json, ...] = ({}, {"namespaceSelector": {"matchLabels": {manifests.HOME_OF: terms.instance}}})
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": manifests.metadata(f"{terms.instance}-{whose}s-{key}", terms, labels, terms.owner),
        "spec": {
            "policyTypes": ["Ingress", "Egress"],
            "podSelector": {"matchLabels": {**manifests.selector(terms), **labels}},
            "ingress": [{"from": [{**home, "podSelector": {"matchLabels": mine}} for home in homes],
                         "ports": [_port(terms.port), _port(terms.files_port)]}],
            "egress": [*_egress(spec)],
        },
    }  # fmt: skip


def _egress(spec: SandboxSpec | ForeignRun) -> Iterator[Json]:
    if spec.egress is Egress.PUBLIC:
        yield {"to": [*DNS], "ports": [{"port": 53, "protocol": "UDP"}, _port(53)]}
        blocks = [{"ipBlock": {"cidr": cidr, "except": [*without]}} for cidr, without in PUBLIC.items()]
        yield {"to": blocks, "ports": [_port(port) for port in WEB]}
    for one in spec.egress_allowed:
        address, _, port = one.rpartition(":")
        try:
            network, number = ip_network(address.strip("[]"), strict=False), int(port)
        except ValueError as error:
            if isinstance(spec, ForeignRun):
                continue  # the package index's own, which are reached where they are public
            cause = "a NetworkPolicy opens addresses, and no host by its name"
            raise Fail(SESSION_CANNOT(cause, Evidence("session.egress_allowed", one[:300]))) from error
        yield {"to": [{"ipBlock": {"cidr": str(network)}}], "ports": [_port(number)]}


def _port(number: int) -> Json:
    return {"port": number, "protocol": "TCP"}
