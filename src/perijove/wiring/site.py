"""The doctor before somebody's Binder: probes for names, hops and handshakes, joined. In: a Site. Out: a SiteSeen."""

from __future__ import annotations

from perijove.backends.probes.handshakes import Handshakes, unverified
from perijove.backends.probes.hops import Hops
from perijove.backends.probes.names import Names
from perijove.backends.site.asking import Asker
from perijove.backends.site.looking import Probes, look
from perijove.domain.site import Site, SiteSeen


async def seen(site: Site, roots: str = "", resolvers: tuple[str, ...] = (), hub: Site | None = None) -> SiteSeen:
    """One look, at the hub's host too; `roots` is the file by which certificates are judged, `` for Mozilla's,
    `resolvers` who is asked.
    """
    names = Names(lambda: resolvers)
    handshakes = Handshakes(lambda: roots)
    secure = site.port if site.scheme == "https" else 443
    plain = site.http_port if site.scheme == "https" else site.port
    hops = Hops(names, handshakes, lambda: (plain, secure))
    return await look(site, Probes(names.ask, hops.walk, handshakes.certificate, Asker(unverified())), hub)
