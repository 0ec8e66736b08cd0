"""A session's life: started, answers, idle, stopped; and what became of those of before a restart.

In: sandboxes to start, and what the pad tells of them. Out: events, in each session's own subject of the journal.
What runs is always asked of the pad; what a session was for stands in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from perijove.domain import events as e
from perijove.domain.activity import Trouble
from perijove.domain.failures import QUEUE_FULL, Evidence, Fail, Failure
from perijove.domain.keys import Keys
from perijove.domain.nouns import (
    EndReason,
    EnvironmentKey,
    ResolvedRepo,
    RunningSandbox,
    SandboxSpec,
    Session,
    SessionName,
)
from perijove.domain.ports import Clock, Sessions
from perijove.domain.server_failures import SERVER_CRASHED
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.launching.start import judging
from perijove.launching.start.announcing import Announcing
from perijove.launching.start.idling import Idling
from perijove.launching.start.notices import notices
from perijove.launching.start.watch import Watch
from perijove.log import log

LOOK_EVERY = 0.5
"""Seconds between looks at a server that does not answer yet."""
END_TOLD_WITHIN = 2.0
"""Seconds from the end of a server's socket to the word of its own end."""
CULL_EVERY = 20.0
LOOKS_AT_ONCE = 16
"""Servers that are asked for their use at the same time: one that hangs holds its turn for five seconds."""


def subject(name: SessionName) -> str:
    """A session's subject in the journal."""
    return f"session/{name}"


