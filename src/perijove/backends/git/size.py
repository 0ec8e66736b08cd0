"""How large may a checkout become? What it takes is known before it is written, and watched meanwhile. Not pure."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from perijove.domain import sizes
from perijove.domain.failures import BAD_TREE, TOO_LARGE, Evidence, Fail, Failure
from perijove.launching.resolve.giturl import shown

T = TypeVar("T")
ENTRY = 4096
"""Bytes that a file or folder takes beside its content: a block of most file systems."""
_LONGEST_PATH = 2048
"""Bytes; half of Linux's PATH_MAX, so that there is room for the folders above it."""
_LONGEST_NAME = 255
_DEEPEST = 200
"""Levels of folders: programs that walk trees by recursion (pip, Python's shutil) come to 1,000 at most."""


@dataclass
class Allowance:
    """What a checkout may take, its submodules and LFS files included, and what they take so far."""

    max_size: int
    max_files: int
    size: int = 0
    files: int = 0

    def take(self, size: int, files: int, what: str) -> None:
        """Count `size` bytes in `files` files and folders of `what`. Raises Fail: `resolve.too-large`."""
        self.size += size + files * ENTRY
        self.files += files
        if self.files > self.max_files:
            limit = Evidence("repositories.max_files", f"{self.max_files} files and folders")
            cause = f"it holds more than {self.max_files} files and folders"
            raise Fail(TOO_LARGE(cause, limit, Evidence(what, f"{self.files} files and folders so far")))
        refuse_size(self.size, self.max_size, what)


def refuse_size(size: int, limit: int, what: str) -> None:
    """Refuse more than `limit` bytes of `what`. Raises Fail: `resolve.too-large`."""
    if size > limit:
        cause = f"it needs more than {sizes.size(limit)}"
        raise Fail(
            TOO_LARGE(cause, Evidence("repositories.max_size", sizes.size(limit)), Evidence(what, sizes.size(size)))
        )


async def within_size(folder: Path, limit: int, work: Coroutine[Any, Any, T]) -> T:
    """Do work that fills a folder; end it when the folder outgrows `limit` bytes.

    Raises Fail: `resolve.too-large`, `resolve.bad-tree`, and what the work raises.
    """
    task = asyncio.create_task(work, name="filling a checkout")
    loop = asyncio.get_running_loop()
    pause = 0.2
    try:
        while not (await asyncio.wait({task}, timeout=pause))[0]:
            began = loop.time()
            refuse_size(await asyncio.to_thread(size_of, folder), limit, "fetched so far")
            pause = max(0.2, 5 * (loop.time() - began))
        result = task.result()
        refuse_size(await asyncio.to_thread(size_of, folder), limit, "fetched so far")
        return result
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def size_of(folder: Path) -> int:
    """Bytes that all below a folder takes, which may change meanwhile. Raises Fail: `resolve.bad-tree`."""
    total = 0
    for entry in entries(folder):
        with suppress(FileNotFoundError):
            total += ENTRY + (0 if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size)
    return total


def entries(folder: Path, leave_out: str = "") -> Iterator[os.DirEntry[str]]:
    """All that is below a folder, which may change meanwhile, but for folders named `leave_out` and what they hold.

    Raises OSError, and Fail: `resolve.bad-tree`.
    """
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as found:
                inside = list(found)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise Fail(too_long(path)) from error
        for entry in inside:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif entry.name != leave_out:
                yield entry
                waiting.append(entry.path)


def checked_path(path: bytes) -> None:
    """Refuse a path that programs which come after git could not open. Raises Fail: `resolve.bad-tree`."""
    if len(path) > _LONGEST_PATH or path.count(b"/") > _DEEPEST or max(map(len, path.split(b"/"))) > _LONGEST_NAME:
        raise Fail(too_long(os.fsdecode(path)))


def too_long(path: str) -> Failure:
    """What is told of such a path."""
    saw = f"{len(path)} characters, {path.count('/')} folders deep"
    return BAD_TREE("a path in it is too long, or too deep", Evidence(shown(path), saw))
