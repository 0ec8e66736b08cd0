"""Would others see the same? In: what was seen from here. Out: `Confidence`, and what speaks against certainty. Pure.

A look from inside may be misled by a NAT that does not turn back, by a name server with answers of its own for this
network, by a CDN that answers by place, and by a firewall on the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from perijove.domain.certificates import AddressSeen, Confidence, DnsSeen, Observation
from perijove.domain.failures import Evidence
from perijove.domain.reach import within_a_site

WHERE = "seen from this machine only"
Told = tuple[Confidence, tuple[Evidence, ...]]


def seen_outside(observation: Observation, one: AddressSeen) -> Told:
    """How much what was seen at an address says about the view from outside."""
    if one.hops and one.hops[-1].error == "silent":
        return _inside(f"{one.hops[-1].address} may answer later than was waited for, and CAs wait for longer")
    if ip_address(one.address).is_loopback:
        return Confidence.CERTAIN, ()
    if within_a_site(one.address) and _private_server(observation.dns, one.address):
        return _inside(f"{one.address} is a private address that a name server of this network told")
    if one.ours and not one.translated:
        return Confidence.CERTAIN, ()
    if via := next((hop.via for hop in one.hops if hop.via), ""):
        return _inside(f"a proxy or CDN in front ({via[:100]}) may answer others otherwise")
    if one.ours:
        return _inside(f"{one.address} is a router's in front of this machine, and may not be reachable from behind it")
    if one.ours is None:
        return _inside(f"whose {one.address} is cannot be seen from here: this machine's own addresses are private")
    if one.hops and one.hops[0].status:
        return Confidence.CERTAIN, ()
    return _inside(f"{one.address} is another machine's; a firewall on the way there may concern this network alone")


def names_seen_outside(asked: Iterable[DnsSeen]) -> Told:
    """How much answers of name servers say about what others are told."""
    for one in asked:
        if one.status in {"server-failure", "no-answer"}:
            return _inside(f"{one.server} may be the one that fails, and others ask other servers")
        if _in_this_network(one.server):
            return _inside(f"{one.server} is a server of this network; it may have answers of its own, or old ones")
    return Confidence.CERTAIN, ()


def _inside(because: str) -> Told:
    return Confidence.INSIDE, (Evidence(WHERE, because),)


def _private_server(dns: Iterable[DnsSeen], address: str) -> bool:
    """Whether an address was told by a server that only this network asks; this machine's own one passes such on."""
    told = (one for one in dns if address in one.values)
    return any(_in_this_network(one.server) or ip_address(_host(one.server)).is_loopback for one in told)


def _in_this_network(server: str) -> bool:
    return within_a_site(_host(server))


def _host(server: str) -> str:
    return server.split(", ", maxsplit=1)[0].rpartition(":")[0].strip("[]")
