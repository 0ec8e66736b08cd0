"""The certificate way over a world in memory: whole, then each step broken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import (
    Certified,
    ChallengeSeen,
    HookRan,
    Issued,
    IssuerChosen,
    Looked,
    OrderBegun,
    OrderPlaced,
    OrderSeen,
    Served,
    Waiting,
)
from perijove.domain.certificate_settings import IssuerSettings
from perijove.domain.certificates import Confidence, OrderStatus, Problem
from perijove.domain.events import Event, Failed
from perijove.domain.failures import DATA_PLANE_DOWN, DISK_FULL, Failure
from perijove.domain.wire import encode
from tests.fakes.certificate_world import (
    PRODUCTION,
    STAGING,
    CaThatForgets,
    CaThatRemembers,
    CaThatSaysInvalid,
    CertificateWorld,
    FakeCa,
    Host,
    SlowCa,
)
from tests.ways.conftest import names

HOST = "binder.example.org"
FIRST, SECOND = f"{HOST}-1", f"{HOST}-2"
ORDERED = [
    "OrderPlaced",
    "ChallengePresented",
    "ChallengeAnswered",
    "ChallengeSeen",
    "ChallengeSeen",
    "OrderSeen",
]
WHOLE = ["OrderBegun", "Looked", "IssuerChosen", *ORDERED, "OrderSeen", "OrderSeen", "Issued", "Served", "Certified"]


@pytest.fixture
def world(tmp_path: Path) -> CertificateWorld:
    return CertificateWorld(tmp_path)


def failure(events: list[Event]) -> Failure:
    """What an attempt ended with; it ended once."""
    last = events[-1]
    assert isinstance(last, Failed)
    assert sum(isinstance(event, (Failed, Certified)) for event in events) == 1
    return last.failure


async def test_a_certificate_is_told_from_nothing_to_served(world: CertificateWorld) -> None:
    async with world.up():
        began = world.clock.now()
        events = await world.attempt()
        assert names(events) == WHOLE
        assert world.clock.now() - began < 0.3
        begun = events[0]
        assert begun == OrderBegun(FIRST, HOST, "DoesNotExist", "there is no certificate yet")
        (shown,) = world.certificates.served()
        current = world.secrets.current(HOST)
        assert current is not None
        assert (shown.chain, shown.hsts) == (current.chain, True)
        assert Served(current.revision, "127.0.0.1:443", trusted=True) in events
        assert world.shown[HOST] == shown
        assert world.ca.asked["new_order"] == 1


async def test_no_event_holds_a_key_or_a_key_authorization(world: CertificateWorld) -> None:
    async with world.up():
        told = str([encode(event) for event in await world.attempt()])
        assert "thumbprint" not in told
        assert "key of" not in told


async def test_a_new_host_asks_the_rehearsal_first_and_never_serves_what_it_would_give(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, rehearse=True)
    async with world.up():
        events = await world.attempt()
        placed = [event for event in events if isinstance(event, OrderPlaced)]
        assert [(one.directory, one.rehearsal) for one in placed] == [(STAGING, True), (PRODUCTION, False)]
        assert names(events) == [*WHOLE[:3], *ORDERED, *WHOLE[3:]]
        assert world.cas[STAGING].asked["finalize"] == 0
        world.clock.time += 61 * 86400
        await world.attempt(SECOND)
        assert world.cas[STAGING].asked["new_order"] == 1, "a host that had a certificate does not rehearse"


async def test_a_rehearsal_that_fails_spares_the_ca(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, rehearse=True)
    world.hosts[HOST].from_outside = False
    async with world.up():
        assert failure(await world.attempt()).kind is rows.VALIDATION_FAILED
        assert world.ca.asked["new_order"] == 0


async def test_a_rehearsal_in_trouble_keeps_nobody_waiting(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, rehearse=True)
    world.cas[STAGING].fails["new_order"] = [rows.ACME_UNAVAILABLE("503", after=3600)]
    async with world.up():
        events = await world.attempt()
        assert isinstance(events[-1], Certified)
        assert any(
            isinstance(one, Waiting) and one.failure and one.failure.kind is rows.ACME_UNAVAILABLE for one in events
        )


async def test_an_authorization_that_is_valid_already_is_not_shown_anew(world: CertificateWorld) -> None:
    world.cas[PRODUCTION] = CaThatRemembers(world, PRODUCTION)
    async with world.up():
        await world.attempt()
        world.certificates.issue(HOST)
        events = await world.attempt(SECOND)
        assert names(events) == [
            "OrderBegun", "Looked", "IssuerChosen", "OrderPlaced", "OrderSeen", "OrderSeen", "OrderSeen",
            "Issued", "Served", "Certified",
        ]  # fmt: skip
        assert world.ca.asked["answer"] == 1


# red and green


async def test_while_red_no_ca_is_asked_and_the_certificate_comes_seconds_after_the_fix(
    world: CertificateWorld,
) -> None:
    world.hosts[HOST].from_here = "red"
    async with world.up():
        await world.clock.passes(120)
        assert world.probe.looks >= 60
        looked = [event for event in world.events() if isinstance(event, Looked)]
        assert [one.failure and one.failure.kind for one in looked] == [rows.NOT_FORWARDED]
        assert world.ca.asked["new_order"] == 0
        assert world.overview.standing(HOST).verdict.startswith("Not ready; because it fails since 2 min: Another web")
        world.hosts[HOST].from_here = "green"
        fixed = world.clock.now()
        events = await world.attempt()
        assert names(events) == ["OrderBegun", "Looked", *WHOLE[1:]]
        assert world.clock.now() - fixed < 3


async def test_force_asks_whatever_is_seen_from_here(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here = "red"
    async with world.up():
        await world.clock.passes(5)
        assert world.certificates.issue(HOST, force=True) == FIRST
        assert isinstance((await world.attempt(limit=10))[-1], Certified)


async def test_where_a_look_cannot_decide_the_rehearsal_is_the_eye_outside(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here = "unknown"
    async with world.up():
        events = await world.attempt(limit=10)
        looked = events[1]
        assert isinstance(looked, Looked)
        assert looked.confidence is Confidence.INSIDE
        placed = [event.rehearsal for event in events if isinstance(event, OrderPlaced)]
        assert placed == [True, False]
        assert isinstance(events[-1], Certified)


async def test_what_is_red_from_here_and_outside_is_told_by_what_was_seen_here(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here, world.hosts[HOST].from_outside = "unknown", False
    async with world.up():
        told = failure(await world.attempt(limit=10))
        assert told.kind is rows.NOT_FORWARDED
        assert "Invalid response" in told.evidence[-1].saw
        assert world.ca.asked["new_order"] == 0


async def test_without_a_rehearsal_the_ca_itself_is_the_eye_outside(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here = "unknown"
    world.cas["https://ca.example/dir"] = FakeCa(world, "https://ca.example/dir")
    world.set(certificates__issuers=("https://ca.example/dir",))
    async with world.up():
        assert isinstance((await world.attempt(limit=10))[-1], Certified)


async def test_a_clock_that_is_wrong_is_told_before_any_order(world: CertificateWorld) -> None:
    """The persona SkewedClock."""
    world.ca.clock_ahead = 40 * 86400
    async with world.up():
        await world.clock.passes(30)
        (looked,) = [event for event in world.events() if isinstance(event, Looked)]
        assert looked.failure is not None
        assert looked.failure.kind is rows.CLOCK_WRONG
        world.ca.clock_ahead = 0
        assert isinstance((await world.attempt(limit=30))[-1], Certified)


async def test_a_dns_record_serves_where_no_port_does(world: CertificateWorld) -> None:
    world.hosts["*.example.org"] = world.hosts[HOST]
    world.set(service__hosts=("*.example.org",), certificates__dns="rfc2136")
    async with world.up():
        events = await world.attempt("*.example.org-1")
        assert failure(events).kind is rows.NO_CHALLENGE, "nobody writes records here"


# what CAs do


async def test_a_cancelled_order_takes_its_answer_down(world: CertificateWorld) -> None:
    world.ca.takes = 3600
    async with world.up():
        await world.clock.until(lambda: "ChallengeAnswered" in names(world.events()))
        token = next(order for order in world.ca.orders.values())
        assert world.http.get(world.ca._token(token)) is not None
        await world.certificates.stop()
        assert world.http.get(world.ca._token(token)) is None
        assert not world.ended(), "it is taken up at the next start"


async def test_an_answer_that_the_ca_does_not_see_is_told_with_its_words_whole(world: CertificateWorld) -> None:
    world.hosts[HOST].from_outside = False
    async with world.up():
        events = await world.attempt()
        told = failure(events)
        assert told.kind is rows.VALIDATION_FAILED
        assert '"status": 403' in told.evidence[0].saw
        seen = [event for event in events if isinstance(event, ChallengeSeen)]
        assert [one.status for one in seen] == ["processing", "invalid"]
        record = world.overview.order(FIRST)
        assert (record.state, record.challenges[0].state) == ("errored", "invalid")
        assert record.challenges[0].reason == "Invalid response from http://binder.example.org: 404"


@pytest.mark.parametrize(
    ("problem", "kind", "words"),
    [
        pytest.param(None, rows.ORDER_INVALID, "gives no reason", id="without a reason"),
        pytest.param(Problem("urn:x:serverInternal", "out of paper"), rows.ORDER_INVALID, "out of paper", id="reason"),
        pytest.param(
            Problem("urn:ietf:params:acme:error:caa", "CAA forbids"), rows.CAA_FORBIDS, "CAA forbids", id="caa"
        ),
    ],
)
async def test_an_order_that_the_ca_ends_is_told_with_its_reason(
    world: CertificateWorld, problem: Problem | None, kind: object, words: str
) -> None:
    ca = CaThatSaysInvalid(world, PRODUCTION)
    ca.reason = problem
    world.cas[PRODUCTION] = ca
    async with world.up():
        told = failure(await world.attempt())
        assert told.kind is kind
        assert words in told.cause


async def test_an_order_that_the_ca_forgets_is_told_and_a_new_one_placed_at_once(world: CertificateWorld) -> None:
    world.cas[PRODUCTION] = CaThatForgets(world, PRODUCTION)
    async with world.up():
        began = world.clock.now()
        assert failure(await world.attempt()).kind is rows.ORDER_LOST
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert world.clock.now() - began < 60


async def test_a_slow_ca_is_told_at_once_and_the_same_order_goes_on(world: CertificateWorld) -> None:
    world.cas[PRODUCTION] = SlowCa(world, PRODUCTION)
    async with world.up():
        events = await world.attempt()
        waiting = [event for event in events if isinstance(event, Waiting)]
        assert re.fullmatch("the CA has been processing the order since [56] s", waiting[0].what)
        assert waiting[0].failure is None
        assert 5 <= len(waiting) <= 8
        assert waiting[-1].failure is not None
        assert waiting[-1].failure.kind is rows.CA_SLOW
        assert isinstance(events[-1], Certified)
        assert world.ca.asked["new_order"] == 1
        assert world.ca.asked["order"] < 150


async def test_a_ca_that_cannot_be_asked_for_a_moment_still_has_the_order(world: CertificateWorld) -> None:
    world.ca.fails["authorization"] = []
    world.ca.fails["order"] = [rows.ACME_UNREACHABLE("reset"), rows.ACME_UNAVAILABLE("503", after=7)]
    async with world.up():
        events = await world.attempt()
        assert isinstance(events[-1], Certified)
        told = [event.failure.kind for event in events if isinstance(event, Waiting) and event.failure]
        assert told == [rows.ACME_UNREACHABLE, rows.ACME_UNAVAILABLE]
        assert world.ca.asked["new_order"] == 1


async def test_a_rate_limit_is_obeyed_to_the_second(world: CertificateWorld) -> None:
    """The persona RateLimitedCa."""
    world.ca.fails["new_order"] = [rows.ACME_RATE_LIMITED("too many certificates", after=3600)]
    async with world.up():
        assert failure(await world.attempt()).kind is rows.ACME_RATE_LIMITED
        failed = world.clock.now()
        await world.clock.until(lambda: bool(world.events(SECOND)), 3601)
        assert world.clock.now() - failed == pytest.approx(3600, abs=0.01)
        assert isinstance((await world.attempt(SECOND))[-1], Certified)


ISSUER_CANNOT = [
    rows.ACME_UNREACHABLE, rows.ACME_UNTRUSTED, rows.ACME_NOT_ACME, rows.ACME_UNAVAILABLE, rows.ACME_RATE_LIMITED,
    rows.ACME_BAD_NONCE, rows.ACME_EAB_REQUIRED, rows.ACME_ACCOUNT_REFUSED, rows.ACME_TERMS_CHANGED,
    rows.NAME_REJECTED, rows.PROFILE_UNKNOWN, rows.ACME_ERROR,
]  # fmt: skip


@pytest.mark.parametrize("kind", ISSUER_CANNOT, ids=lambda kind: kind.code)
async def test_where_one_issuer_cannot_the_next_is_asked_and_told_why(world: CertificateWorld, kind: object) -> None:
    other = "https://acme.zerossl.com/v2/DV90"
    world.cas[other] = FakeCa(world, other)
    world.set(certificates__issuers=("letsencrypt", "zerossl"))
    assert callable(kind)
    world.ca.fails["new_order"] = [kind("it says so")]
    async with world.up():
        events = await world.attempt()
        chosen = [event for event in events if isinstance(event, IssuerChosen)]
        assert [one.issuer for one in chosen] == ["letsencrypt", "zerossl"]
        assert chosen[0].because == ""
        assert "letsencrypt cannot" in chosen[1].because
        assert "it says so" in chosen[1].because
        current = world.secrets.current(HOST)
        assert current is not None
        assert (current.issuer, current.directory) == ("zerossl", other)


async def test_what_was_seen_from_here_and_outside_is_told_by_what_was_seen_here(world: CertificateWorld) -> None:
    without_staging = "https://plain.example/dir"
    world.cas[without_staging] = FakeCa(world, without_staging)
    world.set(certificates__issuers=("plain",), certificates__issuer={"plain": IssuerSettings(without_staging)})
    world.hosts[HOST] = Host("unknown", from_outside=False)
    async with world.up():
        await world.clock.until(lambda: any(isinstance(event, OrderPlaced) for event in world.events()))
        running = world.overview.standing(HOST)
        assert "because it fails" in running.verdict
        assert "the CA is asked all the same" in running.verdict
        told = failure(await world.attempt())
        assert told.kind is rows.NOT_FORWARDED
        assert "Invalid response" in str(told.evidence), "and the CA's words beside it"


async def test_a_host_that_comes_right_is_asked_for_once_it_looks_well_for_a_while(world: CertificateWorld) -> None:
    """As where nginx is reloaded: our look meets a new worker, the CA's an old one."""
    world.hosts[HOST].from_here = "red"
    async with world.up():
        await world.clock.passes(10)
        world.hosts[HOST] = Host("green", from_outside=False)
        looks, mended = world.probe.looks, world.clock.now()
        await world.clock.until(lambda: world.probe.looks > looks)
        await world.clock.passes(0.5)
        world.hosts[HOST].from_outside = True
        assert isinstance((await world.attempt())[-1], Certified)
        assert world.clock.now() - mended < 4
        assert world.ca.asked["new_order"] == 1


