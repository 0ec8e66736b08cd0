"""The launch way's parts, joined. In: settings, state. Out: who launches, and all that this needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perijove.backends.confined import ConfinedCalls
from perijove.backends.device_flow import DeviceFlow
from perijove.backends.environments import UvEnvironments
from perijove.backends.git import GitRepositories, fetching
from perijove.backends.homes import HomesOnDisk
from perijove.backends.host_tokens import HostTokenFolder
from perijove.backends.kept import KeptOnDisk
from perijove.backends.pad.client import Pad
from perijove.domain.engine_settings import EngineKind
from perijove.domain.keys import Keys
from perijove.domain.listening import loopback_only
from perijove.domain.ports import Clock, Explain
from perijove.domain.settings import HomeSettings, IsolationMode, PrivateAddresses, Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.build.builder import Builds
from perijove.launching.launches import Launches
from perijove.launching.links import Links
from perijove.launching.preparing import Preparations
from perijove.launching.resolve.classes import understood
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.home_quota import HomeQuota
from perijove.launching.start.keeping import Keeping
from perijove.launching.start.pool import Pool
from perijove.launching.start.queue import Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.start.timetable import Timetable
from perijove.launching.way import LaunchWay
from perijove.wiring.outward import outward

if TYPE_CHECKING:
    from perijove.wiring.pods import ClusterEngine


@dataclass(frozen=True, slots=True)
class LaunchParts:
    """The live objects of the launch way."""

    confined: ConfinedCalls
    pad: Pad
    """For builds; for sessions too, where they run on this machine."""
    engine: ClusterEngine | None
    """Where they do not."""
    repositories: GitRepositories
    environments: UvEnvironments
    sessions: SessionKeeper
    launches: Launches
    pool: Pool
    queue: Queue
    timetable: Timetable
    preparations: Preparations
    keeping: Keeping
    links: Links
    home_quota: HomeQuota

    def reload(self, settings: Settings) -> None:
        """Do as the settings say now."""
        self.repositories.apply(settings.repositories, _private(settings))
        self.environments.apply(settings.build, settings.conda, settings.platform)
        self.environments.without_in_lab(settings.session.lab_disabled)


def joined(
    state: State,
    settings: Callable[[], Settings],
    journal: Journal,
    keys: Keys,
    clock: Clock,
    pad: Pad,
    group: asyncio.TaskGroup,
    explain: Explain,
    certified: Callable[[], Collection[str]],
) -> LaunchParts:
    """All objects, each given what it needs. `certified`: names for which a certificate is shown.

    Raises Fail: `platform.bad-settings`, for classes whose links are not understood.
    """
    now = settings()
    understood(now.launching.classes)
    timetable = Timetable(lambda: understood(settings().launching.classes), clock.now)
    confined, pad.way_out = ConfinedCalls((fetching.__name__, "perijove.backends.git.trusted")), outward(state)
    confined.let_through(state.checkouts)
    tokens, devices = HostTokenFolder(state.host_tokens, keys), DeviceFlow(lambda: settings().auth, clock)
    repositories = GitRepositories(state, now.repositories, _private(now), confined, tokens, renewed=devices.renewed)
    engine = _engine(state, now, pad, confined, keys)
    by = (engine and engine.builds) or pad
    environments = UvEnvironments(state, now.build, by, confined, now.conda, now.platform)
    environments.without_in_lab(now.session.lab_disabled)
    sessions = SessionKeeper(engine.sessions if engine else pad, journal, keys, clock, settings)
    queue, homes = Queue(sessions, settings, timetable=timetable), HomesOnDisk(lambda: _homes(settings()))
    keeping = Keeping(KeptOnDisk(state, state.keeping if engine else state.handed), sessions.sandboxes, clock, settings)
    way = LaunchWay(
        repositories, environments, confined, Builds(environments, confined, now.build.concurrent, group), queue,
        sessions, SessionFactory(keys, clock, settings, lambda: sessions.names, certified, timetable),
        clock, settings, keeping, explain, homes,
    )  # fmt: skip
    launches = Launches(way, journal, group)
    return LaunchParts(
        confined, pad, engine, repositories, environments, sessions, launches, way.pool, queue, timetable,
        Preparations(timetable, launches, clock), keeping, Links(repositories, settings, clock.now),
        HomeQuota(homes, sessions, launches.whose, lambda: _homes(settings()), clock),
    )  # fmt: skip


def _engine(state: State, settings: Settings, pad: Pad, confined: ConfinedCalls, keys: Keys) -> ClusterEngine | None:
    """None where sessions run on this machine."""
    if settings.engine.kind is EngineKind.SANDBOX:
        return None
    from perijove.wiring.pods import cluster_engine  # noqa: PLC0415  0.6 s, which starts without a cluster do not wait for

    return cluster_engine(state, settings, pad, confined, keys)


def _homes(settings: Settings) -> HomeSettings:
    """Without a sandbox there is nothing to show them in."""
    return settings.home if settings.session.isolation is IsolationMode.SANDBOX else HomeSettings()


def _private(settings: Settings) -> bool:
    """Whether visitors may name private addresses."""
    said = settings.repositories.private_addresses
    return loopback_only(settings.service) if said is PrivateAddresses.AUTO else said is PrivateAddresses.YES
