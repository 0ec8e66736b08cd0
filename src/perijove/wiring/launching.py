"""The launch way's parts, joined. In: settings, state. Out: who launches, and all that this needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.git import GitRepositories, fetching
from perijove.backends.pad.client import Pad
from perijove.domain.keys import Keys
from perijove.domain.listening import loopback_only
from perijove.domain.ports import Clock, Explain
from perijove.domain.settings import PrivateAddresses, Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.build.builder import Builds
from perijove.launching.launches import Launches
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.pool import Pool
from perijove.launching.start.queue import Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.way import LaunchWay


@dataclass(frozen=True, slots=True)
class LaunchParts:
    """The live objects of the launch way."""

    confined: ConfinedCalls
    pad: Pad
    repositories: GitRepositories
    environments: UvEnvironments
    sessions: SessionKeeper
    launches: Launches
    pool: Pool

    def reload(self, settings: Settings) -> None:
        """Do as the settings say now."""
        self.repositories.apply(settings.repositories, _private(settings))
        self.environments.apply(settings.build, settings.conda, settings.platform)


def joined(
    state: State,
    settings: Callable[[], Settings],
    journal: Journal,
    keys: Keys,
    clock: Clock,
    group: asyncio.TaskGroup,
    explain: Explain,
    certified: Callable[[], Collection[str]],
) -> LaunchParts:
    """All objects, each given what it needs. `certified`: names for which a certificate is shown."""
    now = settings()
    confined = ConfinedCalls((fetching.__name__,))
    confined.let_through(state.checkouts)
    pad = Pad(state, now.session.isolation)
    repositories = GitRepositories(state, now.repositories, _private(now), confined)
    environments = UvEnvironments(state, now.build, pad, confined, now.conda, now.platform)
    builds = Builds(environments, confined, now.build.concurrent, group)
    sessions = SessionKeeper(pad, journal, keys, clock, settings)
    way = LaunchWay(
        repositories,
        environments,
        builds,
        Queue(sessions, settings),
        sessions,
        SessionFactory(keys, clock, settings, lambda: sessions.names, certified),
        clock,
        settings,
        explain,
    )
    return LaunchParts(confined, pad, repositories, environments, sessions, Launches(way, journal, group), way.pool)


def _private(settings: Settings) -> bool:
    """Whether visitors may name private addresses."""
    wish = settings.repositories.private_addresses
    return loopback_only(settings.service) if wish is PrivateAddresses.AUTO else wish is PrivateAddresses.YES
