"""The journal's file: every error of SQLite's has its row, a file that is none is told with what puts it right."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.backends.sqlite import SqliteLedger, errors, opening
from perijove.domain.events import Logged, Phase, Requested
from perijove.domain.failures import BUG, DISK_FULL, STATE_UNUSABLE, Fail, Kind
from perijove.domain.nouns import RepoAddress
from perijove.domain.service_failures import (
    JOURNAL_DAMAGED,
    JOURNAL_FOREIGN,
    JOURNAL_HELD,
    JOURNAL_NEWER,
    JOURNAL_UNREACHED,
)
from perijove.domain.state import State

REQUESTED = Requested(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "192.0.2.7")
OURS = {"MISUSE", "RANGE", "INTERNAL", "TOOBIG", "NOTFOUND", "EMPTY"}
"""Codes that only a mistake of ours brings, or that SQLite no longer uses."""
NONE = {"OK", "ROW", "DONE", "NOTICE", "WARNING", "DENY", "IGNORE"}
"""Codes of no error."""
PRIMARY = (
    "OK", "ERROR", "INTERNAL", "PERM", "ABORT", "BUSY", "LOCKED", "NOMEM", "READONLY", "INTERRUPT", "IOERR", "CORRUPT",
    "NOTFOUND", "FULL", "CANTOPEN", "PROTOCOL", "EMPTY", "SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "MISUSE",
    "NOLFS", "AUTH", "FORMAT", "RANGE", "NOTADB", "NOTICE", "WARNING",
)  # fmt: skip
"""sqlite.org/rescode.html, 0 to 28."""


class Refused(sqlite3.OperationalError):
    """As SQLite refuses with a code."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__("it says no")
        self.sqlite_errorcode, self.sqlite_errorname = code, name


EXTENDED = {
    name: value
    for name, value in vars(sqlite3).items()
    if name.startswith("SQLITE_") and isinstance(value, int) and value > 0xFF and value & 0xFF <= 28
    and name.split("_")[1] in PRIMARY
}  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [(f"SQLITE_{name}", code) for code, name in enumerate(PRIMARY)]
                         + sorted(EXTENDED.items()))  # fmt: skip
def test_every_error_that_can_come_has_a_row(tmp_path: Path, name: str, code: int) -> None:
    primary = PRIMARY[code & 0xFF]
    failure = errors.failure(tmp_path / "perijove.db", Refused(name, code), "an event could not be written down")
    assert (failure.kind is BUG) == (primary in OURS | NONE)
    assert failure.evidence[0].where == str(tmp_path / "perijove.db")
    assert name in failure.evidence[0].saw
    assert "permissions" not in failure.remedy
    if failure.kind is JOURNAL_DAMAGED:
        assert "restore the last backup" in failure.remedy


def test_the_codes_are_all_of_sqlites() -> None:
    known = {name.removeprefix("SQLITE_"): value for name, value in vars(sqlite3).items() if name.startswith("SQLITE_")}
    assert len(EXTENDED) > 40
    assert all(known[name] == code for code, name in enumerate(PRIMARY) if name in known)


def journal(path: Path, lines: int = 2000) -> int:
    """Write one; the last launch's number."""
    ledger = SqliteLedger(path)
    number = ledger.next_number()
    ledger.append(f"launch/{number}", 1.0, REQUESTED)
    for line in range(lines):
        ledger.append(f"launch/{number}", 1.0, Logged(Phase.BUILDING, f"line {line} {'x' * 100}"))
    ledger.close()
    return number


def overwritten(path: Path, start: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(size))


