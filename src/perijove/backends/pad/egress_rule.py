"""May a sandbox connect there? In: a name, its addresses, the rule; out: the address to use, or why not. Pure.

`public` is the open web: ports 80 and 443 of global unicast addresses that are not this host's or its network's.
What the operator allows beside it (`host:port`, `address/prefix:port`) overrides that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from perijove.domain.reach import carried, why_not

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
WEB = (80, 443)
WIDEST = {4: 8, 6: 32}
"""Prefix lengths of the widest networks that a machine is taken to be on."""


def links(fourth: str, sixth: str) -> list[Network]:
    """Networks without a gateway, from /proc/net/route and /proc/net/ipv6_route.

    Wider ones than any real network are a tunnel's way to everywhere, as a default route is.
    """
    networks: list[Network] = []
    for line in fourth.splitlines()[1:]:
        _, destination, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0:
            network, bits = (int.from_bytes(bytes.fromhex(text), sys.byteorder) for text in (destination, mask))
            networks.append(IPv4Network((network, bits.bit_count())))
    for line in sixth.splitlines():
        destination, length, _, _, gateway, *_ = line.split()
        if int(gateway, 16) == 0:
            networks.append(IPv6Network((int(destination, 16), int(length, 16))))
    return [network for network in networks if network.prefixlen >= WIDEST[network.version]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one sandbox may reach."""

    public: bool
    allowed: tuple[str, ...]


def _split(entry: str) -> tuple[str, str]:
    host, _, port = entry.rpartition(":")
    return host.strip("[]").lower().rstrip("."), port


def _allows(entry: str, host: str, address: Address, port: int) -> bool:
    name, number = _split(entry)
    if number != str(port):
        return False
    if name == host:
        return True
    try:
        return any(one in ip_network(name, strict=False) for one in (address, carried(address)) if one is not None)
    except ValueError:
        return False


def judge(
    host: str, port: int, addresses: Sequence[str], rule: Rule, near: Callable[[Address], bool]
) -> tuple[str | None, str]:
    """The first address that may be connected to, or None and the reason.

    `near` tells this host's own addresses and those of its networks.
    """
    host = host.lower().rstrip(".").strip("[]")
    reason = f"{host} has no address"
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if any(_allows(entry, host, address, port) for entry in rule.allowed):
            return text, ""
        if not rule.public:
            reason = f"this sandbox may only reach what the operator allows, and {host}:{port} is not among it"
        elif port not in WEB:
            reason = f"only the ports 80 and 443 may be reached, not {port}"
        elif why := why_not(str(address)):
            reason = f"{host} is {address}, which is not a public address ({why})"
        elif any(near(one) for one in (address, carried(address)) if one is not None):
            reason = f"{host} is {address}, which belongs to this machine or its network"
        else:
            return text, ""
    return None, reason
