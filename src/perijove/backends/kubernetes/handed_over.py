"""Unpacks what a build's pod hands over, as `in_job` packs it. Lives in a confined process.

In: the tar that was fetched, which is a stranger's. Out: how the command ended, and in a new folder what it wrote:
folders, files, and of layers links and an overlay's marks for what is gone; nothing else, and nothing by a link, for
what stands there already is never gone through or written over.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tarfile
from collections.abc import Collection
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import IO

from perijove.backends.kubernetes.in_job import CHANGES, DEEPEST, ENDED
from perijove.domain.failures import BUILD_DISK, BUILD_TOO_LARGE, SANDBOX_FAILED, Evidence, Fail
from perijove.domain.nouns import Limits
from perijove.domain.sizes import inodes, size

RESULT = "result"
TOLD = 64 * 1024
"""Bytes of how it ended."""
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pod says that its command ended."""

    status: int
    killed: int
    """Processes that the kernel ended for memory."""
    too_large: bool
    short: str
    """What the disk of its node said that had no room for what is handed over."""


def unpacked(handed: Path, into: Path, tops: tuple[str, ...], limits: Limits) -> Ended | None:
    """Into a folder that is there and empty, with these folders in it; None where the pod does not say how it ended.

    Raises Fail: `build.{too-large,disk-full}`, `start.sandbox-failed`.
    """
    unpacking, ended = Unpacking(into, tops, limits), None
    try:
        with tarfile.open(handed, "r|") as outer:
            for member in outer:
                content = outer.extractfile(member) if member.isreg() else None
                if content is not None and member.name == CHANGES:
                    unpacking.unpack(content)
                elif content is not None and member.name == ENDED:
                    ended = _ended(content.read(TOLD))
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise _bad(error) from error
        raise Fail(BUILD_DISK("no space is left for what it wrote", Evidence(str(into), str(error)))) from error
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise _bad(error) from error
    return ended


def _ended(told: bytes) -> Ended:
    """Raises ValueError."""
    found = json.loads(told)
    if not isinstance(found, dict):
        raise ValueError("it does not say how it ended")
    status, killed = (found[name] if isinstance(found.get(name), int) else 0 for name in ("status", "killed"))
    return Ended(status, killed, found.get("too_large") is True, str(found.get("short", ""))[:500])


@dataclass(slots=True)
class Unpacking:
    """What has come to lie in the folder so far."""

    root: Path
    tops: Collection[str]
    limits: Limits
    size: int = 0
    made: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Folders, each with the mode and the time that it gets in the end."""
    count: int = 0

    def unpack(self, archive: IO[bytes]) -> None:
        for top in self.tops:
            self._folder(top, 0o755, 0.0)
        with tarfile.open(fileobj=archive, mode="r|", errors="surrogateescape") as tar:
            for member in tar:
                self._take(tar, member)
        for name, (mode, time) in reversed(self.made.items()):
            (self.root / name).chmod(mode & 0o777 | 0o700)
            if name not in self.tops:
                os.utime(self.root / name, (time, time))

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.size < 0:  # which would make room for others
            raise ValueError("a file of a negative size")
        self.count += 1
        self.size += member.size
        if self.size > self.limits.disk or self.count > inodes(self.limits.disk):
            where = Evidence("build.disk", f"{size(self.limits.disk)}, {inodes(self.limits.disk)} files")
            raise Fail(BUILD_TOO_LARGE("what it wrote is more than may be kept", where))
        *above, name = member.name.split("/")
        if {"", ".", ".."} & {*above, name} or len(above) > DEEPEST + 2 or "/".join(above) not in self.made:
            raise ValueError(f"a path that cannot be: {member.name[:300]!r}")
        at, all_kinds = self.root / member.name, RESULT not in self.tops
        if member.isdir():
            self._folder(member.name, member.mode, member.mtime)
        elif member.isreg():
            self._file(tar, member, at)
        elif member.issym() and all_kinds:
            at.symlink_to(member.linkname)
        elif member.ischr() and all_kinds and (member.devmajor, member.devminor) == (0, 0):
            os.mknod(at, stat.S_IFCHR)

    def _folder(self, name: str, mode: int, time: float) -> None:
        (self.root / name).mkdir(mode=0o700)
        self.made[name] = mode, time

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, at: Path) -> None:
        source = tar.extractfile(member)
        assert source is not None
        with open(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(source, file, PIECE)
        at.chmod(member.mode & 0o777 | 0o400)
        os.utime(at, (member.mtime, member.mtime))  # by which Python knows its bytecode


def _bad(error: Exception) -> Fail:
    said = str(error)[:300] or type(error).__name__
    return Fail(SANDBOX_FAILED("what its pod handed over cannot be unpacked", Evidence(CHANGES, said), remedy=AGAIN))


AGAIN = "Launch again; if it lasts, look at what the repository runs while it is built."
