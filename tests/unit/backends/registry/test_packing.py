"""Folders become layers: the same bytes each time, in order, with an overlay's marks as images have them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import py_compile
import socket
import subprocess
import sys
import tarfile
from errno import ENOTSUP, EPERM
from pathlib import Path, PurePosixPath

import pytest

from perijove.backends.registry.packing import Layer, Packed, entries, pack
from perijove.domain.failures import Fail
from perijove.domain.images import TIME

TARGET = PurePosixPath("/opt/made")
OWNER = (1000, 1001)


def layer(folder: Path, **changed: object) -> Layer:
    told: dict[str, object] = {"name": "made", "source": folder, "target": TARGET, "owner": OWNER}
    return Layer(**{**told, "entries": entries(folder), **changed})  # type: ignore[arg-type]


def packed(made: Layer) -> tuple[bytes, Packed]:
    written = io.BytesIO()
    told = pack(made, written)
    return written.getvalue(), told


def members(content: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as tar:
        return {member.name: member for member in tar}


def inside(folder: Path) -> dict[str, tarfile.TarInfo]:
    """What a folder's layer holds, but for the folders above it."""
    found = members(packed(layer(folder))[0])
    return {name.removeprefix("opt/made/"): one for name, one in found.items() if name not in {"opt", "opt/made"}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "b" / "empty").mkdir(parents=True)
    (tree / "b" / "file").write_text("words")
    (tree / "b" / "program").write_text("#!/bin/sh\n")
    (tree / "b" / "program").chmod(0o4755)
    (tree / "a").symlink_to("b/file")
    return tree


def test_all_is_there_in_order_at_its_place_of_one_time_and_one_owner(tree: Path) -> None:
    found = members(packed(layer(tree))[0])
    under = ["", "/a", "/b", "/b/empty", "/b/file", "/b/program"]
    assert list(found) == ["opt", *(f"opt/made{one}" for one in under)]
    assert {(one.uid, one.gid, one.uname, one.gname) for name, one in found.items() if name != "opt"} == {
        (*OWNER, "", "")
    }
    assert (found["opt"].uid, found["opt"].mode) == (0, 0o755)
    assert {one.mtime for one in found.values()} == {TIME}
    assert found["opt/made/b/program"].mode == 0o755, "no set-uid bit"
    assert (found["opt/made/a"].linkname, found["opt/made/b/file"].size) == ("b/file", 5)


def test_the_same_folder_is_the_same_bytes_whoever_packs_it_and_when(tree: Path) -> None:
    content, told = packed(layer(tree))
    for path in (tree / "b" / "file", tree / "b", tree):
        os.utime(path, (1, 1))
    again, told_again = packed(layer(tree))
    assert (again, told_again) == (content, told)
    assert told.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert told.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}"
    assert told.size == len(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "b" / "file").write_text("other"),
        lambda tree: (tree / "b" / "file").chmod(0o600),
        lambda tree: (tree / "b" / "new").touch(),
        lambda tree: (tree / "b" / "empty").rmdir(),
        lambda tree: ((tree / "a").unlink(), (tree / "a").symlink_to("elsewhere")),
    ],
    ids=["content", "mode", "added", "removed", "link"],
)
def test_its_key_is_another_one_where_anything_else_lies_in_it(tree: Path, change: object) -> None:
    before = layer(tree).key
    assert layer(tree).key == before
    change(tree)  # type: ignore[operator]
    assert layer(tree).key != before


def test_its_key_knows_where_it_lies_and_whose_it_is(tree: Path) -> None:
    others = [layer(tree, target=PurePosixPath("/x")), layer(tree, owner=(0, 0)), layer(tree, links={"/x": "/y"})]
    assert len({layer(tree).key, *(one.key for one in others)}) == 4


def test_files_that_are_linked_elsewhere_are_shared_by_two_folders_keys(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "b" / "empty").mkdir(parents=True)
    for name in ("b/file", "b/program"):
        os.link(tree / name, other / name)
    (other / "a").symlink_to("b/file")
    assert layer(other).key == layer(tree).key


def test_hard_links_within_are_links_and_those_that_lead_out_are_files(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "b" / "file", tree / "c")
    (tmp_path / "outside").write_text("secret of another")
    os.link(tmp_path / "outside", tree / "d")
    found = inside(tree)
    assert (found["c"].type, found["c"].linkname) == (tarfile.LNKTYPE, "opt/made/b/file")
    assert found["b/file"].isreg()
    assert found["d"].isreg(), "and not a link to what is not in the image"


def test_further_links_lie_where_they_are_named(tree: Path) -> None:
    found = members(packed(layer(tree, links={"/var/lib/made": "/opt/made"}))[0])
    assert found["var/lib/made"].linkname == "/opt/made"
    assert found["var/lib"].isdir()


