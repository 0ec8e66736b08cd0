"""dns-persist-01: the record is proposed, looked for, and shown to a CA that is not asked before."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import Certified, ChallengePresented, Issued, Looked, OrderPlaced
from perijove.domain.certificates import ChallengeType
from perijove.domain.events import Event, Failed
from tests.fakes.certificate_world import PRODUCTION, CertificateWorld

HOST = "binder.example.org"
NAME = f"_validation-persist.{HOST}"
VALUE = f"letsencrypt.org; accounturi={PRODUCTION}/account/1"
BY_RECORD = (ChallengeType.DNS_PERSIST,)


@pytest.fixture
def world(tmp_path: Path) -> CertificateWorld:
    world = CertificateWorld(tmp_path, rehearse=True)
    world.hosts[HOST].from_here = "red"
    world.hosts[HOST].from_outside = False
    return world


def looks(events: list[Event]) -> list[Looked]:
    return [event for event in events if isinstance(event, Looked)]


async def test_the_record_is_proposed_and_the_certificate_comes_once_it_stands(world: CertificateWorld) -> None:
    world.set(certificates__challenges=BY_RECORD)
    async with world.up():
        await world.clock.passes(600)
        (first,) = looks(world.events())
        assert first.failure is not None
        assert first.failure.kind is rows.DNS_PERSIST
        assert f'`{NAME}. IN TXT "{VALUE}"`' in first.failure.remedy
        assert world.ca.asked["new_order"] == 0, "no CA is asked in vain"
        world.texts[NAME] = ("v=spf1 -all", VALUE)
        at = world.clock.now()
        events = await world.attempt()
        assert world.clock.now() - at < 10
    assert isinstance(events[-1], Certified)
    assert [one.type for one in events if isinstance(one, ChallengePresented)] == list(BY_RECORD)


async def test_where_no_port_is_open_a_record_that_stands_is_chosen_and_it_is_told_why(world: CertificateWorld) -> None:
    world.texts[NAME] = (VALUE,)
    async with world.up():
        events = await world.attempt()
    assert isinstance(events[-1], Certified)
    (seen,) = looks(events)
    assert (seen.failure, seen.open) == (None, BY_RECORD)
    assert seen.instead is not None
    assert "404" in seen.instead.cause
    assert [one.rehearsal for one in events if isinstance(one, OrderPlaced)] == [False], "staging has another account"


async def test_a_port_that_is_open_is_used_and_no_record_is_looked_for(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here, world.hosts[HOST].from_outside = "green", True
    world.texts[NAME] = (VALUE,)
    async with world.up():
        events = await world.attempt()
    assert {one.type for one in events if isinstance(one, ChallengePresented)} == {ChallengeType.HTTP}
    assert looks(events)[0].instead is None


@pytest.mark.parametrize("offers", [True, False])
async def test_the_record_is_proposed_beside_the_port_where_the_ca_says_that_it_would_look(
    world: CertificateWorld, offers: bool
) -> None:
    world.ca.advertised = ("letsencrypt.org",) if offers else ()
    async with world.up():
        await world.clock.passes(60)
        failure = looks(world.events())[0].failure
    assert failure is not None
    assert failure.kind is not rows.DNS_PERSIST
    assert (VALUE in failure.remedy) is offers


async def test_a_challenge_that_wants_another_record_is_not_answered(world: CertificateWorld) -> None:
    world.set(certificates__challenges=BY_RECORD)
    world.ca.issuer_names = ("authority.example",)
    world.texts[NAME] = (VALUE,)
    async with world.up():
        events = await world.attempt()
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind is rows.DNS_PERSIST
    assert f'"{VALUE.replace("letsencrypt.org", "authority.example", 1)}"' in events[-1].failure.remedy
    assert world.ca.asked["answer"] == 0


async def test_a_malformed_challenge_is_refused(world: CertificateWorld) -> None:
    world.set(certificates__challenges=BY_RECORD)
    world.ca.issuer_names = ()
    world.texts[NAME] = (VALUE,)
    async with world.up():
        events = await world.attempt()
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind is rows.NO_CHALLENGE


async def test_a_record_that_ends_endangers_the_renewal_before_it_is_due(world: CertificateWorld) -> None:
    world.set(certificates__challenges=BY_RECORD, certificates__look_every=3600)
    world.texts[NAME] = (f"{VALUE}; persistUntil={int(world.clock.now() + 10 * 86400)}",)
    async with world.up():
        await world.attempt()
        await world.clock.passes(9 * 86400)
        assert world.overview.standing(HOST).failure is None
        await world.clock.passes(86400 + 2 * 3600)
        failure = world.overview.standing(HOST).failure
    assert failure is not None
    assert "persistUntil has passed" in failure.cause


async def test_a_wildcard_needs_its_policy(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, HOST, session_hosts=("*.run.example.org",))
    world.set(certificates__challenges=(ChallengeType.HTTP, ChallengeType.DNS_PERSIST))
    name, order = "_validation-persist.run.example.org", "*.run.example.org-1"
    world.texts[name] = (VALUE,)
    async with world.up():
        await world.clock.passes(60)
        failure = looks(world.events(order))[0].failure
        assert failure is not None
        assert "policy=wildcard is missing" in failure.cause
        assert f'"{VALUE}; policy=wildcard"' in failure.remedy
        world.texts[name] = (f"{VALUE}; POLICY=Wildcard",)
        await world.clock.until(lambda: any(isinstance(one, Issued) for one in world.events(order)), 60)
        assert looks(world.events(order))[-1].open == BY_RECORD
