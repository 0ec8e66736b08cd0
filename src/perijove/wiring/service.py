"""The service: its parts started in their order, kept, reloaded and stopped. Acts."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

import httpx
import structlog

from perijove.backends import statedir
from perijove.backends.caddy import Caddy
from perijove.backends.sqlite import SqliteLedger
from perijove.certifying.wanted import wanted
from perijove.domain.failures import DATA_PLANE_DOWN, Evidence, Fail, Failure
from perijove.domain.listening import listening_url, own_url
from perijove.domain.nouns import DataPlaneTable, Isolation
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.routing.reconcile import Applier, keep
from perijove.routing.table import table
from perijove.web.admin import Admin
from perijove.web.certificate_admin import CertificateAdmin
from perijove.web.certificate_metrics import CertificateMetrics
from perijove.web.challenge import MARKER, PATH
from perijove.web.front import public_app
from perijove.web.opening import opening_app
from perijove.web.pages import ASSETS_VERSION, STATIC
from perijove.web.public import Public
from perijove.wiring.certifying import CertificateParts, directories
from perijove.wiring.certifying import joined as certificate_parts
from perijove.wiring.launching import LaunchParts
from perijove.wiring.launching import joined as launch_parts
from perijove.wiring.sockets import Door, serving

log = structlog.get_logger()
Load = Callable[[], tuple[Settings, Mapping[str, str]]]
NOBODYS = PATH.replace("{token:path}", "none")
"""An address that we answer whatever else stands, by http, with a header of our own."""
ANSWERS_WITHIN = 15.0
"""Seconds in which our own address must answer after everything has started."""


class SystemClock:
    """The port `Clock`, as it is."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """The live objects of a service."""

    clock: SystemClock
    ledger: SqliteLedger
    marker: str
    """By which our own answers are known."""
    caddy: Caddy
    apply: Applier
    certifying: CertificateParts
    launching: LaunchParts
    admin: Admin
    public: Public


class Service:
    """Everything that runs for one state directory."""

    def __init__(self, state: State, load: Load) -> None:
        self.state = state
        self._load = load
        self._settings = load()
        self.changed = asyncio.Event()
        self._reloaded: list[Callable[[Settings], None]] = []
        self.stopping = asyncio.Event()
        self._starting: asyncio.Task[object] | None = None
        self.trouble: Failure | None = None

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
        except Fail as error:
            log.warning("settings not reloaded, the old ones stay", message=error.failure.message)
            return
        self._settings = new
        for apply in self._reloaded:
            apply(self.settings())
        log.info("settings reloaded")
        self.changed.set()

    async def run(self, tell: Tell, up: Callable[[str], object]) -> None:
        """Start everything, call `up` with the address once it answers, run until `stopping` is set, then stop all.

        Raises Fail: `platform.*` for what keeps the service from starting.
        """
        statedir.prepare(self.state)
        lock = statedir.lock(self.state)
        self._starting = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                await self._live(group, tell, up)
        except BaseExceptionGroup as error:
            raise _first(error) from error
        finally:
            os.close(lock)

    def _joined(self, group: asyncio.TaskGroup) -> Parts:
        """All objects, each given what it needs."""
        state, clock, keys = self.state, SystemClock(), statedir.keys(self.state)
        ledger, caddy = SqliteLedger(state.database), Caddy(state)
        journal = Journal(ledger, clock)
        apply = Applier(caddy, lambda: self._table(certifying))
        certifying = certificate_parts(state, self.settings, journal, keys, clock, group, apply)
        launching = launch_parts(state, self.settings, journal, keys, clock, group)
        self._reloaded = [certifying.reload, launching.reload]
        launches, sessions, pad = launching.launches, launching.sessions, launching.pad
        admin = Admin(
            launches, sessions, pad, launching.repositories, launching.environments, journal, keys, clock,
            lambda: self._settings, self.url,
            CertificateAdmin(certifying.certificates, certifying.overview, journal, certifying.local_ca.root_pem),
        )  # fmt: skip
        answers, standing = certifying.answers.get, certifying.standing
        public = Public(launches, sessions, pad, journal, keys, clock, self.settings, answers, standing)
        metrics = CertificateMetrics(public.metrics.registry, certifying.overview.certificates, clock)
        journal.listeners.append(metrics.told)
        return Parts(clock, ledger, keys.solver_marker(), caddy, apply, certifying, launching, admin, public)

    async def _live(self, group: asyncio.TaskGroup, tell: Tell, up: Callable[[str], object]) -> None:
        """Certificates first: whoever looks from outside is answered while the rest still starts."""
        parts, tasks = self._joined(group), Tasks(group)
        found = parts.caddy.pid() is not None
        door = Door(opening_app(parts.public))
        try:
            async with serving(door, self.state.control_socket):
                parts.certifying.certificates.recall()
                await parts.apply()
                tasks.add(keep(parts.apply, self.changed, parts.clock, self._tell_trouble), "data plane, kept")
                parts.certifying.certificates.start()
                await self._ready(parts, tasks, tell)
                async with serving(parts.admin.app(), self.state.admin_socket):
                    door.leads_to = public_app(parts.public)
                    await self._answers(parts.marker)
                    self._starting = None
                    found = True
                    up(self.url())
                    await self.stopping.wait()
                    await self._wind_down(parts, tasks)
        finally:
            tasks.cancel()
            await parts.certifying.stop()
            if not found:
                await parts.caddy.close()
            if await parts.launching.pad.close(stop=self.stopping.is_set()):
                parts.launching.sessions.told_stopped()
            parts.ledger.close()

    async def _ready(self, parts: Parts, tasks: Tasks, tell: Tell) -> None:
        """Have everything that a launch needs."""
        launching = parts.launching
        await launching.pad.ensure()
        tell(_ground(await launching.pad.isolation()))
        tasks.add(launching.pad.supervise(), "pad, supervised")
        tasks.add(launching.sessions.watch(), "sessions, heard")
        await launching.sessions.recover()
        await launching.environments.prepare(tell)
        launching.repositories.sweep()
        launching.launches.recover()
        tasks.add(launching.sessions.cull(), "sessions, culled")

    async def _wind_down(self, parts: Parts, tasks: Tasks) -> None:
        """Let launches end, then certificates, then the data plane."""
        log.info("stopping", launches=parts.launching.launches.in_progress)
        await parts.launching.launches.drain(self.settings().service.drain)
        tasks.cancel()
        await parts.certifying.stop()
        await parts.caddy.close()

    def _table(self, certifying: CertificateParts) -> DataPlaneTable:
        settings, served = self.settings(), certifying.certificates.served()
        return table(settings, self.state, STATIC, ASSETS_VERSION, served, directories(settings))

    def _tell_trouble(self, failure: Failure | None) -> None:
        if failure is not None and failure != self.trouble:
            log.error("data plane", code=failure.kind.code, message=failure.message)
        self.trouble = failure

    async def _answers(self, marker: str) -> None:
        """Until our own address really answers, through Caddy. Raises Fail: `platform.data-plane-down`."""
        said, address = "nothing", listening_url(self.settings().service) + NOBODYS.lstrip("/")
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            deadline = time.monotonic() + ANSWERS_WITHIN
            while time.monotonic() < deadline:
                try:
                    answer = await client.get(address)
                except httpx.HTTPError as error:
                    said = repr(error)
                else:
                    said = f"{answer.status_code} {answer.text[:200]}"
                    if answer.headers.get(MARKER) == marker:
                        return
                await asyncio.sleep(0.05)
        raise Fail(DATA_PLANE_DOWN("our own address does not answer", Evidence(address, said)))


@dataclass(slots=True)
class Tasks:
    """Tasks of one group that end together."""

    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def add(self, work: Coroutine[None, None, None], name: str) -> None:
        self.tasks.append(self.group.create_task(work, name=name))

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()


def _ground(isolation: Isolation) -> str:
    """What holds strangers' code here, in words."""
    if not isolation.sandboxed:
        return "Sessions run without a sandbox"
    uid = "a user each" if isolation.own_uid else "one user for all"
    limits = f"limits by cgroup {isolation.cgroups}" if isolation.cgroups else "limits watched, no cgroups here"
    return f"Sessions run in bubblewrap: {uid}, {limits}, disk {isolation.disk}"


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
