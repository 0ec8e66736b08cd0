"""The store's folders: one a key, with a note of what it is. Synchronous; callers keep it off the event loop."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

from perijove import durable
from perijove.domain.build_inputs import Interpreter
from perijove.domain.failures import BUILD_DISK, Evidence, Fail
from perijove.domain.nouns import EnvironmentKey, StoredEnvironment
from perijove.domain.service_failures import STORE_DAMAGED
from perijove.log import log

NOTE = "perijove.json"
ENDED_WITHIN, LOOKS = 5.0, 0.05
"""Seconds in which a sandbox that is being ended has ended, and between looks."""
FETCHED = ("simple-v*", "flat-index-v*", "sdists-v*", "git-v*", "builds-v*")
"""What uv keeps beside packages: an index's pages, sources that were built. No environment links to it."""


@contextmanager
def full_disk_told(where: Path) -> Iterator[None]:
    """Raises Fail: `build.disk-full`, where the system says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in {ENOSPC, EDQUOT}:
            raise
        raise Fail(BUILD_DISK("No space is left", Evidence(str(where), str(error)))) from error


@dataclass(frozen=True, slots=True)
class Note:
    """What is written beside an environment, before its folder gets its name."""

    python: str
    """Its interpreter's version."""
    executable: str
    prefix: str
    """Its interpreter."""
    app: str
    """`lab`, `notebook` or `server` when it is served from its own; `` when by Perijove's own server."""
    made_from: str
    created_at: float
    """Unix seconds."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What activating it sets."""
    base: str = ""
    """The environment that it is a layer over."""
    start: str = ""
    """The repository's script that starts its server."""
    packages: tuple[str, ...] = ()
    """What it holds, each with its version."""
    resolved: str = ""
    """A hash of what it was resolved to, where its key is another: of what is made for its path, as conda's."""
    root: str = ""
    """The system that it stands on: the base's key, and the layer's where there is one; `` for this machine's."""

    @property
    def interpreter(self) -> Interpreter:
        return Interpreter(self.python, Path(self.executable), Path(self.prefix))


def write(environment: Path, note: Note) -> None:
    """Into a folder that nobody else sees yet."""
    durable.remove(environment / NOTE)  # a package may have brought a folder, or a link into uv's cache
    (environment / NOTE).write_text(json.dumps(asdict(note), indent=1))


def read(environment: Path) -> Note | None:
    """None where no environment stands. Raises Fail: `platform.store-damaged`."""
    try:
        note = Note(**json.loads((environment / NOTE).read_bytes()))
        note = replace(note, packages=tuple(note.packages))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(environment, str(error)[:300]) from error
    variables = [*note.variables, *note.variables.values()] if isinstance(note.variables, dict) else [None]
    told = asdict(replace(note, variables={}))
    del told["variables"], told["packages"]
    right = all(isinstance(value, float if name == "created_at" else str) for name, value in told.items())
    if not right or not all(isinstance(value, str) for value in (*variables, *note.packages)):
        raise _damaged(environment, "a value of another kind than is written there")
    return note


def _damaged(environment: Path, saw: str) -> Fail:
    remedy = f"Remove it, and it is built again when it is wanted: `rm -r {shlex.quote(str(environment))}`."
    return Fail(STORE_DAMAGED("its note cannot be read", Evidence(str(environment / NOTE), saw), remedy=remedy))


def standing(folder: Path, resolved: str) -> EnvironmentKey | None:
    """The environment that was resolved to the same."""
    for path in folder.glob("[!.]*"):
        try:
            if (note := read(path)) is not None and note.resolved == resolved:
                return path.name
        except Fail:
            continue  # the doctor names it
    return None


def use(environment: Path) -> None:
    """It was used just now."""
    os.utime(environment / NOTE)


def stored(folder: Path) -> Sequence[StoredEnvironment]:
    """All environments, the latest used first."""
    found = []
    for path in folder.iterdir():
        try:
            note = None if path.name.startswith(".") else read(path)
        except Fail:
            continue  # the doctor names it
        if note is not None:
            used_at = (path / NOTE).stat().st_mtime
            times = (note.created_at, used_at)
            size = own_size(path)
            found.append(
                StoredEnvironment(path.name, note.python, note.made_from, size, *times, note.base, note.packages)
            )
    return sorted(found, key=lambda environment: -environment.used_at)


def roots(folder: Path) -> Sequence[str]:
    """What the environments stand on that do not stand on this machine's system; of each one."""
    found = []
    for path in folder.iterdir():
        with suppress(Fail):
            note = None if path.name.startswith(".") else read(path)
            found += [note.root] if note is not None and note.root else []
    return found


def damaged(folder: Path) -> Sequence[tuple[Path, str]]:
    """What is no environment and stands where one could, with what is wrong. Raises OSError."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            if read(path) is None:
                found.append((path, f"{NOTE} is not there"))
        except Fail as error:
            found.append((path, f"{NOTE}: {error.failure.evidence[0].saw}"))
    return found


def own_size(path: Path) -> int:
    """Bytes on disk that go away with a folder: files that only it and uv's cache hold; others count for nobody."""
    size = 0
    for folder, _, names in os.walk(path):
        size += os.lstat(folder).st_blocks * 512
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if status.st_nlink <= 2:
                size += status.st_blocks * 512
    return size


def remove(folder: Path, key: EnvironmentKey) -> None:
    """Gone by its name at once, then from the disk; nothing where it is gone already."""
    aside = folder / f".removed-{key}-{time.monotonic_ns()}.{os.getpid()}"
    try:
        (folder / key).rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside)


def drop_unused(cache: Path) -> None:
    """Remove packages that no environment links from uv's cache; uv fetches them again when they are wanted."""
    for archive in (path for bucket in cache.glob("archive-v*") for path in bucket.iterdir()):
        if not any(
            os.lstat(os.path.join(folder, name)).st_nlink > 1 for folder, _, names in os.walk(archive) for name in names
        ):
            shutil.rmtree(archive)
    for fetched in (path for pattern in FETCHED for path in cache.glob(pattern)):
        shutil.rmtree(fetched)


def drop_unused_conda(cache: Path) -> None:
    """Remove conda packages and bytecode that no environment links; they are fetched again when they are wanted."""
    for package in (cache / "packages").glob("*/"):
        if not any(
            os.lstat(os.path.join(folder, name)).st_nlink > 1 for folder, _, names in os.walk(package) for name in names
        ):
            package.with_name(f"{package.name}.lock").unlink(missing_ok=True)
            shutil.rmtree(package)
    for folder, _, names in os.walk(cache / "bytecode", topdown=False):
        for name in names:
            if os.lstat(path := os.path.join(folder, name)).st_nlink == 1:
                os.unlink(path)
        with suppress(OSError):  # not empty
            os.rmdir(folder)


def _try_to_remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_left(folder: Path, remove: Callable[[Path], None] = _try_to_remove) -> None:
    """Also where what is just being ended, the sandbox of a build, still writes into it, so that one try is too few."""
    until = time.monotonic() + ENDED_WITHIN
    while True:
        remove(folder)
        if not folder.exists():
            return
        if time.monotonic() > until:
            log.warning("what an interrupted build left cannot be removed", path=str(folder))
            return
        time.sleep(LOOKS)


def sweep(*folders: Path) -> None:
    """Remove what interrupted builds, copies and removals of earlier processes left: folders and files."""
    for folder in folders:
        for path in folder.glob(".*"):
            if path.name.endswith(f".{os.getpid()}"):
                continue
            if path.is_dir() and not path.is_symlink():
                remove_left(path)
            else:
                path.unlink(missing_ok=True)
