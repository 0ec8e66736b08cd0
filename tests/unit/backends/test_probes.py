"""What the host probe makes of servers that misbehave, and whose an address is taken to be."""

from __future__ import annotations

import asyncio
import resource
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.dns01.authoritative import Authoritative
from perijove.backends.probes.handshakes import Handshakes
from perijove.backends.probes.host_probe import HostProbe
from perijove.backends.probes.names import Names
from perijove.backends.probes.ownership import Ownership, ownership
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import Hop
from perijove.domain.settings import ServiceSettings, Settings
from tests.fakes.dns import running_dns
from tests.fakes.nginx import self_signed

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(words: bytes) -> Speak:
    """Read the request, say this, and hang up."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(words)
        await writer.drain()

    return speak


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side goes."""
    await reader.read()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def serving(
    speak: Speak, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A server on loopback; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, address, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def seen(speak: Speak) -> Hop:
    """What one look at 127.0.0.1 sees of a server."""
    async with serving(speak) as port:
        return await seen_at(port)


def probe_by(settings: Callable[[], Settings]) -> HostProbe:
    return HostProbe(settings, Authoritative(lambda: settings().certificates.resolvers))


async def seen_at(port: int) -> Hop:
    settings = Settings(certificates=CertificatesSettings(http_port=port))
    found = await probe_by(lambda: settings).look("127.0.0.1", "token", "token.key", tls=False)
    (address,) = found.addresses
    return address.hops[-1]


@pytest.mark.parametrize(
    ("speak", "error", "words"),
    [
        (saying(b""), "reset", "disconnected"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not-http", "SSH-2.0"),
        (hold, "silent", "no answer"),
    ],
    ids=["hangs up", "speaks ssh", "says nothing"],
)
async def test_what_is_no_answer_has_its_word(speak: Speak, error: str, words: str) -> None:
    hop = await seen(speak)
    assert (hop.status, hop.error) == (0, error)
    assert words in hop.words


@pytest.mark.parametrize("there", [True, False], ids=["no certificates", "no file"])
async def test_roots_that_cannot_be_read_are_told_as_that_of_a_port_that_answers(tmp_path: Path, there: bool) -> None:
    roots, context = tmp_path / "roots.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if there:
        roots.write_text("nothing")
    context.load_cert_chain(*self_signed(tmp_path, "ingress.local"))
    async with serving(hold, context) as port:
        shown = await Handshakes(lambda: str(roots)).certificate("127.0.0.1", port, "ingress.local")
    assert (shown.subject, shown.trusted) == ("ingress.local", False)
    assert str(roots) in shown.problem


async def test_a_port_that_expects_tls_is_known_by_its_handshake(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path, "ingress.local"))
    async with serving(hold, context) as port:
        hop = await seen_at(port)
    assert (hop.status, hop.error) == (0, "tls")
    assert hop.certificate is not None
    assert hop.certificate.subject == "ingress.local"


async def test_of_an_address_of_this_machine_is_told_what_it_shows_itself(tmp_path: Path) -> None:
    """A handshake for an address says no name: only where it goes tells the service's addresses apart."""
    contexts = []
    for name in ("first.example", "second.example"):
        contexts.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        contexts[-1].load_cert_chain(*self_signed(tmp_path, name))
    probe = probe_by(Settings)
    async with serving(hold, contexts[0]) as port:
        listener = f"127.0.0.1:{port}"
        async with serving(hold, contexts[1], "127.0.0.2", port):
            assert (await probe.handshake(listener, "127.0.0.2")).subject == "second.example"
            assert (await probe.handshake(listener, "198.51.100.7")).subject == "first.example", "a router has that one"
            assert (await probe.handshake(listener, "a.example")).subject == "first.example"
        assert (await probe.handshake(listener, "127.0.0.2")).subject == "first.example", "nobody listens there"


async def test_of_a_body_without_end_the_beginning_is_kept() -> None:
    hop = await seen(flood)
    assert (hop.status, hop.body) == (200, "x" * 512)
    assert hop.seconds < 2


async def test_what_is_said_of_the_way_is_kept_and_bounded() -> None:
    answer = b"HTTP/1.1 404 No\r\nServer: " + b"s" * 900 + b"\r\nCF-Ray: 8a\r\nVia: 1.1 x\r\nContent-Length: 0\r\n\r\n"
    hop = await seen(saying(answer))
    assert (hop.server, hop.via) == ("s" * 300, "cf-ray: 8a; via: 1.1 x")


@pytest.mark.parametrize(
    "location", ["http://[", "https://x:99999/", "//", "http://:80/", "ftp://x/", "http://exa mple/"]
)
async def test_a_redirect_to_nonsense_ends_the_walk(location: str) -> None:
    hop = await seen(saying(f"HTTP/1.1 301 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()))
    assert hop.status == 301 or hop.error in {"unresolved", "reset", "unreachable"}


async def test_a_look_where_all_is_well_costs_little() -> None:
    """Two hundred certificates in six seconds are looked at one by one; the server's own work is counted here too."""
    answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntoken.key")
    with running_dns() as dns:
        dns.default("A", "127.0.0.1")
        async with serving(answer) as port:
            settings = Settings(certificates=CertificatesSettings(http_port=port, resolvers=(dns.server,)))
            probe = probe_by(lambda: settings)
            await probe.look("a.example", "token", "token.key", tls=False)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            for _ in range(20):
                found = await probe.look("a.example", "token", "token.key", tls=False)
                assert found.addresses[0].hops[-1].body == "token.key"
            spent = (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / 20
    print(f"{spent * 1000:.1f} ms of processor time a look")
    assert spent < 0.05


async def test_name_servers_are_asked_anew_when_the_settings_change() -> None:
    with running_dns() as one, running_dns() as other:
        one.default("A", "127.0.0.2")
        other.default("A", "127.0.0.3")
        settings = Settings(certificates=CertificatesSettings(http_port=1, resolvers=(one.server,)))
        probe = probe_by(lambda: settings)
        first = await probe.look("a.example", "token", "token.key", tls=False)
        settings = replace(settings, certificates=replace(settings.certificates, resolvers=(other.server,)))
        second = await probe.look("a.example", "token", "token.key", tls=False)
    assert [seen.addresses[0].address for seen in (first, second)] == ["127.0.0.2", "127.0.0.3"]


async def test_what_a_parent_says_of_caa_is_asked_once_for_names_that_are_looked_at_together() -> None:
    now, held = 100.0, '0 issue "ca.example"'
    with running_dns() as dns, running_dns() as other:
        dns.set("example", "CAA", held)
        servers = (dns.server,)
        names = Names(lambda: servers, lambda: now)

        async def said(name: str) -> tuple[str, ...]:
            return (await names.caa(name))[-1].values

        assert [await said(name) for name in ("a.example", "b.example")] == [(held,), (held,)]
        assert [name for name, record in dns.asked if record == "CAA"].count("example") == 1
        dns.set("example", "CAA", '0 issue ";"')
        dns.set("b.example", "CAA", held)
        assert await said("b.example") == (held,), "the name itself is always asked"
        now += 1.5
        assert await said("a.example") == ('0 issue ";"',)
        servers = (other.server,)
        assert await said("a.example") == (), "other servers are not known by what these said"


@pytest.mark.parametrize("how", ["refused", "servfail"])
async def test_a_parent_that_did_not_answer_is_asked_again(how: str) -> None:
    with running_dns() as dns:
        dns.misbehave("example", how)
        names = Names(lambda: (dns.server,), lambda: 100.0)
        assert [one.status for one in await names.caa("a.example")][-1] == "server-failure"
        dns.misbehave("example", "")
        dns.set("example", "CAA", '0 issue "ca.example"')
        assert (await names.caa("a.example"))[-1].values == ('0 issue "ca.example"',)


async def test_a_name_server_that_is_dead_costs_a_moment_where_another_answers() -> None:
    with running_dns() as dead, running_dns() as alive:
        dead.misbehave("a.example", "silent")
        dead.misbehave("example", "silent")
        alive.default("A", "127.0.0.2")
        servers = (dead.server, alive.server)
        probe = probe_by(lambda: Settings(certificates=CertificatesSettings(http_port=1, resolvers=servers)))
        began = time.monotonic()
        found = await probe.look("a.example", "token", "token.key", tls=False)
    assert [one.address for one in found.addresses] == ["127.0.0.2"]
    assert time.monotonic() - began < 3


PRIVATE, PUBLIC = frozenset({"127.0.0.1", "10.0.1.61", "fe80::1"}), frozenset({"127.0.0.1", "198.51.100.7"})


@pytest.mark.parametrize(
    ("interfaces", "public", "in_front", "address", "ours"),
    [
        (PUBLIC, (), (), "198.51.100.7", True),
        (PUBLIC, (), (), "127.0.0.9", True),
        (PUBLIC, (), (), "203.0.113.1", False),
        (PUBLIC, (), (), "2001:db8::1", None),
        (PUBLIC, (), (), "10.0.1.1", False),
        (PRIVATE, (), (), "203.0.113.1", None),
        (PRIVATE, (), (), "10.0.1.61", True),
        (PRIVATE, (), (), "10.0.1.1", False),
        (PRIVATE, ("203.0.113.1",), (), "203.0.113.1", True),
        (PRIVATE, ("203.0.113.1",), (), "10.0.1.61", False),
        (PUBLIC, (), ("203.0.113.0/24",), "203.0.113.1", True),
        (PUBLIC, (), ("10.0.1.1",), "203.0.113.1", None),
    ],
)
def test_whose_an_address_is(
    interfaces: frozenset[str], public: tuple[str, ...], in_front: tuple[str, ...], address: str, ours: bool | None
) -> None:
    assert Ownership(interfaces, frozenset(public), in_front).ours(address) is ours


def test_the_operators_word_counts_alone_and_shows_the_nat() -> None:
    settings = Settings(
        service=ServiceSettings(behind=("192.0.2.1",)),
        certificates=CertificatesSettings(public_addresses=("203.0.113.1",)),
    )
    found = ownership(settings)
    assert (found.own, found.translated("203.0.113.1"), found.translated("127.0.0.1")) == (
        ("203.0.113.1",),
        True,
        False,
    )
    assert "127.0.0.1" in found.interfaces
    assert Ownership(PUBLIC, frozenset(), ()).own == ("198.51.100.7",)
