"""Runs uv: the wheel's program, our cache, the operator's index configuration, every line told as it comes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

import uv as uv_wheel

from perijove.backends.environments import complaints
from perijove.backends.environments.archives import Addressed, looked_into
from perijove.backends.environments.complaints import Meaning
from perijove.backends.environments.installer import Room, Run, ran, settle
from perijove.backends.environments.interpreters import Interpreters, link_or_copy, passable, pick
from perijove.backends.environments.stubbed_python import Described, stand_in, virtual_environment
from perijove.domain import failures
from perijove.domain.build_inputs import Interpreter
from perijove.domain.confinement import Beyond, Bounds, Identity, Limit
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import PythonRequest, PythonSource
from perijove.domain.ports import Confined, Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State

T = TypeVar("T")
KEEP_FREE = 1024**3
"""Bytes of the disk that no run may take."""
WHEELS_ONLY = ("--only-binary", ":all:", "--no-python-downloads", "--link-mode", "hardlink")
KINDS = {
    Limit.SIZE: failures.BUILD_TOO_LARGE,
    Limit.MEMORY: failures.BUILD_MEMORY,
    Limit.TIME: failures.BUILD_TOO_SLOW,
}
"""What a bound that was met means; the others are failures of the installation."""
NONE_FITS = frozenset((failures.NO_SUCH_PACKAGE, failures.CONFLICT))
"""How uv says that no wheel is to be had."""
_FROM = re.compile(r" \(from file://[^)]*\)$")
"""Where a wheel lay while the environment was built: nobody's business, and gone by now."""
_DROPPED = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")


class Complaint(Exception):
    """uv ended with an error, which means this."""

    def __init__(self, meaning: Meaning) -> None:
        super().__init__(meaning.failure.message)
        self.meaning = meaning


