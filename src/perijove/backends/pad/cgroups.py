"""Limits the kernel keeps: a control group for each sandbox, version 1 or 2, where this process may make them.

In: limits; out: a `Group` to put processes into and to ask. Where none can be made, limits are watched (`watch`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perijove.domain.nouns import Limits

PERIOD = 100_000
"""Microseconds over which processor time is given out."""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _field(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


@dataclass(frozen=True, slots=True)
class Group:
    """One sandbox's control group."""

    version: int
    folders: tuple[Path, ...]
    """Of each hierarchy (v1) or the one (v2); memory first."""

    def join_files(self) -> list[int]:
        """Open descriptors; a process that writes `0` to each is inside."""
        return [os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in self.folders]

    def memory(self) -> int:
        """Bytes in use, without what the kernel could drop at once."""
        memory = self.folders[0]
        if self.version == 1:
            used, cache = (
                _number(memory / "memory.usage_in_bytes"),
                _field(memory / "memory.stat", "total_inactive_file"),
            )
        else:
            used, cache = _number(memory / "memory.current"), _field(memory / "memory.stat", "inactive_file")
        return max(0, used - cache)

    def killed(self) -> int:
        """How many processes the kernel has killed here for memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _field(self.folders[0] / name, "oom_kill")

    def killed_where(self) -> str:
        """The counter's name, for evidence."""
        return "memory.oom_control oom_kill" if self.version == 1 else "memory.events oom_kill"

    def refused(self) -> int:
        """How often it would have had one process or thread too many."""
        return _field(self.folders[1 if self.version == 1 else 0] / "pids.events", "max")

    def processes(self) -> list[int]:
        return [int(pid) for pid in _read(self.folders[0] / "cgroup.procs").split()]

    def remove(self) -> bool:
        """Whether it is gone; false while a process still dies."""
        for folder in self.folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Groups:
    """Where this pad's groups are made."""

    version: int
    bases: tuple[Path, ...]
    """v1: of memory, pids and, where there is one, cpu; v2: one."""

    @property
    def label(self) -> str:
        return f"v{self.version}"

    def make(self, name: str, limits: Limits, share: float = 1) -> Group:
        """With a share of the usual weight where groups want more processors than there are. Raises OSError."""
        folders = tuple(base / name for base in self.bases)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        quota = int(limits.cpus * PERIOD)
        if self.version == 1:
            (folders[0] / "memory.limit_in_bytes").write_text(f"{limits.memory}")
            swap = folders[0] / "memory.memsw.limit_in_bytes"
            if swap.exists():
                swap.write_text(f"{limits.memory}")
            (folders[1] / "pids.max").write_text(f"{limits.processes}")
            if len(folders) > 2:
                (folders[2] / "cpu.cfs_period_us").write_text(f"{PERIOD}")
                (folders[2] / "cpu.cfs_quota_us").write_text(f"{quota}")
                (folders[2] / "cpu.shares").write_text(f"{round(1024 * share)}")
        else:
            (folders[0] / "memory.max").write_text(f"{limits.memory}")
            if (folders[0] / "memory.swap.max").exists():
                (folders[0] / "memory.swap.max").write_text("0")
            (folders[0] / "pids.max").write_text(f"{limits.processes}")
            if (folders[0] / "cpu.max").exists():
                (folders[0] / "cpu.max").write_text(f"{quota} {PERIOD}")
                (folders[0] / "cpu.weight").write_text(f"{round(100 * share)}")
        return Group(self.version, folders)

    def sweep(self) -> None:
        """End and remove every group an earlier pad left here."""
        for base in self.bases:
            for folder in [path for path in base.iterdir() if path.is_dir() and path.name != OWN]:
                _clear(folder)

    def remove(self) -> None:
        """Take the bases away; they are empty by now."""
        if self.version == 2:
            return  # the pad itself sits in a leaf beside the groups
        for base in self.bases:
            try:
                base.rmdir()
            except OSError:  # another process's look holds it: the next pad sweeps
                continue


