"""One look at a host, its parts all at once: name servers beside addresses, every address beside the others.

In: a host, a challenge's token, what must be answered. Out: an `Observation`. Implements `Probe`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address

from perijove.backends.probes.handshakes import Handshakes
from perijove.backends.probes.hops import Hops
from perijove.backends.probes.names import Names
from perijove.backends.probes.ownership import Ownership, ownership
from perijove.backends.probes.uncached import FAMILIES, ZoneServers, renewed
from perijove.domain.certificates import AddressSeen, DnsSeen, HostName, Observation, SeenCertificate
from perijove.domain.parsing import bracketed, split_address
from perijove.domain.settings import Settings

PATH = "/.well-known/acme-challenge/"
"""RFC 8555, 8.3."""
MOST = 8
"""Addresses of one family that are looked at."""


_Seen = tuple[tuple[DnsSeen, ...], tuple[AddressSeen, ...]]


class HostProbe:
    """Looks with the settings as they are at each look."""

    def __init__(self, settings: Callable[[], Settings], zone_servers: ZoneServers) -> None:
        self._settings = settings
        self._zone_servers = zone_servers
        self._names = Names(lambda: settings().certificates.resolvers)
        self._handshakes = Handshakes(lambda: settings().certificates.public_roots)
        self._hops = Hops(self._names, self._handshakes, self._ports)

    async def look(self, host: HostName, token: str, expected: str, *, tls: bool) -> Observation:
        """DNS, then every address: port 80 hop by hop to the challenge of `token`; with `tls` port 443 as well.

        Of a wildcard the CAA records alone, of an address nothing in DNS. Never raises for what it sees; at most 8 s,
        and 3 s where nobody answers.
        """
        at, began = time.time(), time.monotonic()
        http, https = self._ports()
        look = self._begun(host, token, expected)
        asked = look.parts(http, https if tls and not host.startswith("*.") else None)
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part, name=f"look at {host}") for part in asked]
        dns = tuple(dict.fromkeys(told for part in parts for told in part.result()[0]))
        addresses = tuple(seen for part in parts for seen in part.result()[1])
        return Observation(
            host, at, dns, addresses, expected, http_port=http, tls_port=https,
            own_addresses=look.ownership.own, seconds=time.monotonic() - began,
        )  # fmt: skip

    async def past_caches(self, seen: Observation, token: str, *, tls: bool) -> Observation:
        """The same by the zone's own servers, where resolvers remember something else; otherwise `seen` itself.

        Addresses that were looked at are not looked at again.
        """
        began = time.monotonic()
        told, cached = await renewed(seen, self._names, self._zone_servers)
        if not cached:
            return seen
        wanted = [address for one in told if one.record in FAMILIES for address in one.values[:MOST]]
        before = {one.address: one for one in seen.addresses}
        new = tuple(dict.fromkeys(one for one in wanted if one not in before))
        look = self._begun(seen.host, token, seen.expected)
        _, fresh = await look.at(new, seen.http_port, seen.tls_port if tls else None)
        known = before | {one.address: one for one in fresh}
        return replace(
            seen, dns=told, addresses=tuple(known[one] for one in wanted), cached=cached,
            seconds=seen.seconds + time.monotonic() - began,
        )  # fmt: skip

    async def texts(self, name: str) -> tuple[DnsSeen, ...]:
        """The TXT records of a name, by each server of its zone, or by the resolvers."""
        return await self._zone_servers.texts(name)

    async def handshake(self, address: str, server_name: str) -> SeenCertificate:
        """What `ADDRESS:PORT` shows for a name. Raises ConnectionError or TimeoutError in words.

        Of an address that this machine has, what that address shows at this port: clients send no name then (RFC 6066,
        3), so where they ask is all by which a service with several addresses can tell them apart.
        """
        host, port = split_address(address)
        if ownership(self._settings()).here(server_name):
            with suppress(OSError):  # it listens at other addresses alone
                return await self._handshakes.certificate(server_name, port, server_name)
        try:
            return await self._handshakes.certificate(host or "127.0.0.1", port, server_name)
        except TimeoutError as error:
            raise TimeoutError(f"{address} did not answer in time") from error
        except ConnectionError:
            raise
        except OSError as error:
            raise ConnectionError(f"{address} cannot be reached: {error}") from error

    def _begun(self, host: HostName, token: str, expected: str) -> _Look:
        return _Look(self._names, self._hops, self._handshakes, ownership(self._settings()), host, token, expected)

    def _ports(self) -> tuple[int, int]:
        certificates = self._settings().certificates
        return certificates.http_port, certificates.tls_port


@dataclass(frozen=True, slots=True)
class _Look:
    """What is the same for all parts of one look."""

    names: Names
    hops: Hops
    handshakes: Handshakes
    ownership: Ownership
    host: HostName
    token: str
    expected: str

    def parts(self, http: int, https: int | None) -> list[Coroutine[None, None, _Seen]]:
        """All that is to be looked at, each by itself."""
        if self.host.startswith("*."):
            return [self._caa(self.host.removeprefix("*."))]
        try:
            return [self.at((str(ip_address(self.host)),), http, https)]
        except ValueError:
            families = [self._family(record, http, https) for record in FAMILIES]
            return [*families, self._caa(self.host)]

    async def _caa(self, name: HostName) -> _Seen:
        return await self.names.caa(name), ()

    async def _family(self, record: str, http: int, https: int | None) -> _Seen:
        """The addresses of one family, looked at as soon as they are known."""
        told = await self.names.ask(self.host, record)
        return told, (await self.at(told[-1].values[:MOST], http, https))[1]

    async def at(self, addresses: tuple[str, ...], http: int, https: int | None) -> _Seen:
        """These addresses, all at once."""
        async with asyncio.TaskGroup() as group:
            seen = [group.create_task(self._address(one, http, https), name=f"look at {one}") for one in addresses]
        return (), tuple(one.result() for one in seen)

    async def _address(self, address: str, http: int, https: int | None) -> AddressSeen:
        """Both ports of one address."""
        name = bracketed(self.host)
        url = f"http://{name}{'' if http == 80 else f':{http}'}{PATH}{self.token}"
        async with asyncio.TaskGroup() as group:
            walk = group.create_task(self.hops.walk(address, url), name=f"ask {address} for the challenge")
            if https is not None:
                shake = group.create_task(
                    self.handshakes.challenge(address, https, self.host, self.expected),
                    name=f"shake hands with {address}",
                )
        ours, translated = self.ownership.ours(address), self.ownership.translated(address)
        tls = shake.result() if https is not None else None
        return AddressSeen(address, ours, walk.result(), tls, translated=translated)
