"""Kept files are put into a home, over nothing of the repository's that is not as it was. No link is followed.

In: an open folder, in which others may write meanwhile, and files. Out: what became of them. A file takes the place of
the repository's where that is as it was, and else lies beside it. Where a home is another machine's, this text goes
along: so it is the standard library alone, for any Python of 3.9 or newer. Synchronous.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import stat
from errno import EDQUOT, ENOSPC
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

GIT = ".git"
OTHER = "no file"
MOST_COMPARED = 1024**3
"""Bytes of files that lie there already and are read; more of them count as changed."""
MOST_BESIDE = 100
"""Names for a visitor's own beside a repository's; whoever takes more of them would have us look for ever."""
LONGEST_NAME = 255
"""Bytes of a file's name."""
TOLD = 20
"""Names of files that lie beside others."""
PIECE = 1024 * 1024
NO_LINKS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = NO_LINKS | os.O_DIRECTORY


class Giving:
    """Puts files where they belong, and counts them. `room`: bytes that the home may grow. `same_commit`: whether it is
    of the commit that the files were changed in; else its `.git` stays as it is.
    """

    def __init__(self, home: int, room: int, same_commit: bool) -> None:
        self.home, self.room, self.same_commit = home, room, same_commit
        self.files = self.no_room = self.refused = self._compared = 0
        self.beside: list[tuple[str, ...]] = []

    def give(self, kept: Any) -> None:
        """One of them, as `kept_files.KeptFile` has it. Raises ValueError where it was changed or cut off."""
        if GIT in kept.path and not self.same_commit:
            return
        if kept.size > self.room:
            self.no_room += 1
            return
        try:
            folder, at = self._folder(kept.path[:-1])
            try:
                found = self._put(folder, kept)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                self.no_room += 1
            else:
                self.refused += 1
            return
        self.room -= kept.size
        self.files += 1
        if (*at, found) != kept.path and len(self.beside) < TOLD:
            self.beside.append((*at, found))

    def _folder(self, path: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """The folder of this path, open and made where it is not there; beside what is none."""
        opened, at = os.dup(self.home), []
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

    def _put(self, folder: int, kept: Any) -> str:
        """By which name it is there now."""
        name: str = kept.path[-1]
        aside = f".perijove-{os.urandom(8).hex()}"
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(aside, how, 0o755 if kept.executable else 0o644, dir_fd=folder)
        try:
            with os.fdopen(opened, "wb") as file:
                content = hashlib.sha256()
                while piece := kept.content.read(PIECE):
                    content.update(piece)
                    file.write(piece)
            there = self._there(folder, name)
            # Of the same commit, its history takes the place of whatever file is there.
            replaces = GIT in kept.path and there != OTHER
            if there not in ("", kept.was, content.hexdigest()) and not replaces:
                name = beside(name, lambda other: self._there(folder, other) not in ("", content.hexdigest()))
            os.utime(aside, (kept.modified, kept.modified), dir_fd=folder)
            os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=folder)
            raise
        return name

    def _there(self, folder: int, name: str) -> str:
        """SHA-256 of the file of this name; `` where nothing is, OTHER where it is no file, or closed, or too large: a
        file without end takes a moment to make.
        """
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                return OTHER
            opened = os.open(name, NO_LINKS, dir_fd=folder)
        except FileNotFoundError:
            return ""
        except PermissionError:
            return OTHER
        try:
            size = os.fstat(opened).st_size
            if self._compared + size > MOST_COMPARED:
                return OTHER
            self._compared += size
            return digest(opened, size)
        finally:
            os.close(opened)


def digest(file: int, size: int) -> str:
    """SHA-256 of an open file's first `size` bytes, hex."""
    found, offset = hashlib.sha256(), 0
    while offset < size and (piece := os.pread(file, min(PIECE, size - offset), offset)):
        found.update(piece)
        offset += len(piece)
    return found.hexdigest()


def beside(name: str, taken: Callable[[str], bool]) -> str:
    """A name for a visitor's own beside a repository's: `notebook.kept.ipynb`, `notebook.kept-2.ipynb`, …

    Raises FileExistsError where very many are taken.
    """
    stem, ending = posixpath.splitext(name)
    for number in range(1, MOST_BESIDE + 1):
        mark = ".kept" if number == 1 else f".kept-{number}"
        if len(_raw(ending)) + len(mark) > LONGEST_NAME // 2:
            stem, ending = name, ""
        room = LONGEST_NAME - len(_raw(ending)) - len(mark)
        found = _raw(stem)[:room].decode("utf-8", "surrogateescape") + mark + ending
        if not taken(found):
            return found
    raise FileExistsError(f"{MOST_BESIDE} files have its name")


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _is_folder(folder: int, name: str) -> bool | None:
    """None where nothing has this name."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def _is_no_folder(folder: int, name: str) -> bool:
    return _is_folder(folder, name) is False
