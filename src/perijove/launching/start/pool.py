"""Sessions held ready: whole ones, for what is asked for often, which only have to be handed out.

In: each launch that was served. Out: sessions that answer already. They are nobody's, so no list, quota or journal
knows them; they are ended as soon as a launch has no room, and not adopted after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perijove.domain import failures
from perijove.domain.failures import BUG
from perijove.domain.nouns import Checkout, EndReason, Environment, SandboxSpec, Session, SessionName
from perijove.domain.ports import Clock, Environments
from perijove.domain.settings import Settings
from perijove.launching.start.demand import REMEMBERED, affordable, ready_wanted
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.queue import Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.log import log

AGE = 3600.0
"""Seconds after which one is made anew: what its server read at its start may be another by then."""
LOOK_EVERY = 30.0
"""Seconds; what is wanted also changes without a launch."""
KNOWN = 100
"""Of how many repositories launches are remembered, each the last so many."""


@dataclass(eq=False, slots=True)
class Held:
    """A session that nobody has yet."""

    name: SessionName
    template: SandboxSpec
    since: float


@dataclass(slots=True)
class Asked:
    """A commit in an environment, and when it was launched."""

    checkout: Checkout
    environment: Environment
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KNOWN))


def _tell(what: str, error: Exception, **facts: str) -> None:
    failure = failures.of(error)
    if failure.kind is BUG:
        log.exception(what, **facts)
    else:
        log.warning(what, code=failure.kind.code, message=failure.message, **facts)


class Pool:
    """Holds sessions ready and hands them out."""

    def __init__(
        self,
        factory: SessionFactory,
        sessions: SessionKeeper,
        queue: Queue,
        environments: Environments,
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._factory = factory
        self._sessions = sessions
        self._queue = queue
        self._environments = environments
        self._clock = clock
        self._settings = settings
        self._asked: dict[tuple[Checkout, str], Asked] = {}
        self._held: list[Held] = []
        self._bell = asyncio.Event()
        queue.make_room = self.give_way

    @property
    def held(self) -> Sequence[SessionName]:
        """Those that wait to be handed out."""
        return [held.name for held in self._held]

    def claimed(self, number: int, checkout: Checkout, environment: Environment) -> Session | None:
        """A session for launch `number`, or None where none is ready, or a quota is reached."""
        if not self._held or self._queue.quota_reached(checkout.repo.address.url):
            return None
        template = self._factory.template(checkout, environment)
        for held in [held for held in self._held if held.template == template]:
            session = self._sessions.claimed(held.name, number)
            self._held.remove(held)
            if session:
                return session
        return None

    def served(self, checkout: Checkout, environment: Environment) -> None:
        """One was launched: the next may come."""
        key = (checkout, environment.key)
        asked = self._asked.pop(key, None) or Asked(checkout, environment)
        asked.times.append(self._clock.now())
        self._asked[key] = asked
        while len(self._asked) > KNOWN:
            del self._asked[next(iter(self._asked))]
        self._bell.set()

    async def give_way(self) -> bool:
        """End one, for a launch that has no room: the one of whose kind there are most. False where none is held."""
        if not self._held:
            return False
        kinds = [held.template for held in self._held]
        held = max(self._held, key=lambda held: kinds.count(held.template))
        await self._end(held)
        return True

    async def run(self) -> None:
        """Hold as many as are wanted, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._bell.wait()
            self._bell.clear()
            try:
                await self.renew()
            except Exception as error:  # noqa: BLE001 - told; launches go on without
                _tell("no sessions are held ready", error)

    async def renew(self) -> None:
        """End those that nobody wants any more, and start those that are wanted, one by one. Raises Fail: `platform.*`.

        Launches go first: while one starts or waits, nothing is started here.
        """
        wanted = await self._wanted()
        for held in list(self._held):
            asked, count = wanted.get(held.template, (None, 0))
            too_many = sum(other.template == held.template for other in self._held) > count
            if held.name not in self._sessions.names:
                self._held.remove(held)
                if asked:
                    self._forget(asked)
                    del wanted[held.template]
            elif too_many or self._clock.now() - held.since > AGE:
                await self._end(held)
        for template, (asked, count) in wanted.items():
            while not self._queue.busy and sum(held.template == template for held in self._held) < count:
                if not await self._started(template, asked):
                    break

    async def _wanted(self) -> dict[SandboxSpec, tuple[Asked, int]]:
        now = self._clock.now()
        for key, asked in list(self._asked.items()):
            if now - asked.times[-1] > REMEMBERED:
                del self._asked[key]
        settings = self._settings()
        room = await self._sessions.sandboxes.room()
        most = affordable(room, len(self._held), settings.launching, settings.session)
        counts = ready_wanted({key: asked.times for key, asked in self._asked.items()}, now, most)
        wanted = {}
        for key, count in counts.items():
            asked = self._asked[key]
            environment = await self._environments.find(asked.environment.key)
            if environment is None:
                del self._asked[key]
                continue
            asked.environment = environment
            wanted[self._factory.template(asked.checkout, environment)] = (asked, count)
        return wanted

    async def _started(self, template: SandboxSpec, asked: Asked) -> bool:
        session, spec = self._factory.session(0, asked.checkout, asked.environment)
        try:
            await self._sessions.hold(session, spec, asked.environment.start)
        except Exception as error:  # noqa: BLE001 - told, and not tried again before a launch
            self._forget(asked)
            _tell("a session could not be held ready", error, repo=session.repo.address.path)
            return False
        self._held.append(Held(session.name, template, self._clock.now()))
        return True

    def _forget(self, asked: Asked) -> None:
        """What does not start, or does not last, is tried again by a launch alone: that has somebody to tell why."""
        self._asked.pop((asked.checkout, asked.environment.key), None)

    async def _end(self, held: Held) -> None:
        self._held.remove(held)
        await self._sessions.stop(held.name, EndReason.STOPPED)
