"""The certificate way's parts, joined. In: settings, state, the data plane. Out: who keeps the certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perijove.backends import hooks
from perijove.backends.caddy.alpn import TlsAlpnSolver
from perijove.certifying.challenge import HttpAnswers
from perijove.certifying.keeper import Certificates
from perijove.certifying.looking import Looking
from perijove.certifying.overview import Overview
from perijove.certifying.persistent import PersistentRecords
from perijove.certifying.serving import Serving
from perijove.certifying.wanted import wanted
from perijove.certifying.way import CertificateWay
from perijove.domain.certificate_ports import Apply, Authority, Probe, Secrets, Solver
from perijove.domain.certificates import CertificateSpec, ChallengeType, HostName, Issuer, IssuerKind
from perijove.domain.keys import Keys
from perijove.domain.listening import here, http_listeners, https_listeners
from perijove.domain.ports import Clock
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.durable import in_thread
from perijove.journal import Journal
from perijove.web.guard import CertificateStanding
from perijove.wiring.lazy import lazy

if TYPE_CHECKING:
    from perijove.backends.acme import AcmeAuthority
    from perijove.backends.localca import LocalAuthority


def directories(specs: Iterable[CertificateSpec]) -> tuple[str, ...]:
    """ACME directories that may want an answer to tls-alpn-01."""
    issuers = [issuer for spec in specs for issuer in spec.issuers if issuer.kind is IssuerKind.ACME]
    return tuple(dict.fromkeys(url for one in issuers for url in (one.directory, one.staging) if url))


@dataclass(frozen=True, slots=True)
class CertificateParts:
    """The live objects of the certificate way."""

    local_ca: LocalAuthority
    answers: HttpAnswers
    solvers: dict[ChallengeType, Solver]
    authorities: Authorities
    certificates: Certificates
    overview: Overview

    def reload(self, settings: Settings) -> None:
        """Do as the settings, which were checked, say now."""
        _by_dns(self.solvers, settings)
        self.certificates.reload()

    def root_pem(self) -> bytes:
        """The embedded CA's root, made where there is none. Raises Fail: `platform.disk-full`."""
        return self.local_ca.root_pem()

    def standing(self, host: HostName) -> CertificateStanding | None:
        """What keeps a host's certificate away, for pages."""
        if not (called := self.certificates.called(host)):
            return None
        record = self.overview.standing(called)
        return CertificateStanding(record.failure, record.next_attempt)

    async def stop(self) -> None:
        """Stop; attempts go on after the next start. Nothing where it is stopped."""
        await self.certificates.stop()
        await self.authorities.close()


@dataclass(slots=True)
class Authorities:
    """One authority for each issuer and directory, shared by all hosts."""

    state: State
    local: LocalAuthority
    made: dict[tuple[Issuer, str], AcmeAuthority] = field(default_factory=dict)

    def __call__(self, issuer: Issuer, directory: str) -> Authority:
        if issuer.kind is IssuerKind.LOCAL:
            return self.local
        if (issuer, directory) not in self.made:
            from perijove.backends.acme import AcmeAuthority  # noqa: PLC0415  imported late: many services ask no CA

            self.made[issuer, directory] = AcmeAuthority(issuer, directory, self.state)
        return self.made[issuer, directory]

    async def close(self) -> None:
        """End all connections."""
        for authority in self.made.values():
            await authority.close()


def joined(
    state: State,
    settings: Callable[[], Settings],
    journal: Journal,
    keys: Keys,
    clock: Clock,
    group: asyncio.TaskGroup,
    apply: Apply,
) -> CertificateParts:
    """All objects, each given what it needs. Raises Fail: `platform.bad-settings`."""
    local, answers = lazy(lambda: _local(state, clock)), HttpAnswers()
    certified = bool(wanted(settings()))  # imported while Caddy starts then, where all else would wait for it
    probe = lazy(lambda: _probe(settings), needed=certified)
    authorities = Authorities(state, local)
    solvers: dict[ChallengeType, Solver] = {
        ChallengeType.HTTP: answers,
        ChallengeType.TLS_ALPN: TlsAlpnSolver(state),
        ChallengeType.DNS_PERSIST: PersistentRecords(probe, clock),
    }
    _by_dns(solvers, settings())
    looking = Looking(
        probe, authorities, solvers, clock, keys.solver_marker(), lambda: here(http_listeners(settings().service)[0])
    )
    secrets = lazy(lambda: _secrets(state, clock, settings), needed=certified)
    serving = Serving(secrets, probe, apply, clock, lambda: here(https_listeners(settings().service)[0]), in_thread)
    way = CertificateWay(
        authorities, secrets, solvers, looking, serving, clock, lambda: settings().certificates.on_renewed, hooks.run
    )
    certificates = Certificates(way, journal, clock, group, settings)
    return CertificateParts(local, answers, solvers, authorities, certificates, Overview(certificates, clock))


def _by_dns(solvers: dict[ChallengeType, Solver], settings: Settings) -> None:
    """dns-01 as the settings say. Raises Fail: `platform.bad-settings`."""
    if not settings.certificates.dns:
        solvers.pop(ChallengeType.DNS, None)
        return
    from perijove.backends.dns01.solver import dns_solver  # noqa: PLC0415  imported late, as above

    solvers[ChallengeType.DNS] = dns_solver(settings.certificates)


# Imported late: 0.1 s and 9 MB, which a service without certificates has no use for.


def _local(state: State, clock: Clock) -> LocalAuthority:
    from perijove.backends.localca import LocalAuthority  # noqa: PLC0415

    return LocalAuthority(state, clock)


def _probe(settings: Callable[[], Settings]) -> Probe:
    from perijove.backends.dns01.authoritative import Authoritative  # noqa: PLC0415
    from perijove.backends.probes.host_probe import HostProbe  # noqa: PLC0415

    return HostProbe(settings, Authoritative(lambda: settings().certificates.resolvers))


def _secrets(state: State, clock: Clock, settings: Callable[[], Settings]) -> Secrets:
    from perijove.backends.secrets import DiskSecrets  # noqa: PLC0415

    return DiskSecrets(state, clock, lambda: settings().certificates.public_roots)
