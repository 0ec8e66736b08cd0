"""Does a Caddy that runs still answer? In: its process, its admin socket, one of its listeners. Out: why it hangs.

One that waits for a processor, as all on a busy machine do, does not hang. Looks; kills nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from perijove.domain.failures import Evidence

EVERY = 1.0
"""Seconds between two probes."""
LIMIT = 3.0
"""Seconds for an answer."""
UNANSWERED = 3
"""Probes in a row that a listener may leave unanswered while the admin socket answers: its queue may be full."""
STARVED = LIMIT / 4
"""Seconds in the queue for a processor, or seconds that our own clock was late, that excuse a missing answer."""

Connecting = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def hangs(pid: int, admin: Path, listener: tuple[str, int, str] | None, busy: Callable[[], bool]) -> Evidence:
    """Return what was seen once it hangs. `listener`: host, port and a path that it answers by itself.

    While it is `busy` with what it was told, its admin socket may wait.
    """
    misses, stopped = 0, False
    while True:
        await asyncio.sleep(EVERY)
        was_stopped, stopped = stopped, state(pid) == "stopped"
        if was_stopped and stopped:
            return Evidence(f"/proc/{pid}/stat", f"process {pid} is stopped")
        if busy() or stopped:  # whoever is stopped answers nothing, which would be waited for
            continue
        if not await _answers(pid, partial(asyncio.open_unix_connection, admin), "/config/admin/listen"):
            if not busy():
                return Evidence(str(admin), f"no answer within {LIMIT:.0f} s; process {pid} is {state(pid)}")
        elif listener is not None:
            host, port, path = listener
            answers = await _answers(pid, partial(asyncio.open_connection, host, port), path)
            misses = 0 if answers else misses + 1
            if misses == UNANSWERED:
                return Evidence(f"{host}:{port}", f"no answer, {misses} times; process {pid} is {state(pid)}")


async def _answers(pid: int, connect: Connecting, path: str) -> bool:
    """Whether it says anything in time, or has an excuse."""
    loop = asyncio.get_running_loop()
    until, waited = loop.time() + LIMIT, _waited(pid)
    try:
        async with asyncio.timeout_at(until):
            reader, writer = await connect()
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                return bool(await reader.read(1))
            finally:
                writer.close()
    except TimeoutError:
        return loop.time() - until > STARVED or _waited(pid) - waited > STARVED
    except OSError:
        return False


def _waited(pid: int) -> float:
    """Seconds that its threads have waited for a processor (schedstat; Linux, Documentation/scheduler)."""
    waited = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited += int(thread.read_text().split()[1])
        except (OSError, IndexError):  # it ended, or this kernel does not count
            continue
    return waited / 1e9


def state(pid: int) -> str:
    """What a process does now, in a word."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
    return {"T": "stopped", "t": "traced", "D": "waiting for a disk", "Z": "ended"}.get(letter, "running")
