"""Copies a tree that strangers wrote: its folders, files, links, and an overlay's marks; nothing else of it.

In: an open folder whose writers are gone. Out: its copy, readable for its owner, with no set-id bit, device, socket or
pipe. Synchronous; raises OSError, EFBIG where it is beyond its room.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from errno import EFBIG, ENODATA, ENOTSUP, ERANGE
from pathlib import Path

from perijove import durable

DEEPEST = 200
"""Folders in one another; each is open while those below it are copied."""
NO_LINKS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
OPAQUE = "user.overlay.opaque"
"""An overlay's mark for a folder that hides what lies below it in older layers (overlayfs.rst, `userxattr`)."""
Rights = Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class Allowance:
    """What a copy may still take; shared by those that belong together."""

    size: int
    """Bytes."""
    files: int

    def take(self, size: int) -> None:
        self.size -= size
        self.files -= 1
        if self.size < 0 or self.files < 0:
            raise OSError(EFBIG, os.strerror(EFBIG))


@dataclass(slots=True)
class Copying:
    """How trees are copied."""

    room: Allowance
    owner: tuple[int, int] | None = None
    """Whose the copy is, where it is not ours."""
    applied: bool = False
    """Whether a layer's marks are obeyed, in a copy of what lies below it, and not copied."""
    rights: Rights = nullcontext
    """Whose rights it is read with."""
    left_out: Collection[str] = field(default=())
    """Names at the top."""

    def copy(self, source: int, into: Path) -> None:
        """An open folder as `into`, which may be there already."""
        with suppress(FileExistsError):
            into.mkdir(mode=0o700)
        self._folder(source, into, DEEPEST, self.left_out)

    def _folder(self, source: int, into: Path, deepest: int, left_out: Collection[str]) -> None:
        if not deepest:
            raise OSError(EFBIG, "folders lie too deep in one another")
        if opaque(source):
            self._hide(into)
        with self.rights():
            names = os.listdir(source)
        for name in names:
            if name not in left_out:
                self._entry(source, name, into / name, deepest)
        facts = os.fstat(source)
        self._finish(into, facts, stat.S_IMODE(facts.st_mode) & 0o777 | 0o700)

    def _hide(self, into: Path) -> None:
        if not self.applied:
            os.setxattr(into, OPAQUE, b"y")
            return
        for path in into.iterdir():
            durable.remove(path)

    def _entry(self, folder: int, name: str, to: Path, deepest: int) -> None:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        kind = stat.S_IFMT(facts.st_mode)
        whiteout = kind == stat.S_IFCHR and facts.st_rdev == 0
        if kind not in {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK} and not whiteout:
            return
        self.room.take(facts.st_size if kind == stat.S_IFREG else 0)
        if self.applied and (kind != stat.S_IFDIR or not _is_folder(to)):
            durable.remove(to)
        if kind == stat.S_IFDIR:
            with suppress(FileExistsError):
                to.mkdir(mode=0o700)
            self._below(folder, name, lambda opened: self._folder(opened, to, deepest - 1, ()))
        elif kind == stat.S_IFLNK:
            to.symlink_to(os.readlink(name, dir_fd=folder))
            self._own(to)
        elif kind == stat.S_IFREG:
            self._below(folder, name, lambda opened: self._file(opened, to))
        elif not self.applied:
            os.mknod(to, stat.S_IFCHR)
            self._own(to)

    def _below(self, folder: int, name: str, act: Callable[[int], None]) -> None:
        opened = self._opened(folder, name)
        try:
            act(opened)
        finally:
            os.close(opened)

    def _opened(self, folder: int, name: str) -> int:
        """Also what its owner, who may be us, has closed to itself."""
        with self.rights():
            try:
                return os.open(name, NO_LINKS, dir_fd=folder)
            except PermissionError:
                closed = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                os.chmod(f"/proc/self/fd/{closed}", 0o700)
            finally:
                os.close(closed)
            return os.open(name, NO_LINKS, dir_fd=folder)

    def _file(self, source: int, to: Path) -> None:
        facts = os.fstat(source)
        with to.open("xb") as file:
            offset = 0
            while sent := os.sendfile(file.fileno(), source, offset, 2**30):
                offset += sent
        self._finish(to, facts, stat.S_IMODE(facts.st_mode) & 0o777 | 0o400)

    def _finish(self, to: Path, facts: os.stat_result, mode: int) -> None:
        self._own(to)
        to.chmod(mode)
        os.utime(to, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # by which Python knows its bytecode

    def _own(self, to: Path) -> None:
        if self.owner is not None:
            os.chown(to, *self.owner, follow_symlinks=False)


def opaque(folder: int) -> bool:
    """Whether a layer's open folder hides what older ones have there."""
    try:
        return os.getxattr(folder, OPAQUE) == b"y"
    except OSError as error:
        if error.errno not in {ENODATA, ENOTSUP, ERANGE}:
            raise
        return False


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def fetched(handed: Path, into: Path) -> None:
    """All that lies there, into a folder of ours: the pad, which may have more rights than we, writes to none."""
    into.mkdir(parents=True, exist_ok=True)
    for path in handed.iterdir() if handed.exists() else ():
        try:
            path.rename(into / path.name)
        except OSError:  # the pad is another user, or the store another disk
            _copy(path, into / path.name)


def _copy(path: Path, to: Path) -> None:
    if not path.is_dir():
        shutil.copyfile(path, to)
        return
    opened = os.open(path, NO_LINKS | os.O_DIRECTORY)
    try:
        Copying(Allowance(2**62, 2**62)).copy(opened, to)
    finally:
        os.close(opened)
