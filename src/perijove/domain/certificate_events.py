"""What happens on the way to a certificate, in the past tense: one closed union. Pure.

An attempt's subject is `order/<host>-<number>`; it begins with `OrderBegun` and ends in exactly one of `Certified` or
`Failed`. What happens to a host's certificate between attempts has the subject `certificate/<host>`.
"""

from __future__ import annotations

from dataclasses import dataclass

from perijove.domain.certificates import ChallengeType, Confidence, HostName, OrderName, OrderStatus, Problem
from perijove.domain.failures import Failure


@dataclass(frozen=True, slots=True)
class OrderBegun:
    """An attempt began; always the first event."""

    order: OrderName
    host: HostName
    reason: str
    """As people know it: DoesNotExist, Renewing, Expired, IncorrectIssuer, ManuallyTriggered …"""
    message: str
    """The sentence that says why."""
    names: tuple[HostName, ...] = ()
    """All of the certificate, where they are several."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The way to the host was looked at; told again whenever what was seen changes."""

    failure: Failure | None
    confidence: Confidence
    open: tuple[ChallengeType, ...]
    """Challenges that would be answered by us."""
    seconds: float
    host: HostName = ""
    """Which of the names, where they are several."""
    instead: Failure | None = None
    """Why nothing but a record that stays in DNS is open, where more is allowed."""


@dataclass(frozen=True, slots=True)
class IssuerChosen:
    """This issuer is asked; `because` says why not the one before it, where there was one."""

    issuer: str
    directory: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """The CA took the order; told before anything else is asked of it, so that a restart finds it again."""

    issuer: str
    directory: str
    url: str
    rehearsal: bool
    expires: float
    names: tuple[HostName, ...] = ()
    """It is for these, where the certificate has several; perhaps not for all of them."""


@dataclass(frozen=True, slots=True)
class ChallengePresented:
    """The answer stands where the CA will look."""

    type: ChallengeType
    url: str
    token: str
    host: HostName = ""
    """Which of the names, where they are several."""


@dataclass(frozen=True, slots=True)
class ChallengeAnswered:
    """The CA was told to look."""

    url: str


@dataclass(frozen=True, slots=True)
class ChallengeSeen:
    """What the CA says of a challenge changed."""

    url: str
    status: str
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class NameRefused:
    """One of several names could not be shown to be ours, so that the order brings nothing; the next is without it."""

    host: HostName
    failure: Failure


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """What the CA says of the order changed."""

    status: OrderStatus
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is done for a while, and this is why: `the CA has been processing the order since 12 s`."""

    what: str
    failure: Failure | None
    until: float
    """Unix seconds of the next step."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Key and chain stand on disk, verified."""

    revision: str
    issuer: str
    serial: str
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Served:
    """A handshake on the real port showed it."""

    revision: str
    address: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class HookRan:
    """A command of `on_renewed` ended."""

    command: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Certified:
    """The certificate is served and kept. Terminal."""

    revision: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a renewal would meet today; told when it changes. Between attempts."""

    failure: Failure | None
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Imported:
    """The operator gave a certificate. Between attempts."""

    revision: str
    origin: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """The CA was told to revoke it. Between attempts."""

    serial: str
    reason: str


CertificateEvent = (
    OrderBegun
    | Looked
    | IssuerChosen
    | OrderPlaced
    | ChallengePresented
    | ChallengeAnswered
    | ChallengeSeen
    | NameRefused
    | OrderSeen
    | Waiting
    | Issued
    | Served
    | HookRan
    | Certified
    | Foreseen
    | Imported
    | Revoked
)
