"""What changed in a home whose writers are gone, against the folder that it was copied from, and what of it is kept.

In: both folders, open, and whose rights each is read with. Out: the files that changed, sealed, and what of it is not
kept. No link is followed, nothing is opened that is no file or folder, and of a file is read what decides. Synchronous.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from perijove.domain.keeping import Change, KeepTerms, KeptWork, LeftOut, Parts, chosen, is_nobodys
from perijove.domain.nouns import SessionName
from perijove.giving import MOST_COMPARED, NO_LINKS, digest

if TYPE_CHECKING:
    from perijove.kept_files import Writing

DEEPEST = 100
"""Folders in one another; two are open for each."""
MOST = 200_000
"""Entries looked at: what lies beyond is not kept."""
Rights = Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class Changes:
    """Finds them."""

    home_rights: Rights
    base_rights: Rights
    largest: int
    """Bytes of a file beyond which it is not kept, whatever it holds."""
    found: list[Change] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _looked: int = 0
    _compared: int = 0

    def look(self, home: int, base: int | None, at: Parts = ()) -> None:
        """Into two open folders; no `base`: all of it is new."""
        try:
            ours = self._listed(home, self.home_rights)
        except OSError:
            self.left_out[LeftOut.CLOSED] += 1
            return
        given = {} if base is None else dict(self._listed(base, self.base_rights))
        for name, facts in ours:
            self._looked += 1
            if self._looked > MOST:
                self.left_out[LeftOut.MANY] += 1
                return
            self._entry(home, base, (*at, name), facts, given.get(name))

    def _listed(self, folder: int, rights: Rights) -> list[tuple[str, os.stat_result]]:
        with rights(), os.scandir(folder) as entries:
            return sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)

    def _entry(
        self, home: int, base: int | None, path: Parts, facts: os.stat_result, was: os.stat_result | None
    ) -> None:
        kind = stat.S_IFMT(facts.st_mode)
        same_kind = was is not None and stat.S_IFMT(was.st_mode) == kind
        if is_nobodys(path):
            self.left_out[LeftOut.CACHE] += not same_kind
        elif kind == stat.S_IFDIR:
            self._folder(home, base if same_kind else None, path)
        elif kind == stat.S_IFREG:
            self._file(home, base if same_kind else None, path, facts, was)
        elif kind != stat.S_IFLNK:
            self.left_out[LeftOut.SPECIAL] += 1
        elif (
            not same_kind
            or base is None
            or self._target(home, path[-1], self.home_rights) != self._target(base, path[-1], self.base_rights)
        ):
            self.left_out[LeftOut.LINK] += 1

    def _target(self, folder: int, name: str, rights: Rights) -> str:
        with rights():
            return os.readlink(name, dir_fd=folder)

    def _folder(self, home: int, base: int | None, path: Parts) -> None:
        if len(path) > DEEPEST:
            self.left_out[LeftOut.DEEP] += 1
            return
        try:
            with _opened(home, path[-1], self.home_rights) as below:
                if base is None:
                    self.look(below, None, path)
                    return
                with _opened(base, path[-1], self.base_rights) as base_below:
                    self.look(below, base_below, path)
        except PermissionError:
            self.left_out[LeftOut.CLOSED] += 1

    def _file(
        self, home: int, base: int | None, path: Parts, facts: os.stat_result, was: os.stat_result | None
    ) -> None:
        if base is None or was is None:
            self._add(home, path, facts, "")
        elif facts.st_size != was.st_size:
            self._add(home, path, facts, self._digest(base, path[-1], self.base_rights, was.st_size))
        elif not _same_moment(facts, was):
            self._compare(home, base, path, facts)

    def _compare(self, home: int, base: int, path: Parts, facts: os.stat_result) -> None:
        """Touched, and perhaps no more than that."""
        self._compared += facts.st_size
        if self._compared > MOST_COMPARED:
            self._add(home, path, facts, "")
            return
        try:
            now = self._digest(home, path[-1], self.home_rights, facts.st_size)
        except OSError:
            self.left_out[LeftOut.CLOSED] += 1
            return
        if now and now == (before := self._digest(base, path[-1], self.base_rights, facts.st_size)):
            return
        self._add(home, path, facts, before if now else "")

    def _add(self, home: int, path: Parts, facts: os.stat_result, was: str) -> None:
        with self.home_rights():
            closed = not os.access(path[-1], os.R_OK, dir_fd=home, effective_ids=True)
        if closed:
            self.left_out[LeftOut.CLOSED] += 1
        elif facts.st_size > self.largest:
            self.left_out[LeftOut.LARGE] += 1
        else:
            self.found.append(Change(path, facts.st_size, was))

    def _digest(self, folder: int, name: str, rights: Rights, size: int) -> str:
        """`` for what is too large to be kept."""
        if size > self.largest:
            return ""
        with _opened(folder, name, rights) as file:
            return digest(file, size)


@contextmanager
def _opened(folder: int, name: str, rights: Rights) -> Iterator[int]:
    with rights():
        below = os.open(name, NO_LINKS, dir_fd=folder)
    try:
        yield below
    finally:
        os.close(below)


def _same_moment(facts: os.stat_result, was: os.stat_result) -> bool:
    """Copies by tar have whole seconds."""
    return facts.st_mtime_ns in (was.st_mtime_ns, was.st_mtime_ns // 10**9 * 10**9)


def decided(changes: Changes, session: SessionName, terms: KeepTerms) -> tuple[Sequence[Change], KeptWork] | None:
    """Which of the changes are kept, and as what; None where nothing is to be said of any."""
    taken, beyond = chosen(changes.found, terms.size, terms.files)
    changes.left_out.update(beyond)
    if not taken and not {LeftOut.LARGE, LeftOut.MANY} & changes.left_out.keys():
        return None
    return taken, KeptWork(
        session, terms.visitor, terms.repository, terms.commit, time.time(),
        sum(change.size for change in taken), len(taken), dict(changes.left_out), terms.given_back,
    )  # fmt: skip


def seal(
    home: int, taken: Sequence[Change], work: KeptWork, file: BinaryIO,
    written: Callable[[BinaryIO, KeptWork], AbstractContextManager[Writing]],
) -> None:  # fmt: skip
    """Write what was taken, for its visitor alone, to the disk, as `kept_files` has it. Raises OSError."""
    with written(file, work) as writing:
        for change in taken:
            _write(home, change, writing)
    file.flush()
    os.fsync(file.fileno())


def _write(home: int, change: Change, writing: Writing) -> None:
    with below(home, change.path) as opened:
        facts = os.fstat(opened)
        with os.fdopen(os.dup(opened), "rb") as file:
            writing.add(change, file, executable=bool(facts.st_mode & 0o100), modified=facts.st_mtime)


@contextmanager
def below(folder: int, path: Parts) -> Iterator[int]:
    """Open what lies below an open folder, through folders alone."""
    opened = os.dup(folder)
    try:
        for position, name in enumerate(path):
            how = NO_LINKS | (os.O_DIRECTORY if position < len(path) - 1 else 0)
            further = os.open(name, how, dir_fd=opened)
            os.close(opened)
            opened = further
        yield opened
    finally:
        os.close(opened)
