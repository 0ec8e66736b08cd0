"""Passwords: who may log in by one, in a file of one line a person. Acts.

`name:groups:admin:scrypt`, the groups separated by commas. Changed by a lock, aside and by a rename, so that whoever
reads it finds it whole. A password is kept as scrypt (RFC 7914) makes it: as memory-hard as OWASP asks for.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from perijove import durable
from perijove.domain import sizes
from perijove.domain.auth_failures import LOGIN_CROWD, PEOPLE_UNREADABLE
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.people import NAME, Person

LOG_N, R, P = 15, 8, 3
"""OWASP's Password Storage Cheat Sheet: 32 MiB and about 0.3 s of a processor."""
AT_ONCE = 2
"""Passwords that are checked at once; each takes 32 MiB."""
WAITING = 100
"""That may wait for it: a class that logs in together. Others are told to come again, before those who wait count as
so many guesses of one visitor."""
LONGEST = 1024
"""Bytes of a password."""
LARGEST = 16 * 1024**2
"""Bytes of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A person and what is stored of their password."""

    person: Person
    stored: str


def stored(password: str) -> str:
    """What is kept of a password."""
    salt = secrets.token_bytes(16)
    return f"scrypt${LOG_N}${R}${P}${_text(salt)}${_text(_derived(password, salt, LOG_N, R, P))}"


def matches(password: str, kept: str) -> bool:
    """Whether this was kept of it; slow on purpose."""
    _, log_n, r, p, salt, key = kept.split("$")
    derived = _derived(password, base64.b64decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(derived, base64.b64decode(key))


def _derived(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << log_n, r=r, p=p, maxmem=256 * r * (1 << log_n), dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


NOBODYS = f"scrypt${LOG_N}${R}${P}${_text(bytes(16))}${_text(bytes(32))}"
"""Compared with where a name is nobody's, so that the time does not tell."""


class PasswordFile:
    """The port `Passwords`, and what `perijove user` does."""

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where
        self._read: tuple[tuple[int, ...], Mapping[str, Entry]] = ((), {})
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @property
    def path(self) -> Path:
        return self._where()

    @property
    def anybody(self) -> bool:
        return bool(self.entries())

    def person(self, name: str) -> Person | None:
        entry = self.entries().get(name)
        return entry.person if entry else None

    def proof(self, name: str) -> str:
        entry = self.entries().get(name)
        return hashlib.sha256(entry.stored.encode()).hexdigest()[:16] if entry else ""

    async def right(self, name: str, password: str) -> bool:
        entry = self.entries().get(name)
        if self._waiting >= WAITING:
            raise Fail(LOGIN_CROWD(f"{self._waiting} others wait for theirs to be checked", after=5))
        self._waiting += 1
        try:
            async with self._turns:
                kept = entry.stored if entry else NOBODYS
                right = len(password.encode()) <= LONGEST and await asyncio.to_thread(matches, password, kept)
        finally:
            self._waiting -= 1
        return right and entry is not None

    def entries(self) -> Mapping[str, Entry]:
        """All, by name, as the file says now; none where there is none. Raises Fail: `platform.people-unreadable`."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Fail(self._unreadable(error.strerror or "it cannot be looked at", str(error))) from error
        version = (seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if self._read[0] != version:
            self._read = (version, self._parsed(seen.st_size))
        return self._read[1]

    def _parsed(self, size: int) -> Mapping[str, Entry]:
        if size > LARGEST:
            raise Fail(self._unreadable("it is too large", sizes.size(size)))
        try:
            text = self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Fail(self._unreadable("it cannot be read", str(error))) from error
        found: dict[str, Entry] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                try:
                    entry = _entry(line)
                except ValueError as error:
                    raise Fail(self._unreadable(str(error), f"line {number}")) from error
                found[entry.person.name] = entry
        return found

    def change(self, changed: Callable[[dict[str, Entry]], None]) -> None:
        """Write it as `changed` leaves it: its folder's owner's, 0600, and with their rights, where root asks too.

        Raises Fail: `platform.people-unreadable`, `platform.disk-full`, `platform.state-unusable`; what `changed` does.
        """
        with durable.told(self.path), durable.as_owner(self.path.parent):
            how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(self.path.with_name(f".{self.path.name}.lock"), how, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                entries = dict(self.entries())
                changed(entries)
                durable.write(self.path, "".join(map(_line, entries.values())).encode())
            finally:
                os.close(lock)

    def _unreadable(self, cause: str, saw: str) -> Failure:
        return PEOPLE_UNREADABLE(cause, Evidence(str(self.path), saw))


def _line(entry: Entry) -> str:
    groups = ",".join(sorted(entry.person.groups))
    return f"{entry.person.name}:{groups}:{'admin' * entry.person.admin}:{entry.stored}\n"


def _entry(line: str) -> Entry:
    """Raises ValueError."""
    name, groups, admin, kept = line.strip().split(":") if line.count(":") == 3 else ("", "", "?", "")
    named = [group for group in groups.split(",") if group]
    if not all(NAME.fullmatch(one) for one in (name, *named)) or admin not in ("", "admin"):
        raise ValueError("a line is not NAME:GROUPS:ADMIN:PASSWORD")
    kind, log_n, r, p, *rest = kept.split("$") if kept.count("$") == 5 else ("", "0", "0", "0")
    bounded = log_n.isdigit() and r.isdigit() and p.isdigit() and int(log_n) <= 20 and int(r) <= 16 and int(p) <= 16
    if kind != "scrypt" or not bounded or not all(base64.b64decode(one, validate=True) for one in rest):
        raise ValueError("a password is not one that `perijove user` has stored")
    return Entry(Person(name, frozenset(named), bool(admin)), kept)
