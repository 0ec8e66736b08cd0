"""The port Ledger, held by SQLite: what is written stays, in order, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import (
    Entry,
    Event,
    Failed,
    Logged,
    Phase,
    Queued,
    Ready,
    Requested,
    SessionEnded,
    SessionLogged,
)
from perijove.domain.failures import CONFLICT, DISK_FULL, Evidence, Fail, Failure
from perijove.domain.nouns import EndReason, RepoAddress
from perijove.domain.service_failures import JOURNAL_DAMAGED
from perijove.domain.state import State

T = TypeVar("T")
ADDRESS = RepoAddress("gh", "owner/repo/HEAD", "https://github.com/owner/repo", "HEAD", "repo")
REQUESTED = Requested(ADDRESS, "192.0.2.7")
READY = Ready("repo-1", "/user/repo-1/")
FAILED = Failed(CONFLICT("a needs b<2", Evidence("uv", "é\n☃ “quoted”")))

WRITER = """
import sys
from pathlib import Path
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Logged, Phase
ledger = SqliteLedger(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    entry = ledger.append("launch/1", float(number), Logged(Phase.BUILDING, f"line {number} " + "x" * 200))
    print(entry.seq, flush=True)
"""


def line(number: int) -> Logged:
    return Logged(Phase.BUILDING, f"line {number}")


class Shelf:
    """A ledger that can be closed and opened again, as a restart does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = SqliteLedger(path)

    def reopen(self) -> SqliteLedger:
        self.ledger.close()
        self.ledger = SqliteLedger(self.path)
        return self.ledger


@pytest.fixture
def shelf(state: State) -> Iterator[Shelf]:
    shelf = Shelf(state.database)
    yield shelf
    shelf.ledger.close()


@pytest.fixture(params=["as written", "after a restart"])
def written(shelf: Shelf, request: pytest.FixtureRequest) -> SqliteLedger:
    """Two launches and a session, one of them over, read by whoever wrote them and by who comes after."""
    told: list[tuple[str, Event]] = [
        ("launch/1", REQUESTED),
        ("launch/2", REQUESTED),
        ("launch/1", line(1)),
        ("session/repo-1", SessionLogged("repo-1", "hello")),
        ("launch/1", Queued(1, "full")),
        ("launch/1", line(2)),
        ("launch/1", FAILED),
        ("launch/10", REQUESTED),
    ]
    for number, (subject, event) in enumerate(told):
        shelf.ledger.append(subject, 1000.0 + number, event)
    return shelf.reopen() if request.param == "after a restart" else shelf.ledger


def events(entries: object) -> list[Event]:
    return [entry.event for entry in entries]  # type: ignore[attr-defined]


def test_a_subject_is_read_in_order_and_alone(written: SqliteLedger) -> None:
    assert events(written.read("launch/1", 0, 100)) == [REQUESTED, line(1), Queued(1, "full"), line(2), FAILED]
    assert events(written.read("launch/2", 0, 100)) == [REQUESTED]
    assert written.read("launch/3", 0, 100) == []


@pytest.mark.parametrize("removed", [("",), ("", "-wal", "-shm")], ids=["the file", "its log too"])
def test_a_file_that_is_removed_under_it_is_written_anew(shelf: Shelf, removed: tuple[str, ...]) -> None:
    assert shelf.ledger.next_number() == 1
    shelf.ledger.append("launch/1", 1000.0, REQUESTED)
    for end in removed:
        shelf.path.with_name(shelf.path.name + end).unlink()
    assert events(shelf.ledger.read("launch/1", 0, 100)) == [REQUESTED], "by a look alone, too"
    shelf.ledger.append("launch/1", 1001.0, FAILED)
    again = shelf.reopen()
    assert events(again.read("launch/1", 0, 100)) == [REQUESTED, FAILED]
    assert again.next_number() == 2
    assert stat.S_IMODE(shelf.path.stat().st_mode) == 0o600
    assert sorted(path.name for path in shelf.path.parent.glob("perijove.db*.anew")) == []


def test_an_entry_is_what_was_written_and_when(written: SqliteLedger) -> None:
    last = written.read("launch/1", 0, 100)[-1]
    assert last == Entry(last.seq, 1006.0, "launch/1", FAILED)
    assert written.at(last.seq) == last
    assert written.at(last.seq + 100) is None


def test_reading_goes_on_where_it_was(written: SqliteLedger) -> None:
    first, second = written.read("launch/1", 0, 2)
    assert first.seq < second.seq
    assert events(written.read("launch/1", second.seq, 2)) == [Queued(1, "full"), line(2)]
    assert written.read("launch/1", written.read("launch/1", 0, 100)[-1].seq, 2) == []


def test_steps_leave_log_lines_out(written: SqliteLedger) -> None:
    assert events(written.steps("launch/1")) == [REQUESTED, Queued(1, "full"), FAILED]
    assert written.steps("session/repo-1") == []


def test_a_subject_s_size_is_that_of_its_entries(written: SqliteLedger) -> None:
    hello = len('{"is":"SessionLogged","session":"repo-1","line":"hello","colours":[]}')
    assert written.size("session/repo-1", 0) == hello
    assert written.size("session/repo-1", 100) == hello + 100
    assert written.size("launch/3", 100) == 0


def test_subjects_are_listed_the_newest_first(written: SqliteLedger) -> None:
    assert written.subjects("launch/", 100) == ["launch/10", "launch/2", "launch/1"]
    assert written.subjects("launch/", 2) == ["launch/10", "launch/2"]
    assert written.subjects("session/", 100) == ["session/repo-1"]
    assert written.subjects("nothing/", 100) == []


def test_what_has_no_end_is_unfinished_the_oldest_first(written: SqliteLedger) -> None:
    assert written.unfinished("launch/") == ["launch/2", "launch/10"]
    assert written.unfinished("session/") == ["session/repo-1"]
    written.append("launch/2", 2000.0, READY)
    written.append("session/repo-1", 2000.0, SessionEnded("repo-1", EndReason.IDLE, "idle", None))
    assert written.unfinished("launch/") == ["launch/10"]
    assert written.unfinished("session/") == []


def test_the_oldest_subjects_come_first_with_their_ends(written: SqliteLedger) -> None:
    kept = written.oldest(0, 10)
    assert [(one.subject, one.ended_at) for one in kept] == [
        ("launch/1", 1006.0), ("launch/2", None), ("session/repo-1", None), ("launch/10", None),
    ]  # fmt: skip
    assert written.oldest(kept[1].seq, 1) == kept[2:3]


def test_a_subject_leaves_bit_by_bit_and_whole(written: SqliteLedger) -> None:
    assert not written.drop("launch/1", 2)
    assert events(written.read("launch/1", 0, 100)) == [Queued(1, "full"), line(2), FAILED]
    assert "launch/1" not in written.unfinished("launch/"), "its end goes last"
    assert not written.drop("launch/1", 3)
    assert written.drop("launch/1", 3)
    assert "launch/1" not in written.subjects("launch/", 100)
    assert [one.subject for one in written.oldest(0, 1)] == ["launch/2"]
    assert events(written.read("launch/2", 0, 100)) == [REQUESTED]


def test_what_remains_of_a_subject_that_goes_on_is_its_first_and_the_last_of_each_kind(shelf: Shelf) -> None:
    for at in range(10):
        shelf.ledger.append("certificate/a", float(at), line(at) if at % 2 else Queued(at, ""))
    shelf.ledger.append("certificate/b", 0.0, line(0))
    shelf.ledger.thin("certificate/a", before=8.0)
    assert events(shelf.ledger.read("certificate/a", 0, 100)) == [Queued(0, ""), Queued(8, ""), line(9)]
    assert events(shelf.ledger.read("certificate/b", 0, 100)) == [line(0)]


def test_the_file_shrinks_as_what_was_in_it_leaves(shelf: Shelf) -> None:
    for number in range(2000):
        shelf.ledger.append("launch/1", float(number), Logged(Phase.BUILDING, "x" * 1000))
    full = shelf.ledger.held()
    assert full > 2_000_000
    while not shelf.ledger.drop("launch/1", 200):
        assert shelf.ledger.held() < full
    steps = 1
    while shelf.ledger.give_back():
        steps += 1
    assert 2 < steps < 30, "many pages in a step"
    assert shelf.ledger.held() < 100_000
    assert shelf.path.stat().st_size < 100_000
    assert shelf.ledger.append("launch/2", 1.0, REQUESTED).seq == 2001


def test_the_last_number_is_known_and_numbers_take_no_room(shelf: Shelf) -> None:
    assert shelf.ledger.last_number() == 0
    for _ in range(100):
        shelf.ledger.next_number()
    assert shelf.ledger.last_number() == 100
    assert shelf.reopen().last_number() == 100
    assert shelf.ledger._rows("select count(*) from numbers") == [(1,)]


def test_new_entries_come_after_the_old_ones_also_after_a_restart(shelf: Shelf) -> None:
    before = shelf.ledger.append("launch/1", 1.0, REQUESTED).seq
    assert shelf.reopen().append("launch/2", 0.5, REQUESTED).seq > before


def test_a_launch_s_number_is_never_given_twice(shelf: Shelf) -> None:
    assert [shelf.ledger.next_number() for _ in range(3)] == [1, 2, 3]
    assert shelf.reopen().next_number() == 4


def test_only_its_owner_may_read_it(shelf: Shelf) -> None:
    shelf.ledger.append("launch/1", 1.0, REQUESTED)
    for path in shelf.path.parent.glob("perijove.db*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_writer_that_is_killed_loses_nothing_that_anybody_saw(state: State) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(state.database)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    seen = [int(writer.stdout.readline()) for _ in range(300)]
    writer.send_signal(signal.SIGKILL)
    seen += [int(rest) for rest in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()

    ledger = SqliteLedger(state.database)
    entries = ledger.read("launch/1", 0, 1_000_000)
    assert [entry.seq for entry in entries][: len(seen)] == seen
    assert len(entries) - len(seen) <= 1, "at most one that was written and not yet told"
    assert [entry.at for entry in entries] == [float(number + 1) for number in range(len(entries))]
    assert ledger.append("launch/1", 0.0, READY).seq > seen[-1]
    ledger.close()


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(state: State) -> None:
    state.database.write_bytes(b"my thesis" * 1000)
    with pytest.raises(Fail) as caught:
        SqliteLedger(state.database)
    assert caught.value.failure.kind is JOURNAL_DAMAGED
    assert caught.value.failure.evidence[0].where == str(state.database)
    assert state.database.read_bytes() == b"my thesis" * 1000


def until_full(write: Callable[[int], T]) -> tuple[list[T], Failure]:
    """What could be written, and why no more."""
    written: list[T] = []
    for number in range(20_000):
        try:
            written.append(write(number))
        except Fail as fail:
            return written, fail.failure
    raise AssertionError("the disk never filled up")


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "perijove-test", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        ledger = SqliteLedger(tmp_path / "perijove.db")
        kept, failure = until_full(lambda number: ledger.append("launch/1", float(number), line(number)))
        assert failure.kind is DISK_FULL
        assert kept
        assert ledger.read("launch/1", 0, 100_000) == kept
        _, failure = until_full(lambda _: ledger.next_number())
        assert failure.kind is DISK_FULL
        assert ledger.read("launch/1", 0, 100_000) == kept
        ledger.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
