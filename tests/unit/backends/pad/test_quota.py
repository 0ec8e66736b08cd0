"""How large an image is and what is read of one; that disks work is in the contract `test_disk_quota`."""

from __future__ import annotations

import os
from errno import ENOSPC
from pathlib import Path

import pytest

from perijove.backends.pad.quota import BLOCK, INODE, Disks, Look, _copy, size_of_image
from perijove.domain.sizes import inodes

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("limit", "files"), [(MIB, 16384), (2048 * MIB, 262144), (10240 * MIB, 1310720)], ids=["1M", "2G", "10G"]
)
def test_there_is_room_for_a_file_of_every_eight_kilobytes(limit: int, files: int) -> None:
    assert inodes(limit) == files


@pytest.mark.parametrize("limit", [1, MIB, 64 * MIB + 1, 2048 * MIB], ids=["1", "1M", "64M+1", "2G"])
def test_an_image_has_room_for_its_inodes_too_and_ends_with_a_block(limit: int) -> None:
    size = size_of_image(limit)
    assert size % BLOCK == 0
    assert limit + inodes(limit) * INODE < size


@pytest.mark.parametrize(
    ("look", "full"),
    [
        (Look(0, 64 * MIB, 100, 0), False),
        (Look(60 * MIB, 4 * MIB, 100, 0), True),
        (Look(2000 * MIB, 21 * MIB, 100, 0), False),
        (Look(2000 * MIB, 19 * MIB, 100, 0), True),
        (Look(0, 64 * MIB, 0, 0), True),
    ],
    ids=["empty", "4M-left", "one-percent-left", "less-left", "no-more-files"],
)
def test_what_counts_as_full(look: Look, full: bool) -> None:
    assert look.full is full


def test_a_copy_has_the_same_bytes_and_the_holes_stay_holes(tmp_path: Path) -> None:
    empty, copy = tmp_path / "empty", tmp_path / "copy"
    with empty.open("wb") as file:
        for position in (0, 5 * MIB, 9 * MIB):
            file.seek(position)
            file.write(os.urandom(3 * BLOCK))
        file.truncate(64 * MIB)
    with copy.open("wb") as file:
        _copy(empty, file.fileno())
    assert copy.read_bytes() == empty.read_bytes()
    assert copy.stat().st_blocks * 512 < 2 * MIB


async def test_where_no_disk_can_be_made_there_is_none_and_the_log_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disks = Disks(tmp_path, "/usr/bin/false")
    assert await disks.made(64 * MIB, tmp_path / "one" / "disk") is None
    assert "one: its disk is watched, for it got none of its own" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_no_reason_to_do_without(tmp_path: Path) -> None:
    tool = tmp_path / "mke2fs"
    tool.write_text("#!/bin/sh\necho 'mke2fs: No space left on device'\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(OSError, match="No space left") as caught:
        await Disks(tmp_path, str(tool)).made(64 * MIB, tmp_path / "disk")
    assert caught.value.errno == ENOSPC
