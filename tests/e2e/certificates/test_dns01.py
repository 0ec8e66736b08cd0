"""A wildcard from a real CA: shown by a record that the solver put into a real zone, and gone again after it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from perijove.backends.acme import AcmeAuthority
from perijove.backends.dns01.solver import dns_solver
from perijove.certifying import secret as values
from perijove.domain.certificate_ports import Authority
from perijove.domain.certificate_settings import CertificatesSettings
from perijove.domain.certificates import ChallengeAnswer, ChallengeType, Issuer, IssuerKind, OrderStatus
from perijove.domain.state import State
from tests.fakes.acme_client import fetched, until, wish
from tests.fakes.dns import Dns
from tests.fakes.dns_zone import KEY_NAME, ZoneServer, new_key, serving
from tests.fakes.pebble import Pebble, needs_pebble, running_pebble

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, needs_pebble]


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[ZoneServer]:
    key, text = new_key()
    (tmp_path / "key").write_text(text)
    with serving(key=key) as server:
        server.add_zone("example.org.", "binder 60 A 127.0.0.1\n_acme-challenge.wiki CNAME wiki.acme.example.org.")
        server.add_zone("acme.example.org.", "")
        yield server


@pytest.fixture
def pebble(tmp_path: Path, zone: ZoneServer) -> Iterator[Pebble]:
    with ExitStack() as stack:
        yield stack.enter_context(running_pebble(tmp_path, dns=Dns(zone.address, zone.port)))


@pytest.fixture
async def authority(pebble: Pebble, state: State) -> AsyncIterator[Authority]:
    issuer = Issuer("pebble", IssuerKind.ACME, pebble.directory, ca_file=str(pebble.ca_file))
    authority = AcmeAuthority(issuer, pebble.directory, state)
    yield authority
    await authority.close()


@pytest.mark.parametrize(
    ("hosts", "stands_at"),
    [
        pytest.param(("binder.example.org", "*.binder.example.org"), "_acme-challenge.binder.example.org", id="own"),
        pytest.param(("*.wiki.example.org",), "wiki.acme.example.org", id="by an alias into another zone"),
    ],
)
async def test_names_and_wildcards_are_shown_by_records(
    authority: Authority, zone: ZoneServer, tmp_path: Path, hosts: tuple[str, ...], stands_at: str
) -> None:
    options = {"server": zone.where, "key_name": KEY_NAME, "key_file": str(tmp_path / "key")}
    settings = CertificatesSettings(dns="rfc2136", dns_options=options, resolvers=(zone.where,))
    solver, wanted = dns_solver(settings, limit=30, port=zone.port), wish(*hosts)
    thumbprint = (await authority.account()).thumbprint
    order = await authority.new_order(wanted.hosts)
    answers = []
    for url in order.authorizations:
        seen = await authority.authorization(url)
        offered = next(one for one in seen.challenges if one.type == ChallengeType.DNS)
        key_authorization = f"{offered.token}.{thumbprint}"
        answers.append(ChallengeAnswer(seen.host, ChallengeType.DNS, offered.token, key_authorization, ""))
        await solver.present(answers[-1])
        await authority.answer(offered.url)
    assert len(zone.texts(stands_at)) == len(hosts)
    order = await until(lambda: authority.order(order.url), lambda told: told.status is not OrderStatus.PENDING)
    assert order.status is OrderStatus.READY, order
    chain = await fetched(authority, await authority.finalize(order, wanted.request))
    for host in hosts:
        assert values.verified(chain, wanted.key, (host,), time.time())
    for answer in answers:
        await solver.withdraw(answer)
    assert zone.texts(stands_at) == []
