"""Files of a sandbox: its own copy of the checkout, what it uses of the disk, what is taken out of it, and its end.

In: folders, some written by strangers; out: sizes and copies. No link that a stranger could have made is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Awaitable, Iterator
from errno import EDQUOT, ENAMETOOLONG, ENOSPC
from pathlib import Path

from perijove.backends.pad.master import Master
from perijove.backends.pad.spawning import run_tool
from perijove.domain.failures import BUILD_DISK, BUILD_TOO_LARGE, SANDBOX_FAILED, START_DISK, Evidence, Fail
from perijove.domain.sizes import size

SLICE = 256
"""Folder entries looked at between two turns of the event loop."""
CHUNK = 1024 * 1024
TOO_DEEP = 2**62
NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


async def make_home(home_from: Path | None, home: Path, owner: int | None, master: Master) -> None:
    """Copy a folder as it stands, links as links, as `home`, which may be there and empty; give it to the uid `owner`.

    Raises Fail: `start.disk-full`, `start.sandbox-failed`.
    """
    if home_from is not None and owner is not None and master.other:
        await _carry(home_from, home, owner, master)
        return
    if home_from is None:
        home.mkdir(mode=0o700, exist_ok=True)
    else:
        tool = ("cp", "-aT", "--reflink=auto", "--no-preserve=ownership", "--", str(home_from), str(home))
        await _tool(tool, "the repository cannot be copied")
    home.chmod(0o700)
    if owner is None:
        return
    os.lchown(home, owner, owner)
    if home_from is not None:
        await _tool(("chown", "-hR", f"{owner}:{owner}", "--", str(home)), "the home cannot be given to its uid")


async def _carry(home_from: Path, home: Path, owner: int, master: Master) -> None:
    """The same for another user than ours: read with that user's rights and written with the owner's.

    So a folder exchanged for a link to root's files meanwhile gives whoever did it nothing.
    """
    try:
        source = master.folder(home_from)
    except OSError as error:
        where = Evidence(str(home_from), error.strerror or str(error))
        raise Fail(SANDBOX_FAILED("the repository's folder is not one of the service's own", where)) from error
    with contextlib.ExitStack() as files:
        files.callback(os.close, source)
        home.mkdir(mode=0o700, exist_ok=True)
        os.chown(home, owner, owner)
        target = os.open(home, os.O_RDONLY | os.O_DIRECTORY | NO_LINKS)
        files.callback(os.close, target)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pack = ("tar", "--create", "--file=-", f"--directory=/proc/self/fd/{source}", ".")
        unpack = ("tar", "--extract", "--file=-", f"--directory=/proc/self/fd/{target}", "--preserve-permissions")
        packing = run_tool(pack, passed=(source,), uid=master.uid, gid=master.gid, writes=writing)
        unpacking = run_tool(unpack, passed=(target,), uid=owner, reads=reading)
        try:
            async with asyncio.TaskGroup() as tasks:
                ends = [
                    tasks.create_task(_closing(fd, tool), name=f"copy to {home}")
                    for fd, tool in ((reading, unpacking), (writing, packing))
                ]
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        os.fchmod(target, 0o700)
    for end in ends:
        _judge("tar", end.result(), "the repository cannot be copied")


async def too_large(error: Fail, home_from: Path, setting: str, limit: int) -> Fail:
    """A refused copy, told with the size of what was copied and of the room that it had."""
    sizes = (Evidence("repository", size(await usage(home_from))), Evidence(setting, size(limit)))
    return Fail(START_DISK(error.failure.cause, *error.failure.evidence, *sizes))


async def _closing(fd: int, tool: Awaitable[tuple[int, str]]) -> tuple[int, str]:
    """Let go of our end of a pipe once its user has ended, so that the other one sees the end."""
    try:
        return await tool
    finally:
        os.close(fd)


async def _tool(argv: tuple[str, ...], cause: str) -> None:
    _judge(argv[0], await run_tool(argv), cause)


def _judge(tool: str, ended: tuple[int, str], cause: str) -> None:
    status, words = ended
    if status != 0:
        full = "No space left" in words or "quota exceeded" in words
        raise Fail((START_DISK if full else SANDBOX_FAILED)(cause, Evidence(tool, words[-500:])))


async def remove(folder: Path) -> None:
    """Remove a folder whose processes are gone, whatever rights its folders have."""
    if not folder.exists():
        return
    rm = ("rm", "-rf", "--one-file-system", "--", str(folder))
    status, words = await run_tool(rm)
    if status != 0:
        await run_tool(("chmod", "-R", "u+rwX", "--", str(folder)))
        status, words = await run_tool(rm)
    if status != 0:  # the next pad's sweep tries again
        print(f"{folder} cannot be removed: {words[-500:]}", file=sys.stderr, flush=True)  # noqa: T201


def _entries(folder: int | str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


async def usage(folder: Path) -> int:
    """Bytes on disk below a folder that may change meanwhile; each hard-linked file counts once.

    A folder swapped for a link while we look can only make the number wrong for whoever swapped it.
    """
    total, seen, looked = 0, set[int](), 0
    pending = [str(folder)]
    while pending:
        path = pending.pop()
        try:
            entries = _list(folder, path)
        except OSError as error:
            if error.errno == ENAMETOOLONG:  # too deep to be counted, so too deep to be allowed
                return TOO_DEEP
            continue  # gone, or replaced: it counts for nothing
        for name, facts in entries:
            if stat.S_ISDIR(facts.st_mode):
                pending.append(f"{path}/{name}")
            elif facts.st_nlink > 1:
                if facts.st_ino in seen:
                    continue
                seen.add(facts.st_ino)
            total += facts.st_blocks * 512
        looked += len(entries)
        if looked > SLICE:
            looked = 0
            await asyncio.sleep(0)
    return total


def _list(folder: Path, path: str) -> list[tuple[str, os.stat_result]]:
    try:
        return list(_entries(path))
    except PermissionError:  # closed by its owner, who has our uid: not a place to hide from the limit
        _unlock(folder, Path(path).relative_to(folder))
        return list(_entries(path))


def _unlock(folder: Path, below: Path) -> None:
    """Let the owner, us, look into a folder again, without following a link on the way there."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | NO_LINKS)
    try:
        for part in below.parts:
            further = os.open(part, os.O_PATH | os.O_DIRECTORY | NO_LINKS, dir_fd=fd)
            os.close(fd)
            fd = further
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(os.fstat(fd).st_mode) | 0o700)
    finally:
        os.close(fd)


