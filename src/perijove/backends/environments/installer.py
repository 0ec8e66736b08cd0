"""Runs uv within its room. Lives in a confined process: what uv fetches and unpacks is strangers'.

uv unpacks a wheel in its cache's root before it moves it to where it stays. Each run has a root of its own, whose
folders are links to those of the shared cache, so that what it has under way is told from what others have.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from perijove.domain.bounded_log import LINE
from perijove.domain.confinement import Beyond, Limit
from perijove.domain.failures import BUILD_DISK, BUILD_TOO_LARGE, Evidence, Fail
from perijove.domain.ports import Tell
from perijove.domain.sizes import size

KEPT = 400
"""Lines of uv's output that a failure may be read from."""
TOLD = 10_000
"""Lines of uv's output that are told."""
LOOKS = 0.1
"""Seconds between two looks at what has been written; a look takes at most half of the time."""
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_BUCKET = re.compile(r"[a-z]+(-[a-z]+)*-v\d+")
"""A folder of uv's cache, by its kind and version."""


@dataclass(frozen=True, slots=True)
class Run:
    """uv's arguments, and where it runs."""

    command: tuple[str, ...]
    environ: dict[str, str]
    """Without its cache."""
    cwd: Path
    cache: Path
    """Shared by all runs."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a run may add to the disk."""

    size: int
    """Bytes."""
    files: int
    """Of one wheel, and of those that are unpacked beside it."""
    short: bool = False
    """Whether `size` is what the disk has left, less than the settings allow."""

    def outgrown(self, seen: Evidence) -> Fail:
        """Why more than `size` is not written: the author asks for too much, or the operator's disk is full."""
        kind = BUILD_DISK if self.short else BUILD_TOO_LARGE
        return Fail(kind(f"the environment needs more than {size(self.size)} of disk", seen))


@dataclass(frozen=True, slots=True)
class Ended:
    """uv's exit status, and its last lines."""

    status: int
    words: tuple[str, ...]


async def ran(run: Run, room: Room, *, tell: Tell) -> Ended:
    """uv's end. Raises Fail: `build.too-large`, `build.disk-full`; Beyond: it met another bound, or was killed."""
    root = run.cwd / f".cache.{os.getpid()}"
    root.mkdir(mode=0o755)
    try:
        for bucket in _buckets(run.cache):
            (root / bucket.name).symlink_to(bucket)
        return await _ran(run, root, room, tell)
    finally:
        for bucket in _buckets(root):
            # A kind that the shared cache did not have yet; where somebody else was quicker, theirs is kept.
            if not bucket.is_symlink() and not (run.cache / bucket.name).exists():
                bucket.rename(run.cache / bucket.name)
        shutil.rmtree(root, ignore_errors=True)


async def _ran(run: Run, root: Path, room: Room, tell: Tell) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *run.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=run.environ | {"UV_CACHE_DIR": str(root)},
        cwd=run.cwd,
        preexec_fn=ends_with_its_parent,
    )
    words: list[str] = []
    watching = asyncio.create_task(_watched(process.pid, root, room), name="what uv writes")
    reading = asyncio.create_task(_heard(process, words, tell), name="uv's words")
    try:
        await asyncio.wait((watching, reading), return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and not reading.done():
            await watching  # raises what it found
        await reading
        status = await process.wait()
    finally:
        watching.cancel()
        reading.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status < 0:
        raise _killed(-status, words, room)
    return Ended(status, tuple(words))


def ends_with_its_parent() -> None:
    """In a process that is about to become another program: whoever started it may be killed, and nobody else ends it.

    It would go on writing to what is being removed (prctl(2), PR_SET_PDEATHSIG).
    """
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


async def _heard(process: asyncio.subprocess.Process, words: list[str], tell: Tell) -> None:
    assert process.stdout is not None
    told = 0
    async for line in lines(process.stdout):
        if line and not line.startswith("Using Python "):
            words.append(line)
            del words[:-KEPT]
            told += 1
            if told <= TOLD:
                tell(line)


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines, each as long as is kept of one."""
    held = b""
    while chunk := await stream.read(1 << 16):
        *whole, last = chunk.split(b"\n")
        for line in whole:
            yield (held + line)[: 4 * LINE].decode("utf-8", "replace").rstrip()[:LINE]
            held = b""
        held = (held + last)[: 4 * LINE]
    if held:
        yield held.decode("utf-8", "replace").rstrip()[:LINE]


async def _watched(pid: int, root: Path, room: Room) -> None:
    """Returns when it has ended. Raises Fail, Beyond."""
    clock = asyncio.get_running_loop().time
    while (written := _written(pid)) is not None:
        began = clock()
        if written > room.size:
            raise room.outgrown(Evidence("uv", f"{size(written)} written so far"))
        if _count(root, room.files) > room.files:
            raise Beyond(Limit.SIZE, f"more than {room.files} files")
        await asyncio.sleep(max(LOOKS, clock() - began))


def _written(pid: int) -> int | None:
    """Bytes that a process has written so far; None when it has ended."""
    try:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    except OSError:
        return None
    return None


def _count(root: Path, most: int) -> int:
    """Files and folders below a root whose links are not followed; no more are counted than matter."""
    count = 0
    for _, folders, names in os.walk(root):
        count += len(folders) + len(names)
        if count > most:
            break
    return count


def _killed(number: int, words: list[str], room: Room) -> Beyond:
    if number == signal.SIGXFSZ:
        return Beyond(Limit.SIZE, f"a file of more than {size(room.size)}")
    if number == signal.SIGXCPU:
        return Beyond(Limit.TIME, "more processor time than a build may have")
    if number == signal.SIGABRT and any("memory allocation" in line for line in words):
        return Beyond(Limit.MEMORY, "more memory than a build may have")
    if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
        return Beyond(Limit.KILLED, f"a process that nobody ends ({signal.Signals(number).name})")
    return Beyond(Limit.CRASH, f"a uv that does not end by {signal.Signals(number).name}")


def _buckets(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if _BUCKET.fullmatch(path.name) and path.is_dir()]


def settle(at: Path, copy: Path, prefix: Path) -> None:
    """Have an environment name its interpreter where sessions see it, not the copy that uv was run with."""
    python, about = at / "bin" / "python", at / "pyvenv.cfg"
    target, text = str(python.readlink()), about.read_text()
    for path in (python, about):  # never written through: a package may have brought what lies here
        path.unlink()
    python.symlink_to(target.replace(str(copy), str(prefix), 1))
    about.write_text(text.replace(str(copy), str(prefix)))
