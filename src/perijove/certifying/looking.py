"""Would a CA see the answer? In: the wish. Out: a `Verdict`, before anybody outside is asked. Acts through ports.

A made-up answer is put up as a real one would be, and looked for as a CA does; `verdict` judges what was seen.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from perijove.certifying import persistent
from perijove.certifying.challenge import BY_DNS, Solvers, possible, standing
from perijove.certifying.verdict import Verdict, judge
from perijove.domain.certificate_failures import CLOCK_WRONG
from perijove.domain.certificate_ports import Authorities, Probe
from perijove.domain.certificates import (
    Account,
    CaDirectory,
    CertificateSpec,
    ChallengeAnswer,
    ChallengeType,
    Confidence,
    HostName,
    Issuer,
    IssuerKind,
    Observation,
)
from perijove.domain.failures import Fail, Failure
from perijove.domain.ports import Clock

FRESH, FRESH_CLOCK = 3600.0, 10.0
"""Seconds for which a CA's directory is not asked for again; the second while our clock is what is wrong."""
AT_ONCE = 32
"""Hosts that are looked at in the same moment."""
Look = Callable[[], Awaitable[Verdict]]
Looks = Callable[[Collection[HostName]], Awaitable[Mapping[HostName, Verdict]]]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the CA says of itself, and of us."""

    directory: CaDirectory
    account: Account | None
    at: float
    trouble: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Allowed:
    """By what a host may be shown, and what is wrong with the record for dns-persist-01."""

    kinds: tuple[ChallengeType, ...]
    record: tuple[Failure, Confidence] | None = None


@dataclass(eq=False)
class Looking:
    """Looks at hosts; `marker` is what our solver says in its header, `reach_us` where a server in front reaches it."""

    _probe: Probe
    _authorities: Authorities
    _solvers: Solvers
    _clock: Clock
    _marker: str
    _reach_us: Callable[[], str]
    _offers: dict[str, Offer] = field(default_factory=dict, init=False)
    """What CAs said lately, by directory."""
    _asking: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock), init=False)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), init=False)

    def useful(self, spec: CertificateSpec) -> tuple[HostName, ...]:
        """Names of which there is anything to see: dns-01 alone shows nothing before it is asked for."""
        kinds = {name: possible(name, spec.challenges, self._solvers) for name in spec.names}
        return tuple(name for name in spec.names if any(kind is not ChallengeType.DNS for kind in kinds[name]))

    @asynccontextmanager
    async def at(self, spec: CertificateSpec) -> AsyncIterator[Looks]:
        """Looks at names, as often as it is called; what is put up for them goes at the end."""
        async with AsyncExitStack() as stack:
            looks = {name: await stack.enter_async_context(self._at(spec, name)) for name in self.useful(spec)}

            async def look(names: Collection[HostName]) -> Mapping[HostName, Verdict]:
                asked = [name for name in names if name in looks]
                return dict(zip(asked, await asyncio.gather(*(looks[name]() for name in asked)), strict=True))

            yield look

    @asynccontextmanager
    async def _at(self, spec: CertificateSpec, host: HostName) -> AsyncIterator[Look]:
        kinds = possible(host, spec.challenges, self._solvers)
        token = secrets.token_urlsafe(32)
        expected = f"{token}.{secrets.token_urlsafe(32)}"
        directory = next((one.directory for one in spec.issuers if one.kind is IssuerKind.ACME), "")

        async def look() -> Verdict:
            offer = await self._offer(spec)
            if offer.trouble is not None and offer.trouble.kind.code == CLOCK_WRONG.code:
                return Verdict(offer.trouble, Confidence.CERTAIN, (), ())
            async with self._at_once:
                tls = ChallengeType.TLS_ALPN in kinds
                first = await self._first_kinds(spec, host, offer, kinds)
                seen = await self._probe.look(host, token, expected, tls=tls)
                verdict = self._judged(seen, offer, first)
                if verdict.failure is not None:  # by an old answer, maybe
                    newer = await self._probe.past_caches(seen, token, tls=tls)
                    verdict = verdict if newer is seen else self._judged(newer, offer, first)
                    if first.kinds != tuple(kinds):
                        verdict = self._judged(newer, offer, await self._all_kinds(spec, host, offer, kinds))
            if verdict.failure is not None and verdict.failure.kind.code == CLOCK_WRONG.code:
                self._offers[directory] = replace(offer, at=offer.at - FRESH + FRESH_CLOCK)
            return verdict

        async with AsyncExitStack() as stack:
            for kind in kinds:
                if kind not in BY_DNS:
                    answer = ChallengeAnswer(host, kind, token, expected, directory)
                    await stack.enter_async_context(standing(self._solvers[kind], answer))
            yield look

    async def of_ca(self, spec: CertificateSpec) -> Failure | None:
        """Why the first CA cannot be asked now; None where it answers."""
        issuer = spec.issuers[0]
        try:
            await self._authorities(issuer, issuer.directory).directory()
        except Fail as error:
            return error.failure
        return None

    async def once(self, spec: CertificateSpec) -> Mapping[HostName, Verdict]:
        """One look, for a forecast."""
        async with self.at(spec) as look:
            return await look(spec.names)

    async def _first_kinds(
        self, spec: CertificateSpec, host: HostName, offer: Offer, kinds: Sequence[ChallengeType]
    ) -> _Allowed:
        """At first; a record that nobody asked for is looked for where nothing else is open."""
        if spec.challenges:
            return await self._all_kinds(spec, host, offer, kinds)
        return _Allowed(tuple(kind for kind in kinds if kind is not ChallengeType.DNS_PERSIST))

    async def _all_kinds(
        self, spec: CertificateSpec, host: HostName, offer: Offer, kinds: Sequence[ChallengeType]
    ) -> _Allowed:
        """With what is wrong with the record in DNS; without it where the CA does not say that it would look there."""
        if ChallengeType.DNS_PERSIST not in kinds:
            return _Allowed(tuple(kinds))
        record = persistent.before_order(host, spec.names, offer.directory, offer.account)
        found = None
        if record is not None:
            found = persistent.judged(record, await self._probe.texts(record.name), self._clock.now())
        if spec.challenges or offer.directory.issuer_domain_names or (record and not found):
            return _Allowed(tuple(kinds), found)
        return _Allowed(tuple(kind for kind in kinds if kind is not ChallengeType.DNS_PERSIST))

    def _judged(self, seen: Observation, offer: Offer, allowed: _Allowed) -> Verdict:
        return judge(
            seen,
            marker=self._marker,
            caa_identities=offer.directory.caa_identities,
            account_url=offer.account.url if offer.account else "",
            clock_ahead=offer.directory.clock_ahead,
            allowed=allowed.kinds,
            reach_us=self._reach_us(),
            record=allowed.record,
        )

    async def _offer(self, spec: CertificateSpec) -> Offer:
        """What the first CA says; a CA that does not answer is told when it is asked for a certificate."""
        now = self._clock.now()
        issuer = next((one for one in spec.issuers if one.kind is IssuerKind.ACME), spec.issuers[0])
        async with self._asking[issuer.directory]:
            last = self._offers.get(issuer.directory)
            if last is None or now - last.at >= FRESH:
                last = self._offers[issuer.directory] = await self._asked(issuer, now)
            return last

    async def _asked(self, issuer: Issuer, now: float) -> Offer:
        authority, account = self._authorities(issuer, issuer.directory), None
        try:
            directory = await authority.directory()
        except Fail as error:
            return Offer(CaDirectory(issuer.directory), None, now - FRESH + FRESH_CLOCK, error.failure)
        with suppress(Fail):  # told, with all it says, as soon as this CA is asked for a certificate
            account = await authority.account()
        return Offer(directory, account, now)
