"""What each environment stands on: this machine's system, the base, or the base with packages over it.

In: a plan; out: a `System`, and the folders that are its root. A *root* is written down as the base's key, and the
layer's behind a space.
"""

from __future__ import annotations

from collections.abc import Sequence

from perijove.backends.environments.interpreters import HOST, Standing
from perijove.backends.environments.system.bases import Base, Bases, certificates
from perijove.backends.environments.system.packages import Packages
from perijove.backends.environments.system.trials import Trials
from perijove.backends.environments.uv import Uv
from perijove.domain.build_inputs import Interpreter, System
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Checkout, EnvironmentPlan, InstallSystem, PythonRequest, ResolvedRepo
from perijove.domain.ports import Confined, ForeignCode, Place, Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.domain.system_failures import APT_UNAVAILABLE, BASE_MISSING
from perijove.domain.system_settings import PlatformSettings, Root


class Systems:
    """The base, and what packages make of it."""

    def __init__(
        self,
        state: State,
        settings: PlatformSettings,
        build: BuildSettings,
        foreign: ForeignCode,
        confined: Confined,
        uv: Uv,
    ) -> None:
        self.bases = Bases(state, settings, build, foreign, confined, uv)
        self._state = state
        self._packages = Packages(state, self.bases, foreign, confined)
        self._trials = Trials(state, foreign, uv)

    def apply(self, build: BuildSettings, settings: PlatformSettings | None) -> None:
        """Other settings from now on."""
        self.bases.build, self.bases.settings = build, settings or self.bases.settings

    async def wanted(
        self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell, *, again: bool = False
    ) -> System | None:
        """What this plan's environment stands on, with `again` decided anew; None for this machine's.

        Raises Fail: `build.*`, `platform.*`.
        """
        step = next((step for step in plan.steps if isinstance(step, InstallSystem)), None)
        root = self.bases.settings.root
        if step is not None and root is Root.HOST:
            cause = f"{step.path} names packages, and environments stand on this machine's own system"
            raise Fail(APT_UNAVAILABLE(cause, Evidence(step.path, " ".join(step.names)[:300])))
        if step is None and root is not Root.BASE:
            return None
        base = await self.bases.ready(tell)
        if step is None:
            return System(base.key)
        return await self._packages.decided(base, step, checkout.repo, tell, again=again)

    async def made(self, system: System | None, repo: ResolvedRepo, tell: Tell, place: Place) -> str:
        """See to it that it stands; its root, or `` for this machine's. Only what does not takes a place of a build.

        Raises Fail: `build.*`, `platform.*`.
        """
        if system is None:
            return ""
        base = self._base(system.base)
        await self._packages.made(base, system, repo, tell, place)
        return f"{base.key} {system.key}" if system.packages else base.key

    def standing(self, root: str) -> Standing | None:
        """The folders; None where they do not stand."""
        if not root:
            return HOST
        key, _, layer = root.partition(" ")
        base = self.bases.named(key)
        over = (self._state.layers / layer / "root",) if layer else ()
        if base is None or not all(path.is_dir() for path in over):
            return None
        return Standing((*base.root, *over), certificates())

    def interpreter(self, system: System) -> Interpreter:
        return self.interpreter_of(system.base)

    async def pythons(
        self, system: System, request: PythonRequest, here: Sequence[Interpreter], tell: Tell
    ) -> Sequence[Interpreter]:
        """What an environment on it may have, of what this machine has `here`. Raises Fail, as `Trials.pythons`."""
        return await self._trials.pythons(self._base(system.base), request, here, tell)

    def interpreter_of(self, root: str) -> Interpreter:
        """The base's own. Raises Fail: `platform.base-missing`."""
        return self._base(root.partition(" ")[0]).interpreter

    def _base(self, key: str) -> Base:
        base = self.bases.named(key)
        if base is None:
            raise Fail(BASE_MISSING("the base has been removed meanwhile", Evidence("base", key)))
        return base

    def tidy(self, roots: Sequence[str]) -> None:
        """Remove what none of these stands on, but for bases. Synchronous."""
        self._packages.tidy([root.partition(" ")[2] for root in roots])
