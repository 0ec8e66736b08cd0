"""TXT records by dynamic update (RFC 2136), signed with a shared key (TSIG, RFC 8945). In: a name, a value."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from perijove.backends.dns01.zones import LONGEST_WALK, Zones, followed, refusal, words, zone_told
from perijove.domain.certificate_failures import DNS_UPDATE_REFUSED
from perijove.domain.failures import BAD_SETTINGS, Evidence, Fail

OPTIONS = ("server", "key_name", "key_file", "algorithm", "zone")
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1")
PATIENCE = 10.0
"""Seconds for one exchange with the server."""
TTL = 60


class Rfc2136:
    """Writes records on one server."""

    def __init__(self, options: Mapping[str, str], zones: Zones) -> None:
        """Raises Fail: `platform.bad-settings`."""
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise _bad(f"knows no {unknown[0]} for rfc2136; it knows {', '.join(OPTIONS)}", unknown[0])
        if not options.get("server"):
            raise _bad("needs `server` for rfc2136", ", ".join(options))
        self._zones = zones
        self._host, self._port = _split(options["server"])
        self._key = _key(options)
        try:
            self._zone = dns.name.from_text(options["zone"]) if options.get("zone") else None
        except dns.exception.DNSException as error:
            raise _bad(f"holds a `zone` that is no name: {error}", options["zone"]) from error

    async def add(self, name: dns.name.Name, value: str) -> None:
        """Raises Fail: `cert.dns-update-refused`."""
        await self._changed(name, value, adding=True)

    async def remove(self, name: dns.name.Name, value: str) -> None:
        """Of the name's values only this one. Raises Fail: `cert.dns-update-refused`."""
        await self._changed(name, value, adding=False)

    async def _changed(self, name: dns.name.Name, value: str, *, adding: bool) -> None:
        where = await self._address()
        name = await self._followed(where, name)
        zone = self._zone or await self._zone_of(where, name)
        if not name.is_subdomain(zone):
            raise self._refused(f"{_text(name)} does not lie in the zone {_text(zone)}", "certificates.dns_options")
        update = dns.update.UpdateMessage(zone)
        if self._key is not None:
            update.use_tsig(self._key)
        if adding:
            update.add(name, TTL, dns.rdatatype.TXT, f'"{value}"')
        else:
            update.delete(name, dns.rdatatype.TXT, f'"{value}"')
        told = await self._exchanged(where, update)
        if told.rcode() != dns.rcode.NOERROR:
            raise self._refused(
                f"it answers {dns.rcode.to_text(told.rcode())} for {_text(zone)}", told.to_text()[:1000]
            )

    async def _followed(self, where: str, name: dns.name.Name) -> dns.name.Name:
        for _ in range(LONGEST_WALK):
            told = await self._exchanged(where, dns.message.make_query(name, dns.rdatatype.CNAME))
            target = followed(told, name)
            if target == name:
                return name
            name = target
        raise self._refused(f"more than {LONGEST_WALK} CNAMEs lead to {_text(name)}", "CNAME")

    async def _zone_of(self, where: str, name: dns.name.Name) -> dns.name.Name:
        """The nearest name above it that has a SOA record on this server."""
        above = name
        while above != dns.name.root:
            told = await self._exchanged(where, dns.message.make_query(above, dns.rdatatype.SOA))
            if refused := refusal(told):
                raise self._refused(
                    f"it answers {refused} when asked for the zone of {_text(name)}", told.to_text()[:1000]
                )
            if told.get_rrset(dns.message.ANSWER, above, dns.rdataclass.IN, dns.rdatatype.SOA):
                return above
            if (zone := zone_told(told, above)) is not None:
                return zone
            above = above.parent()
        raise self._refused(
            f"it holds no zone of {_text(name)}", "no SOA record; set `zone` in certificates.dns_options"
        )

    async def _exchanged(self, where: str, query: dns.message.Message) -> dns.message.Message:
        """By TCP: an update must neither be cut nor come twice."""
        try:
            return await dns.asyncquery.tcp(query, where, PATIENCE, self._port)
        except dns.tsig.PeerError as error:
            kind = type(error).__name__.removeprefix("Peer").upper()
            raise self._refused(f"it answers {_TSIG.get(kind, kind)} to our key", words(error)) from error
        except (OSError, dns.exception.DNSException, EOFError) as error:
            raise self._refused(f"it does not answer: {words(error)[:100].rstrip('.')}", words(error)) from error

    async def _address(self) -> str:
        if dns.inet.is_address(self._host):
            return self._host
        found = await self._zones.addresses(self._host)
        if not found:
            raise self._refused("its name has no address", f"no A or AAAA record of {self._host}")
        return found[0]

    def _refused(self, cause: str, saw: str) -> Fail:
        where = f"{self._host}:{self._port}"
        return Fail(DNS_UPDATE_REFUSED(f"{where}: {cause}", Evidence(where, saw)))


_TSIG = {"BADSIGNATURE": "BADSIG", "BADTRUNCATION": "BADTRUNC"}
"""Names of RFC 8945, 5.3 where the library has others."""


def _key(options: Mapping[str, str]) -> dns.tsig.Key | None:
    """From a file with the key in base64, or as `tsig-keygen` writes it. Raises Fail: `platform.bad-settings`."""
    name, file = options.get("key_name", ""), options.get("key_file", "")
    algorithm = options.get("algorithm", ALGORITHMS[0]).lower()
    if algorithm not in ALGORITHMS:
        raise _bad(f"holds an `algorithm` that is none of {', '.join(ALGORITHMS)}", algorithm)
    if not file:
        if name:
            raise _bad("needs `key_file` beside `key_name`", name)
        return None
    try:
        content = Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise _bad(f"names a `key_file` that cannot be read: {words(error)}", file) from error
    if "{" in content:
        return _key_clause(file, name)
    if not name:
        raise _bad("needs `key_name` beside `key_file`", file)
    try:
        return dns.tsig.Key(name, base64.b64decode("".join(content.split()), validate=True), algorithm)
    except (binascii.Error, dns.exception.DNSException) as error:
        raise _bad("names a `key_file` that holds no key in base64", file) from error


def _key_clause(file: str, name: str) -> dns.tsig.Key:
    try:
        owner, held = next(iter(dns.tsigkeyring.from_file(file).items()))
        found = held if isinstance(held, dns.tsig.Key) else dns.tsig.Key(owner, held, ALGORITHMS[0])
    except Exception as error:  # the library raises just that
        raise _bad("names a `key_file` that holds no key as tsig-keygen writes it", file) from error
    if name and dns.name.from_text(name) != found.name:
        raise _bad(f"names the key {name}, and its `key_file` holds {_text(found.name)}", file)
    return found


def _split(server: str) -> tuple[str, int]:
    """`192.0.2.1`, `[2001:db8::1]:5353`, `ns1.example.org:53` → host and port. Raises Fail: `platform.bad-settings`."""
    if dns.inet.is_address(server):
        return server, 53
    host, colon, port = server.rpartition(":")
    if not colon:
        return server, 53
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise _bad("holds a `server` that is no HOST or HOST:PORT", server)
    return host, int(port)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _bad(why: str, saw: str) -> Fail:
    return Fail(BAD_SETTINGS(f"certificates.dns_options {why}", Evidence("certificates.dns_options", saw[:200])))
