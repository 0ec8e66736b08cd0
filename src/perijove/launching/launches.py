"""All launches: begin one, look at one, and what becomes of them when the service stops or comes back.

In: a RepoAddress and who asked. Out: a number; everything else stands in the journal under `launch/<number>`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from perijove.domain.events import (
    BuildStarted,
    Built,
    Entry,
    Failed,
    Fetched,
    Prepared,
    Queued,
    Ready,
    Requested,
    Resolved,
    SessionStarted,
)
from perijove.domain.failures import DRAINING, INTERRUPTED, NO_LONGER_KEPT, NO_SUCH_OBJECT, Evidence, Fail, Failure
from perijove.domain.nouns import NO_WISH, RepoAddress, ResolvedRepo, SessionName, Wish
from perijove.journal import Journal
from perijove.launching.way import LaunchWay
from perijove.log import log


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
    wish: Wish = NO_WISH


def after(launch: Launch, entry: Entry) -> Launch:
    """The launch once this has happened. Pure."""
    match entry.event:
        case Resolved(repo):
            return replace(launch, repo=repo, state="fetching")
        case Fetched():
            return replace(launch, state="building")
        case BuildStarted():
            return replace(launch, state="building")
        case Built(environment):
            return replace(launch, environment=environment, state="building")
        case Queued():
            return replace(launch, state="waiting")
        case SessionStarted(session):
            return replace(launch, session=session, state="launching")
        case Ready(session):
            return replace(launch, session=session, state="ready", ended_at=entry.at)
        case Prepared():
            return replace(launch, state="built", ended_at=entry.at)
        case Failed(failure):
            return replace(launch, failure=failure, state="failed", ended_at=entry.at)
    return launch


class Launches:
    """Begins launches and keeps them going, whoever watches."""

    def __init__(self, way: LaunchWay, journal: Journal, group: asyncio.TaskGroup) -> None:
        self._way = way
        self._journal = journal
        self._group = group
        self._running: dict[int, asyncio.Task[None]] = {}
        self._draining = False

    def begin(self, address: RepoAddress, client: str, wish: Wish = NO_WISH) -> int:
        """Start a launch in the background; its number. Raises Fail: `platform.draining`, `platform.disk-full`."""
        if self._draining:
            raise Fail(DRAINING("it takes no more launches"))
        number = self._journal.ledger.next_number()
        self._journal.append(subject(number), Requested(address, client, wish))
        task = self._group.create_task(self._run(number, address, client, wish), name=f"launch {number}")
        self._running[number] = task
        task.add_done_callback(lambda _: self._running.pop(number, None))
        return number

    async def _run(self, number: int, address: RepoAddress, client: str, wish: Wish) -> None:
        try:
            async with aclosing(self._way.launch(number, address, client, wish)) as events:
                async for event in events:
                    self._journal.append(subject(number), event)
        except asyncio.CancelledError:
            self._journal.append(subject(number), Failed(self._interrupted(number)))
            raise
        except Fail as error:
            # Only the journal itself fails here; it tells its followers, and the service outlives a full disk.
            log.error("a launch cannot be written down", launch=number, message=error.failure.message)  # noqa: TRY400

    def get(self, number: int) -> Launch | None:
        """What a launch has come to; None where there is no such number."""
        entries = self._journal.ledger.steps(subject(number))
        if not entries or not isinstance(entries[0].event, Requested):
            return None
        first = entries[0].event
        launch = Launch(number, first.address, first.client, "resolving", entries[0].at, wish=first.wish)
        for entry in entries[1:]:
            launch = after(launch, entry)
        return launch

    def missing(self, number: int) -> Failure:
        """Why `get` knows none of this number."""
        seen = Evidence("launch", str(number))
        if 0 < number <= self._journal.ledger.last_number():
            return NO_LONGER_KEPT(f"launch {number} was removed from the journal", seen)
        return NO_SUCH_OBJECT("no launch has this number", seen, remedy="Check the number in its address.")

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
        first = self._journal.read(subject(number), 0, 1)
        return first[0].event.client if first and isinstance(first[0].event, Requested) else ""

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
            self._journal.append(name, Failed(self._interrupted(number)))
            if launch is not None and launch.repo is not None and launch.state in ("fetching", "building"):
                self._group.create_task(
                    self._way.prepare(launch.repo, again=launch.wish.again),
                    name=f"build of launch {number}, taken up again",
                )

    def _interrupted(self, number: int) -> Failure:
        launch = self.get(number)
        state = launch.state if launch else "begun"
        return INTERRUPTED(f"the service stopped while it was {state}", Evidence(f"launch {number}", state))
