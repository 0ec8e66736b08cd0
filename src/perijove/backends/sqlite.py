"""The ledger in SQLite: one table of events, append-only, and the index of launches read from it.

Writes are synchronous on purpose: one takes some 30 µs, and an event that a reader saw must not be lost when the
process is killed (write-ahead log, `synchronous=NORMAL`: a power cut may lose the last moments, never the order).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perijove.domain import wire
from perijove.domain.events import Entry, Event, Logged, SessionLogged, Terminal
from perijove.domain.failures import DISK_FULL, STATE_UNUSABLE, Evidence, Fail
from perijove.domain.ground import Damage, Journal

_SCHEMA = """
create table if not exists events (
  seq integer primary key autoincrement, subject text not null, at real not null,
  weight integer not null, body text not null) strict;
create index if not exists events_by_subject on events (subject, seq);
create index if not exists events_ends on events (subject, weight) where weight > 0;
create table if not exists numbers (number integer primary key autoincrement) strict;
create table if not exists subjects (subject text primary key, seq integer not null) strict;
"""

CHECK_LIMIT = 0.5
"""Seconds in which SQLite may check its file."""
READ_BACK, SHOWN = 10_000, 5
"""Rows, from the newest back, that a look reads whole; how many damaged ones it tells."""
LINE, STEP, END = 0, 1, 2
"""How much an event weighs: a log line, a step of its way, the end of it."""


def _weight(event: Event) -> int:
    if isinstance(event, (Logged, SessionLogged)):
        return LINE
    return END if isinstance(event, Terminal) else STEP


class SqliteLedger:
    """Implements the port `Ledger`. One writer: the control plane."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise Fail(STATE_UNUSABLE("the journal cannot be opened", Evidence(str(path), str(error)))) from error

    def close(self) -> None:
        """Write all out."""
        self._db.close()

    def append(self, subject: str, at: float, event: Event) -> Entry:
        body = json.dumps(wire.encode(event), ensure_ascii=False, separators=(",", ":"))
        try:
            self._db.execute("begin immediate")
            cursor = self._db.execute(
                "insert into events (subject, at, weight, body) values (?, ?, ?, ?)",
                (subject, at, _weight(event), body),
            )
            seq = int(cursor.lastrowid or 0)
            self._db.execute("insert or ignore into subjects values (?, ?)", (subject, seq))
            self._db.execute("commit")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise Fail(
                DISK_FULL("an event could not be written down", Evidence(str(self._path), str(error)))
            ) from error
        return Entry(seq, at, subject, event)

    def read(self, subject: str, after: int, limit: int) -> Sequence[Entry]:
        return self._entries("subject = ? and seq > ? order by seq limit ?", (subject, after, limit))

    def steps(self, subject: str) -> Sequence[Entry]:
        return self._entries(f"subject = ? and weight > {LINE} order by seq", (subject,))

    def at(self, seq: int) -> Entry | None:
        found = self._entries("seq = ?", (seq,))
        return found[0] if found else None

    def log_size(self, subject: str, row: int) -> int:
        size = "coalesce(sum(? + length(cast(body as blob))), 0)"
        found = self._db.execute(f"select {size} from events where subject = ? and weight = {LINE}", (row, subject))  # noqa: S608
        return int(found.fetchone()[0])

    def subjects(self, prefix: str, limit: int) -> Sequence[str]:
        rows = self._db.execute(
            "select subject from subjects where subject >= ? and subject < ? order by seq desc limit ?",
            (prefix, prefix + "\uffff", limit),
        )
        return [row[0] for row in rows]

    def next_number(self) -> int:
        try:
            return int(self._db.execute("insert into numbers default values").lastrowid or 0)
        except sqlite3.Error as error:
            raise Fail(DISK_FULL("no launch can be written down", Evidence(str(self._path), str(error)))) from error

    def unfinished(self, prefix: str) -> Sequence[str]:
        rows = self._db.execute(
            "select subject from subjects s where subject >= ? and subject < ? and not exists"
            " (select 1 from events e where e.subject = s.subject and e.weight = ?) order by seq",
            (prefix, prefix + "\uffff", END),
        )
        return [row[0] for row in rows]

    def _entries(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        rows = self._db.execute(f"select seq, at, subject, body from events where {where}", values)  # noqa: S608
        return [Entry(seq, at, subject, wire.decode_event(json.loads(body))) for seq, at, subject, body in rows]


def look(path: Path) -> Journal:
    """What stands in a journal, whoever writes there meanwhile: nothing is changed. Raises OSError."""
    path.stat()
    # Without a log beside it nobody writes there, and a reader must not begin one: it may be another user's to read.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=1)) as db:
            entries, newest = db.execute("select max(seq), at from events").fetchone()
            rows = db.execute("select seq, subject, body from events order by seq desc limit ?", (READ_BACK,))
            bad = [found for row in rows if (found := _damage(*row)) is not None]
            said = _checked(db)
    except sqlite3.Error as error:
        return Journal(path, 0, (Damage(str(path), str(error)),))
    damage = [*(Damage(str(path), words[:500]) for words in said), *bad]
    return Journal(path, entries or 0, tuple(damage[:SHOWN]), max(len(damage) - SHOWN, 0), newest or 0)


def _checked(db: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong with the file; nothing where it is so large that it does not come to an end."""
    until = time.monotonic() + CHECK_LIMIT
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        return [row[0] for row in db.execute(f"pragma quick_check({SHOWN})") if row[0] != "ok"]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return []
        raise


def _damage(seq: int, subject: object, body: object) -> Damage | None:
    """What is wrong with one row."""
    try:
        wire.decode_event(json.loads(str(body)))
    except (ValueError, TypeError, LookupError) as error:
        words = f"{type(error).__name__}: {error} in {str(body)[:200]!r}"
        return Damage(f"events, seq {seq} ({str(subject)[:100]})", words[:500])
    return None
