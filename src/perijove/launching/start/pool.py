"""Sessions held ready: whole ones, for what is asked for often and for open classes, which only have to be handed out;
and blank ones, for environments that several repositories have, which get their files as they are handed out.

In: each launch that was served, what was prepared. Out: sessions that answer already. They are nobody's, so no list,
quota or journal knows them; they are ended as soon as a launch has no room, and not adopted after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from perijove.domain import failures
from perijove.domain.classes import Class, owner
from perijove.domain.failures import BUG, Fail
from perijove.domain.nouns import (
    Checkout,
    EndReason,
    Environment,
    EnvironmentKey,
    RepoAddress,
    ResolvedRepo,
    SandboxSpec,
    Session,
    SessionName,
    session_path,
)
from perijove.domain.ports import Clock, Environments
from perijove.domain.repository_names import canonical
from perijove.domain.settings import Settings
from perijove.launching.start.demand import REMEMBERED, affordable, ahead, ready_wanted, shares
from perijove.launching.start.factory import SessionFactory, canonical_address, canonical_repo
from perijove.launching.start.queue import Queue
from perijove.launching.start.sandbox import ahead_of_visitors, blank, may_be_blank, read_at_start
from perijove.launching.start.sessions import SessionKeeper
from perijove.log import log

TOLD_WITHIN = 5.0
"""Seconds that a blank session's server may take to hear what it is for: some milliseconds."""
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
    repository: str
    """Its canonical name; `` for any."""


@dataclass(slots=True)
class Asked:
    """A commit in an environment, as it was spelled last, and when it was launched."""

    checkout: Checkout
    environment: Environment
    blank: bool = False
    """Whether a session that began without it would be the same."""
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KNOWN))


AskedKey = tuple[ResolvedRepo, EnvironmentKey]
Key = AskedKey | SandboxSpec
"""What sessions are held ready for: a commit in an environment, or a template that is blank."""


async def _may_be_blank(checkout: Checkout, environment: Environment) -> bool:
    """Whether a session of it can begin without its files, and would be no other one."""
    if not may_be_blank(environment):
        return False
    try:
        return not read_at_start(await asyncio.to_thread(os.listdir, checkout.path))
    except OSError:  # an operator's folder that has just gone
        return False


def _tell(what: str, error: Exception, **facts: str) -> None:
    failure = failures.of(error)
    if failure.kind is BUG:
        log.exception(what, **facts)
    else:
        log.warning(what, code=failure.kind.code, message=failure.message, **facts)


