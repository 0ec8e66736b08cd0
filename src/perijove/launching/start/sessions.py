"""A session's life: started, answers, idle, stopped; and what became of those of before a restart.

In: sandboxes to start, and what the pad tells of them. Out: events, in each session's own subject of the journal.
What runs is always asked of the pad; what a session was for stands in the journal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from perijove.domain.events import (
    LaunchEvent,
    Logged,
    Phase,
    Ready,
    SessionEnded,
    SessionEvent,
    SessionLogged,
    SessionOpened,
    SessionStarted,
    SessionTroubled,
)
from perijove.domain.failures import (
    SERVER_CRASHED,
    SERVER_HANGS,
    SERVER_TOO_SLOW,
    SESSION_CRASHED,
    SESSION_MEMORY,
    START_DISK,
    START_MEMORY,
    Evidence,
    Fail,
    Failure,
)
from perijove.domain.keys import Keys
from perijove.domain.nouns import EndReason, RunningSandbox, SandboxSpec, Session, SessionName
from perijove.domain.ports import Clock, Sessions
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.log import log

KEPT_LINES = 30
LOOK_EVERY = 0.5
"""Seconds between looks at a server that does not answer yet."""
CULL_EVERY = 20.0
IDLE_CPU = 0.02
"""Seconds of processor time in a look below which a server counts as doing nothing."""


def subject(name: SessionName) -> str:
    """A session's subject in the journal."""
    return f"session/{name}"


