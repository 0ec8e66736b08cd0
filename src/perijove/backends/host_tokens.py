"""HostTokens: people's tokens for Git hosts, a sealed file a person. Acts.

A file is sealed by the person's key (`Keys.person_key`): whoever reads it without the service's secret learns the
person's name and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection
from pathlib import Path

from perijove import durable, sealing
from perijove.domain import wire
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.keys import Keys
from perijove.domain.people import HostToken
from perijove.log import log

MOST = 20
"""Hosts of one person."""


class HostTokenFolder:
    """The port `HostTokens`."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder = folder
        self._keys = keys
        with durable.told(folder):
            durable.folder(folder)

    def of(self, person: str) -> Collection[HostToken]:
        path = self._path(person)
        with durable.told(path):
            if not path.exists():
                return []
            file = io.BytesIO(path.read_bytes())
        try:
            opens = sealing.file_key(file, self._keys.person_key(person))
            file.seek(0)
            return [wire.decode(HostToken, one) for one in json.loads(sealing.Opening(file, opens).read())]
        except (ValueError, TypeError, KeyError) as error:  # another secret, or a disk's fault: they give them again
            log.warning("tokens for Git hosts cannot be read", file=str(path), saw=str(error)[:200])
            return []

    def find(self, person: str, host: str) -> HostToken | None:
        return next((one for one in self.of(person) if one.host == host), None)

    def keep(self, person: str, token: HostToken) -> None:
        others = [one for one in self.of(person) if one.host != token.host]
        if len(others) >= MOST:
            seen = Evidence("tokens", f"for {len(others)} hosts")
            raise Fail(BAD_REQUEST("there are too many", seen, remedy="Remove one of them."))
        self._write(person, [*others, token])

    def remove(self, person: str, host: str) -> None:
        kept = [one for one in self.of(person) if one.host != host]
        if kept:
            self._write(person, kept)
            return
        forget(self._folder, person)

    def sweep(self, gone: Callable[[str], bool]) -> None:
        with durable.told(self._folder):
            for path in self._folder.iterdir():
                if (name := _named(path)) is None or gone(name):
                    path.unlink(missing_ok=True)

    def _write(self, person: str, tokens: Collection[HostToken]) -> None:
        raw = io.BytesIO()
        sealed = sealing.Sealing(raw, {"person": person}, sealing.public_half(self._keys.person_key(person)))
        sealed.write(json.dumps([wire.encode(one) for one in tokens]).encode())
        sealed.close()
        with durable.told(self._folder):
            durable.write(self._path(person), raw.getvalue())

    def _path(self, person: str) -> Path:
        return _file(self._folder, person)


def forget(folder: Path, person: str) -> None:
    """All of theirs, whether a service runs or not. Raises Fail: `platform.*`."""
    with durable.told(folder):
        _file(folder, person).unlink(missing_ok=True)


def _file(folder: Path, person: str) -> Path:
    return folder / hashlib.sha256(person.encode()).hexdigest()


def _named(path: Path) -> str | None:
    """Whose it is; None for what a crash left."""
    try:
        with path.open("rb") as file:
            return str(sealing.head(file)["person"])
    except (ValueError, KeyError):
        return None
