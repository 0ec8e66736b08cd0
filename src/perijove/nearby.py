"""Is this address this machine's own, or of a network that it is on? An address in, yes or no out. Not pure.

With `domain.reach`, one rule for visitors' links and for sessions: a public address of this machine's own is no way
past the firewall before it.
"""

from __future__ import annotations

import socket
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


def _links() -> list[Network]:
    """Networks that this host reaches without a gateway, from the kernel's tables of routes."""
    fourth, sixth = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
    return links(fourth.read_text(), sixth.read_text() if sixth.exists() else "")
