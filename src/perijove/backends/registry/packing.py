"""Packs folders as layers of an image: the same bytes for the same folder, whoever packs it, and when.

In: a folder that nobody writes to any more, and where it lies in the image. Out: a gzipped tar, in the order of names,
all of one time and one owner, an overlay's marks as images have them (OCI image specification 1.1, layer.md), and its
digests. In memory are a folder's names, and of its files a piece. Synchronous; fit for a confined process.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENODATA, ENOTSUP, ERANGE
from importlib.util import source_from_cache
from pathlib import Path, PurePosixPath
from typing import IO

from perijove.domain import sizes
from perijove.domain.failures import Evidence, Fail
from perijove.domain.images import OPAQUE, TIME, WHITEOUT
from perijove.domain.registry_failures import UNPACKABLE

FORMAT = 1
"""Another one where the same folder would become other bytes."""
LEVEL = 1
"""Of gzip: a third of the time of the usual one, for a tenth more bytes."""
MOST_FILES, MOST_BYTES = 300_000, 64 << 30
"""Of one folder: each name takes a kilobyte of memory; a sparse file counts with all that it says it has."""
MARKS = ("user.overlay.opaque", "trusted.overlay.opaque")
"""An overlay's marks for a folder that hides what lies below it in older layers (overlayfs.rst)."""
PIECE = 1 << 20
NO_LINKS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FLAGS_SINCE = 3390
"""Magic number of the first Python whose bytecode has flags before its source's time (PEP 552)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder."""

    facts: os.stat_result
    leads: str = ""
    """Where a symbolic link leads, as it is written."""
    opaque: bool = False

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.facts.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.facts.st_mode)

    @property
    def size(self) -> int:
        """Bytes of a file."""
        return self.facts.st_size if self.is_file else 0


