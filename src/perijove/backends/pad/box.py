"""One sandbox from its making to its last trace: folder, home, socket, control group, processes, log.

In: an order and the ground it stands on; out: a `Box` that runs, can be asked, killed, and cleared away.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

from perijove.backends.pad import bubblewrap, forked_server, home, overlays, person_home, processes, quota, unsandboxed
from perijove.backends.pad.cgroups import Group
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.fork_server import ForkServers
from perijove.backends.pad.forked_server import SOCKET, ForkedServer, NotForked, told_to
from perijove.backends.pad.lines import Lines
from perijove.backends.pad.netns import listener_inside
from perijove.backends.pad.overlays import Laid, lay, stacks_of
from perijove.backends.pad.sandbox import PROXY_ENVIRON, PROXY_PORT
from perijove.backends.pad.spawning import ended, in_child
from perijove.backends.pad.starting import Starting
from perijove.backends.pad.wire import Order
from perijove.domain.failures import SANDBOX_FAILED, START_DISK, STATE_UNUSABLE, Evidence, Fail
from perijove.domain.nouns import Egress
from perijove.domain.sizes import size

SETUP_LIMIT = 60.0
"""Seconds that bubblewrap may take until the command runs: some milliseconds, but for a machine that is very busy."""
SOCKET_PATH_LIMIT = 107
HOLDER = ("/bin/sh", "-c", "kill -STOP $$")
"""The command of a sandbox that waits for its server: it does nothing, for ever."""
LOG_LINES = 5000
"""Lines that are told of one sandbox; beyond them only the last ones."""


class Box:
    """A sandbox that is being made, runs, or has just ended."""

    def __init__(
        self, order: Order, footing: Footing, folder: Path, socket_path: Path, disk: Path, forks: ForkServers
    ) -> None:
        self.order = order
        self.started_at = time.time()
        self.own = folder / "own"
        """All that it writes to disk: the home, and what it writes over its overlays."""
        self.home = self.own / "home"
        self.laid: list[Laid] = []
        """Its overlays."""
        self.quota: quota.Disk | None = None
        """The disk that `own` is, where it is one of its own."""
        self.uid: int | None = None
        self.group: Group | None = None
        self.gate: socket.socket | None = None
        """The egress proxy's listening socket inside the sandbox's network."""
        self.disk = 0
        """Bytes of what it wrote when it was last measured."""
        self.root = 0
        """Process id of the sandbox's first process, as the host sees it."""
        self.server = 0
        """Process id of the command itself, or of the server that was forked in its place."""
        self.holder = 0
        """The command that keeps the sandbox for a server that is forked."""
        self.lines: Lines | None = None
        self.writing = asyncio.Lock()
        """Held while something is copied into `own` from outside: none of it is removed meanwhile."""
        self._footing = footing
        self._forks = forks
        self._forked_server: ForkedServer | None = None
        """What becomes its server, or is it, where that is forked."""
        self._folder = folder
        self._socket_path = socket_path
        self._disk = disk
        self._process: subprocess.Popen[bytes] | None = None
        self._rootfd = -1
        self._ours = False

    async def open(self, tell: Callable[[str], None]) -> None:
        """Make it and start its command. Raises Fail: `start.*`, `platform.*`, and has cleared up then."""
        try:
            await self._open(tell)
        except TimeoutError as error:
            where = Evidence("bwrap", f"not ready after {SETUP_LIMIT:.0f} s")
            await self.clear()
            raise Fail(SANDBOX_FAILED("bubblewrap did not become ready", where)) from error
        except OSError as error:
            await self.clear()
            kind = START_DISK if error.errno in {ENOSPC, EDQUOT} else SANDBOX_FAILED
            where = Evidence(str(error.filename or "system call"), str(error.strerror or error))
            raise Fail(kind("the system refused a part of it", where)) from error
        except BaseException:
            await self.clear()
            raise

    async def _open(self, tell: Callable[[str], None]) -> None:
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError as error:
            where = Evidence(str(self._folder), "exists")
            raise Fail(SANDBOX_FAILED("a sandbox of this name is there already", where)) from error
        self._ours = True
        self.uid = self._footing.take_uid()
        if self._footing.groups is not None:
            self.group = self._footing.groups.make(self.order.name, self.order.limits, self.order.share)
        self._forked_server = self._forks.fork(self.order, self.group)
        await self._make_home()
        if self.uid is not None:
            os.chown(self._folder, self.uid, self.uid)
        listener = self._listen() if self.order.listens else None
        try:
            if self._forked_server is None or not await self._forked(tell, listener):
                await self._begin(tell, listener)
        finally:
            if listener is not None:  # held by the sandbox alone, so that a dead server refuses connections
                listener.close()

    async def _begin(self, tell: Callable[[str], None], listener: socket.socket | None) -> None:
        output, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            if self.uid is not None:  # so that the sandbox may open /dev/stderr anew
                os.fchown(theirs, self.uid, self.uid)
            self.lines = Lines(output, tell, LOG_LINES)
            if self._forked_server is not None:
                await self._start_forked(theirs, listener, self._forked_server)
            elif self._footing.sandboxed:
                await self._start_sandboxed(theirs, listener, self.order, self._environ(listener))
            else:
                self._start_bare(theirs, listener)
        finally:
            os.close(theirs)

    async def _forked(self, tell: Callable[[str], None], listener: socket.socket | None) -> bool:
        """Whether its server is there by a fork; else nothing is left of the try, but why it failed."""
        try:
            await self._begin(tell, listener)
        except (NotForked, TimeoutError, OSError, Fail) as error:
            if isinstance(error, Fail) and error.failure.kind.code.startswith("home."):
                raise  # it would be the same for a server that is started
            self._forks.failed(error)
            await self._end_processes()
            return False
        return True

    async def _start_forked(self, output: int, listener: socket.socket | None, process: ForkedServer) -> None:
        environ = dict(self._environ(listener))
        if listener is not None:
            environ["PERIJOVE_SOCKET_FD"] = f"{SOCKET}"
        holding = replace(self.order, command=HOLDER)
        await self._start_sandboxed(output, None, holding, [("PATH", "/usr/bin:/bin")], process.namespace)
        self.holder, uid = self.server, os.getuid() if self.uid is None else self.uid
        told = told_to(self.order, environ, self._starting.rlimits, counted=self.group is not None)
        streams = [output] if listener is None else [output, listener.fileno()]
        await process.enter(self.root, self._rootfd, uid, told, streams)
        self.server = process.server

    async def _make_home(self) -> None:
        if self._footing.disks is not None:
            named = self._disk if self.order.listens else None
            self.quota = await self._footing.disks.made(self.order.limits.disk, self.own, self.uid, named)
        if self.quota is None:
            self.own.mkdir(mode=0o755)
            if self.uid is not None:
                os.chown(self.own, self.uid, self.uid)
        try:
            await home.make_home(self.order.home_from, self.home, self.uid, self._footing.master)
        except Fail as error:
            if self.quota is not None and error.failure.kind is START_DISK and self.order.home_from is not None:
                setting = "session.disk" if self.order.listens else "build.disk"
                raise await home.too_large(error, self.order.home_from, setting, self.order.limits.disk) from error
            raise
        person_home.place(self.order.person_home, self.home, self.uid)
        master, copied = self._footing.master, bool(self._footing.copied)
        stacks = stacks_of(self.order, copied=copied)
        self.laid = await lay(stacks, self._folder, self.own, self.uid, master, copied=copied)
        if self.quota is not None:
            self.quota.hold()

    def _listen(self) -> socket.socket:
        path = str(self._socket_path)
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
            raise Fail(STATE_UNUSABLE("its socket has too long a path", Evidence(path, f">{size(SOCKET_PATH_LIMIT)}")))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        self._footing.master.give(self._socket_path)
        listener.listen(512)
        return listener

    async def _start_sandboxed(
        self,
        output: int,
        listener: socket.socket | None,
        order: Order,
        environ: list[tuple[str, str]],
        namespace: int | None = None,
    ) -> None:
        counted = self.group is not None
        if self.uid is not None:  # bubblewrap, which has the session's rights, could not reach it
            order = replace(order, person_home=None)
        with bubblewrap.arranged(order, self.home, self.laid, environ, counted=counted) as given:
            passed = given.passed + ([listener.fileno()] if listener is not None else [])
            try:
                self._process = self._starting.start(given.argv, output, passed, namespace=namespace)
            finally:
                for fd in given.ends:
                    os.close(fd)
            async with asyncio.timeout(SETUP_LIMIT):
                root = await bubblewrap.first_process(given.info)
                if root is None:
                    raise self._refused()
                self.root, self._rootfd = root, os.pidfd_open(root)
                await self._join_group()
                self._starting.limit_processes(self.root)
                if self.order.egress is not Egress.NONE or self.order.egress_allowed:
                    self.gate = listener_inside(self.root, PROXY_PORT)
                await person_home.show(self.order.person_home, self.root, self.uid, self._footing.master)
                os.write(given.block, b"x")
                await self._wait_for_command(given.status)

    @property
    def _starting(self) -> Starting:
        return Starting(self.order, self._footing, self.uid, counted=self.group is not None)

    def _environ(self, listener: socket.socket | None) -> list[tuple[str, str]]:
        environ = list(self.order.environ)
        if listener is not None:
            environ.append(("PERIJOVE_SOCKET_FD", f"{listener.fileno()}"))
        if self._footing.sandboxed and (self.order.egress is not Egress.NONE or self.order.egress_allowed):
            environ += PROXY_ENVIRON
        return environ

    def _start_bare(self, output: int, listener: socket.socket | None) -> None:
        argv, environ = unsandboxed.translated(self.order, self.home, self.laid, self._environ(listener))
        passed = [listener.fileno()] if listener is not None else []
        joins = self.group.join_files() if self.group is not None else []
        try:
            start = self._starting.start
            self._process = start(argv, output, passed, environ=environ, folder=self.home, joins=joins)
        finally:
            for fd in joins:
                os.close(fd)
        self.root = self.server = self._process.pid
        self._rootfd = os.pidfd_open(self.root)

    async def _join_group(self) -> None:
        """Put the sandbox's first process, which has no children yet, into the control group.

        The kernel makes whoever asks for it wait some milliseconds in each hierarchy, so others ask for us, at once.
        """
        if self.group is not None:
            files = self.group.join_files()
            try:
                pid = f"{self.root}".encode()
                await asyncio.gather(*(in_child(functools.partial(os.write, fd, pid)) for fd in files))
            finally:
                for fd in files:
                    os.close(fd)

    async def _wait_for_command(self, status: int) -> None:
        """Until bubblewrap has set everything up and the command has taken its place: some milliseconds."""
        while True:
            over = self._process is None or self._process.poll() is not None
            below = processes.children(self.root)
            if below and processes.program(below[0]) not in {None, processes.program(self.root)}:
                self.server = below[0]
                return
            if over:  # it tells an exit code only where the command could be run
                if b"exit-code" not in os.pread(status, 65536, 0):
                    raise self._refused()
                return
            await asyncio.sleep(0.002)

    def _refused(self) -> Fail:
        if self._process is not None:
            self._process.wait(5)
        words = self._last_words()
        return Fail(SANDBOX_FAILED("bubblewrap could not set it up", Evidence("bwrap", words or "it said nothing")))

    def _last_words(self) -> str:
        if self.lines is None:
            return ""
        self.lines.finish()
        words = "\n".join(self.lines.tail)
        self.lines = None
        return words

    async def ended(self) -> int:
        """Wait for the end of the command; its exit status, negative for a signal. Its last lines are told by then."""
        assert self._process is not None
        forked = self._forked_server is not None
        code = await (self._forked_server.ended() if self._forked_server is not None else ended(self._process))
        if self.lines is not None:
            self.lines.finish()
            self.lines = None
        return 128 - code if self._footing.sandboxed and not forked and code > 128 else code

    @property
    def written(self) -> list[Path]:
        """Folders of `own` that it fills."""
        return [self.home, *(stack.upper for stack in self.laid)]

    @property
    def sandbox_root(self) -> int | None:
        """The first process of a real sandbox."""
        return self.root if self._footing.sandboxed and self.root else None

    @property
    def spared(self) -> set[int]:
        """Processes whose end would be its own."""
        return {self.root, self.holder, self.server}

    def family(self, age: float = 0.4) -> list[processes.Process]:
        """Its processes at most `age` seconds ago, the first one first."""
        found = processes.family(self.root, processes.recent(age)) if self.root else []
        return found + (processes.family(self.server, processes.recent(age)) if self.holder else [])

    def kill(self) -> None:
        """End all its processes at once; nothing where they are gone."""
        if self._rootfd >= 0:
            if not self._footing.sandboxed:  # there is no namespace that ends with its first process
                processes.kill(processes.family(self.root, processes.snapshot()))
                for pid in unsandboxed.marked(self._folder):
                    processes.kill_one(pid)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._rootfd, signal.SIGKILL)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def hang_up(self) -> None:
        """Take its socket away, so that nobody dials it any more."""
        self._socket_path.unlink(missing_ok=True)

    async def end(self) -> None:
        """End all its processes, and wait until they are gone: what it wrote is still there."""
        await self._end_processes()
        self.hang_up()
        await self._clear_group()

    async def clear(self) -> None:
        """Remove every trace: processes, socket, control group, files, uid."""
        if not self._ours:
            return
        await self.end()
        async with self.writing:
            await self._clear_disk()
            overlays.clear(self._folder)
            await home.remove(self._folder)
        self._footing.give_back(self.uid)
        self.uid = None

    async def _end_processes(self) -> None:
        self.kill()
        if self._forked_server is not None:
            await self._forked_server.close()
            self._forked_server = None
        if self._process is not None:
            await ended(self._process)
            self._process = None
        if self._rootfd >= 0:
            if self._footing.sandboxed:
                await forked_server.gone(self._rootfd)
            os.close(self._rootfd)
            self._rootfd = -1
        if self.lines is not None:
            self._last_words()
        if self.gate is not None:
            self.gate.close()
            self.gate = None
        self.root = self.server = self.holder = 0

    async def _clear_disk(self) -> None:
        if self.quota is None:
            return
        try:
            await self.quota.close()
        except OSError as error:  # the pad's end takes it away
            print(f"{self.quota.folder} cannot be unmounted: {error}", file=sys.stderr, flush=True)  # noqa: T201
        self.quota = None

    async def _clear_group(self) -> None:
        if self.group is None:
            return
        for _ in range(500):
            for pid in self.group.processes():
                processes.kill_one(pid)
            if self.group.remove():
                break
            await asyncio.sleep(0.01)
        self.group = None
