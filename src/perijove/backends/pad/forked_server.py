"""A process that a fork server has made for one session, on its way into the sandbox: the pad's end of its line.

In: the sandbox's first process, and all that the session's server is told. Out: the server, as a child of the pad,
which has looked at it before it ran anything. Two processes: one outside, which forks the other inside and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from perijove.backends.pad import processes
from perijove.backends.pad.cgroups import Group
from perijove.backends.pad.sandbox import HOME, UID
from perijove.backends.pad.seccomp import program
from perijove.backends.pad.spawning import in_memory, readable
from perijove.backends.pad.wire import Order

STEP_LIMIT = 30.0
"""Seconds for each of its steps, which take milliseconds on a machine that is quiet."""
SOCKET = 3
"""The listening socket's number in a server that was forked."""
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
RIGHTS = {
    **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "Threads": "1",
}
"""What /proc/PID/status has to say of it (proc_pid_status(5))."""
_waited_for: set[int] = set()
"""Servers whose exit statuses somebody wants to know."""


class NotForked(Exception):
    """Why a server has to be started."""


class ForkedServer:
    """One process, from its fork to its end."""

    def __init__(self, line: socket.socket, namespace: int, group: Group | None) -> None:
        """It joins the group at once, which takes the kernel some milliseconds. Raises OSError."""
        self.namespace = namespace
        """The user namespace below which it can enter sandboxes."""
        self.server = 0
        """Its process id, once it is inside."""
        self._line = line
        self._outside = self._inside = -1
        files = group.join_files() if group is not None else []
        try:
            socket.send_fds(line, [b"join"], files)
        finally:
            for fd in files:
                os.close(fd)
        line.setblocking(False)

    async def enter(self, root: int, rootfd: int, uid: int, told: object, streams: Sequence[int]) -> None:
        """Have it be the server of the sandbox whose first process is `root`. Raises NotForked, OSError."""
        self._outside = await self._expected(b"joined")
        with contextlib.ExitStack() as files:
            order = in_memory(files, json.dumps(told).encode())
            socket.send_fds(self._line, [b"enter"], [rootfd, order, *streams])
        self._inside = await self._expected(b"confined")
        async with asyncio.timeout(STEP_LIMIT):
            await readable(self._outside)  # it has ended: the one inside is our child now
        _reaped(self._outside)
        self.server = _pid(self._inside)
        _waited_for.add(self.server)
        if wrong := differences(self.server, root, uid):
            raise NotForked(f"it is not confined: {wrong}")
        self._line.send(b"go")
        self._line.close()

    async def _expected(self, word: bytes) -> int:
        """The process that comes with a word. Raises NotForked, and TimeoutError."""
        async with asyncio.timeout(STEP_LIMIT):
            await readable(self._line.fileno())
        try:
            message, fds, _, _ = socket.recv_fds(self._line, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            message, fds = b"", []
        if message != word or not fds:
            raise NotForked(message.decode(errors="replace") or "its process ended")
        return fds[0]

    async def ended(self) -> int:
        """Wait for the server's end: its exit status, negative for a signal."""
        await readable(self._inside)
        found = _reaped(self._inside)
        _waited_for.discard(self.server)
        if found is None:
            return -signal.SIGKILL
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def close(self) -> None:
        """Once its sandbox has been killed: leave nothing of it, however far it came."""
        self._line.close()  # where it still waits for us it ends by that
        for fd in (self._outside, self._inside):
            if fd >= 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                await readable(fd)
                _reaped(fd)
                os.close(fd)
        self._outside = self._inside = -1
        _waited_for.discard(self.server)


def told_to(order: Order, environ: dict[str, str], rlimits: dict[int, int], *, counted: bool) -> dict[str, object]:
    """All that a session's server is told; `counted` as `seccomp.program` says."""
    return {
        "command": order.command,
        "environ": environ,
        "folder": HOME,
        "uid": UID,
        "gid": UID,
        "rlimits": list(rlimits.items()),
        "seccomp": program(counted=counted).hex(),
        "last_capability": LAST_CAPABILITY.read_text(),
    }


async def gone(rootfd: int) -> None:
    """Until a sandbox's first process, which has been killed and whose parent is dead, is no more."""
    for _ in range(100):
        reap_strays()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await readable(rootfd)
            break
    _reaped(rootfd)


def _reaped(pidfd: int) -> os.waitid_result | None:
    """How it ended; None where it is not ours to know, or is known already."""
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None


def _pid(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid":
            return int(value)
    raise NotForked("its process has gone")


def differences(pid: int, root: int, uid: int) -> str:
    """What of a process is not as in the sandbox whose first process is `root`: `` where all is. Raises OSError."""
    status, first = _status(pid), _status(root)
    wanted = {**RIGHTS, "Uid": "\t".join([f"{uid}"] * 4), "PPid": f"{os.getpid()}"}
    wanted |= {name: first[name] for name in ("Gid", "Groups")}
    wrong = [f"{name} is {status.get(name)}" for name, value in wanted.items() if status.get(name) != value]
    links = {name: [os.readlink(f"/proc/{one}/ns/{name}") for one in (pid, root)] for name in NAMESPACES}
    wrong += [f"its {name} namespace is another" for name, (own, first) in links.items() if own != first]
    if Path(f"/proc/{pid}/cgroup").read_text() != Path(f"/proc/{root}/cgroup").read_text():
        wrong.append("its control group is another")
    return ", ".join(wrong)


def _status(pid: int) -> dict[str, str]:
    rows = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in rows}


def reap_strays() -> None:
    """Take note of the ends of processes that came to us, and that nobody asks for.

    Of a sandbox's: until then its first process cannot end (pid_namespaces(7)). Of those that a dead fork server left
    outside: what we start ourselves leads a session of its own, or is in ours.
    """
    depth = len(_status(os.getpid())["NSpid"].split())
    for pid in set(processes.children(os.getpid())) - _waited_for:
        with contextlib.suppress(OSError, KeyError):
            if len(_status(pid)["NSpid"].split()) > depth or os.getsid(pid) not in (pid, os.getsid(0)):
                os.waitpid(pid, os.WNOHANG)
