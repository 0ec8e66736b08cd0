"""Which control groups a pad makes, on file systems that look like version 1 and version 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perijove.backends.pad import cgroups
from perijove.domain.nouns import Limits

LIMITS = Limits(memory=1000, cpus=0.5, processes=7, disk=1, tmp=1)


@pytest.fixture
def delegated(tmp_path: Path) -> Path:
    """A unit's group with Delegate=yes."""
    here = tmp_path / "system.slice" / "perijove.service"
    base = here / "perijove-m"
    base.mkdir(parents=True)
    for folder in (here, base):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    return here


def test_version_2_moves_itself_to_a_leaf_and_hands_controllers_down(tmp_path: Path, delegated: Path) -> None:
    found = cgroups._second({"": "/system.slice/perijove.service"}, {"": tmp_path}, "m")
    assert found == cgroups.Groups(2, (delegated / "perijove-m",))
    assert (delegated / "pad" / "cgroup.procs").exists()
    assert (delegated / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (delegated / "perijove-m" / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_version_2_is_found_again_from_the_leaf(tmp_path: Path, delegated: Path) -> None:
    (delegated / "pad").mkdir()
    found = cgroups._second({"": "/system.slice/perijove.service/pad"}, {"": tmp_path}, "m")
    assert found == cgroups.Groups(2, (delegated / "perijove-m",))


@pytest.mark.parametrize("controllers", ["", "hugetlb\n", "memory\n"], ids=["none", "hybrid", "no-pids"])
def test_version_2_without_its_controllers_is_none(tmp_path: Path, delegated: Path, controllers: str) -> None:
    (delegated / "cgroup.controllers").write_text(controllers)
    assert cgroups._second({"": "/system.slice/perijove.service"}, {"": tmp_path}, "m") is None


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        pytest.param({}, 0, id="no such controller"),
        pytest.param({"cpu.max": "150000 100000\n"}, 1.5, id="v2"),
        pytest.param({"cpu.max": "max 100000\n"}, 0, id="v2, any number"),
        pytest.param({"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}, 0.5, id="v1"),
        pytest.param({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 0, id="v1, any number"),
    ],
)
def test_a_group_s_quota_of_processors_is_read(tmp_path: Path, files: dict[str, str], processors: float) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cgroups._quota(tmp_path) == processors


def test_no_more_processors_are_counted_than_this_process_may_run_on() -> None:
    assert 0 < cgroups.processors() <= len(os.sched_getaffinity(0))


def test_version_2_limits_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "memory.swap.max").touch()
    (folder / "cpu.max").touch()
    cgroups.Groups(2, (tmp_path,)).make("one", LIMITS, 0.33)
    names = ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpu.weight")
    assert [(folder / name).read_text() for name in names] == ["1000", "0", "7", "50000 100000", "33"]


def test_version_1_limits_are_written(tmp_path: Path) -> None:
    bases = tuple(tmp_path / name for name in ("memory", "pids", "cpu"))
    for base in bases:
        base.mkdir()
    group = cgroups.Groups(1, bases).make("one", LIMITS, 0.33)
    assert (group.folders[0] / "memory.limit_in_bytes").read_text() == "1000"
    assert (group.folders[1] / "pids.max").read_text() == "7"
    assert (group.folders[2] / "cpu.cfs_quota_us").read_text() == "50000"
    assert (group.folders[2] / "cpu.shares").read_text() == "338"


def test_what_is_used_leaves_out_what_could_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 300\n")
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 3\n")
    group = cgroups.Group(2, (tmp_path,))
    assert group.memory() == 700
    assert group.killed() == 3
