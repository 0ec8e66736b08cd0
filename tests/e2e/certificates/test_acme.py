"""What CAs do wrong, done for real: a Pebble with its ill manners, and a proxy in front of it for the others."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.acme import AcmeAuthority
from perijove.backends.acme.account import folder_name
from perijove.backends.acme.client import Client
from perijove.backends.secrets import DiskSecrets
from perijove.domain.certificate_failures import (
    ACME_ACCOUNT_REFUSED,
    ACME_BAD_NONCE,
    ACME_EAB_REQUIRED,
    ACME_ERROR,
    ACME_NOT_ACME,
    ACME_RATE_LIMITED,
    ACME_TERMS_CHANGED,
    ACME_UNAVAILABLE,
    ACME_UNREACHABLE,
    ACME_UNTRUSTED,
    CAA_FORBIDS,
    CLOCK_WRONG,
    FILE_UNREADABLE,
    NAME_REJECTED,
    ORDER_LOST,
    PROFILE_UNKNOWN,
)
from perijove.domain.certificates import AuthorizationView, Issuer, IssuerKind, OrderStatus
from perijove.domain.failures import Fail, Failure
from perijove.domain.state import State
from tests.fakes.acme_client import Answerer, answering, fetched, issued, ready, show, until, wish
from tests.fakes.acme_proxy import Answer, Exchange, Proxy, any_of, edited, html, on, problem, running_proxy, told
from tests.fakes.dns import Dns, running_dns
from tests.fakes.pebble import EAB_KEY, EAB_KID, Pebble, needs_pebble, running_pebble
from tests.fakes.ports import free_port
from tests.fakes.world import FakeClock

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, needs_pebble]

DAY = 86400.0
HOST = "binder.example.org"
Ask = Callable[..., AcmeAuthority]


@pytest.fixture(scope="module")
def answerer() -> Iterator[Answerer]:
    with answering() as answerer:
        yield answerer


@pytest.fixture(scope="module")
def dns() -> Iterator[Dns]:
    with running_dns() as dns:
        dns.default("A", "127.0.0.1")
        yield dns


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, dns: Dns, answerer: Answerer) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("acme"), dns=dns, http_port=answerer.port) as pebble:
        yield pebble


@pytest.fixture
def proxy(tmp_path: Path, pebble: Pebble) -> Iterator[Proxy]:
    with running_proxy(tmp_path, pebble) as proxy:
        yield proxy


@pytest.fixture
async def ask(state: State) -> AsyncIterator[Ask]:
    """Makes the authority for a directory; closed afterwards."""
    made: list[AcmeAuthority] = []

    def make(directory: str, ca_file: Path | None = None, **more: str) -> AcmeAuthority:
        trusted = str(ca_file) if ca_file else ""
        issuer = Issuer("ca", IssuerKind.ACME, directory, **{"ca_file": trusted, "email": "ada@example.org", **more})
        made.append(AcmeAuthority(issuer, directory, state))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def authority(ask: Ask, proxy: Proxy) -> AcmeAuthority:
    """Behind the proxy."""
    return ask(proxy.directory, proxy.ca_file)


async def refused(authority: AcmeAuthority, host: str = HOST, profile: str = "", replaces: str = "") -> Failure:
    """How a new order fails."""
    with pytest.raises(Fail) as told:
        await authority.new_order((host,), profile, replaces)
    return told.value.failure


# where no CA answers


async def test_a_port_where_nothing_listens_is_named(ask: Ask) -> None:
    failure = await refused(ask(f"https://127.0.0.1:{free_port()}/dir"))
    assert failure.kind is ACME_UNREACHABLE
    assert "refuses the connection" in failure.cause
    assert "Errno 111" in failure.evidence[0].saw


async def test_a_ca_that_says_nothing_is_given_up(proxy: Proxy) -> None:
    asked, released = threading.Event(), threading.Event()

    def silent(exchange: Exchange) -> Answer:
        asked.set()
        released.wait(30)
        return Answer(cut=True)

    proxy.rule = silent
    client = Client(str(proxy.ca_file), step_limit=0.3, whole_limit=0.6)
    try:
        with pytest.raises(Fail) as told:
            await client.get(proxy.directory)
    finally:
        released.set()
        await client.close()
    assert asked.is_set()
    assert told.value.failure.kind is ACME_UNREACHABLE
    assert "does not answer in time" in told.value.failure.cause


async def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_port()}"
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://ada:open@{address}")
    failure = await refused(ask("https://ca.example/dir"))
    assert failure.kind is ACME_UNREACHABLE
    assert failure.cause == f"ca.example (by the proxy {address}) refuses the connection"
    assert "open" not in repr(failure.evidence)


async def test_proxies_are_not_asked_for_a_ca_on_this_machine(
    authority: AcmeAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    assert (await authority.new_order((HOST,))).status is OrderStatus.PENDING


async def test_a_connection_that_is_cut_is_tried_twice_and_named(authority: AcmeAuthority, proxy: Proxy) -> None:
    proxy.rule = on("/dir", Answer(cut=True))
    failure = await refused(authority)
    assert failure.kind is ACME_UNREACHABLE
    assert proxy.paths("GET") == ["/dir", "/dir"]


async def test_a_web_server_without_tls_is_no_ca(ask: Ask, answerer: Answerer) -> None:
    failure = await refused(ask(f"https://127.0.0.1:{answerer.port}/dir"))
    assert failure.kind is ACME_NOT_ACME


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        pytest.param(html(), "Log in", id="portal"),
        pytest.param(
            html(302, {"Location": "https://portal.example/login"}), "https://portal.example/login", id="redirect"
        ),
        pytest.param(html(511), "Log in", id="login wanted"),
        pytest.param(told({"keys": []}), "keys", id="other JSON"),
        pytest.param(told(["a"]), '["a"]', id="a list"),
        pytest.param(html(404), "Log in", id="not there"),
        pytest.param(Answer(200, b"x" * (2 << 20)), "xxx", id="without end"),
    ],
)
async def test_what_is_no_directory_is_shown(authority: AcmeAuthority, proxy: Proxy, answer: Answer, seen: str) -> None:
    proxy.rule = on("/dir", answer)
    failure = await refused(authority)
    assert failure.kind is ACME_NOT_ACME
    assert seen in failure.evidence[0].saw
    assert len(failure.evidence[0].saw) <= 2000


async def test_a_ca_of_unknown_roots_is_not_trusted_and_its_signer_named(ask: Ask, proxy: Proxy) -> None:
    failure = await refused(ask(proxy.directory))
    assert failure.kind is ACME_UNTRUSTED
    assert "Proxy test root" in failure.cause
    assert proxy.paths() == [], "nothing was signed for it"


async def test_roots_in_the_environment_have_no_say(ask: Ask, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(proxy.ca_file))
    assert (await refused(ask(proxy.directory))).kind is ACME_UNTRUSTED


async def test_a_file_of_roots_that_is_none_is_named(ask: Ask, proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("nothing")
    failure = await refused(ask(proxy.directory, tmp_path / "roots.pem"))
    assert failure.kind is FILE_UNREADABLE
    assert failure.evidence[0].where == str(tmp_path / "roots.pem")


# clocks


async def test_the_directorys_clock_is_compared_with_ours(authority: AcmeAuthority, proxy: Proxy) -> None:
    proxy.date_ahead = 3 * DAY
    assert abs((await authority.directory()).clock_ahead - 3 * DAY) < 5


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "date_ahead", "kind"),
    [
        pytest.param(DAY, 9 * DAY, 2 * DAY, CLOCK_WRONG, id="our clock is behind"),
        pytest.param(-9 * DAY, -DAY, -2 * DAY, CLOCK_WRONG, id="our clock is ahead"),
        pytest.param(-9 * DAY, -DAY, 0.0, ACME_UNTRUSTED, id="it expired"),
        pytest.param(DAY, 9 * DAY, 0.0, ACME_UNTRUSTED, id="it is of tomorrow"),
    ],
)
async def test_a_certificate_of_another_time_blames_the_clock_only_where_it_explains_it(
    ask: Ask, tmp_path: Path, pebble: Pebble, valid_from: float, valid_until: float, date_ahead: float, kind: object
) -> None:
    with running_proxy(tmp_path, pebble, valid_from=valid_from, valid_until=valid_until) as proxy:
        proxy.date_ahead = date_ahead
        failure = await refused(ask(proxy.directory, proxy.ca_file))
    assert failure.kind is kind
    assert "Proxy test root" in " ".join(one.saw for one in failure.evidence)


async def test_a_stranger_cannot_blame_the_clock(ask: Ask, tmp_path: Path, pebble: Pebble) -> None:
    with running_proxy(tmp_path, pebble, valid_from=DAY, valid_until=9 * DAY) as proxy:
        proxy.date_ahead = 2 * DAY
        assert (await refused(ask(proxy.directory, pebble.ca_file))).kind is ACME_UNTRUSTED


# refusals


@pytest.mark.parametrize(
    ("answer", "kind", "after"),
    [
        (problem(429, "rateLimited", "too many", {"Retry-After": "1200"}), ACME_RATE_LIMITED, 1200),
        (html(429, {"Retry-After": "1200"}), ACME_RATE_LIMITED, 1200),
        (problem(503, "rateLimited", "Service busy", {"Retry-After": "7"}), ACME_UNAVAILABLE, 7),
        (html(503, {"Retry-After": "90"}), ACME_UNAVAILABLE, 90),
        (problem(500, "serverInternal", "down for maintenance"), ACME_UNAVAILABLE, 60),
        (problem(403, "caa", "CAA record for binder.example.org prevents issuance"), CAA_FORBIDS, 0),
        (problem(400, "rejectedIdentifier", "forbidden by policy"), NAME_REJECTED, 0),
        (problem(400, "unsupportedIdentifier", "no addresses here"), NAME_REJECTED, 0),
        (problem(403, "unauthorized", "the account was deactivated"), ACME_ACCOUNT_REFUSED, 0),
        (problem(400, "malformed", "what is this"), ACME_ERROR, 0),
        (problem(409, "ofTomorrow", "conflicts"), ACME_ERROR, 0),
    ],
)
async def test_a_refused_order_is_told_with_the_problem_document(
    authority: AcmeAuthority, proxy: Proxy, answer: Answer, kind: object, after: float
) -> None:
    proxy.rule = on("/order-plz", answer)
    failure = await refused(authority)
    assert (failure.kind, failure.after) == (kind, after)
    assert failure.evidence[0].saw.startswith(str(answer.status))
    if answer.headers["Content-Type"] == "application/problem+json":
        assert "urn:ietf:params:acme:error:" in failure.evidence[0].saw


async def test_new_terms_are_told_with_their_address(authority: AcmeAuthority, proxy: Proxy) -> None:
    address = "https://ca.example/terms/7"
    proxy.rule = on("/order-plz", problem(403, "userActionRequired", "new terms", instance=address))
    failure = await refused(authority)
    assert failure.kind is ACME_TERMS_CHANGED
    assert failure.evidence[0].saw == address


async def test_a_profile_that_the_directory_lacks_is_refused_with_those_it_has(
    authority: AcmeAuthority, proxy: Proxy
) -> None:
    proxy.rule = on("/dir", edited(meta={"profiles": {"classic": "…", "shortlived": "…"}}))
    failure = await refused(authority, profile="tlsserver")
    assert failure.kind is PROFILE_UNKNOWN
    assert failure.evidence[0].saw == "classic, shortlived"
    assert "/order-plz" not in proxy.paths()
    order = await authority.new_order((HOST,), "shortlived")
    assert order.status is OrderStatus.PENDING
    assert proxy.asked[-1].payload["profile"] == "shortlived"


async def test_a_certificate_that_cannot_be_replaced_any_more_is_left_out(
    authority: AcmeAuthority, proxy: Proxy
) -> None:
    offers = on("/dir", edited(renewalInfo=proxy.directory.replace("/dir", "/ari")))

    def conflict(exchange: Exchange) -> Answer | None:
        replaced = exchange.payload.get("replaces")
        return problem(409, "alreadyReplaced", "it was") if replaced else None

    proxy.rule = any_of(offers, on("/order-plz", conflict))
    order = await authority.new_order((HOST,), replaces="a.b")
    assert order.status is OrderStatus.PENDING
    asked = [one.payload.get("replaces") for one in proxy.asked if one.path == "/order-plz"]
    assert asked == ["a.b", None]


# orders


async def test_an_order_that_the_ca_forgot_is_lost(authority: AcmeAuthority, proxy: Proxy) -> None:
    order = await authority.new_order((HOST,))
    proxy.rule = on("/my-order/", problem(404, "malformed", "No order for ID"))
    with pytest.raises(Fail) as told:
        await authority.order(order.url)
    assert told.value.failure.kind is ORDER_LOST
    assert "No order for ID" in told.value.failure.evidence[0].saw


async def test_an_order_that_takes_long_is_told_as_it_is(
    authority: AcmeAuthority, proxy: Proxy, answerer: Answerer
) -> None:
    wanted = wish("slow.example.org")
    order = await ready(authority, wanted.hosts, answerer)
    proxy.rule = on("/my-order/", edited({"Retry-After": "12"}, status="processing", certificate=None), times=2)
    await authority.finalize(order, wanted.request)
    seen = await authority.order(order.url)
    assert (seen.status, seen.look_again) == (OrderStatus.PROCESSING, 12)
    assert await fetched(authority, seen)


async def test_an_order_that_ended_without_a_word_is_told_so(authority: AcmeAuthority, proxy: Proxy) -> None:
    order = await authority.new_order((HOST,))
    proxy.rule = on("/my-order/", edited(status="invalid"))
    seen = await authority.order(order.url)
    assert (seen.status, seen.problem) == (OrderStatus.INVALID, None)


async def test_a_failed_validation_is_told_with_what_the_ca_saw(
    authority: AcmeAuthority, answerer: Answerer, dns: Dns
) -> None:
    order = await authority.new_order(("wrong.example.org",))
    (pending,) = [await authority.authorization(url) for url in order.authorizations]
    await authority.answer(next(one for one in pending.challenges if one.type == "http-01").url)
    seen = await _ended(authority, order.authorizations[0])
    (failed,) = [one for one in seen.challenges if one.problem]
    assert failed.problem is not None
    assert failed.problem.type.endswith(":unauthorized")
    assert failed.problem.detail


async def test_a_challenge_that_was_answered_may_be_answered_again(
    authority: AcmeAuthority, answerer: Answerer
) -> None:
    """By whoever crashed after telling the CA and before writing that down."""
    order = await authority.new_order(("twice.example.org",))
    (before,) = await show(authority, order, answerer)
    await _ended(authority, order.authorizations[0])
    await authority.answer(next(one for one in before.challenges if one.type == "http-01").url)


async def test_newer_kinds_of_challenges_and_statuses_are_passed_on(authority: AcmeAuthority, proxy: Proxy) -> None:
    order = await authority.new_order((HOST,))
    newer = [{"type": "dns-persist-01", "url": "https://ca.example/c", "status": "pending"}]
    proxy.rule = on("/authZ/", edited(status="expired", challenges=newer))
    seen = await authority.authorization(order.authorizations[0])
    assert seen.status == "expired"
    assert [(one.type, one.token) for one in seen.challenges] == [("dns-persist-01", "")]


async def test_an_answer_that_got_lost_on_the_way_is_asked_for_again(
    authority: AcmeAuthority, proxy: Proxy, answerer: Answerer
) -> None:
    wanted = wish("cut.example.org")
    order = await ready(authority, wanted.hosts, answerer)

    def swallowed(exchange: Exchange) -> Answer:
        exchange.forward()
        return Answer(cut=True)

    proxy.rule = on("/finalize-order/", swallowed, times=1)
    assert await fetched(authority, await authority.finalize(order, wanted.request))


async def _ended(authority: AcmeAuthority, url: str) -> AuthorizationView:
    return await until(lambda: authority.authorization(url), lambda seen: seen.status != "pending")


# renewal


async def test_a_renewal_window_is_told_with_when_to_look_again(
    authority: AcmeAuthority, proxy: Proxy, answerer: Answerer, state: State
) -> None:
    secrets, host = DiskSecrets(state, FakeClock(time.time())), "ari.example.org"
    order = await ready(authority, (host,), answerer)
    chain = await fetched(authority, await authority.finalize(order, secrets.request("o-1", host)))
    kept = replace(secrets.stage("o-1", host, chain, Issuer("ca", IssuerKind.ACME), proxy.directory), ari="key.serial")
    assert await authority.renewal_window(kept) is None, "Pebble does not say when"
    window = {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00.123456789Z"}
    answer = told({"suggestedWindow": window, "explanationURL": "https://ca.example/why"}, {"Retry-After": "7200"})
    proxy.rule = any_of(on("/dir", edited(renewalInfo=proxy.directory.replace("/dir", "/ari"))), on("/ari/", answer))
    await authority.directory()
    seen = await authority.renewal_window(kept)
    assert seen is not None
    assert (seen.start, int(seen.end)) == (1767326400, 1767412800)
    assert (seen.explanation, seen.look_again) == ("https://ca.example/why", 7200)
    assert proxy.asked[-1].path == "/ari/key.serial"
    assert await authority.renewal_window(replace(kept, directory="https://other.example/dir")) is None


# nonces and accounts


async def test_a_fifth_of_all_nonces_refused_loses_no_certificate(
    tmp_path: Path, dns: Dns, answerer: Answerer, ask: Ask
) -> None:
    with running_pebble(tmp_path, dns=dns, http_port=answerer.port, nonce_reject=20) as pebble:
        authority, at_once = ask(pebble.directory, pebble.ca_file), asyncio.Semaphore(8)

        async def one(number: int) -> bytes:
            async with at_once:
                return await issued(authority, wish(f"name-{number}.example.org"), answerer)

        chains = await asyncio.gather(*(one(number) for number in range(50)))
    assert len(set(chains)) == 50


async def test_a_ca_that_refuses_every_nonce_is_asked_ten_times(authority: AcmeAuthority, proxy: Proxy) -> None:
    proxy.rule = on("/sign-me-up", problem(400, "badNonce", "JWS has an invalid anti-replay nonce"))
    failure = await refused(authority)
    assert failure.kind is ACME_BAD_NONCE
    assert proxy.paths().count("/sign-me-up") == 10
    assert "anti-replay" in failure.evidence[0].saw


async def test_an_account_is_registered_once_and_kept(ask: Ask, proxy: Proxy, state: State) -> None:
    first = ask(proxy.directory, proxy.ca_file)
    accounts = await asyncio.gather(*(first.account() for _ in range(8)))
    again = await ask(proxy.directory, proxy.ca_file).account()
    assert {*accounts} == {again}
    assert proxy.paths().count("/sign-me-up") == 1
    folder = state.acme / folder_name(proxy.directory)
    assert {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {
        "account.key": 0o600,
        "account.json": 0o600,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["", "{", '{"directory": "https://other.example/dir"}', None])
async def test_what_was_lost_of_an_account_is_had_again_with_its_key(
    ask: Ask, proxy: Proxy, state: State, damage: str | None
) -> None:
    """Also after a crash between the CA's answer and its being written down."""
    account = await ask(proxy.directory, proxy.ca_file).account()
    path = state.acme / folder_name(proxy.directory) / "account.json"
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    assert await ask(proxy.directory, proxy.ca_file).account() == account


