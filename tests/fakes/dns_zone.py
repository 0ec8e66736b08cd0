"""An authoritative name server on loopback that takes dynamic updates (RFC 2136) and really checks TSIG (RFC 8945).

It answers by UDP and TCP on one port from a thread of its own; with several zones, CNAMEs are followed among them.
"""

from __future__ import annotations

import base64
import secrets
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.zone

KEY_NAME = "perijove-test."


@dataclass
class ZoneServer:
    """Zones by their origin; without a `key` nobody may update."""

    zones: dict[dns.name.Name, dns.zone.Zone] = field(default_factory=dict)
    key: dns.tsig.Key | None = None
    refuses: dns.rcode.Rcode | None = None
    """What updates are answered whatever they are."""
    address: str = "127.0.0.1"
    port: int = 0
    silent: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Questions so far: name and type."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def where(self) -> str:
        return f"{self.address}:{self.port}"

    def add_zone(self, origin: str, records: str) -> None:
        """Records as in a zone file; SOA, NS and the server's own address are there by themselves."""
        text = f"@ 60 SOA ns1 admin 1 60 60 60 60\n@ 60 NS ns1\nns1 60 A {self.address}\n{records}"
        zone = dns.zone.from_text(text, origin=origin, relativize=False)
        self.zones[zone.origin or dns.name.root] = zone

    def texts(self, name: str) -> list[str]:
        """The TXT records that stand at a name."""
        with self.lock:
            owner = dns.name.from_text(name)
            zone = self._zone_of(owner)
            found = zone.get_rdataset(owner, dns.rdatatype.TXT) if zone else None
            return sorted(b"".join(one.strings).decode() for one in found or ())

    def put(self, name: str, *values: str) -> None:
        """These TXT records and no others, without an update."""
        with self.lock:
            owner = dns.name.from_text(name)
            zone = self._zone_of(owner)
            assert zone is not None
            zone.delete_rdataset(owner, dns.rdatatype.TXT)
            if values:
                texts = (f'"{one}"' for one in values)
                zone.replace_rdataset(owner, dns.rdataset.from_text("IN", "TXT", 60, *texts))

    def answered(self, wire: bytes) -> bytes | None:
        """One message's answer."""
        with self.lock:
            if self.silent:
                return None
            try:
                message = dns.message.from_wire(wire, keyring=self.key if self.key is not None else False)
            except (dns.message.UnknownTSIGKey, dns.tsig.BadKey):
                return self._tsig_error(wire, dns.rcode.BADKEY)
            except dns.tsig.BadSignature:
                return self._tsig_error(wire, dns.rcode.BADSIG)
            if message.opcode() == dns.opcode.UPDATE:
                answer = self._updated(cast("dns.update.UpdateMessage", message))
            else:
                answer = self._found(message)
            return answer.to_wire()

    def _found(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        name, record = query.question[0].name, query.question[0].rdtype
        self.asked.append((name.to_text(omit_final_dot=True), dns.rdatatype.to_text(record)))
        if self._zone_of(name) is None:
            answer.set_rcode(dns.rcode.REFUSED)
            return answer
        answer.flags |= dns.flags.AA
        for _ in range(10):
            zone = self._zone_of(name)
            if zone is None or zone.origin is None:
                break
            if (cut := _cut(zone, name)) is not None:
                answer.authority.append(cut)
                answer.flags &= ~dns.flags.AA
                break
            node = zone.get_node(name)
            if node is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            alias = zone.get_rrset(name, dns.rdatatype.CNAME)
            found = zone.get_rrset(name, record)
            if found is None and alias is not None:
                answer.answer.append(alias)
                name = alias[0].target
                continue
            if found is None:
                soa = zone.get_rrset(zone.origin, dns.rdatatype.SOA)
                assert soa is not None
                answer.authority.append(soa)
            else:
                answer.answer.append(found)
            break
        return answer

    def _updated(self, update: dns.update.UpdateMessage) -> dns.message.Message:
        answer = dns.message.make_response(update)
        zone = self.zones.get(update.zone[0].name)
        if self.refuses is not None:
            answer.set_rcode(self.refuses)
        elif zone is None:
            answer.set_rcode(dns.rcode.NOTAUTH)
        elif self.key is None or not update.had_tsig:
            answer.set_rcode(dns.rcode.REFUSED)
        else:
            for change in update.update:
                self._change(zone, change)
        return answer

    def _change(self, zone: dns.zone.Zone, change: dns.rrset.RRset) -> None:
        """RFC 2136, 2.5: an addition, or the removal of one value."""
        assert change.deleting in (None, dns.rdataclass.NONE), "nothing else is asked for here"
        held = list(zone.get_rdataset(change.name, change.rdtype) or ())
        rest = [one for one in held if one not in change]
        rest += [] if change.deleting is not None else list(change)
        if rest:
            zone.replace_rdataset(change.name, dns.rdataset.from_rdata_list(60, rest))
        else:
            zone.delete_rdataset(change.name, change.rdtype)

    def _tsig_error(self, wire: bytes, error: dns.rcode.Rcode) -> bytes:
        """NOTAUTH with the reason in a TSIG record that bears the asker's key name."""
        query = dns.message.from_wire(wire, keyring=False)
        answer = dns.message.make_response(query, tsig_error=error)
        assert query.keyname is not None
        answer.use_tsig(dns.tsig.Key(query.keyname, b"nobody's", "hmac-sha256"), tsig_error=error)
        answer.set_rcode(dns.rcode.NOTAUTH)
        return answer.to_wire()

    def _zone_of(self, name: dns.name.Name) -> dns.zone.Zone | None:
        origins = [origin for origin in self.zones if name.is_subdomain(origin)]
        return self.zones[max(origins, key=len)] if origins else None


def _cut(zone: dns.zone.Zone, name: dns.name.Name) -> dns.rrset.RRset | None:
    """The delegation below which a name lies, if any."""
    while name != zone.origin:
        if (found := zone.get_rrset(name, dns.rdatatype.NS)) is not None:
            return found
        name = name.parent()
    return None


def new_key() -> tuple[dns.tsig.Key, str]:
    """A key for updates, and its text in base64."""
    secret = secrets.token_bytes(32)
    return dns.tsig.Key(KEY_NAME, secret, "hmac-sha256"), base64.b64encode(secret).decode()


@contextmanager
def serving(address: str = "127.0.0.1", port: int = 0, key: dns.tsig.Key | None = None) -> Iterator[ZoneServer]:
    """A server until the end of the block; port 0: any that is free for both protocols."""
    zones = ZoneServer(address=address, key=key)

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, sender = self.request
            if (answer := zones.answered(wire)) is not None:
                sender.sendto(answer, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            while length := self.rfile.read(2):
                wire = self.rfile.read(struct.unpack("!H", length)[0])
                if (answer := zones.answered(wire)) is None:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)

    udp, tcp = _bound(address, port, Datagram, Stream)
    zones.port = tcp.server_address[1]
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True) for one in (udp, tcp)]
    for thread in threads:
        thread.start()
    try:
        yield zones
    finally:
        for one, thread in zip((udp, tcp), threads, strict=True):
            one.shutdown()
            one.server_close()
            thread.join()


class _Stream(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Datagram(socketserver.UDPServer):
    max_packet_size = 65535


def _bound(
    address: str,
    port: int,
    datagram: type[socketserver.BaseRequestHandler],
    stream: type[socketserver.StreamRequestHandler],
) -> tuple[_Datagram, _Stream]:
    for attempt in range(20):
        tcp = _Stream((address, port), stream)
        try:
            return _Datagram((address, int(tcp.server_address[1])), datagram), tcp
        except OSError:
            tcp.server_close()
            if port or attempt == 19:
                raise
    raise AssertionError


def free_on(*addresses: str) -> int:
    """A port that is free on all of these addresses for both protocols."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind((addresses[0], 0))
            port = int(probe.getsockname()[1])
        held: list[socket.socket] = []
        try:
            for address in addresses:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind((address, port))
            return port
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise AssertionError("no port is free on all of them")
