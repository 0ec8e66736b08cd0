"""Bytecode in uv's archives: of their own files alone."""

from __future__ import annotations

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
