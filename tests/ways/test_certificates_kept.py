"""Certificates kept for ever: renewed, foreseen, budgeted, reloaded, revoked, imported."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from perijove.certifying.attempts import host_subject
from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import Certified, ChallengeSeen, Foreseen, Imported, OrderBegun, Revoked, Served
from perijove.domain.certificate_settings import CertificatesSettings, HostSettings, IssuerSettings
from perijove.domain.certificates import Confidence, RenewalWindow, Secret
from perijove.domain.events import Event, Failed
from perijove.domain.failures import BAD_SETTINGS, INTERRUPTED, NO_SUCH_OBJECT, Fail
from tests.fakes.certificate_world import DAY, CertificateWorld, FakeCa, Host, said
from tests.ways.conftest import names

HOST = "binder.example.org"
FIRST, SECOND, THIRD = f"{HOST}-1", f"{HOST}-2", f"{HOST}-3"
HOUR, YEAR = 3600.0, 365 * DAY


@pytest.fixture
def world(tmp_path: Path) -> CertificateWorld:
    return CertificateWorld(tmp_path)


def between(world: CertificateWorld, host: str = HOST) -> list[Event]:
    """What happened to a host's certificate between attempts."""
    return [entry.event for entry in world.journal.ledger.steps(host_subject(host))]


def begun(world: CertificateWorld, order: str) -> OrderBegun:
    event = world.events(order)[0]
    assert isinstance(event, OrderBegun)
    return event


# a year


LIFETIMES = {
    "d160h": 160 * HOUR, "d45": 45 * DAY, "d47": 47 * DAY, "d64": 64 * DAY, "d90": 90 * DAY, "d200": 200 * DAY,
}  # fmt: skip
"""What CAs give, or will, from 2026 to 2029."""


BY_WINDOW = {"d160h", "d47", "d90"}
"""Those whose CA says when it would like the renewal; the others go by the lifetime."""


@pytest.mark.long
async def test_through_a_year_each_host_has_a_valid_certificate_for_no_more_orders_than_needed(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, *(f"{name}.example.org" for name in LIFETIMES))
    world.set(
        certificates__host={f"{name}.example.org": HostSettings(issuers=(name,)) for name in LIFETIMES},
        certificates__issuer={name: IssuerSettings(directory=f"https://{name}.example/dir") for name in LIFETIMES},
    )
    for name, lifetime in LIFETIMES.items():
        ca = world.cas[f"https://{name}.example/dir"] = FakeCa(world, f"https://{name}.example/dir", lifetime)
        ca.window = window if name in BY_WINDOW else ca.window
    async with world.up():
        began = world.clock.now()
        while world.clock.now() < began + YEAR:
            await world.clock.passes(DAY)
            for host in world.hosts:
                current = world.secrets.current(host)
                assert current is not None
                assert current.not_before <= world.clock.now() < current.not_after
        for name, lifetime in LIFETIMES.items():
            left = 1 / 2 if lifetime < 10 * DAY else 1 / 3
            soonest, latest = (0.60, 0.65) if name in BY_WINDOW else (1 - left - 0.03, 1 - left)
            orders = world.cas[f"https://{name}.example/dir"].asked["new_order"]
            assert YEAR / (lifetime * latest + DAY / 4) <= orders <= YEAR / (lifetime * soonest) + 1
            ended = world.certificates.attempts.names(f"{name}.example.org", 200)
            assert not [one for one in ended if failed(world, one)]


def window(secret: Secret) -> RenewalWindow:
    lifetime = secret.not_after - secret.not_before
    return RenewalWindow(secret.not_before + 0.60 * lifetime, secret.not_before + 0.65 * lifetime)


def failed(world: CertificateWorld, order: str) -> bool:
    return any(isinstance(event, Failed) for event in world.events(order))


# renewal


