"""What is given back into a home that was made to hold it up."""

from __future__ import annotations

import io
import os
from pathlib import Path

from perijove.backends.pad.giving import Giving
from perijove.domain.keeping import GivenBack
from perijove.kept_files import KeptFile


def test_files_without_end_are_not_read(tmp_path: Path) -> None:
    home, archive = tmp_path / "home", tmp_path / "archive"
    home.mkdir()
    archive.touch()
    names = ("a.txt", "b.txt", "c.txt")
    for name in names[:2]:
        os.close(os.open(home / name, os.O_WRONLY | os.O_CREAT))
        os.truncate(home / name, 1 << 40)
    (home / "c.txt").write_bytes(b"old")
    kept = [KeptFile((name,), 4, "0" * 64, False, 1.0, io.BytesIO(b"mine")) for name in names]
    opened, sealed = os.open(home, os.O_RDONLY), os.open(archive, os.O_RDONLY)
    told = Giving(lambda *_: iter(kept), opened, 1000, same_commit=True).give(sealed, b"")
    os.close(opened)
    os.close(sealed)
    assert told == GivenBack(3, ("a.kept.txt", "b.kept.txt", "c.kept.txt"))
    assert [(home / name).read_bytes() for name in told.beside] == [b"mine"] * 3
