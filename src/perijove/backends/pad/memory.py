"""What memory does a sandbox hold where no control group counts it? In: its processes. Out: bytes, from /proc.

Counted is what shows somewhere: pages of processes, swapped ones and page tables too, files in memory, open files and
sockets. What shows nowhere (memfds, System V memory) `seccomp` refuses there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.pad.processes import Process
from perijove.backends.pad.sandbox import IN_MEMORY
from perijove.domain.sizes import size

REACH = 512
"""Bytes of address space for a byte of page tables: one of 4 KiB maps 2 MiB."""
INODE = 1024
"""Bytes that the kernel keeps of a file in memory, however empty."""
FEW_FILES, OPEN_FILE = 2048, 8192
"""Open files that a sandbox has for nothing; what one beyond may hold: two pages of a pipe (pipe(7))."""
FEW_SOCKETS, SOCKET = 512, 208 * 1024
"""The same of sockets: what waits in one (net.core.wmem_default)."""
LOOK_LIMIT = 0.2
"""Seconds that the exact look at one sandbox may take; from then on a process counts as the cheap look has it."""


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes."""

    processes: int
    files: int
    """In its folders in memory."""
    kernel: int
    """For its page tables, open files and sockets."""

    @property
    def all(self) -> int:
        return self.processes + self.files + self.kernel

    @property
    def words(self) -> str:
        """For evidence."""
        held = f"{size(self.processes)} of processes, {size(self.files)} of files in memory"
        return f"{held}, {size(self.kernel)} for it in the kernel"


def most(family: Sequence[Process], root: int | None) -> Held:
    """What it holds at most, by a cheap look. `root` is its first process, None where it is no sandbox."""
    resident = sum(process.resident for process in family) + _swapped()
    tables = sum(process.reserved for process in family) // REACH
    return Held(resident, _files(root)[0], tables + _open(family, root))


def exactly(family: Sequence[Process], root: int | None) -> Held:
    """The same, with what processes share counted once."""
    until = time.monotonic() + LOOK_LIMIT
    pages = shared = tables = 0
    for process in sorted(family, key=lambda process: process.resident, reverse=True):
        sizes = _sizes(process.pid) if time.monotonic() < until else {}
        pages += sizes.get("Pss", process.resident) + sizes.get("SwapPss", 0)
        shared += sizes.get("Pss_Shmem", 0)
        tables += sizes.get("VmPTE", 0)
    files, blocks = _files(root)
    # Pages of files in memory that are mapped show in both.
    return Held(pages - min(shared, blocks), files, tables + _open(family, root))


def _sizes(pid: int) -> dict[str, int]:
    """Bytes by their name in smaps_rollup and status; empty where they may not be read."""
    sizes = {}
    for file in ("smaps_rollup", "status"):
        try:
            text = Path(f"/proc/{pid}/{file}").read_text()
        except OSError:
            return {}
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                sizes[name] = int(value[:-3]) * 1024
    return sizes


def _files(root: int | None) -> tuple[int, int]:
    """Of its folders in memory: all that they take, and their blocks alone."""
    inodes = blocks = 0
    for folder in IN_MEMORY if root else ():
        with contextlib.suppress(OSError):  # it is gone
            facts = os.statvfs(f"/proc/{root}/root{folder}")
            inodes += facts.f_files - facts.f_ffree
            blocks += (facts.f_blocks - facts.f_bfree) * facts.f_frsize
    return blocks + inodes * INODE, blocks


def _open(family: Sequence[Process], root: int | None) -> int:
    """What open files and sockets may hold, the usual number of them for nothing."""
    files = sockets = 0
    for process in family:
        with contextlib.suppress(OSError):
            files += os.stat(f"/proc/{process.pid}/fd").st_size  # since Linux 6.2; 0 before
    if root:
        with contextlib.suppress(OSError, ValueError, IndexError):
            sockets = int(Path(f"/proc/{root}/net/sockstat").read_text().split()[2])
    return max(files - FEW_FILES, 0) * OPEN_FILE + max(sockets - FEW_SOCKETS, 0) * SOCKET


def _swapped() -> int:
    """What the whole machine has in its swap: some of it may be this sandbox's."""
    sizes = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        sizes[name] = int(value.split()[0]) * 1024
    return sizes["SwapTotal"] - sizes["SwapFree"]
