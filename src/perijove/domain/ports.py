"""What the ways need of the world: Protocols of one to a few methods, their failures named. Pure.

A backend implements a port; one contract test in `tests/contracts/` runs against every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

from perijove.domain.activity import NO_NOTICES, Activity, Notices, ServerStatus, ServerUse
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.confinement import READING, Bounds, Identity
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.events import Entry, Event, Kept, SessionHappening
from perijove.domain.failures import Failure
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import GivenBack, KeepTerms, KeptWork
from perijove.domain.nouns import (
    Checkout,
    EndReason,
    Environment,
    EnvironmentKey,
    EnvironmentPlan,
    ForeignRun,
    RefNames,
    RepoAddress,
    ResolvedRepo,
    Room,
    RunningSandbox,
    SandboxSpec,
    SessionName,
    StoredEnvironment,
)
from perijove.domain.ran import Ran

T = TypeVar("T")
Tell = Callable[[str], None]
"""Takes one line of a log, without its newline. Must be called on the event loop's thread."""

Place = Callable[[], AbstractAsyncContextManager[None]]
"""One of the places that builds have, for as long as it is entered."""


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    async def sleep(self, seconds: float) -> None: ...


Explain = Callable[[Failure], Awaitable[Failure]]
"""Says why a launch failed, where something beneath it knows; else gives the failure back. Never raises."""


class Repositories(Protocol):
    """Git repositories, wherever they live."""

    async def resolve(self, address: RepoAddress, person: str = "") -> ResolvedRepo:
        """Which commit the ref means; for a person by their own token, where its host lets nobody in without.

        Raises Fail: `resolve.*`.
        """
        ...

    async def refs(self, address: RepoAddress) -> RefNames:
        """What its host lists, whatever the address's own ref. Raises Fail: `resolve.*`."""
        ...

    async def fetch(self, repo: ResolvedRepo, tell: Tell) -> Checkout:
        """That commit's files, from the shared store where they are already. Raises Fail: `resolve.*`."""
        ...

    async def prune(self, keep: Collection[ResolvedRepo]) -> int:
        """Remove all checkouts from the store but these; how many went. They can be fetched again."""
        ...


class Environments(Protocol):
    """Built environments in a content-addressed store."""

    async def inputs(
        self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell, *, again: bool = False
    ) -> BuildInputs:
        """All that this plan's environment is made from here; with `again` it is resolved anew.

        Raises Fail: `build.*`.
        """
        ...

    async def resolved(self, inputs: BuildInputs) -> Environment | None:
        """What these inputs were resolved to before, if it stands; marks it used now. Asks no network."""
        ...

    async def find(self, key: EnvironmentKey) -> Environment | None:
        """The environment if it stands; marks it used now."""
        ...

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        """Resolve what it is made from and make that, or find it made. Raises Fail: `build.*`.

        The caller builds inputs of one name once at a time. `place` is waited for where something has to be built.
        """
        ...

    async def stored(self) -> Sequence[StoredEnvironment]: ...

    async def remove(self, key: EnvironmentKey) -> None:
        """Forget it. Running sessions that use it are the caller's care."""
        ...

    async def tidy(self) -> None:
        """Remove from caches what no environment uses."""
        ...


class Confined(Protocol):
    """Our own code on strangers' bytes, in a process that may die.

    A function stands at a module's top and has type hints, by which what it is given and what it returns travel as
    JSON (`domain.wire`). When a call returns or raises, none of its processes is left. Both raise what the function
    raises as Fail (other errors of its as `internal.bug`), and Beyond.
    """

    async def call(
        self, function: Callable[..., T], *given: object, bounds: Bounds = READING, lasting: bool = False
    ) -> T:
        """What a function makes of what it is given; what is `lasting`, as all that a checkout holds, is read once."""
        ...

    async def run(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *given: object,
        bounds: Bounds = READING,
        tell: Tell | None = None,
    ) -> T:
        """The same for an asynchronous one, in a loop of its own; with `tell` it is given a keyword of this name."""
        ...

    def hand_over(self, folder: Path, identity: Identity, *, contents: bool = False) -> None:
        """Let the calls of an identity own a folder, with its `contents` too, where they have a uid of their own."""
        ...

    def take_back(self, folder: Path) -> None:
        """Own it again, with all that lies in it: no call can change it any more."""
        ...


class ForeignCode(Protocol):
    """Runs a repository's own code in a sandbox, for builds."""

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        """Run to its end, telling its output; copy the result folder's regular files into `into`; how it ended.

        Raises Fail: `start.sandbox-failed`, `build.{too-slow,out-of-memory,too-large,disk-full}`, `platform.*`.
        """
        ...