async def test_what_a_passing_state_failed_is_tried_again_as_soon_as_looks_are_well(world: CertificateWorld) -> None:
    world.hosts[HOST].from_outside = False
    async with world.up():
        assert failure(await world.attempt()).kind is rows.VALIDATION_FAILED
        began = world.clock.now()
        world.hosts[HOST].from_outside = True
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert 1 <= world.clock.now() - began < 3


async def test_what_a_ca_did_not_see_no_other_ca_is_asked(world: CertificateWorld) -> None:
    other = "https://acme.zerossl.com/v2/DV90"
    world.cas[other] = FakeCa(world, other)
    world.set(certificates__issuers=("letsencrypt", "zerossl"))
    world.hosts[HOST].from_outside = False
    async with world.up():
        assert failure(await world.attempt()).kind is rows.VALIDATION_FAILED
        assert world.cas[other].asked["new_order"] == 0


async def test_an_issuer_that_named_a_time_is_not_asked_before_while_others_are(world: CertificateWorld) -> None:
    other = "https://acme.zerossl.com/v2/DV90"
    world.cas[other] = FakeCa(world, other)
    world.set(certificates__issuers=("letsencrypt", "zerossl"))
    world.ca.fails["new_order"] = [rows.ACME_RATE_LIMITED("too many", after=86400)]
    world.cas[other].fails["new_order"] = [rows.ACME_ERROR("hiccup")]
    async with world.up():
        assert failure(await world.attempt()).kind is rows.ACME_ERROR
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert world.ca.asked["new_order"] == 1


