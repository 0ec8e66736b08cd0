"""Which Python interpreters this machine has, which one a request means, and how sandboxes get to see it.

Explicit places only; each interpreter is asked its version once. `pick` is pure.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from perijove import durable
from perijove.backends.environments.store import full_disk_told
from perijove.domain import failures, wire
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Mount, PythonRequest, PythonSource
from perijove.domain.state import State
from perijove.log import log

PREFERRED = ("3.12", "3.11")
"""Minor versions taken where nobody asks for one, the first that is installed."""
OLDEST = (3, 6)
"""uv makes environments from this version on."""
OLDEST_BENT = 7
"""The oldest Python 3 that a newer one may be taken for."""
UNWANTED = shutil.ignore_patterns(
    "test", "tests", "idlelib", "turtledemo", "site-packages", "config-*", "*.a", "share", "idle*", "2to3*"
)
"""Parts of an interpreter that are not copied for sessions."""
_ASK = (
    "import json, sys; print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3], 'prefix': sys.base_prefix,"
    " 'name': sys.implementation.name, 'level': sys.version_info[3]}))"
)


_Stamp = tuple[str, int]
"""A path, and when what is there was changed."""


@dataclass(frozen=True, slots=True)
class Runs:
    """How a sandbox runs an interpreter: by which path, and what it must be shown."""

    executable: Path
    mounts: tuple[Mount, ...]
    root: tuple[Path, ...] = ()
    """The system that it runs on, as `Standing` has it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The system that an environment stands on: nothing for this machine's."""

    root: tuple[Path, ...] = ()
    """Folders, the lowest first."""
    mounts: tuple[Mount, ...] = ()
    """What is shown there."""


HOST = Standing()


def pick(request: PythonRequest, installed: Sequence[Interpreter]) -> tuple[Interpreter, str]:
    """The interpreter for a request, and what to tell about it (or ``). Raises Fail: `build.python-unavailable`.

    The preferred version where it satisfies the request, else the newest that does. Where none does: a runtime.txt or
    .python-version gets the nearest installed minor version, told; a requires-python is never bent.
    """
    wanted = SpecifierSet(request.specifier)
    fitting = sorted((i for i in installed if wanted.contains(i.version)), key=_preference)
    if fitting:
        return fitting[0], ""
    asked = request.specifier.removeprefix("==").removesuffix(".*")
    exact = re.fullmatch(r"3\.(\d+)(\.\d+)?", asked)
    bendable = request.source in {PythonSource.RUNTIME_TXT, PythonSource.PYTHON_VERSION}
    if not bendable or exact is None or int(exact[1]) < OLDEST_BENT or not installed:
        raise Fail(_unavailable(request, asked, installed))
    minor = int(exact[1])
    nearest = min(
        installed, key=lambda i: (abs(_minor(i) - minor), -_minor(i), [-n for n in Version(i.version).release])
    )
    return nearest, f"Python {asked} ({request.source}) is not installed here; the nearest, {nearest.version}, is used"


def others(request: PythonRequest, installed: Sequence[Interpreter], taken: Interpreter) -> tuple[Interpreter, ...]:
    """What else a request may mean that names no version, one of each minor version, the newest first."""
    if request.source not in {PythonSource.DEFAULT, PythonSource.REQUIRES_PYTHON}:
        return ()
    wanted = SpecifierSet(request.specifier)
    fitting = [i for i in installed if wanted.contains(i.version) and i.minor != taken.minor]
    newest = sorted(fitting, key=lambda i: Version(i.version))
    return tuple(reversed({i.minor: i for i in newest}.values()))


def _preference(interpreter: Interpreter) -> tuple[int, list[int]]:
    rank = PREFERRED.index(interpreter.minor) if interpreter.minor in PREFERRED else len(PREFERRED)
    return rank, [-number for number in Version(interpreter.version).release]


def _minor(interpreter: Interpreter) -> int:
    return Version(interpreter.version).minor


def _unavailable(request: PythonRequest, asked: str, installed: Sequence[Interpreter]) -> failures.Failure:
    here = ", ".join(sorted({i.version for i in installed}, key=Version)) or "none"
    cause = f"{request.source} asks for Python {asked or 'of any version'}; here can be had: {here}"
    return failures.PYTHON_UNAVAILABLE(
        cause, Evidence(str(request.source), request.specifier), Evidence("installed", here)
    )


