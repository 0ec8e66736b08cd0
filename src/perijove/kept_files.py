"""Kept work as a file: a sealed, compressed tar of changed files. In and out: open files; nothing is unpacked here.

Synchronous, with bounded memory, whatever the size.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from perijove import sealing
from perijove.domain import wire
from perijove.domain.keeping import Change, KeptWork, Parts

WAS = "PERIJOVE.was"
"""The tar header that says what the repository's own file was."""
FAST = 1
"""Of gzip's levels."""
PIECE = 256 * 1024
UTF_8, ODD = "utf-8", "surrogateescape"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file of it."""

    path: Parts
    size: int
    was: str
    """As in `Change`."""
    executable: bool
    modified: float
    content: IO[bytes]
    """To be read before the next file is asked for."""


class Writing:
    """One that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, change: Change, file: BinaryIO, *, executable: bool, modified: float) -> None:
        """A file's first `change.size` bytes; zeros where it has become shorter. Raises OSError."""
        info = tarfile.TarInfo("/".join(change.path))
        info.size, info.mode, info.mtime = change.size, 0o755 if executable else 0o644, modified
        info.pax_headers = {WAS: change.was} if change.was else {}
        self._tar.addfile(info, cast("IO[bytes]", _Padded(file, change.size)))


class _Padded:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        data = self._file.read(wanted)
        self._left -= wanted
        return data + bytes(wanted - len(data))


@contextmanager
def written(file: BinaryIO, work: KeptWork) -> Iterator[Writing]:
    """Seal it for its visitor. Raises OSError; ValueError where the visitor is none."""
    told = wire.encode(work)
    sealed = sealing.Sealing(file, {"work": told}, work.visitor)
    with (
        gzip.GzipFile("", "wb", FAST, cast("BinaryIO", sealed), 0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, encoding=UTF_8, errors=ODD) as tar,
    ):
        yield Writing(tar)
    sealed.close()


def work(file: BinaryIO) -> KeptWork:
    """What anybody can read of it. Raises ValueError where it is none."""
    try:
        found: KeptWork = wire.decode(KeptWork, sealing.head(file)["work"])
    except (KeyError, TypeError) as error:
        raise ValueError("its head is none of kept work") from error
    return found


def pieces(archive: Path, opens: bytes) -> Iterator[bytes]:
    """The tar itself. Raises as `files`; EOFError."""
    with archive.open("rb") as file, _packed(file, opens) as packed:
        while piece := packed.read(PIECE):
            yield piece


def _packed(file: BinaryIO, opens: bytes) -> gzip.GzipFile:
    return gzip.GzipFile("", "rb", fileobj=cast("BinaryIO", sealing.Opening(file, opens)))


def files(file: BinaryIO, opens: bytes) -> Iterator[KeptFile]:
    """All of it, with the file's key. Raises ValueError, and OSError, where it was changed or cut off."""
    with _packed(file, opens) as packed:
        try:
            with tarfile.open(fileobj=packed, mode="r|", encoding=UTF_8, errors=ODD) as tar:
                for info in tar:
                    content = tar.extractfile(info) or io.BytesIO()
                    path = tuple(info.name.split("/"))
                    was = info.pax_headers.get(WAS, "")
                    yield KeptFile(path, info.size, was, bool(info.mode & 0o100), info.mtime, content)
        except (EOFError, tarfile.TarError) as error:
            raise ValueError(f"it was changed or cut off: {error}") from error