OWN = "pad"
"""v2: the leaf that the pad moves itself to, since only leaves may hold processes."""


def _clear(folder: Path) -> None:
    for _ in range(200):
        for pid in _read(folder / "cgroup.procs").split():
            try:
                os.kill(int(pid), 9)
            except ProcessLookupError:
                continue
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return


def _own() -> dict[str, str]:
    """Our own group by controller; `` for version 2."""
    own = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            own[name] = path
    return own


def _mounts() -> dict[str, Path]:
    """Where hierarchies are mounted, by controller; `` for version 2."""
    mounts: dict[str, Path] = {}
    for line in _read(Path("/proc/self/mounts")).splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            mounts.setdefault("", Path(fields[1]))
        elif fields[2] == "cgroup":
            for option in fields[3].split(","):
                mounts.setdefault(option, Path(fields[1]))
    return mounts


def find(mark: str) -> Groups | None:
    """The groups this process may make, below its own; `mark` tells one pad's from another's."""
    own, mounts = _own(), _mounts()
    return _second(own, mounts, mark) or _first(own, mounts, mark)


def _first(own: dict[str, str], mounts: dict[str, Path], mark: str) -> Groups | None:
    bases = []
    for controller in ("memory", "pids", "cpu"):
        mount = mounts.get(controller)
        if mount is None:
            continue
        here = mount / own.get(controller, "/").lstrip("/")
        base = (here if here.is_dir() else mount) / f"perijove-{mark}"
        try:
            base.mkdir(exist_ok=True)
            if controller == "memory":
                (base / "memory.use_hierarchy").write_text("1")
        except OSError:
            if not base.is_dir():
                continue
        bases.append((controller, base))
    names = [controller for controller, _ in bases]
    return Groups(1, tuple(base for _, base in bases)) if names[:2] == ["memory", "pids"] else None


def _second(own: dict[str, str], mounts: dict[str, Path], mark: str) -> Groups | None:
    if "" not in mounts or "" not in own:
        return None
    here = mounts[""] / own[""].lstrip("/")
    if here.name == OWN:  # an earlier pad moved our unit's processes there
        here = here.parent
    if not {"memory", "pids"} <= set(_read(here / "cgroup.controllers").split()) or not os.access(here, os.W_OK):
        return None
    try:
        (here / OWN).mkdir(exist_ok=True)
        (here / OWN / "cgroup.procs").write_text(f"{os.getpid()}")
        base = here / f"perijove-{mark}"
        for folder in (here, base):
            folder.mkdir(exist_ok=True)
            wanted = {"memory", "pids", "cpu"} & set(_read(folder / "cgroup.controllers").split())
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(wanted)))
    except OSError:
        return None
    return Groups(2, (base,))


def headroom() -> int | None:
    """Bytes that the groups this process is in still allow; None where none limits it."""
    left: list[int] = []
    for controller, limit, used, cache in (
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ("", "memory.max", "memory.current", "inactive_file"),
    ):
        for folder in _upwards(controller):
            most = _number(folder / limit)
            if 0 < most < 2**60:
                left.append(most - _number(folder / used) + _field(folder / "memory.stat", cache))
    return max(0, min(left)) if left else None


def processors() -> float:
    """How many processors this process and the groups it is in may use."""
    quotas = [_quota(folder) for controller in ("cpu", "") for folder in _upwards(controller)]
    return min([float(len(os.sched_getaffinity(0))), *(quota for quota in quotas if quota)])


def _quota(folder: Path) -> float:
    """Processors that a group allows; 0 for any number."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")  # version 2
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else 0


def _upwards(controller: str) -> Iterator[Path]:
    """The group this process is in, and those around it; none where the controller has no hierarchy of its own."""
    own, mounts = _own(), _mounts()
    if controller in mounts and controller in own:
        folder = mounts[controller] / own[controller].lstrip("/")
        while folder != mounts[controller].parent:
            yield folder
            folder = folder.parent
