"""Who orders the certificate that this nginx itself shows for a name, and does that need port 80? Pure.

Without the client's own files (`Renewal`) paths and comments tell: certbot writes `# managed by Certbot` behind its
lines (certbot-nginx 2.11, `parser.COMMENT`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from perijove.doctor.engine import NotSeen
from perijove.doctor.front.matching import http_server
from perijove.doctor.front.requests import Hop
from perijove.doctor.front.servers import Front
from perijove.domain.findings import Confidence
from perijove.domain.web_servers import Directive, Renewal, Way

CLIENTS = {"letsencrypt": "certbot", ".acme.sh": "acme.sh", ".lego": "lego", "lego": "lego", "dehydrated": "dehydrated"}
"""Clients by the folders that they keep certificates in."""
_COMMENT = "# managed by Certbot"


def chains(front: Front) -> Iterator[str]:
    """All files of certificates that it shows."""
    for server in front.http:
        for block in (server.http, server.block):
            yield from (one.args[0] for one in block.all("ssl_certificate") if one.args)


def chain(front: Front, host: str, at: tuple[str, int]) -> Directive | None:
    """The file of the certificate that port 443 of the name (`at`) shows; None where that is not this nginx's own."""
    found = http_server(front, *at, host)
    if found is None:
        return None
    server, listen = found
    file = server.block.last("ssl_certificate") or server.http.last("ssl_certificate")
    tls = listen.tls or any(one.tls for one in server.listens)
    return file if tls and file is not None and file.args else None


def acme_client(front: Front, renewals: Mapping[str, Renewal], host: str, at: tuple[str, int]) -> Renewal | None:
    """By whom; its client `` for somebody. None where port 443 of the name (`at`) is not this nginx's own."""
    file, found = chain(front, host, at), http_server(front, *at, host)
    if file is None or found is None:
        return None
    if known := renewals.get(file.args[0]):
        return known
    client = next((CLIENTS[part] for part in PurePosixPath(file.args[0]).parts if part in CLIENTS), "")
    managed = not client and any(_commented(front, one) for one in found[0].block.block or ())
    return Renewal("certbot" if managed else client, Way.UNKNOWN, file.where)


def _commented(front: Front, one: Directive) -> bool:
    lines = front.configuration.texts.get(one.file, "").splitlines()
    return 0 < one.line <= len(lines) and _COMMENT in lines[one.line - 1]


def judged(by: Renewal, last: Hop, cause: str) -> tuple[str, Confidence]:
    """What is left of a reason why no challenge gets through, `` for nothing, and how sure it is. Raises NotSeen."""
    who = f"{by.client} ({by.where})" if by.client else f"whoever orders the certificate of {by.where}"
    match by.way:
        case Way.NGINX | Way.ELSEWHERE:
            return "", Confidence.CERTAIN
        case Way.FILES if last.files.rstrip("/") in by.folders:
            return "", Confidence.CERTAIN
        case Way.FILES:
            return f"{cause}, while {who} puts its answers below {' and '.join(by.folders)}", Confidence.LIKELY
        case Way.ALONE:
            raise NotSeen(f"{who} answers by itself while it renews, when nginx leaves it port 80")
        case _ if by.client:
            raise NotSeen(f"{who} orders the certificate, and how it answers was not seen")
        case _ if last.files:
            raise NotSeen(f"{who} may put its answers below {last.files}")
    return cause, Confidence.POSSIBLE
