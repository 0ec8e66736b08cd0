"""A launch way in the world in memory, and what the tests of ways ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path

import pytest

from perijove.backends.kept import KeptOnDisk
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Event
from perijove.domain.keys import Keys
from perijove.domain.nouns import RepoAddress
from perijove.domain.people import Homes
from perijove.domain.ports import Explain
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.build.builder import Builds
from perijove.launching.launches import Launches
from perijove.launching.links import Links
from perijove.launching.preparing import Preparations
from perijove.launching.resolve.classes import understood
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.keeping import Keeping
from perijove.launching.start.queue import Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.start.timetable import Timetable
from perijove.launching.way import LaunchWay, as_it_is
from tests.fakes.in_process import InProcess
from tests.fakes.world import FakeClock, FakeEnvironments, FakeRepositories, FakeSessions

ADDRESS = RepoAddress("gh", "owner/repo/HEAD", "https://github.com/owner/repo", "HEAD", "repo")
OTHER = RepoAddress("gh", "owner/other/HEAD", "https://github.com/owner/other", "HEAD", "other")


@dataclass
class World:
    """The live objects of one service, as `wiring` joins them, over fakes."""

    folder: Path
    sandboxes: FakeSessions = field(default_factory=FakeSessions)
    clock: FakeClock = field(default_factory=FakeClock)
    environments: FakeEnvironments = field(default_factory=FakeEnvironments)
    settings: Settings = field(default_factory=Settings)
    homes: Homes | None = None
    zone: tzinfo = UTC
    """By which classes open and close."""
    explain: Explain = as_it_is

    def __post_init__(self) -> None:
        repository = self.folder / "repository"
        repository.mkdir(exist_ok=True)
        self.repositories = FakeRepositories(repository)
        self.keys = Keys(b"s" * 32)
        self.state = State(self.folder / "state")
        self.works = KeptOnDisk(self.state)
        for folder in (self.state.handed, self.state.control):
            folder.mkdir(parents=True, exist_ok=True)
        self.sandboxes.handed, self.sandboxes.now = self.state.handed, self.clock.now

    def set(self, **values: object) -> None:
        """`launching__total_quota=1` and the like."""
        for name, value in values.items():
            table, _, setting = name.partition("__")
            changed = replace(getattr(self.settings, table), **{setting: value})
            self.settings = replace(self.settings, **{table: changed})

    @asynccontextmanager
    async def up(self) -> AsyncIterator[World]:
        """The service runs; on leaving it is cut off, as a crash would."""
        self.ledger = SqliteLedger(self.folder / "perijove.db")
        self.journal = Journal(self.ledger, self.clock, lambda: self.settings.journal)
        self.sessions = SessionKeeper(self.sandboxes, self.journal, self.keys, self.clock, lambda: self.settings)
        self.timetable = Timetable(lambda: understood(self.settings.launching.classes), self.clock.now, self.zone)
        self.queue = Queue(self.sessions, lambda: self.settings, timetable=self.timetable)
        self.keeping = Keeping(self.works, self.sandboxes, self.clock, lambda: self.settings)
        try:
            async with asyncio.TaskGroup() as group:
                builds = Builds(self.environments, InProcess(), self.settings.build.concurrent, group)
                self.way = LaunchWay(
                    self.repositories,
                    self.environments,
                    InProcess(),
                    builds,
                    self.queue,
                    self.sessions,
                    SessionFactory(
                        self.keys,
                        self.clock,
                        lambda: self.settings,
                        lambda: self.sessions.names,
                        timetable=self.timetable,
                    ),
                    self.clock,
                    lambda: self.settings,
                    self.keeping,
                    self.explain,
                    homes=self.homes,
                )
                self.launches = Launches(self.way, self.journal, group)
                self.links = Links(self.repositories, lambda: self.settings, self.clock.now)
                self.preparations = Preparations(self.timetable, self.launches, self.clock)
                watching = group.create_task(self.sessions.watch())
                taking = group.create_task(self.keeping.take_in())
                await self.sessions.recover()
                self.launches.recover()
                try:
                    yield self
                finally:
                    watching.cancel()
                    taking.cancel()
                    await self.launches.drain(0)
        finally:
            self.ledger.close()

    async def events(self, number: int) -> list[Event]:
        """All events of a launch, to its end."""
        async with asyncio.timeout(10):
            return [entry.event async for entry in self.journal.follow(f"launch/{number}")]

    async def launched(self, address: RepoAddress = ADDRESS) -> list[Event]:
        return await self.events(self.launches.begin(address, "192.0.2.7"))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, for at most half a minute."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]
