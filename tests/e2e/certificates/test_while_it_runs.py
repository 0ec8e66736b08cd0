"""What operators change while the service runs: hosts, issuers, files, roots. SIGHUP, and nobody's session notices."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from dns import message, query

from perijove.domain.certificate_failures import ACME_RATE_LIMITED, KEY_MISMATCH
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, executed, until
from tests.fakes.acme_proxy import Proxy, on, problem, running_proxy
from tests.fakes.dns import Dns
from tests.fakes.dns_zone import KEY_NAME, ZoneServer, new_key
from tests.fakes.pebble import needs_pebble
from tests.fakes.private_ca import Leaf, PrivateCa

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.e2e, needs_pebble]
HELLO = str(Path(__file__).parents[3] / "examples" / "hello")
HOST = "binder.example"
HSTS = "Strict-Transport-Security"


@dataclass
class Operator:
    """Whoever writes the settings file, and tells the service of it."""

    world: CertifiedWorld
    proxy: Proxy
    service: Service
    tsig: Path
    hosts: tuple[str, ...] = (HOST,)
    certificates: dict[str, Any] = field(default_factory=dict)
    issuers: dict[str, dict[str, str]] = field(default_factory=dict)
    of_host: dict[str, Sequence[str]] = field(default_factory=dict)

    def write(self) -> None:
        """The file as it shall be now."""
        world = self.world
        service = {"hosts": self.hosts, "https": [f"{ADDRESS}:{world.https_port}"]}
        certificates = {
            "issuers": ["campus"],
            "resolvers": [world.dns.server],
            "http_port": world.http_port,
            "tls_port": world.https_port,
            "dns": "rfc2136",
        } | self.certificates
        options = {"server": world.dns.server, "key_name": KEY_NAME, "key_file": str(self.tsig), "zone": "wild.example"}
        issuers = {"campus": {"directory": world.pebble.directory, "ca_file": str(world.pebble.ca_file)}} | self.issuers
        tables: dict[str, Mapping[str, Any]] = {
            "service": service,
            "certificates": certificates,
            "certificates.dns_options": options,
        }
        tables |= {f"certificates.issuer.{name}": told for name, told in issuers.items()}
        tables |= {f'certificates.host."{host}"': {"issuers": names} for host, names in self.of_host.items()}
        lines = []
        for table, told in tables.items():
            lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in told.items())]
        self.service.config.write_text("\n".join(lines) + "\n")

    def reload(self) -> None:
        """SIGHUP; returns once the service has taken the settings."""
        self.write()
        before = self.service.log.read_bytes().count(b"settings reloaded")
        assert self.service.process is not None
        self.service.process.send_signal(signal.SIGHUP)
        until(lambda: self.service.log.read_bytes().count(b"settings reloaded") > before)

    def add(self, host: str, *issuers: str) -> None:
        """One more host."""
        if not host.startswith("*."):
            self.world.dns.set(host, "A", ADDRESS)
        self.hosts = (*self.hosts, host)
        self.of_host |= {host: issuers} if issuers else {}
        self.reload()

    def status(self, host: str) -> dict[str, Any]:
        """A certificate's status as JSON tells it."""
        told: dict[str, Any] = json.loads(self.service.cli("get", "certificate", host, "-o", "json"))["status"]
        return told

    def signed_by(self, host: str) -> str:
        """The issuer of what is current; `` where there is none."""
        secret = self.status(host)["secret"]
        return str(secret["issuer"]) if secret else ""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, module_state: State) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("changes")
    with certified_world(folder) as world, running_proxy(folder, world.pebble) as proxy:
        world.dns.set(HOST, "A", ADDRESS)
        service = Service(module_state, port=world.http_port)
        operator = Operator(world, proxy, service, folder / "tsig.key")
        _updates(operator)
        operator.write()
        try:
            service.up()
            world.has(HOST)
            until(lambda: operator.signed_by(HOST) == "campus")
            yield operator
        finally:
            if service.process is not None:
                service.stop()


def _updates(operator: Operator) -> None:
    """The world's name server takes updates of one zone, where their signature is right."""
    key, text = new_key()
    operator.tsig.write_text(text)
    dns, zone, name = operator.world.dns, ZoneServer(key=key), "_acme-challenge.wild.example"
    zone.add_zone("wild.example.", "")
    dns.set("wild.example", "SOA", "ns1.wild.example. admin.wild.example. 1 60 60 60 60")

    def update(wire: bytes) -> bytes | None:
        answered = zone.answered(wire)
        dns.set(name, "TXT", *zone.texts(name))
        return answered

    dns.on_update = update


