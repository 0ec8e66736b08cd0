"""Is a certificate due, and why? In: the wish, the secret that stands, what the CA says, the time. Pure.

A CA's own window (RFC 9773) decides where there is one, else a fraction of the lifetime; never a number of days.
What is random is a function of the certificate, so that a restart decides the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from perijove.certifying.formatting import DAY, HOUR, listed, moment, span
from perijove.domain.certificates import (
    CertificateSpec,
    HostName,
    IssuerKind,
    RenewalWindow,
    Secret,
    covers,
)

IMPORTED = "imported"
"""The issuer of a certificate that the operator gave by hand: right for every host, until it is due."""
LEFT, LEFT_OF_SHORT, SHORT = 1 / 3, 1 / 2, 10 * DAY
"""Due when so much of the lifetime is left; for lifetimes below `SHORT` the second."""
JITTER = 0.03
"""Up to so much of the lifetime earlier, so that many hosts do not come at once."""
EMERGENCY = 1 / 20
"""With so much left nobody's window counts any more."""
ASK_AGAIN = (HOUR, 7 * DAY)
"""A CA's window is asked for again no sooner and no later than this (RFC 9773, 4.3.2)."""


@dataclass(frozen=True, slots=True)
class RenewalDecision:
    """Due or not, and the sentence that says why."""

    due: bool
    why: str
    again_at: float
    """Unix seconds of the next time to decide; for one that is not due: when it will be."""
    reason: str = ""
    """As people know it: DoesNotExist, IncorrectIssuer, Expired, Renewing …; `` where nothing is due."""


def decide(
    spec: CertificateSpec, secret: Secret | None, now: float, window: RenewalWindow | None = None
) -> RenewalDecision:
    """Due or not, by which reason, and the sentence that says why."""
    if secret is None:
        return RenewalDecision(True, "there is no certificate yet", now, "DoesNotExist")
    if changed := _changed(spec, secret):
        return RenewalDecision(True, changed[1], now, changed[0])
    if now >= secret.not_after:
        return RenewalDecision(True, f"the certificate ended on {moment(secret.not_after)}", now, "Expired")
    if _of_files(spec, secret):
        why = f"the operator renews these files; they are good until {moment(secret.not_after)}"
        return RenewalDecision(False, why, secret.not_after)
    return _by_time(secret, now, window)


def ask_again(window: RenewalWindow | None) -> float:
    """Seconds until the CA is asked for its window again."""
    return min(max(window.look_again if window else 6 * HOUR, ASK_AGAIN[0]), ASK_AGAIN[1])


def _changed(spec: CertificateSpec, secret: Secret) -> tuple[str, str] | None:
    """Reason and sentence where the settings want another certificate than the one that stands."""
    if missing := lacking(spec, secret):
        return "IncorrectCertificate", f"the certificate is for {listed(secret.names)}, not for {listed(missing)}"
    if secret.issuer == IMPORTED:
        return None
    right = [issuer for issuer in spec.issuers if issuer.name == secret.issuer]
    if not right:
        wanted = ", ".join(issuer.name for issuer in spec.issuers)
        return "IncorrectIssuer", f"the certificate is from {secret.issuer}, the settings say {wanted}"
    if right[0].kind is not IssuerKind.FILES and (gone := [one for one in secret.ordered if one not in spec.names]):
        return "IncorrectCertificate", f"the settings do not name {listed(gone)} any more"
    if right[0].kind is IssuerKind.ACME and right[0].directory != secret.directory:
        return "IncorrectIssuer", f"the certificate is from {secret.directory}, the settings say {right[0].directory}"
    return None


def lacking(spec: CertificateSpec, secret: Secret) -> tuple[HostName, ...]:
    """Names that are wanted, and that the certificate is not for."""
    return tuple(name for name in spec.names if not covers(secret.names, name))


def _of_files(spec: CertificateSpec, secret: Secret) -> bool:
    return any(issuer.name == secret.issuer and issuer.kind is IssuerKind.FILES for issuer in spec.issuers)


def _by_time(secret: Secret, now: float, window: RenewalWindow | None) -> RenewalDecision:
    lifetime = secret.not_after - secret.not_before
    left = secret.not_after - now
    last = secret.not_after - EMERGENCY * lifetime
    if now >= last:
        why = f"only {span(left)} of {span(lifetime)} are left; nobody's window counts any more"
        return RenewalDecision(True, why, now, "Renewing")
    if window is not None and window.end >= window.start:
        at = min(window.start + _chance(secret, window.start, window.end) * (window.end - window.start), last)
        why = f"the CA would like it between {moment(window.start)} and {moment(window.end)}"
        why += f" ({window.explanation})" if window.explanation else ""
    else:
        fraction = LEFT_OF_SHORT if lifetime < SHORT else LEFT
        at = secret.not_after - (fraction + JITTER * _chance(secret)) * lifetime
        why = f"{span(left)} of {span(lifetime)} are left; it is renewed with 1/{1 / fraction:.0f} left"
    if now >= at:
        return RenewalDecision(True, why, now, "Renewing")
    return RenewalDecision(False, f"{why}, on {moment(at)}", at)


def _chance(secret: Secret, *also: float) -> float:
    """A number in [0, 1) that is the same for the same certificate and window."""
    told = " ".join((secret.fingerprint, *(repr(one) for one in also)))
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8]) / 2**64
