"""What stands in a journal, for the doctor? In: its path. Out: a Journal, damage named. Nothing is changed."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perijove.domain import wire
from perijove.domain.events import Resolved
from perijove.domain.ground import Damage, Journal

CHECK_LIMIT = 0.5
"""Seconds in which SQLite may check its file."""
READ_BACK, SHOWN, HOSTS = 10_000, 5, 3
"""Rows, from the newest back, that a look reads whole; how many damaged ones, and how many Git hosts, it tells."""


def look(path: Path) -> Journal:
    """What stands in a journal, whoever writes there meanwhile: nothing is changed. Raises OSError."""
    path.stat()
    # Without a log beside it nobody writes there, and a reader must not begin one: it may be another user's to read.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    hosts: dict[str, str] = {}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=1)) as db:
            entries, newest = db.execute("select max(seq), at from events").fetchone()
            rows = db.execute("select seq, subject, body from events order by seq desc limit ?", (READ_BACK,))
            bad = [found for seq, subject, body in rows if (found := _damage(seq, subject, body, hosts))]
            said = _checked(db)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return Journal(path, 0, ())  # nothing is known of it; who holds it is asked elsewhere
        return Journal(path, 0, (Damage(str(path), str(error)),))
    damage = [*(Damage(str(path), words[:500]) for words in said), *bad]
    more = max(len(damage) - SHOWN, 0)
    return Journal(path, entries or 0, tuple(damage[:SHOWN]), more, newest or 0, tuple(hosts.values())[:HOSTS])


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


def _damage(seq: int, subject: object, body: object, hosts: dict[str, str]) -> Damage | None:
    """What is wrong with one row; hosts that repositories were found at are noted."""
    try:
        event = wire.decode_event(json.loads(str(body)))
    except (ValueError, TypeError, LookupError) as error:
        words = f"{type(error).__name__}: {error} in {str(body)[:200]!r}"
        return Damage(f"events, seq {seq} ({str(subject)[:100]})", words[:500])
    if isinstance(event, Resolved) and event.repo.address.url.startswith("https://"):
        name = event.repo.address.url.split("/")[2].rpartition("@")[2]
        hosts.setdefault(name, f"https://{name}/")
    return None
