"""Which processes belong to a sandbox, and what do they use? In: a process id; out: facts from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
STATES = {"R": "running", "S": "sleeping", "D": "waiting for disk", "T": "stopped", "Z": "ended", "t": "traced"}


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat."""

    pid: int
    parent: int
    name: str
    state: str
    cpu: float
    """Seconds, its own and its reaped children's."""
    threads: int
    reserved: int
    """Bytes of address space."""
    resident: int
    """Bytes."""
    foreground: bool = False
    """Whether it is what a terminal's shell waits for, or what that has started: it is not the shell itself."""


def snapshot() -> dict[int, Process]:
    """All processes that can be seen now."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = look(int(name))
            if process is not None:
                found[process.pid] = process
    return found


_last: tuple[float, dict[int, Process]] = (0.0, {})


def recent(age: float = 0.4) -> dict[int, Process]:
    """All processes as they were at most `age` seconds ago, so that many watchers share one look."""
    global _last  # noqa: PLW0603 - a cache of what /proc says
    now = time.monotonic()
    if now - _last[0] > age:
        _last = (now, snapshot())
    return _last[1]


def look(pid: int) -> Process | None:
    """One process, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    cpu = sum(int(field) for field in fields[11:15]) / TICKS
    group, session, terminal, front = (int(field) for field in fields[2:6])
    return Process(
        pid=pid,
        parent=int(fields[1]),
        name=name,
        state=fields[0],
        cpu=cpu,
        threads=int(fields[17]),
        reserved=int(fields[20]),
        resident=int(fields[21]) * PAGE,
        foreground=bool(terminal) and group == front != session and fields[0] != "Z",
    )


def family(root: int, world: Mapping[int, Process]) -> list[Process]:
    """A process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for process in world.values():
        children.setdefault(process.parent, []).append(process.pid)
    pending, found = [root], []
    while pending:
        pid = pending.pop(0)
        if pid in world:
            found.append(world[pid])
        pending += children.get(pid, [])
    return found


def children(pid: int) -> list[int]:
    """Direct children of a single-threaded process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def program(pid: int) -> tuple[int, int] | None:
    """Which file a process runs, or None when it is gone or hidden from us."""
    try:
        facts = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def waited(pid: int) -> float:
    """Seconds that its threads were ready to run and no processor was free; 0 where the kernel does not count them.

    The second number of schedstat, which each thread has for itself (Documentation/scheduler/sched-stats.rst).
    """
    waited = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited += int(path.read_text().split()[1])
        except (OSError, IndexError):
            continue
    return waited / 1e9


def waiting_for(pid: int) -> str:
    """A word on what a process does now: `sleeping in do_epoll_wait`."""
    process = look(pid)
    if process is None:
        return "gone"
    state = STATES.get(process.state, process.state)
    try:
        place = Path(f"/proc/{pid}/wchan").read_text().strip()
    except OSError:
        place = ""
    return f"{state} in {place}" if place not in {"", "0"} else state


def kill(processes: Sequence[Process]) -> None:
    """SIGKILL each that is still there."""
    for process in processes:
        kill_one(process.pid)


def kill_one(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
