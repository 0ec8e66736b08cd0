"""All launches: begin one, look at one, and what becomes of them when the service stops or comes back.

In: a RepoAddress and who asked. Out: a number; everything else stands in the journal under `launch/<number>`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from perijove.domain import events as e
from perijove.domain.events import Entry
from perijove.domain.failures import INTERRUPTED, NO_LONGER_KEPT, NO_SUCH_OBJECT, Evidence, Fail, Failure
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.nouns import RepoAddress, ResolvedRepo, SessionName
from perijove.domain.people import Visitor
from perijove.domain.request_failures import CANCELLED, DRAINING
from perijove.journal import Journal
from perijove.launching.notebook import Preview
from perijove.launching.resolve.urlpath import named_notebook, view_and_file
from perijove.launching.start.titles import entitle
from perijove.launching.way import LaunchWay
from perijove.log import log
from perijove.sealing import public_half


def subject(number: int) -> str:
    """A launch's subject in the journal."""
    return f"launch/{number}"


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch as its events so far make it."""

    number: int
    address: RepoAddress
    client: str
    state: str
    """`resolving`, `fetching`, `building`, `waiting`, `launching`, `ready`, `built` or `failed`."""
    started_at: float
    repo: ResolvedRepo | None = None
    environment: str = ""
    session: SessionName | None = None
    failure: Failure | None = None
    ended_at: float | None = None
    options: LaunchOptions = NO_OPTIONS
    visitor: str = ""
    """As in `Requested`; likewise the next."""
    person: str = ""
    stages: tuple[tuple[e.Phase, float], ...] = ()
    """Those it has come to, each with when it began; the last is the one it is at, or ended at."""
    builds: bool = False
    """Whether its environment had to be made."""
    queued: e.Queued | None = None
    """Its place in the line, where it waits or waited."""
    notes: tuple[str, ...] = ()
    """What the repository's author should know of it."""
    urlpath: str = ""
    """As in `Noted`."""

    def opened(self, urlpath: str) -> str:
        """What is opened in its session for a link with this `urlpath`: what the commit has in its place."""
        named = view_and_file(urlpath)
        return self.urlpath if self.urlpath and named == view_and_file(self.options.urlpath) else urlpath

    @property
    def stage(self) -> e.Phase:
        """The one it is at, or ended at."""
        return self.stages[-1][0] if self.stages else e.Phase.FETCHING


def after(launch: Launch, entry: Entry) -> Launch:
    """The launch once this has happened. Pure."""
    match entry.event:
        case e.Resolved(repo):
            return replace(launch, repo=repo, state="fetching")
        case e.Retrying():
            stages = launch.stages if launch.stage is e.Phase.FETCHING else ((e.Phase.FETCHING, entry.at),)
            return replace(launch, stages=stages, notes=(), urlpath="")
        case e.Fetched():
            return replace(launch, state="building", stages=(*launch.stages, (e.Phase.BUILDING, entry.at)))
        case e.Noted(line, urlpath):
            return replace(launch, notes=(*launch.notes, line), urlpath=urlpath or launch.urlpath)
        case e.BuildStarted():
            return replace(launch, state="building", builds=True)
        case e.Built(environment):
            stages = (*launch.stages, (e.Phase.LAUNCHING, entry.at))
            return replace(launch, environment=environment, state="building", stages=stages)
        case e.Queued():
            return replace(launch, state="waiting", queued=entry.event)
        case e.SessionStarted(session):
            return replace(launch, session=session, state="launching")
        case e.Ready(session):
            return replace(launch, session=session, state="ready", ended_at=entry.at)
        case e.Prepared():
            return replace(launch, state="built", ended_at=entry.at)
        case e.Failed(failure):
            return replace(launch, failure=failure, state="failed", ended_at=entry.at)
    return launch


