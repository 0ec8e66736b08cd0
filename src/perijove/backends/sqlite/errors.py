"""What does an error of SQLite's mean? In: the error, the file it is of. Out: a Failure. Looks at the disk's room.

The result code decides (sqlite.org/rescode.html), not what was being done.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from pathlib import Path

from perijove.domain.failures import BUG, DISK_FULL, STATE_UNUSABLE, Evidence, Failure, Kind
from perijove.domain.service_failures import JOURNAL_DAMAGED, JOURNAL_HELD, JOURNAL_UNREACHED, put_aside
from perijove.domain.sizes import size

MEANING: dict[int, Kind] = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_CORRUPT: JOURNAL_DAMAGED,
    sqlite3.SQLITE_NOTADB: JOURNAL_DAMAGED,
    sqlite3.SQLITE_FORMAT: JOURNAL_DAMAGED,
    sqlite3.SQLITE_ERROR: JOURNAL_DAMAGED,  # our statements are right: its tables are not
    sqlite3.SQLITE_SCHEMA: JOURNAL_DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: JOURNAL_DAMAGED,
    sqlite3.SQLITE_MISMATCH: JOURNAL_DAMAGED,
    sqlite3.SQLITE_READONLY: STATE_UNUSABLE,
    sqlite3.SQLITE_CANTOPEN: STATE_UNUSABLE,
    sqlite3.SQLITE_PERM: STATE_UNUSABLE,
    sqlite3.SQLITE_AUTH: STATE_UNUSABLE,
    sqlite3.SQLITE_BUSY: JOURNAL_HELD,
    sqlite3.SQLITE_LOCKED: JOURNAL_HELD,
    sqlite3.SQLITE_PROTOCOL: JOURNAL_HELD,
    sqlite3.SQLITE_IOERR: JOURNAL_UNREACHED,
    sqlite3.SQLITE_NOMEM: JOURNAL_UNREACHED,
    sqlite3.SQLITE_NOLFS: JOURNAL_UNREACHED,
    sqlite3.SQLITE_ABORT: JOURNAL_UNREACHED,
    sqlite3.SQLITE_INTERRUPT: JOURNAL_UNREACHED,
}
"""By primary result code; the others would be our own mistakes."""
LITTLE = 1024**2
"""Bytes; with less than these a disk is full, whatever SQLite calls it."""


def failure(path: Path, error: Exception, cause: str) -> Failure:
    """`cause` says what could not be done."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    seen = Evidence(str(path), f"{error} ({name})"[:500])
    kind = MEANING.get(code & 0xFF, BUG) if isinstance(code, int) else BUG
    if kind in (JOURNAL_UNREACHED, STATE_UNUSABLE) and (full := _full(path)):
        return DISK_FULL(cause, seen, full)
    if kind is JOURNAL_DAMAGED:
        return JOURNAL_DAMAGED(cause, seen, remedy=put_aside(path))
    if kind is STATE_UNUSABLE:
        folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
        mend = f"chown --reference={folder} {file}* && chmod 600 {file}*"
        return STATE_UNUSABLE(cause, seen, remedy=f"Let the service write it: `{mend}`, on a disk that can be written.")
    return kind(cause, seen)


def damaged_row(path: Path, seq: int, subject: str, error: Exception) -> Failure:
    """One entry holds what no version of ours wrote."""
    file = shlex.quote(str(path))
    take_out = f'sqlite3 {file} "delete from events where seq = {seq}"'  # noqa: S608 - text to read
    remedy = f"Stop the service, keep a copy of the file, and take that entry out: `{take_out}`."
    seen = Evidence(f"events, seq {seq} ({subject[:100]})", f"{type(error).__name__}: {error}"[:500])
    return JOURNAL_DAMAGED("an entry cannot be read", seen, remedy=remedy)


def _full(path: Path) -> Evidence | None:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return None
    free = disk.f_bavail * disk.f_frsize
    if free >= LITTLE and (disk.f_favail or not disk.f_files):
        return None
    return Evidence(f"statvfs {path.parent}", f"{size(free)} and {disk.f_favail} inodes are free")