class Interpreters:
    """This machine's interpreters; `further` are places an operator added."""

    def __init__(self, state: State, further: Iterable[str]) -> None:
        self._state = state
        self._further = tuple(further)
        self._known: dict[_Stamp, Interpreter | None] = {}
        self._copying = asyncio.Lock()

    async def installed(self) -> Sequence[Interpreter]:
        """All of them, one a version, those named by the operator first. New ones are asked; known ones cost a stat."""
        self._known = self._known or await asyncio.to_thread(_recalled, self._state.pythons)
        stamps = [(path, stamp) for path in candidates(self._further) if (stamp := _stamp(path))]
        new = [(path, stamp) for path, stamp in stamps if stamp not in self._known]
        answers = await asyncio.gather(*(asyncio.to_thread(_asked, path) for path, _ in new))
        self._known |= {stamp: answer for (_, stamp), answer in zip(new, answers, strict=True)}
        if new:
            await asyncio.to_thread(self._keep, [stamp for _, stamp in stamps])
        found: dict[str, Interpreter] = {}
        for _, stamp in stamps:
            if (interpreter := self._known[stamp]) is not None:
                found.setdefault(interpreter.version, interpreter)
        return list(found.values())

    def _keep(self, there: Sequence[_Stamp]) -> None:
        """For the next start, where nine of them would be asked at once. Those that are no use are asked again."""
        told = [(*stamp, known) for stamp in there if (known := self._known[stamp]) is not None]
        try:
            durable.write(self._state.pythons, json.dumps(wire.encode(told)).encode())
        except OSError as error:
            log.warning("this machine's Pythons are asked again at the next start", saw=str(error)[:300])

    async def shown(self, interpreter: Interpreter) -> tuple[Mount, ...]:
        """What a sandbox must show for it: nothing below /usr; a copy at the same path where others cannot reach it."""
        prefix = interpreter.prefix
        if prefix.is_relative_to("/usr"):
            return ()
        if os.geteuid() != 0 or passable(prefix):
            return (Mount(prefix, prefix),)
        stamp = hashlib.sha256(f"{prefix}\0{interpreter.executable.stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = self._state.interpreters / f"{interpreter.version}-{stamp}"
        if not copy.exists():
            async with self._copying:
                if not copy.exists():
                    await asyncio.to_thread(_copy, prefix, copy)
        return (Mount(copy, prefix),)

    async def runs(self, interpreter: Interpreter, standing: Standing) -> Runs:
        return Runs(interpreter.executable, (*await self.shown(interpreter), *standing.mounts), standing.root)

    async def reachable(self, interpreter: Interpreter) -> Interpreter:
        """The same as any user can run it: the copy that sandboxes are shown, where there is one."""
        for mount in await self.shown(interpreter):
            if mount.source != mount.target:
                inside = interpreter.executable.relative_to(interpreter.prefix)
                return Interpreter(interpreter.version, mount.source / inside, mount.source)
        return interpreter


def candidates(further: Iterable[str]) -> Iterator[Path]:
    """Where interpreters lie, the operator's own first; nothing is run and no shim is looked at."""
    yield from (Path(name) for name in further)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    managed = Path(
        os.environ.get("UV_PYTHON_INSTALL_DIR")
        or Path(os.environ.get("XDG_DATA_HOME", home / ".local/share")) / "uv" / "python"
    )
    for folder in (Path("/usr/local/bin"), Path("/usr/bin")):
        yield from (p for p in sorted(folder.glob("python3.*")) if re.fullmatch(r"python3\.\d+", p.name))
    for versions in (pyenv / "versions", managed, Path("/opt/python")):
        if os.access(versions, os.R_OK | os.X_OK):
            yield from (p / "bin" / "python3" for p in sorted(versions.iterdir()) if not p.is_symlink())
    yield Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def _recalled(file: Path) -> dict[_Stamp, Interpreter | None]:
    """What was told before a restart; nothing where that cannot be read: all of them are asked."""
    try:
        told = wire.decode(tuple[tuple[str, int, Interpreter], ...], json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {(path, changed): known for path, changed, known in told}


def _stamp(path: Path) -> _Stamp | None:
    """What changes when an interpreter is replaced, whatever times its package gives its files; None without one."""
    try:
        return str(path), path.stat().st_ctime_ns
    except OSError:
        return None


def _asked(path: Path) -> Interpreter | None:
    """What an interpreter says of itself; None when it is no CPython we can use."""
    try:
        said = subprocess.run([path, "-I", "-S", "-c", _ASK], capture_output=True, timeout=10, check=True, cwd="/")
        told = json.loads(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    version = Version(told["version"])
    if told["name"] != "cpython" or told["level"] != "final" or version.release[:2] < OLDEST:
        return None
    prefix = Path(told["prefix"]).resolve()
    return Interpreter(told["version"], prefix / "bin" / f"python{version.major}.{version.minor}", prefix)


def passable(path: Path) -> bool:
    """Whether any user may go down to it."""
    return all(p.stat().st_mode & 0o001 for p in (path, *path.parents))


def _copy(prefix: Path, copy: Path) -> None:
    """Hardlink an interpreter's files where that can be done, copy them where not; aside, then renamed.

    Raises Fail: `build.disk-full`, at the first file: copytree would go on and tell of each.
    """

    def laid(source: str, target: str) -> None:
        with full_disk_told(copy):
            link_or_copy(source, target)

    aside = copy.with_name(f".{copy.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(prefix, aside, symlinks=True, ignore=UNWANTED, copy_function=laid)
        for folder in (aside, *(p for p in aside.rglob("*") if p.is_dir() and not p.is_symlink())):
            folder.chmod(0o755)
        aside.rename(copy)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def link_or_copy(source: str, target: str) -> None:
    """Another name for a file, on this file system or on another one."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
