"""A launch way in the world in memory, and what the tests of ways ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Event
from perijove.domain.keys import Keys
from perijove.domain.nouns import RepoAddress
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.build.builder import Builds
from perijove.launching.launches import Launches
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.queue import Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.way import LaunchWay
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

    def __post_init__(self) -> None:
        repository = self.folder / "repository"
        repository.mkdir(exist_ok=True)
        self.repositories = FakeRepositories(repository)
        self.keys = Keys(b"s" * 32)

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
        self.queue = Queue(self.sessions, lambda: self.settings)
        try:
            async with asyncio.TaskGroup() as group:
                builds = Builds(self.environments, InProcess(), self.settings.build.concurrent, group)
                self.way = LaunchWay(
                    self.repositories,
                    self.environments,
                    builds,
                    self.queue,
                    self.sessions,
                    SessionFactory(self.keys, self.clock, lambda: self.settings, lambda: self.sessions.names),
                    self.clock,
                    lambda: self.settings,
                )
                self.launches = Launches(self.way, self.journal, group)
                watching = group.create_task(self.sessions.watch())
                await self.sessions.recover()
                self.launches.recover()
                try:
                    yield self
                finally:
                    watching.cancel()
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
        """Wait for a condition, for at most ten seconds."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]
