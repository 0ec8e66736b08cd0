"""What a sandbox does to its limits while it runs: memory and disk, looked at again and again.

In: a box; out: failures told while it goes on, and a doom (reason, detail) when it must end. Kills, but never clears.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from perijove.backends.pad import home, memory, processes
from perijove.backends.pad.box import Box
from perijove.domain.failures import KERNEL_MEMORY, SESSION_DISK, SESSION_DISK_SOON, Evidence, Failure
from perijove.domain.nouns import EndReason
from perijove.domain.server_failures import TOO_MANY_PROCESSES
from perijove.domain.sizes import size

TICK = 0.5
"""Seconds between two looks at the memory."""
DISK_TICK = 1.0
OVERRUN = 64 * 1024 * 1024
"""Bytes beyond the disk's limit that a session may grow before it is ended."""
NEARLY_FULL = 8 * 1024 * 1024
SOON, SOON_AGAIN = 0.9, 0.8
"""Of the disk, from which on it is told that it fills up, and below which it may be told anew."""
NEARLY_ALL = 0.95
"""Of the processes and threads, where nothing counts what was refused: those that were too many are gone at a look."""
TOLD_AGAIN = 60.0
"""Seconds after which it is told once more that there are too many: Jupyter starts a kernel that dies five times."""
EXPENDABLE = 500
"""oom_score_adj of all but the server, so that the kernel kills these first."""


