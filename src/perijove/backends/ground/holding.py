"""Who holds our lock, and who our ports? In: paths, addresses. Out: processes as the kernel knows them. Looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from perijove.domain.ground import Listener, Process
from perijove.domain.parsing import split_address

LOCKS = Path("/proc/locks")
"""proc_locks(5)."""


PENDING = 0x40000000
HELD = 1.2
"""Seconds for which a lock is held by somebody who does not let go: the service waits for one."""
PAUSE = 0.1


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


_DOING = {psutil.STATUS_DISK_SLEEP: "waiting for a disk", psutil.STATUS_TRACING_STOP: "stopped by a debugger"}


def process_of(lock: Path) -> Process:
    """Who holds the lock, and what that process does now."""
    pid = holder(lock)
    try:
        doing = psutil.Process(pid).status() if pid else ""
    except psutil.Error:
        doing = ""
    return Process(pid, _DOING.get(doing, doing))


READS, ONE_READ = 3, 3000
"""Beyond a page the kernel writes in pieces (fs/seq_file.c), between which a line is missed where others unlock."""


def writer(database: Path, locks: Path = LOCKS) -> int:
    """Who keeps all others from writing to a database of SQLite's, for longer than it waits itself; 0 for nobody.

    Its locks are records of POSIX: of a write-ahead log byte 120 of the `-shm` file (walformat.html, 2.3.1), else those
    from PENDING_BYTE on (`os.h` of 3.40). Nothing is locked to find out.
    """
    until, first = time.monotonic() + HELD, _writer(database, locks)
    while first and time.monotonic() < until:
        time.sleep(PAUSE)
        if _writer(database, locks) != first:
            return 0
    return first


def _writer(database: Path, locks: Path) -> int:
    shared = database.with_name(f"{database.name}-shm")
    try:
        inodes = {str(shared.stat().st_ino): (120, 120)} if shared.exists() else {}
        inodes[str(database.stat().st_ino)] = (PENDING, PENDING + 1)
        for _ in range(READS):
            text = locks.read_text()
            if (pid := _locked(text, inodes)) or len(text) < ONE_READ:
                return pid
    except OSError:
        pass
    return 0


def _locked(text: str, inodes: dict[str, tuple[int, int]]) -> int:
    """Who has a lock on these bytes of one of these files."""
    lines = [line.split() for line in text.splitlines() if "->" not in line]
    for _, kind, _, how, pid, where, start, end in (words for words in lines if len(words) == 8):
        bytes_of = inodes.get(where.rpartition(":")[2])
        last = sys.maxsize if end == "EOF" else int(end)
        if bytes_of and (kind, how) == ("POSIX", "WRITE") and int(start) <= bytes_of[1] and last >= bytes_of[0]:
            return max(0, int(pid))
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


def since(pid: int) -> float:
    """When a process began, Unix seconds; 0 for what this user may not see."""
    try:
        return psutil.Process(pid).create_time() if pid else 0.0
    except psutil.Error:
        return 0.0


def process(pid: int) -> str:
    """`caddy (process 12)`; `` for what this user may not see."""
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else ""
    except psutil.Error:
        return ""