async def test_a_damaged_key_is_told_and_never_replaced(ask: Ask, proxy: Proxy, state: State) -> None:
    await ask(proxy.directory, proxy.ca_file).account()
    path = state.acme / folder_name(proxy.directory) / "account.key"
    path.write_text("nothing")
    assert (await refused(ask(proxy.directory, proxy.ca_file))).kind is FILE_UNREADABLE
    assert path.read_text() == "nothing"


async def test_another_address_of_the_operators_is_told_to_the_ca(ask: Ask, proxy: Proxy) -> None:
    account = await ask(proxy.directory, proxy.ca_file).account()
    assert await ask(proxy.directory, proxy.ca_file, email="eve@example.org").account() == account
    assert proxy.asked[-1].payload == {"contact": ["mailto:eve@example.org"]}


async def test_an_account_that_the_ca_lost_is_registered_again_with_the_same_key(
    tmp_path: Path, dns: Dns, answerer: Answerer, ask: Ask
) -> None:
    with running_pebble(tmp_path, dns=dns, http_port=answerer.port) as pebble:
        authority = ask(pebble.directory, pebble.ca_file)
        before, order = await authority.account(), await authority.new_order((HOST,))
        await asyncio.to_thread(pebble.restart)
        orders = await asyncio.gather(*(authority.new_order((f"n{number}.example.org",)) for number in range(4)))
        assert {one.status for one in orders} == {OrderStatus.PENDING}
        after = await authority.account()
        assert after.thumbprint == before.thumbprint
        with pytest.raises(Fail) as told:
            await authority.order(order.url)
        assert told.value.failure.kind is ORDER_LOST
        assert await issued(authority, wish("after.example.org"), answerer)


async def test_an_external_account_is_bound_and_its_lack_told(
    tmp_path: Path, dns: Dns, answerer: Answerer, ask: Ask
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(EAB_KEY + "\n")
    wrong.write_text("A" * len(EAB_KEY))
    with running_pebble(tmp_path, dns=dns, http_port=answerer.port, eab=True) as pebble:
        none = await refused(ask(pebble.directory, pebble.ca_file))
        unreadable = await refused(ask(pebble.directory, pebble.ca_file, eab_kid=EAB_KID, eab_key_file="/nowhere"))
        bad_key = await refused(ask(pebble.directory, pebble.ca_file, eab_kid=EAB_KID, eab_key_file=str(wrong)))
        bad_kid = await refused(ask(pebble.directory, pebble.ca_file, eab_kid="kid-9", eab_key_file=str(right)))
        assert {one.kind for one in (none, unreadable, bad_key, bad_kid)} == {ACME_EAB_REQUIRED}
        assert EAB_KEY not in repr((none, unreadable, bad_key, bad_kid))
        bound = ask(pebble.directory, pebble.ca_file, eab_kid=EAB_KID, eab_key_file=str(right))
        assert (await bound.new_order((HOST,))).status is OrderStatus.PENDING
