"""The launch way, whole: resolve → build → start. In: a RepoAddress. Out: LaunchEvents.

The last of them is Ready or Failed, or Prepared, where nothing but the environment was wished for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from perijove.domain import failures
from perijove.domain.bounded_log import clean
from perijove.domain.confinement import Beyond
from perijove.domain.events import (
    Built,
    Fetched,
    LaunchEvent,
    Logged,
    Noted,
    Phase,
    Prepared,
    Queued,
    Ready,
    Resolved,
    Retrying,
    SessionStarted,
)
from perijove.domain.events import Failed as LaunchFailed
from perijove.domain.failures import BUG, Fail, Failure, Retry
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import PERSON_HOME, Checkout, Environment, RepoAddress, ResolvedRepo
from perijove.domain.people import Homes, Visitor
from perijove.domain.ports import Clock, Confined, Environments, Explain, Repositories
from perijove.domain.reach import household
from perijove.domain.repository_names import canonical
from perijove.domain.settings import Settings
from perijove.launching.build.builder import Builds
from perijove.launching.fair_share import Shares
from perijove.launching.notebook import Preview, preview
from perijove.launching.resolve.named_file import missing
from perijove.launching.resolve.urlpath import opened_file, view_and_file
from perijove.launching.start.admission import refusal
from perijove.launching.start.factory import SessionFactory
from perijove.launching.start.keeping import Keeping
from perijove.launching.start.pool import Pool
from perijove.launching.start.queue import Place, Queue
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.telling import Telling
from perijove.log import log

FETCHES = 8
"""Of one visitor at once, a quarter of what may run: hosts that never answer hold up nobody else's."""
PREVIEWS = 2
"""Rendered at once, of eight calls that read: launches need them more."""
DELAYS = (2.0, 5.0, 10.0, 20.0)
"""Seconds before the first, second, … try again."""


async def as_it_is(failure: Failure) -> Failure:
    """Nobody knows more than the failure says."""
    return failure


@dataclass(eq=False)
class LaunchWay:
    """Launches repositories; all it needs of the world comes in through ports."""

    repositories: Repositories
    environments: Environments
    _confined: Confined
    builds: Builds
    queue: Queue
    sessions: SessionKeeper
    _factory: SessionFactory
    _clock: Clock
    _settings: Callable[[], Settings]
    _keeping: Keeping
    _explain: Explain = as_it_is
    homes: Homes | None = None
    pool: Pool = field(init=False)
    _fetches: Shares = field(default_factory=lambda: Shares(FETCHES), init=False)
    _previews: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PREVIEWS), init=False)

    def __post_init__(self) -> None:
        self.pool = Pool(self._factory, self.sessions, self.queue, self.environments, self._clock, self._settings)

    async def launch(
        self, number: int, address: RepoAddress, visitor: Visitor, options: LaunchOptions
    ) -> AsyncGenerator[LaunchEvent, None]:
        """Tell launch `number` as it happens; the last event is Ready, Prepared or Failed, never two of them.

        This is the one loop that tries again, and only what the catalogue says can be helped by it.
        """
        for tries in range(self._settings().launching.retries + 1):
            try:
                async with aclosing(self._attempt(number, address, visitor, options)) as events:
                    async for event in events:
                        if isinstance(event, Built):  # it is made anew once, however often the session is tried
                            options = replace(options, again=False)
                        yield event
                return
            except Exception as error:
                failure = failures.of(error)
                if failure.kind is BUG:
                    log.exception("a launch met a bug", launch=number)
            delay, told = self._delay(failure, tries), await self._explain(failure)
            if delay is None:
                yield LaunchFailed(told)
                return
            yield Retrying(told, delay)
            await self._clock.sleep(delay)

    async def _attempt(
        self, number: int, address: RepoAddress, visitor: Visitor, options: LaunchOptions
    ) -> AsyncGenerator[LaunchEvent, None]:
        if refused := refusal(address, self._settings().launching):
            raise Fail(refused)

        if self._fetches.full(whose := household(visitor.client)):
            yield Logged(Phase.FETCHING, f"Waiting for others of your {FETCHES} launches that are being fetched")
        async with self._fetches.turn(whose):
            resolving = Telling(Phase.FETCHING, lambda tell: self.repositories.resolve(address, visitor.person))
            async for line in resolving:
                yield line
            repo = resolving.result
            yield Resolved(repo)
            fetching = Telling(Phase.FETCHING, lambda tell: self.repositories.fetch(repo, tell))
            async for line in fetching:
                yield line
            yield Fetched(repo.commit)

        if missed := await self._missed(fetching.result, options, visitor):
            yield missed
        environment: Environment | None = None
        async for told in self.builds.built(fetching.result, again=options.again):
            yield told
            if isinstance(told, Built):
                environment = await self.environments.find(told.environment)
        if environment is None:
            raise Fail(BUG("the environment was gone as soon as it stood"))
        if options.build_only:
            self.pool.prepared(fetching.result, environment)
            yield Prepared(environment.key)
            return

        async with aclosing(self._started(number, fetching.result, environment, options, visitor)) as events:
            async for event in events:
                yield event

    async def _missed(self, checkout: Checkout, options: LaunchOptions, visitor: Visitor) -> Noted | None:
        """That the commit has no such file as the link opens, and what is opened in its place."""
        view, named = view_and_file(options.urlpath)
        at_home = visitor.person and self._settings().home.path and named.startswith(f"{PERSON_HOME}/")
        if not named or at_home:
            return None
        try:
            found = await self._confined.call(missing, checkout.path, named, lasting=True)
        except Beyond as beyond:
            log.warning("not looked for what a link names", repo=checkout.repo.address.path, why=str(beyond))
            return None
        if found is None or await self._keeping.gives_back(checkout.repo, visitor.key, fresh=options.fresh):
            return None  # what they changed themselves may be meant
        return Noted(clean(found.sentence), opened_file(view, found.only))

    async def _started(
        self, number: int, checkout: Checkout, environment: Environment, options: LaunchOptions, visitor: Visitor
    ) -> AsyncGenerator[LaunchEvent, None]:
        """A session that is ready, or wait for room and start one; its place is kept until that answers."""
        home = await self.homes.ready(visitor.person) if self.homes and visitor.person else None
        if home:
            yield Logged(Phase.LAUNCHING, home.told)
        at = options.served_at
        session = await self.pool.claimed(number, checkout, environment) if home is None and not at else None
        if session:
            yield SessionStarted(session.name)
        else:
            place = Place(canonical(checkout.repo.address.url))
            async for queued in self.queue.admitted(place):
                yield queued
            try:
                person_home = home.path if home else None
                session, spec = self._factory.session(number, checkout, environment, person_home, at)
                async with aclosing(self.sessions.started(session, spec, environment.start)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Queued):  # by the cluster, whose room nobody saw
                            await self.queue.make_room(place.repository)
            finally:
                self.queue.leave(place)
        async for told in self._keeping.entrusted(session, visitor.key, fresh=options.fresh):
            yield told
        if not at:
            await self.pool.served(checkout, environment)
        yield Logged(Phase.LAUNCHING, f"Server running at {session.path}")
        yield Ready(session.name, session.path)

    async def preview(self, repo: ResolvedRepo, path: str) -> Preview:
        """A notebook of a commit whose files are here, as it was saved. Raises Fail: `resolve.*`, `platform.*`."""
        checkout = await self.repositories.fetch(repo, lambda _: None)
        async with self._previews:
            try:
                return await self._confined.call(preview, checkout.path, path, lasting=True)
            except Beyond as beyond:
                return Preview("", f"{path} needs {beyond}")

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
