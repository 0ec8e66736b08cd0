"""Whose is an address: this machine's, another's, or can nobody say from here?

In: the settings, the addresses of this machine's interfaces. Out: `Ownership`, which answers for any address.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import psutil

from perijove.domain.reach import within_a_site
from perijove.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Ownership:
    """What counts as this machine's."""

    interfaces: frozenset[str]
    public: frozenset[str]
    """The operator's word; where there is any, it alone counts."""
    in_front: tuple[str, ...]
    """Networks of the web server in front."""

    @property
    def own(self) -> tuple[str, ...]:
        """What addresses are compared with, loopback and link-local ones left out."""
        return tuple(sorted(self.public or filter(_means_something, self.interfaces)))

    def ours(self, address: str) -> bool | None:
        """Whether it is this machine's; None where nobody can say from here."""
        plain = ip_address(address)
        if self.public:
            return str(plain) in self.public
        if plain.is_loopback or str(plain) in self.interfaces or self._in_front(plain):
            return True
        family = (one for one in self.interfaces if ip_address(one).version == plain.version)
        public = any(_means_something(one) and not within_a_site(one) for one in family)
        behind_a_nat = not public and not within_a_site(address)
        return None if self.in_front or behind_a_nat else False

    def translated(self, address: str) -> bool:
        """Ours by the operator's word, but on no interface here."""
        return str(ip_address(address)) in self.public and not self.here(address)

    def here(self, host: str) -> bool:
        """Whether it is an address, and an interface of this machine has it."""
        try:
            plain = ip_address(host)
        except ValueError:
            return False
        return plain.is_loopback or str(plain) in self.interfaces

    def _in_front(self, plain: IPv4Address | IPv6Address) -> bool:
        return any(plain in ip_network(network) for network in self.in_front)


def _means_something(address: str) -> bool:
    """Whether others may know this machine by it."""
    plain = ip_address(address)
    return not plain.is_loopback and not plain.is_link_local


def ownership(settings: Settings) -> Ownership:
    """As the settings and the interfaces are now."""
    addresses = {
        one.address.partition("%")[0]
        for many in psutil.net_if_addrs().values()
        for one in many
        if one.family.name in {"AF_INET", "AF_INET6"}
    }
    public = {str(ip_address(one)) for one in settings.certificates.public_addresses}
    return Ownership(frozenset(addresses), frozenset(public), settings.service.behind)