async def test_a_host_comes_and_another_goes_and_a_session_notices_neither(operator: Operator) -> None:
    world, service = operator.world, operator.service
    session = world.secured(service, HELLO)
    async with asyncio.timeout(90), session.channel() as channel:
        assert await executed(channel, "state = 41; state") == "41"
        await asyncio.to_thread(operator.add, "more.example")
        await asyncio.to_thread(world.has, "more.example")
        assert await executed(channel, "state + 1") == "42"
        operator.hosts = (HOST,)
        await asyncio.to_thread(operator.reload)
        await asyncio.to_thread(until, lambda: world.shown("more.example") is None)
        assert await executed(channel, "state + 2") == "43"
    assert world.ask(HOST, "/health").status_code == 200
    assert "more.example" not in service.cli("get", "certificates")
    assert world.ask("more.example", "/", https=False).status_code == 421


def test_browsers_are_bound_to_https_once_they_trust_the_certificate(operator: Operator, tmp_path: Path) -> None:
    world = operator.world
    assert HSTS not in world.ask(HOST, "/").headers
    roots = tmp_path / "roots.pem"
    roots.write_bytes(world.pebble.root())
    operator.certificates["public_roots"] = str(roots)
    operator.reload()
    until(lambda: HSTS in world.ask(HOST, "/").headers)
    assert world.ask(HOST, "/").headers[HSTS] == "max-age=31536000"
    assert operator.status(HOST)["hsts"] is True
    assert HSTS not in world.ask(HOST, "/", https=False).headers
    del operator.certificates["public_roots"]
    operator.reload()
    until(lambda: HSTS not in world.ask(HOST, "/").headers)


def test_files_that_an_operator_replaces_are_served_and_bad_ones_told(operator: Operator, tmp_path: Path) -> None:
    world, ca, host = operator.world, PrivateCa(tmp_path / "ca"), "bought.example"
    first, second, others = ca.leaf(host, called="1"), ca.leaf(host, called="2"), ca.leaf(host, called="3")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def give(leaf: Leaf, its_key: Path) -> int:
        shutil.copy(leaf.chain, chain)
        shutil.copy(its_key, key)
        return x509.load_pem_x509_certificate(chain.read_bytes()).serial_number

    given = give(first, first.key)
    operator.issuers["bought"] = {"chain": str(chain), "key": str(key)}
    operator.add(host, "bought")
    assert world.has(host).serial_number == given
    until(lambda: operator.signed_by(host) == "bought")

    give(second, others.key)
    failure = until(lambda: operator.status(host)["failure"])
    assert failure["kind"] == KEY_MISMATCH.code
    assert world.has(host).serial_number == given, "the old one stays"

    given = give(second, second.key)
    until(lambda: world.has(host).serial_number == given, 10)
    until(lambda: operator.status(host)["failure"] is None)
    assert operator.service.cli("describe", "certificate", host).startswith("✓ Ready")


def test_the_next_issuer_takes_over_from_one_whose_rate_limit_is_reached(operator: Operator) -> None:
    limited = problem(429, "rateLimited", "too many certificates already issued", {"Retry-After": "3600"})
    operator.proxy.rule = on("/order-plz", limited)
    operator.issuers["limited"] = {"directory": operator.proxy.directory, "ca_file": str(operator.proxy.ca_file)}
    operator.add("second.example", "limited", "campus")
    operator.world.has("second.example")
    assert until(lambda: operator.signed_by("second.example")) == "campus"
    assert "/order-plz" in operator.proxy.paths()
    told = operator.service.cli("get", "events")
    assert ACME_RATE_LIMITED.title.lower() in told.lower()


def test_a_wildcard_is_got_by_records_and_shown_for_each_name_below_it(operator: Operator) -> None:
    world = operator.world
    operator.add("*.wild.example")
    held = world.has("any.wild.example").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == ["*.wild.example"]
    assert world.ask("other.wild.example", "/health").status_code == 200
    with (
        pytest.raises(ssl.SSLError),
        socket.create_connection((ADDRESS, world.https_port), timeout=5) as plain,
        world.trust().wrap_socket(plain, server_hostname="deep.below.wild.example"),
    ):
        pytest.fail("a wildcard stands for one label alone")
    assert "dns-01" in operator.service.cli("get", "challenges")
    until(lambda: operator.signed_by("*.wild.example") == "campus")
    until(lambda: not texts(world.dns, "_acme-challenge.wild.example"))


def texts(dns: Dns, name: str) -> list[str]:
    """What a name server tells of a name."""
    told = query.udp(message.make_query(name, "TXT"), dns.address, timeout=5, port=dns.port)
    return [str(one) for answer in told.answer for one in answer]
