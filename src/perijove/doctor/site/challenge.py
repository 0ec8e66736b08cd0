"""Would a CA's look at port 80 get through, as far as that is seen from outside? In: a SiteSeen. Out: findings. Pure.

Nobody knows what a made-up token should get: a solver says 404, and so does an ingress that has none. So a redirect
that ends in a 404 is no fault, and is suspected only where the certificate shows that renewing does not work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from perijove.certifying.verdict import web_servers
from perijove.certifying.verdict.sentences import hop_evidence, who
from perijove.certifying.verdict.trail import Trail, why
from perijove.doctor.cluster.telling import MOST, found
from perijove.doctor.engine import NotSeen
from perijove.doctor.site import certificate, reaching
from perijove.doctor.site.telling import SOLVER, lines
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import Hop
from perijove.domain.cluster_tls_failures import CERTIFICATE_NOT_RENEWED, FAKE_CERTIFICATE
from perijove.domain.failures import Kind
from perijove.domain.findings import Confidence, Finding
from perijove.domain.front_failures import ACME_HTTP01_BLOCKED_BY_FRONT_PROXY
from perijove.domain.site import AddressAsked, SiteSeen

GOES_WRONG: tuple[Kind, ...] = (
    rows.LOGIN_REDIRECT, rows.LOGIN_PAGE, rows.PASSWORD_ASKED, rows.REDIRECT_LOOP, rows.REDIRECT_BAD_PORT,
    rows.REDIRECT_UNRESOLVED, rows.REDIRECT_REFUSED, rows.REDIRECT_ELSEWHERE, rows.UPSTREAM_DOWN, rows.OTHER_SITE,
)  # fmt: skip
"""Whatever the token, no solver was asked."""
UNRENEWED = {rows.NOT_VALID_NOW.code, FAKE_CERTIFICATE.code, CERTIFICATE_NOT_RENEWED.code}
"""What a certificate looks like that could not be renewed, or never be issued."""
UNANSWERED = {rows.PORT_REFUSED.code, rows.PORT_FILTERED.code, rows.TLS_ON_PORT_80.code}
SURER = "`perijove doctor nginx` on the web server in front, or the certificate's Challenge and its message"


def blocked(looked: SiteSeen) -> Iterator[Finding]:
    """A web server that keeps the challenge from whoever orders the certificate."""
    if looked.site.scheme != "https":
        raise NotSeen("the site was asked for by http")
    if certificate.wild(looked):
        raise NotSeen("the certificate has a wildcard, which is ordered by DNS-01 alone")
    asked = [one for one in looked.addresses if one.challenge and one.challenge[0].status]
    if not asked:
        raise NotSeen("port 80 does not answer")
    unrenewed = [one for one in _certificates(looked) if one.code in UNRENEWED]
    over = any(not one.foreseen for one in unrenewed)
    for one in asked:
        if (told := _astray(looked, one)) and (certificate.due(looked) is not None or unrenewed):
            yield _found(looked, one, told, Confidence.LIKELY, foreseen=not over)
            return
        if unrenewed and (told := _suspect(one)):
            sure = Confidence.LIKELY if _two(one.challenge) else Confidence.POSSIBLE
            yield _found(looked, one, told, sure, foreseen=not over)
            return


def _certificates(looked: SiteSeen) -> list[Finding]:
    try:
        return list(certificate.wrong(looked))
    except NotSeen:
        return []


def _astray(looked: SiteSeen, one: AddressAsked) -> str:
    """The sentence that says why no solver can have been asked; `` where one may have been."""
    last = one.challenge[-1]
    trail = Trail(looked.site.host, one.challenge, "", "", SOLVER, (looked.site.http_port, looked.site.port))
    if last.marker or last.status == 404:
        return ""
    kind, cause, _ = why(trail)
    return (
        cause.replace(" instead of Perijove", "") if kind in GOES_WRONG or kind is rows.REDIRECT_NOT_FORWARDED else ""
    )


def _suspect(one: AddressAsked) -> str:
    """A redirect of the challenge itself."""
    first, last = one.challenge[0], one.challenge[-1]
    if len(one.challenge) < 2 or last.marker:
        return ""
    return (
        f"{who(first)} redirects the challenge as well ({first.status}), and what answers there ({last.status}) is not "
        "seen to be a solver, while the certificate is not renewed"
    )


def _two(hops: tuple[Hop, ...]) -> bool:
    """Whether the redirect is one server's and the answer another's: the first keeps all of port 80 to itself."""
    return bool(hops[0].server) and hops[0].server != hops[-1].server


def _found(looked: SiteSeen, one: AddressAsked, cause: str, sure: Confidence, *, foreseen: bool) -> Finding:
    first = one.challenge[0]
    name = web_servers.program(first)
    return found(
        ACME_HTTP01_BLOCKED_BY_FRONT_PROXY, cause[:MOST], looked.site.http("/.well-known/acme-challenge/…"), sure,
        *map(hop_evidence, one.challenge[:4]), commands=lines(looked, name) if name else (),
        remedy=f"{web_servers.pass_on(first, looked.site.host, SOLVER)} Leave it so: each renewal comes the same way.",
        foreseen=foreseen, surer_with=SURER,
    )  # fmt: skip


def explained(looked: SiteSeen, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings about the certificate, with what keeps it from being renewed as their reason."""
    try:
        root = next(blocked(looked), None)
    except NotSeen:
        root = None
    sure = Confidence.CERTAIN
    if root is None:  # nobody answers on port 80: whoever renews by it does not get there
        sure = Confidence.LIKELY
        with suppress(NotSeen):
            root = next((one for one in reaching.ports(looked) if one.code in UNANSWERED), None)
    for one in findings:
        if root is None or one.code not in UNRENEWED:
            yield one
        else:
            yield replace(one, because=root.code, because_of=root.subject, follows=sure)
