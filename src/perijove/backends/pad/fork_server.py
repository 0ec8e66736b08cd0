"""Fork servers: one process a server environment of ours, from which sessions' servers are forked (`forking.py`).

In: an order. Out: a `ForkedServer`, which becomes the order's server in a sandbox that stands; or none, and why.
Each has been shown what its server runs on and nothing else, and lives in a user namespace of sessions' uids alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from perijove.backends.pad import fork_sandbox, processes, sandbox, userns
from perijove.backends.pad.cgroups import Group
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.forked_server import ForkedServer
from perijove.backends.pad.seccomp import program
from perijove.backends.pad.spawning import ended, in_memory, readable
from perijove.backends.pad.wire import Order
from perijove.domain.failures import Fail

READY_LIMIT = 60.0
"""Seconds for its imports: one, on a machine that is quiet."""
KEPT = 3
"""How many there are at most; beyond them the one that was used longest ago goes. Each takes some 80 MB."""
LONGEST = 600.0
"""Seconds between two tries, once many have failed."""
SCRIPT = Path(__file__).with_name("forking.py")


@dataclass(eq=False)
class ForkServer:
    """One of them: tried for again and again, and perhaps ready."""

    order: Order
    control: socket.socket | None = None
    """Where requests go, once it is ready."""
    keeper: asyncio.Task[None] | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether the last try has come to nothing, or to a fork server that is there."""


class ForkServers:
    """Those of one pad, by what they run on; each is begun by the first order that could use it."""

    def __init__(self, footing: Footing) -> None:
        self.why = ""
        """Why sessions' servers are started where they could be forked; `` while nothing is known."""
        self._footing = footing
        self._servers: dict[object, ForkServer] = {}
        self._keepers: set[asyncio.Task[None]] = set()
        self._namespace = -1

    def begin(self, order: Order) -> ForkServer | None:
        """See to it that there is one for such orders, soon; None where there can be none."""
        if not order.server or not self._footing.sandboxed:
            return None
        key = (order.command[:3], order.server, order.root)
        server = self._servers.pop(key, None)
        if server is None:
            server = ForkServer(order)
            server.keeper = asyncio.create_task(self._keep(server), name="fork server")
            self._keepers.add(server.keeper)
            server.keeper.add_done_callback(self._keepers.discard)
            server.keeper.add_done_callback(lambda _: server.tried.set())
        self._servers[key] = server
        if len(self._servers) > KEPT:
            longest_unused = self._servers.pop(next(iter(self._servers)))
            assert longest_unused.keeper is not None
            longest_unused.keeper.cancel()
        return server

    async def settled(self, order: Order) -> str:
        """Once it is known whether there is one for such orders: why not, or ``."""
        server = self.begin(order)
        if server is None:
            return "nothing that such servers run on is shared"
        await server.tried.wait()
        return "" if server.control is not None else self.why

    def fork(self, order: Order, group: Group | None) -> ForkedServer | None:
        """A process that may become its server; None where it has to be started: as soon as that is known."""
        server = self.begin(order)
        if server is None or server.control is None:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(server.control, [b"fork"], [theirs.fileno()])
                return ForkedServer(ours, self._namespace, group)
            except OSError as error:  # it has just ended, or does not listen any more
                ours.close()
                self.failed(f"the fork server does not listen: {error.strerror}")
                return None

    def failed(self, cause: str | Exception) -> None:
        """Once for each reason in the log."""
        words = cause.failure.message if isinstance(cause, Fail) else str(cause)
        why = words or f"it took too long ({type(cause).__name__})"
        if why != self.why:
            print(f"a session's server is started, not forked: {why}", file=sys.stderr, flush=True)  # noqa: T201
        self.why = why

    async def _keep(self, server: ForkServer) -> None:
        """Start it, and again when it ends, after longer and longer."""
        delay = 0.0
        while True:
            try:
                ready = await self._run(server)
            except Exception as error:  # noqa: BLE001 - whatever it is, sessions go on without it
                ready = False
                self.failed(error)
            if ready:  # and has ended: the next one is there soon
                server.tried.clear()
            else:
                server.tried.set()
            delay = 0.2 if ready else min(LONGEST, max(1.0, 4 * delay))
            await asyncio.sleep(delay)

    async def _run(self, server: ForkServer) -> bool:
        """From its start to its end; whether it was ready meanwhile. Raises OSError, TimeoutError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, tempfile.TemporaryFile() as words:
            with theirs:
                process = self._spawn(server.order, theirs, words.fileno())
            try:
                async with asyncio.timeout(READY_LIMIT):
                    await readable(ours.fileno())
                ready = ours.recv(64) == b"ready"
                if ready:
                    ours.setblocking(False)
                    server.control, self.why = ours, ""
                    server.tried.set()
                await ended(process)
            finally:
                server.control = None
                _end(process)
            words.seek(0)
            said = words.read()[-500:].decode(errors="replace").strip().splitlines()
            self.failed(f"the fork server ended: {said[-1] if said else process.returncode}")
            return ready

    def _spawn(self, order: Order, control: socket.socket, words: int) -> subprocess.Popen[bytes]:
        if self._namespace < 0:
            self._namespace = userns.made(*self._footing.session_ids, self._footing.fork_uid)
        with contextlib.ExitStack() as files:
            given = partial(in_memory, files)
            inside = {fork_sandbox.SCRIPT: SCRIPT.read_bytes()}
            inside |= {} if order.root else {path: text.encode() for path, text in sandbox.FILES.items()}
            shown = tuple((path, given(content)) for path, content in inside.items())
            fds = fork_sandbox.Descriptors(self._namespace, given(program(entering=True)), shown, control.fileno())
            arguments = given(fork_sandbox.arguments(order, fds))
            passed = [arguments, fds.namespace, fds.seccomp, fds.control, *(fd for _, fd in shown)]
            uid = self._footing.fork_uid
            return subprocess.Popen(
                ["bwrap", "--args", f"{arguments}", "--", *fork_sandbox.command(order, fds)],
                executable=self._footing.bwrap,
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=passed,
                start_new_session=True,
                preexec_fn=None if uid is None else (lambda: userns.become(uid)),  # noqa: PLW1509 - one thread
            )

    async def close(self) -> None:
        """End them all."""
        self._servers.clear()
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1


def _end(bubblewrap: subprocess.Popen[bytes]) -> None:
    """End what it runs, whose end it takes note of, and then itself."""
    for pid in processes.children(bubblewrap.pid):
        processes.kill_one(pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        bubblewrap.wait(1)
    bubblewrap.kill()
    bubblewrap.wait()