@dataclass(eq=False)
class SessionKeeper:
    """Starts sessions, hears what happens to them, stops those that are idle or old."""

    sandboxes: Sessions
    _journal: Journal
    _keys: Keys
    _clock: Clock
    _settings: Callable[[], Settings]

    def __post_init__(self) -> None:
        self._watches: dict[SessionName, Watch] = {}
        self.announcing = Announcing(self._journal, self._clock)
        self._turn = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._troubled = asyncio.Queue[SessionName]()
        """Sessions whose pages do not know yet what went wrong."""
        self.over: Callable[[], None] = lambda: None
        """Called whenever a session ends: there may be room for another."""

    # what there is

    @property
    def live(self) -> Sequence[Session]:
        """Sessions that answered and are not over, the oldest first."""
        return [watch.session for watch in self._watches.values() if watch.answered]

    @property
    def held(self) -> Set[SessionName]:
        """Of those that are nobody's yet."""
        return {name for name, watch in self._watches.items() if watch.held}

    @property
    def ready(self) -> int:
        """How many of them answer."""
        return sum(watch.ready for watch in self._watches.values())

    @property
    def environments(self) -> Collection[EnvironmentKey]:
        """Of all sessions that are not over."""
        return {watch.session.environment for watch in self._watches.values()}

    @property
    def names(self) -> Collection[SessionName]:
        """Of all sessions that are not over, those that start among them."""
        return self._watches.keys()

    def last_activity(self, name: SessionName) -> float:
        """When the session was last seen in use; Unix seconds, 0 where nobody looked yet."""
        watch = self._watches.get(name)
        return watch.idling.used_at if watch else 0

    def processors(self, name: SessionName) -> float:
        """How many the session kept busy of late; 0 where nobody looked yet."""
        watch = self._watches.get(name)
        return watch.idling.processors if watch else 0

    async def running(self) -> dict[SessionName, RunningSandbox]:
        """What the pad says runs, by name."""
        return {sandbox.session: sandbox for sandbox in await self.sandboxes.running()}

    # start → answers

    async def started(
        self, session: Session, spec: SandboxSpec, start: str = ""
    ) -> AsyncGenerator[e.LaunchEvent, None]:
        """Start it and wait for its first answer, telling its log. Raises Fail: `start.*`; it is gone then.

        `start` is the repository's script that has to run the server, or ``.
        """
        watch = Watch(session, start, idling=Idling(self._clock.now()))
        async with aclosing(self._answering(watch, spec)) as events:
            async for event in events:
                yield event
        watch.answered = True
        watch.unheard.clear()

    async def hold(self, session: Session, spec: SandboxSpec, start: str = "") -> None:
        """Start one that nobody asked for, until it answers. Raises Fail: as `started`; where it would have to wait."""
        watch = Watch(session, start, held=True)
        async with aclosing(self._answering(watch, spec)) as events:
            async for event in events:
                if isinstance(event, e.Queued):
                    raise Fail(QUEUE_FULL("nobody waits for it", Evidence("the cluster", event.why)))
        watch.ready = True

    def claimed(self, name: SessionName, number: int, repo: ResolvedRepo) -> Session | None:
        """Hand a held session to launch `number` of what spells its repository so; None where it is over.

        Raises Fail: `platform.*`.
        """
        watch = self._watches.get(name)
        if watch is None:
            return None
        watch.session = replace(watch.session, launch=number, repo=repo, started_at=self._clock.now())
        self._journal.append(subject(name), e.SessionOpened(watch.session))
        for line in watch.lines:
            self._write(e.SessionLogged(name, line))
        watch.unheard.clear()
        watch.idling = Idling(self._clock.now())
        watch.held, watch.ready, watch.answered = False, False, True
        return watch.session

    async def _answering(self, watch: Watch, spec: SandboxSpec) -> AsyncGenerator[e.LaunchEvent, None]:
        session = watch.session
        self._watches[session.name] = watch
        try:
            if not watch.held:
                self._journal.append(subject(session.name), e.SessionOpened(session))
            starting = asyncio.create_task(self.sandboxes.start(spec), name=f"start of {session.name}")
            try:
                async with aclosing(self._lines_until(watch, starting)) as lines:
                    async for line in lines:
                        yield line
                await starting
            finally:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
            if not watch.started:
                yield e.SessionStarted(session.name)
            async with aclosing(self._until_it_answers(watch)) as events:
                async for event in events:
                    yield event
        except BaseException:
            await self.abandon(session.name)
            raise

    async def _until_it_answers(self, watch: Watch) -> AsyncGenerator[e.LaunchEvent, None]:
        # Longer than it is looked at: the looks know why it is not waited for any more.
        name, limit = watch.session.name, 2 * judging.PATIENCE * self._settings().session.start_timeout
        asking = self.sandboxes.status(name, watch.session.path, self._keys.session_token(name), limit)
        answer = asyncio.create_task(asking, name=f"first answer of {name}")
        looking = asyncio.create_task(self._judged(watch), name=f"looks at {name}")
        try:
            async with aclosing(self._lines_until(watch, answer, looking)) as lines:
                async for line in lines:
                    yield line
            if answer.done() and answer.exception() is None:
                return
            if looking.done() or (answer.done() and isinstance(answer.exception(), TimeoutError)):
                raise Fail(await looking)
            raise Fail(await self._why_not(watch, answer))
        finally:
            answer.cancel()
            looking.cancel()
            await asyncio.wait({answer, looking})

    async def _lines_until(self, watch: Watch, *done: asyncio.Task[Any]) -> AsyncGenerator[e.LaunchEvent, None]:
        """What it says until one of these is done, or it is over."""
        for task in done:
            task.add_done_callback(lambda _: watch.bell.set())
        while not (any(task.done() for task in done) or watch.ended.is_set()):
            await watch.bell.wait()
            watch.bell.clear()
            while watch.unheard:
                yield watch.unheard.popleft()

    async def _judged(self, watch: Watch) -> Failure:
        """Look at a server that starts until it is not waited for any longer: why. Raises Fail: `platform.pad-down`."""
        pace = judging.Pace(self._clock.now())
        while True:
            await self._clock.sleep(LOOK_EVERY)
            activity = await self.sandboxes.activity(watch.session.name)
            pace.look(self._clock.now(), activity, watch.heard)
            if failure := pace.verdict(self._settings().session, watch.lines):
                return failure if watch.reached or not watch.start else judging.not_reached(watch.start, failure)

    async def _why_not(self, watch: Watch, answer: asyncio.Task[object]) -> Failure:
        """It is over, or its socket is. Raises Fail: `platform.pad-down`."""
        for _ in range(2):
            try:
                async with asyncio.timeout(END_TOLD_WITHIN):
                    await watch.ended.wait()
            except TimeoutError:
                await self.running()  # there is a pad again then, which has told what its forerunner lost
        if watch.end is not None:
            return judging.never_answered(watch.end, watch.lines, "" if watch.reached else watch.start)
        return SERVER_CRASHED(f"its socket closed: {answer.exception()}", *judging.last_words(watch.lines))

    async def abandon(self, name: SessionName) -> None:
        """A session that was never handed out leaves nothing behind, even when its launch is cancelled."""

        def told(ending: asyncio.Task[None]) -> None:
            if not ending.cancelled() and (error := ending.exception()):
                log.warning("a session that did not start was not ended", session=name, message=str(error))

        ending = asyncio.create_task(self.stop(name, EndReason.FAILED_START), name=f"end of {name}")
        ending.add_done_callback(told)  # which may be long after we waited for it
        await asyncio.wait({ending}, timeout=10)
        if name in self._watches:
            self._ended(e.SessionEnded(name, EndReason.FAILED_START, "it did not start", None))

    # what happens to it

    async def watch(self) -> None:
        """Hear what happens to sessions, for ever."""
        async for event in self.sandboxes.happenings():
            self._hear(event)

    def _hear(self, event: e.SessionHappening) -> None:
        if isinstance(event, e.SessionOpened) or (watch := self._watches.get(event.session)) is None:
            return
        if isinstance(event, e.SessionEnded):
            self._ended(event)
        elif isinstance(event, e.SessionProgressed):
            watch.started |= isinstance(event.told, e.SessionStarted)
            watch.unheard.append(event.told)
        else:
            if not watch.held:
                self._write(event)
            if isinstance(event, e.SessionTroubled):
                watch.troubles.append(Trouble(self._clock.now(), event.failure))
                if not watch.untold:
                    watch.untold = True
                    self._troubled.put_nowait(event.session)
            watch.say(event.line if isinstance(event, e.SessionLogged) else event.failure.message)
        watch.bell.set()

    def _ended(self, event: e.SessionEnded) -> None:
        watch = self._watches.pop(event.session, None)
        if watch is None:
            return
        watch.end = event = judging.wished(event) if watch.answered else event
        watch.ended.set()
        if watch.held:
            self.over()
            return
        if watch.answered and (failure := judging.death(event, watch.lines)):
            self._write(e.SessionTroubled(event.session, failure))
        self._write(event)
        self.over()

    def _write(self, event: e.SessionLogged | e.SessionTroubled | e.SessionEnded) -> None:
        """What happened is kept where it can be; sessions go on over a full disk."""
        try:
            self._journal.append(subject(event.session), event)
        except Fail as error:
            lost = {"session": event.session, "what": type(event).__name__}
            log.error("an event of a session cannot be written down", **lost, message=error.failure.message)  # noqa: TRY400

    def trouble(self, name: SessionName, failure: Failure) -> None:
        """Something went wrong with it that its sandbox does not see: its pages are told."""
        self._hear(e.SessionTroubled(name, failure))

    # stop

    async def stop(self, name: SessionName, reason: EndReason) -> None:
        """End a session; nothing where it is gone already."""
        await self.sandboxes.stop(name, reason)

    def stop_later(self, name: SessionName, after: float) -> None:
        """End a session so many seconds from now, which its pages are told; nothing where it is gone already."""
        if watch := self._watches.get(name):
            watch.idling.stopped_at = self._clock.now() + after

    async def cull(self) -> None:
        """Stop sessions that are idle or old, for ever."""
        while True:
            await self._clock.sleep(CULL_EVERY)
            async with asyncio.TaskGroup() as looks:
                for session in self.live:
                    looks.create_task(self._looked_at(session.name), name=f"look at {session.name}")

    async def tell(self) -> None:
        """Have pages told what went wrong in their sessions as soon as it has, for ever."""
        async with asyncio.TaskGroup() as looks:
            while True:
                name = await self._troubled.get()
                looks.create_task(self._looked_at(name), name=f"trouble of {name}")

    async def _looked_at(self, name: SessionName) -> None:
        """Tell its pages what there is to tell, and stop it where it is idle or old."""
        try:
            async with self._turn:
                watch = self._watches.get(name)
                if watch is None or not watch.answered:
                    return
                watch.untold = False
                if reason := await self._over(watch):
                    await self.stop(name, reason)
        except Fail as error:
            # The pad is away for a moment; the next round finds it again.
            log.warning("a session was not looked at", session=name, message=error.failure.message)

    async def _over(self, watch: Watch) -> EndReason | None:
        """Why it is stopped now; None while it is not. Raises Fail: `platform.pad-down`."""
        name, token = watch.session.name, self._keys.session_token(watch.session.name)
        try:
            ending = watch.idling.ending(watch.session.started_at, self._settings().session)
            held, message = await self.sandboxes.held(name), self.announcing.now
            told = notices(self._clock.now(), ending, held, watch.troubles, message)
            use = await self.sandboxes.use(name, watch.session.path, token, 5, told)
        except (TimeoutError, ConnectionError):
            use = None  # busy, or hanging: its processes tell; one that died is told by the pad
        activity = await self.sandboxes.activity(name)
        now = self._clock.now()
        watch.idling.look(now, use, activity)
        ending = watch.idling.ending(watch.session.started_at, self._settings().session)
        return ending.reason if ending and now > ending.at else None

    def told_stopped(self) -> None:
        """The service stops and all sessions with it."""
        for name in list(self._watches):
            self._ended(e.SessionEnded(name, EndReason.SERVICE_STOPPED, "the service was stopped", None))

    # after a restart

    async def recover(self) -> None:
        """Find the sessions of before: those that run go on, those that do not are told as over.

        `watch` must not have heard anything yet: what ended meanwhile is told by the pad, with its reason.
        """
        known = {session.name: session for session in self._unfinished()}
        for name, session in known.items():
            self._watches[name] = Watch(session, answered=True, idling=Idling(self._clock.now()))
        running = await self.running()
        await asyncio.sleep(0)  # what the pad had kept for us lies before its answer: `watch` hears it first
        for name, session in known.items():
            if name not in running:
                detail = "it was gone when the service came back"
                self._ended(e.SessionEnded(name, EndReason.PAD_LOST, detail, None))
            elif not self._was_ready(session):
                await self.stop(name, EndReason.FAILED_START)
        for name in running.keys() - known.keys():
            await self.stop(name, EndReason.FAILED_START)

    def _unfinished(self) -> Iterator[Session]:
        for name in self._journal.ledger.unfinished("session/"):
            opened = self._journal.read(name, 0, 1)
            if opened and isinstance(opened[0].event, e.SessionOpened):
                yield opened[0].event.session

    def _was_ready(self, session: Session) -> bool:
        """Whether its launch had told anybody of it."""
        return any(
            isinstance(entry.event, e.Ready) and entry.event.session == session.name
            for entry in self._journal.ledger.steps(f"launch/{session.launch}")
        )
