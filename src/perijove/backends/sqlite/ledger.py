"""The ledger in SQLite: one table of events, and the index of launches read from it.

Writes are synchronous on purpose: one takes some 30 µs, and an event that a reader saw must not be lost when the
process is killed (write-ahead log, `synchronous=NORMAL`: a power cut may lose the last moments, never the order).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perijove.backends.sqlite import errors, opening
from perijove.domain import wire
from perijove.domain.events import Entry, Event, Kept, Logged, SessionLogged, Terminal
from perijove.domain.failures import Fail
from perijove.log import log

LINE, STEP, END = 0, 1, 2
"""How much an event weighs: a log line, a step of its way, the end of it."""
PAGES = 64
"""Of the file, given back at once: some 5 ms."""
_THIN = """
delete from events where subject = :subject and at < :before
  and seq not in (select max(seq) from events where subject = :subject group by json_extract(body, '$.is'))
  and seq <> (select min(seq) from events where subject = :subject)
"""


def _weight(event: Event) -> int:
    if isinstance(event, (Logged, SessionLogged)):
        return LINE
    return END if isinstance(event, Terminal) else STEP


class SqliteLedger:
    """Implements the port `Ledger`. One writer: the control plane."""

    def __init__(self, path: Path, first_number: int = 1) -> None:
        """A new journal's launches are counted from `first_number`. Raises Fail: `platform.*`."""
        self._path = path
        self._db = opening.opened(path, first_number)

    def close(self) -> None:
        """Write all out."""
        self._db.close()

    @contextmanager
    def _told(self, cause: str) -> Iterator[None]:
        """Turns what SQLite refuses into Fail. A file that somebody removed is there again before."""
        try:
            if not self._path.exists():
                self._db = opening.written_anew(self._db, self._path)
                log.error("the journal was removed while the service ran, and is written anew", path=str(self._path))
            yield
        except sqlite3.Error as error:
            raise Fail(errors.failure(self._path, error, cause)) from error

    @contextmanager
    def _whole(self, cause: str) -> Iterator[None]:
        """All of it is written, or nothing."""
        with self._told(cause):
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            finally:
                if self._db.in_transaction:
                    self._db.execute("rollback")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._told("the journal cannot be read"):
            return self._db.execute(query, values).fetchall()

    def append(self, subject: str, at: float, event: Event) -> Entry:
        # What is no character becomes `\udc80`, as JSON writes it: SQLite would not take it.
        told = json.dumps(wire.encode(event), ensure_ascii=False, separators=(",", ":"))
        body = told.encode("utf-8", "backslashreplace").decode()
        with self._whole("an event could not be written down"):
            insert = "insert into events (subject, at, weight, body) values (?, ?, ?, ?)"
            seq = int(self._db.execute(insert, (subject, at, _weight(event), body)).lastrowid or 0)
            self._db.execute("insert or ignore into subjects values (?, ?)", (subject, seq))
        return Entry(seq, at, subject, event)

    def read(self, subject: str, after: int, limit: int) -> Sequence[Entry]:
        return self._entries("subject = ? and seq > ? order by seq limit ?", subject, after, limit)

    def steps(self, subject: str) -> Sequence[Entry]:
        return self._entries(f"subject = ? and weight > {LINE} order by seq", subject)

    def at(self, seq: int) -> Entry | None:
        found = self._entries("seq = ?", seq)
        return found[0] if found else None

    def size(self, subject: str, row: int) -> int:
        size = "coalesce(sum(? + length(cast(body as blob))), 0)"
        return int(self._rows(f"select {size} from events where subject = ?", row, subject)[0][0])  # noqa: S608

    def subjects(self, prefix: str, limit: int) -> Sequence[str]:
        named = "select subject from subjects where subject >= ? and subject < ? order by seq desc limit ?"
        return [row[0] for row in self._rows(named, prefix, prefix + "\uffff", limit)]

    def next_number(self) -> int:
        with self._whole("no launch can be written down"):
            number = int(self._db.execute("insert into numbers default values").lastrowid or 0)
            self._db.execute("delete from numbers where number < ?", (number,))
        return number

    def last_number(self) -> int:
        return int(self._rows("select coalesce(max(number), 0) from numbers")[0][0])

    def unfinished(self, prefix: str) -> Sequence[str]:
        rows = self._rows(
            "select subject from subjects s where subject >= ? and subject < ? and not exists"
            " (select 1 from events e where e.subject = s.subject and e.weight = ?) order by seq",
            prefix, prefix + "\uffff", END,
        )  # fmt: skip
        return [row[0] for row in rows]

    def oldest(self, after: int, limit: int) -> Sequence[Kept]:
        rows = self._rows(
            "select subject, seq, (select at from events e where e.subject = s.subject and e.weight = ? limit 1)"
            " from subjects s where seq > ? order by seq limit ?",
            END, after, limit,
        )  # fmt: skip
        return [Kept(*row) for row in rows]

    def drop(self, subject: str, most: int) -> bool:
        with self._whole("what is old could not be removed"):
            oldest = "select seq from events where subject = ? order by seq limit ?"
            gone = self._db.execute(f"delete from events where seq in ({oldest})", (subject, most)).rowcount  # noqa: S608
            if gone < most:
                self._db.execute("delete from subjects where subject = ?", (subject,))
        return gone < most

    def thin(self, subject: str, before: float) -> None:
        with self._whole("what is old could not be removed"):
            self._db.execute(_THIN, {"subject": subject, "before": before})

    def held(self) -> int:
        with self._told("the journal cannot be read"):
            return opening.held(self._db)

    def give_back(self) -> bool:
        with self._told("the journal's room could not be given back"):
            return opening.give_back(self._db, PAGES)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        entries = []
        for seq, at, subject, body in self._rows(f"select seq, at, subject, body from events where {where}", *values):  # noqa: S608
            try:
                entries.append(Entry(seq, at, subject, wire.decode_event(json.loads(body))))
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                raise Fail(errors.damaged_row(self._path, seq, subject, error)) from error
        return entries
