"""Room, kernel switches, control groups, files' modes. In: a state directory. Out: values. Looks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from perijove.domain.nouns import Room
from perijove.domain.state import State

SWITCHES = (
    "user.max_user_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
)
MOST_FILES = 5000
"""Files of secrets whose modes are looked at."""


def room(root: Path) -> Room:
    """What is left of memory, and of the disk below the nearest folder that is there. Raises OSError."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    disk = os.statvfs(there)
    # A file system without a number of inodes says 0 of 0: as in the pad's words, 0 is none to speak of.
    inodes = max(disk.f_favail, 1) if disk.f_files else 0
    free = disk.f_bavail * disk.f_frsize
    return Room(psutil.virtual_memory().available, free, inodes, len(os.sched_getaffinity(0)))


def memory() -> int:
    """All that there is, in use or not; bytes."""
    return int(psutil.virtual_memory().total)


def switches() -> tuple[tuple[str, str], ...]:
    """Kernel settings that sandboxes depend on."""
    return tuple((name, _read(Path("/proc/sys", *name.split(".")))) for name in SWITCHES)


def cgroups() -> str:
    """Which control groups this machine has for memory: `v1`, `v2` or ``."""
    return cgroups_of(_read(Path("/proc/self/mounts")))


def cgroups_of(mounts: str) -> str:
    """The same by a table of mounts. Where both are mounted, memory is in the first version's if that has it."""
    kinds = [(kind, options.split(",")) for _, _, kind, options, *_ in map(str.split, mounts.splitlines())]
    if any(kind == "cgroup" and "memory" in options for kind, options in kinds):
        return "v1"
    return "v2" if any(kind == "cgroup2" for kind, _ in kinds) else ""


def too_open(state: State) -> tuple[tuple[Path, int], ...]:
    """Files of secrets that others than their owner may read, with their modes."""
    found = []
    for path, _ in zip(_of_secrets(state), range(MOST_FILES), strict=False):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077:
            found.append((path, mode))
    return tuple(found)


def _of_secrets(state: State) -> Iterator[Path]:
    for path in (state.secret, state.database):
        if path.is_file() and not path.is_symlink():
            yield path
    for folder in (state.secrets, state.acme, state.local_ca):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix in {".key", ".json", ""}:
                yield path


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
