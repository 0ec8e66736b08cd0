"""What a base is made from, where it lies on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from perijove.backends.environments.installer import Room
from perijove.backends.environments.system.bases import archived
from perijove.backends.environments.system.unpacking import unpacked
from perijove.domain.failures import Fail

ROOM = Room(2**30, 1000, short=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "system"
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/tool").write_text("tool")
    (folder / "usr/bin/tool").chmod(0o755)
    (folder / "bin").symlink_to("usr/bin")
    return folder


@pytest.mark.parametrize("kind", ["folder", "tar", "gztar"])
def test_a_folder_and_a_tar_file_are_unpacked_alike(folder: Path, kind: str, tmp_path: Path) -> None:
    source = folder if kind == "folder" else Path(shutil.make_archive(str(tmp_path / "packed"), kind, folder))
    work, into = tmp_path / "work", tmp_path / "into"
    work.mkdir()
    unpacked((archived(source, work),), into, ROOM)
    assert (into / "bin/tool").read_text() == "tool"
    assert (into / "usr/bin/tool").stat().st_mode & 0o777 == 0o755


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fail) as caught:
        archived(tmp_path / "nowhere.tar", tmp_path)
    assert caught.value.failure.kind.code == "platform.base-unreachable"
    assert caught.value.failure.evidence[0].where == str(tmp_path / "nowhere.tar")