class Watch:
    """Looks after one box until it is cancelled or the box is doomed."""

    def __init__(self, box: Box, trouble: Callable[[Failure], None]) -> None:
        self.doom: tuple[EndReason, str] | None = None
        self._box = box
        self._trouble = trouble
        self._killed = self._noticed = self._refused = 0
        self._refusal_told = -TOLD_AGAIN
        self._expendable: set[int] = set()
        self._disk_told = self._soon_told = False
        self.short: Evidence | None = None
        """What was seen when the disk that holds its files had no room left: not its own doing."""

    async def run(self) -> None:
        """Never returns by itself."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._memory(), name=f"memory of {self._box.order.name}")
            tasks.create_task(self._disk(), name=f"disk of {self._box.order.name}")

    async def _memory(self) -> None:
        while True:
            if self._box.group is not None:
                self._look_at_group()
            else:
                self._look_at_processes()
            self._look_at_their_number()
            await asyncio.sleep(TICK)

    def unseen_kills(self) -> bool:
        """Whether the kernel has killed for memory since that was last told."""
        return self._box.group is not None and self._box.group.killed() > self._killed

    def _look_at_group(self) -> None:
        group = self._box.group
        assert group is not None
        killed = group.killed()
        server = processes.look(self._box.server)
        # One that is being killed has given up its memory; one that shall be may not know yet: it is looked at twice.
        if killed > self._killed and server is not None and server.state != "Z" and server.resident:
            if killed == self._noticed:
                self._killed = killed
                self._tell_kill("the kernel", Evidence(group.killed_where(), f"{killed}"))
            self._noticed = killed
        spared = self._box.spared
        for pid in set(group.processes()) - spared - self._expendable:
            self._expendable.add(pid)
            _make_expendable(pid)

    def _look_at_processes(self) -> None:
        limit, family, root = self._box.order.limits.memory, self._box.family(), self._box.sandbox_root
        if memory.most(family, root).all <= limit:
            return
        held = memory.exactly(family, root)
        if held.all <= limit:
            return
        victims = [process for process in family if process.pid not in self._box.spared]
        if not victims:
            detail = f"its server and its files in memory held {size(held.all)}; {size(limit)} are allowed"
            self.doom = (EndReason.MEMORY, detail)
            self._box.kill()
            return
        largest = max(victims, key=lambda process: process.resident)
        processes.kill([largest])
        self._tell_kill("Perijove", Evidence("/proc", f"{held.words}; {largest.name} was the largest process"))

    def _tell_kill(self, who: str, seen: Evidence) -> None:
        limit = self._box.order.limits.memory
        allowed = Evidence("session.memory", size(limit))
        self._trouble(
            KERNEL_MEMORY(f"the session reached its {size(limit)} and {who} ended a process of it", allowed, seen)
        )

    def _look_at_their_number(self) -> None:
        limit, now = self._box.order.limits.processes, time.monotonic()
        if self._box.group is not None:
            refused, before = self._box.group.refused(), self._refused
            self._refused = refused
            if refused <= before:
                return
            cause, seen = f"it reached its {limit}", Evidence("pids.events max", f"{refused}")
        else:
            count = sum(process.threads for process in self._box.family())
            if count < NEARLY_ALL * limit:
                return
            cause, seen = f"it has {count} of its {limit}", Evidence("/proc", f"{count} processes and threads")
        if now - self._refusal_told < TOLD_AGAIN:
            return
        self._refusal_told = now
        most = sorted(self._box.family(), key=lambda process: process.threads, reverse=True)[:3]
        held = ", ".join(f"{process.name} (process {process.pid}): {process.threads}" for process in most)
        allowed = Evidence("session.processes", f"{limit}")
        self._trouble(TOO_MANY_PROCESSES(cause, allowed, seen, Evidence("most of them", held)))

    async def _disk(self) -> None:
        while True:
            began = time.monotonic()
            if self._box.quota is not None:
                self.look_at_quota()
            else:
                self._box.disk = sum([await home.usage(folder) for folder in self._box.written])
                self._judge_disk()
            took = time.monotonic() - began
            await asyncio.sleep(max(DISK_TICK, 10 * took))

    def _judge_disk(self) -> None:
        """Where nothing but us holds the home to its limit."""
        limit, used = self._box.order.limits.disk, self._box.disk
        if used > limit + OVERRUN:
            self.doom = (EndReason.DISK, f"its files grew to {size(used)}; {size(limit)} are allowed")
            self._box.kill()
            return
        free = self._look_below(home.free(self._box.home))
        if used < limit and free > NEARLY_FULL:
            self._disk_told = self._disk_told and used > limit * SOON
            self._tell_soon(used)
            return
        self._tell_disk(free, f"its files take {size(used)} of {size(limit)}")

    def look_at_last(self) -> None:
        """Once its command has ended: what filled its disk may have been its end."""
        if self._box.quota is None:
            self._look_below(home.free(self._box.home))
        self.look_at_quota()

    def _look_below(self, free: int) -> int:
        if free <= NEARLY_FULL:
            self.short = Evidence("disk of the state directory", f"{size(free)} are free")
        return free

    def look_at_quota(self) -> None:
        """Where the home has a disk of its own, which holds no more than its limit."""
        if self._box.quota is None:
            return
        limit, look = self._box.order.limits.disk, self._box.quota.look()
        self._box.disk = look.used
        self._look_below(look.below)
        if not look.full and look.below > NEARLY_FULL:
            self._disk_told = self._disk_told and look.used > limit * SOON
            self._tell_soon(look.used)
            return
        full = f"its files take {size(look.used)} of {size(limit)}"
        self._tell_disk(look.below, full if look.files else "it has as many files as its disk can hold")

    def _tell_soon(self, used: int) -> None:
        limit = self._box.order.limits.disk
        if used > limit * SOON and not (self._soon_told or self._disk_told):
            self._soon_told = True
            where = Evidence("home", f"{size(used)} used, {size(limit)} allowed")
            self._trouble(SESSION_DISK_SOON(f"its files take {size(used)} of {size(limit)}", where))
        elif used < limit * SOON_AGAIN:
            self._soon_told = False

    def _tell_disk(self, free: int, full: str) -> None:
        if self._disk_told:
            return
        self._disk_told = True
        used, limit = self._box.disk, self._box.order.limits.disk
        cause = full if free > NEARLY_FULL else f"{size(free)} are left on the disk that holds them"
        where = Evidence("home", f"{size(used)} used, {size(limit)} allowed, {size(free)} free on the disk")
        self._trouble(SESSION_DISK(cause, where))


def _make_expendable(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text(f"{EXPENDABLE}")
    except OSError:  # gone, or not ours to change: the kernel then picks the largest
        return
