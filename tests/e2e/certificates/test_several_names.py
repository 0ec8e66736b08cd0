"""One certificate for all names of sessions: ordered, shown, renewed, grown; a name that does not lead here."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from perijove.domain.certificate_failures import PORT_REFUSED
from perijove.domain.state import State
from tests.e2e.certified import ADDRESS, CertifiedWorld, certified_world
from tests.e2e.service import Service, until
from tests.fakes.pebble import needs_pebble
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
OWN = "binder.example"
NAMES = tuple(f"s{number}.example" for number in range(1, 21))
FIRST, ELSEWHERE = NAMES[0], "127.0.0.9"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedWorld]:
    with certified_world(tmp_path_factory.mktemp("several")) as world:
        for name in NAMES:
            world.dns.set(name, "A", ADDRESS)
        yield world


@pytest.fixture(scope="module")
def service(world: CertifiedWorld, module_state: State) -> Iterator[Service]:
    service = world.service(module_state, OWN, CERTIFICATES_CHALLENGES="http-01")
    wish(service, *NAMES)
    try:
        yield service.up()
    finally:
        if service.process is not None:
            service.stop()


def wish(service: Service, *names: str) -> None:
    """What the settings' file says of sessions; a service that runs takes it."""
    service.config.write_text(f"[service]\nsession_hosts = {json.dumps(names)}\n")
    if service.process is not None:
        before = service.log.read_bytes().count(b"settings reloaded")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: service.log.read_bytes().count(b"settings reloaded") > before)


def held(certificate: x509.Certificate) -> set[str]:
    """Its names."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


def shown(world: CertifiedWorld, *names: str) -> x509.Certificate | None:
    """The one certificate that is shown for all of them; None while it is not."""
    found = [world.shown(name) for name in names]
    return found[0] if found[0] is not None and all(one == found[0] for one in found) else None


def status(service: Service, name: str = FIRST) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(service.cli("get", "certificate", name, "-o", "json"))
    return told


@needs_pebble
def test_twenty_names_have_one_certificate_that_each_handshake_shows(world: CertifiedWorld, service: Service) -> None:
    certificate = until(lambda: shown(world, *NAMES), 60)
    assert held(certificate) == set(NAMES)
    assert held(world.has(OWN)) == {OWN}
    assert status(service)["spec"]["dnsNames"] == list(NAMES)
    certificates = service.cli("get", "certificates").splitlines()
    assert [line.split()[0] for line in certificates[1:]] == [OWN, FIRST]
    described = service.cli("describe", "certificate", FIRST)
    assert described.startswith("✓ Ready")
    assert ", ".join(NAMES[:5]) in described.replace("\n", " ")
    orders = json.loads(service.cli("get", "orders", "-o", "json"))
    assert sorted(one["metadata"]["name"] for one in orders["items"]) == [f"{OWN}-1", f"{FIRST}-1"]
    challenges = json.loads(service.cli("get", "challenges", "-o", "json"))["items"]
    own = [one["spec"]["dnsName"] for one in challenges if one["metadata"]["name"].startswith(FIRST)]
    assert sorted(own) == sorted(NAMES)


@needs_pebble
def test_it_is_renewed_as_one(world: CertifiedWorld, service: Service) -> None:
    before = until(lambda: shown(world, *NAMES), 60)
    until(lambda: status(service)["status"]["order"] and status(service)["status"]["secret"])
    service.cli("cert", "renew", FIRST)
    after = shown(world, *NAMES)
    assert after is not None
    assert after.serial_number != before.serial_number
    assert held(after) == set(NAMES)


@needs_pebble
def test_a_name_that_is_added_gets_in_while_the_others_are_served(world: CertifiedWorld, service: Service) -> None:
    until(lambda: shown(world, *NAMES), 60)
    world.dns.set("s21.example", "A", ADDRESS)
    wish(service, *NAMES, "s21.example")
    served = []

    def grown() -> x509.Certificate | None:
        served.append(world.shown(FIRST))
        return shown(world, *NAMES, "s21.example")

    assert held(until(grown, 60)) == {*NAMES, "s21.example"}
    assert None not in served
    wish(service, *NAMES)
    until(lambda: (one := shown(world, *NAMES)) and held(one) == set(NAMES), 60)
    assert world.shown("s21.example") is None


@needs_pebble
def test_a_name_that_does_not_lead_here_is_told_and_keeps_no_other_away(
    world: CertifiedWorld, service: Service
) -> None:
    world.dns.set("t1.example", "A", ADDRESS)
    world.dns.set("t2.example", "A", ELSEWHERE)
    wish(service, "t1.example", "t2.example")
    until(lambda: world.shown("t1.example"), 60)
    assert world.shown("t2.example") is None

    def told() -> dict[str, Any] | None:
        found = status(service, "t1.example")["status"]
        return found if found["failing"] else None

    found = until(told, 30)
    assert "without t2.example" in found["verdict"]
    assert list(found["failing"]) == ["t2.example"]
    assert found["failure"]["kind"] == PORT_REFUSED.code
    world.dns.set("t2.example", "A", ADDRESS)
    until(lambda: shown(world, "t1.example", "t2.example"), 30)
    wish(service, *NAMES)
    until(lambda: shown(world, *NAMES), 60)


def test_the_embedded_ca_signs_one_for_all(state: State) -> None:
    https, names = free_port(), ("s1.localhost", "s2.localhost", "s3.localhost")
    given = {"SERVICE_HTTPS": f"{ADDRESS}:{https}", "SERVICE_SESSION_HOSTS": ",".join(names)}
    service = Service(state, given)
    try:
        service.up()
        told = until(lambda: status(service, names[0])["status"]["secret"], 30)
        assert sorted(told["names"]) == sorted(names)
        assert told["issuer"] == "local"
    finally:
        if service.process is not None:
            service.stop()
