"""Is this address this machine's own, or of a network that it is on? An address in, yes or no out. Not pure.

With `domain.reach`, one rule for visitors' links and for sessions: a public address of this machine's own is no way
past the firewall before it.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

from perijove.domain.reach import Address, Network, links


def near(address: Address) -> bool:
    """Whether it is one of this host's own addresses or in a network this host is directly on."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))  # sends nothing; the kernel picks the address we would come from
        except OSError:
            return False
        own = probe.getsockname()[0].partition("%")[0]
    return own == str(address) or any(address in network for network in _links())


def own_addresses(version: int) -> list[str]:
    """By which this machine is reached on its networks, those of its own bridges for containers last."""
    import psutil  # noqa: PLC0415  imported late: most programs that read this ask for no list

    family = socket.AF_INET if version == 4 else socket.AF_INET6
    found = [
        (name.startswith(("docker", "br-", "virbr", "cni", "veth")), one.address)
        for name, addresses in psutil.net_if_addrs().items()
        for one in addresses
        if one.family is family and not _is_no_way_in(one.address)
    ]
    return [address for _, address in sorted(found, key=lambda one: one[0])]


def _is_no_way_in(address: str) -> bool:
    """Whether nobody on another machine can open it in a browser as it stands."""
    return "%" in address or ip_address(address).is_loopback or ip_address(address).is_link_local


def _links() -> list[Network]:
    """Networks that this host reaches without a gateway, from the kernel's tables of routes."""
    fourth, sixth = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
    return links(fourth.read_text(), sixth.read_text() if sixth.exists() else "")
