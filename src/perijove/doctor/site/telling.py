"""What was seen of a site as evidence, bounded: answers and handshakes. Pure."""

from __future__ import annotations

from perijove.certifying.formatting import moment
from perijove.certifying.verdict.sentences import certificate
from perijove.doctor.cluster.telling import seen
from perijove.domain.certificates import SeenCertificate
from perijove.domain.failures import Evidence
from perijove.domain.site import AddressAsked, Got, SiteSeen


def answered(got: Got) -> Evidence:
    """One answer."""
    if not got.status:
        return seen(f"GET {got.url}", got.words)
    parts = [str(got.status)]
    fields = (("Server", got.server), ("Content-Type", got.kind), ("Location", got.location))
    parts += [f"{name}: {value}" for name, value in fields if value]
    parts += [f"body: {got.body[:200]!r}"] if got.body else []
    return seen(f"GET {got.url}", ", ".join(parts))


def shown(looked: SiteSeen, one: AddressAsked) -> Evidence:
    """What the https port of an address shows."""
    where = f"TLS handshake with {one.address} port {looked.site.port} for {looked.site.host}"
    if one.certificate is None:
        return seen(where, one.handshake)
    problem = f": {one.certificate.problem}" if one.certificate.problem else ""
    return seen(where, f"{certificate(one.certificate)}{problem}; {validity(one.certificate)}")


def validity(one: SeenCertificate) -> str:
    """Names and dates."""
    return f"for {', '.join(one.names[:8]) or 'no name'}, {moment(one.not_before)} to {moment(one.not_after)}"
