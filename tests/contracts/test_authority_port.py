"""The port `Authority`: the same questions to every CA."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from cryptography import x509

from perijove.backends.acme import AcmeAuthority
from perijove.backends.localca import LocalAuthority
from perijove.backends.secrets import DiskSecrets
from perijove.certifying import secret as values
from perijove.domain.certificate_failures import ORDER_LOST
from perijove.domain.certificate_ports import Authority
from perijove.domain.certificates import Issuer, IssuerKind, OrderStatus, Secret
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.fakes.acme_client import Answerer, Wish, answering, fetched, issued, ready, wish
from tests.fakes.dns import running_dns
from tests.fakes.pebble import Pebble, needs_pebble, running_pebble
from tests.fakes.world import FakeClock

pytestmark = pytest.mark.same_for_any_user
REASON_SUPERSEDED = 4
ACME = Issuer("pebble", IssuerKind.ACME)


@pytest.fixture(scope="module")
def answerer() -> Iterator[Answerer]:
    with answering() as answerer:
        yield answerer


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, answerer: Answerer) -> Iterator[Pebble]:
    with ExitStack() as stack:
        dns = stack.enter_context(running_dns())
        dns.default("A", "127.0.0.1")
        folder = tmp_path_factory.mktemp("acme")
        yield stack.enter_context(running_pebble(folder, dns=dns, http_port=answerer.port))


@pytest.fixture(params=[pytest.param("acme", marks=[needs_pebble, pytest.mark.e2e]), "local"])
async def authority(request: pytest.FixtureRequest, state: State) -> AsyncIterator[Authority]:
    if request.param == "local":
        yield LocalAuthority(state, FakeClock(time.time()))
        return
    pebble: Pebble = request.getfixturevalue("pebble")
    issuer = Issuer("pebble", IssuerKind.ACME, pebble.directory, ca_file=str(pebble.ca_file), email="ada@example.org")
    authority = AcmeAuthority(issuer, pebble.directory, state)
    yield authority
    await authority.close()


def _leaf(chain: bytes, wanted: Wish) -> x509.Certificate:
    """The leaf of a chain that is sound, for the wanted names and their key."""
    (leaf, *_) = values.verified(chain, wanted.key, wanted.hosts, time.time())
    return leaf


async def _kept(authority: Authority, answerer: Answerer, state: State, host: str) -> Secret:
    """A certificate on disk."""
    secrets = DiskSecrets(state, FakeClock(time.time()))
    order = await ready(authority, (host,), answerer)
    chain = await fetched(authority, await authority.finalize(order, secrets.request("o-1", host)))
    return secrets.stage("o-1", host, chain, ACME, (await authority.directory()).url)


async def test_its_directory_tells_its_clock(authority: Authority) -> None:
    directory = await authority.directory()
    assert directory.url
    assert abs(directory.clock_ahead) < 5


async def test_the_account_stays_the_same(authority: Authority) -> None:
    accounts = await asyncio.gather(*(authority.account() for _ in range(8)))
    assert len(set(accounts)) == 1


async def test_an_order_is_followed_to_a_certificate_for_the_request(authority: Authority, answerer: Answerer) -> None:
    wanted = wish("binder.localhost")
    leaf = _leaf(await issued(authority, wanted, answerer), wanted)
    assert values.names(leaf) == wanted.hosts


async def test_an_order_for_two_names_covers_both(authority: Authority, answerer: Answerer) -> None:
    wanted = wish("one.localhost", "two.localhost")
    leaf = _leaf(await issued(authority, wanted, answerer), wanted)
    assert set(values.names(leaf)) == set(wanted.hosts)


async def test_an_address_gets_a_certificate(authority: Authority, answerer: Answerer) -> None:
    wanted = wish("127.0.0.1")
    leaf = _leaf(await issued(authority, wanted, answerer), wanted)
    assert values.names(leaf) == ("127.0.0.1",)


async def test_an_order_is_found_again_by_its_url(authority: Authority) -> None:
    order = await authority.new_order(("binder.localhost",))
    again = await authority.order(order.url)
    assert (again.url, again.authorizations, again.finalize) == (order.url, order.authorizations, order.finalize)


async def test_an_order_that_is_not_there_is_lost(authority: Authority) -> None:
    order = await authority.new_order(("binder.localhost",))
    with pytest.raises(Fail) as told:
        await authority.order(order.url.partition("?")[0] + "-gone")
    assert told.value.failure.kind is ORDER_LOST


async def test_a_request_that_is_handed_in_again_finds_the_order_where_it_is(
    authority: Authority, answerer: Answerer
) -> None:
    """Whoever crashed between handing it in and writing that down."""
    wanted = wish("again.localhost")
    order = await ready(authority, wanted.hosts, answerer)
    await authority.finalize(order, wanted.request)
    second = await authority.finalize(order, wanted.request)
    assert second.status in {OrderStatus.PROCESSING, OrderStatus.VALID}
    assert _leaf(await fetched(authority, second), wanted)


async def test_many_names_at_once_get_their_own_certificates(authority: Authority, answerer: Answerer) -> None:
    wanted = [wish(f"many-{number}.localhost") for number in range(8)]
    chains = await asyncio.gather(*(issued(authority, one, answerer) for one in wanted))
    assert len({_leaf(chain, one).serial_number for chain, one in zip(chains, wanted, strict=True)}) == len(wanted)


async def test_a_certificate_is_revoked_once_and_again(authority: Authority, answerer: Answerer, state: State) -> None:
    kept = await _kept(authority, answerer, state, "revoked.localhost")
    await authority.revoke(kept, REASON_SUPERSEDED)
    await authority.revoke(kept, REASON_SUPERSEDED)


async def test_a_renewal_window_lies_in_the_certificates_life_or_is_not_told(
    authority: Authority, answerer: Answerer, state: State
) -> None:
    kept = await _kept(authority, answerer, state, "window.localhost")
    window = await authority.renewal_window(kept)
    assert window is None or kept.not_before <= window.start < window.end <= kept.not_after
