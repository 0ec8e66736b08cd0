"""Homes are copied, measured and searched without following what a stranger left there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perijove.backends.pad import home
from perijove.backends.pad.master import ourselves
from perijove.domain.failures import Fail


async def test_a_copy_keeps_links_times_and_modes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "run").write_text("x")
    (source / "sub" / "run").chmod(0o755)
    (source / ".hidden").write_text("y")
    (source / "dangling").symlink_to("/nowhere")
    os.utime(source / ".hidden", (1, 1))
    copy = tmp_path / "copy"
    await home.make_home(source, copy, None, ourselves())
    assert sorted(os.listdir(copy)) == [".hidden", "dangling", "sub"]
    assert (copy / "dangling").readlink() == Path("/nowhere")
    assert (copy / "sub" / "run").stat().st_mode & 0o777 == 0o755
    assert (copy / ".hidden").stat().st_mtime == 1
    assert copy.stat().st_mode & 0o777 == 0o700


async def test_a_folder_named_like_an_option_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "-rf").mkdir()
    monkeypatch.chdir(tmp_path)
    await home.make_home(tmp_path / "-rf", tmp_path / "copy", None, ourselves())
    assert (tmp_path / "copy").is_dir()


async def test_what_is_not_there_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(Fail) as caught:
        await home.make_home(tmp_path / "none", tmp_path / "copy", None, ourselves())
    assert caught.value.failure.kind.code == "start.sandbox-failed"


async def test_usage_counts_blocks_once_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(bytes(5_000_000))
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "file").write_bytes(bytes(1_000_000))
    os.link(inside / "sub" / "file", inside / "again")
    (inside / "link").symlink_to(outside)
    with (inside / "holes").open("wb") as file:
        file.truncate(10**9)
    assert 1_000_000 <= await home.usage(inside) < 1_200_000


async def test_usage_of_what_is_too_deep_is_beyond_any_limit(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert await home.usage(tmp_path) == home.TOO_DEEP


async def test_usage_of_what_is_gone_is_nothing(tmp_path: Path) -> None:
    assert await home.usage(tmp_path / "gone") == 0


async def test_nested_results_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "home" / "dist" / "sub").mkdir(parents=True)
    (tmp_path / "home" / "dist" / "sub" / "a").write_text("x")
    await home.take_out(tmp_path / "home", "dist", tmp_path / "into", 100, ourselves())
    assert (tmp_path / "into" / "sub" / "a").read_text() == "x"


async def test_a_result_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home" / "dist").mkdir(parents=True)
    (tmp_path / "home" / "dist" / "a").write_text("x" * 101)
    with pytest.raises(Fail) as caught:
        await home.take_out(tmp_path / "home", "dist", tmp_path / "into", 100, ourselves())
    assert caught.value.failure.kind.code == "build.too-large"


async def test_removing_manages_folders_without_rights(tmp_path: Path) -> None:
    (tmp_path / "box" / "a" / "b").mkdir(parents=True)
    (tmp_path / "box" / "a" / "b" / "file").touch()
    (tmp_path / "box" / "a").chmod(0)
    await home.remove(tmp_path / "box")
    assert not (tmp_path / "box").exists()
