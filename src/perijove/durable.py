"""Files written whole or not at all, whatever dies midway: aside, synced, renamed; 0600. In: a path, bytes.

Below every backend that keeps keys; none of them is known here.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from perijove.domain.certificate_failures import FILE_UNREADABLE
from perijove.domain.failures import DISK_FULL, STATE_UNUSABLE, Evidence, Fail

_FULL = (errno.ENOSPC, errno.EDQUOT)
_T = TypeVar("_T")


class Runs(Protocol):
    """How work that waits for the disk is done."""

    async def __call__(self, work: Callable[[], _T]) -> _T: ...


async def in_place(work: Callable[[], _T]) -> _T:
    """At once; everybody else waits too."""
    return work()


async def in_thread(work: Callable[[], _T]) -> _T:
    """Beside everybody else; ends only when the work has, even where it is cancelled: nobody meets it half done."""
    running = asyncio.create_task(asyncio.to_thread(work), name="files written")
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def write(path: Path, content: bytes) -> None:
    """Replace a file, or make it. Raises OSError."""
    write_all(path.parent, {path.name: content})


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Replace or make several files of one folder, each by itself. Raises OSError."""
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    for name, content in contents.items():
        aside = folder / f".{name}.aside"
        with os.fdopen(os.open(aside, how, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(folder / name)
    sync(folder)


def link(path: Path, target: str) -> None:
    """Have a symbolic link lead to `target`, from one moment to the next. Raises OSError."""
    aside = path.with_name(f".{path.name}.aside")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.rename(path)
    sync(path.parent)


def folder(path: Path) -> None:
    """Make a folder, 0700, with those above it. Raises OSError."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync(path.parent)


def remove(path: Path) -> None:
    """Whatever is there: a folder with all in it, a file, a link and never what it leads to. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk know a folder's entries. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """With the rights of the folder's user in the place of root's, whom no link in it leads elsewhere then.

    Ours where we are not root. Nothing may be awaited meanwhile. Raises OSError.
    """
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def read(path: Path) -> bytes:
    """A file of keys or certificates. Raises Fail: `cert.file-unreadable`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Fail(FILE_UNREADABLE(error.strerror or "it cannot be read", Evidence(str(path), str(error)))) from error


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into Fail: `platform.disk-full`, `platform.state-unusable`."""
    try:
        yield
    except OSError as error:
        kind = DISK_FULL if error.errno in _FULL else STATE_UNUSABLE
        cause = f"{path.name} cannot be used: {error.strerror or error}"
        raise Fail(kind(cause, Evidence(str(error.filename or path), str(error)))) from error