class Sessions(Protocol):
    """Sandboxes that hold Jupyter servers."""

    async def start(self, spec: SandboxSpec) -> None:
        """Start it; return as soon as its process runs and its socket listens. Raises Fail: `start.*`, `platform.*`."""
        ...

    @property
    def fills(self) -> bool:
        """Whether `fill` can be done: the home of a pod is part of its image."""
        ...

    async def fill(self, session: SessionName, home_from: Path) -> None:
        """Copy a checkout as the home of a session that was started without one.

        Raises Fail: `start.sandbox-failed` where it is over or its home has been changed, `start.disk-full`,
        `platform.*`. What is in the home then is nobody's: the session is the caller's to end.
        """
        ...

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        """End it and remove what it left; nothing where it is gone already."""
        ...

    async def running(self) -> Sequence[RunningSandbox]:
        """What runs, asked afresh."""
        ...

    async def held(self, session: SessionName) -> RunningSandbox | None:
        """The same of one; None where it does not run."""
        ...

    def happenings(self) -> AsyncIterator[SessionHappening]:
        """What happens to sessions from now on, for as long as the iterator is read.

        Each session that ends is told exactly once, after its last log line.
        """
        ...

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        """Ask its server at `<base_url>api/status`, at most `limit` seconds. Raises TimeoutError, ConnectionError."""
        ...

    async def use(
        self, session: SessionName, base_url: str, token: str, limit: float, notices: Notices = NO_NOTICES
    ) -> ServerUse:
        """Ask it at `<base_url>api/kernels` how it is used, and tell it what its pages shall be told.

        Raises TimeoutError, ConnectionError.
        """
        ...

    async def set_variables(
        self, session: SessionName, base_url: str, token: str, variables: Mapping[str, str], limit: float
    ) -> None:
        """Tell its server what it was launched for, which its kernels and terminals get as variables.

        Raises TimeoutError, ConnectionError.
        """
        ...

    async def activity(self, session: SessionName) -> Activity:
        """What it has done so far, asked afresh."""
        ...

    async def keep(self, session: SessionName, terms: KeepTerms) -> None:
        """Have what changes in its home kept when it ends, however that comes; nothing where it is over.

        Raises Fail: `platform.*`.
        """
        ...

    async def give_back(self, session: SessionName, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        """Kept work into its home, over nothing of the repository's that is not as it was; `opens`: the file's key.

        `same_commit`: its home is of the commit that the work began with. Raises Fail: `session.kept-unreadable`,
        `platform.*`.
        """
        ...

    async def kept(self) -> Sequence[SessionName]:
        """Those whose work waits to be fetched, as soon as there are any; they are told until it was `fetched`."""
        ...

    async def fetched(self, session: SessionName) -> None: ...

    async def room(self) -> Room: ...

    async def isolation(self) -> Isolation: ...


class KeptWorks(Protocol):
    """What visitors changed in sessions that are over, each of it to be opened with its visitor's key alone.

    Everything raises Fail: `platform.disk-full`, `platform.state-unusable`.
    """

    async def take_in(self, session: SessionName) -> KeptWork | None:
        """Fetch what waits of a session, over what was taken in of it before; None where nothing waits."""
        ...

    async def all(self) -> Sequence[KeptWork]:
        """The newest first."""
        ...

    async def of(self, visitor: str) -> Sequence[KeptWork]:
        """One visitor's, the newest first."""
        ...

    async def remove(self, work: KeptWork) -> None: ...

    async def tidy(self, before: float) -> None:
        """Remove what nobody can read, and what was not taken in whole, of before this time."""
        ...

    async def opening(self, work: KeptWork, key: str) -> tuple[Path, bytes]:
        """The file, and the file's key, by its visitor's. Raises Fail: `session.kept-unreadable`."""
        ...

    def zipped(self, work: KeptWork, key: str) -> Iterator[bytes]:
        """The files as a zip, made while it is read: synchronous. Raises Fail: `session.kept-unreadable`."""
        ...


class Ledger(Protocol):
    """The journal's table: entries are appended, and leave by whole subjects.

    Everything raises Fail: `platform.disk-full`, `platform.journal-*`, `platform.state-unusable`.
    """

    def append(self, subject: str, at: float, event: Event) -> Entry: ...

    def read(self, subject: str, after: int, limit: int) -> Sequence[Entry]:
        """Entries of a subject with a higher seq, in order."""
        ...

    def size(self, subject: str, row: int) -> int:
        """Bytes of a subject's entries so far, and `row` for each."""
        ...

    def subjects(self, prefix: str, limit: int) -> Sequence[str]:
        """Subjects that begin so, the newest first."""
        ...

    def next_number(self) -> int:
        """A launch number that nobody had, ascending."""
        ...

    def last_number(self) -> int:
        """The launch number that was given last; 0 before the first."""
        ...

    def at(self, seq: int) -> Entry | None:
        """The entry with this seq."""
        ...

    def steps(self, subject: str) -> Sequence[Entry]:
        """All of a subject's entries but its log lines, in order."""
        ...

    def unfinished(self, prefix: str) -> Sequence[str]:
        """Subjects that begin so and have no terminal event, the oldest first."""
        ...

    def oldest(self, after: int, limit: int) -> Sequence[Kept]:
        """Subjects that began after this seq, the oldest first."""
        ...

    def drop(self, subject: str, most: int) -> bool:
        """Remove `most` entries of a subject, the oldest first; whether nothing of it is left."""
        ...

    def thin(self, subject: str, before: float) -> None:
        """Remove a subject's entries of before this time, but its first and the last of each kind of event."""
        ...

    def held(self) -> int:
        """Bytes that all entries take."""
        ...

    def give_back(self) -> bool:
        """Give a part of the room that was freed back to the disk; whether more is left."""
        ...


class DataPlane(Protocol):
    """The web server in front, a process of its own."""

    async def ensure(self, table: DataPlaneTable) -> None:
        """Have it run and do what the table says; nothing where it does so already.

        Raises Fail: `platform.port-taken`, `platform.port-forbidden`, `platform.data-plane-down`,
        `platform.tool-missing`, `platform.bad-settings`.
        """
        ...

    async def ended(self) -> None:
        """Return as soon as it does not run.

        Raises Fail: `platform.data-plane-down` where it ended by itself, or did not answer and was ended for that.
        """
        ...

    async def close(self) -> None:
        """Stop it; without this it goes on when we end."""
        ...
