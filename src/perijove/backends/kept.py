"""The port `KeptWorks` on this disk: one sealed file a session below its visitor's folder, each told by its own head.

In: what the pad has handed over. Out: values, and zips that are made while they are read. Nothing is remembered.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from perijove import durable, kept_files, sealing
from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import KeptWork, Parts, archive_name
from perijove.domain.keeping_failures import KEPT_UNREADABLE
from perijove.domain.nouns import SessionName
from perijove.domain.state import State
from perijove.log import log

ENDING = ".kept"
NAME = re.compile(r"[a-z0-9-]{1,40}")
VISITOR = re.compile(r"[0-9a-f]{64}")
PIECE = 256 * 1024
FIRST_DATE, LAST_DATE = datetime(1980, 1, 1, tzinfo=UTC).timestamp(), datetime(2107, 1, 1, tzinfo=UTC).timestamp()
"""What zip can tell."""


class KeptOnDisk:
    """Below `state.kept`."""

    def __init__(self, state: State, handed: Path | None = None) -> None:
        """`handed`: where what is kept lies until it is taken in; as the pad has it, where nothing is said."""
        self._state = state
        self._handed = handed or state.handed

    async def take_in(self, session: SessionName) -> KeptWork | None:
        """Raises Fail: `platform.disk-full`, `platform.state-unusable`."""
        with durable.told(self._state.kept):
            return await durable.in_thread(lambda: self._take_in(session))

    def _take_in(self, session: SessionName) -> KeptWork | None:
        handed = self._handed / f"{session}{ENDING}"
        work = _told(handed)
        if work is None or work.session != session or not NAME.fullmatch(session):
            return None
        to = self._path(work)
        durable.folder(to.parent)
        aside = to.with_name(f".{to.name}")
        with handed.open("rb") as source, os.fdopen(os.open(aside, _NEW, 0o600), "wb") as file:
            shutil.copyfileobj(source, file, PIECE)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(to)
        durable.sync(to.parent)
        return work

    async def all(self) -> Sequence[KeptWork]:
        return await asyncio.to_thread(self._listed, "*")

    async def of(self, visitor: str) -> Sequence[KeptWork]:
        return await asyncio.to_thread(self._listed, visitor) if VISITOR.fullmatch(visitor) else ()

    def _listed(self, folders: str) -> Sequence[KeptWork]:
        found = [_told(path) for path in self._state.kept.glob(f"{folders}/[!.]*{ENDING}")]
        return sorted((work for work in found if work), key=lambda work: work.at, reverse=True)

    async def remove(self, work: KeptWork) -> None:
        """Raises Fail: `platform.state-unusable`."""
        with durable.told(self._state.kept):
            await asyncio.to_thread(self._remove, self._path(work))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent.exists() and not any(path.parent.iterdir()):
            path.parent.rmdir()

    async def tidy(self, before: float) -> None:
        """Raises Fail: `platform.state-unusable`."""
        with durable.told(self._state.kept):
            await asyncio.to_thread(self._tidy, before)

    def _tidy(self, before: float) -> None:
        for path in self._state.kept.glob("*/*"):
            if path.stat().st_mtime < before and (path.name.startswith(".") or _told(path) is None):
                self._remove(path)

    async def opening(self, work: KeptWork, key: str) -> tuple[Path, bytes]:
        """Raises Fail: `session.kept-unreadable`."""
        return self._path(work), await asyncio.to_thread(self._file_key, work, key)

    def zipped(self, work: KeptWork, key: str) -> Iterator[bytes]:
        """Raises Fail: `session.kept-unreadable`."""
        path, opens = self._path(work), self._file_key(work, key)
        try:
            with path.open("rb") as file:
                yield from _zipped(file, opens)
        except (OSError, ValueError, EOFError) as error:
            raise Fail(KEPT_UNREADABLE("its file is damaged", Evidence(str(path), str(error)))) from error

    def _file_key(self, work: KeptWork, key: str) -> bytes:
        path = self._path(work)
        try:
            with path.open("rb") as file:
                return sealing.file_key(file, key)
        except (OSError, ValueError, KeyError) as error:
            raise Fail(KEPT_UNREADABLE("its file does not open", Evidence(str(path), str(error)))) from error

    def _path(self, work: KeptWork) -> Path:
        return self._state.kept / work.visitor / f"{work.session}{ENDING}"


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def _told(path: Path) -> KeptWork | None:
    """What a file says of itself; None where there is none."""
    try:
        with path.open("rb") as file:
            work = kept_files.work(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("what was kept of a session cannot be read", file=str(path), saw=str(error)[:300])
        return None
    return work if VISITOR.fullmatch(work.visitor) and NAME.fullmatch(work.session) else None


class _Outlet(io.RawIOBase):
    """What is written, to be taken away piece by piece."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(cast("bytes", data))
        self._held += piece
        return len(piece)

    def taken(self) -> bytes:
        piece = bytes(self._held)
        self._held.clear()
        return piece


def _zipped(file: BinaryIO, opens: bytes) -> Iterator[bytes]:
    outlet, names = _Outlet(), set[Parts]()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        for kept in kept_files.files(file, opens):
            moment = datetime.fromtimestamp(min(max(kept.modified, FIRST_DATE), LAST_DATE), UTC)
            entry = zipfile.ZipInfo("/".join(_unique(archive_name(kept.path), names)), moment.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if kept.executable else 0o100644) << 16
            entry.file_size = kept.size
            with archive.open(entry, "w") as to:
                while piece := kept.content.read(PIECE):
                    to.write(piece)
                    if taken := outlet.taken():
                        yield taken
    yield outlet.taken()


def _unique(path: Parts, names: set[Parts]) -> Parts:
    """Two names may have become one, also for systems that know no case."""
    found, number = path, 1
    while (key := tuple(part.casefold() for part in found)) in names:
        number += 1
        found = (*path[:-1], f"{number}-{path[-1]}")
    names.add(key)
    return found
