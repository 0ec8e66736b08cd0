"""What operators see of certificates, read afresh at each call. In: the keeper and its journal. Out: records. Reads."""

from __future__ import annotations

from perijove.certifying.folding import Standing, certificate_record, issuer_record, order_record
from perijove.certifying.keeper import Certificates
from perijove.certifying.records import CertificateRecord, IssuerRecord, OrderRecord
from perijove.domain.certificates import Confidence, HostName, Issuer, OrderName, covers
from perijove.domain.ground import CertificateState
from perijove.domain.ports import Clock

ATTEMPTS = 200
"""Attempts that an issuer is judged by, the last ones."""


class Overview:
    """The objects that there are now."""

    def __init__(self, certificates: Certificates, clock: Clock) -> None:
        self._of = certificates
        self._clock = clock

    def certificates(self) -> list[CertificateRecord]:
        """Every host's, in the order of the settings."""
        return [self.standing(host) for host in self._of.hosts()]

    def standing(self, host: HostName) -> CertificateRecord:
        """One host's. Raises Fail: `platform.no-such-object`."""
        kept, attempts, serving = self._of.kept(host), self._of.attempts, self._of.way.serving
        secret = serving.current(host)
        names, before = attempts.names(host), attempts.of_host(host)
        failed = attempts.failed_in_a_row(host)
        started = [entries[0].at for name in names if (entries := attempts.entries(name))]
        told = Standing(
            spec=kept.spec,
            secret=secret,
            decision=kept.decision,
            last=self.order(names[0]) if names else None,
            before=before,
            failing_since=failed[0][0] if failed else 0,
            next_attempt=kept.next_at,
            revoked=attempts.revoked(host),
            trusted=serving.trusted(host),
            hsts=secret is not None and serving.hsts(kept.spec, secret),
            created_at=min((*started, *(entry.at for entry in before)), default=self._clock.now()),
        )
        return certificate_record(told, self._clock.now())

    async def state(self, host: HostName) -> CertificateState:
        """One host's certificate, and what an order would meet now. At most some seconds.

        Raises Fail: `platform.no-such-object`.
        """
        record, forecast = self.standing(host), self._of.kept(host).forecast
        verdict = await forecast.today() if forecast.looks else None
        failed = record.order.failure if record.order else None
        return CertificateState(
            host,
            record.secret.fingerprint if record.secret and covers(record.secret.names, host) else "",
            record.secret.not_after if record.secret else 0,
            failed,
            record.next_attempt,
            verdict is not None,
            verdict.failure if verdict else None,
            verdict is not None and verdict.confidence is Confidence.INSIDE,
        )

    def orders(self, limit: int) -> list[OrderRecord]:
        """The last attempts, the newest first."""
        return [self.order(name) for name in self._of.attempts.all(limit)]

    def order(self, name: OrderName) -> OrderRecord:
        """One attempt, its challenges beneath it."""
        return order_record(name, self._of.attempts.entries(name))

    def issuers(self) -> list[IssuerRecord]:
        """Everybody that a host may have its certificate from."""
        hosts: dict[Issuer, list[HostName]] = {}
        for host in self._of.hosts():
            for issuer in self._of.kept(host).spec.issuers:
                hosts.setdefault(issuer, []).append(host)
        orders = [self._of.attempts.entries(name) for name in self._of.attempts.all(ATTEMPTS)]
        return [issuer_record(issuer, names, orders) for issuer, names in hosts.items()]
