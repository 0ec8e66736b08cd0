"""The certificate way, whole: look → issuer → order → challenge → secret → served.

In: an attempt, perhaps one that a crash cut off. Out: CertificateEvents; the last is Certified or Failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from perijove.certifying import files
from perijove.certifying.challenge import Solvers
from perijove.certifying.formatting import listed
from perijove.certifying.issuer import FALLS_OVER, asks_for_proof, because, remaining
from perijove.certifying.looking import Looking
from perijove.certifying.ordering import Ask, Ordering
from perijove.certifying.progress import Progress, after
from perijove.certifying.schedule import PERIOD, SETTLING, Settling, budget_spent
from perijove.certifying.selection import NOTHING, Served, askable, worth
from perijove.certifying.serving import Serving
from perijove.certifying.verdict import Verdict
from perijove.domain import failures
from perijove.domain.certificate_events import (
    CertificateEvent,
    Certified,
    HookRan,
    Issued,
    IssuerChosen,
    Looked,
    NameRefused,
    Waiting,
)
from perijove.domain.certificate_failures import CAA_FORBIDS, FILE_UNREADABLE, VALIDATION_FAILED
from perijove.domain.certificate_ports import Authorities, Secrets
from perijove.domain.certificates import (
    CertificateSpec,
    ChallengeAnswer,
    ChallengeType,
    Confidence,
    HostName,
    Issuer,
    IssuerKind,
    OrderName,
    Secret,
)
from perijove.domain.events import Entry, Failed
from perijove.domain.failures import BUG, INTERRUPTED, Evidence, Fail, Failure
from perijove.domain.ports import Clock
from perijove.log import log

LOOK_AGAIN = 1.5
"""Seconds between looks while a CA would not see the answer."""
OUTSIDE_AFTER = 3.0
"""Seconds after which the rehearsal at a CA's staging is asked, where a look from here cannot decide."""
IN_FLIGHT = 16
"""Attempts that ask CAs at once."""
Told = CertificateEvent | Failed
Refused = Mapping[HostName, Sequence[Entry]]
"""Failed validations within the last hour, by name."""


@dataclass
class Attempt:
    """One certificate's way."""

    order: OrderName
    spec: CertificateSpec
    past: Progress = field(default_factory=Progress)
    """What is done already."""
    forced: bool = False
    """Whether the CA is asked whatever a look says; may be set while it runs."""
    refused: Callable[[], Refused] = dict
    served: Callable[[], Served] = lambda: NOTHING
    """The certificate that stands."""
    names: tuple[HostName, ...] = ()
    """Those of its names that the CA is asked for."""
    inside: dict[HostName, Failure] = field(default_factory=dict)
    """What a look from here saw of names, which may not be what is seen outside."""


