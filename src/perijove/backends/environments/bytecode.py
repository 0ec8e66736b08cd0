"""Compiles installed packages once, inside uv's cache, so that every later environment links the bytecode too.

The compiler reads strangers' sources, so it runs in a sandbox (`compiling`) and hands back files. Relies on uv
hardlinking whole folders of its archive, which it does not promise: what is not found there has it in the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perijove.backends.environments.interpreters import Runs
from perijove.backends.environments.kernel import MARK
from perijove.backends.environments.uv import Uv
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, ForeignRun, Limits, Mount
from perijove.domain.ports import ForeignCode, Tell
from perijove.launching.start.sandbox import HOME

UNCOMPILED = re.compile(r"[\\/]tests?[\\/]")
"""Paths that are not compiled: nobody imports a package's tests."""
SCRIPT = (Path(__file__).parent / "compiling.py").read_text()
LISTED, RESULT = "sources", "bytecode"
LIMITS = Limits(memory=2 * 1024**3, cpus=float(os.cpu_count() or 1), processes=64, disk=1024**3, tmp=64 * 1024**2)
SECONDS = 300
FILES = 200_000
"""Sources of one environment that are looked at."""

FLAGS_SINCE = 3390
"""Magic number of the first Python whose bytecode has flags before its source's time (PEP 552)."""


@dataclass(frozen=True, slots=True)
class Bytecode:
    """Gives environments their bytecode."""

    foreign: ForeignCode
    uv: Uv
    cache: Path

    async def compiled(
        self, work: Path, site_packages: Path, interpreter: Interpreter, runs: Runs, name: str, tell: Tell
    ) -> None:
        """See to it that an environment's packages have bytecode, as far as that can be had. Raises Fail: `platform.*`.

        `work` is a folder beside the environment for what comes and goes; `name` names the sandbox.
        """
        listed, handed = work / LISTED, work / RESULT
        mark, tag = f"{MARK}{interpreter.minor}", f"cpython-{interpreter.minor.replace('.', '')}"
        if not await self.uv.confined(list_sources, site_packages, self.cache, mark, tag, listed, within=work):
            return
        if await self.run(work, site_packages, runs, name, tell):
            await self.uv.confined(put, handed, site_packages, self.cache, mark, tag, within=work)

    async def run(self, work: Path, site_packages: Path, runs: Runs, name: str, tell: Tell) -> bool:
        """Have what `work / LISTED` names compiled to `work / RESULT`; whether that could be done."""
        listed, handed = work / LISTED, work / RESULT
        handed.mkdir(exist_ok=True)
        run = ForeignRun(
            name=name,
            command=(
                *(str(runs.executable), "-I", "-S", "-c", SCRIPT),
                *(str(site_packages), str(listed), f"{HOME}/{RESULT}"),
            ),
            environ=(("PATH", "/usr/bin:/bin"), ("HOME", HOME), ("LANG", "C.UTF-8")),
            mounts=(
                Mount(site_packages, site_packages),
                Mount(listed, listed),
                *runs.mounts,
            ),
            home_from=None,
            result=RESULT,
            limits=LIMITS,
            egress=Egress.NONE,
            egress_allowed=(),
            timeout=SECONDS,
            root=runs.root,
        )
        try:
            ran = (await self.foreign.run(run, handed, tell)).not_killed("the compiler of packages")
        except Fail as fail:
            if not fail.failure.kind.code.startswith("build."):
                raise
            tell(f"The packages are left uncompiled: {fail.failure.message}")
            return False
        if ran.status:
            tell(f"The packages are left uncompiled: their compiler ended with status {ran.status}")
        return ran.status == 0


def list_sources(site_packages: Path, cache: Path, mark: str, tag: str, listed: Path) -> int:
    """Write down the sources without bytecode, by their paths below site-packages; how many there are."""
    names: set[str] = set()
    for folder in dict.fromkeys(_unmarked(site_packages, cache, mark).values()):
        # conda's packages bring some of theirs.
        names.update(name for name in _sources(folder) if not (folder / _compiled(name, tag)).exists())
        if len(names) > FILES:
            break
    listed.write_text("".join(f"{name}\n" for name in sorted(names)[:FILES]), "utf-8", "surrogateescape")
    return len(names)


def put(handed: Path, site_packages: Path, cache: Path, mark: str, tag: str) -> None:
    """Lay bytecode beside its sources: in the archives they are links of, and linked from there."""
    found = _unmarked(site_packages, cache, mark)
    for archive in dict.fromkeys(found.values()):
        for name in _sources(archive):
            compiled = handed / f"{name}c"
            # What stands there may be another package's, of which nothing is laid into this one's archive.
            if not compiled.is_file() or _identity(site_packages / name) != _identity(archive / name):
                continue
            cached = _compiled(name, tag)
            if not (_free(archive / cached) and _free(site_packages / cached)):
                continue
            (archive / cached).parent.mkdir(exist_ok=True)
            # Never written through: what lies there may be a link of others.
            aside = archive / f"{cached}.{os.getpid()}"
            aside.write_bytes(timed(compiled.read_bytes(), archive / name))
            aside.replace(archive / cached)
            _link(archive / cached, site_packages / cached)
    for info, archive in found.items():
        (archive / info.name / mark).touch()
        _link(archive / info.name / mark, info / mark)


def timed(compiled: bytes, source: Path) -> bytes:
    """With its source's time, or every import would compile it again: where it was compiled, that may be an image's."""
    at = 8 if int.from_bytes(compiled[:2], "little") >= FLAGS_SINCE else 4
    time = int(source.lstat().st_mtime) & 0xFFFFFFFF
    return compiled[:at] + time.to_bytes(4, "little") + compiled[at + 4 :] if len(compiled) > at + 4 else compiled


def _free(cached: Path) -> bool:
    """Whether bytecode can lie there: a package may bring a file or a folder of that name."""
    return not cached.is_dir() and (cached.parent.is_dir() or not cached.parent.exists())


def _compiled(name: str, tag: str) -> Path:
    """Where a source's bytecode lies."""
    source = Path(name)
    return source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"


def _link(source: Path, target: Path) -> None:
    if source == target:
        return
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    target.hardlink_to(source)


def _sources(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(parent, name), folder)
            if name.endswith(".py") and "\n" not in path and not UNCOMPILED.search(f"/{path}"):
                yield path


def _unmarked(site_packages: Path, cache: Path, mark: str) -> dict[Path, Path]:
    """Each package's dist-info folder without the mark → the folder to compile: its archive, or the environment."""
    bare = [info for info in site_packages.glob("*.dist-info") if not (info / mark).exists()]
    if not bare:
        return {}
    archives = {}
    for archive in (path for bucket in cache.glob("archive-v*") for path in bucket.iterdir()):
        for info in archive.glob("*.dist-info"):
            archives[_identity(info / "METADATA")] = archive
    return {info: archives.get(_identity(info / "METADATA"), site_packages) for info in bare}


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