async def test_a_renewal_names_the_certificate_it_replaces(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        first = world.secrets.current(HOST)
        await world.attempt(SECOND, 62 * DAY)
        assert first is not None
        assert [order.replaces for order in world.ca.orders.values()] == ["", first.ari]
        assert begun(world, SECOND).reason == "Renewing"
        left, _, rest = begun(world, SECOND).message.partition(" d of 90 d are left")
        assert rest
        assert 30 <= int(left) <= 32, "a third, and up to three hundredths earlier"


async def test_a_window_that_the_ca_moves_into_the_past_is_obeyed_within_six_hours(world: CertificateWorld) -> None:
    """A CA that has to revoke tells by its window (RFC 9773)."""
    async with world.up():
        await world.attempt()
        await world.clock.passes(DAY)
        now = world.clock.now()
        world.ca.window = lambda secret: RenewalWindow(now - DAY, now - HOUR, "https://ca.example/incident")
        await world.clock.until(lambda: bool(world.events(SECOND)), 6.1 * HOUR)
        assert "https://ca.example/incident" in begun(world, SECOND).message


async def test_a_ca_that_does_not_tell_its_window_is_asked_again_and_nothing_is_lost(world: CertificateWorld) -> None:
    world.ca.fails["renewal_window"] = [rows.ACME_UNREACHABLE("reset")] * 3
    async with world.up():
        await world.attempt()
        await world.clock.passes(4 * HOUR)
        assert world.ca.asked["renewal_window"] == 4
        assert world.certificates.kept(HOST).attempt is None


async def test_with_a_twentieth_left_no_window_counts(world: CertificateWorld) -> None:
    world.ca.window = lambda secret: RenewalWindow(secret.not_after + DAY, secret.not_after + 2 * DAY)
    async with world.up():
        await world.attempt()
        await world.attempt(SECOND, 86 * DAY)
        assert "nobody's window counts any more" in begun(world, SECOND).message


async def test_an_expired_certificate_is_renewed_at_once_after_a_start(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
    world.clock.time += 100 * DAY
    async with world.up():
        await world.attempt(SECOND, 10)
        assert begun(world, SECOND).reason == "Expired"


async def test_another_issuer_in_the_settings_gets_another_certificate_without_a_restart(
    world: CertificateWorld,
) -> None:
    async with world.up():
        await world.attempt()
        world.set(certificates__issuers=("local",))
        world.certificates.reload()
        events = await world.attempt(SECOND, 10)
        assert begun(world, SECOND).reason == "IncorrectIssuer"
        assert names(events) == [
            "OrderBegun", "IssuerChosen", "OrderPlaced", "OrderSeen", "OrderSeen", "OrderSeen", "Issued", "Served",
            "Certified",
        ]  # fmt: skip
        assert not world.certificates.served()[0].hsts, (
            "no browser is bound to https by a certificate it does not trust"
        )


# the budget and the pauses


async def test_at_most_four_validations_fail_within_an_hour_and_a_restart_forgets_none(world: CertificateWorld) -> None:
    world.hosts[HOST].from_outside = False
    spent: list[Failed] = []
    for number in range(1, 8):
        async with world.up():
            if world.certificates.kept(HOST).attempt is None and number > 1:
                world.certificates.issue(HOST)
            events = await world.attempt(f"{HOST}-{number}", 2 * HOUR)
            end = events[-1]
            assert isinstance(end, Failed)
            if end.failure.kind is rows.BUDGET_SPENT:
                spent.append(end)
            times = refused(world)
            assert all(later - earlier > HOUR for earlier, later in zip(times, times[4:], strict=False))
    assert len(spent) >= 3
    assert spent[0].failure.after > 0


def refused(world: CertificateWorld) -> list[float]:
    """Times of all failed validations."""
    return [
        entry.at
        for name in reversed(world.certificates.attempts.names(HOST, 100))
        for entry in world.entries(name)
        if isinstance(entry.event, ChallengeSeen) and entry.event.status == "invalid"
    ]


async def test_force_asks_beyond_the_budget(world: CertificateWorld) -> None:
    world.hosts[HOST].from_outside = False
    async with world.up():
        for number in range(1, 6):
            world.certificates.issue(HOST, force=True)
            await world.attempt(f"{HOST}-{number}", 30)
        assert len(refused(world)) == 5


async def test_pauses_grow_from_failure_to_failure(world: CertificateWorld) -> None:
    world.ca.fails["new_order"] = [rows.ACME_ERROR("hiccup")] * 4
    async with world.up():
        await world.attempt(f"{HOST}-5", 3 * HOUR)
        ends = [world.entries(f"{HOST}-{number}")[-1].at for number in range(1, 6)]
        assert [round(later - earlier) for earlier, later in pairwise(ends)] == [60, 600, 3600, 3600]


async def test_what_trying_again_cannot_help_is_tried_daily_and_after_a_reload(world: CertificateWorld) -> None:
    world.ca.fails["account"] = [rows.ACME_ACCOUNT_REFUSED("no such address")] * 6
    async with world.up():
        await world.attempt()
        await world.clock.passes(23 * HOUR)
        assert not world.events(SECOND)
        assert world.overview.standing(HOST).next_attempt == pytest.approx(world.clock.now() + HOUR, abs=10)
        world.ca.fails["account"] = []
        world.certificates.reload()
        assert isinstance((await world.attempt(SECOND, 10))[-1], Certified)


async def test_a_fix_that_a_look_sees_ends_the_pause(world: CertificateWorld) -> None:
    world.hosts[HOST] = Host("unknown", from_outside=False)
    async with world.up():
        for number in (1, 2):
            await world.attempt(f"{HOST}-{number}")
        await world.clock.passes(200)
        world.hosts[HOST] = Host()
        fixed = world.clock.now()
        assert isinstance((await world.attempt(THIRD))[-1], Certified)
        assert world.clock.now() - fixed < 3


# what will fail is a finding today


async def test_a_renewal_that_would_fail_is_foreseen_within_minutes_and_well_within_one_of_the_fix(
    world: CertificateWorld,
) -> None:
    world.set(certificates__look_every=CertificatesSettings().look_every)
    async with world.up():
        await world.attempt()
        await world.clock.passes(HOUR)
        world.hosts[HOST].from_here = "red"
        await world.clock.passes(6 * 60)
        (foreseen,) = between(world)
        assert isinstance(foreseen, Foreseen)
        assert foreseen.failure is not None
        assert (foreseen.failure.kind, foreseen.confidence) == (rows.NOT_FORWARDED, Confidence.CERTAIN)
        standing = world.overview.standing(HOST)
        assert standing.ready
        assert standing.foreseen
        assert "but a renewal would fail since" in standing.verdict
        world.hosts[HOST].from_here = "green"
        await world.clock.passes(60)
        assert between(world)[-1] == Foreseen(None, Confidence.CERTAIN)
        assert world.overview.standing(HOST).failure is None


async def test_what_passes_by_the_next_look_is_not_foreseen(world: CertificateWorld) -> None:
    world.set(certificates__look_every=CertificatesSettings().look_every)
    async with world.up():
        await world.attempt()
        for _ in range(20):
            looks = world.probe.looks
            world.hosts[HOST].from_here = "red"
            await world.clock.until(lambda before=looks: world.probe.looks > before)  # type: ignore[misc]
            world.hosts[HOST].from_here = "green"
            await world.clock.passes(400)
        assert between(world) == []


@pytest.mark.parametrize("every", [0, CertificatesSettings().look_every])
async def test_whoever_asks_is_told_how_the_ca_is_now_and_not_how_it_was(world: CertificateWorld, every: float) -> None:
    world.set(certificates__look_every=every)
    async with world.up():
        await world.attempt()
        await world.clock.passes(HOUR)
        forecast = world.certificates.kept(HOST).forecast
        assert forecast.looks, "an operator may ask"
        assert (await forecast.today()).failure is None
        world.ca.fails["directory"] = [rows.ACME_UNREACHABLE("no route")]
        failure = (await forecast.today()).failure
        assert failure is not None
        assert failure.kind is rows.ACME_UNREACHABLE


async def test_no_look_is_taken_where_the_operator_wants_none(world: CertificateWorld) -> None:
    world.set(certificates__look_every=0)
    async with world.up():
        await world.attempt()
        looks = world.probe.looks
        await world.clock.passes(10 * DAY)
        assert world.probe.looks == looks
        world.set(certificates__look_every=DAY)
        world.certificates.reload()
        await world.clock.passes(2 * DAY)
        assert world.probe.looks > looks, "and again where the settings say so"


async def test_a_ca_that_cannot_be_reached_today_is_foreseen(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        world.ca.fails["directory"] = [rows.ACME_UNREACHABLE("no route")] * 100
        await world.clock.passes(1.1 * DAY)
        (foreseen,) = between(world)
        assert isinstance(foreseen, Foreseen)
        assert foreseen.failure is not None
        assert foreseen.failure.kind is rows.ACME_UNREACHABLE


async def test_what_only_looks_red_from_here_and_never_hindered_is_no_finding(world: CertificateWorld) -> None:
    world.hosts[HOST].from_here = "unknown"
    async with world.up():
        await world.attempt()
        await world.clock.passes(2 * DAY)
        assert between(world) == []


# what operators do


async def test_one_order_is_in_flight_for_a_name_however_often_it_is_asked_for(world: CertificateWorld) -> None:
    async with world.up():
        assert {world.certificates.issue(HOST) for _ in range(3)} == {FIRST}
        await world.attempt()
        assert begun(world, FIRST).reason == "ManuallyTriggered"
        assert world.certificates.renew(HOST) == SECOND
        assert world.certificates.issue(HOST) == SECOND
        await world.attempt(SECOND)
        assert world.ca.asked["new_order"] == 2


async def test_at_most_sixteen_attempts_ask_cas_at_once(tmp_path: Path) -> None:
    world = CertificateWorld(tmp_path, *(f"h{number}.example.org" for number in range(40)))
    world.ca.takes = 30
    async with world.up():
        await world.clock.passes(20)
        assert world.ca.asked["new_order"] == 16
        await world.clock.until(lambda: len(world.secrets.kept) == 40, 600)


async def test_a_revoked_certificate_is_told_and_replaced_by_hand_alone(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        current = world.certificates.export(HOST)
        await world.certificates.revoke(HOST, "keyCompromise")
        assert world.ca.revoked == [(current.serial, 1)]
        assert between(world) == [Revoked(current.serial, "keyCompromise")]
        await world.clock.passes(DAY)
        standing = world.overview.standing(HOST)
        assert standing.failure is not None
        assert standing.failure.kind is rows.CERT_REVOKED
        assert not standing.ready
        world.certificates.issue(HOST)
        await world.attempt(SECOND)
        assert world.overview.standing(HOST).ready


async def test_an_imported_certificate_is_served_until_it_is_due(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        chain = world.ca.signed((HOST,), "a key", "77")
        secret = await world.certificates.import_(HOST, chain, b"a key", "/root/binder.pem")
        assert [type(event) for event in between(world)] == [Served, Imported]
        assert world.shown[HOST].chain == secret.chain
        await world.clock.passes(30 * DAY)
        assert world.secrets.current(HOST) == secret
        assert not world.events(SECOND)
        await world.attempt(SECOND, 32 * DAY)


@pytest.mark.parametrize("wrong", [False, True])
async def test_an_attempt_under_way_ends_with_an_import_and_goes_on_without_one(
    world: CertificateWorld, wrong: bool
) -> None:
    world.hosts[HOST] = Host("red")
    async with world.up():
        await world.clock.passes(10)
        assert not world.ended()
        if wrong:
            with pytest.raises(Fail):
                await world.certificates.import_(HOST, world.ca.signed((HOST,), "a key", "77"), b"another", "x.pem")
        else:
            secret = await world.certificates.import_(HOST, world.ca.signed((HOST,), "k", "77"), b"k", "x.pem")
            last = world.events()[-1]
            assert isinstance(last, Failed)
            assert last.failure.kind is INTERRUPTED
            assert f"perijove cert issue {HOST}" in last.failure.remedy
        world.hosts[HOST] = Host()
        await world.clock.passes(DAY)
        if wrong:
            assert isinstance(world.events()[-1], Certified)
        else:
            assert world.secrets.current(HOST) == secret
            assert world.ca.asked["new_order"] == 0
            assert not world.events(SECOND)


async def test_a_renewal_under_way_ends_with_a_revocation(world: CertificateWorld) -> None:
    world.set(certificates__look_every=0)
    async with world.up():
        await world.attempt()
        await world.clock.passes(57 * DAY)
        world.hosts[HOST] = Host("red")
        await world.clock.until(lambda: bool(world.events(SECOND)), 10 * DAY)
        await world.certificates.revoke(HOST)
        world.hosts[HOST] = Host()
        await world.clock.passes(DAY)
        assert isinstance(world.events(SECOND)[-1], Failed)
        assert world.ca.asked["new_order"] == 1, "a new one is asked for by hand"


async def test_an_import_that_is_wrong_changes_nothing(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        before = world.certificates.served()
        with pytest.raises(Fail) as caught:
            await world.certificates.import_(HOST, world.ca.signed((HOST,), "a key", "77"), b"another", "x.pem")
        assert caught.value.failure.kind is rows.KEY_MISMATCH
        assert world.certificates.served() == before
        assert between(world) == []


@pytest.mark.parametrize("command", ["issue", "renew", "export"])
async def test_nobody_can_ask_for_a_host_that_is_not_there(world: CertificateWorld, command: str) -> None:
    async with world.up():
        with pytest.raises(Fail) as caught:
            getattr(world.certificates, command)("other.example.org")
        assert caught.value.failure.kind is NO_SUCH_OBJECT


async def test_only_reasons_that_exist_and_cas_that_signed_can_be_asked_to_revoke(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        with pytest.raises(Fail, match="keyCompromise"):
            await world.certificates.revoke(HOST, "boredom")
        await world.certificates.import_(HOST, world.ca.signed((HOST,), "k", "77"), b"k", "x.pem")
        with pytest.raises(Fail, match="imported is no issuer"):
            await world.certificates.revoke(HOST)


async def test_hosts_come_and_go_with_the_settings(world: CertificateWorld) -> None:
    new = "wiki.example.org"
    world.hosts[new] = Host()
    async with world.up():
        await world.attempt()
        world.hosts[HOST].from_here = "red"
        world.certificates.issue(HOST)
        await world.clock.passes(5)
        world.set(service__hosts=(new,))
        world.certificates.reload()
        assert isinstance((await world.attempt(f"{new}-1", 10))[-1], Certified)
        (end,) = [event for event in world.events(SECOND) if isinstance(event, Failed)]
        assert end.failure.kind is INTERRUPTED
        assert [one.host for one in world.certificates.served()] == [new]


async def test_settings_that_cannot_be_change_nothing(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
        world.set(certificates__issuers=("nobody",))
        with pytest.raises(Fail) as caught:
            world.certificates.reload()
        assert caught.value.failure.kind is BAD_SETTINGS
        assert len(world.certificates.served()) == 1


async def test_an_attempt_for_a_host_that_is_gone_after_a_restart_is_told_as_over(world: CertificateWorld) -> None:
    world.crash_at = (4, False)
    async with world.up():
        await world.clock.until(lambda: world.told >= 4)
    world.hosts["wiki.example.org"] = Host()
    world.set(service__hosts=("wiki.example.org",))
    async with world.up():
        end = world.events(FIRST)[-1]
        assert isinstance(end, Failed)
        assert end.failure.kind is INTERRUPTED


async def test_what_browsers_were_told_of_https_is_known_after_a_restart(world: CertificateWorld) -> None:
    async with world.up():
        await world.attempt()
    async with world.up():
        assert world.shown[HOST].hsts, "before anything else is done"
        assert world.certificates.served()[0].hsts


async def test_a_certificate_of_the_staging_binds_no_browser(world: CertificateWorld) -> None:
    world.set(certificates__issuers=("letsencrypt-staging",))
    async with world.up():
        await world.attempt()
        assert not world.certificates.served()[0].hsts


# the operator's files


@pytest.fixture
def of_files(world: CertificateWorld, tmp_path: Path) -> CertificateWorld:
    own = IssuerSettings(chain=str(tmp_path / "chain.pem"), key=str(tmp_path / "key.pem"))
    world.set(certificates__issuer={"own": own}, certificates__issuers=("own",))
    return world


KEY = f"-----BEGIN {'PRIVATE'} KEY-----"


def write(world: CertificateWorld, folder: Path, key: str = KEY, chain_key: str = KEY) -> None:
    (folder / "chain.pem").write_bytes(world.ca.signed((HOST,), chain_key, "77"))
    (folder / "key.pem").write_text(key)


async def test_the_operator_s_files_are_served_and_taken_again_when_they_change(
    of_files: CertificateWorld, tmp_path: Path
) -> None:
    world = of_files
    write(world, tmp_path)
    async with world.up():
        assert names(await world.attempt(limit=5)) == ["OrderBegun", "IssuerChosen", "Issued", "Served", "Certified"]
        await world.clock.passes(60)
        assert not world.events(SECOND)
        write(world, tmp_path)
        await world.attempt(SECOND, 10)
        assert begun(world, SECOND).reason == "FilesChanged"
        assert said((tmp_path / "chain.pem").read_bytes())["from"] == world.certificates.export(HOST).not_before


async def test_files_that_are_wrong_are_told_and_the_old_certificate_stays(
    of_files: CertificateWorld, tmp_path: Path
) -> None:
    world = of_files
    write(world, tmp_path)
    async with world.up():
        await world.attempt(limit=5)
        before = world.certificates.served()
        write(world, tmp_path, chain_key="another key")
        end = (await world.attempt(SECOND, 10))[-1]
        assert isinstance(end, Failed)
        assert end.failure.kind is rows.KEY_MISMATCH
        (tmp_path / "key.pem").unlink()
        end = (await world.attempt(THIRD, 10))[-1]
        assert isinstance(end, Failed)
        assert end.failure.kind is rows.FILE_UNREADABLE
        assert world.certificates.served() == before
        write(world, tmp_path)
        assert isinstance((await world.attempt(f"{HOST}-4", 10))[-1], Certified)


async def test_files_that_were_not_there_are_taken_as_soon_as_they_are(
    of_files: CertificateWorld, tmp_path: Path
) -> None:
    async with of_files.up() as world:
        end = (await world.attempt(limit=5))[-1]
        assert isinstance(end, Failed)
        assert end.failure.kind is rows.FILE_UNREADABLE
        write(world, tmp_path)
        assert isinstance((await world.attempt(SECOND, 10))[-1], Certified)


async def test_files_that_changed_while_we_were_away_are_taken_at_the_start(
    of_files: CertificateWorld, tmp_path: Path
) -> None:
    world = of_files
    write(world, tmp_path)
    async with world.up():
        await world.attempt(limit=5)
    world.clock.time += DAY
    write(world, tmp_path)
    async with world.up():
        assert isinstance((await world.attempt(SECOND, 10))[-1], Certified)