@dataclass(eq=False)
class CertificateWay:
    """Gets certificates; all it needs of the world comes in through ports."""

    authorities: Authorities
    secrets: Secrets
    _solvers: Solvers
    looking: Looking
    serving: Serving
    _clock: Clock
    _hooks: Callable[[], Sequence[str]]
    _run_hook: Callable[[str, Secret], Awaitable[None]]
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT), init=False)
    _not_before: dict[tuple[str, str], tuple[float, Failure]] = field(default_factory=dict, init=False)
    """Host and directory → until when that CA does not want to be asked, and its words."""

    async def certify(self, attempt: Attempt) -> AsyncGenerator[Told, None]:
        """Tell an attempt as it happens, from where it stands; the last event is Certified or Failed, never both."""
        try:
            async with aclosing(self._attempt(attempt)) as events:
                async for event in events:
                    attempt.past = after(attempt.past, event)
                    yield event
        except Exception as error:
            failure = failures.of(error)
            if failure.kind is BUG:
                log.exception("an attempt to get a certificate met a bug", order=attempt.order)
            yield Failed(failure)
            # Only now: where it cannot be written down, the attempt goes on later, and needs its key.
            if attempt.past.issued is None:
                self.secrets.drop(attempt.order, attempt.spec.host)

    async def _attempt(self, attempt: Attempt) -> AsyncGenerator[CertificateEvent, None]:
        async with self._cleared(attempt):
            if attempt.past.issued is None:
                self._recall(attempt)
                if self._undecided(attempt):
                    async with aclosing(self._looked(attempt)) as looks:
                        async for event in looks:
                            yield event
                async with self._slots, aclosing(self._asked(attempt)) as events:
                    async for event in events:
                        yield event

        secret = self._issued(attempt)
        if not (attempt.past.served and self.serving.stands(secret)):
            yield await self.serving.show(attempt.spec, secret)
            await self.serving.keep(secret)
        self.secrets.drop(attempt.order, secret.host)

        for command in self._hooks():
            if command not in attempt.past.hooks:
                yield await self._hooked(command, secret)
        yield Certified(secret.revision)

    @asynccontextmanager
    async def _cleared(self, attempt: Attempt) -> AsyncIterator[None]:
        """What a run that was cut off put up is taken down at the end; until then a CA may be looking at it."""
        left, issuers = attempt.past.presented, {issuer.name: issuer for issuer in attempt.spec.issuers}
        try:
            yield
        finally:
            for one in left:
                if one.issuer in issuers and one.type in self._solvers:
                    account = await self.authorities(issuers[one.issuer], one.directory).account()
                    words = f"{one.token}.{account.thumbprint}"
                    host = one.host or attempt.spec.host
                    answer = ChallengeAnswer(host, one.type, one.token, words, one.directory)
                    await self._solvers[one.type].withdraw(answer)

    @staticmethod
    def _recall(attempt: Attempt) -> None:
        """What was seen and asked for before the attempt was cut off; not an order for names that are not wanted."""
        spec, past = attempt.spec, attempt.past
        attempt.names = spec.names
        if past.placed is not None:
            attempt.names = past.placed.order.names or (spec.host,)
            if not set(attempt.names) <= set(spec.names):
                attempt.past, attempt.names = replace(past, placed=None), spec.names
        seen = {looked.host or spec.host: looked.failure for looked in past.looked.values()}
        attempt.inside = {host: failure for host, failure in seen.items() if failure is not None}

    def _undecided(self, attempt: Attempt) -> bool:
        """Whether a look can still spare the CA: it is to be asked, and has no order of ours in hand."""
        asked = remaining(attempt.spec, attempt.past.issuer)
        there_is_a_choice = bool(self.looking.useful(attempt.spec) or attempt.spec.also)
        return asks_for_proof(asked) and attempt.past.placed is None and there_is_a_choice

    async def _looked(self, attempt: Attempt) -> AsyncGenerator[CertificateEvent, None]:
        """Look until a CA would see the answers, or until only somebody outside can say whether it would.

        Raises Fail: `cert.budget-spent`.
        """
        spec, began = attempt.spec, self._clock.now()
        last, ill, told_of_left = dict(attempt.past.looked), self.looking.useful(spec), False
        refused = attempt.refused()
        told: dict[HostName, Verdict] = {}
        settling = Settling((*attempt.inside, *refused))
        async with self.looking.at(spec) as look:
            while not attempt.forced:
                at = self._clock.now()
                verdicts = await look(ill)
                waited, seconds = self._clock.now() - began, self._clock.now() - at
                for host, verdict in verdicts.items():
                    key = host if spec.also else ""
                    looked = Looked(
                        verdict.failure, verdict.confidence, tuple(verdict.open), seconds, key, verdict.instead
                    )
                    if key not in last or _essence(looked) != _essence(last[key]):
                        yield looked
                    last[key] = looked
                told.update(verdicts)
                attempt.inside = {host: one.failure for host, one in told.items() if one.failure is not None}
                seen_well = {host: one.failure is None for host, one in verdicts.items()}
                unsettled = settling.looked(seen_well, self._clock.now())
                ill = (*attempt.inside, *unsettled)
                may_be = [host for host in spec.names if host not in told or _may_be_well(told[host], waited)]
                well = [host for host in may_be if host not in unsettled]
                if self._chosen(attempt, refused, well, waited):
                    break
                if not told_of_left and (waiting := _left_out(attempt, refused, well)):
                    told_of_left = True
                    yield waiting
                await self._clock.sleep(SETTLING if unsettled else LOOK_AGAIN)
        if attempt.forced:
            attempt.names = spec.names

    def _chosen(self, attempt: Attempt, refused: Refused, well: Sequence[HostName], waited: float) -> bool:
        """Whether the CA is asked now; for which names stands in the attempt then. Raises Fail: `cert.budget-spent`."""
        times = {host: [entry.at for entry in entries] for host, entries in refused.items()}
        attempt.names = askable(well, times, self._clock.now())
        spent = [budget_spent(times[host], self._clock.now()) for host in well if not attempt.names]
        if soonest := min(filter(None, spent), key=lambda one: one.after, default=None):
            seen = [Evidence("seen from here", failure.message) for failure in attempt.inside.values()]
            raise Fail(replace(soonest, evidence=(*soonest.evidence, *seen)))
        return worth(attempt.names, attempt.spec.names, attempt.served(), waited)

    async def _asked(self, attempt: Attempt) -> AsyncGenerator[CertificateEvent, None]:
        """Ask the issuers one after the other, until one gives a certificate."""
        why, issuers = "", remaining(attempt.spec, attempt.past.issuer)
        for issuer in issuers:
            try:
                async with aclosing(self._by(attempt, issuer, why)) as events:
                    async for event in events:
                        yield event
                return
            except Fail as error:
                if error.failure.after:
                    until = self._clock.now() + error.failure.after
                    self._not_before[attempt.spec.host, issuer.directory] = until, error.failure
                if issuer is issuers[-1] or error.failure.kind.code not in FALLS_OVER:
                    raise
                why = because(issuer, error.failure)

    async def _by(self, attempt: Attempt, issuer: Issuer, why: str) -> AsyncGenerator[CertificateEvent, None]:
        past = attempt.past
        if past.issuer != issuer.name:
            yield IssuerChosen(issuer.name, issuer.directory, why)
        if issuer.kind is IssuerKind.FILES:
            yield self._taken(attempt, issuer)
            return
        until, failure = self._not_before.get((attempt.spec.host, issuer.directory), (0.0, None))
        if failure is not None and self._clock.now() < until:
            raise Fail(replace(failure, after=until - self._clock.now()))
        if issuer.kind is IssuerKind.ACME:
            await self.authorities(issuer, issuer.directory).account()
            if self._rehearses(attempt, issuer):
                async with aclosing(self._rehearsed(attempt, issuer)) as events:
                    async for event in events:
                        yield event
        async with aclosing(self._ordered(attempt, issuer, issuer.directory)) as events:
            async for event in events:
                yield event

    def _rehearses(self, attempt: Attempt, issuer: Issuer) -> bool:
        """Whether its staging is asked first: for a host that is new, or that only others can see."""
        placed = attempt.past.placed
        if not issuer.staging or attempt.forced or attempt.past.rehearsed:
            return False
        if placed is not None:
            return placed.order.rehearsal
        if any(looked.open[:1] == (ChallengeType.DNS_PERSIST,) for looked in attempt.past.looked.values()):
            return False  # the record is for our account at the CA itself
        new = attempt.spec.rehearse and self.serving.current(attempt.spec.host) is None
        return new or not attempt.inside.keys().isdisjoint(attempt.names)

    async def _rehearsed(self, attempt: Attempt, issuer: Issuer) -> AsyncGenerator[CertificateEvent, None]:
        """Have the staging look at the answer; where staging itself is in trouble, the CA is asked all the same."""
        try:
            async with aclosing(self._ordered(attempt, issuer, issuer.staging)) as events:
                async for event in events:
                    yield event
        except Fail as error:
            seen = {failure.kind for failure in attempt.inside.values()}
            if error.failure.kind in {VALIDATION_FAILED, CAA_FORBIDS, INTERRUPTED, *seen}:
                raise
            words = "the rehearsal cannot be had, so the CA itself is asked"
            yield Waiting(words, error.failure, self._clock.now())

    async def _ordered(
        self, attempt: Attempt, issuer: Issuer, directory: str
    ) -> AsyncGenerator[CertificateEvent, None]:
        """One order at one directory, from where it stands."""
        spec, rehearsal = attempt.spec, directory == issuer.staging != ""
        current = self.serving.current(spec.host)
        replaces = current.ari if current and current.directory == directory and not rehearsal else ""
        placed = attempt.past.placed
        if placed is not None and placed.order.directory != directory:
            placed = None
        seen = {looked.host or spec.host: looked.open for looked in attempt.past.looked.values()}
        ask = Ask(attempt.order, spec, attempt.names, issuer, directory, rehearsal, replaces, seen, placed)
        authority, reload_lock, disk = self.authorities(issuer, directory), self.serving.reload_lock, self.serving.disk
        ordering = Ordering(authority, self.secrets, self._solvers, self._clock, reload_lock, disk, ask)
        try:
            async with aclosing(ordering.run()) as events:
                async for event in events:
                    yield event
        except Fail as error:
            refused = attempt.past.placed.refused if attempt.past.placed else ()
            ours = next((attempt.inside[host] for host in refused or attempt.names if host in attempt.inside), None)
            if error.failure.kind is VALIDATION_FAILED and ours is not None:
                # Seen from here and from outside: what we saw says more than what the CA says.
                raise Fail(replace(ours, evidence=(*ours.evidence, *error.failure.evidence))) from error
            raise

    def _taken(self, attempt: Attempt, issuer: Issuer) -> Issued:
        """The operator's own files. Raises Fail: `cert.file-unreadable` and what else is wrong with them."""
        from perijove.certifying import file_forms  # noqa: PLC0415  imported late: few bring files of their own

        found = files.read(issuer.chain_file), files.read(issuer.key_file)
        chain, key = file_forms.pair(found[0], issuer.chain_file, found[1], issuer.key_file)
        secret = self.secrets.take(attempt.spec.host, chain, key, issuer.name, attempt.spec.names)
        return Issued(secret.revision, issuer.name, secret.serial, secret.not_before, secret.not_after)

    def _issued(self, attempt: Attempt) -> Secret:
        """The secret on disk that this attempt brought."""
        host, issued = attempt.spec.host, attempt.past.issued
        revision = issued.revision if issued else ""
        current = self.serving.current(host)
        if current is not None and current.revision == revision:
            return current
        if (staged := self.secrets.staged(host, revision)) is not None:
            return staged
        raise Fail(FILE_UNREADABLE("the new certificate is gone from the disk", Evidence(host, f"revision {revision}")))

    async def _hooked(self, command: str, secret: Secret) -> HookRan:
        """A command that fails is told, and takes nothing back."""
        try:
            await self._run_hook(command, secret)
        except Fail as error:
            return HookRan(command, error.failure)
        return HookRan(command, None)


def _may_be_well(verdict: Verdict, waited: float) -> bool:
    """Whether a CA would see the answer, or somebody outside has to say whether it would."""
    return verdict.failure is None or (verdict.confidence is Confidence.INSIDE and waited >= OUTSIDE_AFTER)


def _left_out(attempt: Attempt, refused: Refused, well: Sequence[HostName]) -> Waiting | None:
    """What is to be told of names that look well, and that a CA refused lately."""
    left = [host for host in well if host not in attempt.names]
    if not left:
        return None
    entry = refused[left[0]][0]
    failure = entry.event.failure if isinstance(entry.event, NameRefused) else None
    return Waiting(f"{listed(left)} is left out for an hour: the CA did not see its answer", failure, entry.at + PERIOD)


def _essence(looked: Looked) -> object:
    """What of a look is worth telling again when it changes."""
    failure = looked.failure
    return failure and (failure.kind.code, failure.cause, failure.remedy), looked.confidence, looked.open
