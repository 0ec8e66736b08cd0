"""A stand-in for Jupyter that starts in milliseconds, and hands for tests to reach into its sandbox with.

It adopts the session's socket, answers `api/status`, and runs any Python posted to it: what a kernel could do, it can.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from perijove.backends.pad.client import Pad
from perijove.domain.events import SessionEnded, SessionHappening, SessionLogged, SessionProgressed, SessionTroubled
from perijove.domain.nouns import Egress, Limits, Mount, SandboxSpec
from perijove.domain.ports import Sessions
from perijove.domain.state import State

PYTHON = "/usr/bin/python3"
ONCE_ASKED = "import os, select\nselect.select([int(os.environ['PERIJOVE_SOCKET_FD'])], [], [])\n"
"""Waits for somebody who connects."""
SERVER = """
import json, os, socket, sys, threading, traceback
listener = socket.socket(fileno=int(os.environ["PERIJOVE_SOCKET_FD"]))
print("the server is up", flush=True)
def serve(connection):
    head, _, body = connection.recv(65536).partition(b"\\r\\n\\r\\n")
    if head.startswith(b"POST"):
        length = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        scope = {}
        try:
            exec(body.decode(), scope)
            answer = scope.get("answer")
        except BaseException as error:
            answer = "raised " + repr(error)
    elif b" /user/one/api/kernels" in head:
        answer = [{"execution_state": state, "connections": 2, "last_activity": "2026-01-01T00:00:00.000000Z"}
                  for state in ("busy", "idle", "starting")]
    else:
        answer = {"last_activity": "2026-01-01T00:00:00.000000Z", "connections": 1, "kernels": 2, "started": "x"}
    text = json.dumps(answer, default=repr).encode()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text) + text)
    connection.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
MIB = 1024 * 1024
LIMITS = Limits(memory=256 * MIB, cpus=2.0, processes=64, disk=64 * MIB, tmp=16 * MIB)
ENVIRON = (("PATH", "/usr/bin:/bin"), ("HOME", "/home/jovyan"), ("SECRET", "the-session-secret"))


def spec(
    name: str,
    home_from: Path,
    code: str = SERVER,
    limits: Limits = LIMITS,
    egress: Egress = Egress.NONE,
    allowed: tuple[str, ...] = (),
    mounts: tuple[Mount, ...] = (),
) -> SandboxSpec:
    """A session whose server is `code`, run by the system's Python."""
    return SandboxSpec(name, (PYTHON, "-c", code), ENVIRON, mounts, home_from, limits, egress, allowed)


PREPARED = """
import sys
def prepare():
    import json, os, random, socket, ssl, tempfile, threading, traceback, uuid
def main():
    exec(sys.argv[1], {"__name__": "__main__"})
if __name__ == "__main__":
    main()
"""
"""A program for a fork server: its servers run the code that they are given."""


async def forkable(pad: Pad, started: SandboxSpec, folder: Path) -> SandboxSpec:
    """The same session, its server forked; there is what it is forked from now. `folder` is where a program may lie."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    program = folder / "program.py"
    program.write_text(PREPARED)
    shown = Mount(folder, Path("/opt", folder.name))
    command = (PYTHON, "-I", str(shown.target / program.name), *started.command[2:])
    forked = replace(started, command=command, mounts=(*started.mounts, shown), server=(shown,))
    why_not = await pad.warm(forked)
    assert not why_not, why_not
    return forked


def with_less(**changes: int) -> Limits:
    return replace(LIMITS, **changes)


async def do(state: State, session: str, code: str, limit: float = 20) -> Any:
    """Run Python inside a session; what it leaves in `answer`. Raises ConnectionError when its server goes away."""
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_unix_connection(state.session_sockets / f"{session}.sock")
        body = code.encode()
        writer.write(b"POST /do HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        text = await reader.read()
        writer.close()
    if not text:
        raise ConnectionResetError("the server went away")
    return json.loads(text.partition(b"\r\n\r\n")[2])


async def until(condition: Callable[[], object], limit: float = 30) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


class Follower:
    """Collects what happens to sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self.events: list[SessionHappening] = []
        happenings = sessions.happenings()

        async def follow() -> None:
            async for event in happenings:
                self.events.append(event)

        self._task = asyncio.create_task(follow(), name="follower")

    async def ended(self, session: str, limit: float = 30) -> SessionEnded:
        await until(lambda: self.ends(session), limit)
        return self.ends(session)[0]

    def ends(self, session: str) -> list[SessionEnded]:
        return [event for event in self.events if isinstance(event, SessionEnded) and event.session == session]

    async def troubled(self, session: str, limit: float = 30, code: str = "") -> SessionTroubled:
        """The first trouble, with this code where one is given."""
        await until(lambda: self.troubles(session, code), limit)
        return self.troubles(session, code)[0]

    def troubles(self, session: str, code: str = "") -> list[SessionTroubled]:
        found = [event for event in self.events if isinstance(event, SessionTroubled) and event.session == session]
        return [event for event in found if code in ("", event.failure.kind.code)]

    def lines(self, session: str) -> list[str]:
        return [event.line for event in self.events if isinstance(event, SessionLogged) and event.session == session]

    def progress(self, session: str) -> list[Any]:
        """What its launch alone is told."""
        return [
            event.told for event in self.events if isinstance(event, SessionProgressed) and event.session == session
        ]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
