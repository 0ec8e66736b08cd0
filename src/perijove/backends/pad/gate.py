"""The pad's side of the egress proxy: starts its process, hands it each sandbox's listening socket with its rule.

Its process reads strangers' bytes, so it has a uid of its own and no way back but the end of this socket.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys

from perijove.backends.pad.box import Box
from perijove.backends.pad.footing import Footing
from perijove.backends.pad.spawning import ended
from perijove.backends.pad.wire import pack
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.nouns import Egress


class Gate:
    """At most one proxy process, started when the first sandbox wants to reach out, and again when it died."""

    def __init__(self, footing: Footing) -> None:
        self._footing = footing
        self._boxes: dict[str, Box] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def add(self, box: Box) -> None:
        """Let a sandbox out by its rule; nothing where it has no way out. Raises Fail: `start.sandbox-failed`."""
        if box.gate is None:
            return
        self._boxes[box.order.name] = box
        if self._process is None:
            self._start()
        self._hand_over(box)

    def remove(self, box: Box) -> None:
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
        if self._line is not None:
            self._line.close()

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
        self._keeper = asyncio.create_task(self._keep(self._process), name="egress proxy")

    async def _keep(self, process: subprocess.Popen[bytes]) -> None:
        """Start it again when it dies; the listening sockets are ours too, so that waiting connections wait on."""
        status = await ended(process)
        print(f"the egress proxy ended with {status}; starting it again", file=sys.stderr, flush=True)  # noqa: T201
        if self._line is not None:
            self._line.close()
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
