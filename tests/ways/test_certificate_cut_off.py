"""What a stop of the service, or of its disk, did to an order in hand is put right without waiting for anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.certifying.progress import Presented, progress
from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import Certified, ChallengePresented, IssuerChosen, OrderPlaced, OrderSeen
from perijove.domain.certificates import ChallengeType, OrderStatus
from perijove.domain.events import Event, Failed
from perijove.domain.failures import DISK_FULL, INTERRUPTED, Fail
from tests.fakes.certificate_world import PRODUCTION, STAGING, CertificateWorld, FakeCa

HOST = "binder.example.org"
FIRST, SECOND = f"{HOST}-1", f"{HOST}-2"
ANSWERED = 6
"""Events of an attempt until the CA was told to look."""


@pytest.fixture
def world(tmp_path: Path) -> CertificateWorld:
    return CertificateWorld(tmp_path)


async def cut_off(world: CertificateWorld, directory: str = PRODUCTION) -> None:
    """The CA was told to look, then the service died, and the CA saw nobody."""
    world.crash_at = (ANSWERED, False)
    async with world.up():
        await world.clock.until(lambda: world.told >= ANSWERED)
    (order,) = world.cas[directory].orders.values()
    order.challenge, order.status = "invalid", OrderStatus.INVALID


async def test_a_refusal_of_the_time_while_nobody_answered_is_followed_by_a_new_order_at_once(
    world: CertificateWorld,
) -> None:
    await cut_off(world)
    async with world.up():
        began = world.clock.now()
        ended = (await world.attempt())[-1]
        assert isinstance(ended, Failed)
        assert ended.failure.kind is INTERRUPTED
        assert "did not run" in ended.failure.cause
        assert "Invalid response" in ended.failure.evidence[0].saw
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert world.clock.now() - began < 5


async def test_so_is_that_of_a_rehearsal_which_is_then_held_anew(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, rehearse=True)
    await cut_off(world, STAGING)
    async with world.up():
        ended = (await world.attempt())[-1]
        assert isinstance(ended, Failed)
        assert ended.failure.kind is INTERRUPTED
        assert isinstance((await world.attempt(SECOND))[-1], Certified)
        assert (world.cas[STAGING].asked["new_order"], world.ca.asked["new_order"]) == (2, 1)


async def test_a_refusal_of_what_was_asked_after_the_restart_counts(world: CertificateWorld) -> None:
    world.crash_at = (ANSWERED - 1, False)
    async with world.up():
        await world.clock.until(lambda: world.told >= ANSWERED - 1)
    world.hosts[HOST].from_outside = False
    async with world.up():
        ended = (await world.attempt())[-1]
        assert isinstance(ended, Failed)
        assert ended.failure.kind is rows.VALIDATION_FAILED


class CaAtAFullDisk(FakeCa):
    """When its first certificate comes, nothing can be written any more, not even that."""

    async def certificate(self, url: str) -> bytes:
        chain = await super().certificate(url)
        if self.asked["certificate"] == 1:
            self.world.ledger.full = True
            raise Fail(DISK_FULL("tls.crt cannot be written"))
        return chain


async def test_a_failure_that_cannot_be_written_down_leaves_the_order_its_key(world: CertificateWorld) -> None:
    world.cas[PRODUCTION] = CaAtAFullDisk(world, PRODUCTION)
    async with world.up():
        await world.clock.until(lambda: world.ledger.full)
        world.ledger.full = False
        assert isinstance((await world.attempt())[-1], Certified)
        assert world.ca.asked["new_order"] == world.ca.asked["finalize"] == 1
        assert world.secrets.made == [FIRST]
        assert world.secrets.keys == {}


def test_all_answers_that_may_still_stand_are_known() -> None:
    rehearsal: list[Event] = [
        OrderPlaced("letsencrypt", STAGING, "s/1", rehearsal=True, expires=0),
        ChallengePresented(ChallengeType.DNS, "s/1/dns", "one"),
        OrderSeen(OrderStatus.READY, None),
    ]
    order: list[Event] = [
        OrderPlaced("letsencrypt", PRODUCTION, "o/1", rehearsal=False, expires=0),
        ChallengePresented(ChallengeType.TLS_ALPN, "o/1/alpn", "two"),
    ]
    come = progress([IssuerChosen("letsencrypt", PRODUCTION), *rehearsal, *order])
    assert come.placed is not None
    assert come.placed.presented == {"o/1/alpn"}
    assert come.presented == {
        Presented("letsencrypt", STAGING, ChallengeType.DNS, "one"),
        Presented("letsencrypt", PRODUCTION, ChallengeType.TLS_ALPN, "two"),
    }
