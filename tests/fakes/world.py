"""A world in memory that obeys the ports, with personas for what goes wrong."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from perijove import kept_files
from perijove.domain.activity import NO_NOTICES, Activity, Notices, ServerStatus, ServerUse
from perijove.domain.build_inputs import BuildInputs, Interpreter, Wanted
from perijove.domain.events import SessionEnded, SessionHappening, SessionLogged
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail, Failure
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import Change, GivenBack, KeepTerms, KeptWork
from perijove.domain.nouns import (
    Checkout,
    EndReason,
    Environment,
    EnvironmentKey,
    EnvironmentPlan,
    Mount,
    RefNames,
    RepoAddress,
    ResolvedRepo,
    Room,
    RunningSandbox,
    SandboxSpec,
    SessionName,
    StoredEnvironment,
)
from perijove.domain.ports import Place, Tell

COMMIT = "1" * 40
NAMES = RefNames(("main", "feature/x"), ("v1",))
_ASKED = Checkout(ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), COMMIT, ""), Path("/r"))
INPUTS = BuildInputs(Wanted(), Interpreter("3.12.1", Path("/usr/bin/python3.12"), Path("/usr")), _ASKED, "fake")
"""What every environment of this world is made from."""


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps; a sleep lets everybody else run first."""

    time: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@dataclass
class FakeRepositories:
    """Every repository exists; `fails` are raised one after the other first."""

    folder: Path
    fails: list[Failure] = field(default_factory=list)
    fetch_fails: list[Failure] = field(default_factory=list)
    gate: asyncio.Event | None = None
    private: bool = False
    """Whether the operator's credentials open them."""
    persons: bool = False
    """Whether the token of whoever launches opens them."""
    names: RefNames = NAMES
    listed: int = 0
    """How often their names were asked for."""

    async def resolve(self, address: RepoAddress, person: str = "") -> ResolvedRepo:
        if self.fails:
            raise Fail(self.fails.pop(0))
        whose = person if self.persons else ""
        return ResolvedRepo(address, COMMIT, "refs/heads/main", self.private or bool(whose), whose)

    async def refs(self, address: RepoAddress) -> RefNames:
        self.listed += 1
        if self.fails:
            raise Fail(self.fails.pop(0))
        return self.names

    async def fetch(self, repo: ResolvedRepo, tell: Tell) -> Checkout:
        tell("fetching")
        if self.gate is not None:
            await self.gate.wait()
        if self.fetch_fails:
            raise Fail(self.fetch_fails.pop(0))
        return Checkout(repo, self.folder)

    async def prune(self, keep: Collection[ResolvedRepo]) -> int:
        return 0


@dataclass
class FakeEnvironments:
    """Builds at once, unless `gate` is closed or `fails` has something."""

    fails: list[Failure] = field(default_factory=list)
    gate: asyncio.Event | None = None
    built: dict[str, Environment] = field(default_factory=dict)
    builds: int = 0
    turn: int = 0
    server: tuple[Mount, ...] = ()
    """What their servers run on: with some they can be blank."""
    says: tuple[str, ...] = ("building",)

    async def inputs(
        self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell, *, again: bool = False
    ) -> BuildInputs:
        return replace(INPUTS, turn=self.turn + again)

    async def resolved(self, inputs: BuildInputs) -> Environment | None:
        return self.built.get(inputs.name)

    async def find(self, key: EnvironmentKey) -> Environment | None:
        return self.built.get(key)

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        key = inputs.name
        async with place():
            self.builds += 1
            for line in self.says:
                tell(line)
            if self.gate is not None:
                await self.gate.wait()
            if self.fails:
                raise Fail(self.fails.pop(0))
        self.turn = inputs.turn
        self.built[key] = Environment(
            key, Path("/env"), "3.12.1", ("python", "serve.py"), (("PATH", "/env/bin"),), (), self.server
        )
        return self.built[key]

    async def stored(self) -> Sequence[StoredEnvironment]:
        return [StoredEnvironment(key, "3.12.1", "somebody", 1000, 1.0, 1.0) for key in self.built]

    async def remove(self, key: EnvironmentKey) -> None:
        self.built.pop(key, None)

    async def tidy(self) -> None:
        return None


