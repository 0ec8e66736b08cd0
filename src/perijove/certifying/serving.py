"""Is the new certificate what the port shows? In: a staged secret. Out: `Served`, or why not; the table's certificates.

The old one stays the host's current one until a handshake on the real port has shown the new one. Acts through ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from perijove.certifying.reload_lock import ReloadLock
from perijove.certifying.wanted import REHEARSALS
from perijove.domain.certificate_events import Served
from perijove.domain.certificate_failures import NOT_SERVED
from perijove.domain.certificate_ports import Apply, Probe, Secrets
from perijove.domain.certificates import CertificateSpec, HostName, IssuerKind, Secret, SeenCertificate, covers
from perijove.domain.data_plane import ServedCertificate
from perijove.domain.failures import Evidence, Fail
from perijove.domain.ports import Clock
from perijove.durable import Runs, in_place
from perijove.log import log

LIMIT = 5.0
"""Seconds in which the data plane must be told of a new certificate, and again in which a handshake must show it."""
FRESH = 600.0
"""Seconds for which a current secret is not read and verified again, unless it is replaced."""
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds between handshakes, and between tries to tell the data plane; the last goes on."""


def shown_for(spec: CertificateSpec, secret: Secret) -> tuple[HostName, ...]:
    """Names that a certificate is shown for: those of several that it covers."""
    return tuple(name for name in spec.names if covers(secret.names, name)) if spec.also else spec.names


