"""The ports `Sessions` and `ForeignCode` on this machine: a client of the pad, which it starts when there is none.

In: specs; out: what the pad answers and what happens to sessions. Many readers may follow what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from perijove.asking import Connection, Servers
from perijove.backends.pad.spawning import reaped
from perijove.backends.pad.trees import fetched
from perijove.backends.pad.wire import LINE_LIMIT, Message, order_of, pack, unpack
from perijove.domain import wire
from perijove.domain.activity import Activity
from perijove.domain.events import SessionEnded, SessionEvent, SessionHappening, SessionLogged
from perijove.domain.failures import PAD_DOWN, Evidence, Fail, Failure, Kind
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import GivenBack, KeepTerms
from perijove.domain.nouns import EndReason, ForeignRun, Room, RunningSandbox, SandboxSpec, SessionName
from perijove.domain.ports import Tell
from perijove.domain.ran import Ran
from perijove.domain.service_failures import PAD_SILENT
from perijove.domain.state import State
from perijove.domain.way_out import STRAIGHT
from perijove.log import last_words
from perijove.session_events import UNREAD, Happenings

START_LIMIT = 15.0
"""Seconds a pad may take to its first answer."""
RETURN_LIMIT = 5.0
"""Seconds in which a service manager has a pad running again that ended."""
QUIT_LIMIT = 30.0
"""Seconds the pad may take to end all sessions and itself."""
ASK_LIMIT = 120.0
"""Seconds the pad may take for an answer that is not a foreign run's."""
ALREADY_UP = 3
"""Exit status of a pad that found another one holding the state directory."""
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []
"""Pads that outlive their clients on purpose; kept, since a dropped Popen of a running process warns."""


