"""Who stands in front of a site, and what must be written there? In: what it answered. Out: its name, lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.certifying.verdict import web_servers
from perijove.doctor.front.lines import WRITTEN, Front
from perijove.domain.certificates import Hop
from perijove.domain.site import Got, SiteSeen

BEHIND = "ADDRESS-OF-THE-BINDER:PORT"
SOLVER = "ADDRESS:PORT of whoever orders the certificate"


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
