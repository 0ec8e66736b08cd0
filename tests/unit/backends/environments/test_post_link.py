"""What scripts wrote over an environment becomes a part of it, and of nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from perijove.backends.environments.conda.post_link import OPAQUE, merge


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    environment = tmp_path / "environment"
    (environment / "share").mkdir(parents=True)
    return environment


@pytest.fixture(params=["layer-0", "whole-0"])
def layer(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    layer = tmp_path / "made" / str(request.param)
    (layer / "share").mkdir(parents=True)
    return layer


def test_files_links_and_modes_are_taken_and_what_stood_is_kept(environment: Path, layer: Path) -> None:
    (environment / "share" / "old").write_text("old")
    (layer / "share" / "new").mkdir()
    (layer / "share" / "new" / "run").write_text("new")
    (layer / "share" / "new" / "run").chmod(0o755)
    (layer / "share" / "link").symlink_to("new")
    merge(layer.parent, environment)
    assert (environment / "share" / "old").read_text() == "old"
    assert (environment / "share" / "link" / "run").read_text() == "new"
    assert (environment / "share" / "link").is_symlink()
    assert stat.S_IMODE((environment / "share" / "new" / "run").stat().st_mode) == 0o755


def test_a_file_that_others_share_is_replaced_and_never_written_through(
    environment: Path, layer: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.write_text("shared")
    (environment / "share" / "file").hardlink_to(shared)
    (layer / "share" / "file").write_text("own")
    merge(layer.parent, environment)
    assert (environment / "share" / "file").read_text() == "own"
    assert shared.read_text() == "shared"


def test_nothing_is_written_where_a_link_of_a_package_leads(environment: Path, layer: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    (environment / "folder").symlink_to(outside)
    (environment / "share" / "file").symlink_to(outside / "file")
    (layer / "folder").mkdir()
    (layer / "folder" / "file").write_text("within")
    (layer / "share" / "file").write_text("within")
    merge(layer.parent, environment)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "outside"}
    assert (environment / "folder" / "file").read_text() == (environment / "share" / "file").read_text() == "within"


def test_what_was_removed_is_gone_and_a_folder_made_anew_holds_what_is_new(environment: Path, layer: Path) -> None:
    for name in ("file", "folder/file", "anew/old"):
        (environment / "share" / name).parent.mkdir(exist_ok=True)
        (environment / "share" / name).write_text("old")
    for name in ("file", "folder"):
        os.mknod(layer / "share" / name, stat.S_IFCHR, os.makedev(0, 0))
    (layer / "share" / "anew").mkdir()
    (layer / "share" / "anew" / "new").write_text("new")
    try:
        os.setxattr(layer / "share" / "anew", OPAQUE, b"y")
    except OSError as error:
        pytest.skip(f"no mark of overlayfs can be made here: {error}")
    merge(layer.parent, environment)
    found = {str(path.relative_to(environment)) for path in environment.rglob("*")}
    assert found == {"share", "share/anew", "share/anew/new"}
