"""Logins: who is logged in, a file each, so that a restart logs nobody out. Acts.

A file is named by a hash of what the browser shows: whoever reads the folder can show nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Any

from perijove import durable
from perijove.domain import wire
from perijove.domain.people import Login, Person
from perijove.log import log

MOST = 20
"""Of one person's browsers at once, and of their tokens: the oldest ends when one more begins."""


class LoginFolder:
    """The port `Logins`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with durable.told(folder):
            durable.folder(folder)
            self._logins = {login.id: login for path in sorted(folder.iterdir()) if (login := _read(path))}

    def begin(self, person: Person, expires: float, proof: str, program: str = "") -> str:
        alike = [one for one in self._logins.values() if bool(one.program) is bool(program)]
        theirs = sorted((one for one in alike if one.person.name == person.name), key=_age)
        for login in theirs[: max(0, len(theirs) + 1 - MOST)]:
            self.end(login)
        secret = secrets.token_hex(32)
        login = Login(_id(secret), person, expires, proof, program)
        with durable.told(self._folder):
            durable.write(self._folder / login.id, json.dumps(wire.encode(login)).encode())
        self._logins[login.id] = login
        return secret

    def find(self, secret: str) -> Login | None:
        return self._logins.get(_id(secret))

    def end(self, login: Login) -> None:
        self._logins.pop(login.id, None)
        with durable.told(self._folder):
            (self._folder / login.id).unlink(missing_ok=True)

    def all(self) -> Collection[Login]:
        return list(self._logins.values())


def _age(login: Login) -> float:
    return login.expires


def _id(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(path: Path) -> Login | None:
    """None for what a crash left, which is removed."""
    try:
        told: Any = json.loads(path.read_bytes())
        login: Login = wire.decode(Login, told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if not path.name.startswith("."):
            log.warning("a log-in cannot be read and is forgotten", file=str(path), saw=str(error)[:200])
        path.unlink(missing_ok=True)
        return None
    return login if login.id == path.name else None
