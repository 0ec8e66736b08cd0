"""The launch way, whole: resolve → build → start. In: a RepoAddress. Out: LaunchEvents.

The last of them is Ready or Failed, or Prepared, where nothing but the environment was wished for.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from perijove.domain import failures
from perijove.domain.events import Built, Fetched, LaunchEvent, Logged, Phase, Prepared, Ready, Resolved, Retrying
from perijove.domain.events import Failed as LaunchFailed
from perijove.domain.failures import BUG, Fail, Failure, Retry
from perijove.domain.keys import Keys
from perijove.domain.listening import MARK, session_labels
from perijove.domain.nouns import Checkout, Environment, RepoAddress, ResolvedRepo, Session, SessionName, Wish
from perijove.domain.ports import Clock, Environments, Explain, Repositories
from perijove.domain.reach import household
from perijove.domain.settings import Settings
from perijove.launching.build.builder import Builds
from perijove.launching.shares import Shares
from perijove.launching.start.admission import refusal
from perijove.launching.start.queue import Place, Queue
from perijove.launching.start.sandbox import sandbox, session_label, session_name
from perijove.launching.start.sessions import SessionKeeper
from perijove.launching.telling import Telling
from perijove.log import log

NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
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
        keys: Keys,
        clock: Clock,
        settings: Callable[[], Settings],
        explain: Explain = as_it_is,
        certified: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.repositories = repositories
        self.environments = environments
        self.builds = builds
        self.queue = queue
        self.sessions = sessions
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._explain = explain
        self._certified = certified
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
        """Wait for room, then run the session until it answers; its place is kept until then."""
        address = checkout.repo.address
        place = Place(address.url)
        async for queued in self.queue.admitted(place):
            yield queued
        try:
            name = self._name(number, address)
            session = Session(name, number, checkout.repo, environment.key, self._clock.now())
            spec = sandbox(name, self._keys.session_token(name), checkout, environment, self._settings())
            async with aclosing(self.sessions.started(session, spec, environment.start)) as events:
                async for event in events:
                    yield event
        finally:
            self.queue.leave(place)
        yield Logged(Phase.LAUNCHING, f"Server running at {session.path}")
        yield Ready(name, session.path)

    def _name(self, number: int, address: RepoAddress) -> SessionName:
        """A new one. Where hosts of sessions are a list, its end says which is this session's."""
        suffix = "".join(secrets.choice(NAME_ALPHABET) for _ in range(8))
        if labels := session_labels(self._settings().service, self._certified()):
            suffix += MARK + session_label(labels, self.sessions.names, number)
        return session_name(address.name, suffix)

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
