"""What is given back into a home that was made to hold it up."""

from __future__ import annotations

import io
import os
from pathlib import Path

from perijove.giving import Giving
from perijove.kept_files import KeptFile


def test_files_without_end_are_not_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    names = ("a.txt", "b.txt", "c.txt")
    for name in names[:2]:
        os.close(os.open(home / name, os.O_WRONLY | os.O_CREAT))
        os.truncate(home / name, 1 << 40)
    (home / "c.txt").write_bytes(b"old")
    giving = Giving(os.open(home, os.O_RDONLY), 1000, same_commit=True)
    for name in names:
        giving.give(KeptFile((name,), 4, "0" * 64, False, 1.0, io.BytesIO(b"mine")))
    os.close(giving.home)
    assert (giving.files, giving.beside) == (3, [("a.kept.txt",), ("b.kept.txt",), ("c.kept.txt",)])
    assert [(home / name).read_bytes() for name in ("a.kept.txt", "b.kept.txt", "c.kept.txt")] == [b"mine"] * 3
