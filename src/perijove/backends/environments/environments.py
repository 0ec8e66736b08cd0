"""The port Environments on this machine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from perijove.backends.environments import kernel, resolutions, store
from perijove.backends.environments.bytecode import Bytecode
from perijove.backends.environments.conda import Conda, post_link
from perijove.backends.environments.conda.fetched_python import CHANNEL, with_python
from perijove.backends.environments.conda.foundation import CondaBase
from perijove.backends.environments.contents import contents
from perijove.backends.environments.installing import Installation
from perijove.backends.environments.interpreters import Interpreters, Standing, others, pick
from perijove.backends.environments.post_build import PostBuild
from perijove.backends.environments.resolutions import Resolution
from perijove.backends.environments.server import Server, largest_script, site_packages
from perijove.backends.environments.serving import Serving
from perijove.backends.environments.store import Note
from perijove.backends.environments.system import Systems
from perijove.backends.environments.uv import Uv
from perijove.backends.environments.wanted import gather
from perijove.backends.environments.wheels import Wheels
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs, Interpreter, Package, Scripts, System, Wanted
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.confinement import Beyond, Identity
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentKey,
    EnvironmentPlan,
    FollowLock,
    InstallConda,
    InstallRequirements,
    ResolvedRepo,
    StoredEnvironment,
)
from perijove.domain.ports import Confined, ForeignCode, Place, Tell
from perijove.domain.settings import BuildSettings, FetchPythons
from perijove.domain.state import State
from perijove.domain.system_settings import PlatformSettings
from perijove.launching.build.lock_indexes import of_uv_lock
from perijove.launching.build.reading import LARGEST_LOCK, read

T = TypeVar("T")
FORMAT = 8
"""Rises when an environment is made otherwise from the same inputs."""
RESOLVING = 4
"""Builds that find out at once what they need; how many build is the caller's affair."""
UV_LOCK, PROJECT = "uv.lock", "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Made:
    """What a build came to."""

    key: EnvironmentKey
    packages: tuple[Package, ...]
    note: Note | None = None
    """None where an equal environment stands."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What a build waits for, which is not counted in its limit."""

    limit: asyncio.Timeout
    place: Place
    resolve: asyncio.Semaphore

    def placed(self) -> AbstractAsyncContextManager[None]:
        """Among those that build."""
        return self._uncounted(self.place())

    def resolving(self) -> AbstractAsyncContextManager[None]:
        """Among those that find out what they need, and may find it built."""
        return self._uncounted(self.resolve)

    @asynccontextmanager
    async def _uncounted(self, place: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        clock = asyncio.get_running_loop().time
        left = (self.limit.when() or 0.0) - clock()
        self.limit.reschedule(None)
        async with place:
            self.limit.reschedule(clock() + left)
            yield


class UvEnvironments:
    """Environments made by uv, below `state.environments`."""

    def __init__(
        self,
        state: State,
        settings: BuildSettings,
        foreign: ForeignCode,
        confined: Confined,
        conda: CondaSettings | None = None,
        platform: PlatformSettings | None = None,
    ) -> None:
        self._conda = Conda(state, confined, settings, conda or CondaSettings())
        self._confined = confined
        self._state = state
        self._foreign = foreign
        self.uv = Uv(state, settings, Interpreters(state, settings.pythons), confined)
        self._bytecode = Bytecode(foreign, self.uv, state.uv_cache)
        self._server = Server(state, self.uv, self._bytecode)
        self.systems = Systems(state, platform or PlatformSettings(), settings, foreign, confined, self.uv)
        self._serving = Serving(state, self.uv, self._server, self.systems)
        self._usual_server: Path | None = None
        self._looked_around = False
        self._cache = asyncio.Lock()
        self._placing = asyncio.Lock()
        self._resolving = asyncio.Semaphore(RESOLVING)
        self._builds = 0
        self._held: Counter[EnvironmentKey] = Counter()
        self.apply(settings)

    def apply(
        self, settings: BuildSettings, conda: CondaSettings | None = None, platform: PlatformSettings | None = None
    ) -> None:
        """Other settings from now on; builds under way keep theirs."""
        self.systems.apply(settings, platform)
        self._settings = settings
        self._conda.build, self._conda.settings = settings, conda or self._conda.settings
        self._interpreters = Interpreters(self._state, settings.pythons)
        self.uv.settings, self.uv.interpreters = settings, self._interpreters
        self._wheels = Wheels(self._state, settings, self._foreign, self._confined, self.uv, self._interpreters)

    def without_in_lab(self, extensions: tuple[str, ...]) -> None:
        """Pages of sessions that start from now on do without these of JupyterLab's extensions."""
        self._server.lab_disabled = extensions

    async def look_around(self) -> None:
        """What waits for nothing else: each Python of this machine is known, caches are theirs who write to them."""
        if not self._looked_around:
            await asyncio.gather(self._interpreters.installed(), asyncio.to_thread(self._hand_over))
            self._looked_around = True

    async def prepare(self, tell: Tell) -> None:
        """Sweep what was left half-made, and make the shared server environment. Raises Fail: `build.*`."""
        await self.look_around()
        state = self._state
        others = (state.checkouts, state.uv_cache)  # git's backend sweeps its own, uv its cache
        await asyncio.to_thread(store.sweep, *(folder for folder in state.in_store if folder not in others))
        await asyncio.to_thread(resolutions.tidy, self._state.resolutions)
        async with self._cache:
            self._usual_server = await self._serving.prepare("", tell)

    async def served(self) -> Environment:
        """What most sessions' servers run on, once it is prepared. Raises Fail: `build.*`."""
        return await self._serving.bare()

    def largest_script(self, urlpath: str) -> str:
        """The address of the largest script that most sessions' pages at an `urlpath` load; `` until it is prepared."""
        return largest_script(self._usual_server, urlpath) if self._usual_server else ""

    def _hand_over(self) -> None:
        """What confined calls write to is theirs; also where another one wrote before."""
        for cache in (self._state.uv_cache, self._state.conda_cache):
            self._confined.hand_over(cache.resolve(), Identity.INSTALLER, contents=True)

    async def inputs(
        self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell, *, again: bool = False
    ) -> BuildInputs:
        """What this plan's environment is made from here. Raises Fail: `build.bad-file`, `build.python-unavailable`."""
        system = await self.systems.wanted(plan, checkout, tell, again=again)
        plan, installed = await self._with_pythons(plan, system, tell)
        interpreter, note = pick(plan.python, installed)
        if note:
            tell(note)
        wanted = await self._gathered(await self._exported(plan, checkout, interpreter), checkout)
        for step in plan.steps:
            if isinstance(step, InstallConda):
                glibc = self.systems.interpreter(system).glibc if system else ""
                wanted = replace(wanted, conda=await self._conda.decided(step, checkout, tell, glibc, again=again))
        if self._settings.exclude_newer and checkout.repo.address.provider != "local":
            moment = (await asyncio.to_thread(checkout.path.stat)).st_mtime
            told = datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            tell(f"Only packages that were there when this commit was made are taken: until {told}")
            wanted = replace(wanted, published_before=told)
        inputs = BuildInputs(
            wanted,
            interpreter,
            checkout,
            maker=f"{FORMAT} {self._server.lock_hash}",
            others=others(plan.python, installed, interpreter),
            scripts=Scripts(plan.post_build, plan.start) if plan.post_build or plan.start else None,
            system=system,
        )
        before = await self._resolution(inputs)
        return replace(inputs, turn=(before.turn if before else 0) + again)

    async def _with_pythons(
        self, plan: EnvironmentPlan, system: System | None, tell: Tell
    ) -> tuple[EnvironmentPlan, Sequence[Interpreter]]:
        """The interpreters that its environment may have; and the plan, whose own may be a package of conda's."""
        installed = await self._interpreters.installed()
        if any(isinstance(step, InstallConda) for step in plan.steps):
            return plan, installed
        here = [self.systems.interpreter(system), *installed] if system else installed
        if self._settings.fetch_pythons is FetchPythons.CONDA and (fetched := with_python(plan, here)):
            asked = f"{plan.python.specifier} ({plan.python.source})"
            tell(f"Python {asked} is not installed here: it comes from {CHANNEL}")
            return fetched, installed
        return plan, await self.systems.pythons(system, plan.python, installed, tell) if system else installed

    async def _resolution(self, inputs: BuildInputs) -> Resolution | None:
        return await asyncio.to_thread(resolutions.read, self._state.resolutions, inputs)

    async def _exported(self, plan: EnvironmentPlan, checkout: Checkout, python: Interpreter) -> EnvironmentPlan:
        """The plan, with uv.lock in uv's own words."""
        steps = list(plan.steps)
        for position, step in enumerate(steps):
            if isinstance(step, FollowLock) and step.path == UV_LOCK:
                lock, project = [await self._read(checkout, path) for path in (UV_LOCK, PROJECT)]
                indexes = await self._understood(UV_LOCK, of_uv_lock, UV_LOCK, lock)
                text = await self.uv.exported(lock, project, python)
                steps[position] = InstallRequirements(UV_LOCK, "\n".join([*indexes, text]))
        return replace(plan, steps=tuple(steps))

    async def _read(self, checkout: Checkout, path: str) -> str:
        return await self._understood(path, read, checkout.path, path, LARGEST_LOCK)

    async def _gathered(self, plan: EnvironmentPlan, checkout: Checkout) -> Wanted:
        return await self._understood("what the environment is made from", gather, plan, checkout.path)

    async def _understood(self, what: str, function: Callable[..., T], *given: object) -> T:
        try:
            return await self._confined.call(function, *given, lasting=True)
        except Beyond as beyond:
            raise Fail(beyond.told(failures.BAD_FILE, what)) from beyond

    async def resolved(self, inputs: BuildInputs) -> Environment | None:
        """What these inputs were resolved to, if it stands; marks it used now."""
        if inputs.wanted.decided and inputs.scripts is None and (found := await self.find(inputs.conda_key)):
            return found
        before = await self._resolution(inputs)
        return await self.find(before.environment) if before and before.name == inputs.name else None

    async def find(self, key: EnvironmentKey) -> Environment | None:
        """The environment if it stands; marks it used now."""
        path = self._state.environments / key
        note = store.read(path)
        if note is None:
            return None
        if note.base and await self.find(note.base) is None:
            return None
        if self.systems.standing(note.root) is None:
            return None
        store.use(path)
        return await self._serving.environment(key, note)

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        """Make it: aside, then renamed. Raises Fail: `build.*`, `start.sandbox-failed`, `platform.*`."""
        if (found := await self.resolved(inputs)) is not None:
            return found
        base = await self.build(inputs.base, made_for, tell, place) if inputs.scripts else None
        if self._cache.locked():
            tell("Waiting until the cache of packages has been cleaned")
        async with self._cache:
            self._builds += 1
        try:
            aside = self.uv.aside(self._state.environments / inputs.name)
            with store.full_disk_told(self._state.environments):
                async with asyncio.timeout(self._settings.timeout) as limit, aside as work:
                    waits = Waits(limit, place, self._resolving)
                    if inputs.scripts and base:
                        async with waits.placed():
                            made = await self._layer(work, inputs, inputs.scripts, base, made_for, tell)
                    else:
                        made = await self._make(work, inputs, made_for, tell, waits)
                    await self._place(work / "env", made)
                    given = (self._state.resolutions, inputs, made.key, made.packages)
                    await asyncio.to_thread(resolutions.write, *given)
        except TimeoutError as error:
            seconds = f"{self._settings.timeout:.0f} s"
            cause = f"It was not done after {seconds}"
            raise Fail(failures.BUILD_TOO_SLOW(cause, Evidence("build.timeout", seconds))) from error
        finally:
            self._builds -= 1
        if (environment := await self.find(made.key)) is None:
            raise Fail(failures.BUG("the environment was gone as soon as it stood"))
        return environment

    async def _place(self, made: Path, what: Made) -> None:
        """Where it belongs, unless an equal one stands there."""
        async with self._placing:
            if what.note is None or await self.find(what.key) is not None:
                return
            await asyncio.to_thread(store.write, made, what.note)
            await asyncio.to_thread(store.remove, self._state.environments, what.key)  # one whose base is gone
            made.rename(self._state.environments / what.key)

    async def stored(self) -> Sequence[StoredEnvironment]:
        return await asyncio.to_thread(store.stored, self._state.environments)

    async def remove(self, key: EnvironmentKey) -> None:
        """Forget it, but for what a layer is being made over. Running sessions are the caller's care."""
        if not self._held[key]:
            await asyncio.to_thread(store.remove, self._state.environments, key)

    async def tidy(self) -> None:
        """Remove from uv's cache what no environment uses."""
        async with self._cache:
            # What a build has fetched is linked by nobody until it is installed.
            if not self._builds:
                await asyncio.to_thread(store.drop_unused, self._state.uv_cache)
                await asyncio.to_thread(store.drop_unused_conda, self._state.conda_cache)
                await asyncio.to_thread(resolutions.tidy, self._state.resolutions)
                await asyncio.to_thread(self.systems.tidy, store.roots(self._state.environments))

    async def _make(self, work: Path, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, waits: Waits) -> Made:
        root = await self.systems.made(inputs.system, made_for, tell, waits.placed)
        on = self._serving.standing(root)
        await self._serving.prepare(root, tell)
        env, name, conda = work / "env", inputs.name[:16], inputs.wanted.conda
        final = self._state.environments / inputs.conda_key
        given = (env, final, inputs.interpreter, tell, on)
        base = CondaBase(self._conda, self.uv, conda, *given) if conda else None
        before = await self._resolution(inputs)
        lines = before.lines if before and before.turn == inputs.turn else ()
        installation = Installation(self.uv, self._wheels, work, name, inputs, tell, on, base, lines, waits.placed)
        async with waits.resolving():
            app = await installation.install()
            interpreter = installation.interpreter
            where = site_packages(env, interpreter)
            packages = await self.uv.confined(contents, where, work / "wheels")
        key = same = inputs.key(packages, interpreter, app)
        if base:
            standing = await asyncio.to_thread(store.standing, self._state.environments, same)
            key = standing or inputs.conda_key
        if await self.find(key) is not None:
            tell("An environment of just these packages stands already: it is used")
            return Made(key, packages)
        async with waits.placed():
            variables = await self._finish(work, name, interpreter, base, on, tell)
        python = (interpreter.version, str(interpreter.executable), str(interpreter.prefix))
        held = (*(base.packages.names if base else ()), *(one.line for one in packages))
        resolved = same if base else ""
        note = Note(*python, app, _told(made_for), time.time(), variables, packages=held, resolved=resolved, root=root)
        return Made(key, packages, note)

    async def _finish(
        self, work: Path, name: str, interpreter: Interpreter, base: CondaBase | None, on: Standing, tell: Tell
    ) -> Mapping[str, str]:
        """What is installed becomes an environment; what activating it sets."""
        env = work / "env"
        where = site_packages(env, interpreter)
        if base:
            await base.compile(self._bytecode, where, f"compile-{name}")
            if base.linked is not None and base.linked.scripted:
                await post_link.run(base, base.linked, self._foreign, f"linked-{name}")
        else:
            runs = await self._interpreters.runs(interpreter, on)
            await self._bytecode.compiled(work, where, interpreter, runs, f"compile-{name}", tell)
        await self.uv.confined(kernel.finish, env, where, interpreter, within=work)
        if base is not None:
            return await base.variables(self._foreign, f"activate-{name}")
        await self.uv.settle(env, interpreter)
        return {}

    async def _layer(
        self, work: Path, inputs: BuildInputs, scripts: Scripts, base: Environment, made_for: ResolvedRepo, tell: Tell
    ) -> Made:
        """What the repository's own scripts add to an environment that others share."""
        made, below = work / "env", store.read(base.path)
        if below is None:
            raise Fail(failures.BUG("the environment was gone as soon as it stood"))
        await asyncio.to_thread(made.mkdir)
        self._held[base.key] += 1
        try:
            if scripts.post_build:
                runs = PostBuild(self._settings, self._foreign, self._confined)
                await runs.run(inputs, base, below.interpreter, made, tell)
        finally:
            self._held[base.key] -= 1
        note = replace(
            below, made_from=_told(made_for), created_at=time.time(), base=base.key, start=scripts.start, resolved=""
        )
        return Made(inputs.layer_key(base.key), (), note)


def _told(made_for: ResolvedRepo) -> str:
    return f"{made_for.address.provider}/{made_for.address.spec} at {made_for.commit[:7]}"
