"""Conda packages fetched, looked over and linked into a folder. Runs confined; runs no package's code.

rattler links what a package's paths.json names without looking where that leads, so each package is unpacked and looked
over here before rattler sees it; and again, by their hashes, each time that it is linked (`ValidationMode.full`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

from rattler import PackageRecord, RepoDataRecord, install
from rattler.exceptions import InstallerError, LinkError, ParseCondaLockError
from rattler.lock import LockFile
from rattler.networking import Client
from rattler.package_cache import PackageCache, PackageCacheLayer, ValidationMode
from rattler.package_streaming import download_to_path, extract

from perijove.backends.environments.conda.asked import Linked, Order, Scripted, World
from perijove.backends.environments.conda.compiled import STAMP, remember
from perijove.backends.environments.conda.looking import looked_over, variables
from perijove.backends.environments.conda.solving import check, client
from perijove.backends.environments.conda.words import failure
from perijove.backends.environments.installer import LOOKS, Room
from perijove.domain import sizes
from perijove.domain.conda_failures import BAD_PACKAGE, CHANNEL_UNREACHABLE
from perijove.domain.confinement import Beyond, Limit
from perijove.domain.failures import BUG, BUILD_TOO_LARGE, Evidence, Fail
from perijove.domain.ports import Tell

AT_ONCE = 8
"""Packages that are fetched at once."""
STALLED = 60.0
"""Seconds in which not a byte of a package comes, after which its server counts as gone."""
IDLE = 9
"""How much longer than a look at what is written the pause after it is: the linking itself needs the processor."""
WRITTEN = ("bin", "conda-meta", "etc/jupyter", "include", "share/jupyter/kernels/python3")
"""Folders that are written to or looked into later."""


async def link(world: World, order: Order, tell: Tell) -> Linked:
    """Raises Fail: `build.*`, and Beyond."""
    records = locked(order.lock, order.work)
    for record in records:
        check(record, world)
    world.packages.mkdir(mode=0o755, parents=True, exist_ok=True)
    async with _watched(order.work, order.room) as left:
        using = client(world)
        await _fetch_all(world, using, records, order, left, tell)
        files = sum(_stamp(world.packages / key(record))[1] for record in records)
        if files > order.room.files:
            cause = f"Its conda packages hold {files} files"
            raise Fail(BUILD_TOO_LARGE(cause, Evidence("build.environment_files", str(order.room.files))))
        await _link(world, using, records, order)
    _finish(order.at)
    scripts = order.at / "etc" / "conda" / "activate.d"
    return Linked(
        len(records),
        next(key(one) for one in records if one.name.normalized == "python"),
        variables(order.at, order.variables),
        scripts.is_dir() and any(scripts.glob("*.sh")),
        tuple(_scripted(order.at, records)),
    )


def _scripted(at: Path, records: list[RepoDataRecord]) -> Iterator[Scripted]:
    for record in PackageRecord.sort_topologically(list(records)):
        name = record.name.normalized
        if (at / "bin" / f".{name}-post-link.sh").is_file():
            yield Scripted(name, str(record.version), str(record.build_number))


def locked(lock: str, work: Path) -> list[RepoDataRecord]:
    """The records of a lock file of ours."""
    path = work / "pixi.lock"
    path.write_text(lock)
    try:
        environment = LockFile.from_path(path).default_environment()
        assert environment is not None
        (platform,) = environment.platforms()  # the file's own object: rattler panics at any other
        return list(environment.conda_repodata_records_for_platform(platform) or ())
    except (ParseCondaLockError, AssertionError, ValueError) as error:
        raise Fail(BUG("a lock of conda packages cannot be read", Evidence("pixi.lock", str(error)[:500]))) from error


def key(record: RepoDataRecord) -> str:
    """How rattler names an unpacked package."""
    return f"{record.name.normalized}-{record.version}-{record.build}"


def digest(record: RepoDataRecord) -> str:
    """Of its archive."""
    if record.sha256 is not None:
        return f"sha256:{record.sha256.hex()}"
    return f"md5:{record.md5.hex() if record.md5 is not None else ''}"


async def _fetch_all(
    world: World, using: Client, records: list[RepoDataRecord], order: Order, left: list[int], tell: Tell
) -> None:
    missing = [one for one in records if _stamp(world.packages / key(one))[0] != digest(one)]
    if not missing:
        return
    size = sum(one.size or 0 for one in missing)
    tell(f"Fetching {len(missing)} conda packages, {sizes.size(size)}")
    room = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for record in missing:
            fetching = _fetched(world, using, record, order, left, room)
            group.create_task(fetching, name=f"fetch {key(record)}")


async def _fetched(
    world: World, using: Client, record: RepoDataRecord, order: Order, left: list[int], room: asyncio.Semaphore
) -> None:
    """In the cache, whole and looked over."""
    work = order.work
    async with room:
        aside = work / f"conda-{token_hex(8)}"
        aside.mkdir()
        archive = aside / record.file_name
        try:
            await _downloaded(using, record, archive)
            unpacked = aside / key(record)
            try:
                sha256, md5 = await asyncio.to_thread(extract, archive, unpacked)
            except Exception as error:  # rattler's own are of many kinds
                raise Fail(failure(f"{record.file_name}: invalid archive: {error}", "fetching")) from error
            got = f"sha256:{sha256.hex()}" if record.sha256 is not None else f"md5:{md5.hex()}"
            if got != digest(record):
                where = Evidence(record.file_name, f"expected {digest(record)}, got {got}")
                raise Fail(BAD_PACKAGE(f"{record.file_name} is not what its channel lists", where))
            files = await asyncio.to_thread(looked_over, unpacked)
            left.append((await asyncio.to_thread(measured, unpacked, order.room))[0])
            _fits(sum(left), order.room)  # whoever is quicker than a look at what is written is not let through
            await asyncio.to_thread(remember, unpacked)
            _place(unpacked, world.packages / key(record), f"{digest(record)} {files}")
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)


async def _downloaded(using: Client, record: RepoDataRecord, archive: Path) -> None:
    """rattler's own limit is for a whole request: a large package that comes slowly would meet it."""
    task = asyncio.ensure_future(download_to_path(using, record.url, archive))
    size = -1
    try:
        while not (await asyncio.wait((task,), timeout=STALLED))[0]:
            size, before = archive.stat().st_size if archive.exists() else 0, size
            if size == before:
                break
        else:
            await task
            return
    except Exception as error:  # rattler's own are of many kinds
        raise Fail(failure(f"{record.file_name}: {error}", "fetching")) from error
    finally:
        task.cancel()
    where = Evidence(record.file_name, f"{sizes.size(size)} came, and then none for {STALLED:.0f} s")
    raise Fail(CHANNEL_UNREACHABLE("a package stopped coming", where))


