"""What is wrong with a service, from facts alone; and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perijove.certifying.moments import moment
from perijove.doctor.engine import Outcome
from perijove.doctor.own.diagnosis import CHECKS, diagnosed
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.failures import (
    DATA_PLANE_DOWN,
    DISK_FULL,
    NAMESPACES_FORBIDDEN,
    NOT_UP,
    PORT_TAKEN,
    TOOL_MISSING,
    WAITED_TOO_LONG,
    Evidence,
    Kind,
)
from perijove.domain.ground import Damage, FreeThen, Ground, Journal, Own, Program, Service, Unseen
from perijove.domain.isolation import Isolation
from perijove.domain.nouns import Room
from perijove.domain.service_failures import (
    FILE_TOO_OPEN,
    JOURNAL_DAMAGED,
    LAYERS_COPIED,
    MEMORY_NOT_HELD,
    NOT_ANSWERING,
    ORIGIN_SHARED,
    SECRET_CHANGED,
    SERVERS_STARTED,
    STORE_DAMAGED,
)
from perijove.domain.settings import ServiceSettings, Settings
from perijove.domain.system_failures import BASE_MISSING

ROOT = Path("/srv/perijove")
NOW = 1_780_000_000.0
ROOM = Room(8 << 30, 100 << 30, 1_000_000, 2)
GROUND = Ground(ROOT, ROOM, (), "v2", (Program("git", "/usr/bin/git", "2.39"),), (), None, None, ())
HELD = Isolation(sandboxed=True, own_uid=True, cgroups="v2", disk="quota")
SERVICE = Service(
    12,
    None,
    None,
    same_secret=True,
    data_plane=None,
    caddy=13,
    ports=Unseen("Caddy has them"),
    listeners=(),
    isolation=HELD,
)
WELL = Own(NOW, Settings(), GROUND, SERVICE, Journal(ROOT / "control/perijove.db", 3, (), newest=NOW - 1))


UNHELD = Isolation(sandboxed=True, own_uid=False, cgroups="", disk="watched")


def with_ground(**parts: Any) -> Own:
    return replace(WELL, ground=replace(GROUND, **parts))


def with_service(**parts: Any) -> Own:
    return replace(WELL, service=replace(SERVICE, **parts))


def serving(**service: Any) -> Own:
    return replace(WELL, settings=Settings(service=ServiceSettings(**service)))


def test_a_healthy_service_gives_nothing() -> None:
    assert diagnosed(WELL).findings == ()


def test_sessions_with_hosts_of_their_own_or_an_operator_who_knows_give_nothing() -> None:
    for hosts in (("*.run.b.example",), ("s1.b.example",), ("off",)):
        assert diagnosed(serving(hosts=("b.example",), session_hosts=hosts)).findings == ()


BAD = {
    "a program is missing": (with_ground(missing=(TOOL_MISSING("no git"),)), TOOL_MISSING),
    "namespaces are off": (with_ground(sandbox=NAMESPACES_FORBIDDEN("off")), NAMESPACES_FORBIDDEN),
    "the disk is full": (with_ground(room=replace(ROOM, disk=1 << 20)), DISK_FULL),
    "no inodes are left": (with_ground(room=replace(ROOM, inodes=1)), DISK_FULL),
    "no base can be made": (
        with_ground(base=BASE_MISSING("mmdebstrap is not installed", Evidence("mmdebstrap", "not there"))),
        BASE_MISSING,
    ),
    "garbage in the store": (with_ground(garbage=(Damage("/srv/x", "no note"),)), STORE_DAMAGED),
    "memory is short": (with_ground(room=replace(ROOM, memory=1 << 20)), WAITED_TOO_LONG),
    "no control groups hold strangers": (
        replace(
            with_service(isolation=UNHELD), settings=serving(http=("0.0.0.0:8000",), session_hosts=("off",)).settings
        ),
        MEMORY_NOT_HELD,
    ),
    "nothing can be laid over environments": (
        with_service(isolation=Isolation(sandboxed=True, own_uid=True, cgroups="v2", disk="quota", layers="copy")),
        LAYERS_COPIED,
    ),
    "servers cannot be forked": (
        with_service(isolation=replace(HELD, started="the fork server ended")),
        SERVERS_STARTED,
    ),
    "the clock was set back": (replace(WELL, now=NOW - 3 * 86400), CLOCK_WRONG),
    "a key is open": (with_ground(too_open=((ROOT / "control/secret", 0o644),)), FILE_TOO_OPEN),
    "the journal holds garbage": (
        replace(WELL, journal=Journal(ROOT / "perijove.db", 3, (Damage("events, seq 2 (launch/1)", "{"),))),
        JOURNAL_DAMAGED,
    ),
    "nothing runs": (with_service(holder=0, admin=NOT_UP("nothing answers")), NOT_UP),
    "it hangs": (with_service(admin=NOT_UP("nothing answers")), NOT_ANSWERING),
    "the secret is another": (with_service(same_secret=False), SECRET_CHANGED),
    "sessions share an origin": (serving(hosts=("b.example",)), ORIGIN_SHARED),
    "sessions share one, without a name": (serving(http=("0.0.0.0:80",)), ORIGIN_SHARED),
    "Caddy is dead": (with_service(data_plane=DATA_PLANE_DOWN("dead"), ports=None), DATA_PLANE_DOWN),
}


@pytest.mark.parametrize("case", BAD)
def test_one_thing_wrong_is_the_one_thing_told(case: str) -> None:
    own, kind = BAD[case]
    assert isinstance(kind, Kind)
    assert [root.finding.code for root in diagnosed(own).told] == [kind.code]


def test_on_loopback_memory_may_be_watched() -> None:
    assert diagnosed(with_service(isolation=UNHELD)).findings == ()


def test_what_is_not_broken_yet_is_told_as_foreseen() -> None:
    for case in ("memory is short", "the secret is another"):
        assert [one.foreseen for one in diagnosed(BAD[case][0]).findings] == [True]


def watched(*, days: float = 3, a_day: int = 10 << 30, noise: int = 0, free: int = 20 << 30) -> Own:
    """A machine whose disk lost so many bytes a day, noted every two hours; `noise` goes up and down."""
    hours = [days * 24 - 2 * number for number in range(int(days * 12))]
    past = tuple(
        FreeThen(NOW - hour * 3600, int(free + a_day * hour / 24) + noise * (1 if number % 2 else -1))
        for number, hour in enumerate(hours)
    )
    return with_ground(past=past, room=replace(ROOM, disk=free))


def test_a_disk_that_will_be_full_is_foreseen_with_the_day() -> None:
    (told,) = diagnosed(watched()).told
    assert (told.finding.code, told.finding.foreseen) == (DISK_FULL.code, True)
    assert moment(NOW + 1.9 * 86400) in told.finding.failure.cause, "20 GB less the one that launches need, at 10 a day"


@pytest.mark.parametrize(
    "own",
    [
        watched(a_day=1 << 30),
        watched(a_day=-(1 << 30)),
        watched(a_day=0),
        watched(noise=30 << 30),
        watched(days=0.9),
        WELL,
    ],
    ids=["not within a week", "it gets emptier", "nothing changes", "it goes up and down", "not a day yet", "no notes"],
)
def test_what_is_no_sign_of_a_full_disk(own: Own) -> None:
    assert diagnosed(own).findings == ()


def test_a_taken_port_explains_a_dead_caddy() -> None:
    (root,) = diagnosed(with_service(data_plane=DATA_PLANE_DOWN("dead"), ports=PORT_TAKEN("nginx"))).told
    assert root.finding.code == PORT_TAKEN.code
    assert [one.finding.code for one in root.explains] == [DATA_PLANE_DOWN.code]


def test_the_damaged_row_is_named_and_its_removal_is_text_to_paste() -> None:
    (finding,) = diagnosed(BAD["the journal holds garbage"][0]).findings
    assert "seq 2" in finding.failure.cause
    assert finding.commands[-1] == 'sqlite3 /srv/perijove/perijove.db "delete from events where seq = 2"'


def test_what_nobody_could_look_at_is_skipped_and_says_why() -> None:
    results = {one.name: one for one in diagnosed(replace(WELL, journal=Unseen("not yours"))).results}
    assert results["service.journal"].outcome is Outcome.SKIPPED
    assert results["service.journal"].why_skipped == "not yours"


def test_each_check_has_a_name_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
