"""Does a site's name lead somewhere, do its ports answer, do its redirects end? In: a SiteSeen. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perijove.certifying.verdict.sentences import dns_evidence, hop_evidence
from perijove.certifying.verdict.trail import Trail, why
from perijove.certifying.verdict.web_servers import without_tls
from perijove.doctor.cluster.telling import MOST, found, seen
from perijove.doctor.engine import NotSeen
from perijove.doctor.site import certificate
from perijove.doctor.site.telling import SOLVER, shown
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import DnsSeen, Hop
from perijove.domain.failures import Evidence, Kind
from perijove.domain.findings import Confidence, Finding, sureness
from perijove.domain.site import AddressAsked, SiteSeen
from perijove.domain.site_failures import HTTPS_UNANSWERED, REDIRECT_ASTRAY

_NAMED = {
    "server-failure": (rows.DNS_SERVER_FAILURE, "{by} cannot say which addresses {host} has"),
    "no-record": (rows.DNS_NO_ADDRESS, "{by} says that {host} has neither an A nor an AAAA record"),
    "no-such-name": (rows.DNS_NO_SUCH_NAME, "{by} says that {host} does not exist"),
}
_ASTRAY = {rows.REDIRECT_LOOP, rows.REDIRECT_UNRESOLVED, rows.REDIRECT_REFUSED}
_NO_IPV6 = "Network is unreachable"
"""What the system says of an IPv6 address where this machine has no IPv6."""


def names(looked: SiteSeen) -> Iterator[Finding]:
    """A name that has no address."""
    if looked.addresses or not looked.dns:
        return
    asked = [one for one in looked.dns if one.record in {"A", "AAAA"}]
    statuses = [one.status for one in asked]
    status = next((one for one in _NAMED if one in statuses), "no-answer")
    if status == "no-answer":
        raise NotSeen(f"no name server answered: {asked[0].server if asked else ''}")
    if status == "no-record" and "no-answer" in statuses:
        raise NotSeen("not all name servers answered")
    kind, cause = _NAMED[status]
    by = ", ".join(dict.fromkeys(one.server for one in asked))
    remedy = "" if kind is rows.DNS_SERVER_FAILURE else "Create an A or AAAA record that leads to the site."
    yield found(
        kind, cause.format(by=by, host=looked.site.host), looked.site.host, _sure(asked),
        *map(dns_evidence, looked.dns), remedy=remedy,
    )  # fmt: skip


def _sure(asked: list[DnsSeen]) -> Confidence:
    failing = any(one.status == "server-failure" for one in asked)
    return Confidence.LIKELY if failing else Confidence.CERTAIN


def ports(looked: SiteSeen) -> Iterator[Finding]:
    """Ports that do not answer, address by address."""
    answer = [one for one in looked.addresses if _serves(looked, one)]
    bad = [one for one in looked.addresses if one not in answer and not _no_way(one)]
    if not answer and not bad:
        raise NotSeen("this machine has no way to these addresses")
    if looked.site.scheme == "https" and bad:
        yield _closed(looked, bad, answer)
    elif looked.site.scheme == "http" and not answer:
        yield from _plain(looked, bad, well=False)
    if looked.site.scheme == "https" and not (answer and certificate.wild(looked)):
        yield from _plain(looked, looked.addresses, well=bool(answer))


def _serves(looked: SiteSeen, one: AddressAsked) -> bool:
    return one.certificate is not None if looked.site.scheme == "https" else bool(one.page and one.page[0].status)


def _no_way(one: AddressAsked) -> bool:
    told = one.handshake or (one.page[0].words if one.page else "")
    return ":" in one.address and _NO_IPV6 in told


def _closed(looked: SiteSeen, bad: list[AddressAsked], answer: list[AddressAsked]) -> Finding:
    """The https port, at all addresses or at some."""
    at = ", ".join(one.address for one in bad)
    evidence = [shown(looked, one) for one in (*bad, *answer)]
    if answer and all(":" in one.address for one in bad):
        cause = f"DNS has {at}, where port {looked.site.port} does not answer; {answer[0].address} does"
        remedy = "Remove the AAAA record, or have IPv6 lead to the site: browsers and CAs try it first."
        return found(rows.IPV6_BROKEN, cause, looked.site.host, Confidence.LIKELY, *evidence, remedy=remedy)
    others = f"; {', '.join(one.address for one in answer)} does" if answer else ""
    cause = f"port {looked.site.port} of {at} does not answer as TLS: {bad[0].handshake}{others}"
    made = found(HTTPS_UNANSWERED, cause, looked.site.url, Confidence.CERTAIN, *evidence)
    return replace(made, confidence=sureness(made.failure))


def _plain(looked: SiteSeen, asked: tuple[AddressAsked, ...] | list[AddressAsked], *, well: bool) -> Iterator[Finding]:
    """Port 80: who types the name begins there, and CAs look there alone for HTTP-01."""
    for one in asked:
        told = one.challenge or one.page
        if not told or _no_way(one) or told[0].status not in {0, 400, 497}:
            continue
        kind, cause, _ = why(_trail(looked, told))
        if kind is rows.TLS_ON_PORT_80:
            remedy = without_tls(told[0], looked.site.host, SOLVER)
        elif kind in {rows.PORT_REFUSED, rows.PORT_FILTERED}:
            remedy = f"Have port {looked.site.http_port} of {one.address} redirect people and pass challenges on."
        else:
            continue
        surer = "how the certificate is renewed: by TLS-ALPN-01 or DNS-01 it needs no port 80" if well else ""
        because = HTTPS_UNANSWERED if not well and looked.site.scheme == "https" else None
        heard = Confidence.LIKELY if kind is rows.PORT_FILTERED else Confidence.CERTAIN
        sure = Confidence.POSSIBLE if well else heard
        yield found(
            kind, cause[:MOST], looked.site.http("/"), sure, hop_evidence(told[0]), because=because, remedy=remedy,
            foreseen=well, surer_with=surer,
        )  # fmt: skip
        return


def _trail(looked: SiteSeen, hops: tuple[Hop, ...]) -> Trail:
    return Trail(looked.site.host, hops, "", "", SOLVER, (looked.site.http_port, looked.site.port))


def redirects(looked: SiteSeen) -> Iterator[Finding]:
    """Ways from the front page that end nowhere."""
    for one in looked.addresses:
        for hops in (one.secure, one.page):
            if len(hops) < 2 and not (hops and hops[0].location):
                continue
            kind, cause, _ = why(_trail(looked, hops))
            dead = hops[-1].error and hops[-1].url.startswith(looked.site.url)
            if kind not in _ASTRAY or dead:
                continue  # what the site itself does not answer is told as that
            steps: list[Evidence] = [hop_evidence(hop) for hop in hops[:4]]
            if len(hops) > 4:
                steps += [seen("and then", f"{len(hops) - 4} more")]
            yield found(
                REDIRECT_ASTRAY, cause[:MOST], looked.site.url, Confidence.CERTAIN, *steps, remedy=_straight(kind)
            )
            return


def _straight(kind: Kind) -> str:
    if kind is not rows.REDIRECT_LOOP:
        return ""
    return (
        "Take the redirect out of the place where it leads to. Where TLS ends before the server that redirects, that "
        "one takes every request for http: let it read X-Forwarded-Proto."
    )
