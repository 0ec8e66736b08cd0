"""How the pad starts processes and hears of their end: always from its only thread, by pidfd, without waiting threads.

Bubblewrap dies with the *thread* that started it, so nothing here may ever run in another thread than the pad's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Sequence
from errno import EIO

PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def keep_rights_to_ourselves() -> None:
    """Have what we start not inherit a service manager's AmbientCapabilities: bubblewrap refuses to run with them."""
    ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def adopt_orphans() -> None:
    """Be the parent of what our children leave, such as a session's server that a fork server has made."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def in_memory(files: contextlib.ExitStack, data: bytes) -> int:
    """A file in memory, open at its beginning until `files` closes it. Raises OSError."""
    fd = os.memfd_create("perijove")
    files.callback(os.close, fd)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def readable(fd: int) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process we started; its exit status, negative for a signal."""
    if process.poll() is None:
        fd = os.pidfd_open(process.pid)
        try:
            await readable(fd)
        finally:
            os.close(fd)
    return process.wait()


async def reaped(process: subprocess.Popen[bytes]) -> None:
    """Wait for one that was told to end, so that it leaves no zombie."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            await ended(process)


async def in_child(act: Callable[[], object], limit: float | None = None) -> None:
    """Do a blocking thing in a forked process meanwhile, which is killed after `limit` seconds.

    Raises OSError where it did; TimeoutError. What else it raised is told in the pad's log, and raised as EIO.
    """
    child = os.fork()
    if child == 0:
        code = EIO
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or EIO
        except Exception as error:  # noqa: BLE001 - told; whoever waits for us gets EIO
            traceback.print_exception(error)
        finally:
            os._exit(code)
    fd = os.pidfd_open(child)
    try:
        async with asyncio.timeout(limit):
            await readable(fd)
    except BaseException:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        _reap_later(fd, child)
        raise
    os.close(fd)
    _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - it has ended
    if code := os.waitstatus_to_exitcode(status):
        raise OSError(code, os.strerror(code))


def _reap_later(fd: int, child: int) -> None:
    """Once it has ended: one that waits for a file system ends when that lets it, whatever signal it got."""
    loop = asyncio.get_running_loop()

    def reap() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        os.waitpid(child, 0)

    loop.add_reader(fd, reap)


async def run_tool(
    argv: Sequence[str],
    limit: float = 300,
    passed: Sequence[int] = (),
    uid: int | None = None,
    gid: int | None = None,
    reads: int = subprocess.DEVNULL,
    writes: int | None = None,
) -> tuple[int, str]:
    """Run a program of the system to its end; its exit status and its words. It is killed after `limit` seconds.

    `passed` are descriptors it inherits, `uid` (and `gid`, else the same) whom it runs as, `reads` and `writes`
    descriptors in the place of its standard ones. Raises OSError.
    """
    become = {} if uid is None else {"user": uid, "group": uid if gid is None else gid, "extra_groups": ()}
    environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(  # type: ignore[call-overload]  # noqa: ASYNC220
            argv,
            stdin=reads,
            stdout=words if writes is None else writes,
            stderr=words,
            env=environ,
            pass_fds=passed,
            cwd="/",
            **become,
        )
        try:
            async with asyncio.timeout(limit):
                status = await ended(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        words.seek(0)
        return status, words.read(65536).decode(errors="replace")
