"""Bytecode in uv's archives: of their own files alone."""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path

from perijove.backends.environments.bytecode import put


def test_a_file_where_another_packages_should_be_is_not_compiled_for_it(tmp_path: Path) -> None:
    archive, packages, handed = (tmp_path / name for name in ("cache/archive-v0/moon", "site-packages", "handed"))
    for folder in (archive / "moon-1.dist-info", packages / "moon-1.dist-info", handed):
        folder.mkdir(parents=True)
    for name in ("moon.py", "tide.py", "moon-1.dist-info/METADATA"):
        (archive / name).write_text("")
        (packages / name).hardlink_to(archive / name)
    (packages / "moon.py").unlink()
    (packages / "moon.py").write_text("another's")
    for name in ("moon.pyc", "tide.pyc"):
        (handed / name).write_text("bytecode")
    put(handed, packages, tmp_path / "cache", "mark", "cpython-311")
    assert [path.name for path in archive.glob("__pycache__/*")] == ["tide.cpython-311.pyc"]


def test_what_was_compiled_where_its_source_had_another_time_is_no_older_than_its_source(tmp_path: Path) -> None:
    archive, packages, handed = (tmp_path / name for name in ("cache/archive-v0/moon", "site-packages", "handed"))
    for folder in (archive / "moon-1.dist-info", packages / "moon-1.dist-info", handed):
        folder.mkdir(parents=True)
    for name in ("moon.py", "moon-1.dist-info/METADATA"):
        (archive / name).write_text("answer = 42")
        (packages / name).hardlink_to(archive / name)
    os.utime(archive / "moon.py", (315_532_800, 315_532_800))
    by_time = py_compile.PycInvalidationMode.TIMESTAMP
    py_compile.compile(str(archive / "moon.py"), str(handed / "moon.pyc"), invalidation_mode=by_time)
    os.utime(archive / "moon.py", (1_700_000_000, 1_700_000_000))
    put(handed, packages, tmp_path / "cache", "mark", sys.implementation.cache_tag)
    (compiled,) = packages.glob("__pycache__/*")
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == 1_700_000_000
    assert compiled.read_bytes()[16:] == (handed / "moon.pyc").read_bytes()[16:]
