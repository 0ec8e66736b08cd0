"""All that a sandbox needs to serve an environment that stands: command, variables, folders, and the system beneath."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perijove.backends.environments import post_build, server
from perijove.backends.environments.interpreters import Standing, pick
from perijove.backends.environments.server import Server
from perijove.backends.environments.store import Note
from perijove.backends.environments.system.systems import Systems
from perijove.backends.environments.uv import Uv
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Environment, EnvironmentKey, Mount, Overlay, PythonRequest, PythonSource
from perijove.domain.ports import Tell
from perijove.domain.state import State
from perijove.domain.system_failures import BASE_MISSING
from perijove.launching.start.sandbox import HOME

ANY = PythonRequest("", PythonSource.DEFAULT)


@dataclass(frozen=True, slots=True)
class Serving:
    """Serves with Perijove's own server what brings none."""

    state: State
    uv: Uv
    server: Server
    systems: Systems

    async def environment(self, key: EnvironmentKey, note: Note) -> Environment:
        """As sessions get it. Raises Fail: `build.*`, `platform.base-missing`."""
        path = self.state.environments / key
        if note.base:
            return over(path, note, await self.environment(note.base, replace(note, base="")))
        interpreter, standing, shows = note.interpreter, self.standing(note.root), self.uv.interpreters.shown
        servers_python = interpreter if note.app else await self._python(note.root)
        await self.prepare(note.root, lambda _: None)
        serving = path if note.app else self.server.environment(servers_python)
        launcher = self.server.launcher
        needed = await self._needed(serving, servers_python, standing, path)
        shown = [*needed, *(() if interpreter.prefix == path else await shows(interpreter))]
        return Environment(
            key=key,
            path=path,
            python=note.python,
            command=server.command(serving, launcher, note.app or "lab", shared=not note.app),
            environ=(*server.environ(path, serving, launcher), *note.variables.items()),
            mounts=tuple(dict.fromkeys(shown)),
            server=() if note.app else needed,
            overlays=(Overlay((path,), path),),
            root=standing.root,
        )

    async def _needed(
        self, serving: Path, python: Interpreter, standing: Standing, environment: Path | None = None
    ) -> tuple[Mount, ...]:
        """What a server runs on, beside what is the environment's own."""
        folders = (folder for folder in (serving, self.server.launcher) if folder != environment)
        shown = () if python.prefix == environment else await self.uv.interpreters.shown(python)
        return tuple(dict.fromkeys((*(Mount(folder, folder) for folder in folders), *shown, *standing.mounts)))

    async def bare(self) -> Environment:
        """Perijove's own server on this machine's system, as sessions get it, without any environment's packages."""
        python = await self._python("")
        serving, launcher = self.server.environment(python), self.server.launcher
        needed = await self._needed(serving, python, self.standing(""))
        command = server.command(serving, launcher, "lab", shared=True)
        return Environment("", serving, python.version, command, (), needed, server=needed)

    def standing(self, root: str) -> Standing:
        """The folders of a root. Raises Fail: `platform.base-missing` where they have gone meanwhile."""
        standing = self.systems.standing(root)
        if standing is None:
            raise Fail(BASE_MISSING("what the environment stands on has been removed", Evidence("base", root)))
        return standing

    async def prepare(self, root: str, tell: Tell) -> Path:
        """See to it that there is a server for what stands on this root, and say where. Raises Fail: `build.*`."""
        python = await self._python(root)
        await self.server.prepare(python, tell, self.standing(root))
        return self.server.environment(python)

    async def _python(self, root: str) -> Interpreter:
        if root:
            return self.systems.interpreter_of(root)
        return pick(ANY, await self.uv.interpreters.installed())[0]


def over(path: Path, note: Note, base: Environment) -> Environment:
    """An environment with what lies in the folder of its layer."""
    home, command = path / "home", base.command
    if note.start:
        running = Path(command[2]).with_name("running.py")
        command = (command[0], "-I", str(running), "start", f"{HOME}/{note.start}", *command)
    overlays = (post_build.stack(base, path),)
    home_from = home if home.is_dir() else None
    server = () if note.start else base.server  # the repository's script runs it
    return replace(
        base, key=path.name, command=command, server=server, overlays=overlays, home=home_from, start=note.start
    )
