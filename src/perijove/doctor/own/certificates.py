"""Is each certificate shown, valid, and to be renewed when it is time? In: facts. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.certifying.formatting import span
from perijove.doctor.engine import NotSeen
from perijove.doctor.own.ground import fact
from perijove.domain.certificate_failures import NOT_SERVED, NOT_VALID_NOW
from perijove.domain.failures import Evidence
from perijove.domain.findings import Confidence, Finding, sureness
from perijove.domain.ground import CertificateSeen, CertificateState, Own, Shown


def _all(own: Own) -> tuple[CertificateSeen, ...]:
    if not (found := fact(own.certificates)):
        raise NotSeen("this service has no host of its own")
    return found


def _subject(state: CertificateState) -> str:
    return f"Certificate {state.host}"


def _over(own: Own, state: CertificateState) -> bool:
    """Whether visitors are without a valid one now."""
    return state.not_after <= own.now


def reachable(own: Own) -> Iterator[Finding]:
    """What an order would meet now: told today, though the certificate may hold for months."""
    asked = [one.state for one in _all(own) if one.state.proof]
    if not asked:
        raise NotSeen("no CA is asked that would look")
    for state in asked:
        if state.today is not None:
            sure = Confidence.LIKELY if state.inside else Confidence.CERTAIN
            yield Finding(state.today, _subject(state), sure, foreseen=not _over(own, state))


def valid(own: Own) -> Iterator[Finding]:
    """Certificates that ended, and attempts that failed."""
    for one in _all(own):
        state = one.state
        because = state.today.kind.code if state.today else ""
        if state.failure is not None and state.failure.kind.code != because:
            yield Finding(
                state.failure, _subject(state), Confidence.CERTAIN, because, foreseen=not _over(own, state),
                commands=(f"perijove describe certificate {state.host}",),
            )  # fmt: skip
            because = because or state.failure.kind.code
        if state.fingerprint and _over(own, state):
            ended = Evidence("the certificate that the service has", f"ended {span(own.now - state.not_after)} ago")
            failure = NOT_VALID_NOW(f"it ended {span(own.now - state.not_after)} ago", ended)
            yield Finding(failure, _subject(state), Confidence.CERTAIN, because)


def shown(own: Own) -> Iterator[Finding]:
    """Ports that show something else than the service has."""
    for one in _all(own):
        for port in one.shown:
            if one.state.fingerprint and (saw := _something_else(one.state, port)):
                what = "something else" if port.certificate is not None else "no certificate"
                failure = NOT_SERVED(
                    f"{port.address} shows {what} for {one.state.host}", Evidence(port.address, saw),
                    remedy="Look at who listens there: another program, or a web server in front with its own.",
                )  # fmt: skip
                yield Finding(failure, _subject(one.state), sureness(failure) if port.ours else Confidence.LIKELY)


def _something_else(state: CertificateState, port: Shown) -> str:
    """What, in words; `` for the right one, and for one that visitors trust in front of us.

    A name's address that does not answer us may well answer others: routers seldom lead their own way back.
    """
    shows = port.certificate
    if shows is None:
        return port.words if port.ours else ""
    if shows.fingerprint == state.fingerprint or (shows.trusted and not port.ours):
        return ""
    return f"{shows.called}, signed by {shows.signed_by}, SHA-256 {shows.fingerprint}"