@dataclass(eq=False)
class Pool:
    """Holds sessions ready and hands them out."""

    _factory: SessionFactory
    _sessions: SessionKeeper
    _queue: Queue
    _environments: Environments
    _clock: Clock
    _settings: Callable[[], Settings]
    _asked: dict[AskedKey, Asked] = field(default_factory=dict, init=False)
    _prepared: dict[RepoAddress, Asked] = field(default_factory=dict, init=False)
    """For classes: by their links, spelled canonically."""
    _held: list[Held] = field(default_factory=list, init=False)
    _bell: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self._queue.make_room = self.give_way

    @property
    def held(self) -> Sequence[SessionName]:
        """Those that wait to be handed out."""
        return [held.name for held in self._held]

    @property
    def environments(self) -> Collection[EnvironmentKey]:
        """What was prepared for classes."""
        return {asked.environment.key for asked in self._prepared.values()}

    async def claimed(self, number: int, checkout: Checkout, environment: Environment) -> Session | None:
        """A session for launch `number`, or None where none is ready, or a quota is reached.

        What a person alone may read is never held ready.
        """
        repository = canonical(checkout.repo.address.url)
        if checkout.repo.person or not self._held or self._queue.quota_reached(repository):
            return None
        template = self._factory.template(checkout, environment)
        for held in [held for held in self._held if held.template == template]:
            session = self._sessions.claimed(held.name, number, checkout.repo)
            self._held.remove(held)
            if session:
                return session
        if not self._blank_of(template) or not await _may_be_blank(checkout, environment):
            return None
        chosen = self._blank_of(template)
        if chosen is None or self._queue.quota_reached(repository):  # others came meanwhile
            return None
        self._held.remove(chosen)
        with self._queue.handing_out(repository):
            return await self._filled(chosen.name, number, checkout)

    def _blank_of(self, template: SandboxSpec) -> Held | None:
        kind = blank(template)
        return next((held for held in self._held if held.template == kind), None)

    async def _filled(self, name: SessionName, number: int, checkout: Checkout) -> Session | None:
        """A blank session as this checkout's; None where it does not come to that, and nothing is left of it then."""
        session, sandboxes = None, self._sessions.sandboxes
        try:
            await sandboxes.fill(name, checkout.path)
            token, variables = self._factory.keys.session_token(name), self._factory.variables(checkout)
            base_url = session_path(self._settings().service.base, name)
            await sandboxes.set_variables(name, base_url, token, variables, TOLD_WITHIN)
            session = self._sessions.claimed(name, number, checkout.repo)
        except (Fail, TimeoutError, ConnectionError) as error:
            log.warning("a session held ready is not handed out", session=name, message=str(error) or repr(error))
        finally:
            if session is None:
                await self._sessions.abandon(name)
        return session

    def held_for(self, one: Class) -> int:
        """How many wait for people of a class."""
        return sum(held.repository in one.repositories for held in self._held)

    def prepared(self, checkout: Checkout, environment: Environment) -> None:
        """This environment stands: a class that has such a link may have its sessions held ready."""
        if checkout.repo.person:
            return
        address = canonical_repo(checkout.repo).address
        one = self._queue.timetable.of(address.url)
        if one and address in map(canonical_address, one.addresses):
            self._prepared[address] = Asked(checkout, environment)
            self._bell.set()

    async def served(self, checkout: Checkout, environment: Environment) -> None:
        """One was launched: the next may come."""
        if checkout.repo.person:
            return
        may_be_blank = await _may_be_blank(checkout, environment)
        self.prepared(checkout, environment)
        key = (canonical_repo(checkout.repo), environment.key)
        asked = self._asked.pop(key, None) or Asked(checkout, environment)
        asked.checkout, asked.blank = checkout, may_be_blank
        asked.times.append(self._clock.now())
        self._asked[key] = asked
        while len(self._asked) > KNOWN:
            del self._asked[next(iter(self._asked))]
        self._bell.set()

    async def give_way(self, repository: str) -> bool:
        """End one, for a launch of this repository that has no room: the one of whose kind there are most.

        Those that an open class has go for its own launches alone. False where none is held.
        """
        closed = [one for one in self._queue.timetable.seated() if repository not in one.repositories]
        chosen = [held for held in self._held if owner(held.repository, closed) is None]
        if not chosen:
            return False
        kinds = [held.template for held in chosen]
        held = max(chosen, key=lambda held: kinds.count(held.template))
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
                    self._forget(held.template, asked)
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
        if settings.home.path:  # each starts with its person's
            most = 0
        wanted = await self._wanted_for_classes(most)
        most = max(0, min(settings.launching.ready, most - sum(count for _, count in wanted.values())))
        launches: dict[Key, deque[float]] = {key: asked.times for key, asked in self._asked.items()}
        alike = self._alike()
        for kind, count in ready_wanted(launches, now, most, alike).items():
            key = alike[kind][-1] if isinstance(kind, SandboxSpec) else kind
            if key not in self._asked:  # it went with its environment, or others were asked for meanwhile
                continue
            asked = self._asked[key]
            environment = await self._environments.find(asked.environment.key)
            if environment is None:
                gone = asked.environment.key
                self._asked = {other: one for other, one in self._asked.items() if one.environment.key != gone}
                continue
            asked.environment = environment
            template = self._factory.template(asked.checkout, environment)
            template = blank(template) if isinstance(kind, SandboxSpec) else template
            wanted[template] = (asked, count + wanted.get(template, (asked, 0))[1])
        return wanted

    def _alike(self) -> dict[Key, list[AskedKey]]:
        """Blank sessions' templates, and for what of all that was asked for each of them would do."""
        alike = dict[Key, list[AskedKey]]()
        for key, asked in self._asked.items():
            if asked.blank and self._sessions.sandboxes.fills:
                alike.setdefault(blank(self._factory.template(asked.checkout, asked.environment)), []).append(key)
        return alike

    async def _wanted_for_classes(self, most: int) -> dict[SandboxSpec, tuple[Asked, int]]:
        """What open classes have, at most `most` for all."""
        wanted, timetable = dict[SandboxSpec, tuple[Asked, int]](), self._queue.timetable
        known = {canonical_address(address) for one in timetable.classes() for address in one.addresses}
        self._prepared = {link: asked for link, asked in self._prepared.items() if link in known}
        for one in timetable.classes():
            links = [link for link in map(canonical_address, one.addresses) if link in self._prepared]
            count = min(one.settings.ready, most, one.seats - self._queue.taken(one) if one.seats else most)
            if not links or count <= 0 or not timetable.hours(one).open:
                continue
            most -= count
            for link, part in shares(count, links).items():
                asked = self._prepared[link]
                if await self._environments.find(asked.environment.key) is None:
                    del self._prepared[link]
                elif part:
                    wanted[self._factory.template(asked.checkout, asked.environment)] = (asked, part)
        return wanted

    async def for_classes(self) -> Sequence[SandboxSpec]:
        """What a session would be of each link of classes that are open, as far as its environment stands."""
        found, timetable = list[SandboxSpec](), self._queue.timetable
        for one in [one for one in timetable.classes() if timetable.hours(one).open]:
            for asked in filter(None, map(self._prepared.get, map(canonical_address, one.addresses))):
                environment = await self._environments.find(asked.environment.key)
                if environment is not None:
                    found.append(self._factory.session(0, asked.checkout, environment)[1])
        return found

    async def _started(self, template: SandboxSpec, asked: Asked) -> bool:
        if is_blank := template.home_from is None:
            session, spec = self._factory.blank(asked.checkout, asked.environment)
        else:
            session, spec = self._factory.session(0, asked.checkout, asked.environment)
        try:
            settings, room = self._settings(), await self._sessions.sandboxes.room()
            spec = ahead_of_visitors(spec) if ahead(room, settings.launching, settings.session) else spec
            await self._sessions.hold(session, spec, asked.environment.start)
        except Exception as error:  # noqa: BLE001 - told, and not tried again before a launch
            self._forget(template, asked)
            _tell("a session could not be held ready", error, repo=session.repo.address.path)
            return False
        repository = "" if is_blank else canonical(asked.checkout.repo.address.url)
        self._held.append(Held(session.name, template, self._clock.now(), repository))
        return True

    def _forget(self, template: SandboxSpec, asked: Asked) -> None:
        """What does not start, or does not last, is tried again by a launch alone: that has somebody to tell why."""
        if template.home_from is None:
            for key in self._alike().get(template, ()):
                self._asked[key].blank = False
            return
        repo = canonical_repo(asked.checkout.repo)
        self._asked.pop((repo, asked.environment.key), None)
        self._prepared.pop(repo.address, None)

    async def _end(self, held: Held) -> None:
        self._held.remove(held)
        await self._sessions.stop(held.name, EndReason.STOPPED)
