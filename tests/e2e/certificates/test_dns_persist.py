"""A name shown by a record that stays: by each draft that CAs speak, and by a service that proposes the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perijove.backends.acme import AcmeAuthority
from perijove.backends.dns01.authoritative import Authoritative
from perijove.backends.probes.host_probe import HostProbe
from perijove.certifying.persistent import PersistentRecords, of_challenge
from perijove.domain.certificate_failures import DNS_PERSIST
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import ChallengeAnswer, ChallengeType, Issuer, IssuerKind, OrderStatus
from perijove.domain.failures import Fail
from perijove.domain.persistent_record import PersistentRecord
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.wiring.given import SystemClock
from tests.e2e.certified import certified_world
from tests.e2e.service import Service
from tests.e2e.service import until as waited
from tests.fakes.acme_client import until, wish
from tests.fakes.acme_proxy import Proxy, running_proxy
from tests.fakes.dns import Dns
from tests.fakes.dns_zone import ZoneServer, serving
from tests.fakes.pebble import needs_pebble, running_pebble
from tests.fakes.persistent_ca import BELIEVING, ISSUER, PREFIX, offers_persistent

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, needs_pebble]
HOST = "binder.example.org"
NAME = f"_validation-persist.{HOST}"
A = "a.example"


@pytest.fixture
def zone() -> Iterator[ZoneServer]:
    with serving() as server:
        server.add_zone("example.org.", "binder 60 A 127.0.0.1")
        yield server


@pytest.fixture
def proxy(tmp_path: Path, zone: ZoneServer) -> Iterator[Proxy]:
    with (
        running_pebble(tmp_path, dns=Dns(zone.address, zone.port), environ=BELIEVING) as pebble,
        running_proxy(tmp_path, pebble) as proxy,
    ):
        yield proxy


Spoil = Callable[[str], str]


@pytest.mark.parametrize("draft", [0, 1, 2])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda value: value, "", id="as proposed"),
        pytest.param(lambda value: value + "x", "mismatch", id="with another policy than the wildcard needs"),
        pytest.param(lambda value: value.replace("accounturi=", "accounturi=x"), "accounturi", id="another account"),
    ],
)
async def test_a_ca_and_we_judge_the_record_alike(
    proxy: Proxy, zone: ZoneServer, state: State, draft: int, spoil: Spoil, why: str
) -> None:
    ca = offers_persistent(proxy, zone.address, zone.port, draft)
    settings = Settings(certificates=CertificatesSettings(resolvers=(zone.where,)))
    probe = HostProbe(lambda: settings, Authoritative(lambda: (zone.where,), zone.port))
    solver, names = PersistentRecords(probe, SystemClock()), (HOST, f"*.{HOST}")
    issuer = Issuer("pebble", IssuerKind.ACME, proxy.directory, ca_file=str(proxy.ca_file))
    authority = AcmeAuthority(issuer, proxy.directory, state)
    try:
        account, order = await authority.account(), await authority.new_order(wish(*names).hosts)
        offered: list[tuple[str, PersistentRecord]] = []
        for url in order.authorizations:
            view = await authority.authorization(url)
            (challenge,) = view.challenges
            record = of_challenge(view.name, names, await authority.directory(), account, challenge)
            offered.append((challenge.url, record))
        zone.put(NAME, "other.example; accounturi=x", spoil(offered[0][1].value))
        told = []
        for _, record in offered:
            try:
                await solver.present(ChallengeAnswer(HOST, ChallengeType.DNS_PERSIST, "", "", "", record))
            except Fail as error:
                told.append(error.failure.kind)
        assert set(told) == ({DNS_PERSIST} if why else set())
        for url, _ in offered:
            await authority.answer(url)
        if why:
            assert why in " ".join(ca.refused.values())
        else:
            assert not ca.refused
            order = await until(lambda: authority.order(order.url), lambda seen: seen.status is not OrderStatus.PENDING)
            assert order.status is OrderStatus.READY
    finally:
        await authority.close()


def test_a_service_proposes_the_record_and_has_its_certificate_once_it_stands(tmp_path: Path, state: State) -> None:
    with certified_world(tmp_path, environ=BELIEVING) as world, running_proxy(tmp_path, world.pebble) as proxy:
        offers_persistent(proxy, world.dns.address, world.dns.port, draft=2)
        settings = {
            "CERTIFICATES_ISSUERS": proxy.directory,
            "CERTIFICATES_ACME_CA": str(proxy.ca_file),
            "CERTIFICATES_CHALLENGES": "dns-persist-01",
        }
        service = world.service(state, A, **settings)
        service.settings["CERTIFICATES_HTTP_PORT"] = "1"
        try:
            service.up()
            told = waited(lambda: _proposed(service), 60)
            assert told.startswith(f"_validation-persist.{A}. IN TXT")
            value = told.partition('"')[2].rstrip('"')
            assert value.startswith(f"{ISSUER}; accounturi={PREFIX}sha-256/")
            assert world.shown(A) is None
            world.dns.set(f"_validation-persist.{A}", "TXT", value)
            world.has(A, 60)
        finally:
            service.stop()


def _proposed(service: Service) -> str:
    text = " ".join(service.cli("describe", "certificate", A).split())
    found = re.search(r"`(_validation-persist[^`]*)`", text)
    return found[1] if found else ""
