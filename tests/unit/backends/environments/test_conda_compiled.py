"""Bytecode of conda environments: kept by the content of its source and by the python package that made it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from perijove.backends.environments.conda.compiled import SOURCES, STAMP, Compiling, keep, link_known, remember
from perijove.backends.environments.store import drop_unused_conda

PYTHON, PYC = "python-3.11.7-0", "__pycache__/moon.cpython-311.pyc"
SOURCE = b"phase = 'full'\n"


@dataclass
class Cache:
    folder: Path

    def python(self, stamp: str) -> None:
        """The cache's python package, of this archive."""
        package = self.folder / "cache" / "packages" / PYTHON
        for name, content in (("bin/python3.11", "#!"), ("lib/python3.11/os.py", ""), (STAMP, stamp)):
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text(content)

    def environment(self, name: str, **files: bytes) -> Compiling:
        """One with these modules, all of one time."""
        packages = self.folder / name / "lib" / "python3.11" / "site-packages"
        packages.mkdir(parents=True)
        for module, content in files.items():
            (packages / f"{module}.py").write_bytes(content)
            os.utime(packages / f"{module}.py", (1e9, 1e9))
        work = self.folder / name
        return Compiling(self.folder / "cache", PYTHON, "3.11", packages, work / "sources", work / "compiler")

    def compiled(self, name: str, **files: bytes) -> Path:
        """The same with bytecode, of each that does not begin with `no`, as a sandbox hands it over."""
        given = self.environment(name, **files)
        handed = self.folder / name / "bytecode"
        handed.mkdir()
        if link_known(given):
            for source in given.listed.read_text().splitlines():
                if not source.startswith("no"):
                    (handed / f"{source}c").write_text(f"bytecode for {name}")
            keep(given, handed)
        return given.site_packages


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path)
    cache.python("sha256:one 3")
    return cache


def test_what_was_compiled_once_is_linked_from_then_on(cache: Cache) -> None:
    first = cache.compiled("first", moon=SOURCE, no_python=b"print 1\n")
    again = cache.environment("again", moon=SOURCE, no_python=b"print 1\n")
    assert link_known(again) == 0
    assert (again.site_packages / PYC).samefile(first / PYC)
    assert [path.name for path in again.site_packages.glob("__pycache__/*")] == ["moon.cpython-311.pyc"]


def test_the_rest_is_listed_and_its_compiler_is_the_python_package_alone(cache: Cache) -> None:
    cache.compiled("first", moon=SOURCE)
    more = cache.environment("more", moon=SOURCE, io=b"")
    assert link_known(more) == 1
    assert more.listed.read_text() == "io.py\n"
    assert {str(path.relative_to(more.compiler)) for path in more.compiler.rglob("*") if path.is_file()} == {
        "bin/python3.11",
        "lib/python3.11/os.py",
    }


def test_a_source_of_the_same_name_size_and_time_is_another(cache: Cache) -> None:
    cache.compiled("first", moon=SOURCE.replace(b"full", b"evil"))
    other = cache.environment("other", moon=SOURCE)
    assert link_known(other) == 1
    assert not (other.site_packages / PYC).exists()


def test_a_source_that_is_linked_from_its_package_is_not_read_again(cache: Cache) -> None:
    cache.compiled("first", moon=SOURCE)
    package = cache.folder / "cache" / "packages" / "moon-1.0-0"
    source = cache.environment("unpacked", moon=SOURCE).site_packages / "moon.py"
    for folder in ("info", "site-packages"):
        (package / folder).mkdir(parents=True)
    source.rename(package / "site-packages" / "moon.py")
    remember(package)
    other, another = cache.environment("other"), cache.environment("another", moon=SOURCE.replace(b"full", b"evil"))
    (other.site_packages / "moon.py").hardlink_to(package / "site-packages" / "moon.py")
    (package / "site-packages" / "moon.py").write_bytes(SOURCE.replace(b"full", b"gone"))
    for one in (other, another):
        described = one.site_packages.parents[2] / "conda-meta" / "moon-1.0-0.json"
        described.parent.mkdir()
        described.touch()
    assert link_known(other) == 0, "by what is written down of it"
    assert link_known(another) == 1, "it is another file"


def test_nothing_that_lies_behind_a_link_of_a_package_is_written_down(cache: Cache) -> None:
    package, elsewhere = cache.folder / "cache" / "packages" / "moon-1.0-0", cache.folder / "elsewhere"
    (package / "info").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "moon.py").write_bytes(SOURCE)
    (package / "site-packages").symlink_to(elsewhere)
    remember(package)
    assert (package / SOURCES).read_text() == ""


def test_a_python_compiles_for_nobody_who_has_another(cache: Cache) -> None:
    cache.compiled("first", moon=SOURCE)
    cache.python("sha256:two 3")
    assert link_known(cache.environment("other", moon=SOURCE)) == 1


def test_nothing_is_written_behind_a_link(cache: Cache) -> None:
    cache.compiled("first", moon=SOURCE)
    other = cache.environment("other", moon=SOURCE)
    elsewhere = cache.folder / "elsewhere"
    elsewhere.mkdir()
    (other.site_packages / "__pycache__").symlink_to(elsewhere)
    assert link_known(other) == 0
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_stands_where_bytecode_belongs_stays(cache: Cache, kind: str) -> None:
    cache.compiled("first", moon=SOURCE)
    other = cache.environment("other", moon=SOURCE)
    at = other.site_packages / (PYC if kind != "file" else "__pycache__")
    at.parent.mkdir(exist_ok=True)
    if kind == "folder":
        at.mkdir()
    elif kind == "link":
        at.symlink_to("/etc/passwd")
    else:
        at.touch()
    assert link_known(other) == 0
    assert (at.is_file(), at.is_dir(), at.is_symlink()) == (kind != "folder", kind == "folder", kind == "link")


def test_what_no_environment_links_goes(cache: Cache) -> None:
    first = cache.compiled("first", moon=SOURCE)
    (linked,) = (cache.folder / "cache" / "bytecode").rglob("*/??/*")
    drop_unused_conda(cache.folder / "cache")
    assert linked.exists()
    (first / PYC).unlink()
    drop_unused_conda(cache.folder / "cache")
    assert not (cache.folder / "cache" / "bytecode").exists()
