"""All certificates: each host's is got, kept, foreseen and renewed for ever, and survives whatever stops the service.

In: settings, and what operators ask for. Out: the certificates that the data plane serves; everything else stands in
the journal under `order/<host>-<number>` and `certificate/<host>`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from perijove.certifying.attempts import Attempts, host_of, host_subject, subject
from perijove.certifying.files import FilesWatch
from perijove.certifying.forecast import Forecast
from perijove.certifying.formatting import HOUR, MINUTE, moment
from perijove.certifying.issuer import FALLS_OVER, asks_for_proof
from perijove.certifying.kept_host import Kept
from perijove.certifying.pausing import pause
from perijove.certifying.renewal import IMPORTED, RenewalDecision, decide
from perijove.certifying.schedule import next_attempt
from perijove.certifying.selection import NOTHING, Served
from perijove.certifying.serving import shown_for
from perijove.certifying.wanted import wanted
from perijove.certifying.way import Attempt, CertificateWay
from perijove.domain.certificate_events import Imported, OrderBegun, Revoked
from perijove.domain.certificate_failures import BUDGET_SPENT, VALIDATION_FAILED
from perijove.domain.certificates import (
    CertificateSpec,
    HostName,
    IssuerKind,
    OrderName,
    RenewalWindow,
    Secret,
)
from perijove.domain.data_plane import ServedCertificate
from perijove.domain.events import Failed
from perijove.domain.failures import INTERRUPTED, NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.ports import Clock
from perijove.domain.settings import Settings
from perijove.journal import Journal
from perijove.log import log

LONGEST_REST = 6 * HOUR
"""Seconds after which everything is decided again, whatever happened to the clock meanwhile."""
WATCH = 1.5
"""Seconds between looks while a failed attempt waits for the next one."""
FILES = 2.0
"""Seconds between looks at the operator's files."""
BY_HAND = "ManuallyTriggered"
"""Why an attempt begins that an operator asks for."""
UNWRITTEN = MINUTE
"""Seconds until the next try where the journal cannot be written."""
REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
}
"""Why a subscriber may have a certificate revoked (RFC 5280, 5.3.1)."""