class Pad(Servers):
    """A connection to the pad that is made anew whenever it breaks."""

    def __init__(self, state: State, isolation: str = "sandbox", python: str = sys.executable) -> None:
        """`isolation` is `sandbox` or `none`; `python` runs a pad that has to be started."""
        super().__init__(self._reached)
        self._state, self._isolation, self._python = state, isolation, python
        self.way_out, self.greets_within = STRAIGHT, START_LIMIT
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lost, self._kept = asyncio.Event(), asyncio.Event()
        self._pad = ""
        self.fills = True
        self.is_child = False
        """Whether a stop ends it and its sessions: no service manager started it."""
        self._sessions, self._number = set[SessionName](), 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._tells: dict[int, Tell] = {}
        self._readers: weakref.WeakSet[Happenings] = weakref.WeakSet()
        self._unread: list[tuple[int, SessionEvent]] = []
        """What no reader has heard yet, with the pad's number for it; 0 for what the client itself saw."""
        self._connecting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered: subprocess.Popen[bytes] | None = None

    async def _reached(self, session: SessionName, limit: int) -> Connection:
        """Its socket, in whose backlog a request waits until the server answers."""
        path = self._state.session_sockets / f"{session}.sock"
        try:
            return await asyncio.open_unix_connection(path, limit=limit)
        except OSError as error:
            raise ConnectionRefusedError(f"nobody listens at {path.name}: {error.strerror}") from error

    @property
    def spawned(self) -> bool:
        """Whether it runs because we started it."""
        return self._process is not None and self._process.poll() is None

    async def begin(self) -> None:
        """Start one where none answers, for `ensure` to wait for. Raises Fail: `platform.pad-*`."""
        async with self._connecting:
            if not await self._connect() and not self._belongs_to_another():
                self._spawn()

    async def ensure(self) -> None:
        """Connect to the pad; start one where none answers. Raises Fail: `platform.pad-*`."""
        async with self._connecting:
            if (self._reading is not None and not self._reading.done()) or await self._connect():
                return
            if self._belongs_to_another():
                await self._wait_for_its_return()
                return
            if not self.spawned:
                self._spawn()
            try:
                async with asyncio.timeout(START_LIMIT):
                    while not await self._connect():
                        if self._process is self._answered and not self.spawned:
                            self._spawn()  # its connection broke before it could be reaped
                        elif self._process is not None and self._process.poll() not in {None, ALREADY_UP}:
                            raise self._down("the pad ended as soon as it started")
                        await asyncio.sleep(0.02)
            except TimeoutError as error:
                raise self._down(f"the pad did not answer within {START_LIMIT:.0f} s") from error

    def _belongs_to_another(self) -> bool:
        """Whether another user's pad, root's, holds our sandboxes: one of our own could not take its place."""
        try:
            return self._state.sessions.stat().st_uid != os.geteuid()
        except FileNotFoundError:
            return False

    async def _wait_for_its_return(self) -> None:
        try:
            async with asyncio.timeout(RETURN_LIMIT):
                while not await self._connect():  # noqa: ASYNC110 - a service manager's doing, untold
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            where = Evidence(str(self._state.pad_socket), f"nobody answers within {RETURN_LIMIT:.0f} s")
            remedy = "Start it: `systemctl start perijove-pad`; its words: `journalctl -u perijove-pad`."
            raise Fail(PAD_DOWN("it is another user's to start", where, remedy=remedy)) from error

    def _spawn(self) -> None:
        self._state.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = [self._python, "-Pm", "perijove.backends.pad.process", "--state", str(self._state.root)]
        argv += ["--isolation", self._isolation, "--child"]
        with (self._state.logs / "pad.log").open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
                )
            except OSError as error:
                raise self._down(f"the pad cannot be started: {error.strerror}") from error

    def _down(self, cause: str, kind: Kind = PAD_DOWN) -> Fail:
        words, log = "", self._state.logs / "pad.log"
        with contextlib.suppress(OSError):
            words = last_words(log)
        return Fail(kind(cause, Evidence(str(log), words or "nothing is written there")))

    async def _connect(self) -> bool:
        try:
            async with asyncio.timeout(self.greets_within):
                reader, writer = await asyncio.open_unix_connection(self._state.pad_socket, limit=LINE_LIMIT)
                try:
                    hello = unpack(await reader.readline())  # of one that is about to end there is no JSON
                except BaseException:
                    writer.close()
                    raise
        except TimeoutError as error:
            said = f"it holds its socket, and said nothing for {self.greets_within:.0f} s"
            raise self._down(said, PAD_SILENT) from error
        except (OSError, ValueError):
            return False
        if hello["sandboxed"] != (self._isolation == "sandbox"):
            await self._replace(hello, reader, writer)
            return False
        self._writer, self.is_child = writer, hello["child"]
        was, self._pad, self._answered = self._pad, hello["hello"], self._process
        before, self._sessions = self._sessions, set(hello["sessions"])
        if was and was != self._pad:
            self._unread = [(0, event) for _, event in self._unread]  # the new pad has numbers of its own
            for session in sorted(before):
                detail = "the process that holds the sandboxes ended"
                self._tell(SessionEnded(session, EndReason.PAD_LOST, detail, None), 0)
        self._lost.clear()
        self._kept.set()
        self._reading = asyncio.create_task(self._read(reader), name="pad connection")
        return True

    async def _replace(self, hello: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A pad of another isolation must not serve us: its sessions would not be what the settings promise."""
        try:
            if not hello["child"]:
                raise self._down(f"the pad that runs was not started with --isolation {self._isolation}")
            writer.write(pack({"id": 0, "ask": "quit"}))
            async with asyncio.timeout(QUIT_LIMIT):
                while await reader.readline():
                    continue
        except (ConnectionError, ValueError):
            return  # gone, as it was to be
        except TimeoutError as error:
            raise self._down("the pad of another isolation does not end") from error
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(unpack(line))
        except ConnectionError:
            pass
        finally:
            down = self._down("the connection to the pad broke").failure
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(Fail(down))
            self._answers.clear()
            self._tells.clear()
            if self._writer is not None:
                self._writer.close()
            self._lost.set()

    def _take(self, message: Message) -> None:
        if "kept" in message:
            self._kept.set()
        elif "event" in message:
            event = wire.decode(SessionEvent, message["event"])
            if isinstance(event, SessionEnded):
                self._sessions.discard(event.session)
            self._tell(event, message["number"])
        elif "line" in message:
            if tell := self._tells.get(message["id"]):
                tell(message["line"])
        elif (answer := self._answers.pop(message["id"], None)) and not answer.done():
            if "fail" in message:
                answer.set_exception(Fail(wire.decode(Failure, message["fail"])))
            else:
                answer.set_result(message["ok"])

    def _tell(self, event: SessionEvent, number: int) -> None:
        readers = list(self._readers)
        for reader in readers:
            reader.put(event)
        if readers:
            self._seen(number, event)
        elif not number or all(number != other for other, _ in self._unread):
            self._unread = [*self._unread, (number, event)][-UNREAD:]

    def _seen(self, number: int, event: SessionEvent) -> None:
        """Let the pad forget it. What nobody has heard stays with the pad, for the client after us."""
        if number and not isinstance(event, SessionLogged):
            self._send({"seen": number})

    def _send(self, message: Message) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(pack(message))

    async def _ask(
        self,
        ask: str,
        limit: float = ASK_LIMIT,
        tell: Tell | None = None,
        then: Callable[[Any], Awaitable[object]] | None = None,
        **words: object,
    ) -> Any:
        """`then` is done with the answer before the pad forgets what belongs to it."""
        await self.ensure()
        number = self._number = self._number + 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        if tell is not None:
            self._tells[number] = tell
        self._send({"id": number, "ask": ask, **words})
        try:
            async with asyncio.timeout(limit):
                value = await answer
                if then is not None:
                    await then(value)
                return value
        except TimeoutError as error:
            raise self._down(f"it did not answer `{ask}` within {limit:.0f} s", PAD_SILENT) from error
        finally:
            self._answers.pop(number, None)
            self._tells.pop(number, None)
            if then is not None or answer.cancelled():  # nobody waits for it any more
                self._send({"forget": number})

    async def supervise(self, trouble: Callable[[Failure | None], None] = lambda _: None) -> None:
        """Keep a pad running for ever, and tell why none runs. Sessions that went with one are ended by PAD_LOST."""
        delay = 0.1
        while True:
            try:
                await self.ensure()
            except Fail as fail:
                trouble(fail.failure)
                await asyncio.sleep(delay := min(delay * 2, 10.0))
                continue
            trouble(None)
            delay = 0.1
            await self._lost.wait()
            trouble(self._down("it ended, or the connection to it broke").failure)

    async def close(self, stop: bool) -> None:
        """Let go of the pad. `stop` ends every session and the pad too, unless a service manager started it."""
        if stop and (self.is_child if self._reading and not self._reading.done() else self.spawned):
            with contextlib.suppress(Fail):  # its end may be quicker than its answer
                await self._ask("quit", QUIT_LIMIT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIT_LIMIT):
                    await self._lost.wait()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._writer is not None:
            self._writer.close()
        if stop and self._process is not None:
            await reaped(self._process)
        elif self._process is not None:
            _LEFT_RUNNING.append(self._process)

    def happenings(self) -> AsyncIterator[SessionHappening]:
        """What happens from this call on; the first reader also gets what ended while nobody read."""
        reader = Happenings()
        for number, event in self._unread:
            reader.put(event)
            self._seen(number, event)
        self._unread = []
        self._readers.add(reader)
        return reader

    async def start(self, spec: SandboxSpec) -> None:
        """Raises Fail: `start.*`, `home.*`, `platform.*`."""
        await self._ask("start", order=order_of(spec, self.way_out))
        self._sessions.add(spec.session)

    async def fill(self, session: SessionName, home_from: Path) -> None:
        """Raises Fail: `start.sandbox-failed`, `start.disk-full`, `platform.*`."""
        await self._ask("fill", session=session, home_from=home_from)

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        """End it and wait until nothing is left of it."""
        await self._ask("stop", session=session, reason=reason)

    async def running(self) -> Sequence[RunningSandbox]:
        return [wire.decode(RunningSandbox, told) for told in await self._ask("running")]

    async def held(self, session: SessionName) -> RunningSandbox | None:
        told = await self._ask("running", session=session)
        return wire.decode(RunningSandbox, told[0]) if told else None

    async def activity(self, session: SessionName) -> Activity:
        return Activity(**await self._ask("activity", session=session))

    async def room(self) -> Room:
        return Room(**await self._ask("room"))

    async def isolation(self) -> Isolation:
        """Raises Fail: `platform.namespaces-forbidden`, `platform.seccomp-missing`, `platform.tool-missing`."""
        return Isolation(**await self._ask("isolation"))

    async def warm(self, spec: SandboxSpec) -> str:
        """Have what the servers of such sessions can be forked from; once it is there or cannot be: why not, or ``.

        Raises Fail, as `isolation`.
        """
        return str(await self._ask("warm", order=order_of(spec, self.way_out)))

    async def keep(self, session: SessionName, terms: KeepTerms) -> None:
        """Raises Fail: `platform.*`."""
        await self._ask("keep", session=session, terms=terms)

    async def give_back(self, session: SessionName, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        """Raises Fail: `session.kept-unreadable`, `platform.*`."""
        words = {"archive": archive, "opens": opens.hex(), "same_commit": same_commit}
        given: GivenBack = wire.decode(GivenBack, await self._ask("give_back", session=session, words=words))
        return given

    async def kept(self) -> Sequence[SessionName]:
        """Raises Fail: `platform.pad-*`."""
        while True:
            self._kept.clear()  # rings with each new connection, and whenever something waits
            if waiting := await self._ask("kept"):
                return list(waiting)
            await self._kept.wait()

    async def fetched(self, session: SessionName) -> None:
        await self._ask("fetched", session=session)

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        """Raises Fail: `start.sandbox-failed`, `build.{too-slow,out-of-memory,disk-full}`, `platform.*`."""
        answer = await self._ask(
            "run",
            run.timeout + ASK_LIMIT,
            tell,
            lambda answer: asyncio.to_thread(fetched, self._state.handed / answer["folder"], into),
            order=order_of(run, self.way_out),
            result=None if run.layers else run.result,
            timeout=run.timeout,
        )
        ran: Ran = wire.decode(Ran, answer["ran"])
        return ran
