"""Archives of a system: unpacked as they would be where the folder is the root, and never outside of it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from perijove.backends.environments.installer import Room
from perijove.backends.environments.system.unpacking import unpacked
from perijove.domain.failures import Fail

ROOM = Room(1 << 20, 100)
Entry = tuple[str, bytes, str]
"""Path, tar's type, content or link's target."""
FILE, DIR, SYM, HARD, CHAR, FIFO = b"0", b"5", b"2", b"1", b"3", b"6"


def packed(path: Path, entries: Sequence[Entry], mode: str = "w", bits: int = 0o755) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, kind, what in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, bits
            if kind == FILE:
                member.size = len(what)
            else:
                member.linkname = what
            tar.addfile(member, io.BytesIO(what.encode()) if kind == FILE else None)
    return path


def seen(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_text()
    return found


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_files_links_and_folders_come(tmp_path: Path, mode: str) -> None:
    entries = [
        ("./usr/bin", DIR, ""),
        ("bin", SYM, "usr/bin"),
        ("usr/bin/sh", FILE, "shell"),
        ("/bin/dash", HARD, "bin/sh"),
        ("bin/other", FILE, "through the link"),
    ]
    archive = packed(tmp_path / "a.tar", entries, mode)
    assert unpacked((archive,), tmp_path / "root", ROOM) == len("shell" + "through the link")
    assert seen(tmp_path / "root") == {
        "bin": "-> usr/bin",
        "usr/bin/sh": "shell",
        "usr/bin/dash": "shell",
        "usr/bin/other": "through the link",
    }


def test_later_layers_replace_and_remove(tmp_path: Path) -> None:
    first = packed(
        tmp_path / "1",
        [("a/x", FILE, "1"), ("a/y", FILE, "1"), ("b/x", FILE, "1"), ("c", FILE, "1"), ("d/e", FILE, "1")],
    )
    second = packed(
        tmp_path / "2",
        [
            ("a/.wh.x", FILE, ""),
            ("b/new", FILE, "2"),
            ("b/.wh..wh..opq", FILE, ""),
            ("c/now-a-folder", FILE, "2"),
            ("d", FILE, "now a file"),
        ],
    )
    unpacked((first, second), tmp_path / "root", ROOM)
    assert seen(tmp_path / "root") == {"a/y": "1", "b/new": "2", "c/now-a-folder": "2", "d": "now a file"}


def test_what_a_sandbox_has_no_use_for_stays_behind(tmp_path: Path) -> None:
    entries = [("dev/sda", CHAR, ""), ("pipe", FIFO, ""), ("su", FILE, "x")]
    unpacked((packed(tmp_path / "a", entries, bits=0o6777),), tmp_path / "root", ROOM)
    assert seen(tmp_path / "root") == {"su": "x"}
    assert stat.S_IMODE((tmp_path / "root" / "su").stat().st_mode) == 0o777


def test_closed_folders_can_be_filled_and_stay_ours(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a", [("closed", DIR, ""), ("closed/file", FILE, "x")], bits=0o000)
    unpacked((archive,), tmp_path / "root", ROOM)
    assert (tmp_path / "root" / "closed" / "file").read_text() == "x"


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", FILE, "x")],
        [("a/../../out", FILE, "x")],
        [("inside", HARD, "../../secret")],
        [("a", SYM, "b"), ("b", SYM, "a"), ("a/file", FILE, "x")],
        [("file", HARD, "not-there")],
    ],
    ids=["up", "up-in-the-middle", "hardlink-up", "circle", "hardlink-to-nothing"],
)
def test_paths_that_lead_nowhere_good_are_refused(tmp_path: Path, entries: Sequence[Entry]) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(Fail) as caught:
        unpacked((packed(tmp_path / "a", entries),), tmp_path / "root", ROOM)
    assert caught.value.failure.kind.code == "platform.base-unusable"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["/etc", "../../../../etc", "/"])
def test_a_link_out_leads_to_the_folders_own_root(tmp_path: Path, target: str) -> None:
    entries = [("there", SYM, target), ("there/file", FILE, "x"), ("copy", HARD, "there/file")]
    unpacked((packed(tmp_path / "a", entries),), tmp_path / "root", ROOM)
    at = "file" if target == "/" else "etc/file"
    assert (tmp_path / "root" / at).read_text() == "x"
    assert not Path("/etc/file").exists()


def test_a_last_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    entries = [("x", SYM, str(tmp_path / "secret")), ("x", FILE, "mine")]
    unpacked((packed(tmp_path / "a", entries),), tmp_path / "root", ROOM)
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "root" / "x").read_text() == "mine"


@pytest.mark.parametrize(
    ("entries", "room"),
    [
        ([("a", FILE, "x" * 100), ("b", FILE, "x" * 100)], Room(150, 100)),
        ([(f"{n}", DIR, "") for n in range(9)], Room(9, 5)),
    ],
    ids=["bytes", "files"],
)
def test_more_than_there_is_room_for_is_refused(tmp_path: Path, entries: Sequence[Entry], room: Room) -> None:
    with pytest.raises(Fail) as caught:
        unpacked((packed(tmp_path / "a", entries),), tmp_path / "root", room)
    assert caught.value.failure.kind.code == "build.too-large"


@pytest.mark.parametrize("content", [b"no archive", b"", b"\x1f\x8b\x08\x00broken"], ids=["text", "empty", "cut-off"])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "a"
    archive.write_bytes(content)
    with pytest.raises(Fail) as caught:
        unpacked((archive,), tmp_path / "root", ROOM)
    assert caught.value.failure.kind.code == "platform.base-unusable"
