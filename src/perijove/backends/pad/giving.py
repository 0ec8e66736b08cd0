"""Kept work is given back to a session: into its home, with the session's rights, over nothing of the repository's.

In: a sealed file with its key, and a home in which others may write meanwhile. Out: what became of it. A file takes the
place of the repository's where that is as it was, and else lies beside it. No link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from perijove.backends.pad.changes import MOST_COMPARED, digest
from perijove.backends.pad.master import Master
from perijove.backends.pad.spawning import in_child
from perijove.backends.pad.trees import NO_LINKS
from perijove.domain import wire
from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import GIT, GivenBack, Parts, beside, shown
from perijove.domain.keeping_failures import KEPT_UNREADABLE

if TYPE_CHECKING:
    from perijove.kept_files import KeptFile

LIMIT = 90.0
"""Seconds that it may take."""
LARGEST_ANSWER = 64 * 1024

TOLD = 20
"""Names of files that lie beside others."""
PIECE = 1024 * 1024
FOLDER = NO_LINKS | os.O_DIRECTORY
OTHER = "no file"


@dataclass(slots=True)
class Giving:
    """Puts files where they belong."""

    files: Callable[[BinaryIO, bytes], Iterator[KeptFile]]

    home: int
    room: int
    """Bytes that the home may grow."""
    same_commit: bool
    """Whether the home is of the commit that the files were changed in: else its `.git` stays as it is."""
    _compared: int = 0
    _files: int = 0
    _no_room: int = 0
    _refused: int = 0
    _beside: list[str] = field(default_factory=list)

    def give(self, archive: int, opens: bytes) -> GivenBack:
        """All of it. Raises ValueError where it was changed or cut off; OSError."""
        with os.fdopen(os.dup(archive), "rb") as file:
            for kept in self.files(file, opens):
                if self.same_commit or GIT not in kept.path:
                    self._give(kept)
        return GivenBack(self._files, tuple(self._beside), self._no_room, self._refused)

    def _give(self, kept: KeptFile) -> None:
        if kept.size > self.room:
            self._no_room += 1
            return
        try:
            folder, at = self._folder(kept.path[:-1])
            try:
                found = _Place(folder, self.same_commit and GIT in kept.path, self._digest).put(kept)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in {ENOSPC, EDQUOT}:
                self._no_room += 1
            else:
                self._refused += 1
            return
        self.room -= kept.size
        self._files += 1
        if (path := (*at, found)) != kept.path and len(self._beside) < TOLD:
            self._beside.append(shown(path))

    def _digest(self, file: int, size: int) -> str:
        """As `digest`; OTHER where that were too much: a file without end takes a moment to make."""
        if self._compared + size > MOST_COMPARED:
            return OTHER
        self._compared += size
        return digest(file, size)

    def _folder(self, path: Parts) -> tuple[int, Parts]:
        """The folder of this path, open and made where it is not there; beside what is none."""
        opened, at = os.dup(self.home), list[str]()
        try:
            for part in path:
                name = part
                if _is_folder(opened, part) is False:
                    name = beside(part, partial(_is_no_folder, opened))
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=opened)
                further = os.open(name, FOLDER, dir_fd=opened)
                os.close(opened)
                opened = further
                at.append(name)
        except BaseException:
            os.close(opened)
            raise
        return opened, tuple(at)


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder into which one file is put."""

    folder: int
    replaces: bool
    """Whether it takes the place of whatever file is there."""
    digest: Callable[[int, int], str]
    """SHA-256 of an open file's first bytes, or OTHER."""

    def put(self, kept: KeptFile) -> str:
        """By which name it is there now."""
        name, aside = kept.path[-1], f".perijove-{os.urandom(8).hex()}"
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(aside, how, 0o755 if kept.executable else 0o644, dir_fd=self.folder)
        try:
            with os.fdopen(opened, "wb") as file:
                content = hashlib.sha256()
                while piece := kept.content.read(PIECE):
                    content.update(piece)
                    file.write(piece)
            there = self._there(name)
            if there not in ("", kept.was, content.hexdigest()) and not (self.replaces and there != OTHER):
                name = beside(name, lambda other: self._there(other) not in ("", content.hexdigest()))
            os.utime(aside, (kept.modified, kept.modified), dir_fd=self.folder)
            os.rename(aside, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=self.folder)
            raise
        return name

    def _there(self, name: str) -> str:
        """SHA-256 of the file of this name; `` where nothing is, OTHER where it is no file, or closed, or too large."""
        try:
            facts = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                return OTHER
            opened = os.open(name, NO_LINKS, dir_fd=self.folder)
        except FileNotFoundError:
            return ""
        except PermissionError:
            return OTHER
        try:
            return self.digest(opened, os.fstat(opened).st_size)
        finally:
            os.close(opened)


def _is_folder(folder: int, name: str) -> bool | None:
    """None where nothing has this name."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def _is_no_folder(folder: int, name: str) -> bool:
    return _is_folder(folder, name) is False


async def give_back(
    archive: Path, opens: bytes, home: Path, room: int, uid: int | None, master: Master, same_commit: bool
) -> GivenBack:
    """In a process that has the session's rights; the archive is one that its master can read.

    Raises Fail: `session.kept-unreadable`; OSError.
    """
    told = os.memfd_create("given back")
    try:
        with master.rights():
            sealed = os.open(archive, NO_LINKS)
        try:
            await in_child(partial(_given, sealed, opens, home, room, uid, same_commit, told), LIMIT)
        finally:
            os.close(sealed)
        answer = json.loads(os.pread(told, LARGEST_ANSWER, 0))
    except (OSError, TimeoutError) as error:
        where = Evidence(archive.name, str(error) or f"not done after {LIMIT:.0f} s")
        raise Fail(KEPT_UNREADABLE("the files could not be given back", where)) from error
    finally:
        os.close(told)
    if "unreadable" in answer:
        raise Fail(KEPT_UNREADABLE(answer["unreadable"], Evidence(archive.name, answer["unreadable"])))
    found: GivenBack = wire.decode(GivenBack, answer)
    return found


def _given(sealed: int, opens: bytes, home: Path, room: int, uid: int | None, same_commit: bool, told: int) -> None:
    from perijove.kept_files import files  # noqa: PLC0415  only where it is needed, and while it can be read

    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.umask(0o022)
    try:
        answer = wire.encode(Giving(files, os.open(home, FOLDER), room, same_commit).give(sealed, opens))
    except ValueError as error:
        answer = {"unreadable": str(error)[:500]}
    os.write(told, json.dumps(answer).encode())
