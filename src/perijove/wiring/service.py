"""The service: its parts started in their order, kept, reloaded and stopped. Acts.

What Caddy needs to start stands here; all else is imported once it does, since both take as long.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

from perijove.backends import statedir
from perijove.backends.caddy import Caddy
from perijove.backends.ground import programs
from perijove.backends.pad.client import Pad
from perijove.backends.sqlite import SqliteLedger
from perijove.certifying.wanted import wanted
from perijove.domain.failures import Fail
from perijove.domain.listening import own_url
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.resolve.classes import understood
from perijove.log import log
from perijove.routing.table import table
from perijove.web.assets import ASSETS_VERSION, STATIC
from perijove.wiring.given import Given, Layered, SystemClock

OPEN_FILES = 8192
"""Every reader of a launch and every session's stream is one, and systems begin with 1024."""


class Service:
    """Everything that runs for one state directory."""

    def __init__(self, state: State, load: Callable[[], Layered]) -> None:
        self.state = state
        self._load = load
        self._settings = load()
        self._changed = asyncio.Event()
        self._reloaded: list[Callable[[Settings], None]] = []
        self.stopping = asyncio.Event()
        self._starting: asyncio.Task[object] | None = None

    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings[0]

    def url(self) -> str:
        """The service's own address."""
        return own_url(self.settings().service)

    def stop(self) -> None:
        """Drain and stop; a service that is still starting stops at once."""
        self.stopping.set()
        if self._starting is not None:
            self._starting.cancel()

    def reload(self) -> None:
        """Read the settings again; bad ones are told and the old ones stay."""
        try:
            new = self._load()
            wanted(new[0])
            understood(new[0].launching.classes)
        except Fail as error:
            seen = [f"{one.where}: {one.saw}" for one in error.failure.evidence]
            log.warning("settings not reloaded, the old ones stay", message=error.failure.message, evidence=seen)
            return
        self._settings = new
        for apply in self._reloaded:
            apply(self.settings())
        log.info("settings reloaded")
        self._changed.set()

    async def run(self, tell: Tell, up: Callable[[str], object]) -> None:
        """Start everything, call `up` with the address once it answers, run until `stopping` is set, then stop all.

        Raises Fail: `platform.*` for what keeps the service from starting.
        """
        _allow_files()
        programs.on_path("git")
        statedir.prepare(self.state)
        lock = statedir.lock(self.state)
        self._starting = asyncio.current_task()
        try:
            with closing(SqliteLedger(self.state.database, statedir.first_number(self.state))) as ledger:
                async with asyncio.TaskGroup() as group:
                    await self._live(self._given(ledger, group), tell, up)
        except BaseExceptionGroup as error:
            raise _first(error) from error
        finally:
            os.close(lock)

    def _given(self, ledger: SqliteLedger, group: asyncio.TaskGroup) -> Given:
        keys, clock = statedir.keys(self.state), SystemClock()
        journal = Journal(ledger, clock, lambda: self.settings().journal)
        return Given(self.state, lambda: self._settings, keys, clock, journal, group, self._reloaded, self._changed)

    async def _live(self, given: Given, tell: Tell, up: Callable[[str], object]) -> None:
        """Certificates first: whoever looks from outside is answered while the rest still starts."""
        async with self._data_plane() as plane, self._pad() as pad:
            from perijove.wiring.opening import opened  # noqa: PLC0415  imported late: Caddy starts meanwhile

            async with opened(given, plane) as first:
                await first.head_start()
                visited = await asyncio.to_thread(_visited)
                async with visited(given, first, pad, self.stopping, tell):
                    self._starting = None
                    up(self.url())
                    await self.stopping.wait()

    @asynccontextmanager
    async def _data_plane(self) -> AsyncIterator[Caddy]:
        """A Caddy that runs or starts. It outlives us, but for a stop, or a start of both that failed."""
        caddy = Caddy(self.state)
        found = caddy.pid() is not None
        try:
            caddy.begin(table(self.settings(), self.state, STATIC, ASSETS_VERSION))
            yield caddy
        except BaseException:
            if self._starting is not None and not found:
                await caddy.close()
            raise
        await caddy.close()

    @asynccontextmanager
    async def _pad(self) -> AsyncIterator[Pad]:
        """A pad that runs or starts; it and its sessions outlive us, but for a stop, or a start of both that failed."""
        pad = Pad(self.state, self.settings().session.isolation)
        try:
            await pad.begin()
            yield pad
        finally:
            await pad.close(stop=self.stopping.is_set() or (self._starting is not None and pad.spawned))


def _visited() -> Callable[..., AbstractAsyncContextManager[None]]:
    """Read in a thread, so that certificates do not wait for it."""
    from perijove.wiring.visiting import visited  # noqa: PLC0415  imported late: certificates are on their way already

    return visited


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong, out of its wrappings."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def on_signals(service: Service) -> None:
    """SIGTERM and SIGINT stop the service, SIGHUP reloads its settings."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
