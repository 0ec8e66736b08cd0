"""What of a control plane keeps the work of pods and runs builds, in a process that is killed before its nth change.

A change is what outlives it: something written to the disk, asked of the cluster, or appended to the journal.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kept import KeptOnDisk
from perijove.backends.kubernetes import leftovers
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.builds import ClusterBuilds
from perijove.backends.kubernetes.manifests import Owner, Terms, Work
from perijove.backends.kubernetes.refusals import Answer
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Ready
from perijove.domain.keys import Keys
from perijove.domain.nouns import EndReason, ForeignRun, RepoAddress, ResolvedRepo, Room, SandboxSpec, Session
from perijove.domain.ports import Tell
from perijove.domain.ran import Ran
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.start.keeping import Keeping
from perijove.launching.start.sessions import SessionKeeper
from perijove.wiring.given import SystemClock
from tests.fakes.confined import do, spec, until
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.kept_pods import IMAGE, keeping_in
from tests.fakes.session_cluster import NAMESPACE

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://github.com/o/r", "HEAD", "r"), "1" * 40, "refs/heads/main")
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink")
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])
Changed = Callable[[], object]


def killed_at(number: int, root: Path) -> Changed:
    """To be called after each change that is none of the disk's, which are heard of here before they are made."""
    us, counted, lock = os.getpid(), itertools.count(1), threading.Lock()

    def changed() -> None:
        with lock:
            if next(counted) == number and os.getpid() == us:
                os.kill(us, signal.SIGKILL)

    def heard(event: str, args: tuple[Any, ...]) -> None:
        how = args[2] if event == "open" and isinstance(args[2], int) else 0
        if (event in WRITES or how & (os.O_WRONLY | os.O_RDWR)) and isinstance(args[0], (str, os.PathLike)):
            path = Path(args[0])
            if not path.is_absolute() or path.is_relative_to(root):
                changed()

    if number:
        sys.addaudithook(heard)
    return changed


class CountedCluster(Cluster):
    """Tells of each change that it is asked for, once it was made."""

    changed: Changed

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        answer = await super().ask(method, path, body, **options)
        if method != "GET":
            self.changed()
        return answer


@dataclass
class Plane:
    """As `wiring` joins it."""

    state: State
    terms: Terms
    api: Cluster
    sessions: KubernetesSessions
    keeper: SessionKeeper
    journal: Journal
    works: KeptOnDisk
    keeping: Keeping

    async def begin(self) -> None:
        """As at each start."""
        await self.keeper.recover()
        await leftovers.sweep(self.api, self.terms)

    async def live(self, name: str, number: int, key: str, home: Path, code: str) -> None:
        """A session of a visitor, who is given back what they left, works, and leaves."""
        session = Session(name, number, REPO, "environment", 0.0)
        async with aclosing(self.keeper.started(session, spec(name, home))) as told:
            async for _ in told:
                continue
        async with aclosing(self.keeping.entrusted(session, key, fresh=False)) as told:
            async for _ in told:
                continue
        self.journal.append(f"launch/{number}", Ready(name, session.path))
        await do(self.state, name, code)
        (self.state.root / f"{name}-worked").touch()
        self.sessions._keeping.look(name)
        await until((self.state.keeping / f"{name}.sealed").exists, 120)
        await self.keeper.stop(name, EndReason.IDLE)
        await self.over()

    async def over(self) -> None:
        """Until nothing waits."""
        places = self.state.keeping, self.state.unsealed

        def left() -> list[str]:
            return [*self.keeper.names, *(one.name for place in places for one in place.iterdir())]

        try:
            await until(lambda: not left(), 60)
        except TimeoutError:
            raise AssertionError(f"it is left: {left()}") from None


@asynccontextmanager
async def plane(state: State, config: Path, changed: Changed = lambda: None) -> AsyncIterator[Plane]:
    """One that runs; on leaving it is cut off."""

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        return Work(IMAGE)

    async def room_here() -> Room:
        return Room(1, 2, 3, 4)

    api, terms = CountedCluster(NAMESPACE, str(config)), Terms(NAMESPACE, grace=1)
    clock, settings = SystemClock(), Settings()
    api.changed = changed
    confined = ConfinedCalls()
    sessions = KubernetesSessions(api, terms, described, room_here, keeping_in(state, confined))
    works = KeptOnDisk(state, state.keeping)
    with closing(confined), closing(SqliteLedger(state.root / "perijove.db")) as ledger:
        journal = Journal(ledger, clock, lambda: settings.journal)
        journal.listeners.append(lambda _: changed())
        keeper = SessionKeeper(sessions, journal, Keys(b"s" * 32), clock, lambda: settings)
        keeping = Keeping(works, sessions, clock, lambda: settings)
        running = (sessions.supervise(), keeper.watch(), keeping.take_in())
        tasks = [asyncio.create_task(work, name="supervised") for work in running]
        try:
            yield Plane(state, terms, api, sessions, keeper, journal, works, keeping)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await api.close()


async def lived(state: State, config: Path, before: int, *life: Any) -> bool:
    """`Plane.live`, killed before that change (0: not at all); whether it came to its end."""
    return await came_to_its_end(_lived, before, state.root, state, config, *life)


async def _lived(changed: Changed, state: State, config: Path, *life: Any) -> None:
    async with plane(state, config, changed) as one:
        await one.live(*life)


async def built(state: State, config: Path, before: int, run: ForeignRun, into: Path) -> bool:
    """The same for a run as a Job."""
    return await came_to_its_end(_built, before, state.root, config, run, into)


async def _built(changed: Changed, config: Path, run: ForeignRun, into: Path) -> None:
    async with builds(config, changed) as one:
        assert await one.run(run, into, print) == Ran(0)


@asynccontextmanager
async def builds(config: Path, changed: Changed = lambda: None) -> AsyncIterator[ClusterBuilds]:
    """Those of a control plane that runs."""

    async def image(run: ForeignRun, tell: Tell) -> str:
        return IMAGE

    async def owner() -> Owner | None:
        return None

    api = CountedCluster(NAMESPACE, str(config))
    api.changed = changed
    with closing(ConfinedCalls()) as confined:
        try:
            yield ClusterBuilds(api, Terms(NAMESPACE), image, owner, confined, UnconfinedForeignCode())
        finally:
            await api.close()


def _run(work: Callable[..., Coroutine[Any, Any, None]], before: int, root: Path, given: tuple[Any, ...]) -> None:
    asyncio.run(work(killed_at(before, root), *given))


async def came_to_its_end(work: Callable[..., Coroutine[Any, Any, None]], before: int, root: Path, *given: Any) -> bool:
    """In a process of its own, which counts its changes below `root`."""
    process = PROCESSES.Process(target=_run, args=(work, before, root, given))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0