class Launches:
    """Begins launches and keeps them going, whoever watches."""

    def __init__(self, way: LaunchWay, journal: Journal, group: asyncio.TaskGroup) -> None:
        self._way = way
        self._journal = journal
        self._group = group
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._draining = False
        self.closed: Failure | None = None
        """Why the operator takes no new launches now; None where they are taken."""

    def begin(
        self, address: RepoAddress, client: str, options: LaunchOptions = NO_OPTIONS, key: str = "", person: str = ""
    ) -> int:
        """Start a launch in the background for whoever has this visitor's key, or has logged in; its number.

        Raises Fail: `platform.draining`, `platform.drained`, `platform.disk-full`.
        """
        if self._draining:
            raise Fail(DRAINING("it takes no more launches"))
        if self.closed:
            raise Fail(self.closed)
        number = self._journal.ledger.next_number()
        self._journal.append(subject(number), e.Requested(address, client, options, public_half(key), person))
        task = self._group.create_task(
            self._run(number, address, Visitor(client, key, person), options), name=f"launch {number}"
        )
        self._running[number] = task
        task.add_done_callback(lambda _: self._over(number))
        return number

    def cancel(self, number: int) -> None:
        """Give a launch up that goes on; a build of it goes on, for whoever launches it next."""
        if task := self._running.get(number):
            self._cancelled.add(number)
            task.cancel()

    def _over(self, number: int) -> None:
        self._running.pop(number, None)
        self._cancelled.discard(number)

    async def _run(self, number: int, address: RepoAddress, visitor: Visitor, options: LaunchOptions) -> None:
        try:
            async with aclosing(self._way.launch(number, address, visitor, options)) as events:
                async for event in events:
                    self._journal.append(subject(number), event)
                    if options.title and isinstance(event, e.Ready):
                        entitle(self._journal, event.session, options.title)
        except asyncio.CancelledError:
            given_up = number in self._cancelled
            failure = CANCELLED("whoever began it asked for that") if given_up else self._interrupted(number)
            self._journal.append(subject(number), e.Failed(failure))
            raise
        except Fail as error:
            # Only the journal itself fails here; it tells its followers, and the service outlives a full disk.
            log.error("a launch cannot be written down", launch=number, message=error.failure.message)  # noqa: TRY400

    def get(self, number: int) -> Launch | None:
        """What a launch has come to; None where there is no such number."""
        entries = self._journal.ledger.steps(subject(number))
        if not entries or not isinstance(entries[0].event, e.Requested):
            return None
        first = entries[0].event
        at = entries[0].at
        launch = Launch(
            number, first.address, first.client, "resolving", at, options=first.wish, visitor=first.visitor,
            person=first.person, stages=((e.Phase.FETCHING, at),),
        )  # fmt: skip
        for entry in entries[1:]:
            launch = after(launch, entry)
        return launch

    async def preview(self, launch: Launch) -> Preview | None:
        """The notebook that its link opens; None before the files are here, and once it is over.

        Raises Fail: `resolve.*`, `platform.*`.
        """
        path = named_notebook(launch.urlpath or launch.options.urlpath)
        if not path or launch.repo is None or launch.ended_at or launch.stage is e.Phase.FETCHING:
            return None
        return await self._way.preview(launch.repo, path)

    def missing(self, number: int) -> Failure:
        """Why `get` knows none of this number."""
        seen = Evidence("launch", str(number))
        if 0 < number <= self._journal.ledger.last_number():
            return NO_LONGER_KEPT(f"launch {number} was removed from the journal", seen)
        return NO_SUCH_OBJECT("no launch has this number", seen, remedy="Check its number.")

    def list(self, limit: int) -> Sequence[Launch]:
        """The last launches, the newest first."""
        found = (self.get(int(name.partition("/")[2])) for name in self._journal.ledger.subjects("launch/", limit))
        return [launch for launch in found if launch is not None]

    def in_hand(self) -> Sequence[Launch]:
        """Launches in progress, whose checkouts and environments are needed."""
        return [launch for number in self._running if (launch := self.get(number))]

    @property
    def running(self) -> Collection[int]:
        """The launches in progress."""
        return self._running.keys()

    def asked_by(self, number: int) -> str:
        """The address of whoever began a launch."""
        return request.client if (request := self._request(number)) else ""

    def visitor(self, number: int) -> str:
        """The public half of the key of whoever began it; `` where they brought none."""
        return request.visitor if (request := self._request(number)) else ""

    def _request(self, number: int) -> e.Requested | None:
        first = self._journal.read(subject(number), 0, 1)
        return first[0].event if first and isinstance(first[0].event, e.Requested) else None

    def whose(self, number: int) -> str:
        """The person whose launch it is; `` where nobody logged in for it."""
        first = self._journal.read(subject(number), 0, 1)
        return first[0].event.person if first and isinstance(first[0].event, e.Requested) else ""

    @property
    def in_progress(self) -> int:
        """How many launches run now."""
        return len(self._running)

    async def drain(self, limit: float) -> None:
        """Take no more launches; let those that run end within `limit` seconds, then cut the others off."""
        self._draining = True
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=limit)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def recover(self) -> None:
        """Tell the launches that a stop of the service cut off; take their builds up again for the next click."""
        for name in self._journal.ledger.unfinished("launch/"):
            number = int(name.partition("/")[2])
            launch = self.get(number)
            self._journal.append(name, e.Failed(self._interrupted(number)))
            if launch is not None and launch.repo is not None and launch.state in ("fetching", "building"):
                self._group.create_task(
                    self._way.prepare(launch.repo, again=launch.options.again),
                    name=f"build of launch {number}, taken up again",
                )

    def _interrupted(self, number: int) -> Failure:
        launch = self.get(number)
        state = launch.state if launch else "begun"
        return INTERRUPTED(f"the service stopped while it was {state}", Evidence(f"launch {number}", state))
