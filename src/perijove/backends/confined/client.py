"""Asks for calls, and starts the process that they are forked from where there is none. In: functions; out: answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from perijove.backends.confined.frames import (
    Frame,
    Summons,
    answer_of,
    call_of,
    pack,
    read_failure,
)
from perijove.domain import wire
from perijove.domain.confinement import READING, Beyond, Bounds, Identity, Limit
from perijove.domain.failures import Fail
from perijove.domain.ports import Tell
from perijove.domain.sizes import size
from perijove.log import log

T = TypeVar("T")
AT_ONCE = {Identity.READER: 8, Identity.FETCHER: 32, Identity.INSTALLER: 8}
"""Calls at once; others wait."""
MOST_KNOWN, LARGEST_KNOWN = 1000, 64 << 10
"""Lasting answers that are remembered, and bytes of one with what was given."""
TAKEN_WITHIN = 60.0
"""Seconds in which a call has been forked: some milliseconds, and what its module needs is imported at its first."""
END_LIMIT = 5.0
"""Seconds in which everything of a call that was given up is gone."""
FIRST_UID = (199_990, 29_990)
"""The first uid, and the one where a user namespace around us has no high ones: beside those of sandboxes."""
NOBODY = 65_534
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS}


@dataclass(frozen=True, slots=True)
class _Told:
    """What a call came to, and the bytes of asking and answering."""

    value: Any
    size: int


def _own_contents(folder: Path, uid: int, gid: int) -> None:
    for _, folders, files, here in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)


class ConfinedCalls:
    """The port Confined. `preload`: modules whose first call shall not wait for their import."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = preload
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._known: dict[tuple[Callable[..., Any], tuple[object, ...]], Any] = {}
        self._room = {identity: asyncio.Semaphore(count) for identity, count in AT_ONCE.items()}
        self.taken_within = TAKEN_WITHIN
        self.uids = uids()
        """Whom calls run as; empty where that is ourselves."""
        self.gid = gid(self.uids)

    def let_through(self, folder: Path) -> None:
        """Have calls pass through a folder of the service's: into what lies there, by its name."""
        if self.uids:
            os.chown(folder, -1, self.gid)

    def hand_over(self, folder: Path, identity: Identity, *, contents: bool = False) -> None:
        """Let the calls of an identity own it, and where it is asked for all that lies in it, whoever made that."""
        if not self.uids:
            return
        owner = self.uids[identity], self.gid
        if contents:
            _own_contents(folder, *owner)
        os.chown(folder, *owner)

    def take_back(self, folder: Path) -> None:
        """Own it again; from its root down, and by open folders alone, since a call's own links may lead elsewhere."""
        if self.uids:
            us = os.geteuid(), os.getegid()
            os.chown(folder, *us, follow_symlinks=False)
            _own_contents(folder, *us)

    def start(self) -> None:
        """Have the process run; calls do so by themselves."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            told = json.dumps({identity.value: uid for identity, uid in self.uids.items()})
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-Pm",
                    "perijove.backends.confined.process",
                    f"{theirs.fileno()}",
                    told,
                    f"{self.gid}",
                    *self._preload,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                start_new_session=True,
            )
        ours.setblocking(False)
        self._control = ours

    def close(self) -> None:
        """End it and all calls."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(END_LIMIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    async def call(
        self, function: Callable[..., T], *given: object, bounds: Bounds = READING, lasting: bool = False
    ) -> T:
        """Raises what the function raises as Fail, and Beyond."""
        asked = (function, given)
        if lasting and asked in self._known:
            known: T = self._known[asked]
            return known
        told = await self._called(function, given, bounds, None)
        value: T = told.value
        if lasting and told.size <= LARGEST_KNOWN:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[asked] = value
        return value

    async def run(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *given: object,
        bounds: Bounds = READING,
        tell: Tell | None = None,
    ) -> T:
        """Raises what the function raises as Fail, and Beyond."""
        value: T = (await self._called(function, given, bounds, tell)).value
        return value

    async def _called(
        self, function: Callable[..., Any], given: tuple[object, ...], bounds: Bounds, tell: Tell | None
    ) -> _Told:
        call = call_of(function, given, bounds, tells=tell is not None)
        request = pack(wire.encode(call))
        async with self._room[bounds.identity], self._line(Summons(call.module, bounds.identity), bounds) as line:
            reader, writer = line
            async with self._taking():
                with contextlib.suppress(ConnectionError):  # as below
                    await reader.readline()
            try:
                async with asyncio.timeout(bounds.seconds):
                    with contextlib.suppress(ConnectionError):  # its end says why
                        writer.write(request)
                        await writer.drain()
                    answer, size = await _answer(reader, tell, bounds)
            except TimeoutError:
                raise Beyond(Limit.TIME, f"more than {bounds.seconds:g} seconds") from None
        if "fail" in answer:
            raise Fail(read_failure(answer["fail"]))
        if "beyond" in answer:
            raise _beyond(Limit(answer["beyond"]), str(answer.get("words", "")), bounds)
        if "ok" not in answer:
            raise _died(answer.get("ended"), bounds)
        try:
            return _Told(answer_of(function, answer["ok"]), len(request) + size)
        except ValueError as error:
            raise Beyond(Limit.CRASH, f"an answer of another kind: {error}"[:300]) from error

    @contextlib.asynccontextmanager
    async def _line(
        self, summons: Summons, bounds: Bounds
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A line to a child that lives no longer than the block."""
        ours, theirs = socket.socketpair()
        with theirs:
            await self._summon(json.dumps(wire.encode(summons)).encode(), theirs)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=bounds.output)
        try:
            yield reader, writer
        finally:
            await asyncio.shield(_gone(reader, writer))

    @contextlib.asynccontextmanager
    async def _taking(self) -> AsyncIterator[None]:
        """Bounds a wait for the process that forks: one that hangs is killed with its calls, the next starts one."""
        process = self._process
        try:
            async with asyncio.timeout(self.taken_within):
                yield
        except TimeoutError as error:
            log.error("the process that confined calls are forked from hangs, and is killed", limit=self.taken_within)  # noqa: TRY400
            if process is not None:
                process.kill()
            raise Beyond(Limit.HUNG, f"a process that forks it within {self.taken_within:g} seconds") from error

    async def _summon(self, text: bytes, theirs: socket.socket) -> None:
        for again in (True, False):
            self.start()
            assert self._control is not None
            try:
                async with self._taking():
                    while True:
                        try:
                            socket.send_fds(self._control, [text], [theirs.fileno()])
                            return
                        except BlockingIOError:
                            await asyncio.sleep(0.001)
            except (BrokenPipeError, ConnectionError):
                if not again:
                    raise Beyond(Limit.KILLED, "a process that does not start") from None
                self.close()


async def _gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give the call up, if it still runs, and wait until nothing of it does."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(END_LIMIT):
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(1 << 16):
                continue
    writer.close()


async def _answer(reader: asyncio.StreamReader, tell: Tell | None, bounds: Bounds) -> tuple[Frame, int]:
    """The frame that ends it, and its size. Raises Beyond."""
    left = bounds.output
    while True:
        try:
            line = await reader.readline()
        except (ValueError, ConnectionError):
            left, line = -1, b""
        left -= len(line)
        if left < 0:
            raise Beyond(Limit.OUTPUT, f"more than {size(bounds.output)} to say what it holds")
        if not line:
            return {}, 0
        frame = _read(line)
        if "line" in frame:
            if tell is not None:
                tell(str(frame["line"]))
        elif frame:
            return frame, len(line)


def _read(line: bytes) -> Frame:
    """A frame, or nothing where a child that died broke off."""
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _died(status: Any, bounds: Bounds) -> Beyond:
    """Why a child that gave no answer has ended, by its exit status (negative for a signal)."""
    if not isinstance(status, int):
        return Beyond(Limit.KILLED, "a process that goes on")
    if status == -signal.SIGXCPU:
        return _beyond(Limit.TIME, "", bounds)
    if status == -signal.SIGXFSZ:
        return _beyond(Limit.SIZE, "", bounds)
    if -status in CRASHES or status > 0:
        return Beyond(Limit.CRASH, f"a process that it does not end (status {status})")
    return Beyond(Limit.KILLED, f"a process that nobody ends (status {status})")


def _beyond(limit: Limit, words: str, bounds: Bounds) -> Beyond:
    said = {
        Limit.TIME: f"more than {bounds.cpu} seconds of processor time",
        Limit.MEMORY: f"more than {size(bounds.memory)} of memory",
        Limit.SIZE: f"a file of more than {size(bounds.file_size)}",
        Limit.DEPTH: "deeper nesting than is read",
    }
    return Beyond(limit, words[:300] or said.get(limit, "more than it may have"))


def uids(euid: int | None = None, uid_map: Path = Path("/proc/self/uid_map")) -> dict[Identity, int]:
    """One each for root, or `nobody` where there is no other; none for other users, which have no uid to give."""
    if (os.geteuid() if euid is None else euid) != 0:
        return {}
    rows = [[int(field) for field in line.split()] for line in uid_map.read_text().splitlines()]
    exist = [range(inside, inside + count) for inside, _, count in rows]
    for first in FIRST_UID:
        if any(first in held and first + len(Identity) in held for held in exist):
            return {identity: first + number for number, identity in enumerate(Identity, 1)}
    return dict.fromkeys(Identity, NOBODY) if any(NOBODY in held for held in exist) else {}


def gid(of: dict[Identity, int]) -> int:
    """The group that all of them have: folders that they pass through are open to it."""
    return min(of.values(), default=os.getegid())
