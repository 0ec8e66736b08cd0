"""The pad's side of the egress proxy: starts its process, hands it each sandbox's listening socket with its rule,
and hears what a sandbox did not reach.

Its process reads strangers' bytes, so it has a uid of its own and no way back but the end of this socket.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable

from perijove.backends.pad.box import Box
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.spawning import ended
from perijove.backends.pad.unreached import Heard, unpacked
from perijove.backends.pad.wire import pack
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.nouns import Egress
from perijove.domain.ran import Unreached

MESSAGE, MESSAGES = 4096, 256
"""Bytes of a message of the proxy's, and how many are heard in a row."""


class Gate:
    """At most one proxy process, started when the first sandbox wants to reach out, and again when it died."""

    def __init__(self, footing: Footing) -> None:
        self._footing = footing
        self._boxes: dict[str, Box] = {}
        self._heard: dict[str, Heard] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def add(self, box: Box, tell: Callable[[str], None]) -> None:
        """Let a sandbox out by its rule; nothing where it has no way out. Raises Fail: `start.sandbox-failed`.

        `tell` hears, as lines of the sandbox's log, what it does not reach.
        """
        if box.gate is None:
            return
        self._boxes[box.order.name] = box
        self._heard[box.order.name] = Heard(tell)
        if self._process is None:
            self._start()
        self._hand_over(box)

    def unreached(self, box: Box) -> tuple[Unreached, ...]:
        """What it asked for so far and never got: the proxy tells before it answers."""
        if self._line is not None:
            self._hear(self._line)
        heard = self._heard.get(box.order.name)
        return heard.unreached if heard is not None else ()

    def remove(self, box: Box) -> None:
        self._heard.pop(box.order.name, None)
        if self._boxes.pop(box.order.name, None) is not None:
            self._send({"close": box.order.name}, ())

    async def close(self) -> None:
        """End the proxy."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._process is not None:
            self._process.kill()
            await ended(self._process)
            self._process = None
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()
            self._line = None

    def _hear(self, line: socket.socket) -> None:
        """Take what the proxy has told; as much as its sandboxes may tell at once, lest it keeps us."""
        for _ in range(MESSAGES):
            try:
                message = line.recv(MESSAGE)
            except OSError:  # nothing more, or it died, which its keeper sees to
                return
            if not message:
                asyncio.get_running_loop().remove_reader(line.fileno())
                return
            if (found := unpacked(message)) is not None and found[0] in self._heard:
                self._heard[found[0]].take(found[1])

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uid = self._footing.proxy_uid
        argv = [sys.executable, "-Pm", "perijove.backends.pad.egress", f"{theirs.fileno()}", f"{uid or 0}"]
        with theirs:
            try:
                self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            except OSError as error:
                raise Fail(
                    SANDBOX_FAILED("the egress proxy cannot be started", Evidence(argv[0], str(error)))
                ) from error
        ours.setblocking(False)
        self._line = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear, ours)
        self._keeper = asyncio.create_task(self._keep(self._process), name="egress proxy")

    async def _keep(self, process: subprocess.Popen[bytes]) -> None:
        """Start it again when it dies; the listening sockets are ours too, so that waiting connections wait on."""
        status = await ended(process)
        print(f"the egress proxy ended with {status}; starting it again", file=sys.stderr, flush=True)  # noqa: T201
        self._hang_up()
        self._process = None
        await asyncio.sleep(0.2)
        if self._boxes:
            self._start()
            for box in self._boxes.values():
                self._hand_over(box)

    def _hand_over(self, box: Box) -> None:
        assert box.gate is not None
        rule = {
            "open": box.order.name,
            "public": box.order.egress is Egress.PUBLIC,
            "allowed": box.order.egress_allowed,
            "way_out": box.order.way_out,
        }
        self._send(rule, (box.gate.fileno(),))

    def _send(self, message: dict[str, object], fds: tuple[int, ...]) -> None:
        if self._line is None:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._line.sendmsg([pack(message)], rights)
        except BlockingIOError:  # it has not read for long: its keeper hands everything over to the next one
            if self._process is not None:
                self._process.kill()
        except OSError as error:  # it just died; its keeper hands everything over again
            print(f"the egress proxy does not listen: {os.strerror(error.errno or 0)}", file=sys.stderr, flush=True)  # noqa: T201
