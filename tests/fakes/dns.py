"""A name server of the tests' own on loopback, UDP and TCP on one ephemeral port; its records are set while it runs.

    with running_dns() as dns:
        dns.default("A", "127.0.0.1")                       # for every name that has no records of its own
        dns.set("a.example", "AAAA", "::1")                 # replaces; other types of that name are then empty
        dns.set("a.example", "CAA", '0 issue "ca.example"')
        dns.set("b.example", "CNAME", "a.example")          # followed
        dns.misbehave("c.example", "servfail")              # all types, or misbehave("c.example", "silent", "CAA")

A name without records and without a default does not exist, unless one below it does; where a parent has a SOA, that
goes with it. `dns.ttl = 300` has all answers kept that long. Types: all that dnslib knows,
values as a zone file writes them (TXT: the bare text). Misbehaviours: `MISBEHAVIOURS`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dnslib import CAA, QTYPE, RCODE, RR, TXT, DNSError, DNSRecord
from dnslib.server import DNSHandler, DNSLogger, DNSServer, TCPServer, UDPServer

MISBEHAVIOURS = {"nxdomain": RCODE.NXDOMAIN, "servfail": RCODE.SERVFAIL, "refused": RCODE.REFUSED, "empty": 0}
"""And `silent`: no answer at all."""
_UPDATE = 5
"""The opcode of RFC 2136."""
_HELD = 30.0
"""Seconds for which a silent connection stays open."""


@dataclass
class Dns:
    """A running server; its methods may be called from any thread."""

    address: str
    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    """`(name, type)` of each question so far."""
    ttl: int = 0
    """Seconds for which answers may be kept, also those that there is nothing."""
    on_update: Callable[[bytes], bytes | None] | None = None
    """Given an RFC 2136 update as it came, answers it, or None for silence; without it updates are refused."""
    _records: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    _defaults: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _misbehaviour: dict[tuple[str, str], str] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def server(self) -> str:
        """`ADDRESS:PORT`, as pebble's `-dnsserver` takes it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def set(self, name: str, record: str, *values: str) -> None:
        """A name's records of one type; no values: it has none of this type, but exists."""
        own = self._records.get(_plain(name), {})
        self._records[_plain(name)] = {**own, record: values}

    def default(self, record: str, *values: str) -> None:
        """What names without records of their own have; no values: nothing."""
        self._defaults = {**self._defaults, record: values}
        if not values:
            del self._defaults[record]

    def misbehave(self, name: str, how: str, record: str = "") -> None:
        """How questions for a name go wrong: `MISBEHAVIOURS` or `silent`; ``: not any more."""
        assert how in {"", "silent", *MISBEHAVIOURS}, how
        self._misbehaviour[(_plain(name), record)] = how

    def clear(self, name: str) -> None:
        """Forget a name's records and misbehaviour."""
        self._records.pop(_plain(name), None)
        for key in [key for key in tuple(self._misbehaviour) if key[0] == _plain(name)]:
            del self._misbehaviour[key]

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """dnslib's hook: the answer to one question. Raises DNSError for silence."""
        name, record = _plain(str(request.q.qname)), str(QTYPE[request.q.qtype])
        self.asked.append((name, record))
        how = self._misbehaviour.get((name, record)) or self._misbehaviour.get((name, ""))
        if how == "silent":
            if handler.protocol == "tcp":
                self._stopping.wait(_HELD)
            raise DNSError("says nothing")
        reply = request.reply()
        if how:
            reply.header.rcode = MISBEHAVIOURS[how]
            return reply
        if not self._exists(name):
            reply.header.rcode = RCODE.NXDOMAIN
        for answer in self._answers(name, record):
            reply.add_answer(answer)
        if not reply.rr:
            reply.add_auth(*self._above(name))
        return reply

    def _above(self, name: str) -> list[RR]:
        """The SOA of the zone in which there is nothing (RFC 2308, 3)."""
        labels = name.split(".")
        zones = (".".join(labels[at:]) for at in range(len(labels)))
        found = next((zone for zone in zones if "SOA" in self._records.get(zone, {})), None)
        return [] if found is None else [self._rr(found, "SOA", one) for one in self._records[found]["SOA"]]

    def _exists(self, name: str) -> bool:
        below = any(one.endswith("." + name) for one in tuple(self._records))
        return bool(name in self._records or self._defaults or below)

    def _answers(self, name: str, record: str) -> list[RR]:
        found: list[RR] = []
        for _ in range(8):
            own = self._records.get(name, self._defaults)
            if "CNAME" not in own or record == "CNAME":
                return found + [self._rr(name, record, value) for value in own.get(record, ())]
            found.append(self._rr(name, "CNAME", own["CNAME"][0]))
            name = _plain(own["CNAME"][0])
        return found

    def _rr(self, name: str, record: str, value: str) -> RR:
        if record == "TXT":
            chunks = [value.encode()[at : at + 255] for at in range(0, len(value.encode()), 255)] or [b""]
            return RR(name, QTYPE.TXT, ttl=self.ttl, rdata=TXT(chunks))
        if record == "CAA":
            flags, tag, text = value.split(" ", 2)
            return RR(name, QTYPE.CAA, ttl=self.ttl, rdata=CAA(int(flags), tag, text.strip('"')))
        if record in {"CNAME", "NS"}:
            value = _plain(value) + "."
        return RR.fromZone(f"{name}. {self.ttl} IN {record} {value}")[0]


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


class _Handler(DNSHandler):  # type: ignore[misc]  # dnslib has no types
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            super().handle()

    def get_reply(self, data: bytes) -> bytes:
        if data[2] >> 3 & 0xF != _UPDATE:
            return bytes(super().get_reply(data))
        update = self.server.resolver.on_update
        answered = update(data) if update else data[:2] + bytes([data[2] | 0x80, RCODE.REFUSED]) + bytes(8)
        if answered is None:
            raise DNSError("says nothing")
        return bytes(answered)


class _Udp(UDPServer):  # type: ignore[misc]
    max_packet_size = 65535


class _Tcp(TCPServer):  # type: ignore[misc]
    request_queue_size = 128


@contextmanager
def running_dns(address: str = "127.0.0.1") -> Iterator[Dns]:
    """A name server that knows nothing yet."""
    dns = Dns(address, 0)
    servers = _bound(dns)
    quiet = DNSLogger("-request,-reply,-truncated,-error")
    threads = []
    for server in servers:
        server.resolver, server.logger = dns, quiet
        kind = "TCP" if server.socket_type == socket.SOCK_STREAM else "UDP"
        serve = threading.Thread(target=server.serve_forever, args=(0.05,), name=f"name server {kind}", daemon=True)
        serve.start()
        threads.append(serve)
    try:
        yield dns
    finally:
        dns._stopping.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join(5)


def _bound(dns: Dns) -> list[DNSServer]:
    """Both listeners on one port, which the other protocol may hold already."""
    for _ in range(50):
        tcp = _Tcp((dns.address, 0), _Handler)
        dns.port = tcp.server_address[1]
        try:
            return [_Udp((dns.address, dns.port), _Handler), tcp]
        except OSError:
            tcp.server_close()
    raise OSError("no port is free for both UDP and TCP")