def _open_below(name: str, fd: int) -> int | None:
    try:
        return os.open(name, os.O_DIRECTORY | NO_LINKS, dir_fd=fd)
    except OSError:  # gone, replaced by a link, or closed to us: it counts for nothing
        return None


async def take_out(home: Path, result: str, into: Path, limit: int, master: Master) -> None:
    """Copy the regular files of `home/result` to a new folder `into`; links, devices, hard-linked files stay behind.

    The files become the master's; the folders stay ours. Raises Fail: `build.too-large` beyond `limit` bytes,
    `build.disk-full`, `start.sandbox-failed` for a result that lies elsewhere. Nothing where the folder does not exist.
    """
    parts = Path(result).parts
    if not parts or Path(result).is_absolute() or ".." in parts:
        raise Fail(SANDBOX_FAILED("its result is no folder below its home", Evidence("result", result[:200])))
    fd = os.open(home, os.O_DIRECTORY | NO_LINKS)
    try:
        for part in parts:
            below = _open_below(part, fd)
            if below is None:
                return
            os.close(fd)
            fd = below
        await _take(fd, into, limit, master)
    except OSError as error:
        if error.errno not in {ENOSPC, EDQUOT}:
            raise
        raise Fail(BUILD_DISK("no space is left for its result", Evidence(str(into), str(error)))) from error
    finally:
        os.close(fd)


async def _take(fd: int, into: Path, limit: int, master: Master) -> int:
    into.mkdir()
    into.chmod(0o755)
    for name, facts in list(_entries(fd)):
        if stat.S_ISDIR(facts.st_mode):
            below = _open_below(name, fd)
            if below is not None:
                try:
                    limit = await _take(below, into / name, limit, master)
                finally:
                    os.close(below)
        elif stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
            limit -= facts.st_size
            if limit < 0:
                where = Evidence(str(name)[:200], size(facts.st_size))
                raise Fail(BUILD_TOO_LARGE("the result is larger than the disk allowed for it", where))
            await _copy(fd, name, into / name, master)
    return limit


async def _copy(fd: int, name: str, target: Path, master: Master) -> None:
    source = os.open(name, os.O_RDONLY | NO_LINKS, dir_fd=fd)
    with os.fdopen(source, "rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
            await asyncio.sleep(0)
        master.give(writer.fileno())


def free(folder: Path) -> int:
    """Bytes that may still be written there."""
    return shutil.disk_usage(folder).free
