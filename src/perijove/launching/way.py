"""The launch way, whole: resolve → build → start. In: a RepoAddress. Out: LaunchEvents.

The last of them is Ready or Failed, or Prepared, where nothing but the environment was wished for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from perijove.domain import failures
from perijove.domain.events import (
    Built,
    Fetched,
    LaunchEvent,
    Logged,
    Phase,
    Prepared,
    Ready,
    Resolved,
    Retrying,
    SessionStarted,
)
from perijove.domain.events import Failed as LaunchFailed
from perijove.domain.failures import BUG, Fail, Failure, Retry
from perijove.domain.nouns import Checkout, Environment, RepoAddress, ResolvedRepo, Wish
from perijove.domain.ports import Clock, Environments, Explain, Repositories
from perijove.domain.reach import household
from perijove.domain.settings import Settings
from perijove.launching.build.builder import Builds
from perijove.launching.shares import Shares
from perijove.launching.start.admission import refusal
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.pool import Pool
from perijove.launching.start.queue import Place, Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.telling import Telling
from perijove.log import log

FETCHES = 8
"""Of one visitor at once, a quarter of what may run: hosts that never answer hold up nobody else's."""
DELAYS = (2.0, 5.0, 10.0, 20.0)
"""Seconds before the first, second, … try again."""


async def as_it_is(failure: Failure) -> Failure:
    """Nobody knows more than the failure says."""
    return failure


class LaunchWay:
    """Launches repositories; all it needs of the world comes in through ports."""

    def __init__(
        self,
        repositories: Repositories,
        environments: Environments,
        builds: Builds,
        queue: Queue,
        sessions: SessionKeeper,
        factory: SessionFactory,
        clock: Clock,
        settings: Callable[[], Settings],
        explain: Explain = as_it_is,
    ) -> None:
        self.repositories = repositories
        self.environments = environments
        self.builds = builds
        self.queue = queue
        self.sessions = sessions
        self.pool = Pool(factory, sessions, queue, environments, clock, settings)
        self._factory = factory
        self._clock = clock
        self._settings = settings
        self._explain = explain
        self._fetches = Shares(FETCHES)

    async def launch(
        self, number: int, address: RepoAddress, client: str, wish: Wish
    ) -> AsyncGenerator[LaunchEvent, None]:
        """Tell launch `number` as it happens; the last event is Ready, Prepared or Failed, never two of them.

        `client` is the address of whoever asked.

        This is the one loop that tries again, and only what the catalogue says can be helped by it.
        """
        for tries in range(self._settings().launching.retries + 1):
            try:
                async with aclosing(self._attempt(number, address, client, wish)) as events:
                    async for event in events:
                        if isinstance(event, Built):  # it is made anew once, however often the session is tried
                            wish = replace(wish, again=False)
                        yield event
                return
            except Exception as error:
                failure = failures.of(error)
                if failure.kind is BUG:
                    log.exception("a launch met a bug", launch=number)
            delay = self._delay(failure, tries)
            if delay is None:
                yield LaunchFailed(await self._explain(failure))
                return
            yield Retrying(failure, delay)
            await self._clock.sleep(delay)

    async def _attempt(
        self, number: int, address: RepoAddress, client: str, wish: Wish
    ) -> AsyncGenerator[LaunchEvent, None]:
        if refused := refusal(address, self._settings().launching):
            raise Fail(refused)

        if self._fetches.full(visitor := household(client)):
            yield Logged(Phase.FETCHING, f"Waiting for others of your {FETCHES} launches that are being fetched")
        async with self._fetches.turn(visitor):
            resolving = Telling(Phase.FETCHING, lambda tell: self.repositories.resolve(address))
            async for line in resolving:
                yield line
            repo = resolving.result
            yield Resolved(repo)
            fetching = Telling(Phase.FETCHING, lambda tell: self.repositories.fetch(repo, tell))
            async for line in fetching:
                yield line
            yield Fetched(repo.commit)

        environment: Environment | None = None
        async for told in self.builds.built(fetching.result, again=wish.again):
            yield told
            if isinstance(told, Built):
                environment = await self.environments.find(told.environment)
        if environment is None:
            raise Fail(BUG("the environment was gone as soon as it stood"))
        if wish.build_only:
            yield Prepared(environment.key)
            return

        async with aclosing(self._started(number, fetching.result, environment)) as events:
            async for event in events:
                yield event

    async def _started(
        self, number: int, checkout: Checkout, environment: Environment
    ) -> AsyncGenerator[LaunchEvent, None]:
        """A session that is ready, or wait for room and start one; its place is kept until that answers."""
        session = self.pool.claimed(number, checkout, environment)
        if session:
            yield SessionStarted(session.name)
        else:
            place = Place(checkout.repo.address.url)
            async for queued in self.queue.admitted(place):
                yield queued
            try:
                session, spec = self._factory.session(number, checkout, environment)
                async with aclosing(self.sessions.started(session, spec, environment.start)) as events:
                    async for event in events:
                        yield event
            finally:
                self.queue.leave(place)
        self.pool.served(checkout, environment)
        yield Logged(Phase.LAUNCHING, f"Server running at {session.path}")
        yield Ready(session.name, session.path)

    async def prepare(self, repo: ResolvedRepo, *, again: bool = False) -> None:
        """Build a repository's environment for nobody in particular: what a restart interrupted."""
        try:
            checkout = await self.repositories.fetch(repo, lambda _: None)
            async for _ in self.builds.built(checkout, again=again):
                continue
        except Fail as error:
            log.warning("build not taken up again", repo=repo.address.path, code=error.failure.kind.code)

    def _delay(self, failure: Failure, tries: int) -> float | None:
        """Seconds until the next try, or None when there is none."""
        if failure.kind.retry is not Retry.BACKOFF or tries >= self._settings().launching.retries:
            return None
        return DELAYS[min(tries, len(DELAYS) - 1)]