def random_bytes(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def damaged_head(path: Path) -> None:
    journal(path)
    overwritten(path, 0, 100)


def damaged_first_page(path: Path) -> None:
    journal(path)
    overwritten(path, 100, 3996)


def damaged_pages(path: Path) -> None:
    journal(path)
    overwritten(path, 4096, path.stat().st_size - 4096)


def truncated(path: Path) -> None:
    journal(path)
    os.truncate(path, path.stat().st_size // 2)


def truncated_head(path: Path) -> None:
    journal(path)
    os.truncate(path, 50)


def a_folder(path: Path) -> None:
    (path / "of somebody").mkdir(parents=True)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("create table bookmarks (url text)")
    db.close()


def a_table_too_few(path: Path) -> None:
    journal(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("drop table subjects")
    db.close()


def newer(path: Path) -> None:
    journal(path, 1)
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {opening.VERSION + 1}")
    db.close()


BROKEN: list[tuple[Callable[[Path], None], Kind]] = [
    (random_bytes, JOURNAL_DAMAGED),
    (damaged_head, JOURNAL_DAMAGED),
    (damaged_first_page, JOURNAL_DAMAGED),
    (damaged_pages, JOURNAL_DAMAGED),
    (truncated, JOURNAL_DAMAGED),
    (truncated_head, JOURNAL_DAMAGED),
    (a_folder, JOURNAL_FOREIGN),
    (foreign, JOURNAL_FOREIGN),
    (a_table_too_few, JOURNAL_FOREIGN),
    (newer, JOURNAL_NEWER),
]


def read_as_a_start_does(path: Path) -> None:
    """Raises Fail where a service would not start."""
    ledger = SqliteLedger(path)
    try:
        for name in ledger.unfinished("launch/"):
            ledger.steps(name)
        ledger.read("launch/1", 0, 100_000)
    finally:
        ledger.close()


@pytest.mark.parametrize(("spoil", "kind"), [pytest.param(*one, id=one[0].__name__) for one in BROKEN])
def test_a_broken_file_is_told_by_what_it_is_and_its_remedy_works(
    state: State, spoil: Callable[[Path], None], kind: Kind
) -> None:
    spoil(state.database)
    before = state.database.read_bytes() if state.database.is_file() else b""
    with pytest.raises(Fail) as caught:
        read_as_a_start_does(state.database)
    failure = caught.value.failure
    assert failure.kind is kind
    assert str(state.database) in failure.evidence[0].where
    assert "permissions" not in failure.remedy
    if kind is JOURNAL_NEWER:
        assert state.database.read_bytes() == before
        return
    aside, restore = failure.remedy.split("`")[1:4:2]
    subprocess.run(["sh", "-ec", aside], check=True)
    kept = state.control / "damaged" / state.database.name
    assert kept.exists()
    assert kind is JOURNAL_DAMAGED or not before or kept.read_bytes() == before
    read_as_a_start_does(state.database)
    state.database.unlink()
    backup = state.root / "backup.db"
    number = journal(backup, 10)
    subprocess.run(["sh", "-ec", restore.replace("BACKUP", str(backup))], check=True)
    restored = SqliteLedger(state.database)
    assert restored.steps(f"launch/{number}")[0].event == REQUESTED
    restored.close()


@pytest.mark.parametrize("left", [pytest.param(None, id="no file"), pytest.param(b"", id="no bytes")])
def test_a_journal_that_is_lost_is_begun_anew_beyond_all_numbers(state: State, left: bytes | None) -> None:
    if left is not None:
        state.database.write_bytes(left)
    ledger = SqliteLedger(state.database, first_number=60_000_000)
    assert [ledger.next_number(), ledger.next_number()] == [60_000_000, 60_000_001]
    ledger.close()
    ledger = SqliteLedger(state.database, first_number=70_000_000)
    assert ledger.next_number() == 60_000_002
    ledger.close()


def test_a_file_that_may_not_be_written_is_told_as_such(state: State) -> None:
    if os.geteuid() == 0:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "perijove-test", str(state.control)], check=False)
        if mounted.returncode != 0:
            pytest.skip("no file system can be mounted here")
    try:
        journal(state.database, 1)
        state.database.chmod(0o400)
        if os.geteuid() == 0:
            subprocess.run(["mount", "-o", "remount,ro", str(state.control)], check=True)
        with pytest.raises(Fail) as caught:
            journal(state.database, 1)
        assert caught.value.failure.kind is STATE_UNUSABLE
        assert "chown --reference=" in caught.value.failure.remedy
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(state.control)], check=True)


def test_damage_seen_while_it_runs_is_told_as_damage(state: State) -> None:
    journal(state.database)
    ledger = SqliteLedger(state.database)
    overwritten(state.database, 4096, state.database.stat().st_size - 4096)
    for ask in (
        lambda: ledger.read("launch/1", 0, 10_000),
        lambda: ledger.steps("launch/1"),
        lambda: ledger.append("launch/1", 2.0, REQUESTED),
        lambda: ledger.unfinished("launch/"),
    ):
        with pytest.raises(Fail) as caught:
            ask()
        assert caught.value.failure.kind is JOURNAL_DAMAGED
    ledger.close()


def test_a_row_that_is_no_event_is_named_with_the_command_that_takes_it_out(state: State) -> None:
    journal(state.database, 2)
    with sqlite3.connect(state.database) as db:
        db.execute("update events set body = '{' where seq = 2")
    db.close()
    ledger = SqliteLedger(state.database)
    with pytest.raises(Fail) as caught:
        ledger.read("launch/1", 0, 10)
    assert caught.value.failure.kind is JOURNAL_DAMAGED
    assert "where seq = 2" in caught.value.failure.remedy
    ledger.close()


def test_another_program_that_holds_it_is_told_as_such(state: State) -> None:
    ledger = SqliteLedger(state.database)
    other = sqlite3.connect(state.database, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(Fail) as caught:
        ledger.append("launch/1", 1.0, REQUESTED)
    assert caught.value.failure.kind is JOURNAL_HELD
    other.close()
    ledger.append("launch/1", 1.0, REQUESTED)
    ledger.close()


def test_a_disk_error_on_a_full_disk_is_a_full_disk(tmp_path: Path) -> None:
    seen = errors.failure(tmp_path / "perijove.db", Refused("SQLITE_IOERR", sqlite3.SQLITE_IOERR), "no")
    assert seen.kind is JOURNAL_UNREACHED
    full = errors.failure(Path("/proc/perijove.db"), Refused("SQLITE_IOERR", sqlite3.SQLITE_IOERR), "no")
    assert full.kind is DISK_FULL, "/proc has no room"


def test_a_journal_of_an_older_version_is_taken_over(state: State) -> None:
    with sqlite3.connect(state.database) as db:
        db.executescript(opening.SCHEMA)
        db.execute("insert into numbers values (7)")
    db.close()
    ledger = SqliteLedger(state.database, first_number=1000)
    assert ledger.next_number() == 8
    ledger.close()
    with sqlite3.connect(state.database) as db:
        assert db.execute("pragma auto_vacuum").fetchone()[0] == opening.INCREMENTAL
    db.close()