def _stamp(package: Path) -> tuple[str, int]:
    """The hash of its archive, and how many files it links; nothing of what was never looked over here."""
    try:
        hashed, _, files = (package / STAMP).read_text().partition(" ")
        return hashed, int(files)
    except (OSError, ValueError):
        return "", 0


def _place(unpacked: Path, target: Path, stamp: str) -> None:
    """Under its name, whatever stood there."""
    mark = unpacked / STAMP
    mark.unlink(missing_ok=True)
    mark.write_text(stamp)
    for folder, _, names in os.walk(unpacked):
        os.chmod(folder, 0o755)  # noqa: S103 - sessions read it, with another uid
        for name in names:
            _readable(os.path.join(folder, name))
    if target.exists():
        gone = unpacked.with_name("replaced")
        target.rename(gone)
    target.with_name(f"{target.name}.lock").unlink(missing_ok=True)  # says whose hash stood there
    unpacked.rename(target)


def _readable(path: str) -> None:
    """Sessions run as another user, whatever modes an archive has; and nobody gets another's rights by it."""
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        os.chmod(path, (0o111 if status.st_mode & 0o111 else 0) | 0o644)


async def _link(world: World, using: Client, records: list[RepoDataRecord], order: Order) -> None:
    layer = PackageCacheLayer(world.packages).with_validation_mode(ValidationMode.full())
    try:
        await install(
            records,
            order.at,
            package_cache=PackageCache.from_layers([layer]),
            client=using,
            show_progress=False,
            execute_link_scripts=False,
            alternative_target_prefix=order.final,
        )
    except (InstallerError, LinkError) as error:
        raise Fail(failure(str(error), "linking")) from error


def _finish(at: Path) -> None:
    (at / "CACHEDIR.TAG").unlink(missing_ok=True)
    for marked in (at / "lib").glob("python*/EXTERNALLY-MANAGED"):  # a distribution's; here its sessions manage it
        marked.unlink()
    python = at / "bin" / "python"
    if not python.resolve().is_relative_to(at.resolve()) or not python.is_file():
        _refuse("its python lies elsewhere", str(python.resolve()))
    for folder in (*(at / name for name in WRITTEN), *(at / "lib").glob("python*/site-packages")):
        if not folder.resolve().is_relative_to(at.resolve()):
            _refuse(f"{folder.relative_to(at)} leads out of it", str(folder.resolve()))
    for told in (at / "conda-meta").iterdir():  # rattler's own, for itself alone
        _readable(str(told))


def _refuse(why: str, saw: str) -> NoReturn:
    raise Fail(BAD_PACKAGE(f"the environment cannot be used: {why}", Evidence("conda", saw[:300])))


@contextlib.asynccontextmanager
async def _watched(work: Path, room: Room) -> AsyncIterator[list[int]]:
    """Raises Fail, or Beyond, when more was written than may be; takes the sizes of what has left the work's folder."""
    left: list[int] = []
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watching(work, room, left), name="what is written")
        yield left
        watching.cancel()


async def _watching(work: Path, room: Room, left: list[int]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        size, files = await asyncio.to_thread(measured, work, room)
        _fits(size + sum(left), room)
        if files > room.files:
            raise Beyond(Limit.SIZE, f"more than {room.files} files")
        await asyncio.sleep(max(LOOKS, IDLE * (clock() - began)))


def _fits(size: int, room: Room) -> None:
    if size > room.size:
        raise room.outgrown(Evidence("conda", f"{sizes.size(size)} written so far"))


def measured(root: Path, room: Room) -> tuple[int, int]:
    """Bytes of files that lie below a folder alone, and how many files and folders; no more than matters."""
    size = files = 0
    for folder, folders, names in os.walk(root):
        files += len(folders) + len(names)
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                status = os.lstat(os.path.join(folder, name))
                size += status.st_size if status.st_nlink == 1 else 0
        if files > room.files or size > room.size:
            break
    return size, files
