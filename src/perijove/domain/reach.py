"""Is this network address part of the public internet? An address in, a reason against it out. Pure.

Neither a visitor's link nor a session may make this machine talk to itself, its neighbours or a cloud's metadata
service, by whatever notation: an IPv6 address that carries an IPv4 one is judged by the one it carries.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def household(address: str) -> str:
    """Whom an address counts for: one household of IPv6 has a /64 to draw addresses from."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


_NAT64 = ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
_TRANSLATED = ip_network("::ffff:0:0:0/96")
# Not all releases of the standard library that we run on know these as special.
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "2001::/23",
        "5f00::/16",
    )
)
_SITES = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)

WIDEST = {4: 8, 6: 32}
"""Prefix lengths of the widest networks that a machine is taken to be on."""


def why_not(address: str) -> str:
    """Why this IP address is not a public one (`loopback`, `private or reserved`, …); `` when it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an IP address"
    plain = carried(parsed)
    if plain is None:
        return "an address of a translator"
    for name in ("unspecified", "loopback", "link_local", "multicast"):
        if getattr(plain, f"is_{name}"):
            return name.replace("_", "-")
    special = any(plain in network for network in _SPECIAL if network.version == plain.version)
    public = plain.is_global and not plain.is_reserved and not special and not getattr(plain, "is_site_local", False)
    return "" if public else "private or reserved"


def within_a_site(address: str) -> bool:
    """Whether it means something inside one network alone: RFC 1918, 6598, 3927, 4193, and link-local ones."""
    parsed = ip_address(address.partition("%")[0])
    return any(parsed in network for network in _SITES if network.version == parsed.version)


def carried(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """The IPv4 address inside an IPv6 one, or the address itself; None where it leads through a site's translator."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None if address.teredo is not None or address in _LOCAL_NAT64 else address


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
