"""Which names may the embedded CA sign for? In: a machine's name. Out: its root's name constraints. Pure.

Who trusts that root trusts it with names of machines and private networks alone (RFC 5280, 4.2.1.10).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from cryptography import x509

from perijove.domain.certificates import LOCAL_NAMES, HostName

NETWORKS = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
"""Loopback, private, link-local and shared addresses (RFC 6890, RFC 4193)."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_PERHAPS_PUBLIC = re.compile(r"[a-z]+|xn--[a-z0-9-]+")
"""What a top-level domain looks like: a machine called `dev` must not get us all of `.dev`."""


def constraints(machine: str) -> x509.NameConstraints:
    """What a root made on a machine of this name may sign for."""
    names = (*LOCAL_NAMES, *_own(machine))
    permitted = [*map(x509.DNSName, names), *map(x509.IPAddress, NETWORKS)]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def permits(constraints: x509.NameConstraints, host: HostName) -> bool:
    """Whether a host lies within them."""
    try:
        address = ip_address(host)
    except ValueError:
        name = host.removeprefix("*.").lower()
        return any(name == one or name.endswith(f".{one}") for one in permitted_names(constraints))
    return any(address in network for network in permitted_networks(constraints))


def only_local(constraints: x509.NameConstraints, machine: str) -> bool:
    """Whether they permit nothing beyond local names: some of each kind, and none that `machine` would not get."""
    names, networks = permitted_names(constraints), permitted_networks(constraints)
    own = (*LOCAL_NAMES, *_own(machine))
    return (
        bool(names and networks)
        and all(any(name == one or name.endswith(f".{one}") for one in own) for name in names)
        and all(any(_within(network, one) for one in NETWORKS) for network in networks)
    )


def permitted_names(constraints: x509.NameConstraints) -> tuple[str, ...]:
    """Names, each with all that lies below it."""
    return tuple(one.value for one in constraints.permitted_subtrees or () if isinstance(one, x509.DNSName))


def permitted_networks(constraints: x509.NameConstraints) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks of addresses."""
    values = (one.value for one in constraints.permitted_subtrees or () if isinstance(one, x509.IPAddress))
    return tuple(value for value in values if isinstance(value, (IPv4Network, IPv6Network)))


def _own(machine: str) -> tuple[str, ...]:
    name = machine.lower().rstrip(".")
    return (name,) if _NAME.fullmatch(name) and not _PERHAPS_PUBLIC.fullmatch(name) else ()


def _within(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return network.version == other.version and other.supernet_of(network)  # type: ignore[arg-type]
