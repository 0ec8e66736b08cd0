"""Whose record is this? Names followed to their zones, zones to their servers. In: names. Out: what servers say."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from ipaddress import ip_address

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail
from perijove.domain.parsing import bracketed, split_address

LABEL = "_acme-challenge"
PATIENCE = 2.0
"""Seconds that one server may take for one answer."""
LONGEST_WALK = 8
"""How many CNAMEs are followed."""
MOST_SERVERS = 16


@dataclass(frozen=True, slots=True)
class Server:
    """A name server: what it is called, and where it is asked."""

    name: str
    address: str
    port: int
    recursive: bool = False

    def __str__(self) -> str:
        where = f"{bracketed(self.address)}:{self.port}"
        return f"{self.name} ({where})" if self.name else where


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record belongs: its name with all CNAMEs followed, the zone, and the servers that hold it.

    There are no servers where none of them can be reached from here.
    """

    name: dns.name.Name
    zone: dns.name.Name
    servers: tuple[Server, ...]


class Zones:
    """The DNS as the configured resolvers know it; authoritative servers are asked on `port`."""

    def __init__(self, resolvers: tuple[str, ...], port: int) -> None:
        """Raises Fail: `platform.bad-settings`."""
        self.resolvers = tuple(_server(text) for text in resolvers)
        self._port = port

    async def place(self, name: dns.name.Name, *, public: bool = False) -> Place:
        """Raises dns.exception.DNSException where no resolver knows the zone.

        Authoritative servers are asked for the name itself, and resolvers only where those are out of reach, or the
        name is `public` anyway: what is not there yet would be remembered as missing (RFC 2308) until after the CA has
        looked.
        """
        for _ in range(LONGEST_WALK):
            within = name if public else name.parent()
            zone = await dns.asyncresolver.zone_for_name(within, resolver=self._resolver(), lifetime=3 * PATIENCE)
            servers = await self._authoritative(zone)
            told = await _first_told(servers, name)
            if told is None:
                servers, told = (), await _first_told(self.recursive(), name)
            if told is None:
                return Place(name, zone, ())
            target = followed(told, name)
            if target == name:
                nearest = zone_told(told, name)
                if nearest is None or nearest == zone:
                    return Place(name, zone, servers)
                return Place(name, nearest, await self._authoritative(nearest))  # delegated by itself
            name = target
        raise dns.exception.DNSException(f"more than {LONGEST_WALK} CNAMEs lead from {name}")  # type: ignore[no-untyped-call]

    def recursive(self) -> tuple[Server, ...]:
        """The resolvers, as servers."""
        found = [one for one in self._resolver().nameservers if isinstance(one, dns.nameserver.Do53Nameserver)]
        return tuple(Server("", one.address, one.port, recursive=True) for one in found)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """All addresses of a host; none where it has none or nobody says."""
        try:
            found = await self._resolver().resolve_name(host, lifetime=3 * PATIENCE)
        except dns.exception.DNSException:
            return ()
        return tuple(found.addresses())

    async def _authoritative(self, zone: dns.name.Name) -> tuple[Server, ...]:
        try:
            found = await self._resolver().resolve(zone, dns.rdatatype.NS, lifetime=3 * PATIENCE)
        except dns.exception.DNSException:
            return ()
        names = sorted(one.target.to_text(omit_final_dot=True) for one in found)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self.addresses(name), name=f"addresses of {name}") for name in names]
        servers = [
            Server(name, address, self._port)
            for name, task in zip(names, asked, strict=True)
            for address in task.result()
        ]
        return tuple(servers[:MOST_SERVERS])

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Read afresh where it is the machine's: networks change under a service that runs for months."""
        resolver = dns.asyncresolver.Resolver(configure=not self.resolvers)
        if self.resolvers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(one.address, one.port) for one in self.resolvers]
        else:
            told = [one for one in resolver.nameservers if isinstance(one, str)]
            resolver.nameservers = [dns.nameserver.Do53Nameserver(one, resolver.port) for one in told]
        return resolver


async def ask(server: Server, name: dns.name.Name, record: dns.rdatatype.RdataType) -> dns.message.Message:
    """One question to one server. Raises OSError and dns.exception.DNSException, also for silence."""
    query = dns.message.make_query(name, record, use_edns=0, payload=1232)
    if not server.recursive:
        query.flags &= ~dns.flags.RD
    answer, _ = await dns.asyncquery.udp_with_fallback(
        query, server.address, PATIENCE, server.port, ignore_unexpected=True, ignore_errors=True
    )
    return answer


async def _first_told(servers: tuple[Server, ...], name: dns.name.Name) -> dns.message.Message | None:
    """What the first of some servers that knows the name's zone says of its CNAME."""
    tasks = [asyncio.create_task(ask(one, name, dns.rdatatype.CNAME), name=f"asking {one}") for one in servers[:4]]
    try:
        for told in asyncio.as_completed(tasks):
            with contextlib.suppress(OSError, dns.exception.DNSException):  # then the next one's
                if not refusal(answer := await told):
                    return answer
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def followed(told: dns.message.Message, name: dns.name.Name) -> dns.name.Name:
    """Where an answer's CNAMEs lead from a name; the name itself where there are none."""
    for _ in range(LONGEST_WALK):
        alias = told.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        name = alias[0].target
    return name


def zone_told(told: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
    """The zone of a name by the authority section: a delegation's, or that of the SOA beside a negative answer."""
    above = [one.name for one in told.authority if name.is_subdomain(one.name)]
    return max(above, key=len, default=None)


def challenge_name(host: str) -> dns.name.Name:
    """Where the CA looks for a host's record (RFC 8555, 8.4)."""
    return dns.name.from_text(f"{LABEL}.{host.removeprefix('*.')}")


def words(error: BaseException) -> str:
    """What a library said of a failed question, bounded."""
    return (str(error) or type(error).__name__)[:300]


def refusal(told: dns.message.Message) -> str:
    """`REFUSED` and the like; `` where it answered."""
    rcode = told.rcode()
    return "" if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) else dns.rcode.to_text(rcode)


def _server(text: str) -> Server:
    try:
        return Server("", str(ip_address(text)), 53, recursive=True)
    except ValueError:
        pass
    try:
        host, port = split_address(text)
        return Server("", str(ip_address(host)), port, recursive=True)
    except ValueError as error:
        cause = "certificates.resolvers must hold addresses, like 192.0.2.53 or 192.0.2.53:5353"
        raise Fail(BAD_SETTINGS(cause, Evidence("certificates.resolvers", text[:200]))) from error
