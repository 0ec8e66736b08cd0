"""Unpacks archives of a system into a folder, one over another as an image's layers are. Lives in a confined process.

In: tar files. Out: folders, files and links, all our own: no device, no set-id bit, and nothing outside the folder,
for each path is followed as it would be where the folder is the root. Raises Fail: `platform.base-unusable`.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from perijove import durable
from perijove.backends.environments.installer import Room
from perijove.domain.failures import Evidence, Fail
from perijove.domain.images import OPAQUE, WHITEOUT
from perijove.domain.sizes import size
from perijove.domain.system_failures import BASE_UNUSABLE

LINKS = 40
"""Links in one path."""
CHUNK = 1 << 20


def unpacked(archives: Sequence[Path], into: Path, room: Room) -> int:
    """Into a new folder; how many bytes it holds."""
    into.mkdir(mode=0o755)
    unpacking = Unpacking(into, room)
    for archive in archives:
        unpacking.laid.clear()
        try:
            with tarfile.open(archive, "r|*") as tar:
                for member in tar:
                    unpacking.take(tar, member)
        except (tarfile.TarError, zlib.error, LZMAError, EOFError, ValueError) as error:
            raise _bad(archive.name, f"it cannot be unpacked ({str(error)[:200] or type(error).__name__})") from error
    for folder, mode in reversed(unpacking.modes.items()):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(mode)
    return unpacking.size


@dataclass(slots=True)
class Unpacking:
    """What has come to lie in the folder so far."""

    root: Path
    room: Room
    size: int = 0
    count: int = 0
    laid: set[Path] = field(default_factory=set)
    """What this archive has brought."""
    modes: dict[Path, int] = field(default_factory=dict)

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.count += 1
        self.size += member.size if member.isreg() else 0
        if self.size > self.room.size or self.count > self.room.files:
            raise self.room.outgrown(Evidence("files", f"{self.count}, {size(self.size)}"))
        parts = [part for part in PurePosixPath(member.name).parts if part not in {"/", "."}]
        if ".." in parts:
            raise _bad(member.name, "a path in it leads upwards")
        if not parts:
            self.modes[self.root] = 0o755
            return
        parent = self.inside(parts[:-1], make=True)
        if parts[-1].startswith(WHITEOUT):
            self._hide(parent, parts[-1])
            return
        self._lay(tar, member, parent / parts[-1])

    def _hide(self, parent: Path, name: str) -> None:
        gone = list(parent.iterdir()) if name == OPAQUE else [parent / name.removeprefix(WHITEOUT)]
        for path in gone:
            if not any(laid == path or path in laid.parents for laid in self.laid):
                durable.remove(path)

    def _lay(self, tar: tarfile.TarFile, member: tarfile.TarInfo, at: Path) -> None:
        if member.isdir():
            if not at.is_dir() or at.is_symlink():
                durable.remove(at)
                at.mkdir(mode=0o700)
            self.modes[at] = stat.S_IMODE(member.mode) & 0o1777 | 0o700
        elif member.issym():
            durable.remove(at)
            at.symlink_to(member.linkname)
        elif member.islnk():
            self._link(member, at)
        elif member.isreg():
            self._file(tar, member, at)
        else:
            return  # devices and pipes: a sandbox has its own
        self.laid.add(at)

    def _link(self, member: tarfile.TarInfo, at: Path) -> None:
        parts = [part for part in PurePosixPath(member.linkname).parts if part not in {"/", "."}]
        if not parts or ".." in parts:
            raise _bad(member.linkname, "a link in it leads upwards")
        target = self.inside(parts[:-1]) / parts[-1]
        if not (target.is_file() or target.is_symlink()):
            raise _bad(member.linkname, "a link in it leads nowhere")
        if target != at:
            durable.remove(at)
            os.link(target, at, follow_symlinks=False)

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, at: Path) -> None:
        source = tar.extractfile(member)
        assert source is not None
        durable.remove(at)
        with open(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        at.chmod(stat.S_IMODE(member.mode) & 0o777 | 0o400)
        os.utime(at, (member.mtime, member.mtime))

    def inside(self, parts: Sequence[str], *, make: bool = False) -> Path:
        """A folder below the root, links followed as if there were nothing above it."""
        here, pending, followed = self.root, list(parts), 0
        while pending:
            part = pending.pop(0)
            if part == "..":
                here = here if here == self.root else here.parent
                continue
            at = here / part
            if at.is_symlink():
                followed += 1
                if followed > LINKS:
                    raise _bad(str(at.relative_to(self.root)), "its links go round in a circle")
                target = PurePosixPath(os.readlink(at))
                pending[:0] = [one for one in target.parts if one not in {"/", "."}]
                here = self.root if target.is_absolute() else here
                continue
            if make and not at.is_dir():
                durable.remove(at)
                at.mkdir(mode=0o755)
            here = at
        return here


def _bad(where: str, why: str) -> Fail:
    return Fail(BASE_UNUSABLE(why, Evidence(where[:300], why)))
