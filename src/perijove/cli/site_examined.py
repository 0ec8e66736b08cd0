"""`perijove doctor URL`: what a Binder answered from outside, and what came of it. Prints; returns the exit status."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

import typer
from rich.text import Text

from perijove.certifying.verdict.sentences import dns_evidence, hop_evidence
from perijove.cli import examination, printing
from perijove.cli.examination import Looked, Status
from perijove.doctor.site.diagnosis import diagnosed
from perijove.doctor.site.telling import answered, program, shown
from perijove.domain.failures import Evidence
from perijove.domain.parsing import split_address
from perijove.domain.site import TINY, AddressAsked, Site, SiteSeen
from perijove.wiring import site as wiring

SAFE = "/%:@!$&'()*+,;=~-._"
"""What a path may hold as it is (RFC 3986, 3.3)."""


def asked(url: str, http_port: int, build: str | None) -> Site:
    """What the command line asks for; `build` is `` for nothing, None for what is usual."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = (parts.hostname or "").encode("idna" if not (parts.hostname or "").isascii() else "ascii").decode()
    except (ValueError, KeyError) as error:
        raise typer.BadParameter(f"{url} is no address such as https://binder.example.org", param_hint="URL") from error
    if not host or parts.username or any(letter.isspace() or not letter.isprintable() for letter in host):
        raise typer.BadParameter(f"{url} is no address such as https://binder.example.org", param_hint="URL")
    path = quote(parts.path, safe=SAFE).strip("/")
    spec = TINY if build is None else quote(build.strip("/"), safe=SAFE)
    return Site(parts.scheme, host.rstrip("."), port, f"/{path}/" if path else "/", http_port, spec)


def examine(site: Site, ca: Path | None, resolvers: Sequence[str], *, hub: Site | None = None, as_json: bool) -> Status:
    """Look, and tell."""
    if ca is not None:
        try:
            ssl.create_default_context(cafile=str(ca))
        except OSError as error:
            raise typer.BadParameter(f"{ca} holds no certificates in PEM: {error}", param_hint="--ca") from error
    for one in resolvers:
        _address(one)
    if not as_json:
        waits = f"; launching {site.build} there, up to five minutes" if site.build else ""
        printing.err.print(Text(f"Looking at {printing.plain(site.url)}{waits} …", "dim"))
    seen = asyncio.run(wiring.seen(site, str(ca) if ca else "", tuple(resolvers), hub))
    came_of_it = diagnosed(seen)
    examination.show(site.url, came_of_it, looked(seen), as_json=as_json)
    return examination.status(came_of_it)


def _address(given: str) -> None:
    try:
        ip_address(given)
    except ValueError:
        try:
            ip_address(split_address(given)[0])
        except ValueError as error:
            raise typer.BadParameter(f"{given} is not ADDR or ADDR:PORT", param_hint="--resolver") from error


def looked(seen: SiteSeen) -> list[Looked]:
    """Names, each address hop by hop, what the Binder answered."""
    told = [Looked(f"Name servers on {seen.site.host}", tuple(map(dns_evidence, seen.dns)))] if seen.dns else []
    for one in seen.addresses:
        told += [Looked(one.address, _steps(seen, one))]
    answers = [answered(one) for one in (seen.health, seen.versions) if one is not None]
    answers += [replace(answered(seen.upgraded), where="a websocket")] if seen.upgraded is not None else []
    if seen.build is not None:
        saw = f"{len(seen.build.frames)} events in {seen.build.ended:.1f} s"
        answers += [Evidence(f"GET {seen.build.answer.url}", saw)]
    front = program(seen)
    answers += [Evidence("in front", front)] if front else []
    told += [one for other in seen.others for one in looked(other)]
    return [*told, Looked(seen.site.url, tuple(answers))] if answers else told


def _steps(seen: SiteSeen, one: AddressAsked) -> tuple[Evidence, ...]:
    steps = [hop_evidence(hop) for walk in (one.page, one.challenge, one.secure) for hop in walk]
    handshake = [shown(seen, one)] if one.certificate is not None or one.handshake else []
    return tuple(dict.fromkeys((*steps, *handshake)))
