"""Compiles installed packages once, inside uv's cache, so that every later environment links the bytecode too.

Relies on uv hardlinking whole folders of its archive, which it does not promise: what is not found there is
compiled in the environment itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from perijove.domain.build_inputs import Interpreter

UNCOMPILED = re.compile(r"[\\/]tests?[\\/]")
"""Paths that are not compiled: nobody imports a package's tests."""


async def compiled(site_packages: Path, cache: Path, interpreter: Interpreter) -> None:
    """See to it that the packages of an environment have bytecode, shared with the cache where that works."""
    mark = f"perijove-cpython-{interpreter.minor}"
    sources = await asyncio.to_thread(_uncompiled, site_packages, cache, mark)
    if not sources:
        return
    await _compile(interpreter, sources.values())
    await asyncio.to_thread(_link, site_packages, sources, mark)


def _uncompiled(site_packages: Path, cache: Path, mark: str) -> dict[Path, Path]:
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


async def _compile(interpreter: Interpreter, folders: Iterable[Path]) -> None:
    """Parses, never runs: the interpreter is isolated, and knows none of the packages."""
    process = await asyncio.create_subprocess_exec(
        *(interpreter.executable, "-I", "-S", "-m", "compileall", "-qq", "-j", "0", "-x", UNCOMPILED.pattern),
        *sorted({str(folder) for folder in folders}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        umask=0o022,
    )
    try:
        # Its status says whether every file compiled; packages carry templates and Python 2 that never do.
        await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _link(site_packages: Path, sources: dict[Path, Path], mark: str) -> None:
    for info, archive in sources.items():
        if archive == site_packages:
            continue
        (archive / info.name / mark).touch()
        for folder, _, names in os.walk(archive):
            if folder.endswith("__pycache__"):
                _link_folder(Path(folder), site_packages / Path(folder).relative_to(archive), names)
        _link_folder(archive / info.name, info, [mark])


def _link_folder(source: Path, target: Path, names: Sequence[str]) -> None:
    if not target.parent.is_dir():
        return
    target.mkdir(exist_ok=True)
    target.chmod(0o755)
    for name in names:
        if not (target / name).exists():
            os.link(source / name, target / name)
