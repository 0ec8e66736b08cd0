"""Whose is an address: this machine's, another's, or can nobody say from here?

In: the settings, the addresses of this machine's interfaces. Out: `Whose`, which answers for any address.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import psutil

from perijove.domain.reach import why_not
from perijove.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Whose:
    """What counts as this machine's."""

    interfaces: frozenset[str]
    public: frozenset[str]
    """The operator's word; where there is any, it alone counts."""
    in_front: tuple[str, ...]
    """Networks of the web server in front."""

    @property
    def own(self) -> tuple[str, ...]:
        """What addresses are compared with, loopback and link-local ones left out."""
        kinds = {address: why_not(address) for address in self.interfaces}
        told = self.public or {one for one in kinds if kinds[one] not in {"loopback", "link-local"}}
        return tuple(sorted(told))

    def ours(self, address: str) -> bool | None:
        """Whether it is this machine's; None where nobody can say from here."""
        plain = ip_address(address)
        if self.public:
            return str(plain) in self.public
        if plain.is_loopback or str(plain) in self.interfaces or self._in_front(plain):
            return True
        reaches_out = any(not why_not(one) and ip_address(one).version == plain.version for one in self.interfaces)
        private_machine_behind_public_address = not why_not(address) and not reaches_out
        return None if self.in_front or private_machine_behind_public_address else False

    def translated(self, address: str) -> bool:
        """Ours by the operator's word, but on no interface here."""
        plain = ip_address(address)
        return str(plain) in self.public and not plain.is_loopback and str(plain) not in self.interfaces

    def _in_front(self, plain: IPv4Address | IPv6Address) -> bool:
        return any(plain in ip_network(network) for network in self.in_front)


def whose(settings: Settings) -> Whose:
    """As the settings and the interfaces are now."""
    addresses = {
        one.address.partition("%")[0]
        for many in psutil.net_if_addrs().values()
        for one in many
        if one.family.name in {"AF_INET", "AF_INET6"}
    }
    public = {str(ip_address(one)) for one in settings.certificates.public_addresses}
    return Whose(frozenset(addresses), frozenset(public), settings.service.behind)
