"""The base, for an operator's commands: the same parts as the service's, whether one runs or not. In: settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from perijove.backends import statedir
from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments, store
from perijove.backends.environments.system.bases import Base, Bases, size_of
from perijove.backends.pad.client import Pad
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.wiring.outward import outward


@dataclass(frozen=True, slots=True)
class Listed:
    """A base that stands."""

    base: Base
    size: int
    """Bytes on disk."""
    environments: int
    """How many stand on it."""
    chosen: bool
    """Whether the settings mean it."""


async def prepare(state: State, settings: Settings, tell: Tell, *, again: bool) -> Base:
    """The base that the settings mean. Raises Fail: `platform.*`, `build.*`."""
    async with _bases(state, settings) as (bases, pad):
        await pad.ensure()
        try:
            return await bases.ready(tell, again=again)
        finally:
            await pad.close(stop=pad.spawned)


async def listed(state: State, settings: Settings) -> list[Listed]:
    """Those that stand, the latest made first."""
    async with _bases(state, settings) as (bases, _):
        used, chosen = Counter(_used(state)), bases.chosen()
        return [Listed(one, size_of(one.path), used[one.key], one == chosen) for one in bases.all()]


async def remove(state: State, settings: Settings, key: str) -> None:
    """Forget one, by its key or how that begins. Raises Fail: `platform.base-in-use`, `platform.no-such-object`."""
    async with _bases(state, settings) as (bases, _):
        found = [one for one in bases.all() if key and one.key.startswith(key)]
        if len(found) != 1:
            there = " ".join(one.key for one in bases.all()) or "none"
            cause = f"{len(found)} bases have keys that begin so" if found else f"there is no base {key[:40]}"
            raise Fail(NO_SUCH_OBJECT(cause, Evidence("bases", there), remedy="`perijove base show` lists them."))
        await bases.remove(found[0].key, _used(state))


def _used(state: State) -> list[str]:
    """The base of each environment that stands on one."""
    return [root.partition(" ")[0] for root in store.roots(state.environments)]


@asynccontextmanager
async def _bases(state: State, settings: Settings) -> AsyncIterator[tuple[Bases, Pad]]:
    statedir.prepare(state)
    pad = Pad(state, settings.session.isolation)
    pad.way_out = outward(state)
    with closing(ConfinedCalls()) as confined:
        environments = UvEnvironments(state, settings.build, pad, confined, settings.conda, settings.platform)
        yield environments.systems.bases, pad
