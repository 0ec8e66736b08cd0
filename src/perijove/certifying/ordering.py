"""One order at one CA, from placed to a secret on disk. In: the wish, perhaps an order in hand. Out: events. Acts.

What to do next is decided by `order`; here it is done, told, and waited for. An order is told before anything else is
asked, so that a restart goes on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TypeVar

from perijove.certifying import persistent
from perijove.certifying.challenge import Solvers, choose, possible, standing
from perijove.certifying.order import (
    Answer,
    Done,
    Download,
    Finalize,
    GiveUp,
    Known,
    LookAgain,
    LookAtAuthorizations,
    Present,
    Step,
    next_step,
    slowness,
    state_in_words,
    worth_telling,
)
from perijove.certifying.progress import Placed
from perijove.certifying.reload_lock import ReloadLock
from perijove.domain import certificate_events as e
from perijove.domain import certificate_failures as rows
from perijove.domain.certificate_events import CertificateEvent
from perijove.domain.certificate_ports import Authority, Secrets
from perijove.domain.certificates import (
    AuthorizationView,
    CertificateSpec,
    ChallengeAnswer,
    ChallengeType,
    HostName,
    Issuer,
    OrderName,
    OrderStatus,
    OrderView,
)
from perijove.domain.failures import INTERRUPTED, Fail, Failure
from perijove.domain.ports import Clock
from perijove.durable import Runs

PASSING = frozenset({rows.ACME_UNREACHABLE.code, rows.ACME_UNAVAILABLE.code, rows.ACME_RATE_LIMITED.code})
"""Failures of a look at an order in hand that are worth another look."""
MAY_BE_OURS = frozenset({rows.VALIDATION_FAILED.code, rows.ORDER_INVALID.code, rows.CA_SLOW.code})
"""Ends of an order in hand that a stop of the service can bring about."""
_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")
AT_ONCE = 10
"""Names of one order that the CA is asked about in the same moment."""
MISSED, MISSED_LOOK = 60.0, 5.0
"""Seconds for which looks may fail before the order is let go, and between them where the CA names no time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a CA."""

    attempt: OrderName
    spec: CertificateSpec
    names: tuple[HostName, ...]
    """For which of the wish's names."""
    issuer: Issuer
    directory: str
    rehearsal: bool = False
    replaces: str = ""
    """Identifier of the certificate that is replaced (RFC 9773, 5); `` for none."""
    seen_open: Mapping[HostName, tuple[ChallengeType, ...]] = field(default_factory=dict)
    """By the last look at each name; without those that nobody looked at."""
    placed: Placed | None = None
    """An order in hand, to go on with."""


