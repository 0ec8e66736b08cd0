"""What was seen, in words: hops, certificates and questions to name servers as evidence. Pure."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlsplit

from perijove.certifying.verdict.web_servers import PATH
from perijove.domain.certificates import DnsSeen, Hop, SeenCertificate
from perijove.domain.failures import Evidence

MOST = 600
"""Characters of one piece of evidence."""
BODY = 160
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*(?:</title|$)", re.IGNORECASE | re.DOTALL)
_SILENCES = {
    "refused": "refuses connections",
    "timeout": "does not answer attempts to connect",
    "silent": "takes connections and does not answer in time",
    "unreachable": "cannot be reached",
    "reset": "closes the connection without an answer",
    "tls": "breaks off the TLS handshake",
    "not-http": "answers something that is not HTTP",
}


def place(url: str) -> str:
    """A URL without the token."""
    head, found, _ = url.partition(PATH)
    return f"{head}{PATH}…" if found else url[:200]


def who(hop: Hop) -> str:
    """Who answered, and where."""
    return f"{hop.server or 'a web server without a name'} at {hop.address}"


def silence(hop: Hop) -> str:
    """What a hop without an answer did: a predicate."""
    told = f" ({hop.words})" if hop.words and hop.error in {"tls", "not-http", "unreachable", "unresolved"} else ""
    return f"{_SILENCES.get(hop.error, hop.error)}{told}"


def title(hop: Hop) -> str:
    """The title of a page, as text."""
    found = _TITLE.search(hop.body)
    return " ".join(unescape(found[1]).split())[:100] if found else ""


def answer(hop: Hop) -> str:
    """What a hop answered: a predicate."""
    named = title(hop)
    shown = f" with a page called “{named}”" if named and not named.startswith(str(hop.status)) else ""
    return f"answers {hop.status}{shown}" if hop.status else silence(hop)


def certificate(seen: SeenCertificate) -> str:
    """A certificate in a few words."""
    if seen.self_signed:
        return f"self-signed ({seen.subject})"
    return f"{'trusted' if seen.trusted else 'not trusted'} ({seen.subject}, signed by {seen.signed_by})"


def wall(hops: tuple[Hop, ...]) -> str:
    """What visitors meet on the way, where its certificate is not trusted: a clause to go on with, or ``."""
    shown = next((hop for hop in hops if hop.certificate is not None and not hop.certificate.trusted), None)
    if shown is None or shown.certificate is None:
        return ""
    passing = ", and browsers that saw its HSTS header cannot pass" if shown.hsts else ", of which browsers warn"
    return f"; the certificate of {urlsplit(shown.url).hostname} there is {certificate(shown.certificate)}{passing}"


def hop_evidence(hop: Hop) -> Evidence:
    """One hop, whole and bounded."""
    where = f"GET {hop.url[:300]}{f' at {hop.address}' if hop.address else ''}"
    if hop.error:
        return Evidence(where, f"{hop.error}: {hop.words}"[:MOST])
    parts = [str(hop.status)]
    fields = (
        ("Server", hop.server), ("Location", hop.location), ("Strict-Transport-Security", hop.hsts),
        ("WWW-Authenticate", hop.asks_password), ("X-Perijove-Solver", hop.marker),
        ("Content-Encoding", hop.encoding),
    )  # fmt: skip
    parts += [f"{name}: {value}" for name, value in fields if value]
    parts += [hop.via] if hop.via else []
    parts += [f"certificate: {certificate(hop.certificate)}"] if hop.certificate else []
    parts += [f"body: {hop.body[:BODY]!r}"] if hop.body else []
    return Evidence(where, ", ".join(parts)[:MOST])


def handshake_evidence(hop: Hop) -> Evidence:
    """What answered on port 443 to a look for TLS-ALPN-01."""
    where = f"TLS handshake for acme-tls/1 with {hop.address}"
    if hop.error:
        return Evidence(where, f"{hop.error}: {hop.words}"[:MOST])
    shown = certificate(hop.certificate) if hop.certificate else "none"
    return Evidence(where, "the challenge's certificate" if hop.marker else f"another certificate: {shown}")


def dns_evidence(seen: DnsSeen) -> Evidence:
    """One question and its answer."""
    return Evidence(f"{seen.record} of {seen.name} from {seen.server}", f"{_said(seen)} {seen.words}".strip()[:MOST])


def cached_evidence(old: DnsSeen, now: DnsSeen) -> Evidence:
    """What a resolver remembers, beside what the zone's own server says."""
    until = f", cached for {old.ttl} s" if old.ttl else ""
    half = MOST // 3
    saw = f"still says {_said(old)[:half]}{until}; the zone's server {now.server} says {_said(now)[:half]}"
    return Evidence(f"{old.record} of {old.name} from {old.server}", saw)


def _said(seen: DnsSeen) -> str:
    return ", ".join(seen.values) if seen.values else seen.status
