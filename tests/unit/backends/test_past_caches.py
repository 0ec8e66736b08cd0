"""What a resolver remembers does not hide a mended record: the zone's own servers are asked, as CAs ask them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from perijove.backends.dns01.authoritative import TEXTS_LIMIT, Authoritative
from perijove.backends.probes.host_probe import PATH, HostProbe
from perijove.certifying.challenge import HttpAnswers
from perijove.certifying.looking import Looking
from perijove.certifying.verdict import Verdict
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import CertificateSpec, ChallengeType, Issuer, IssuerKind
from perijove.domain.failures import Failure
from perijove.domain.settings import Settings
from tests.fakes.certificate_world import MARKER, CertificateWorld
from tests.fakes.dns import Dns, running_dns
from tests.fakes.dns_zone import ZoneServer, free_on, serving

HOST, HERE, OLD, SECOND = "binder.example.org", "127.0.0.1", "127.0.0.9", "127.0.0.8"


@dataclass
class Place:
    """A resolver, the zone's own server, and Perijove's port 80."""

    world: CertificateWorld
    resolver: Dns
    zone: ZoneServer
    port: int
    answers: HttpAnswers

    @property
    def probe(self) -> HostProbe:
        settings = Settings(
            certificates=CertificatesSettings(
                resolvers=(self.resolver.server,), public_addresses=(HERE,), http_port=self.port
            )
        )
        return HostProbe(lambda: settings, Authoritative(lambda: settings.certificates.resolvers, self.zone.port))

    async def looked(self, host: str = HOST) -> Verdict:
        """One look and its judgement, as the way does it."""
        ca, clock = self.world.ca, self.world.clock
        looking = Looking(self.probe, lambda *_: ca, {ChallengeType.HTTP: self.answers}, clock, MARKER, lambda: HERE)
        async with looking.at(CertificateSpec(host, (Issuer("ca", IssuerKind.ACME, ca.url),))) as look:
            return (await look((host,)))[host]


@asynccontextmanager
async def answering(answers: HttpAnswers) -> AsyncIterator[int]:
    """Perijove's answers by HTTP at `HERE`; the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = answers.get(asked.removeprefix(PATH)) or "none"
        head = f"HTTP/1.1 200 OK\r\nX-Perijove-Solver: {MARKER}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def resolver() -> Iterator[Dns]:
    """It keeps what it says for five minutes, and knows who holds the zone."""
    with running_dns() as dns:
        dns.ttl = 300
        dns.set("example.org", "SOA", "ns1.example.org. admin.example.org. 1 60 60 60 300")
        dns.set("example.org", "NS", "ns1.example.org")
        dns.set("ns1.example.org", "A", HERE)
        yield dns


@pytest.fixture
async def place(tmp_path: Path, resolver: Dns) -> AsyncIterator[Place]:
    answers = HttpAnswers()
    with serving(HERE) as zone:
        async with answering(answers) as port:
            yield Place(CertificateWorld(tmp_path), resolver, zone, port, answers)


def failed(verdict: Verdict) -> Failure:
    assert verdict.failure is not None
    return verdict.failure


def told(verdict: Verdict) -> list[str]:
    """The evidence, one line a piece."""
    pieces = verdict.failure.evidence if verdict.failure else verdict.notes
    return [f"{one.where}: {one.saw}" for one in pieces]


async def test_an_address_that_was_mended_counts_though_the_resolver_still_says_the_old_one(place: Place) -> None:
    place.resolver.set(HOST, "A", OLD)
    place.zone.add_zone("example.org.", f"binder 60 A {HERE}")
    verdict = await place.looked()
    assert (verdict.failure, verdict.open) == (None, (ChallengeType.HTTP,))
    assert (
        f"A of {HOST} from {place.resolver.server}: still says {OLD}, cached for 300 s; "
        f"the zone's server {place.zone.where} says {HERE}"
    ) in told(verdict)


async def test_a_name_that_was_made_counts_though_the_resolver_remembers_that_there_is_none(place: Place) -> None:
    place.zone.add_zone("example.org.", f"binder 60 A {HERE}")
    verdict = await place.looked()
    assert (verdict.failure, verdict.open) == (None, (ChallengeType.HTTP,))
    assert (
        f"A of {HOST} from {place.resolver.server}: still says no-such-name, cached for 300 s; "
        f"the zone's server {place.zone.where} says {HERE}"
    ) in told(verdict)


async def test_an_alias_is_followed_into_its_own_zone(place: Place) -> None:
    place.resolver.set(HOST, "CNAME", "old.example.org")
    place.resolver.set("old.example.org", "A", OLD)
    place.resolver.set("example.net", "SOA", "ns1.example.net. admin.example.net. 1 60 60 60 300")
    place.resolver.set("example.net", "NS", "ns1.example.net")
    place.resolver.set("ns1.example.net", "A", HERE)
    place.zone.add_zone("example.org.", "binder 60 CNAME front.example.net.")
    place.zone.add_zone("example.net.", f"front 60 A {HERE}")
    assert (await place.looked()).open == (ChallengeType.HTTP,)


async def test_an_address_that_was_taken_away_is_no_longer_looked_at(place: Place) -> None:
    place.resolver.set(HOST, "A", HERE)
    place.resolver.set(HOST, "AAAA", "::1")
    place.zone.add_zone("example.org.", f"binder 60 A {HERE}")
    assert (await place.looked()).open == (ChallengeType.HTTP,)


