"""What lies ahead of a host between its attempts? When its CA would like a renewal, and what that would meet today.

In: the wish, the journal, the ports. Out: a window for `renewal`, `Foreseen` events, whether what was ill came right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from perijove.certifying.attempts import Attempts, host_subject
from perijove.certifying.formatting import DAY, HOUR, MINUTE
from perijove.certifying.issuer import asks_for_proof
from perijove.certifying.renewal import ask_again
from perijove.certifying.verdict import Verdict
from perijove.certifying.way import CertificateWay
from perijove.domain.certificate_events import Certified, Foreseen
from perijove.domain.certificates import (
    CertificateSpec,
    Confidence,
    HostName,
    Issuer,
    IssuerKind,
    RenewalWindow,
    Secret,
)
from perijove.domain.events import Entry
from perijove.domain.failures import Fail, Failure
from perijove.domain.ports import Clock
from perijove.journal import Journal
from perijove.log import log

LOOK_FIRST, LOOK_ILL = MINUTE, 30.0
"""Seconds until the first look after a start, and after one that found something ill."""
CA_WELL, CA_ILL = DAY, HOUR
"""Seconds until a CA is asked for its directory again, after one that it gave, or did not."""
WINDOW_MISSED = HOUR
"""Seconds until a CA that could not be asked for its window is asked again."""
NEVER = float("inf")


@dataclass(eq=False)
class Forecast:
    """One certificate's."""

    _way: CertificateWay
    _attempts: Attempts
    _journal: Journal
    _clock: Clock
    _spec: CertificateSpec
    _every: Callable[[], float]
    """Seconds between looks that find all well; 0: none."""
    _secret: Secret | None = field(default=None, init=False)
    _asked: Issuer | None = field(default=None, init=False)
    """Who signed it and can be asked for a window; None for what the operator gave, or settings do not name."""
    _window_at: float = field(default=0.0, init=False)
    _look_at: float = field(init=False)
    _ca_at: float = field(default=0.0, init=False)
    _ca_failure: Failure | None = field(default=None, init=False)
    """Why the CA could not be asked when it was last."""
    _doubted: str = field(default="", init=False)
    """The code of what the last look found ill and the one before did not: it may pass."""
    _ill: set[HostName] | None = field(default=None, init=False)
    """Names that were not well at the last look."""
    window: RenewalWindow | None = field(default=None, init=False)
    """When the CA would like the renewal; None where it does not say."""
    came_right: bool = field(default=False, init=False)
    """Whether a look found well what the last attempt, or an earlier look, had found ill."""

    def __post_init__(self) -> None:
        self._look_at = self._clock.now() + LOOK_FIRST

    @property
    def next_at(self) -> float:
        """When there is something to ask or to look at; in a time that never comes where there is not."""
        if self._secret is None:
            return NEVER
        window = self._window_at if self._asked is not None else NEVER
        return min(window, self._next_look)

    def begin_anew(self) -> None:
        """An attempt has ended, or the operator gave a certificate."""
        self._ill, self.came_right = None, False
        self._look_at, self._ca_at, self._doubted = self._clock.now() + self._every(), 0.0, ""

    async def ask_window(self) -> None:
        """Ask the CA of the certificate that is served, where it is time to."""
        secret = self._way.serving.current(self._spec.host)
        if secret is None or self._secret is None or secret.revision != self._secret.revision:
            self.window, self._window_at = None, 0.0
        self._secret, self._asked = secret, self._by_whom(secret)
        if secret is None or self._asked is None or self._clock.now() < self._window_at:
            return
        try:
            self.window = await self._way.authorities(self._asked, secret.directory).renewal_window(secret)
            self._window_at = self._clock.now() + ask_again(self.window)
        except Fail as error:
            log.warning("the CA does not say when to renew", host=secret.host, code=error.failure.kind.code)
            self._window_at = self._clock.now() + WINDOW_MISSED

    async def look(self) -> None:
        """See what a renewal would meet today, where it is time to; a change is told, what is ill at a second look."""
        if self._secret is None or self._clock.now() < self._next_look:
            return
        verdict = await self._judged(await self._of_ca())
        failure = verdict.failure
        self._look_at = self._clock.now() + (self._every() if failure is None else LOOK_ILL)
        passing, self._doubted = self._doubted != _code(failure), _code(failure)
        last = self._last()
        if _code(failure) != _code(last.failure if last else None) and not (failure and passing):
            foreseen = Foreseen(failure, verdict.confidence)
            self._journal.append(host_subject(self._spec.host), foreseen)

    async def today(self) -> Verdict:
        """What an order would meet now, by the first name that is ill.

        Nothing that a look from here saw before a certificate came all the same.
        """
        return await self._judged(await self._way.looking.of_ca(self._spec))

    async def _judged(self, of_ca: Failure | None) -> Verdict:
        if of_ca is not None:
            return Verdict(of_ca, Confidence.CERTAIN, (), ())
        try:
            verdicts = await self._way.looking.once(self._spec)
        except Fail as error:
            return Verdict(error.failure, Confidence.CERTAIN, (), ())
        known = {host: self._known_from_inside(host, verdict) for host, verdict in verdicts.items()}
        told = [replace(one, failure=None) if known[host] else one for host, one in verdicts.items()]
        return next((one for one in told if one.failure is not None), told[0])

    async def watch(self, *, ill: bool) -> None:
        """Look while a failed attempt waits for the next one; `ill` is what a look saw before it failed."""
        before = set(self._spec.names if ill else ()) if self._ill is None else self._ill
        try:
            async with self._way.looking.at(self._spec) as look:
                verdicts = await look(self._spec.names)
        except Fail as error:
            log.warning("a host cannot be looked at", host=self._spec.host, code=error.failure.kind.code)
            return
        self._ill = {host for host, verdict in verdicts.items() if verdict.failure is not None}
        self.came_right = bool(before & verdicts.keys() - self._ill)

    async def _of_ca(self) -> Failure | None:
        """Why the CA could not be asked when it was last, which is once a day where all is well."""
        if (now := self._clock.now()) >= self._ca_at:
            self._ca_failure = await self._way.looking.of_ca(self._spec)
            self._ca_at = now + (CA_ILL if self._ca_failure else CA_WELL)
        return self._ca_failure

    def _by_whom(self, secret: Secret | None) -> Issuer | None:
        if secret is None or not secret.ari:
            return None
        issuers = (one for one in self._spec.issuers if one.kind is not IssuerKind.FILES)
        return next((one for one in issuers if one.name == secret.issuer), None)

    @property
    def looks(self) -> bool:
        """Whether there is anything that a look could find out."""
        return asks_for_proof(self._spec.issuers) and bool(self._way.looking.useful(self._spec))

    @property
    def _next_look(self) -> float:
        return self._look_at if self.looks and self._every() else NEVER

    def _last(self) -> Foreseen | None:
        """What was foreseen last, unless a certificate came since."""
        told = [entry for entry in self._attempts.of_host(self._spec.host) if isinstance(entry.event, Foreseen)]
        if not told or not isinstance(told[-1].event, Foreseen):
            return None
        good = self._certified()
        return None if good is not None and good.seq > told[-1].seq else told[-1].event

    def _certified(self) -> Entry | None:
        for name in self._attempts.names(self._spec.host):
            for entry in reversed(self._attempts.entries(name)):
                if isinstance(entry.event, Certified):
                    return entry
        return None

    def _known_from_inside(self, host: HostName, verdict: Verdict) -> bool:
        """Whether the last certificate came although this was what a look from here saw: outside, all is well."""
        good = self._certified()
        if verdict.failure is None or verdict.confidence is not Confidence.INSIDE or good is None:
            return False
        key = host if self._spec.also else ""
        looked = self._attempts.so_far(good.subject.partition("/")[2]).looked.get(key)
        return looked is not None and _code(looked.failure) == _code(verdict.failure)


def _code(failure: Failure | None) -> str:
    return failure.kind.code if failure else ""
