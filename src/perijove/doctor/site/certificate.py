"""Is the certificate one that browsers believe, and will it be tomorrow? In: a SiteSeen. Out: findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perijove.certifying.formatting import span
from perijove.certifying.verdict.sentences import hop_evidence
from perijove.doctor.cluster.telling import found, seen
from perijove.doctor.engine import NotSeen
from perijove.doctor.site.telling import shown
from perijove.domain import certificate_failures as rows
from perijove.domain.certificates import SeenCertificate
from perijove.domain.cluster_tls_failures import CERTIFICATE_NOT_RENEWED, FAKE_CERTIFICATE
from perijove.domain.findings import Confidence, Finding
from perijove.domain.site import AddressAsked, SiteSeen
from perijove.domain.site_failures import CERTIFICATE_UNTRUSTED, HSTS_FORBIDS_EXCEPTION

FAKES = ("Kubernetes Ingress Controller Fake Certificate", "ingress.local", "TRAEFIK DEFAULT CERT")
"""What ingress controllers show where they have nothing better."""
FAKE_CODES = (FAKE_CERTIFICATE.code,)
EMBEDDED = {"Caddy Local Authority": "Caddy's own CA", "Perijove local CA": "this Perijove's embedded CA"}
LATE, LATE_OF = 21 * 86400.0, 1 / 4
"""Seconds, and part of its life, with which left a certificate should have been renewed; the less of the two."""
DUE_OF = 1 / 3
"""With so much of its life left most clients renew."""
_NO_ISSUER = "issuer certificate"


def left(looked: SiteSeen, one: SeenCertificate) -> float:
    """Seconds until it ends."""
    return one.not_after - looked.at


def due(looked: SiteSeen) -> SeenCertificate | None:
    """A certificate that is to be renewed about now, or should have been."""
    for one in looked.addresses:
        shows = one.certificate
        if shows is not None and left(looked, shows) < (shows.not_after - shows.not_before) * DUE_OF:
            return shows
    return None


def wild(looked: SiteSeen) -> bool:
    """Whether it is one with a wildcard, for which every CA asks by DNS alone (Baseline Requirements 3.2.2.4.7)."""
    shows = [one.certificate for one in looked.addresses if one.certificate is not None]
    return any(name.startswith("*.") for one in shows for name in one.names)


def wrong(looked: SiteSeen) -> Iterator[Finding]:
    """What is wrong with what is shown, each certificate told once."""
    if looked.site.scheme != "https":
        raise NotSeen("the site was asked for by http")
    shows = [one for one in looked.addresses if one.certificate is not None]
    if not shows:
        raise NotSeen("no port showed one")
    told: set[str] = set()
    for one in shows:
        assert one.certificate is not None
        if one.certificate.fingerprint not in told:
            told.add(one.certificate.fingerprint)
            yield from _of(looked, one, one.certificate)


def _of(looked: SiteSeen, one: AddressAsked, shows: SeenCertificate) -> Iterator[Finding]:
    site, remaining = looked.site, left(looked, shows)
    believed = shows.trusted
    what = f"{one.address} shows {site.host} "
    if fake := next((fake for fake in FAKES if fake in (shows.subject, shows.signed_by, *shows.names)), ""):
        remedy = "Have the certificate of this name issued; until then its ingress controller shows its own."
        made = found(
            FAKE_CERTIFICATE, f"{what}the certificate {fake}", site.url, Confidence.CERTAIN, shown(looked, one),
            remedy=remedy,
        )  # fmt: skip
    elif remaining < 0 or shows.not_before > looked.at:
        when = f"ended {span(-remaining)} ago" if remaining < 0 else f"begins in {span(shows.not_before - looked.at)}"
        remedy = "Put right what keeps it from being renewed; if it should be valid, look at the clocks."
        made = found(
            rows.NOT_VALID_NOW, f"{what}a certificate that {when}", site.url, Confidence.CERTAIN, shown(looked, one),
            remedy=remedy,
        )  # fmt: skip
    elif not believed:
        made = _untrusted(looked, one, shows)
    elif remaining < min(LATE, (shows.not_after - shows.not_before) * LATE_OF):
        cause = f"It ends in {span(remaining)}, and nobody has renewed it"
        made = found(
            CERTIFICATE_NOT_RENEWED, cause, site.url, Confidence.LIKELY, shown(looked, one), foreseen=True,
            surer_with="when and how it is meant to be renewed",
        )  # fmt: skip
    else:
        return
    yield made
    if not believed:
        yield from _hsts(looked, one, made.code)


def _untrusted(looked: SiteSeen, one: AddressAsked, shows: SeenCertificate) -> Finding:
    site, remedy = looked.site, ""
    embedded = next((said for by, said in EMBEDDED.items() if by in (shows.signed_by + shows.subject)), "")
    kind, sure = CERTIFICATE_UNTRUSTED, Confidence.CERTAIN
    if embedded:
        cause = f"{one.address} shows one of {embedded} ({shows.signed_by})"
    elif shows.self_signed:
        cause = f"{one.address} shows one that signed itself ({shows.subject})"
    elif not covers(shows.names, site.host):
        kind, cause = rows.NAMES_MISSING, f"{one.address} shows one for {', '.join(shows.names[:5]) or shows.subject}"
        cause += f", not for {site.host}"
        remedy = f"Have the server choose the certificate of {site.host} for this name, or get one that holds it."
    elif _NO_ISSUER in shows.problem or "first certificate" in shows.problem:
        kind, sure = rows.CHAIN_BROKEN, Confidence.LIKELY
        cause = f"what {one.address} shows does not lead from {shows.signed_by}, who signed it, to a known root"
        remedy = "Serve the leaf first and then each issuer's certificate; if the CA is your own, name it with --ca."
    else:
        cause = f"{one.address} shows one that is refused: {shows.problem or 'no reason was told'}"
    return found(kind, cause, site.url, sure, shown(looked, one), remedy=remedy)


def covers(names: tuple[str, ...], host: str) -> bool:
    """Whether a certificate's names hold a host (RFC 9525, 6.3)."""
    parent = host.partition(".")[2]
    return any(name.lower() in {host, f"*.{parent}"} for name in names)


def _hsts(looked: SiteSeen, one: AddressAsked, because: str) -> Iterator[Finding]:
    told = next((hop for hop in one.secure if hop.hsts and looked.site.url.startswith(hop.url[:8])), None)
    if told is not None and "max-age=0" not in told.hsts:
        cause = (
            f"{one.address} sends Strict-Transport-Security ({told.hsts[:80]}): browsers offer no way past the warning"
        )
        evidence = (seen(f"GET {told.url}", f"Strict-Transport-Security: {told.hsts}"), hop_evidence(told))
        made = found(HSTS_FORBIDS_EXCEPTION, cause, looked.site.url, Confidence.LIKELY, *evidence)
        yield replace(made, because=because, because_of=looked.site.url)