class Uv:
    """uv, as this service runs it: confined; it downloads no interpreters and builds nothing."""

    def __init__(self, state: State, settings: BuildSettings, interpreters: Interpreters, confined: Confined) -> None:
        self.settings = settings
        self.interpreters = interpreters
        self._state = state
        self._confined = confined

    def _bounds(self, within: Path | None = None) -> Bounds:
        """For all that writes to environments and to uv's cache; `within` a build's own folder and that cache alone."""
        settings = self.settings
        cpu = int(settings.timeout * (os.cpu_count() or 1)) + 1
        writes = (within, self._state.uv_cache) if within is not None else None
        return Bounds(
            Identity.INSTALLER, settings.timeout, cpu, settings.memory, settings.environment_size, writes=writes
        )

    @asynccontextmanager
    async def aside(self, path: Path) -> AsyncIterator[Path]:
        """A folder of the installer's beside one that is to be made, for all that comes and goes; gone afterwards."""
        work = path.with_name(f".{path.name}.{token_hex(8)}.{os.getpid()}")
        try:
            await asyncio.to_thread(work.mkdir, 0o755)
            self._confined.hand_over(work, Identity.INSTALLER)
            yield work
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    async def venv(self, at: Path, python: Interpreter, tell: Tell) -> None:
        """An empty environment that can be renamed, in a folder that is the installer's. Raises Fail: `build.*`."""
        if python.glibc:
            await self.confined(virtual_environment, at, python, within=at.parent)
            return
        words = ["venv", "--quiet", "--relocatable", "--no-project", str(at), "--python"]
        python = await self.interpreters.reachable(python)
        try:
            await self._run([*words, str(python.executable)], python, tell, at.parent)
        except Complaint as complaint:
            raise Fail(complaint.meaning.failure) from complaint

    async def install(
        self, at: Path, python: Interpreter, options: Sequence[str], tell: Tell, asked: Path | None = None
    ) -> None:
        """Wheels only, linked from the cache; uv asks `asked` where `at` has no python of ours. Raises Complaint."""
        if python.glibc and asked is None:
            trusted = await self._trusted()
            described = Described(at, python, virtual=True)
            asked = await self.confined(stand_in, at.parent, described, trusted.executable)
            python = trusted
        words = ["pip", "install", "--python", str(asked or at / "bin" / "python"), *WHEELS_ONLY, *options]
        await self._run(words, await self.interpreters.reachable(python), tell, at.parent)

    async def has_wheels(self, requirements: Sequence[str], version: str, python: Interpreter, work: Path) -> bool:
        """Whether each of them alone has a wheel for a version of Python, which need not be installed.

        Raises Fail: `build.index-unreachable` and others: nobody knows.
        """
        wanted = work / "asked.txt"
        python = await self._host(python)
        await asyncio.to_thread(wanted.write_text, "\n".join(requirements))
        about = ["--no-deps", "--only-binary", ":all:", "--no-python-downloads"]
        words = ["pip", "compile", "--quiet", *about, "--python", str(python.executable), "--python-version", version]
        try:
            await self._run([*words, str(wanted)], python, lambda _: None, work)
        except Complaint as complaint:
            if complaint.meaning.failure.kind in NONE_FITS:
                return False
            raise Fail(complaint.meaning.failure) from complaint
        return True

    async def exported(self, lock: str, project: str, python: Interpreter) -> str:
        """What a uv.lock holds, as a requirements file. Raises Fail: `build.bad-file` and others."""
        async with self.aside(self._state.environments / "uv-lock") as work:
            for name, text in (("uv.lock", lock), ("pyproject.toml", project)):
                await asyncio.to_thread((work / name).write_text, text)
            told = ["--no-header", "--no-annotate", "--no-emit-project", "--output-file", "requirements.txt"]
            words = ["export", "--quiet", "--frozen", "--offline", "--no-config", "--no-python-downloads", *told]
            try:
                await self._run(words, await self._host(python), lambda _: None, work)
            except Complaint as complaint:
                cause = "uv.lock cannot be used: uv does not read it"
                raise Fail(failures.BAD_FILE(cause, *complaint.meaning.failure.evidence)) from complaint
            return await asyncio.to_thread((work / "requirements.txt").read_text)

    async def _trusted(self) -> Interpreter:
        """One of this machine's, which answers for those that never run here."""
        found, _ = pick(PythonRequest("", PythonSource.DEFAULT), await self.interpreters.installed())
        return await self.interpreters.reachable(found)

    async def _host(self, python: Interpreter) -> Interpreter:
        """It, or what answers for it."""
        return await (self._trusted() if python.glibc else self.interpreters.reachable(python))

    async def settle(self, at: Path, python: Interpreter) -> None:
        """It is whole: from now on it is run where sessions see it. Raises Fail: `build.*`."""
        copy = await self.interpreters.reachable(python)
        if copy != python:
            await self.confined(settle, at, copy.prefix, python.prefix)

    async def looked_into(self, wheels: Sequence[Path]) -> tuple[Addressed, ...]:
        """What wheels want from addresses of their own. Raises Fail: `build.*`."""
        return await self.confined(looked_into, tuple(wheels), self.room())

    async def confined(self, function: Callable[..., T], *given: object, within: Path | None = None) -> T:
        """A function's doing among environments and in uv's cache. Raises Fail: `build.*`."""
        try:
            return await self._confined.call(function, *given, bounds=self._bounds(within))
        except Beyond as beyond:
            raise Fail(_failure(beyond)) from beyond

    async def _run(self, arguments: Sequence[str], python: Interpreter, tell: Tell, cwd: Path) -> None:
        """To its end, or until cancelled. Raises Complaint, Fail."""
        run = Run((self._program(), *arguments), self._environ(python, cwd), cwd, self._state.uv_cache)
        try:
            ended = await self._confined.run(
                ran, run, self.room(), bounds=self._bounds(cwd), tell=lambda line: tell(_FROM.sub("", line))
            )
            if ended.status != 0:
                raise Complaint(await self._confined.call(complaints.meant, ended.words))
        except Beyond as beyond:
            raise Fail(_failure(beyond)) from beyond

    def _program(self) -> str:
        """uv where the installer can run it."""
        path = Path(program())
        if os.geteuid() != 0 or passable(path.parent):
            return str(path)
        copy = self._state.tools / f"uv-{path.stat().st_mtime_ns}"
        if not copy.exists():
            link_or_copy(str(path), str(copy))
        return str(copy)

    def room(self) -> Room:
        """What one run may add: never the disk's last, which is others' as well."""
        free = shutil.disk_usage(self._state.store).free
        left, most = max(free // 2, free - KEEP_FREE), self.settings.environment_size
        return Room(min(most, left), self.settings.environment_files, short=left < most)

    def _environ(self, python: Interpreter, cwd: Path) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        if "PIP_INDEX_URL" in environ and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environ.keys():
            environ["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
        # One connection of a hundred that is lost is uv's affair; an index that is down is the launch's, and told.
        environ.setdefault("UV_HTTP_RETRIES", "2")
        return environ | {
            # A copied interpreter finds its own library so.
            **({} if python.prefix.is_relative_to("/usr") else {"LD_LIBRARY_PATH": str(python.prefix / "lib")}),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "TMPDIR": str(cwd),
            "NO_COLOR": "1",
        }


def _failure(beyond: Beyond) -> Failure:
    return beyond.told(KINDS.get(beyond.limit, failures.INSTALL_FAILED), "the environment")


def program() -> str:
    """Where uv is. Raises Fail: `platform.tool-missing`."""
    try:
        return uv_wheel.find_uv_bin()
    except FileNotFoundError as error:
        missing = failures.TOOL_MISSING("uv is not where its package says", Evidence("uv.find_uv_bin", str(error)))
        raise Fail(missing) from error
