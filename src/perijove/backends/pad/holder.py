"""All sandboxes of this pad: sessions that come and go, and foreign runs that return. Lives in the pad process.

In: orders; out: events of sessions through `tell`, answers to questions. One task sees each sandbox to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from perijove import durable
from perijove.backends.pad import cgroups, filling, giving, ground, home, memory, overlays, processes, unsandboxed
from perijove.backends.pad.box import Box
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.fork_server import ForkServers
from perijove.backends.pad.gate import Gate
from perijove.backends.pad.keeping import ENDING, Keeping, Note
from perijove.backends.pad.watch import Watch
from perijove.backends.pad.wire import Order
from perijove.domain import failures as rows
from perijove.domain.activity import Activity
from perijove.domain.events import SessionEnded, SessionEvent, SessionLogged, SessionTroubled
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import GivenBack, KeepTerms
from perijove.domain.nouns import EndReason, Room, RunningSandbox
from perijove.domain.ran import Ran
from perijove.domain.sizes import size
from perijove.domain.state import State
from perijove.session_events import IN_WORDS


class Holder:
    """The sandboxes of one pad."""

    def __init__(
        self, state: State, footing: Footing, tell: Callable[[SessionEvent], None], ring: Callable[[], None]
    ) -> None:
        """`ring` is called when kept work waits to be fetched."""
        self._state = state
        self._footing = footing
        self._tell = tell
        self._boxes: dict[str, Box] = {}
        self._stops: dict[str, EndReason] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: set[Box] = set()
        self._numbers = count(1)
        self._gate = Gate(footing)
        self._forks = ForkServers(footing)
        self._tried = False
        self.keeping = Keeping(state, footing.master, ring)
        self._keeping_left: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> list[str]:
        return list(self._boxes)

    @property
    def sandboxed(self) -> bool:
        return self._footing.sandboxed

    @property
    def idle(self) -> bool:
        return not self._tasks and not self._runs and not self._keeping_left

    async def footing(self) -> Footing:
        """Raises Fail: `platform.namespaces-forbidden`, `platform.seccomp-missing` where there can be no sandbox."""
        if not self._tried:
            await ground.try_out(self._footing)
            self._footing.copied = await ground.why_copied(self._footing, self._state.pad)
            self._tried = True
        return self._footing

    async def start(self, order: Order) -> None:
        """Raises Fail: `start.*`, `platform.*`."""
        await self.footing()
        if order.name in self._tasks:
            raise Fail(rows.SANDBOX_FAILED("a session of this name runs already", Evidence("session", order.name)))
        box = self._box(order)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks[order.name] = asyncio.create_task(self._tend(box, started), name=f"session {order.name}")
        await started

    async def isolation(self) -> Isolation:
        """Raises Fail, as `footing`."""
        return replace((await self.footing()).isolation(), started=self._forks.why)

    async def warm(self, order: Order) -> str:
        """Have a fork server for such orders, and wait for it; why there is none, or ``. Raises Fail, as `footing`."""
        await self.footing()
        return await self._forks.settled(order)

    def _box(self, order: Order) -> Box:
        sockets = self._state.session_sockets / f"{order.name}.sock"
        disk = self._state.home_disks / f"{order.name}.ext4"
        return Box(order, self._footing, self._state.sessions / order.name, sockets, disk, self._forks)

    async def _tend(self, box: Box, started: asyncio.Future[None]) -> None:
        name = box.order.name
        try:
            try:
                await box.open(lambda line: self._tell(SessionLogged(name, line)))
                await self._gate.add(box, lambda line: self._tell(SessionLogged(name, line)))
            except Exception as error:  # noqa: BLE001 - whoever asked for the start gets it
                await box.clear()
                started.set_exception(error)
                return
            self._boxes[name] = box
            started.set_result(None)
            if name in self._stops:
                box.kill()
            await self._see_to_its_end(box)
        finally:
            self._tasks.pop(name, None)
            self._stops.pop(name, None)

    async def _see_to_its_end(self, box: Box) -> None:
        name = box.order.name
        watch = Watch(box, lambda failure: self._tell(SessionTroubled(name, failure)))
        code = await self._watched(box, watch)
        self._boxes.pop(name, None)
        reason, detail = self._why(box, watch, code)
        exited = code if reason in {EndReason.EXITED, EndReason.MEMORY} else None
        box.hang_up()
        self._gate.remove(box)
        await box.end()
        kept = await self.keeping.ended(name, box.home)
        self._tell(SessionEnded(name, reason, detail, exited))
        if kept:
            await box.clear()

    async def fill(self, name: str, home_from: Path) -> None:
        """Raises Fail: `start.sandbox-failed`, `start.disk-full`."""
        box = self._boxes.get(name)
        if box is None:
            raise Fail(rows.SANDBOX_FAILED("it is over before its home was filled", Evidence("session", name)))
        await filling.fill(box, home_from, self._footing.master)

    async def keep(self, name: str, terms: KeepTerms) -> None:
        """Have a session's changes kept when it ends; nothing where it is over.

        Raises Fail: `platform.disk-full`, `platform.state-unusable`.
        """
        if box := self._boxes.get(name):
            with durable.told(self._state.keep_notes):
                self.keeping.intend(name, Note(terms, box.order.home_from, box.uid))

    async def give_back(self, name: str, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        """Kept work into a session's home, as its master can read it; nothing where the session is over.

        Raises Fail: `session.kept-unreadable`; OSError.
        """
        box = self._boxes.get(name)
        if box is None:
            return GivenBack()
        used = sum([await home.usage(path) for path in box.written])
        room = box.order.limits.disk - used
        return await giving.give_back(archive, opens, box.home, room, box.uid, self._footing.master, same_commit)

    async def _watched(self, box: Box, watch: Watch) -> int:
        watching = asyncio.create_task(watch.run(), name=f"watch of {box.order.name}")
        try:
            code = await box.ended()
            watch.look_at_last()
            return code
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            if not watching.cancelled() and (error := watching.exception()) is not None:
                traceback.print_exception(error)  # to the pad's log; the session's end must be told all the same

    def _why(self, box: Box, watch: Watch, code: int) -> tuple[EndReason, str]:
        asked = self._stops.get(box.order.name)
        if asked is not None:
            return asked, IN_WORDS.get(asked, asked.value)
        if watch.doom is not None:
            return watch.doom
        if code == -9 and watch.unseen_kills():
            return (
                EndReason.MEMORY,
                f"its server was killed when the session reached its {size(box.order.limits.memory)} of memory",
            )
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return EndReason.EXITED, f"its server {how}"

    async def stop(self, name: str, reason: EndReason) -> None:
        """End it and wait until nothing is left of it."""
        task = self._tasks.get(name)
        if task is None:
            return
        self._stops.setdefault(name, reason)
        if name in self._boxes:
            self._boxes[name].kill()
        await asyncio.wait([task])

    async def stop_all(self, reason: EndReason) -> None:
        for box in self._runs:
            box.kill()
        stops = [self.stop(name, reason) for name in list(self._tasks)]
        await asyncio.gather(*stops)
        await self._gate.close()
        await self._forks.close()

    def running(self, session: str | None = None) -> list[RunningSandbox]:
        """All, or one of them."""
        found, asked = [], {name: box for name, box in self._boxes.items() if session in (None, name)}
        for number, (name, box) in enumerate(asked.items()):
            family = box.family(0.4 if number or session else 0)
            held = box.group.memory() if box.group is not None else memory.exactly(family, box.sandbox_root).all
            threads, limits = sum(process.threads for process in family), box.order.limits
            found.append(RunningSandbox(name, box.started_at, held, box.disk, len(family), threads, limits))
        return found

    def activity(self, name: str) -> Activity:
        """What all its processes have done, and what its server does."""
        box = self._boxes.get(name)
        if box is None:
            return Activity(0, 0, queued=False, doing="gone")
        family = box.family(0.2)
        waited = sum(processes.waited(process.pid) for process in family)
        queued = any(process.state in {"R", "D"} for process in family)
        used, jobs = sum(process.cpu for process in family), sum(process.foreground for process in family)
        return Activity(used, waited, queued, processes.waiting_for(box.server), jobs)

    def room(self) -> Room:
        memory = _available()
        left = cgroups.headroom()
        disk = os.statvfs(self._state.root)
        memory = min(memory, left) if left is not None else memory
        return Room(memory, disk.f_bavail * disk.f_frsize, disk.f_favail, cgroups.processors())

    @contextlib.asynccontextmanager
    async def ran(
        self, order: Order, result: str | None, timeout: float, line: Callable[[str], None]
    ) -> AsyncIterator[tuple[Ran, str]]:
        """Run foreign code to its end: how it ended, and the folder of `state.handed` with its result meanwhile.

        Raises Fail as `ForeignCode.run` says.
        """
        handed = self._state.handed / f"{order.name}.{next(self._numbers)}"
        try:
            yield await self._run(order, result, handed, timeout, line), handed.name
        finally:
            await asyncio.shield(home.remove(handed))

    async def _run(
        self, order: Order, result: str | None, handed: Path, timeout: float, line: Callable[[str], None]
    ) -> Ran:
        await self.footing()
        box = self._box(order)
        troubles: list[Failure] = []
        self._runs.add(box)
        try:
            await box.open(line)
            await self._gate.add(box, line)
            watch = Watch(box, troubles.append)
            try:
                async with asyncio.timeout(timeout):
                    code = await self._watched(box, watch)
            except TimeoutError as error:
                where = Evidence(" ".join(order.command)[:500], f"still ran after {timeout:.0f} s")
                withheld = (Evidence("egress proxy", one.said) for one in self._gate.unreached(box))
                raise Fail(rows.BUILD_TOO_SLOW("a package's own build did not end", where, *withheld)) from error
            unreached = self._gate.unreached(box)
            _judge(box, watch, code, troubles)
            box.kill()
            await _written(box)
            if result is None:
                master = self._footing.master
                await overlays.take_layers(box.home, box.laid, handed, order.limits, master, system=order.system)
            else:
                await home.take_out(box.home, result, handed, order.limits.disk, self._footing.master)
            return Ran(code, unreached)
        finally:
            self._runs.discard(box)
            self._gate.remove(box)
            await asyncio.shield(box.clear())

    async def sweep(self) -> None:
        """Remove what an earlier pad left: its sandboxes died with it, their traces did not."""
        if self._footing.groups is not None:
            self._footing.groups.sweep()
        if not self._footing.sandboxed:
            for pid in unsandboxed.marked(self._state.sessions):
                processes.kill_one(pid)
        for path in self._state.session_sockets.iterdir():
            path.unlink()
        kept = {self._state.handed / f"{name}{ENDING}" for name in self.keeping.waiting()}
        left = self.keeping.left()
        for path in (*self._state.sessions.iterdir(), *self._state.handed.iterdir()):
            if path.name in left and path.parent == self._state.sessions:
                task = asyncio.create_task(self._keep_left(path, left[path.name]), name=f"{path.name}, left")
                self._keeping_left.add(task)
                task.add_done_callback(self._keeping_left.discard)
            elif path not in kept:
                await home.remove(path)
        there = {path.name for path in self._state.sessions.iterdir()}
        for name in left.keys() - there:
            self.keeping.forget(name)
        for image in self._state.home_disks.glob("*.ext4"):
            if image.stem not in left.keys() & there:
                image.unlink()

    async def _keep_left(self, folder: Path, note: Note) -> None:
        """What an earlier pad was killed over."""
        self._footing.hold_uid(note.uid)
        name, disk = folder.name, None
        image = self._state.home_disks / f"{name}.ext4"
        if image.exists():
            try:
                disk = await self._footing.disks.left(image, folder / "own") if self._footing.disks else None
            except (OSError, TimeoutError) as error:
                print(f"the disk of {name} is given up: {error}", file=sys.stderr, flush=True)  # noqa: T201
        kept = await self.keeping.ended(name, folder / "own" / "home")
        if disk is not None:
            await disk.close()
        if kept:
            image.unlink(missing_ok=True)
            overlays.clear(folder)
            await home.remove(folder)
        self._footing.give_back(note.uid)

    async def close(self) -> None:
        """Once all has ended: take away what the pad itself made."""
        if self._footing.groups is not None:
            self._footing.groups.remove()


async def _written(box: Box) -> None:
    """Lest a result that the disk below its own did not take has holes. Raises Fail: `build.disk-full`."""
    if box.quota is None:
        return
    try:
        await box.quota.written()
    except OSError as error:
        where = Evidence(str(box.quota.folder), str(error))
        raise Fail(rows.BUILD_DISK("the disk of the state directory had no room for it", where)) from error


def _judge(box: Box, watch: Watch, code: int, troubles: list[Failure]) -> None:
    limits = box.order.limits
    memory = [failure for failure in troubles if failure.kind.code == "session.kernel-out-of-memory"]
    if code != 0 and (memory or watch.unseen_kills() or (watch.doom and watch.doom[0] is EndReason.MEMORY)):
        evidence = memory[0].evidence if memory else (Evidence("build.memory", size(limits.memory)),)
        raise Fail(rows.BUILD_MEMORY(f"it reached its {size(limits.memory)}", *evidence))
    if code != 0 and watch.short:
        raise Fail(rows.BUILD_DISK("the disk of the state directory had no room for what it writes", watch.short))
    disk = [failure for failure in troubles if failure.kind is rows.SESSION_DISK]
    if (watch.doom and watch.doom[0] is EndReason.DISK) or (code != 0 and disk):
        evidence = disk[0].evidence if disk else (Evidence("build.disk", size(limits.disk)),)
        raise Fail(rows.BUILD_TOO_LARGE(f"it wrote more than {size(limits.disk)}", *evidence))


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
