"""Who keeps the journal from being written, by the kernel's own table of locks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PosixPath

import pytest

from perijove.backends.ground.holding import writer

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("begin " + sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["wal", "delete"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"pragma journal_mode = {request.param}")
        db.execute("create table events (seq)")
        yield path


def test_a_process_that_does_not_let_go_is_named(database: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(database), "immediate"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holds:
        assert holds.stdout is not None
        assert holds.stdout.readline() == b"held\n"
        assert writer(database) == holds.pid
        holds.communicate()
    assert writer(database) == 0


def test_who_only_reads_and_who_locks_another_file_is_nobody(database: Path, tmp_path: Path) -> None:
    inode, other = database.stat().st_ino, tmp_path.stat().st_ino
    locks = tmp_path / "locks"
    locks.write_text(
        f"1: POSIX  ADVISORY  READ 7 fe:00:{inode} 1073741826 1073742335\n"
        f"2: FLOCK  ADVISORY  WRITE 8 fe:00:{inode} 0 EOF\n"
        f"3: POSIX  ADVISORY  WRITE 9 fe:00:{other} 0 EOF\n"
        f"3: -> POSIX  ADVISORY  WRITE 10 fe:00:{inode} 0 EOF\n"
    )
    assert writer(database, locks) == 0
    locks.write_text(f"1: POSIX  ADVISORY  WRITE {os.getpid()} fe:00:{inode} 0 EOF\n")
    assert writer(database, locks) == os.getpid()


class Torn(PosixPath):
    """Locks of so many that they are read in pieces, of which the first time one is missed."""

    def read_text(self, *_args: object, **_more: object) -> str:
        lines = str(super().read_text()).splitlines(keepends=True)
        reads = self.with_suffix(".reads")
        missed = not reads.exists()
        reads.touch()
        return "".join(lines[1:] if missed else lines)


def test_a_line_that_was_missed_between_two_pieces_is_read_again(database: Path, tmp_path: Path) -> None:
    locks = Torn(tmp_path / "locks")
    mine = f"1: POSIX  ADVISORY  WRITE {os.getpid()} fe:00:{database.stat().st_ino} 0 EOF\n"
    locks.write_text(mine + "".join(f"{n}: FLOCK  ADVISORY  WRITE 8 fe:00:{n} 0 EOF\n" for n in range(2, 90)))
    assert writer(database, locks) == os.getpid()