def test_what_is_gone_and_what_hides_are_marked_as_images_have_it(tree: Path) -> None:
    try:
        os.mknod(tree / "b" / "removed", 0o020000)
        os.setxattr(tree / "b", "user.overlay.opaque", b"y")
    except OSError as error:
        if error.errno not in {EPERM, ENOTSUP}:
            raise
        pytest.skip(f"no whiteouts or no attributes here: {error}")
    found = inside(tree)
    assert found["b/.wh.removed"].size == 0
    assert found["b/.wh..wh..opq"].isreg()
    assert "b/removed" not in found


def test_hostile_names_come_as_they_are(tree: Path) -> None:
    names = ["two\nlines", "\x1b[31mred", "30 path=elsewhere\n", "ü" * 100, "n" * 250, "-rf", "not-utf8-\udcff"]
    for name in names:
        (tree / name).touch()
    assert set(names) < set(inside(tree))


def test_a_name_that_images_use_themselves_is_refused(tree: Path) -> None:
    (tree / "b" / ".wh.file").touch()
    with pytest.raises(Fail) as caught:
        entries(tree)
    assert caught.value.failure.kind.code == "registry.unpackable"
    assert caught.value.failure.evidence[0].where == "b/.wh.file"


def test_links_in_a_circle_and_out_of_the_folder_are_not_followed(tree: Path) -> None:
    (tree / "round").symlink_to("round")
    (tree / "up").symlink_to("../..")
    found = inside(tree)
    assert [(found[name].type, found[name].linkname) for name in ("round", "up")] == [
        (tarfile.SYMTYPE, "round"),
        (tarfile.SYMTYPE, "../.."),
    ]


def test_sockets_and_pipes_stay_behind(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe")
    monkeypatch.chdir(tree)  # a socket's path may be 107 bytes long
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    assert not {"pipe", "socket"} & inside(tree).keys()


def test_a_sparse_file_counts_with_what_it_says_and_comes_with_its_zeros(tree: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(3 << 20)
    content, told = packed(layer(tree))
    assert members(content)["opt/made/sparse"].size == 3 << 20
    assert told.size < 100_000
    with (tree / "sparse").open("wb") as file:
        file.truncate(65 << 30)
    with pytest.raises(Fail, match="64 GB"):
        entries(tree)


def test_folders_lie_in_one_another_as_deep_as_paths_go(tmp_path: Path) -> None:
    tree, opened = tmp_path / "deep", []
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for count in range(1115):
        name = "d" if count <= 1100 else "d" * 255
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        if count == 1100:
            opened = list(inside(tree))
    os.close(here)
    assert len(opened) == 1101
    try:
        with pytest.raises(Fail) as caught:
            entries(tree)
        assert caught.value.failure.kind.code == "registry.unpackable"
    finally:
        subprocess.run(["rm", "-rf", tree], check=True)


def test_a_file_that_becomes_shorter_meanwhile_is_told(tree: Path) -> None:
    seen = layer(tree)
    (tree / "b" / "file").write_text("w")
    with pytest.raises(Fail, match="shorter"):
        packed(seen)


def test_what_goes_meanwhile_is_told(tree: Path) -> None:
    seen = layer(tree)
    (tree / "b" / "file").unlink()
    with pytest.raises(Fail, match="cannot be read") as caught:
        packed(seen)
    assert caught.value.failure.evidence[0].where == "b/file"
    with pytest.raises(Fail, match="cannot be read"):
        entries(tree / "nowhere")


def test_bytecode_stays_that_of_its_source(tmp_path: Path) -> None:
    """Python compares its source's time, which is another one in the image; what was stale stays so."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "planets.py").write_text("moons = 4\n")
    (tree / "stale.py").write_text("moons = 4\n")
    by_time, tag = py_compile.PycInvalidationMode.TIMESTAMP, sys.implementation.cache_tag
    for name in ("planets", "stale"):
        compiled = f"{tree}/__pycache__/{name}.{tag}.pyc"
        py_compile.compile(str(tree / f"{name}.py"), compiled, invalidation_mode=by_time)
    (tree / "__pycache__" / f"short.{tag}.pyc").write_bytes(b"x")
    (tree / "short.py").touch()
    os.utime(tree / "stale.py", (1, 1))
    taken = {}
    with tarfile.open(fileobj=io.BytesIO(packed(layer(tree))[0])) as tar:
        for name in ("planets", "stale"):
            file = tar.extractfile(f"opt/made/__pycache__/{name}.{tag}.pyc")
            assert file is not None
            taken[name] = file.read()
    times = {name: int.from_bytes(content[8:12], "little") for name, content in taken.items()}
    assert times["planets"] == TIME
    assert times["stale"] != TIME
    out = tmp_path / "out"
    (out / "__pycache__").mkdir(parents=True)
    (out / "__pycache__" / f"planets.{tag}.pyc").write_bytes(taken["planets"])
    (out / "planets.py").write_text("moons = 5\n")
    os.utime(out / "planets.py", (TIME, TIME))
    asked = [sys.executable, "-c", "import planets; print(planets.moons)"]
    ran = subprocess.run(asked, cwd=out, env={}, capture_output=True, text=True, check=True)
    assert ran.stdout == "4\n", "it ran the bytecode"
