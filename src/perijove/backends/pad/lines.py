"""What a sandbox says: bytes of a stranger from a pipe become bounded lines, told one by one.

Slowed down by not reading faster than `RATE`, so that a flood stalls its writer and not the pad.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

from perijove.domain.bounded_log import overwritten

LINE = 2000
"""Characters that are kept of a line."""
RATE = 512 * 1024
"""Bytes read in a second."""
TAIL = 20
"""Last lines that are kept once too many were told."""
CUT = "… (the log goes on; from here only its last lines are kept)"


class Lines:
    """Reads a pipe on the running loop until `finish`."""

    def __init__(self, fd: int, tell: Callable[[str], None], most: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._tell = tell
        self._left, self._unsaid = most, 0
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._skipping = False
        self._window, self._spent = self._loop.time(), 0
        self._later: asyncio.TimerHandle | None = None
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._loop.add_reader(fd, self._readable)

    def finish(self) -> None:
        """Take what is left in the pipe, tell the last words, and close it."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._fd)
        for _ in range(64):  # a pipe holds 64 KiB; a process that outlives its server may go on filling it
            if not self._read():
                break
        if self._buffer:
            self._line(self._buffer)
        os.close(self._fd)
        for line in list(self.tail)[len(self.tail) - min(self._unsaid, len(self.tail)) :]:
            self._tell(line)

    def _readable(self) -> None:
        now = self._loop.time()
        if now - self._window >= 1:
            self._window, self._spent = now, 0
        if self._read() is None:
            self._loop.remove_reader(self._fd)
        elif self._spent > RATE:
            self._loop.remove_reader(self._fd)
            self._later = self._loop.call_later(self._window + 1 - now, self._resume)

    def _resume(self) -> None:
        self._later = None
        self._loop.add_reader(self._fd, self._readable)

    def _read(self) -> bool | None:
        """Whether something was read; None at the pipe's end."""
        try:
            chunk = os.read(self._fd, 65536)
        except BlockingIOError:
            return False
        if not chunk:
            return None
        self._spent += len(chunk)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._buffer) > 4 * LINE and not self._skipping:
            self._buffer = overwritten(self._buffer)
        if len(self._buffer) > 4 * LINE:
            if not self._skipping:
                self._line(self._buffer)
            self._buffer, self._skipping = b"", True
        return True

    def _line(self, raw: bytes) -> None:
        if self._skipping:  # the rest of a line whose beginning was told
            self._skipping = False
            return
        line = overwritten(raw)[: 4 * LINE].decode(errors="replace")
        line = line if len(line) <= LINE else line[: LINE - 1] + "…"
        self.tail.append(line)
        if self._left > 0:
            self._left -= 1
            self._tell(line)
            return
        if self._unsaid == 0:
            self._tell(CUT)
        self._unsaid += 1
