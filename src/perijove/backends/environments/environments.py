"""The port Environments on this machine."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perijove.backends.environments import kernel, server, store
from perijove.backends.environments.bytecode import Bytecode
from perijove.backends.environments.conda import Conda
from perijove.backends.environments.conda.foundation import CondaBase
from perijove.backends.environments.installing import Installation
from perijove.backends.environments.interpreters import Interpreters, others, pick
from perijove.backends.environments.server import Server, site_packages
from perijove.backends.environments.store import Note
from perijove.backends.environments.uv import Uv
from perijove.backends.environments.wanted import gather
from perijove.backends.environments.wheels import Wheels
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs, Interpreter, Wanted
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.confinement import Beyond, Identity
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentKey,
    EnvironmentPlan,
    InstallConda,
    Mount,
    PythonSource,
    PythonWish,
    ResolvedRepo,
    StoredEnvironment,
)
from perijove.domain.ports import Clock, Confined, ForeignCode, Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State

FORMAT = 3
"""Rises when an environment is made otherwise from the same inputs."""
ANY = PythonWish("", PythonSource.DEFAULT)


class UvEnvironments:
    """Environments made by uv, below `state.environments`."""

    def __init__(
        self,
        state: State,
        settings: BuildSettings,
        foreign: ForeignCode,
        confined: Confined,
        clock: Clock,
        conda: CondaSettings | None = None,
    ) -> None:
        self._conda = Conda(state, confined, settings, conda or CondaSettings())
        self._confined = confined
        self._clock = clock
        self._state = state
        self._foreign = foreign
        self._uv = Uv(state, settings, Interpreters(state, settings.pythons), confined)
        self._bytecode = Bytecode(foreign, self._uv, state.uv_cache)
        self._server = Server(state, self._uv, self._bytecode)
        self._cache = asyncio.Lock()
        self._builds = 0
        self.apply(settings)

    def apply(self, settings: BuildSettings, conda: CondaSettings | None = None) -> None:
        """Other settings from now on; builds under way keep theirs."""
        self._settings = settings
        self._conda.build, self._conda.settings = settings, conda or self._conda.settings
        self._interpreters = Interpreters(self._state, settings.pythons)
        self._uv.settings, self._uv.interpreters = settings, self._interpreters
        self._wheels = Wheels(self._state, settings, self._foreign, self._confined, self._uv, self._interpreters)

    async def prepare(self, tell: Tell) -> None:
        """Sweep what was left half-made, and make the shared server environment. Raises Fail: `build.*`."""
        await asyncio.to_thread(self._hand_over)
        await asyncio.to_thread(store.sweep, self._state.environments, self._state.tools, self._state.interpreters)
        async with self._cache:
            await self._server.prepare(await self._servers_python(), tell)

    def _hand_over(self) -> None:
        """What confined calls write to is theirs; also where another one wrote before."""
        conda = self._state.conda_cache
        for path in (self._state.uv_cache, *self._state.uv_cache.rglob("*"), conda, *conda.rglob("*")):
            if not path.is_symlink():
                self._confined.hand_over(path, Identity.INSTALLER)

    async def inputs(self, plan: EnvironmentPlan, checkout: Checkout, tell: Tell) -> BuildInputs:
        """What this plan's environment is made from here. Raises Fail: `build.bad-file`, `build.python-unavailable`."""
        installed = await self._interpreters.installed()
        interpreter, note = pick(plan.python, installed)
        if note:
            tell(note)
        wanted = await self._gathered(plan, checkout)
        for step in plan.steps:
            if isinstance(step, InstallConda):
                wanted = replace(wanted, conda=await self._conda.decided(step, checkout, tell))
        age = self._settings.moving_max_age
        return BuildInputs(
            wanted,
            interpreter,
            home=checkout if wanted.reads_repository else None,
            maker=f"{FORMAT} {self._server.lock_hash}",
            period=int(self._clock.now() // age) if wanted.moves and age else 0,
            others=others(plan.python, installed, interpreter),
        )

    async def _gathered(self, plan: EnvironmentPlan, checkout: Checkout) -> Wanted:
        try:
            return await self._confined.call(gather, plan, checkout.path)
        except Beyond as beyond:
            raise Fail(beyond.told(failures.BAD_FILE, "what the environment is made from")) from beyond

    async def find(self, key: EnvironmentKey) -> Environment | None:
        """The environment if it stands; marks it used now."""
        path = self._state.environments / key
        note = store.read(path)
        if note is None:
            return None
        store.use(path)
        return await self._ready(key, note)

    async def build(self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell) -> Environment:
        """Make it: aside, then renamed. Raises Fail: `build.*`, `start.sandbox-failed`, `platform.*`."""
        key = inputs.key
        if (found := await self.find(key)) is not None:
            return found
        async with self._cache:
            self._builds += 1
        try:
            async with asyncio.timeout(self._settings.timeout), self._uv.aside(self._state.environments / key) as work:
                note = await self._make(work, self._state.environments / key, inputs, made_for, tell)
                await asyncio.to_thread(store.write, work / "env", note)
                (work / "env").rename(self._state.environments / key)
        except TimeoutError as error:
            limit = f"{self._settings.timeout:.0f} s"
            cause = f"It was not done after {limit}"
            raise Fail(failures.BUILD_TOO_SLOW(cause, Evidence("build.timeout", limit))) from error
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise Fail(
                failures.BUILD_DISK("No space is left", Evidence(str(self._state.environments), str(error)))
            ) from error
        finally:
            self._builds -= 1
        return await self._ready(key, note)

    async def stored(self) -> Sequence[StoredEnvironment]:
        return await asyncio.to_thread(store.stored, self._state.environments)

    async def remove(self, key: EnvironmentKey) -> None:
        """Forget it. Running sessions are the caller's care."""
        await asyncio.to_thread(store.remove, self._state.environments, key)

    async def tidy(self) -> None:
        """Remove from uv's cache what no environment uses."""
        async with self._cache:
            # What a build has fetched is linked by nobody until it is installed.
            if not self._builds:
                await asyncio.to_thread(store.drop_unused, self._state.uv_cache)
                await asyncio.to_thread(store.drop_unused_conda, self._state.conda_cache)
                await asyncio.to_thread(self._conda.tidy)

    async def _make(self, work: Path, final: Path, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell) -> Note:
        await self._server.prepare(await self._servers_python(), tell)
        env, name, packages = work / "env", inputs.key[:16], inputs.wanted.conda
        base = CondaBase(self._conda, self._uv, packages, env, final, inputs.interpreter, tell) if packages else None
        installation = Installation(self._uv, self._wheels, work, name, inputs, tell, base)
        app = await installation.install()
        interpreter = installation.interpreter
        runs = base.runs if base else await self._interpreters.runs(interpreter)
        where = site_packages(env, interpreter)
        await self._bytecode.compiled(work, where, interpreter, runs, f"compile-{name}", tell)
        await self._uv.confined(kernel.finish, env, where, interpreter, within=work)
        if base is None:
            await self._uv.settle(env, interpreter)
        variables = await base.variables(self._foreign, f"activate-{name}") if base else {}
        made_from = f"{made_for.address.provider}/{made_for.address.spec} at {made_for.commit[:7]}"
        python = (interpreter.version, str(interpreter.executable), str(interpreter.prefix))
        return Note(*python, app, made_from, time.time(), variables)

    async def _ready(self, key: EnvironmentKey, note: Note) -> Environment:
        """An environment that stands, with all that a sandbox needs to serve it."""
        path = self._state.environments / key
        interpreter = Interpreter(note.python, Path(note.executable), Path(note.prefix))
        servers_python = interpreter if note.app else await self._servers_python()
        await self._server.prepare(await self._servers_python(), lambda _: None)
        serving = path if note.app else self._server.environment(servers_python)
        launcher = self._server.launcher
        shown = [
            *(Mount(folder, folder) for folder in dict.fromkeys((path, serving, launcher))),
            *(() if interpreter.prefix == path else await self._interpreters.shown(interpreter)),
            *(() if servers_python.prefix == path else await self._interpreters.shown(servers_python)),
        ]
        return Environment(
            key=key,
            path=path,
            python=note.python,
            command=server.command(serving, launcher, note.app or "lab", shared=not note.app),
            environ=(*server.environ(path, serving, launcher), *note.variables.items()),
            mounts=tuple(dict.fromkeys(shown)),
        )

    async def _servers_python(self) -> Interpreter:
        return pick(ANY, await self._interpreters.installed())[0]
