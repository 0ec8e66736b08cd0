"""What was seen of a site: answers and handshakes as evidence, bounded; who stands in front, and its lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.certifying.formatting import moment
from perijove.certifying.verdict import web_servers
from perijove.certifying.verdict.sentences import certificate
from perijove.doctor.cluster.telling import seen
from perijove.doctor.front.lines import WRITTEN, Front
from perijove.domain.certificates import Hop, SeenCertificate
from perijove.domain.failures import Evidence
from perijove.domain.site import AddressAsked, Got, SiteSeen

BEHIND = "ADDRESS-OF-THE-BINDER:PORT"
SOLVER = "ADDRESS:PORT of whoever orders the certificate"


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


def program(seen: SiteSeen) -> str:
    """nginx, HAProxy, Apache, Caddy; `` where nobody can say. Who redirects port 80 counts first."""
    return next((one for one in (web_servers.program(hop) for hop in _answers(seen)) if one), "")


def _answers(seen: SiteSeen) -> Iterator[Hop]:
    for one in seen.addresses:
        yield from (walk[0] for walk in (one.page, one.challenge, one.secure) if walk)
    for got in (seen.upgraded, seen.health, seen.versions, seen.build.answer if seen.build else None):
        if got is not None:
            yield hop(got)


def hop(got: Got) -> Hop:
    """An answer of the site's as a hop."""
    return Hop(
        got.url, "", got.status, server=got.server, location=got.location, body=got.body[:512], undated=got.undated,
    )  # fmt: skip


def lines(seen: SiteSeen, name: str = "") -> tuple[str, ...]:
    """All that this web server must pass on, in its own words; nothing for one that is not known."""
    written = WRITTEN.get(name or program(seen))
    return (written(Front((seen.site.host,), BEHIND, own=False, base=seen.site.path)),) if written is not None else ()
