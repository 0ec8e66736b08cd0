"""What is wrong with a service, from facts alone; and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perijove.certifying.formatting import moment
from perijove.doctor.engine import Outcome
from perijove.doctor.own.diagnosis import CHECKS, diagnosed
from perijove.domain.auth_failures import PEOPLE_UNREADABLE, PROVIDER_SILENT
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.classes import ClassSettings
from perijove.domain.egress_failures import PROXY_REFUSES
from perijove.domain.engine_settings import Builds, EngineKind, EngineSettings
from perijove.domain.failures import (
    DATA_PLANE_DOWN,
    DISK_FULL,
    HOST_UNREACHABLE,
    INDEX_UNREACHABLE,
    NAMESPACES_FORBIDDEN,
    NOT_UP,
    PAD_DOWN,
    PORT_TAKEN,
    SANDBOX_FAILED,
    TOOL_MISSING,
    WAITED_TOO_LONG,
    Evidence,
    Kind,
)
from perijove.domain.findings import Confidence
from perijove.domain.ground import (
    PACKAGE_INDEX,
    Damage,
    FreeThen,
    Ground,
    Journal,
    Own,
    Process,
    Program,
    Reached,
    Service,
    Unseen,
)
from perijove.domain.isolation import Isolation
from perijove.domain.nouns import Room
from perijove.domain.people_failures import HOME_UNUSABLE
from perijove.domain.service_failures import (
    FILE_TOO_OPEN,
    JOURNAL_DAMAGED,
    JOURNAL_HELD,
    LAYERS_COPIED,
    MEMORY_NOT_HELD,
    NAMES_UNRESOLVED,
    NOT_ANSWERING,
    ORIGIN_SHARED,
    PAD_SILENT,
    SEATS_WITHOUT_MEMORY,
    SECRET_CHANGED,
    SERVERS_STARTED,
    SETTINGS_UNLIKE,
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
    Process(12, "sleeping"),
    None,
    None,
    same_secret=True,
    data_plane=None,
    caddy=13,
    ports=Unseen("Caddy has them"),
    listeners=(),
    isolation=HELD,
    pad=None,
    pad_process=Process(14, "sleeping"),
)
JOURNAL = Journal(ROOT / "control/perijove.db", 3, (), newest=NOW - 1)
WELL = Own(NOW, Settings(), GROUND, SERVICE, JOURNAL)


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


def test_a_cluster_that_enforces_no_policies_is_told_by_what_a_pod_reached() -> None:
    isolation = replace(HELD, open_policies="10.0.0.1 port 443")
    (found,) = diagnosed(with_service(isolation=isolation)).findings
    assert found.code == "cluster.policy-unenforced"
    assert found.failure.evidence[0].saw == "reached 10.0.0.1 port 443"


def test_a_machine_without_memory_keeps_no_session_from_a_cluster() -> None:
    short = with_ground(room=replace(ROOM, memory=1 << 20))
    in_cluster = replace(short.settings, engine=EngineSettings(EngineKind.KUBERNETES))
    assert [one.code for one in diagnosed(short).findings] == ["start.no-room"]
    assert diagnosed(replace(short, settings=in_cluster)).findings == ()


@pytest.mark.parametrize(("builds", "told"), [(Builds.HERE, ["engine.builds = jobs"]), (Builds.JOBS, [])])
def test_a_cluster_holds_sessions_and_a_build_is_held_where_it_is_a_job(builds: Builds, told: list[str]) -> None:
    settings = serving(http=("0.0.0.0:8000",), session_hosts=("off",)).settings
    in_cluster = replace(settings, engine=EngineSettings(EngineKind.KUBERNETES, builds=builds))
    failures = diagnosed(replace(with_service(isolation=UNHELD), settings=in_cluster)).findings
    assert [one.failure.kind for one in failures] == [MEMORY_NOT_HELD] * len(told)
    assert all(words in one.failure.remedy for words, one in zip(told, failures, strict=True))


NO_SOCKET = NOT_UP("nothing answers", Evidence("admin.sock", "[Errno 2] No such file or directory"))


def test_a_first_start_is_no_hang() -> None:
    for opening, held_for in ((False, 90.0), (True, 5000.0)):
        told = diagnosed(with_service(admin=NO_SOCKET, held_for=held_for, opening=opening, control=Unseen("x")))
        (runs,) = (one for one in told.results if one.name == "service.runs")
        assert (told.findings, runs.outcome) == ((), Outcome.SKIPPED)
        assert "starting" in runs.why_skipped


def test_a_start_that_was_stopped_is_told_at_once() -> None:
    stopped = replace(SERVICE.holder, doing="stopped")
    (found,) = diagnosed(with_service(admin=NO_SOCKET, held_for=9.0, holder=stopped, control=Unseen("x"))).findings
    assert found.commands == (f"kill -CONT {SERVICE.holder.pid}",)


def test_a_process_that_was_stopped_is_to_go_on_and_not_to_be_killed() -> None:
    told = diagnosed(
        with_service(admin=NOT_ANSWERING("it did not answer"), holder=Process(12, "stopped"), control=Unseen("x"))
    )
    assert [one.commands for one in told.findings] == [("kill -CONT 12",)]


def seated(seats: int) -> Own:
    """A machine of 16 GB with a class of so many, for each of whom 256 MB are kept beside 512 MB."""
    launching = replace(WELL.settings.launching, classes=(ClassSettings("term", ("gh/a/b/HEAD",), seats=seats),))
    return replace(with_ground(memory=16 << 30), settings=replace(WELL.settings, launching=launching))


def test_a_cluster_s_seats_are_not_held_against_this_machine_s_memory() -> None:
    many = seated(200)
    assert [one.code for one in diagnosed(many).findings] == ["platform.seats-without-memory"]
    in_cluster = replace(many.settings, engine=EngineSettings(EngineKind.KUBERNETES))
    assert diagnosed(replace(many, settings=in_cluster)).findings == ()


def reaching(*hosts: Reached) -> Own:
    return with_ground(reached=hosts, resolvers=("192.0.2.53",))


REFUSED = Reached("pypi.org:443", PACKAGE_INDEX, words="[Errno 111] Connection refused")
NO_ANSWER = Reached("pypi.org:443", PACKAGE_INDEX, "", "Temporary failure", unresolved=True, no_resolver=True)
NO_NAME = Reached("git.example:443", "repositories", "", "Name or service not known", unresolved=True)


def test_hosts_that_are_reached_give_nothing() -> None:
    told = diagnosed(reaching(replace(REFUSED, words="")))
    assert told.findings == ()
    outcomes = {one.name: one.outcome for one in told.results}
    assert (outcomes["ground.names"], outcomes["ground.reach"]) == (Outcome.WELL, Outcome.WELL)


def test_a_name_that_is_gone_for_everybody_is_no_fault_of_the_resolver() -> None:
    (finding,) = diagnosed(reaching(NO_NAME, replace(REFUSED, words=""))).findings
    assert (finding.code, finding.because) == (HOST_UNREACHABLE.code, "")


def test_a_visitor_s_host_that_is_silent_alone_may_be_gone_for_everybody() -> None:
    (finding,) = diagnosed(reaching(NO_NAME, replace(REFUSED, words=""))).findings
    assert finding.confidence is Confidence.POSSIBLE
    assert "Visitors named this host" in finding.failure.remedy
    alone = diagnosed(reaching(replace(REFUSED, what="repositories"))).findings
    assert [one.confidence for one in alone] == [Confidence.CERTAIN], "nothing speaks for this machine then"


def test_visitors_names_that_nobody_answers_for_are_no_fault_of_the_resolver() -> None:
    silent = [replace(NO_NAME, address=f"{name}.example:443", no_resolver=True) for name in "ab"]
    told = diagnosed(reaching(replace(REFUSED, words=""), *silent)).findings
    assert {one.code for one in told} == {HOST_UNREACHABLE.code}
    mirror = replace(REFUSED, address="127.0.0.1:3141", words="")  # which is found without a resolver
    told = diagnosed(reaching(mirror, *silent)).findings
    assert NAMES_UNRESOLVED.code in {one.code for one in told}


def test_a_resolver_that_is_silent_is_the_root_of_hosts_out_of_reach() -> None:
    (root,) = diagnosed(reaching(NO_ANSWER, replace(NO_NAME, no_resolver=True))).told
    assert root.finding.code == NAMES_UNRESOLVED.code
    assert [one.finding.code for one in root.explains] == [INDEX_UNREACHABLE.code, HOST_UNREACHABLE.code]
    assert "192.0.2.53" in {one.saw for one in root.finding.failure.evidence}


def test_a_journal_that_the_service_writes_itself_is_not_held() -> None:
    assert diagnosed(replace(WELL, journal=replace(JOURNAL, held=SERVICE.holder.pid))).findings == ()


SILENCE = Evidence("somewhere", "no answer within 3 s")


@pytest.mark.parametrize(
    ("own", "silent"),
    [
        (reaching(replace(NO_ANSWER, words=SILENCE.saw)), True),
        (reaching(replace(REFUSED, words=SILENCE.saw)), True),
        (reaching(REFUSED), False),
        (with_service(admin=NOT_ANSWERING("x", Evidence("admin.sock", "timed out")), control=Unseen("x")), True),
        (with_service(admin=NO_SOCKET, held_for=3600.0, control=Unseen("x")), False),
        (with_service(control=NOT_ANSWERING("x", Evidence("control.sock", "ReadTimeout('')"))), True),
        (with_service(data_plane=DATA_PLANE_DOWN("x", Evidence("caddy.sock", "timed out")), ports=None), True),
        (with_service(data_plane=DATA_PLANE_DOWN("x", Evidence("caddy.sock", "refused")), ports=None), False),
        (with_ground(sandbox=SANDBOX_FAILED("x", Evidence("bwrap", "timed out after 9 seconds"))), True),
        (with_service(login=PROVIDER_SILENT("x", Evidence("login", "ConnectTimeout('')"))), True),
    ],
)
def test_what_rests_on_an_answer_that_did_not_come_in_time_is_not_certain(own: Own, silent: bool) -> None:
    """A machine may be busy, and a packet lost: a remedy ended the service."""
    wanted = Confidence.LIKELY if silent else Confidence.CERTAIN
    assert {one.confidence for one in diagnosed(own).findings} == {wanted}


BAD = {
    "the index refuses": (reaching(REFUSED), INDEX_UNREACHABLE),
    "the proxy refuses": (reaching(replace(REFUSED, proxy="proxy.example:3128")), PROXY_REFUSES),
    "somebody holds the journal": (replace(WELL, journal=replace(JOURNAL, held=99)), JOURNAL_HELD),
    "homes cannot be used": (
        with_ground(homes=HOME_UNUSABLE("it is not as it must be", Evidence("/srv/homes", "it is no folder"))),
        HOME_UNUSABLE,
    ),
    "a program is missing": (with_ground(missing=(TOOL_MISSING("no git"),)), TOOL_MISSING),
    "namespaces are off": (with_ground(sandbox=NAMESPACES_FORBIDDEN("off")), NAMESPACES_FORBIDDEN),
    "the disk is full": (with_ground(room=replace(ROOM, disk=1 << 20)), DISK_FULL),
    "no inodes are left": (with_ground(room=replace(ROOM, inodes=1)), DISK_FULL),
    "no base can be made": (
        with_ground(base=BASE_MISSING("mmdebstrap is not installed", Evidence("mmdebstrap", "not there"))),
        BASE_MISSING,
    ),
    "garbage in the store": (with_ground(garbage=(Damage("/srv/x", "no note"),)), STORE_DAMAGED),
    "a class is larger than the machine": (seated(63), SEATS_WITHOUT_MEMORY),
    "memory is short": (with_ground(room=replace(ROOM, memory=1 << 20)), WAITED_TOO_LONG),
    "no control groups hold strangers": (
        replace(
            with_service(isolation=UNHELD), settings=serving(http=("0.0.0.0:8000",), session_hosts=("off",)).settings
        ),
        MEMORY_NOT_HELD,
    ),
    "nothing can be laid over environments": (
        with_service(isolation=replace(HELD, copied="bwrap: Can't make overlay mount")),
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
    "nothing runs": (with_service(holder=Process(0), caddy=0, admin=NOT_UP("nothing answers")), NOT_UP),
    "it hangs": (with_service(admin=NOT_UP("nothing answers", Evidence("admin.sock", "timed out"))), NOT_ANSWERING),
    "it has had no socket for long": (with_service(admin=NO_SOCKET, held_for=300.0), NOT_ANSWERING),
    "it has other settings than the file": (
        with_service(unlike=("session.memory: the file says 1, the service has 2",)),
        SETTINGS_UNLIKE,
    ),
    "the pad does not run": (with_service(pad=PAD_DOWN("it ended")), PAD_DOWN),
    "the pad hangs": (with_service(pad=PAD_SILENT("it is there")), PAD_SILENT),
    "the secret is another": (with_service(same_secret=False), SECRET_CHANGED),
    "sessions share an origin": (serving(hosts=("b.example",)), ORIGIN_SHARED),
    "sessions share one, without a name": (serving(http=("0.0.0.0:80",)), ORIGIN_SHARED),
    "the provider is away": (with_service(login=PROVIDER_SILENT("it does not answer")), PROVIDER_SILENT),
    "nobody can log in": (with_service(login=PEOPLE_UNREADABLE("there is nobody in it")), PEOPLE_UNREADABLE),
    "Caddy is dead": (with_service(data_plane=DATA_PLANE_DOWN("dead"), ports=None), DATA_PLANE_DOWN),
}


@pytest.mark.parametrize("case", BAD)
def test_one_thing_wrong_is_the_one_thing_told(case: str) -> None:
    own, kind = BAD[case]
    assert isinstance(kind, Kind)
    assert [root.finding.code for root in diagnosed(own).told] == [kind.code]


def test_where_sessions_lie_is_told_with_the_path_that_all_lies_below() -> None:
    (shared,) = diagnosed(serving(hosts=("b.example",), base="/binder/")).findings
    assert "b.example/binder/user/" in shared.failure.evidence[0].saw


def test_on_loopback_memory_may_be_watched() -> None:
    assert diagnosed(with_service(isolation=UNHELD)).findings == ()


def test_a_class_that_the_machine_carries_is_well() -> None:
    assert diagnosed(seated(62)).findings == ()


def test_what_is_not_broken_yet_is_told_as_foreseen() -> None:
    for case in ("memory is short", "the secret is another", "a class is larger than the machine"):
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
