"""Each fault between a CA and the challenge, made for real, is named with its place and its remedy, and at once."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from perijove.backends.probes.host_probe import HostProbe
from perijove.certifying.verdict import Verdict
from perijove.domain.certificates import ChallengeType, Confidence
from perijove.domain.settings import Settings
from tests.fakes.faults import FAULTS, QUICK
from tests.fakes.faulty_web import EMPTY, EXPECTED, FRONT, MARKER, TOKEN, World, faulty_web
from tests.fakes.nginx import missing, self_signed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
HTTP, TLS_ALPN, BY_DNS = ChallengeType.HTTP, ChallengeType.TLS_ALPN, ChallengeType.DNS


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with faulty_web(tmp_path_factory.mktemp("nginx")) as world:
        yield world


@pytest.fixture
async def probe(world: World) -> HostProbe:
    return world.probe()


@pytest.mark.parametrize("which", FAULTS)
async def test_a_fault_is_named_with_its_place_and_remedy(
    which: str, world: World, probe: HostProbe, record_property: Callable[[str, object], None]
) -> None:
    fault = FAULTS[which]
    fault.happens(world.dns)
    began = time.monotonic()
    seen = await probe.look(fault.name, TOKEN, EXPECTED, tls=False)
    verdict = world.judged(await probe.past_caches(seen, TOKEN, tls=False))
    seconds = time.monotonic() - began
    record_property("seconds", round(seconds, 4))
    print(f"{which}: {seconds * 1000:.0f} ms")
    failure = verdict.failure
    assert failure is not None
    print(failure.message)
    assert failure.kind.code == fault.code, failure.message
    assert not [words for words in fault.cause if words not in failure.cause], failure.cause
    assert [one for one in failure.evidence if fault.evidence in f"{one.where}: {one.saw}"], failure.evidence
    assert fault.remedy in failure.remedy
    assert verdict.open == ()
    assert seconds < fault.within


async def test_a_name_that_leads_here_is_open(world: World, probe: HostProbe) -> None:
    world.dns.set("well.example", "A", FRONT)
    seen = await probe.look("well.example", TOKEN, EXPECTED, tls=False)
    assert world.judged(seen) == Verdict(None, Confidence.CERTAIN, (HTTP,), ())
    assert seen.addresses[0].hops[0].marker == MARKER
    assert seen.seconds < QUICK


async def test_a_redirect_that_reaches_us_is_open_whatever_its_certificate(world: World, probe: HostProbe) -> None:
    world.dns.set("forwards.example", "A", FRONT)
    seen = await probe.look("forwards.example", TOKEN, EXPECTED, tls=False)
    verdict = world.judged(seen)
    assert (verdict.failure, verdict.open) == (None, (HTTP,))
    assert [note.saw for note in verdict.notes] == [
        "reached through 1 redirect(s), the certificate there is self-signed (ingress.local); CAs do not mind"
    ]


async def test_a_broken_ipv6_address_is_named_though_ipv4_leads_here(world: World, probe: HostProbe) -> None:
    world.dns.set("six.example", "A", FRONT)
    world.dns.set("well.example", "A", FRONT)
    world.dns.set("well.example", "AAAA", "::1")
    try:
        seen = await probe.look("well.example", TOKEN, EXPECTED, tls=False)
    finally:
        world.dns.clear("well.example")
    failure = world.judged(seen).failure
    assert failure is not None
    assert failure.kind.code == "cert.ipv6-broken"
    assert "DNS has ::1, but [::1]:" in failure.cause
    assert failure.cause.endswith(f"by IPv4 ({FRONT}) Perijove answers")
    assert "Remove the AAAA record" in failure.remedy
    assert seen.seconds < QUICK


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ('0 issue "ca.example"', 'at example: `0 issue "ca.example"` lets others issue, and not letsencrypt.org'),
        ('0 issue ";"', "lets nobody issue"),
        ('128 tbs "x"', "is critical, and CAs do not know the tag tbs"),
        ('0 issue "letsencrypt.org; validationmethods=dns-01"', "does not allow http-01"),
        ('0 issue "letsencrypt.org; accounturi=https://ca/acct/1"', "is for another account than https://ca/acct/2"),
    ],
)
async def test_a_caa_record_that_forbids_is_named_wherever_on_the_way_up_it_stands(
    record: str, cause: str, world: World, probe: HostProbe
) -> None:
    world.dns.set("well.example", "A", FRONT)
    world.dns.set("example", "CAA", record)
    try:
        seen = await probe.look("well.example", TOKEN, EXPECTED, tls=False)
        wild = await probe.look("*.well.example", TOKEN, EXPECTED, tls=False)
    finally:
        world.dns.clear("example")
    failure = world.judged(seen, account="https://ca/acct/2").failure
    assert failure is not None
    assert failure.kind.code == "cert.caa-forbids"
    assert cause in failure.cause
    assert [one.saw for one in failure.evidence] == [record]
    assert 'example. CAA 0 issue "letsencrypt.org"' in failure.remedy
    assert (wild.addresses, {one.record for one in wild.dns}) == ((), {"CAA"})
    by_dns = world.judged(wild, BY_DNS, account="https://ca/acct/2").failure
    assert (by_dns is None) == ("dns-01" in record)


async def test_a_clock_that_is_wrong_is_named_before_anything_else(world: World, probe: HostProbe) -> None:
    world.dns.set("well.example", "A", FRONT)
    seen = await probe.look("well.example", TOKEN, EXPECTED, tls=False)
    failure = world.judged(seen, clock_ahead=12 * 365 * 86400).failure
    assert failure is not None
    assert failure.kind.code == "cert.clock-wrong"
    assert failure.cause == "this machine's clock is 4380 days behind the CA's"


async def test_the_way_through_an_alias_is_seen(world: World, probe: HostProbe) -> None:
    world.dns.set("alias.example", "CNAME", "well.example")
    world.dns.set("well.example", "A", FRONT)
    seen = await probe.look("alias.example", TOKEN, EXPECTED, tls=False)
    assert ("alias.example", "CNAME", ("well.example",)) in [(one.name, one.record, one.values) for one in seen.dns]
    assert [one.address for one in seen.addresses] == [FRONT]


async def test_an_address_needs_no_dns(world: World, probe: HostProbe) -> None:
    asked = len(world.dns.asked)
    seen = await probe.look(FRONT, TOKEN, EXPECTED, tls=False)
    assert (seen.dns, len(world.dns.asked)) == ((), asked)
    failure = world.judged(seen).failure
    assert failure is not None
    assert failure.kind.code == "cert.not-forwarded"


async def test_where_port_80_is_closed_an_answer_on_443_is_enough(world: World) -> None:
    world.dns.set("alpn.example", "A", EMPTY)
    with _challenge_answered(world.folder, "alpn.example") as port:
        certificates = replace(world.settings.certificates, tls_port=port)
        probe = world.probe(Settings(certificates=certificates))
        seen = await probe.look("alpn.example", TOKEN, EXPECTED, tls=True)
        other = await probe.look("alpn.example", TOKEN, EXPECTED + "x", tls=True)
    verdict = world.judged(seen, HTTP, TLS_ALPN)
    assert (verdict.failure, verdict.open) == (None, (TLS_ALPN,))
    failure = world.judged(other, HTTP, TLS_ALPN).failure
    assert failure is not None
    assert failure.kind.code == "cert.port-refused"
    assert "another certificate: self-signed (alpn.example)" in [one.saw for one in failure.evidence]
    alone = world.judged(other, TLS_ALPN).failure
    assert alone is not None
    assert alone.kind.code == "cert.no-challenge"


async def test_what_a_port_shows_is_told_and_judged_by_the_visitors_roots(world: World, probe: HostProbe) -> None:
    shown = await probe.handshake(f"{FRONT}:{world.https}", "ingress.local")
    assert (shown.subject, shown.names, shown.self_signed, shown.trusted) == (
        "ingress.local", ("ingress.local",), True, False,
    )  # fmt: skip
    roots = replace(world.settings.certificates, public_roots=str(world.folder / "ingress.local.pem"))
    trusting = world.probe(Settings(certificates=roots))
    assert (await trusting.handshake(f"{FRONT}:{world.https}", "ingress.local")).trusted
    assert not (await trusting.handshake(f"{FRONT}:{world.https}", "other.example")).trusted
    with pytest.raises(ConnectionError, match="Connect call failed"):
        await probe.handshake(f"{EMPTY}:{world.https}", "ingress.local")
    with pytest.raises(ConnectionError, match="no TLS handshake"):
        await probe.handshake(f"{FRONT}:{world.http}", "ingress.local")


@contextmanager
def _challenge_answered(folder: Path, name: str) -> Iterator[int]:
    """A TLS server that answers TLS-ALPN-01 for `EXPECTED` as RFC 8737 says."""
    digest = b"\x04\x20" + sha256(EXPECTED.encode()).digest()
    identifier = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.31"), digest)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder, name, identifier))
    context.set_alpn_protocols(["acme-tls/1"])
    with socket.socket() as listening:
        listening.bind((EMPTY, 0))
        listening.listen()
        thread = threading.Thread(target=_shake, args=(listening, context), name="TLS-ALPN", daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _shake(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with whoever comes, until the socket is shut."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as shaken:
                    shaken.recv(1)
            except OSError:  # the other side has seen enough
                continue