@dataclass(slots=True)
class Watch:
    """What we heard of one session."""

    session: Session
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    unheard: deque[str] = field(default_factory=deque)
    """Lines its launch has not told yet."""
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    heard: int = 0
    """How many lines there were; of them only the last are kept."""
    answered: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end: SessionEnded | None = None
    last_activity: float = 0

    async def rings(self, limit: float) -> bool:
        """Whether something was heard within `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self.bell.wait()
        except TimeoutError:
            return False
        self.bell.clear()
        return True


class SessionKeeper:
    """Starts sessions, hears what happens to them, stops those that are idle or old."""

    def __init__(
        self, sandboxes: Sessions, journal: Journal, keys: Keys, clock: Clock, settings: Callable[[], Settings]
    ) -> None:
        self.sandboxes = sandboxes
        self._journal = journal
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._watches: dict[SessionName, Watch] = {}
        self.over: Callable[[], None] = lambda: None
        """Called whenever a session ends: there may be room for another."""

    # what there is

    @property
    def live(self) -> Sequence[Session]:
        """Sessions that answered and are not over, the oldest first."""
        return [watch.session for watch in self._watches.values() if watch.answered]

    def last_activity(self, name: SessionName) -> float:
        """When the session was last seen in use; Unix seconds, 0 where nobody looked yet."""
        watch = self._watches.get(name)
        return watch.last_activity if watch else 0

    async def running(self) -> dict[SessionName, RunningSandbox]:
        """What the pad says runs, by name."""
        return {sandbox.session: sandbox for sandbox in await self.sandboxes.running()}

    # start → answers

    async def started(self, session: Session, spec: SandboxSpec) -> AsyncGenerator[LaunchEvent, None]:
        """Start it and wait for its first answer, telling its log. Raises Fail: `start.*`; it is gone then."""
        watch = Watch(session, last_activity=self._clock.now())
        self._watches[session.name] = watch
        try:
            self._journal.append(subject(session.name), SessionOpened(session))
            await self.sandboxes.start(spec)
            yield SessionStarted(session.name)
            async with aclosing(self._until_it_answers(watch)) as events:
                async for event in events:
                    yield event
        except BaseException:
            await self._abandon(watch)
            raise
        watch.answered = True
        watch.unheard.clear()

    async def _until_it_answers(self, watch: Watch) -> AsyncGenerator[LaunchEvent, None]:
        settings = self._settings().session
        name = watch.session.name
        token, started = self._keys.session_token(name), self._clock.now()
        answer = asyncio.create_task(
            self.sandboxes.status(name, watch.session.path, token, settings.start_timeout),
            name=f"first answer of {name}",
        )
        answer.add_done_callback(lambda _: watch.bell.set())
        stall = Stall(settings.stall_timeout)
        try:
            while True:
                rang = await watch.rings(LOOK_EVERY)
                while watch.unheard:
                    yield Logged(Phase.LAUNCHING, watch.unheard.popleft())
                if answer.done() or watch.ended.is_set():
                    break
                if not rang:
                    waits_for = stall.look(self._clock.now(), *await self.sandboxes.looks(name), watch.heard)
                    if waits_for:
                        raise Fail(hangs(watch, waits_for, settings.stall_timeout))
            if not answer.done() or answer.exception() is not None:
                await self._why_not(watch, answer, self._clock.now() - started)
        finally:
            answer.cancel()
            await asyncio.wait({answer})

    async def _why_not(self, watch: Watch, answer: asyncio.Task[object], seconds: float) -> None:
        """No answer came: say why. Raises Fail always."""
        if isinstance(answer.exception() if answer.done() else None, TimeoutError):
            cpu, waits_for = await self.sandboxes.looks(watch.session.name)
            cause = f"it ran for {seconds:.0f} seconds and used {cpu:.1f} seconds of processor time"
            raise Fail(SERVER_TOO_SLOW(cause, Evidence("its server waits in", waits_for), *last_words(watch)))
        try:
            async with asyncio.timeout(2):
                await watch.ended.wait()
        except TimeoutError:
            raise Fail(SERVER_CRASHED(f"its socket closed: {answer.exception()}", *last_words(watch))) from None
        assert watch.end is not None
        raise Fail(crash(watch, watch.end))

    async def _abandon(self, watch: Watch) -> None:
        """A session that never answered leaves nothing behind, even when its launch is cancelled."""
        name = watch.session.name
        ending = asyncio.create_task(self.stop(name, EndReason.FAILED_START), name=f"end of {name}")
        await asyncio.wait({ending}, timeout=10)
        if ending.done() and not ending.cancelled() and (error := ending.exception()):
            log.warning("a session that did not start was not ended", session=name, message=str(error))
        if name in self._watches:
            self._ended(SessionEnded(name, EndReason.FAILED_START, "it did not start", None))

    # what happens to it

    async def watch(self) -> None:
        """Hear what happens to sessions, for ever."""
        async for event in self.sandboxes.happenings():
            self._hear(event)

    def _hear(self, event: SessionEvent) -> None:
        if isinstance(event, SessionOpened) or (watch := self._watches.get(event.session)) is None:
            return
        if isinstance(event, SessionEnded):
            self._ended(event)
        else:
            self._write(event)
            line = event.line if isinstance(event, SessionLogged) else event.failure.message
            watch.lines.append(line)
            watch.heard += 1
            if not watch.answered:
                watch.unheard.append(line)
        watch.bell.set()

    def _ended(self, event: SessionEnded) -> None:
        watch = self._watches.pop(event.session, None)
        if watch is None:
            return
        watch.end = event
        watch.ended.set()
        if watch.answered and (failure := death(watch, event)):
            self._write(SessionTroubled(event.session, failure))
        self._write(event)
        self.over()

    def _write(self, event: SessionLogged | SessionTroubled | SessionEnded) -> None:
        """What happened is kept where it can be; sessions go on over a full disk."""
        try:
            self._journal.append(subject(event.session), event)
        except Fail as error:
            lost = {"session": event.session, "what": type(event).__name__}
            log.error("an event of a session cannot be written down", **lost, message=error.failure.message)  # noqa: TRY400

    # stop

    async def stop(self, name: SessionName, reason: EndReason) -> None:
        """End a session; nothing where it is gone already."""
        await self.sandboxes.stop(name, reason)

    async def cull(self) -> None:
        """Stop sessions that are idle or old, for ever."""
        while True:
            await self._clock.sleep(CULL_EVERY)
            for watch in [watch for watch in self._watches.values() if watch.answered]:
                try:
                    if reason := await self._over(watch):
                        await self.stop(watch.session.name, reason)
                except Fail as error:
                    # The pad is away for a moment; the next round finds it again.
                    log.warning(
                        "a session was not looked at", session=watch.session.name, message=error.failure.message
                    )

    async def _over(self, watch: Watch) -> EndReason | None:
        settings, now, name = self._settings().session, self._clock.now(), watch.session.name
        if settings.max_age and now - watch.session.started_at > settings.max_age:
            return EndReason.OLD
        try:
            status = await self.sandboxes.status(name, watch.session.path, self._keys.session_token(name), 5)
        except (TimeoutError, ConnectionError):
            # A server too busy to answer is in use; one that died is told by the pad.
            return None
        watch.last_activity = max(watch.last_activity, min(status.last_activity, now))
        if status.connections:
            watch.last_activity = now
        return EndReason.IDLE if settings.idle_timeout and now - watch.last_activity > settings.idle_timeout else None

    def told_stopped(self) -> None:
        """The service stops and all sessions with it."""
        for name in list(self._watches):
            self._ended(SessionEnded(name, EndReason.SERVICE_STOPPED, "the service was stopped", None))

    # after a restart

    async def recover(self) -> None:
        """Find the sessions of before: those that run go on, those that do not are told as over.

        `watch` must not have heard anything yet: what ended meanwhile is told by the pad, with its reason.
        """
        known = {session.name: session for session in self._unfinished()}
        for name, session in known.items():
            self._watches[name] = Watch(session, answered=True, last_activity=self._clock.now())
        running = await self.running()
        await asyncio.sleep(0)  # what the pad had kept for us lies before its answer: `watch` hears it first
        for name, session in known.items():
            if name not in running:
                detail = "it was gone when the service came back"
                self._ended(SessionEnded(name, EndReason.PAD_LOST, detail, None))
            elif not self._was_ready(session):
                await self.stop(name, EndReason.FAILED_START)
        for name in running.keys() - known.keys():
            await self.stop(name, EndReason.FAILED_START)

    def _unfinished(self) -> Iterator[Session]:
        for name in self._journal.ledger.unfinished("session/"):
            opened = self._journal.read(name, 0, 1)
            if opened and isinstance(opened[0].event, SessionOpened):
                yield opened[0].event.session

    def _was_ready(self, session: Session) -> bool:
        """Whether its launch had told anybody of it."""
        return any(
            isinstance(entry.event, Ready) and entry.event.session == session.name
            for entry in self._journal.ledger.steps(f"launch/{session.launch}")
        )


@dataclass(slots=True)
class Stall:
    """Tells a server that does nothing from one that is slow."""

    limit: float
    _since: float = 0
    _cpu: float = -1
    _lines: int = -1

    def look(self, now: float, cpu: float, waits_for: str, lines: int) -> str:
        """What it waits for, once it has used no processor and said nothing for `limit` seconds; `` until then."""
        if self._cpu < 0 or cpu - self._cpu > IDLE_CPU or lines != self._lines:
            self._since, self._cpu, self._lines = now, cpu, lines
        return (waits_for or "nothing it tells") if now - self._since >= self.limit else ""


def last_words(watch: Watch) -> tuple[Evidence, ...]:
    """The last lines of a session's log."""
    lines = list(watch.lines)[-10:]
    return (Evidence("its last words", "\n".join(lines)),) if lines else (Evidence("its log", "it said nothing"),)