# the disk, the port, the hooks


async def test_a_full_disk_fails_the_attempt_before_anything_is_signed(world: CertificateWorld) -> None:
    """The persona DiskFull."""
    world.secrets.fails = [DISK_FULL("no space left")]
    async with world.up():
        assert failure(await world.attempt()).kind is DISK_FULL
        assert world.ca.asked["finalize"] == 0
        assert isinstance((await world.attempt(SECOND))[-1], Certified)


async def test_a_journal_that_cannot_be_written_is_waited_for(world: CertificateWorld) -> None:
    async with world.up():
        await world.clock.until(lambda: "OrderSeen" in names(world.events()))
        world.ledger.full = True
        await world.clock.passes(200)
        world.ledger.full = False
        events = await world.attempt()
        assert isinstance(events[-1], Certified), events[-1]
        assert world.ca.asked["new_order"] == 1


async def test_a_certificate_that_the_port_does_not_show_is_not_ordered_again(world: CertificateWorld) -> None:
    world.deaf = True
    async with world.up():
        told = failure(await world.attempt())
        assert told.kind is rows.NOT_SERVED
        assert "unrecognized name" in told.evidence[0].saw
        assert world.secrets.current(HOST) is None
        assert world.certificates.served() == ()
        world.deaf = False
        events = await world.attempt(SECOND)
        assert names(events) == ["OrderBegun", "Issued", "Served", "Certified"]
        assert world.ca.asked["new_order"] == 1