class FakeSessions:
    """Sandboxes that answer at once. Subclasses are the personas."""

    def __init__(self, room: Room | None = None) -> None:
        self.specs: dict[SessionName, SandboxSpec] = {}
        self.fills = True
        self.unanswered: Failure | None = None
        self.hangs = False
        self.before_stop: Callable[[], Awaitable[None]] | None = None
        """Why whoever holds them does not answer."""
        self.left = room or Room(8 * 1024**3, 100 * 1024**3, 1_000_000, 2)
        self.stopped: list[tuple[SessionName, EndReason]] = []
        self.last_activity = 1_000_000.0
        self.server_use = ServerUse(0, 0, 0, 0)
        self.jobs = 0
        self.told = NO_NOTICES
        """What its server was told last."""
        self.missed: list[SessionHappening] = []
        """What happened while nobody listened; the next reader is told it first."""
        self.handed = Path()
        self.homes: dict[SessionName, dict[str, bytes]] = {}
        """What was changed there."""
        self.terms: dict[SessionName, KeepTerms] = {}
        self.variables: dict[SessionName, dict[str, str]] = {}
        """What their servers were told that they are for."""
        self.now: Callable[[], float] = lambda: 1_000_000.0
        self._kept = asyncio.Event()
        self.all_fetched = False
        """Whether whoever fetches what is kept has done all with it, and waits for more."""
        self._readers: list[asyncio.Queue[SessionHappening]] = []

    async def start(self, spec: SandboxSpec) -> None:
        self.specs[spec.session] = spec

    async def fill(self, session: SessionName, home_from: Path) -> None:
        if session not in self.specs or self.specs[session].home_from is not None:
            raise Fail(SANDBOX_FAILED("its home cannot be filled", Evidence("session", session)))
        self.specs[session] = replace(self.specs[session], home_from=home_from)

    async def set_variables(
        self, session: SessionName, base_url: str, token: str, variables: Mapping[str, str], limit: float
    ) -> None:
        if session not in self.specs:
            raise ConnectionRefusedError("nobody listens")
        self.variables[session] = dict(variables)

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        if self.before_stop is not None:
            await self.before_stop()
        if self.specs.pop(session, None) is not None:
            self.stopped.append((session, reason))
            self._leave(session)
            self.tell(SessionEnded(session, reason, f"it was stopped ({reason})", -15))

    async def running(self) -> Sequence[RunningSandbox]:
        if self.hangs:
            await asyncio.Event().wait()
        return [RunningSandbox(name, 0.0, 1, 1, 1, 7, spec.limits) for name, spec in self.specs.items()]

    async def held(self, session: SessionName) -> RunningSandbox | None:
        return next((sandbox for sandbox in await self.running() if sandbox.session == session), None)

    async def happenings(self) -> AsyncIterator[SessionHappening]:
        queue: asyncio.Queue[SessionHappening] = asyncio.Queue()
        while self.missed:
            queue.put_nowait(self.missed.pop(0))
        self._readers.append(queue)
        while True:
            yield await queue.get()

    def tell(self, event: SessionHappening) -> None:
        for queue in self._readers:
            queue.put_nowait(event)

    async def keep(self, session: SessionName, terms: KeepTerms) -> None:
        if session in self.specs:
            self.terms[session] = terms

    async def give_back(self, session: SessionName, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        with archive.open("rb") as file:
            found = {"/".join(kept.path): kept.content.read() for kept in kept_files.files(file, opens)}
        self.homes.setdefault(session, {}).update(found)
        return GivenBack(len(found))

    async def kept(self) -> Sequence[SessionName]:
        while True:
            self._kept.clear()
            found = [path.stem for path in self.handed.glob("*.kept")]
            self.all_fetched = not found
            if found:
                return found
            await self._kept.wait()

    async def fetched(self, session: SessionName) -> None:
        (self.handed / f"{session}.kept").unlink(missing_ok=True)

    def _leave(self, session: SessionName) -> None:
        """What is in its home is kept."""
        terms, home = self.terms.pop(session, None), self.homes.pop(session, {})
        if terms is None or not home:
            return
        facts = (terms.visitor, terms.repository, terms.commit, self.now(), sum(map(len, home.values())), len(home))
        work = KeptWork(session, *facts, given_back=terms.given_back)
        with (self.handed / f"{session}.kept").open("wb") as file, kept_files.written(file, work) as writing:
            for name, content in home.items():
                change = Change(tuple(name.split("/")), len(content))
                writing.add(change, io.BytesIO(content), executable=False, modified=0)
        self._kept.set()

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        return ServerStatus(self.last_activity, 0, 0)

    async def activity(self, session: SessionName) -> Activity:
        return Activity(0, 0, queued=False, doing="sleeping in do_epoll_wait", jobs=self.jobs)

    async def use(
        self, session: SessionName, base_url: str, token: str, limit: float, notices: Notices = NO_NOTICES
    ) -> ServerUse:
        self.told = notices
        return self.server_use

    async def room(self) -> Room:
        await asyncio.sleep(0)  # the real one asks another process
        if self.unanswered:
            raise Fail(self.unanswered)
        return self.left

    async def isolation(self) -> Isolation:
        return Isolation(True, True, "v2", "quota")


class CrashingSessions(FakeSessions):
    """Every server says something and ends."""

    words: tuple[str, ...] = ("Traceback (most recent call last):", "ModuleNotFoundError: No module named 'jupyterlab'")
    reason = EndReason.EXITED

    async def start(self, spec: SandboxSpec) -> None:
        await super().start(spec)
        for line in self.words:
            self.tell(SessionLogged(spec.session, line))
        del self.specs[spec.session]
        self.tell(SessionEnded(spec.session, self.reason, "its server ended with exit code 1", 1))

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        raise ConnectionRefusedError("refused")


class FullDiskSessions(CrashingSessions):
    words = ("OSError: [Errno 28] No space left on device", "shutting down")


class OutgrownSessions(CrashingSessions):
    words = ("copying data",)
    reason = EndReason.DISK


class StarvedSessions(CrashingSessions):
    words = ()
    reason = EndReason.MEMORY


class SilentSessions(FakeSessions):
    """Servers that never answer."""

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        await asyncio.sleep(limit)
        raise TimeoutError