@dataclass(eq=False)
class Serving:
    """What the data plane shows for each host, and what it is just being tried with."""

    _secrets: Secrets
    _probe: Probe
    _apply: Apply
    _clock: Clock
    _address: Callable[[], str]
    disk: Runs = in_place
    reload_lock: ReloadLock = field(default_factory=ReloadLock, init=False)
    _tried: dict[HostName, Secret] = field(default_factory=dict, init=False)
    _known: dict[HostName, tuple[float, Secret | None]] = field(default_factory=dict, init=False)
    """Current secrets, and when they were read: each has to be verified, and the table asks for all."""
    _trusted: set[HostName] = field(default_factory=set, init=False)
    """Hosts whose last handshake showed a certificate that visitors' browsers trust."""
    _untold: set[HostName] = field(default_factory=set, init=False)
    """Hosts of which the data plane does not know yet that this changed."""

    def served(self, specs: Iterable[CertificateSpec]) -> tuple[ServedCertificate, ...]:
        """What the table shows for these hosts; nothing for one that has no certificate."""
        shown = []
        for spec in specs:
            secret = self._tried.get(spec.host) or self.current(spec.host)
            if secret is not None and (names := shown_for(spec, secret)):
                hsts = self.hsts(spec, secret)
                shown.append(ServedCertificate(names[0], secret.chain, secret.key, hsts, names[1:]))
        return tuple(shown)

    def adopt(self, spec: CertificateSpec) -> None:
        """Where several names have no certificate yet, one that another name had for some of them is shown meanwhile.

        So it is when the name changes by which a certificate is called: its first.
        """
        if not spec.also or self.current(spec.host) is not None:
            return
        try:
            self._secrets.adopt(spec.host, spec.names)
        except Fail as error:
            log.warning("an earlier certificate cannot be shown", host=spec.host, why=error.failure.message)
        self._known.pop(spec.host, None)

    def hsts(self, spec: CertificateSpec, secret: Secret) -> bool:
        """Whether browsers may be bound to https: only by a public CA's certificate that was seen to be trusted."""
        if any(issuer.name == secret.issuer and issuer.kind is not IssuerKind.ACME for issuer in spec.issuers):
            return False
        return bool(secret.directory) and secret.directory not in REHEARSALS and self.trusted(spec.host)

    def trusted(self, host: HostName) -> bool:
        """Whether the last handshake showed a certificate that visitors' browsers trust."""
        return host in self._trusted

    def remember(self, host: HostName) -> None:
        """So it was before a restart."""
        self._trusted.add(host)

    async def judge(self, spec: CertificateSpec) -> None:
        """See again whether browsers trust what is shown: the roots that the settings give them may be others now."""
        host, secret = spec.host, self.current(spec.host)
        if secret is None or not (names := shown_for(spec, secret)):
            return
        try:
            seen = await self._probe.handshake(self._address(), names[0].replace("*", "www", 1))
        except (ConnectionError, TimeoutError) as error:
            log.warning("a certificate is not seen, and what was known of it stays", host=host, saw=str(error)[:500])
            return
        if seen.fingerprint == secret.fingerprint and seen.trusted != self.trusted(host):
            self._note(host, trusted=seen.trusted)
            await self._told(host)

    async def show(self, spec: CertificateSpec, secret: Secret) -> Served:
        """Have it served and see it in a handshake; it then stays in the table until `keep`.

        Raises Fail: `cert.not-served`, `platform.*`; the old one has gone back then.
        """
        self._tried[secret.host] = secret
        try:
            await self._told_in_time(secret.host)
            seen = await asyncio.gather(*(self._shown(secret, name) for name in shown_for(spec, secret)))
        except BaseException:
            self._tried.pop(secret.host, None)
            raise
        if failed := [one for one in seen if isinstance(one, Fail)]:
            self._tried.pop(secret.host, None)
            await self._applied()
            raise failed[0]
        trusted = bool(seen) and all(one.trusted for one in seen if isinstance(one, SeenCertificate))
        self._note(secret.host, trusted=trusted)
        return Served(secret.revision, self._address(), trusted)

    async def keep(self, secret: Secret) -> None:
        """Make it the host's current one. Raises Fail: `platform.disk-full`."""
        try:
            self._known.pop(secret.host, None)
            await self.disk(lambda: self._secrets.keep(secret))
            self._known[secret.host] = self._clock.now(), secret
        finally:
            self._tried.pop(secret.host, None)
        if secret.host in self._untold:
            await self._told(secret.host)

    def current(self, host: HostName) -> Secret | None:
        """The host's current secret; None where there is none, or one that cannot be used any more."""
        if host in self._known:
            at, known = self._known[host]
            if 0 <= self._clock.now() - at < FRESH:
                return known
        self._known.pop(host, None)
        try:
            found = self._secrets.current(host)
        except Fail as error:
            log.warning("a secret cannot be used", host=host, code=error.failure.kind.code, why=error.failure.cause)
            return None
        self._known[host] = self._clock.now(), found
        return found

    def stands(self, secret: Secret) -> bool:
        """Whether it is the host's current one already."""
        current = self.current(secret.host)
        return current is not None and current.revision == secret.revision

    def _note(self, host: HostName, *, trusted: bool) -> None:
        if trusted != self.trusted(host):
            (self._trusted.add if trusted else self._trusted.discard)(host)
            self._untold.add(host)

    async def _applied(self) -> None:
        async with self.reload_lock.reload():
            await self._apply()

    async def _told_in_time(self, host: HostName) -> None:
        """A data plane that dies just now comes back: that costs no attempt. Raises Fail: `platform.*`."""
        deadline, tries = self._clock.now() + LIMIT, 0
        while True:
            try:
                return await self._applied()
            except Fail as error:
                if self._clock.now() >= deadline:
                    raise
                why = error.failure
                log.warning("the data plane did not take a certificate", host=host, code=why.kind.code, why=why.cause)
            await self._clock.sleep(LOOKS[min(tries, len(LOOKS) - 1)])
            tries += 1

    async def _told(self, host: HostName) -> None:
        """The data plane hears what browsers are told of https; it is told all again soon where it does not."""
        try:
            await self._applied()
            self._untold.discard(host)
        except Fail as error:
            log.warning("the data plane did not hear of a certificate", host=host, code=error.failure.kind.code)

    async def _shown(self, secret: Secret, host: HostName) -> SeenCertificate | Fail:
        """The certificate once the port shows it for a name; the Fail where it does not in time."""
        deadline, looks = self._clock.now() + LIMIT, 0
        address, name = self._address(), host.replace("*", "www", 1)
        while True:
            try:
                seen = await self._probe.handshake(address, name)
            except (ConnectionError, TimeoutError) as error:
                words = str(error) or "no answer"
            else:
                if seen.fingerprint == secret.fingerprint:
                    return seen
                words = f"{seen.called}, signed by {seen.signed_by}, SHA-256 {seen.fingerprint}"
            if self._clock.now() >= deadline:
                log.warning("a new certificate is not served, the old one goes back", host=secret.host, saw=words)
                cause = f"{address} shows something else for {name}"
                return Fail(NOT_SERVED(cause, Evidence(address, words[:500])))
            await self._clock.sleep(LOOKS[min(looks, len(LOOKS) - 1)])
            looks += 1
