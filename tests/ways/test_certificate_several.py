"""One certificate with several names: all of them, some of them, and what becomes of those that are not well."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import (
    Certified,
    ChallengePresented,
    Looked,
    NameRefused,
    OrderBegun,
    OrderPlaced,
    Waiting,
)
from perijove.domain.events import Failed
from tests.fakes.certificate_world import DAY, STAGING, CertificateWorld, LocalCa
from tests.ways.conftest import names

NAMES = tuple(f"s{number}.example.org" for number in range(1, 6))
FIRST, SECOND, THIRD = (f"s1.example.org-{number}" for number in (1, 2, 3))


@pytest.fixture
def world(tmp_path: Path) -> CertificateWorld:
    return CertificateWorld(tmp_path, session_hosts=NAMES)


def shown(world: CertificateWorld) -> tuple[str, ...]:
    return tuple(name for name in world.shown if name != "binder.example.org")


def placed(world: CertificateWorld, order: str) -> list[tuple[str, ...]]:
    return [event.names for event in world.events(order) if isinstance(event, OrderPlaced)]


async def test_several_names_get_one_certificate_by_one_order(world: CertificateWorld) -> None:
    async with world.up():
        events = await world.attempt(FIRST)
        assert isinstance(events[-1], Certified)
        assert events[0] == OrderBegun(FIRST, "s1.example.org", "DoesNotExist", "there is no certificate yet", NAMES)
        looked = [event for event in events if isinstance(event, Looked)]
        assert [(one.host, one.failure) for one in looked] == [(name, None) for name in NAMES]
        assert placed(world, FIRST) == [NAMES]
        assert [one.host for one in events if isinstance(one, ChallengePresented)] == list(NAMES)
        assert shown(world) == NAMES
        await world.attempt()
        assert world.ca.asked["finalize"] == 2, "the service's own name has a certificate of its own"
        record = world.overview.standing("s1.example.org")
        assert (record.name, record.also, record.verdict[:6]) == (NAMES[0], NAMES[1:], "Ready:")
        assert [one.host for one in world.overview.order(FIRST).challenges] == list(NAMES)
        world.clock.time += 61 * DAY
        await world.attempt(SECOND)
        assert placed(world, SECOND) == [NAMES]


async def test_a_name_that_does_not_lead_here_is_told_by_name_and_the_others_are_served(
    world: CertificateWorld,
) -> None:
    world.hosts["s3.example.org"].from_here = "red"
    others = tuple(name for name in NAMES if name != "s3.example.org")
    async with world.up():
        began = world.clock.now()
        await world.attempt(FIRST)
        assert world.clock.now() - began < 15
        assert shown(world) == others
        await world.clock.passes(1200)
        assert placed(world, SECOND) == [], "what is served already is not ordered again"
        assert world.ca.asked["new_order"] == 2
        record = world.overview.standing("s1.example.org")
        assert record.ready
        assert "without s3.example.org" in record.verdict
        assert record.failure is not None
        assert record.failure.kind is rows.NOT_FORWARDED
        looks = world.probe.looks
        await world.clock.passes(15)
        assert world.probe.looks - looks <= 12, "only what is not well is looked at again"
        world.certificates.renew("s1.example.org")
        await world.attempt(SECOND, limit=15)
        assert placed(world, SECOND) == [others], "an operator who wants a fresh one gets it for those that are well"
        await world.clock.until(lambda: bool(world.events(THIRD)))
        world.hosts["s3.example.org"].from_here = "green"
        fixed = world.clock.now()
        await world.attempt(THIRD)
        assert world.clock.now() - fixed < 3
        assert (placed(world, THIRD), shown(world)) == ([NAMES], NAMES)
        assert world.overview.standing("s1.example.org").failure is None


async def test_a_name_that_the_ca_refuses_keeps_the_others_waiting_for_no_minute(world: CertificateWorld) -> None:
    world.hosts["s3.example.org"].from_outside = False
    async with world.up():
        began = world.clock.now()
        events = await world.attempt(FIRST)
        assert isinstance(events[-1], Failed)
        assert events[-1].failure.kind is rows.VALIDATION_FAILED
        assert "s3.example.org: by http-01 it says: Invalid response" in events[-1].failure.cause
        assert [one.host for one in events if isinstance(one, NameRefused)] == ["s3.example.org"]
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert world.clock.now() - began < 30
        assert "s3.example.org" not in shown(world)
        assert len(shown(world)) == 4
        await world.clock.passes(600)
        waiting = [event for event in world.events(THIRD) if isinstance(event, Waiting)]
        assert len(waiting) == 1
        assert "s3.example.org is left out" in waiting[0].what
        assert waiting[0].failure is not None
        assert "without s3.example.org" in world.overview.standing("s1.example.org").verdict
        world.hosts["s3.example.org"].from_outside = True
        assert isinstance((await world.attempt(THIRD, limit=3600))[-1], Certified)
        assert shown(world) == NAMES
        assert world.ca.asked["new_order"] == 4


async def test_names_that_no_ca_sees_cost_no_more_than_a_single_one(tmp_path: Path) -> None:
    world, both = CertificateWorld(tmp_path, session_hosts=NAMES[:2]), NAMES[:2]
    for name in both:
        world.hosts[name].from_outside = False
    async with world.up():
        await world.attempt()
        world.ca.asked.clear()
        await world.clock.passes(1.1 * 3600)
        assert world.ca.asked["new_order"] == 3, "at once, after one minute, after ten more, then every hour"
        assert shown(world) == ()
        for name in both:
            world.hosts[name].from_outside = True
        await world.clock.until(lambda: shown(world) == both)


async def test_what_looks_wrong_from_here_alone_is_asked_outside(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, session_hosts=NAMES, rehearse=True)
    for name in NAMES:
        world.hosts[name].from_here = "unknown"
    world.hosts["s3.example.org"].from_outside = False
    async with world.up():
        events = await world.attempt(FIRST)
        assert isinstance(events[-1], Failed)
        assert events[-1].failure.kind is rows.NOT_FORWARDED
        assert "s3.example.org" in str(events[-1].failure.evidence)
        await world.attempt(SECOND)
        assert len(shown(world)) == 4
        assert placed(world, SECOND)[-1] == tuple(name for name in NAMES if name != "s3.example.org")
        assert world.cas[STAGING].asked["finalize"] == 0


async def test_a_name_is_added_and_one_goes_while_the_old_certificate_is_served(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt(FIRST)
        await world.attempt()
        world.ca.takes = 2.0
        world.hosts["s6.example.org"] = world.hosts["s1.example.org"]
        world.set(service__session_hosts=(*NAMES[:4], "s6.example.org"))
        world.certificates.reload()
        await world.apply()
        assert shown(world) == NAMES[:4], "what is not wanted any more is not shown"
        await world.clock.until(lambda: bool(placed(world, SECOND)))
        assert shown(world) == NAMES[:4]
        await world.attempt(SECOND)
        assert shown(world) == (*NAMES[:4], "s6.example.org")
        begun = world.events(SECOND)[0]
        assert isinstance(begun, OrderBegun)
        assert begun.message == (
            "the certificate is for s1.example.org, s2.example.org, s3.example.org and 2 more, not for s6.example.org"
        )
        world.set(service__session_hosts=NAMES[:4])
        world.certificates.reload()
        await world.attempt(THIRD)
        assert placed(world, THIRD) == [NAMES[:4]]
        begun = world.events(THIRD)[0]
        assert isinstance(begun, OrderBegun)
        assert begun.message == "the settings do not name s6.example.org any more"


async def test_without_its_first_name_a_certificate_is_served_under_the_next_until_it_has_its_own(
    world: CertificateWorld,
) -> None:
    async with world.up():
        await world.attempt(FIRST)
        await world.attempt()
        world.ca.takes = 2.0
        world.set(service__session_hosts=NAMES[1:])
        world.certificates.reload()
        await world.apply()
        assert shown(world) == NAMES[1:]
        await world.attempt("s2.example.org-1")
        assert placed(world, "s2.example.org-1") == [NAMES[1:]]
        assert shown(world) == NAMES[1:]


async def test_a_renewal_waits_long_before_it_loses_a_name(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt(FIRST)
        world.hosts["s3.example.org"].from_here = "red"
        world.clock.time += 61 * DAY
        await world.clock.passes(1200)
        assert placed(world, SECOND) == []
        assert shown(world) == NAMES
        world.clock.time += 15 * DAY
        await world.attempt(SECOND)
        assert len(shown(world)) == 4


async def test_the_embedded_ca_signs_several(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, "localhost", session_hosts=("s1.localhost", "s2.localhost"))
    async with world.up():
        events = await world.attempt("s1.localhost-1")
        assert isinstance(events[-1], Certified)
        assert isinstance(world.cas[""], LocalCa)
        assert shown(world) == ("localhost", "s1.localhost", "s2.localhost")


async def test_force_asks_for_all_names_whatever_is_seen(world: CertificateWorld) -> None:
    world.hosts["s3.example.org"].from_here = "red"
    async with world.up():
        await world.clock.passes(3)
        world.certificates.issue("s1.example.org", force=True)
        await world.attempt(FIRST)
        assert placed(world, FIRST) == [NAMES]


async def test_wildcards_are_ordered_together_without_a_look(tmp_path: Path) -> None:
    wild = ("*.run.example.org", "*.try.example.org")
    world = CertificateWorld(tmp_path, session_hosts=wild)
    world.set(certificates__dns="rfc2136")
    async with world.up():
        events = await world.attempt("*.run.example.org-1")
        assert isinstance(events[-1], Failed)
        assert events[-1].failure.kind is rows.NO_CHALLENGE, "nobody writes records here"
        assert [one.host for one in events if isinstance(one, NameRefused)] == list(wild)
        assert "Looked" not in names(events)


@pytest.mark.parametrize("lost", [False, True], ids=["after it", "before it is written"])
@pytest.mark.parametrize("number", range(1, 28))
async def test_an_attempt_for_some_of_them_that_a_crash_cuts_off_at_any_event_goes_on_with_the_same_order(
    tmp_path: Path, number: int, lost: bool
) -> None:
    own = NAMES[:3]
    world = CertificateWorld(tmp_path, own[0], session_hosts=own)
    world.settings = CertificateWorld(tmp_path / "none", session_hosts=own).settings
    world.set(service__hosts=(), service__https=("127.0.0.1:443",))
    world.hosts[own[1]].from_here = "red"
    world.hosts["localhost"] = world.hosts[own[0]]
    world.crash_at = (number, lost)
    async with world.up():
        await world.clock.until(lambda: world.told >= number)
    async with world.up():
        await world.attempt(FIRST)
        await world.clock.until(lambda: len(world.shown) == 3)
        assert world.secrets.made.count(FIRST) == 1
        assert world.ca.asked["finalize"] == 1
        assert world.ca.asked["new_order"] <= 2