async def test_a_record_that_was_mended_wrongly_is_judged_as_it_is_now(place: Place) -> None:
    place.resolver.set(HOST, "A", OLD)
    place.zone.add_zone("example.org.", f"binder 60 A {SECOND}")
    verdict = await place.looked()
    assert failed(verdict).kind.code == "cert.dns-wrong-address"
    assert f"{HOST} leads to {SECOND}" in failed(verdict).cause
    assert f"still says {OLD}" in " ".join(told(verdict))


async def test_a_caa_record_that_was_mended_counts(place: Place) -> None:
    place.resolver.set(HOST, "A", HERE)
    place.resolver.set("example.org", "CAA", '0 issue "other.example"')
    place.zone.add_zone("example.org.", f'binder 60 A {HERE}\n@ 60 CAA 0 issue "other.example"')
    forbidden = await place.looked()
    assert failed(forbidden).kind.code == "cert.caa-forbids"
    assert "still says" not in " ".join(told(forbidden))
    place.zone.add_zone("example.org.", f'binder 60 A {HERE}\n@ 60 CAA 0 issue "letsencrypt.org"')
    assert (await place.looked()).open == (ChallengeType.HTTP,)


@pytest.mark.parametrize(("record", "code"), [("A", "cert.dns-wrong-address"), ("", "cert.dns-no-such-name")])
async def test_servers_that_keep_silent_change_nothing_and_are_not_waited_for_long(
    place: Place, record: str, code: str
) -> None:
    if record:
        place.resolver.set(HOST, record, OLD)
    place.zone.silent = True
    began = time.monotonic()
    verdict = await place.looked()
    assert time.monotonic() - began < 3
    assert failed(verdict).kind.code == code
    assert "zone's server" not in " ".join(told(verdict))


async def test_where_both_say_the_same_what_was_seen_stays(place: Place) -> None:
    for record in ("A", "CAA"):
        place.resolver.set(HOST, record, {"A": OLD, "CAA": '0 issue "other.example"'}[record])
    place.zone.add_zone("example.org.", f'binder 60 A {OLD}\nbinder 60 CAA 0 issue "other.example"')
    probe = place.probe
    seen = await probe.look(HOST, "token", "token.key", tls=False)
    assert await probe.past_caches(seen, "token", tls=False) is seen
    assert {record for name, record in place.zone.asked if name == HOST} >= {"A", "AAAA", "CAA"}


async def test_what_is_green_asks_nobody_else(place: Place) -> None:
    place.resolver.set(HOST, "A", HERE)
    place.zone.add_zone("example.org.", f"binder 60 A {OLD}")
    assert (await place.looked()).open == (ChallengeType.HTTP,)
    assert place.zone.asked == []


@pytest.mark.parametrize("how", ["servfail", "silent"])
async def test_a_resolver_that_fails_may_have_its_reasons(place: Place, how: str) -> None:
    """It may check signatures, as CAs do."""
    place.resolver.misbehave(HOST, how)
    place.zone.add_zone("example.org.", f"binder 60 A {HERE}")
    began = time.monotonic()
    verdict = await place.looked()
    assert failed(verdict).kind.code == {"servfail": "cert.dns-server-failure", "silent": "cert.dns-no-answer"}[how]
    assert time.monotonic() - began < 4
    assert place.zone.asked == []


async def test_texts_of_nobody_who_answers_are_told_in_time(place: Place) -> None:
    """A look waits for them."""
    place.zone.silent = True
    place.resolver.misbehave(f"_validation-persist.{HOST}", "silent")
    began = time.monotonic()
    seen = await place.probe.texts(f"_validation-persist.{HOST}")
    assert {one.status for one in seen} == {"no-answer"}
    assert time.monotonic() - began < 2 * TEXTS_LIMIT + 1


async def test_a_name_that_dns_cannot_have_has_no_texts(place: Place) -> None:
    (seen,) = await place.probe.texts(f"_validation-persist.{'a.' * 119}example")
    assert (seen.status, seen.values) == ("no-such-name", ())


async def test_servers_that_do_not_agree_yet_do_not_count(resolver: Dns) -> None:
    """A CA may ask the one that is late; its refusal would be one of four an hour."""
    port = free_on(HERE, SECOND)
    resolver.set("ns1.example.org", "A", HERE, SECOND)
    with serving(HERE, port) as first, serving(SECOND, port) as second:
        first.add_zone("example.org.", "binder 60 A 192.0.2.2")
        second.add_zone("example.org.", "binder 60 A 192.0.2.1")
        servers = Authoritative(lambda: (resolver.server,), port)
        assert await servers.ask(HOST, "A") == ()
        second.add_zone("example.org.", "binder 60 A 192.0.2.2")
        assert [one.values for one in await servers.ask(HOST, "A")] == [("192.0.2.2",)]
        second.silent = True
        assert [one.values for one in await servers.ask(HOST, "A")] == [("192.0.2.2",)], "nobody waits for the dead"


async def test_a_server_that_does_not_hold_the_zone_does_not_count(resolver: Dns) -> None:
    with serving(HERE) as zone:
        zone.add_zone("example.net.", "")
        assert await Authoritative(lambda: (resolver.server,), zone.port).ask(HOST, "A", "AAAA") == ()
