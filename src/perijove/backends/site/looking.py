"""One look at a site, its parts side by side. In: a Site and eyes. Out: a SiteSeen. Never raises for what it sees."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from perijove.backends.site.asking import UPGRADE, Asker, Place
from perijove.backends.site.building import build
from perijove.domain.certificates import DnsSeen, Hop, SeenCertificate
from perijove.domain.site import CHALLENGE, SESSION, AddressAsked, Got, Site, SiteSeen

MOST = 8
"""Addresses that are looked at."""
FAMILIES = ("AAAA", "A")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Eyes:
    """How the world is seen; each has a limit of its own."""

    names: Callable[[str, str], Coroutine[None, None, tuple[DnsSeen, ...]]]
    """A name and a record to the answers, aliases first. Below 3 s."""
    walk: Callable[[str, str], Coroutine[None, None, tuple[Hop, ...]]]
    """An address and a URL to its hops. Below 7 s."""
    handshake: Callable[[str, int, str], Coroutine[None, None, SeenCertificate]]
    """Address, port and name to what is shown. Raises OSError. Below 5 s."""
    asker: Asker


async def look(site: Site, eyes: Eyes) -> SiteSeen:
    """Names, then every address, then what the Binder itself answers; at most 11 s, and then the build, if any."""
    at, began = time.time(), time.monotonic()
    dns, found = await _names(site.host, eyes)
    if site.scheme == "http" and found:
        site = _secured(site, await eyes.walk(found[0], site.url))
    looked = await _together(*(_address(site, one, eyes) for one in found))
    seen = SiteSeen(site, at, dns, looked)
    through = next((one.address for one in looked if _answers(site, one)), "")
    if not through:
        return replace(seen, seconds=time.monotonic() - began)
    health, versions, plain, upgraded = await _together(
        _get(site, "health", through, eyes), _get(site, "versions", through, eyes),
        _get(site, SESSION[1:], through, eyes), _get(site, SESSION[1:], through, eyes, upgrade=True),
    )  # fmt: skip
    seen = replace(seen, health=health, versions=versions, plain=plain, upgraded=upgraded)
    seen = replace(seen, seconds=time.monotonic() - began)
    if not site.build or not _speaks(seen):
        return seen
    place = Place(f"{site.url}build/{site.build}", through)
    return replace(seen, build=await build(eyes.asker, place, site.host))


async def _names(host: str, eyes: Eyes) -> tuple[tuple[DnsSeen, ...], tuple[str, ...]]:
    """What name servers say, and the addresses; of an address nothing, of `localhost` this machine (RFC 6761, 6.3)."""
    try:
        return (), (str(ip_address(host)),)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return (), ("127.0.0.1",)
    told = await _together(*(eyes.names(host, record) for record in FAMILIES))
    values = [value for one in told for value in one[-1].values[:MOST]]
    return tuple(dict.fromkeys(seen for one in told for seen in one)), tuple(values[: 2 * MOST])


def _secured(site: Site, hops: tuple[Hop, ...]) -> Site:
    """The same site by https, where that is where http leads."""
    for hop in hops[1:]:
        parts = urlsplit(hop.url)
        if (parts.scheme, parts.hostname) == ("https", site.host):
            return replace(site, scheme="https", port=parts.port or 443, http_port=site.port)
    return replace(site, http_port=site.port)


async def _address(site: Site, address: str, eyes: Eyes) -> AddressAsked:
    """Both ports of one address."""
    token = secrets.token_urlsafe(32)
    urls = [site.http(site.path), site.http(CHALLENGE + token)] + ([site.url] if site.scheme == "https" else [])
    async with asyncio.TaskGroup() as group:
        shaking = group.create_task(_shown(site, address, eyes), name=f"shake hands with {address}")
        walked = await _together(*(eyes.walk(address, url) for url in urls))
    page, challenge, *secure = walked
    return AddressAsked(address, page, challenge, secure[0] if secure else (), *shaking.result())


async def _together(*parts: Coroutine[None, None, Part]) -> tuple[Part, ...]:
    """All of them at once."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(part, name="a look at a site") for part in parts]
    return tuple(one.result() for one in asked)


async def _shown(site: Site, address: str, eyes: Eyes) -> tuple[SeenCertificate | None, str]:
    """The certificate, or why there is none."""
    if site.scheme == "http":
        return None, ""
    try:
        return await eyes.handshake(address, site.port, site.host), ""
    except OSError as error:
        return None, (str(error) or "no answer in time")[:300]


def _answers(site: Site, one: AddressAsked) -> bool:
    """Whether the port that people are meant to use answers at all."""
    return one.certificate is not None if site.scheme == "https" else bool(one.page and one.page[0].status)


async def _get(site: Site, path: str, address: str, eyes: Eyes, *, upgrade: bool = False) -> Got:
    return await eyes.asker.get(Place(f"{site.url}{path}", address), UPGRADE if upgrade else None)


def _speaks(seen: SiteSeen) -> bool:
    """Whether it is worth asking for a build: something answers as the site, be it ill."""
    return any(one is not None and one.status == 200 for one in (seen.health, seen.versions)) or (
        seen.health is not None and seen.health.status == 503 and "checks" in seen.health.body
    )
