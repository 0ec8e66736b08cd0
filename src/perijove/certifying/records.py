"""The objects that operators see: certificate, order, challenge, issuer, in their familiar shapes. Pure.

Columns and conditions are those that people know from Kubernetes; `verdict` is one line that says it all.
Times are Unix seconds; 0 stands for one that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

from perijove.domain.certificates import HostName, OrderName, Secret
from perijove.domain.failures import Failure


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is so or not, why, and since when."""

    type: str
    """`Ready`, `Issuing`"""
    status: str
    """`True`, `False`, `Unknown`"""
    reason: str
    """In CamelCase: Ready, DoesNotExist, Renewing, Expired, IncorrectIssuer, Pending, Failed …"""
    message: str
    last_transition_time: float


@dataclass(frozen=True, slots=True)
class ChallengeRecord:
    """What one CA wants to see at one name. Columns: NAME STATE DOMAIN REASON AGE."""

    name: str
    """`<order>-<number>`"""
    order: OrderName
    host: HostName
    type: str
    """http-01, tls-alpn-01, dns-01"""
    state: str
    """RFC 8555, 7.1.6: pending, processing, valid, invalid"""
    presented: bool
    """Whether the answer stands where the CA looks."""
    processing: bool
    """Whether the CA was told to look, and has not said what it saw."""
    reason: str
    """What the CA said, or what is waited for."""
    url: str
    token: str
    created_at: float
    presented_at: float


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One attempt. Columns: NAME STATE ISSUER REASON AGE."""

    name: OrderName
    host: HostName
    state: str
    """RFC 8555, 7.1.6, of the order last placed; `` before one is placed, `errored` where it could not be ended."""
    reason: str
    """What it waits for, or why it failed; `` where all is well."""
    issuer: str
    directory: str
    url: str
    """Of the order at the CA."""
    rehearsal: bool
    """Whether the order last placed is one at the CA's rehearsal."""
    cause: str
    """Why the attempt began: DoesNotExist, Renewing, ManuallyTriggered …"""
    message: str
    """The same in a sentence."""
    step: str
    """`looking`, `ordering`, `serving`, `certified`, `failed`"""
    revision: str
    """Of the secret it brought; `` before."""
    failure: Failure | None
    created_at: float
    ended_at: float
    challenges: tuple[ChallengeRecord, ...]
    names: tuple[HostName, ...] = ()
    """All that the certificate was to have, where they are several."""
    failing: tuple[tuple[HostName, Failure], ...] = ()
    """What keeps single ones of several names out."""
    seen: Failure | None = None
    """What the last look from here found ill, which others may see otherwise."""


@dataclass(frozen=True, slots=True)
class IssuerRecord:
    """Who signs. Columns: NAME READY KIND AGE; wide: DIRECTORY STATUS."""

    name: str
    kind: str
    ready: bool
    """False until it has signed or taken an order."""
    conditions: tuple[Condition, ...]
    directory: str
    staging: str
    email: str
    profile: str
    hosts: tuple[HostName, ...]
    """Whose certificates may come from it."""
    failure: Failure | None
    created_at: float
    """When it was first asked."""


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate, called by its first name. Columns: NAME READY SECRET AGE; wide: ISSUER STATUS EXPIRES RENEWAL."""

    name: HostName
    verdict: str
    """One line: ready; or what is wrong, since when, where it was seen, what to do, when the next attempt is."""
    ready: bool
    conditions: tuple[Condition, ...]
    """Ready, Issuing"""
    # spec
    issuers: tuple[str, ...]
    challenges: tuple[str, ...]
    """Allowed ones; empty: whatever is open."""
    # status
    secret: Secret | None
    """The one that is served."""
    trusted: bool
    """Whether a handshake on our port showed it as trusted by visitors' browsers."""
    hsts: bool
    renewal_at: float
    renewal_why: str
    next_attempt: float
    """0 while one runs."""
    failure: Failure | None
    """What keeps a certificate away, or will keep the next one away."""
    failing_since: float
    foreseen: bool
    """Whether `failure` was seen by the daily look, and nothing is lost yet."""
    order: OrderRecord | None
    """The last attempt."""
    created_at: float
    also: tuple[HostName, ...] = ()
    """Further names of the same certificate."""