@dataclass(eq=False)
class Certificates:
    """Keeps all certificates, and does what operators ask of them."""

    way: CertificateWay
    _journal: Journal
    _clock: Clock
    _group: asyncio.TaskGroup
    _settings: Callable[[], Settings]
    attempts: Attempts = field(init=False)
    _kept: dict[HostName, Kept] = field(default_factory=dict, init=False)
    _leaving: dict[HostName, asyncio.Task[None]] = field(default_factory=dict, init=False)
    """What is just being ended of hosts that the settings do not name any more."""

    def __post_init__(self) -> None:
        self.attempts = Attempts(self._journal)

    # what runs

    def recall(self) -> None:
        """Know the hosts, and what was served before a restart: the data plane can be told before `start`.

        Raises Fail: `platform.bad-settings`.
        """
        for spec in wanted(self._settings()):
            self._add(spec)
            if self.attempts.seen_trusted(spec.host):
                self.way.serving.remember(spec.host)

    def start(self) -> None:
        """Take up what a stop of the service cut off, and keep all hosts that were recalled."""
        for name in self.attempts.unfinished():
            if host_of(name) not in self._kept:
                self._let_go(name)
        for kept in self._kept.values():
            self._look_after(kept)

    def reload(self) -> None:
        """Do as the settings say now. Raises Fail: `platform.bad-settings`; all stays as it was then."""
        specs = {spec.host: spec for spec in wanted(self._settings())}
        for host, kept in list(self._kept.items()):
            if host not in specs:
                kept.dropped = True
                del self._kept[host]
                if kept.task is not None:
                    self._leaving[host] = kept.task
            if specs.get(host) != kept.spec and kept.task is not None:
                kept.task.cancel()
        for host, spec in specs.items():
            before = self._kept.get(host)
            if before is None or before.spec != spec:
                self._look_after(self._add(spec), before.task if before else self._leaving.pop(host, None))
            else:
                before.corrected, before.judged = True, False
                before.bell.set()

    async def stop(self) -> None:
        """Stop; what is cut off is taken up at the next start, by the same orders."""
        tasks = [*self._leaving.values(), *(kept.task for kept in self._kept.values() if kept.task is not None)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _add(self, spec: CertificateSpec) -> Kept:
        self.way.serving.adopt(spec)
        every = lambda: self._settings().certificates.look_every  # noqa: E731
        forecast = Forecast(self.way, self.attempts, self._journal, self._clock, spec, every)
        self._kept[spec.host] = kept = Kept(spec, forecast, FilesWatch(spec))
        return kept

    def _look_after(self, kept: Kept, before: asyncio.Task[None] | None = None) -> None:
        kept.task = self._group.create_task(self._keep(kept, before), name=f"certificate of {kept.spec.host}")

    async def _keep(self, kept: Kept, before: asyncio.Task[None] | None) -> None:
        """Run until cancelled; a journal that cannot be written is waited for."""
        if before is not None:
            await asyncio.wait({before})
        while True:
            try:
                if not kept.taken_up:
                    self._take_up(kept)
                if not kept.judged:
                    kept.judged = True
                    await self.way.serving.judge(kept.spec)
                await kept.forecast.ask_window()
                if kept.attempt is None and (due := self._due(kept)):
                    self._begin(kept, due.reason, due.why)
                await (self._run(kept) if kept.attempt is not None else self._rest(kept))
            except asyncio.CancelledError:
                if kept.dropped and kept.attempt is not None:
                    self._let_go(kept.attempt.order)
                raise
            except Fail as error:
                # Only the journal itself fails here; it tells its followers, and the service outlives a full disk.
                log.error("a certificate's events cannot be written down", message=error.failure.message)  # noqa: TRY400
                await self._start_over(kept)
            except Exception:
                log.exception("looking after a certificate met a bug", host=kept.spec.host)
                await self._start_over(kept)

    async def _start_over(self, kept: Kept) -> None:
        """Go on after a while, from what the journal says."""
        kept.attempt, kept.taken_up = None, False
        await pause(self._clock, UNWRITTEN, kept.bell, f"certificate of {kept.spec.host}")

    def _take_up(self, kept: Kept) -> None:
        """Go on with an attempt that was cut off: the same order, the same key."""
        names = self.attempts.unfinished(kept.spec.host)
        for name in names[:-1]:
            self._let_go(name)
        if names:
            kept.attempt = self._attempt(kept, names[-1])
        kept.taken_up = True

    def _let_go(self, name: OrderName) -> None:
        host = host_of(name)
        told = Evidence("service.hosts", f"{host} is not there")
        remedy = "Name it there again where it should have a certificate."
        self._journal.append(subject(name), Failed(INTERRUPTED("the settings changed", told, remedy=remedy)))

    def _due(self, kept: Kept) -> RenewalDecision | None:
        """The decision where a new attempt shall begin now."""
        host, now = kept.spec.host, self._clock.now()
        secret = self.way.serving.current(host)
        decision = kept.decision = decide(kept.spec, secret, now, kept.forecast.window)
        if (revoked := self.attempts.revoked(host)) is not None:
            why = f"it was revoked on {moment(revoked.at)}; a new one is asked for by hand"
            decision = kept.decision = RenewalDecision(False, why, now + LONGEST_REST)
        if kept.files.changed(secret):
            return RenewalDecision(True, "the operator's files changed", now, "FilesChanged")
        if not decision.due:
            kept.next_at = 0
            return None
        failed = self.attempts.failed_in_a_row(host)
        kept.next_at = next_attempt(failed, restarted=kept.corrected)
        return decision if now >= kept.next_at or kept.forecast.came_right else None

    def _begin(self, kept: Kept, reason: str, message: str, *, forced: bool = False) -> OrderName:
        """A new attempt; what the last one left and nobody served is not asked for again."""
        host = kept.spec.host
        left = self.attempts.issued_and_not_served(host)
        name = self.attempts.next_name(host)
        names = kept.spec.names if kept.spec.also else ()
        self._journal.append(subject(name), OrderBegun(name, host, reason, message, names))
        if left is not None and left.issued is not None and reason != "FilesChanged":
            staged = self.way.secrets.staged(host, left.issued.revision)
            if staged is not None and not self._stands(kept, staged, None).due:
                self._journal.append(subject(name), left.issued)
        kept.attempt = self._attempt(kept, name, forced=forced)
        kept.files.taken()
        return name

    def _attempt(self, kept: Kept, name: OrderName, *, forced: bool = False) -> Attempt:
        host = kept.spec.host
        past = self.attempts.so_far(name)

        def served() -> Served:
            standing = self._stands(kept, self.way.serving.current(host), kept.forecast.window)
            return replace(standing, due=standing.due or kept.by_hand or past.reason == BY_HAND)

        refused = lambda: self.attempts.refused(host, self._clock.now())  # noqa: E731
        return Attempt(name, kept.spec, past, forced, refused, served)

    def _stands(self, kept: Kept, secret: Secret | None, window: RenewalWindow | None) -> Served:
        """A certificate beside the names that are wanted."""
        names = shown_for(kept.spec, secret) if secret is not None else ()
        if secret is None or not names:
            return NOTHING
        now = self._clock.now()
        due = decide(replace(kept.spec, host=names[0], also=names[1:]), secret, now, window).due
        left = (secret.not_after - now) / (secret.not_after - secret.not_before)
        return Served(frozenset(names), left, due)

    async def _run(self, kept: Kept) -> None:
        """Run the attempt to its end, each event written down."""
        attempt = kept.attempt
        if attempt is None:
            return
        kept.next_at = 0
        async with aclosing(self.way.certify(attempt)) as events:
            async for event in events:
                self._journal.append(subject(attempt.order), event)
        kept.attempt, kept.corrected, kept.by_hand = None, False, False
        kept.forecast.begin_anew()

    async def _rest(self, kept: Kept) -> None:
        """Wait for the next thing to do for this host, and do what is not an attempt."""
        now, decision = self._clock.now(), kept.decision
        times = [now + LONGEST_REST, kept.forecast.next_at]
        if decision is not None:
            times.append(kept.next_at if decision.due else decision.again_at)
        if kept.files.watching:
            times.append(now + FILES)
        ill, until = self._watched(kept), min(times)
        while now < until and not kept.forecast.came_right:
            wait = until - now if ill is None else min(until - now, WATCH)
            if await pause(self._clock, wait, kept.bell, f"certificate of {kept.spec.host}"):
                break
            if ill is not None:
                await kept.forecast.watch(ill=ill)
            now = self._clock.now()
        await kept.forecast.look()

    def _watched(self, kept: Kept) -> bool | None:
        """Whether the last failure was ill by a look from here; None where looking again tells nothing new."""
        failed = self.attempts.failed_in_a_row(kept.spec.host) if kept.decision and kept.decision.due else []
        if not failed or not asks_for_proof(kept.spec.issuers) or not self.way.looking.useful(kept.spec):
            return None
        code = failed[-1][1].kind.code
        if code in FALLS_OVER or code == BUDGET_SPENT.code or not code.startswith("cert."):
            return None
        return code != VALIDATION_FAILED.code

    # what operators ask for

    def served(self) -> tuple[ServedCertificate, ...]:
        """What the data plane's table shows."""
        return self.way.serving.served(self.specs())

    def specs(self) -> Sequence[CertificateSpec]:
        """What is wanted for each host."""
        return [kept.spec for kept in self._kept.values()]

    def hosts(self) -> Sequence[HostName]:
        """Names that have, or shall have, a certificate."""
        return tuple(self._kept)

    def called(self, name: HostName) -> HostName:
        """How the certificate is called that this is a name of; `` where none has it."""
        return next((host for host, kept in self._kept.items() if name in kept.spec.names), "")

    def issue(self, host: HostName, *, force: bool = False) -> OrderName:
        """Begin an attempt now, or name the one in flight; `force` asks the CA whatever a look says.

        Raises Fail: `platform.no-such-object`, `platform.disk-full`.
        """
        kept = self.kept(host)
        if not kept.taken_up:
            self._take_up(kept)
        if kept.attempt is None:
            self._begin(kept, BY_HAND, "an operator asked for it", forced=force)
        elif force:
            kept.attempt.forced = True
        kept.by_hand = True
        kept.bell.set()
        return kept.attempt.order if kept.attempt else ""

    def renew(self, host: HostName, *, force: bool = False) -> OrderName:
        """As `issue`: a fresh certificate now, whenever the one that is there would be due."""
        return self.issue(host, force=force)

    def export(self, host: HostName) -> Secret:
        """Where the host's key and chain are. Raises Fail: `platform.no-such-object`."""
        secret = self.way.serving.current(self.kept(host).spec.host)
        if secret is None:
            raise Fail(NO_SUCH_OBJECT(f"{host} has no certificate yet"))
        return secret

    async def revoke(self, host: HostName, reason: str = "unspecified") -> None:
        """Have the CA revoke the host's certificate. Raises Fail: `platform.no-such-object`, `cert.*`."""
        secret, spec = self.export(host), self.kept(host).spec
        issuer = next((one for one in spec.issuers if one.name == secret.issuer), None)
        if issuer is None or issuer.kind is IssuerKind.FILES:
            raise Fail(NO_SUCH_OBJECT(f"{secret.issuer} is no issuer that can be asked to revoke it"))
        if reason not in REASONS:
            raise Fail(NO_SUCH_OBJECT(f"there is no reason {reason[:50]!r}", remedy=f"Use {', '.join(REASONS)}."))
        await self.way.authorities(issuer, secret.directory).revoke(secret, REASONS[reason])
        kept = self.kept(host)
        if kept.by_hand:
            self._journal.append(host_subject(host), Revoked(secret.serial, reason))
        else:
            async with self._without_attempt(kept, "an operator had the certificate revoked"):
                self._journal.append(host_subject(host), Revoked(secret.serial, reason))
        kept.bell.set()

    async def import_(self, host: HostName, chain: bytes, key: bytes, origin: str) -> Secret:
        """Serve the operator's certificate until it is due; `origin` says where it was. Raises Fail: `cert.*`."""
        kept = self.kept(host)
        secret = self.way.secrets.take(host, chain, key, IMPORTED, kept.spec.names)
        async with self._without_attempt(kept, "an operator gave a certificate"):
            self._journal.append(host_subject(host), await self.way.serving.show(kept.spec, secret))
            await self.way.serving.keep(secret)
            self._journal.append(host_subject(host), Imported(secret.revision, origin))
        kept.forecast.begin_anew()
        kept.bell.set()
        return secret

    @asynccontextmanager
    async def _without_attempt(self, kept: Kept, why: str) -> AsyncIterator[None]:
        """No attempt goes on that what an operator does within the block has made needless."""
        attempt, task = kept.attempt, kept.task
        if attempt is None or task is None:
            yield
            return
        task.cancel()
        try:
            await asyncio.wait({task})
            if kept.attempt is attempt:
                remedy = f"`perijove cert issue {kept.spec.host}` asks for a new one."
                self._journal.append(subject(attempt.order), Failed(INTERRUPTED(why, remedy=remedy)))
                kept.attempt, kept.by_hand = None, False
            yield
        finally:
            if not kept.dropped:
                self._look_after(kept)

    def kept(self, host: HostName) -> Kept:
        """What is going on with a host. Raises Fail: `platform.no-such-object`."""
        if host not in self._kept:
            raise Fail(NO_SUCH_OBJECT(f"there is no certificate {host[:100]}", Evidence("service.hosts", host[:100])))
        return self._kept[host]
