"""The process that calls are forked from: `python -m perijove.backends.confined.process FD`. Ends with its client.

A module's `NEEDS` names what its functions import late, since the control plane shall not.
Single-threaded, and it reads nothing but its client's own words. It reaps the children, kills what they leave behind
and those whose caller has gone, and tells each caller its child's status once nothing of the call is left.
"""

from __future__ import annotations

import codecs
import concurrent.futures.thread  # noqa: F401 - its package loads it late, when its file may be out of reach
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from perijove.backends.confined import child
from perijove.backends.confined.frames import Summons, pack, write_failure
from perijove.domain import wire
from perijove.domain.confinement import Identity
from perijove.domain.failures import BUG, Evidence
from perijove.domain.yielding import BUILD_NICENESS

PR_SET_CHILD_SUBREAPER = 36
SUMMONS = 4096
"""Bytes of a summons."""
CODECS = (
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "idna", "punycode"),
    *("ascii", "latin-1", "cp437", "cp1252", "unicode-escape", "raw-unicode-escape"),
)
"""Loaded before the first fork: without rights their files may be out of reach."""


@dataclass(slots=True)
class Running:
    """A call's child and the line on which its caller is told its end."""

    pid: int
    line: socket.socket


class Process:
    """Forks, reaps, kills."""

    def __init__(self, control: socket.socket, uids: dict[Identity, int], gid: int) -> None:
        self._control = control
        self._uids, self._gid = uids, gid
        self._running: dict[int, Running] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll.register(self._woken, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the client hangs up; then everything that was forked ends."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        while True:
            for fd, events in self._poll.poll():
                if fd == self._woken:
                    with suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                elif fd == self._control.fileno():
                    if not self._summoned():
                        self._end()
                        return
                elif fd in self._running and events & ~select.POLLIN:
                    self._kill(self._running[fd].pid)
                    self._poll.unregister(fd)
            self._reap()

    def _summoned(self) -> bool:
        text, fds, _, _ = socket.recv_fds(self._control, SUMMONS, 1)
        if not text:
            return False
        line = socket.socket(fileno=fds[0])
        summons: Summons = wire.decode(Summons, json.loads(text))
        try:
            # Here, once, and while their files may be read.
            for name in getattr(import_module(summons.module), "NEEDS", ()):
                import_module(name)
        except Exception as error:  # noqa: BLE001 - a module of ours that cannot be imported is told as our mistake
            line.send(
                b"\n" + pack(write_failure(BUG(f"{summons.module} cannot be imported", Evidence("import", str(error)))))
            )
            line.close()
            return True
        with suppress(OSError):  # its caller has gone
            line.send(b"\n", socket.MSG_DONTWAIT)  # it is taken: its own time begins
        pid = os.fork()
        if pid == 0:
            self._become_child(line, summons.identity)
        self._running[line.fileno()] = Running(pid, line)
        self._poll.register(line, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        return True

    def _become_child(self, line: socket.socket, identity: Identity) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in self._running.values():
            other.line.close()
        os.close(self._woken)
        os.close(self._wake)
        self._control.close()
        niceness = BUILD_NICENESS if identity is Identity.INSTALLER else 0
        child.do(line, self._uids.get(identity), self._gid, niceness)

    def _reap(self) -> None:
        statuses: dict[int, int] = {}
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                statuses[pid] = os.waitstatus_to_exitcode(status)
        ended = [(fd, call) for fd, call in self._running.items() if call.pid in statuses]
        for fd, _ in ended:
            del self._running[fd]
        self._kill_orphans()
        for fd, call in ended:
            with suppress(KeyError):
                self._poll.unregister(fd)
            # Never waits: the line's other end is its caller's, who may not read.
            with suppress(OSError):
                call.line.send(b"\n" + pack({"ended": statuses[call.pid]}), socket.MSG_DONTWAIT)
            call.line.close()

    def _kill_orphans(self) -> None:
        """What calls have started and left behind has become our child."""
        known = {call.pid for call in self._running.values()}
        me = os.getpid()
        while True:
            children = {int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()}
            if not (orphans := children - known):
                return
            for pid in orphans:
                self._kill(pid)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        for call in self._running.values():
            self._kill(call.pid)
            os.waitpid(call.pid, 0)
        self._running.clear()
        self._kill_orphans()


def main() -> int:
    """Uids by identity and their group come from the client, which knows the state directory."""
    control = socket.socket(fileno=int(sys.argv[1]))
    uids = {Identity(name): int(uid) for name, uid in json.loads(sys.argv[2]).items()}
    os.umask(0o022)
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # a fifth of this process: see `perijove.cli`
    for codec in CODECS:
        codecs.lookup(codec)
    for module in sys.argv[4:]:
        import_module(module)
    gc.collect()
    gc.freeze()
    Process(control, uids, int(sys.argv[3])).serve()
    return 0


if __name__ == "__main__":
    ended = main()
    sys.stderr.flush()
    os._exit(ended)  # libraries with threads of their own die now and then where Python ends
