"""The journal's file: made, or looked at before anything is changed in it. In: a path. Out: a connection, or Fail."""

from __future__ import annotations

import os
import shlex
import sqlite3
from pathlib import Path

from perijove.backends.sqlite import errors
from perijove.domain.failures import STATE_UNUSABLE, Evidence, Fail
from perijove.domain.service_failures import JOURNAL_FOREIGN, JOURNAL_NEWER, put_aside

VERSION = 1
"""Of the tables; in the file as `user_version`."""
TABLES = {"events": {"seq", "subject", "at", "weight", "body"}, "numbers": {"number"}, "subjects": {"subject", "seq"}}
SCHEMA = """
create table if not exists events (
  seq integer primary key autoincrement, subject text not null, at real not null,
  weight integer not null, body text not null) strict;
create index if not exists events_by_subject on events (subject, seq);
create index if not exists events_ends on events (subject, weight) where weight > 0;
create table if not exists numbers (number integer primary key autoincrement) strict;
create table if not exists subjects (subject text primary key, seq integer not null) strict;
create index if not exists subjects_by_age on subjects (seq);
"""
BUSY = 1.0
"""Seconds that another program's writing is waited for; the service stands still meanwhile."""
SMALL = 256 * 1024**2
"""Bytes of a file of an older version that are written anew at its first start, so that it can shrink from then on."""
LOG_FILE = 8 * 1024**2
"""Bytes of the write-ahead log that are kept once all of it is in the file."""
INCREMENTAL = 2
"""`auto_vacuum` of a file that gives room back bit by bit."""


def opened(path: Path, first_number: int) -> sqlite3.Connection:
    """The journal; a new one's launches are counted from `first_number`. Raises Fail: `platform.*`."""
    if path.is_dir():
        raise Fail(JOURNAL_FOREIGN("it is a folder", Evidence(str(path), "a folder"), remedy=put_aside(path)))
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY)
    except OSError as error:
        raise Fail(STATE_UNUSABLE("the journal cannot be made", Evidence(str(path), str(error)))) from error
    except sqlite3.Error as error:
        raise Fail(errors.failure(path, error, "the journal cannot be opened")) from error
    try:
        _prepare(db, path, first_number)
    except sqlite3.Error as error:
        db.close()
        raise Fail(errors.failure(path, error, "the journal cannot be opened")) from error
    except Fail:
        db.close()
        raise
    return db


def written_anew(db: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """A journal whose file was removed under us: what stood in it lives as long as the connection, and no longer.

    Raises Fail: `platform.*`, sqlite3.Error.
    """
    aside = path.with_name(f"{path.name}.anew")
    try:
        aside.unlink(missing_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db.execute("vacuum into ?", (str(aside),))
        db.close()
        for left in ("-wal", "-shm"):  # of the one that was removed: it would be read into the new one
            path.with_name(path.name + left).unlink(missing_ok=True)
        aside.replace(path)
    except OSError as error:
        raise Fail(
            STATE_UNUSABLE("the journal was removed, and cannot be made", Evidence(str(path), str(error)))
        ) from error
    return opened(path, 1)


def _prepare(db: sqlite3.Connection, path: Path, first_number: int) -> None:
    new = _is_new(db, path)
    if _pragma(db, "auto_vacuum") != INCREMENTAL and (new or held(db) < SMALL):
        db.execute(f"pragma auto_vacuum = {INCREMENTAL}")
        if not new:
            db.execute("vacuum")
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = normal")
    db.execute(f"pragma journal_size_limit = {LOG_FILE}")
    db.executescript(SCHEMA)
    if new and first_number > 1:
        db.execute("insert into numbers values (?)", (first_number - 1,))
    db.execute(f"pragma user_version = {VERSION}")


def _is_new(db: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing stands in it; else it is a journal that this version understands. Raises Fail."""
    version = _pragma(db, "user_version")
    tables = {row[0] for row in db.execute("select name from sqlite_master where type = 'table'")}
    columns = {
        table: {row[0] for row in db.execute("select name from pragma_table_info(?)", (table,))} for table in TABLES
    }
    if tables and any(not wanted <= columns[table] for table, wanted in TABLES.items()):
        there = Evidence(str(path), f"its tables: {', '.join(sorted(tables))}"[:500])
        raise Fail(JOURNAL_FOREIGN("it is another program's database", there, remedy=put_aside(path)))
    if version > VERSION:
        seen = Evidence(f"pragma user_version of {shlex.quote(str(path))}", str(version))
        raise Fail(JOURNAL_NEWER(f"its version is {version}, and this Perijove knows {VERSION}", seen))
    return not tables


def held(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    return (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * _pragma(db, "page_size")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])


def give_back(db: sqlite3.Connection, pages: int) -> bool:
    """Give so many empty pages of the file back to the disk; whether more are left."""
    if _pragma(db, "auto_vacuum") != INCREMENTAL:
        return False
    db.executescript(f"pragma incremental_vacuum({pages})")  # a page a step, of which `execute` makes one
    left = _pragma(db, "freelist_count") > 0
    if not left:
        db.execute("pragma wal_checkpoint(passive)").fetchall()  # the file itself shrinks here
    return left