@dataclass(eq=False)
class Ordering:
    """Brings one order to its end."""

    _authority: Authority
    _secrets: Secrets
    _solvers: Solvers
    _clock: Clock
    _reload_lock: ReloadLock
    _disk: Runs
    _ask: Ask
    _turn: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    """Holds reloads back while the CA looks."""
    _request: bytes | None = field(default=None, init=False)
    _told: int = field(default=0, init=False)
    """How often the state that lasts was told."""
    _missed_since: float | None = field(default=None, init=False)
    _not_shown: Fail | None = field(default=None, init=False)
    """Why an answer could not be put up."""

    async def run(self) -> AsyncGenerator[CertificateEvent, None]:
        """Events to `Issued`, or for a rehearsal to an `OrderSeen` that has shown enough.

        Raises Fail: `cert.*` for an order that brings no certificate, `platform.disk-full`.
        """
        ask, now, several = self._ask, self._clock.now(), bool(self._ask.spec.also)
        if ask.placed is None:
            order = await self._authority.new_order(ask.names, ask.issuer.profile, ask.replaces)
            names = ask.names if several else ()
            yield e.OrderPlaced(ask.issuer.name, ask.directory, order.url, ask.rehearsal, order.expires, names)
        else:
            order = await self._authority.order(ask.placed.order.url)
        status = (ask.placed and ask.placed.status) or OrderStatus.PENDING
        answered = ask.placed.answered if ask.placed else frozenset[str]()
        known = Known(ask.spec.host, order, now, self._clock.now(), answered=answered)
        self._known = replace(known, rehearsal=ask.rehearsal, several=several)
        if order.status is not status:
            yield e.OrderSeen(order.status, order.problem)
        async with AsyncExitStack() as answers, self._turn:
            while True:
                step = next_step(self._known, self._clock.now())
                if not isinstance(step, (Answer, LookAgain)):
                    await self._turn.aclose()
                if isinstance(step, Done):
                    return
                if isinstance(step, GiveUp):
                    told = self._given_up(step.failure)
                    for host, failure in step.refused if told is step.failure else ():
                        yield e.NameRefused(host, failure)
                    raise Fail(told)
                for event in await self._taken(step, answers):
                    yield event
                    if isinstance(event, e.Issued):
                        return
                if self._not_shown is not None:
                    raise self._not_shown

    def _given_up(self, failure: Failure) -> Failure:
        """Why the order brings nothing; not held against the host where nobody was here to answer."""
        placed = self._ask.placed
        if placed is None or not self._known.answered <= placed.answered or failure.kind.code not in MAY_BE_OURS:
            return failure
        cause = f"the CA may have looked while Perijove did not run: {failure.cause}"
        return INTERRUPTED(cause, *failure.evidence, remedy="A new order is placed by itself.")

    async def _taken(self, step: Step, answers: AsyncExitStack) -> list[CertificateEvent]:
        """Do one step; what is to be told of it."""
        match step:
            case LookAtAuthorizations(urls):
                return await self._looked(urls)
            case Present(views):
                return await _each(lambda view: self._presented(view, answers), views)
            case Answer(challenges):
                await self._turn.enter_async_context(self._reload_lock.look())
                # The key's way to the disk takes as long as the CA's answer, and needs nothing of it.
                await asyncio.gather(_each(self._authority.answer, challenges), self._requested())
                answered = self._known.answered.union(challenges)
                self._known = replace(self._known, answered=answered, since=self._clock.now(), looks=0)
                return [e.ChallengeAnswered(challenge) for challenge in challenges]
            case Finalize():
                return self._seen(await self._authority.finalize(self._known.order, await self._requested()))
            case Download(url):
                return [await self._downloaded(url)]
            case LookAgain(at, urls):
                if waiting := self._waiting(at):
                    return [waiting]
                await self._clock.sleep(max(0.0, at - self._clock.now()))
                return await self._looked(urls)
        return []

    async def _requested(self) -> bytes:
        """The request for the certificate; its key is on the disk then."""
        if self._request is None:
            attempt, host, names = self._ask.attempt, self._ask.spec.host, self._ask.names
            self._request = await self._disk(lambda: self._secrets.request(attempt, host, names))
        return self._request

    async def _looked(self, urls: tuple[str, ...]) -> list[CertificateEvent]:
        """Ask for these authorizations, or for the order where there are none or all are valid now."""
        try:
            views = await _each(self._authority.authorization, urls)
            shown = [view.status == "valid" for view in views]
            order = None if views and not all(shown) else await self._authority.order(self._known.order.url)
            self._missed_since = None
        except Fail as error:
            return [await self._missed(error)]
        return self._seen(order, *views)

    async def _missed(self, error: Fail) -> CertificateEvent:
        """A CA that cannot be asked for a moment still has the order. Raises the Fail where that lasts."""
        now = self._clock.now()
        since = self._missed_since = self._missed_since if self._missed_since is not None else now
        pause = error.failure.after or MISSED_LOOK
        if error.failure.kind.code not in PASSING or now + pause - since > MISSED:
            raise error
        self._known = replace(self._known, seen_at=now + pause)
        return e.Waiting("the CA cannot be asked about the order for a moment", error.failure, now + pause)

    def _seen(self, order: OrderView | None, *views: AuthorizationView) -> list[CertificateEvent]:
        """Take in what the CA says; what of it is new."""
        before, self._known = self._known, self._known.seen(self._clock.now(), order, *views)
        if self._known.since != before.since:
            self._told = 0
        told: list[CertificateEvent] = []
        for view in views:
            earlier = before.authorizations.get(view.url)
            known = {one.url: one.status for one in earlier.challenges} if earlier else {}
            told += [
                e.ChallengeSeen(challenge.url, challenge.status, challenge.problem)
                for challenge in view.challenges
                if challenge.status != known.get(challenge.url, "pending")
            ]
        if self._known.order.status is not before.order.status:
            told.append(e.OrderSeen(self._known.order.status, self._known.order.problem))
        return told

    def _waiting(self, until: float) -> e.Waiting | None:
        """What to tell of a state that lasts, now and then."""
        now = self._clock.now()
        times = worth_telling(now - self._known.since)
        if times <= self._told:
            return None
        self._told = times
        return e.Waiting(state_in_words(self._known, now), slowness(self._known, now), max(until, now))

    async def _presented(self, view: AuthorizationView, answers: AsyncExitStack) -> CertificateEvent:
        """One name's answer is put up; where it cannot be, that is told by name before the order fails."""
        spec = self._ask.spec
        host = view.name if spec.also else spec.host
        try:
            return await self._put_up(view, host, answers)
        except Fail as fail:
            if not spec.also or not fail.failure.kind.code.startswith("cert."):
                raise
            self._not_shown = Fail(replace(fail.failure, cause=f"{host}: {fail.failure.cause}"))
            return e.NameRefused(host, fail.failure)

    async def _put_up(self, view: AuthorizationView, host: HostName, answers: AsyncExitStack) -> CertificateEvent:
        spec, before = self._ask.spec, self._ask.placed.presented if self._ask.placed else frozenset()
        kinds = possible(host, spec.challenges, self._solvers)
        usable = [one for one in view.challenges if one.type in kinds]
        challenge = next((one for one in usable if one.url in before), None)
        challenge = challenge or choose(view, kinds, self._ask.seen_open.get(host))
        kind = ChallengeType(challenge.type)
        account = await self._authority.account()
        authorization = f"{challenge.token}.{account.thumbprint}"
        record = None
        if kind is ChallengeType.DNS_PERSIST:
            record = persistent.of_challenge(host, spec.names, await self._authority.directory(), account, challenge)
        answer = ChallengeAnswer(host, kind, challenge.token, authorization, self._ask.directory, record)
        await answers.enter_async_context(standing(self._solvers[kind], answer))
        self._known = replace(self._known, presented={**self._known.presented, view.url: challenge.url})
        return e.ChallengePresented(kind, challenge.url, challenge.token, host if spec.also else "")

    async def _downloaded(self, url: str) -> CertificateEvent:
        ask = self._ask
        chain = await self._authority.certificate(url)
        secret = await self._disk(
            lambda: self._secrets.stage(ask.attempt, ask.spec.host, chain, ask.issuer, ask.directory, ask.names)
        )
        return e.Issued(secret.revision, ask.issuer.name, secret.serial, secret.not_before, secret.not_after)


async def _each(ask: Callable[[_Asked], Awaitable[_Told]], of: Sequence[_Asked]) -> list[_Told]:
    """Ask for each, some at once; the first that fails is raised once all of those are through."""
    told: list[_Told] = []
    for first in range(0, len(of), AT_ONCE):
        answers = await asyncio.gather(*map(ask, of[first : first + AT_ONCE]), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            told.append(answer)
    return told