@dataclass(frozen=True, slots=True)
class Layer:
    """What becomes one layer: a folder, or a part of one."""

    name: str
    """As people read it in the image's history."""
    source: Path
    target: PurePosixPath
    """Where the folder lies in the image."""
    entries: Mapping[str, Entry]
    """By their paths below the folder, which itself is ``; a path's folders are among them."""
    owner: tuple[int, int]
    """User and group in the image."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Further symbolic links, by their absolute paths in the image."""

    @property
    def key(self) -> str:
        """A hash of all that its bytes depend on, without any file being read.

        A file counts as the same where it is the very same on disk: environments link theirs to one cache, where nobody
        writes.
        """
        hashed = hashlib.sha256(repr((FORMAT, str(self.target), self.owner, sorted(self.links.items()))).encode())
        for path, entry in sorted(self.entries.items()):
            facts = entry.facts
            same = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns) if entry.is_file else ()
            hashed.update(repr((path, facts.st_mode, entry.leads, entry.opaque, same)).encode())
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer that was packed."""

    digest: str
    """Of the gzipped tar: `sha256:…`."""
    diff_id: str
    """Of the tar."""
    size: int
    """Bytes, gzipped."""


def entries(root: Path) -> dict[str, Entry]:
    """All that lies in a folder and can lie in an image. Raises Fail: `registry.unpackable`."""
    with _read(""):
        found = {"": _entry(root, os.lstat(root))}
    pending, size = [""], 0
    while pending:
        folder = pending.pop()
        for name, entry in _listed(root, folder):
            path = f"{folder}/{name}" if folder else name
            if name.startswith(WHITEOUT):
                raise _unpackable("an image cannot hold such a name, by which it says that a file is gone", path)
            if not (entry.is_folder or entry.is_file or entry.leads or _gone(entry)):
                continue  # sockets, pipes, devices: a session has its own
            found[path] = entry
            size += entry.size
            if len(found) > MOST_FILES or size > MOST_BYTES:
                raise _unpackable(f"it is more than {MOST_FILES} files or {sizes.size(MOST_BYTES)}", path)
            if entry.is_folder:
                pending.append(path)
    return found


def pack(layer: Layer, to: IO[bytes]) -> Packed:
    """Write it. Raises Fail: `registry.unpackable`; OSError, where it cannot be written."""
    sink = _Sink(to)
    packing = _Packing(layer, sink)
    for folder in packing.above():
        sink.write(_head(_told(folder, tarfile.DIRTYPE, 0o755, (0, 0))))
    for path, entry in sorted(layer.entries.items()):
        packing.write(path, entry)
    for path, leads in sorted(layer.links.items()):
        packing.write_link(path.strip("/"), leads)
    return sink.ended()


@dataclass(slots=True)
class _Packing:
    layer: Layer
    sink: _Sink
    written: dict[tuple[int, int], str] = field(default_factory=dict)
    """Files that have other names too, by their inodes."""

    def above(self) -> list[str]:
        """The folders on the way to what it holds."""
        within = [self.layer.target.relative_to("/"), *(PurePosixPath(path.strip("/")) for path in self.layer.links)]
        return sorted({str(parent) for path in within for parent in path.parents} - {"."})

    def write(self, path: str, entry: Entry) -> None:
        inside = str(self.layer.target.relative_to("/") / path)
        if inside == ".":
            return
        told = _told(inside, tarfile.REGTYPE, entry.facts.st_mode & 0o777, self.layer.owner)
        if entry.is_folder:
            told.type = tarfile.DIRTYPE
            self.sink.write(_head(told))
            if entry.opaque:
                self.sink.write(_head(_told(f"{inside}/{OPAQUE}", tarfile.REGTYPE, 0o644, self.layer.owner)))
        elif entry.is_file:
            self._write_file(path, entry, told)
        elif entry.leads:
            self.write_link(inside, entry.leads)
        else:
            folder, slash, name = inside.rpartition("/")
            self.sink.write(_head(_told(f"{folder}{slash}{WHITEOUT}{name}", tarfile.REGTYPE, 0o644, self.layer.owner)))

    def write_link(self, inside: str, leads: str) -> None:
        told = _told(inside, tarfile.SYMTYPE, 0o777, self.layer.owner)
        told.linkname = leads
        self.sink.write(_head(told))

    def _write_file(self, path: str, entry: Entry, told: tarfile.TarInfo) -> None:
        inode = (entry.facts.st_dev, entry.facts.st_ino)
        if (first := self.written.get(inode)) is not None:
            told.type, told.linkname = tarfile.LNKTYPE, first
            self.sink.write(_head(told))
            return
        if entry.facts.st_nlink > 1:
            self.written[inode] = told.name
        told.size = entry.size
        self.sink.write(_head(told))
        for piece in self._pieces(path, entry):
            self.sink.write(piece)
        self.sink.write(bytes(-told.size % tarfile.BLOCKSIZE))

    def _pieces(self, path: str, entry: Entry) -> Iterator[bytes]:
        left, first = entry.size, True
        with _read(path), open(os.open(self.layer.source / path, NO_LINKS), "rb", buffering=0) as file:
            while left:
                piece = file.read(min(left, PIECE))
                if not piece:
                    raise _unpackable("it became shorter while it was packed", path)
                left -= len(piece)
                yield _timed(path, piece, self.layer.entries) if first and path.endswith(".pyc") else piece
                first = False


@dataclass(slots=True)
class _Sink:
    """Gzips what is written, and takes both digests on the way."""

    to: IO[bytes]
    tar: hashlib._Hash = field(default_factory=hashlib.sha256)
    zipped: hashlib._Hash = field(default_factory=hashlib.sha256)
    gzip: zlib._Compress = field(default_factory=lambda: zlib.compressobj(LEVEL, zlib.DEFLATED, 31))
    waiting: bytearray = field(default_factory=bytearray)
    size: int = 0

    def write(self, content: bytes) -> None:
        self.waiting += content
        if len(self.waiting) >= PIECE:
            self._flush()

    def _flush(self) -> None:
        self.tar.update(self.waiting)
        self._put(self.gzip.compress(self.waiting))
        self.waiting.clear()

    def _put(self, content: bytes) -> None:
        self.zipped.update(content)
        self.size += self.to.write(content)

    def ended(self) -> Packed:
        self.write(bytes(2 * tarfile.BLOCKSIZE))
        self._flush()
        self._put(self.gzip.flush())
        return Packed(f"sha256:{self.zipped.hexdigest()}", f"sha256:{self.tar.hexdigest()}", self.size)


def _listed(root: Path, folder: str) -> list[tuple[str, Entry]]:
    with _read(folder), os.scandir(root / folder) as there:
        return [(one.name, _entry(Path(one.path), one.stat(follow_symlinks=False))) for one in there]


@contextmanager
def _read(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unpackable(f"it cannot be read ({error.strerror})", path) from error


def _entry(path: Path, facts: os.stat_result) -> Entry:
    leads = os.readlink(path) if stat.S_ISLNK(facts.st_mode) else ""
    return Entry(facts, leads, stat.S_ISDIR(facts.st_mode) and any(_marked(path, mark) for mark in MARKS))


def _marked(folder: Path, mark: str) -> bool:
    try:
        return os.getxattr(folder, mark, follow_symlinks=False) == b"y"
    except OSError as error:
        if error.errno not in {ENODATA, ENOTSUP, ERANGE}:
            raise
        return False


def _gone(entry: Entry) -> bool:
    """Whether it is an overlay's mark for a name that is gone."""
    return stat.S_ISCHR(entry.facts.st_mode) and entry.facts.st_rdev == 0


def _told(inside: str, kind: bytes, mode: int, owner: tuple[int, int]) -> tarfile.TarInfo:
    told = tarfile.TarInfo(inside)
    told.type, told.mode, told.mtime = kind, mode, TIME
    told.uid, told.gid = owner
    return told


def _head(told: tarfile.TarInfo) -> bytes:
    return told.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _timed(path: str, head: bytes, around: Mapping[str, Entry]) -> bytes:
    """Bytecode that names its source's time has the new one, or every import would compile it again."""
    try:
        source = around[source_from_cache(path)].facts
    except (KeyError, ValueError):
        return head
    at = 8 if int.from_bytes(head[:2], "little") >= _FLAGS_SINCE else 4
    of_time = (int(source.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    if len(head) < at + 4 or (at == 8 and any(head[4:8])) or head[at : at + 4] != of_time:
        return head
    return head[:at] + TIME.to_bytes(4, "little") + head[at + 4 :]


def _unpackable(why: str, path: str) -> Fail:
    shown = path.encode(errors="surrogateescape").decode(errors="replace")[-300:]
    return Fail(UNPACKABLE(why, Evidence(shown or "/", why)))