async def test_the_old_certificate_goes_back_where_the_new_one_is_not_shown(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        (old,) = world.certificates.served()
        world.deaf = True
        world.certificates.renew(HOST)
        assert failure(await world.attempt(SECOND)).kind is rows.NOT_SERVED
        assert world.certificates.served() == (old,)
        assert world.overview.standing(HOST).ready


async def test_a_data_plane_that_comes_back_costs_no_attempt(world: CertificateWorld) -> None:
    async with world.up():
        await world.clock.until(lambda: "OrderSeen" in names(world.events()))
        world.plane_down_until = world.clock.now() + 3
        assert isinstance((await world.attempt())[-1], Certified)
        assert world.refused_tables > 1
        assert [one.host for one in world.certificates.served()] == [HOST]


async def test_a_data_plane_that_stays_away_is_told_and_nothing_is_ordered_again(world: CertificateWorld) -> None:
    async with world.up():
        await world.clock.until(lambda: "OrderSeen" in names(world.events()))
        world.plane_down_until = world.clock.now() + 30
        assert failure(await world.attempt()).kind is DATA_PLANE_DOWN
        assert world.certificates.served() == ()
        assert names(await world.attempt(SECOND)) == ["OrderBegun", "Issued", "Served", "Certified"]
        assert world.ca.asked["new_order"] == 1


async def test_hooks_run_after_each_certificate_and_one_that_fails_takes_nothing_back(world: CertificateWorld) -> None:
    world.hooks = {"copy-it": rows.HOOK_FAILED("exit code 1"), "tell-others": None}
    async with world.up():
        events = await world.attempt()
        assert [event.command for event in events if isinstance(event, HookRan)] == ["copy-it", "tell-others"]
        assert world.ran == [f"copy-it {HOST}", f"tell-others {HOST}"]
        assert isinstance(events[-1], Certified)


# crash and resume


@pytest.mark.parametrize("lost", [False, True], ids=["after it", "before it is written"])
@pytest.mark.parametrize("number", range(1, 22))
async def test_an_attempt_that_a_crash_cuts_off_at_any_event_goes_on_with_the_same_order(
    tmp_path: Path, number: int, lost: bool
) -> None:
    world = CertificateWorld(tmp_path, rehearse=True)
    world.hooks = {"copy-it": None}
    world.crash_at = (number, lost)
    async with world.up():
        await world.clock.until(lambda: world.told >= number)
        before = [] if number == 1 and lost else names(world.events())
    assert len(before) == number - lost
    async with world.up():
        events = await world.attempt()
        assert isinstance(events[-1], Certified)
        assert names(events)[: len(before)] == before
        forgotten = lost and number in (4, 10)
        assert world.cas[STAGING].asked["new_order"] + world.ca.asked["new_order"] == 2 + forgotten
        assert world.ca.asked["finalize"] == 1
        assert world.secrets.made == [FIRST]
        assert world.ended()
        assert len(world.certificates.attempts.names(HOST)) == 1


async def test_an_order_that_a_ca_ended_while_we_were_away_is_known(world: CertificateWorld) -> None:
    world.crash_at = (6, False)
    async with world.up():
        await world.clock.until(lambda: world.told >= 6)
    assert OrderStatus.PENDING in [order.status for order in world.ca.orders.values()]
    world.ca.orders.clear()
    async with world.up():
        assert failure(await world.attempt()).kind is rows.ORDER_LOST
        assert isinstance((await world.attempt(SECOND))[-1], Certified)


async def test_an_issuer_that_the_settings_lost_is_not_gone_on_with(world: CertificateWorld) -> None:
    other = "https://acme.zerossl.com/v2/DV90"
    world.cas[other] = FakeCa(world, other)
    world.crash_at = (6, False)
    async with world.up():
        await world.clock.until(lambda: world.told >= 6)
    world.set(certificates__issuers=("zerossl",))
    async with world.up():
        events = await world.attempt()
        assert isinstance(events[-1], Certified)
        issued = next(event for event in events if isinstance(event, Issued))
        assert issued.issuer == "zerossl"


async def test_an_order_that_was_valid_again_is_seen_once(world: CertificateWorld) -> None:
    async with world.up():
        events = await world.attempt()
        seen = [event.status for event in events if isinstance(event, OrderSeen)]
        assert seen == [OrderStatus.READY, OrderStatus.PROCESSING, OrderStatus.VALID]
        assert replace(events[1], seconds=0.0) == Looked(None, Confidence.CERTAIN, ("http-01",), 0.0)  # type: ignore[arg-type]
