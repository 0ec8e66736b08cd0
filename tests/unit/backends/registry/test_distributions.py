"""Environments that are alike share the layers of their large distributions; each file lies in just one layer."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from perijove.backends.registry.contents import contents
from perijove.backends.registry.distributions import layers
from perijove.backends.registry.packing import Layer, entries, pack
from perijove.domain.nouns import Mount, Overlay

SITE = "lib/python3.11/site-packages"
TARGET = PurePosixPath("/opt/environment")
BIG = 300_000


def installed(
    environment: Path, name: str, size: int, *, asked_for: bool = False, claims: tuple[str, ...] = ()
) -> None:
    """A distribution, as an installer lays it out."""
    site = environment / SITE
    information = site / f"{name}-1.0.dist-info"
    (site / name / "__pycache__").mkdir(parents=True)
    information.mkdir()
    (site / name / "__init__.py").write_bytes(name.encode() * (size // len(name)))
    (site / name / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    (information / "METADATA").write_text(f"Name: {name}\n")
    (environment / "bin").mkdir(exist_ok=True)
    (environment / "bin" / name).write_text(f"#!{environment}/bin/python\n")
    listed = [
        f"{name}/__init__.py",
        f"{name}-1.0.dist-info/METADATA",
        f"{name}-1.0.dist-info/RECORD",
        f"../../../bin/{name}",
    ]
    if asked_for:
        (information / "REQUESTED").touch()
        listed.append(f"{name}-1.0.dist-info/REQUESTED")
    (information / "RECORD").write_text("".join(f'"{path}",,\n' for path in (*listed, *claims)))


def made(environment: Path, most: int = 60) -> list[Layer]:
    return layers(environment, TARGET, entries(environment), (0, 0), {str(environment): str(TARGET)}, most)


def digests(environment: Path) -> dict[str, str]:
    return {layer.name: pack(layer, io.BytesIO()).digest for layer in made(environment)}


def files(found: list[Layer]) -> Counter[str]:
    return Counter(path for layer in found for path, entry in layer.entries.items() if not entry.is_folder)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    environment = tmp_path / "first"
    installed(environment, "jupiter", 2 * BIG, asked_for=True)
    installed(environment, "saturn", BIG)
    installed(environment, "pluto", 10)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (environment / "empty").mkdir()
    return environment


def test_large_distributions_are_layers_of_their_own_and_the_rest_is_one(environment: Path) -> None:
    found = made(environment)
    assert [layer.name for layer in found] == ["jupiter-1.0", "saturn-1.0", "environment"]
    own = {path for path, entry in found[1].entries.items() if not entry.is_folder}
    assert own == {f"{SITE}/saturn/{one}" for one in ("__init__.py", "__pycache__/__init__.cpython-311.pyc")} | {
        f"{SITE}/saturn-1.0.dist-info/METADATA"
    }
    assert {"bin/jupiter", f"{SITE}/pluto/__init__.py", "pyvenv.cfg", "empty"} < found[-1].entries.keys()
    assert [bool(layer.links) for layer in found] == [False, False, True]


def test_every_name_lies_in_some_layer_and_every_file_in_one(environment: Path) -> None:
    every = entries(environment)
    found = made(environment)
    assert files(found) == Counter(path for path, entry in every.items() if not entry.is_folder)
    assert set().union(*(layer.entries for layer in found)) == every.keys()
    for layer in found:
        assert all(path.rpartition("/")[0] in layer.entries for path in layer.entries), "its folders are with it"


def test_another_environment_with_one_more_shares_all_but_that(environment: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    installed(other, "jupiter", 2 * BIG)  # not asked for itself
    installed(other, "saturn", BIG, asked_for=True)
    installed(other, "uranus", BIG)
    ours, theirs = digests(environment), digests(other)
    assert {name for name in theirs if ours.get(name) != theirs[name]} == {"uranus-1.0", "environment"}


def test_no_more_layers_than_may_be(environment: Path) -> None:
    found = made(environment, most=2)
    assert [layer.name for layer in found] == ["jupiter-1.0", "environment"]
    assert len(files(found)) == files(found).total()


def test_a_list_that_lies_gets_no_other_files_and_no_ones_twice(environment: Path) -> None:
    claims = (
        *("../../../pyvenv.cfg", "/etc/passwd", "../../../../../outside", "jupiter/__init__.py", "jupiter", "", "."),
        *("pluto/__init__.py/", "nothing\nhere", "nul\0"),
    )
    installed(environment, "eris", BIG, claims=claims)
    every = entries(environment)
    found = made(environment)
    assert files(found) == Counter(path for path, entry in every.items() if not entry.is_folder)
    assert "pyvenv.cfg" in found[-1].entries


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'"' * 200_000, b"a,b\rc", b""])
def test_what_is_no_list_is_none(environment: Path, content: bytes) -> None:
    (environment / SITE / "saturn-1.0.dist-info" / "RECORD").write_bytes(content)
    assert [layer.name for layer in made(environment)] == ["jupiter-1.0", "environment"]


def test_a_list_that_is_a_link_is_not_followed(environment: Path, tmp_path: Path) -> None:
    record = environment / SITE / "saturn-1.0.dist-info" / "RECORD"
    os.rename(record, tmp_path / "elsewhere")
    record.symlink_to(tmp_path / "elsewhere")
    assert [layer.name for layer in made(environment)] == ["jupiter-1.0", "environment"]


@dataclass(frozen=True)
class Pod:
    """What one is shown."""

    mounts: tuple[Mount, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    root: tuple[Path, ...] = ()


def test_packages_that_are_compiled_have_the_layers_of_sessions_wherever_their_environment_lies_meanwhile(
    environment: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(environment, work, copy_function=os.link)
    installed(work, "neptune", BIG)
    compiled = contents(Pod((Mount(work / SITE, work / SITE),)), None)
    session = contents(Pod(overlays=(Overlay((environment,), Path("/environments/key")),)), None)
    assert [one.name for one in compiled] == ["jupiter-1.0", "neptune-1.0", "saturn-1.0", "environment", "home"]
    shared = {one.name for one in compiled} & {one.name for one in session}
    keys, others = ({one.name: one.key for one in found} for found in (compiled, session))
    assert {name for name in shared if keys[name] == others[name]} >= {"jupiter-1.0", "saturn-1.0"}
    assert compiled[-2].links == {str(work / SITE): f"/opt/perijove/environment/{SITE}"}
    assert {path for path in files(compiled) if not path.startswith(SITE)} == set()
