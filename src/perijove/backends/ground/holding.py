"""Who holds our lock, and who our ports? In: paths, addresses. Out: processes as the kernel knows them. Looks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

from perijove.domain.ground import Listener
from perijove.domain.parsing import split_address

LOCKS = Path("/proc/locks")
"""proc_locks(5)."""


def holder(lock: Path, locks: Path = LOCKS) -> int:
    """The process that holds a lock of flock(2); 0 where none does. The lock itself is not touched."""
    try:
        inode = lock.stat().st_ino
        lines = locks.read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        words = [word for word in line.split() if word != "->"]
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
            pid = int(words[4])
            return pid if pid > 0 else _said(lock)
    return 0


def _said(lock: Path) -> int:
    """Of a process in another pid namespace the kernel has no number for us; what it wrote there itself, then."""
    try:
        text = lock.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isascii() and text.isdigit() else 0


def listeners(addresses: Iterable[str]) -> tuple[Listener, ...]:
    """Who listens at the ports of these addresses; none for a port where nobody does."""
    try:
        listening = (one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
        held = [(one.laddr.port, one.pid or 0) for one in listening if one.laddr]
    except psutil.Error:
        held = []
    found = []
    for address in addresses:
        port = split_address(address)[1]
        pids = sorted({pid for at, pid in held if at == port})
        found += [Listener(address, process(pid)) for pid in pids]
    return tuple(found)


def process(pid: int) -> str:
    """`caddy (process 12)`; `` for what this user may not see."""
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else ""
    except psutil.Error:
        return ""
