"""What this machine is, by its own tables."""

from __future__ import annotations

import pytest

from perijove.backends.ground.machine import cgroups_of

UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0"
BESIDE = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime 0 0"
MEMORY = "cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0"
NAMED = "cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,name=systemd 0 0"


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        pytest.param([UNIFIED], "v2", id="the second version"),
        pytest.param([MEMORY, NAMED], "v1", id="the first version"),
        pytest.param([BESIDE, MEMORY, NAMED], "v1", id="both, memory in the first"),
        pytest.param([BESIDE, NAMED], "v2", id="both, memory in the second"),
        pytest.param([NAMED], "", id="a hierarchy for names alone"),
        pytest.param([], "", id="none"),
    ],
)
def test_the_control_groups_that_hold_memory_count(mounts: list[str], version: str) -> None:
    assert cgroups_of("\n".join(mounts)) == version