def hangs(watch: Watch, waits_for: str, seconds: float) -> Failure:
    """It runs, and neither works nor speaks."""
    last = next((line.strip() for line in reversed(watch.lines) if line.strip()), "")
    cause = f"for {seconds:.0f} seconds it used no processor and said nothing" + (
        f" after “{last[:200]}”" if last else ""
    )
    return SERVER_HANGS(cause, Evidence("its server waits in", waits_for), *last_words(watch))


def crash(watch: Watch, end: SessionEnded) -> Failure:
    """It ended before it answered."""
    last = next((line.strip() for line in reversed(watch.lines) if line.strip()), "")
    if end.reason is EndReason.MEMORY:
        return START_MEMORY(end.detail, *last_words(watch))
    if end.reason is EndReason.DISK:
        return START_DISK(end.detail, *last_words(watch))
    full = [line.strip() for line in watch.lines if "No space left on device" in line or "Errno 122" in line]
    if full:
        return START_DISK(full[-1][:300], *last_words(watch))
    return SERVER_CRASHED(f"{end.detail}: {last[:300]}" if last else end.detail, *last_words(watch))


def death(watch: Watch, end: SessionEnded) -> Failure | None:
    """Why a session that had answered is over; None where somebody wished it, or was told already."""
    if end.reason is EndReason.MEMORY:
        return SESSION_MEMORY(end.detail, *last_words(watch))
    if end.reason is EndReason.EXITED and end.exit_code != 0:
        return SESSION_CRASHED(end.detail, *last_words(watch))
    return None
