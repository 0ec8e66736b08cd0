"""One look at a site, its parts side by side. In: a Site and probes. Out: a SiteSeen. Never raises for what it sees."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from perijove.backends.site.asking import UPGRADE, Asker, Place
from perijove.backends.site.building import build
from perijove.domain.certificates import DnsSeen, Hop, SeenCertificate
from perijove.domain.site import CHALLENGE, SESSION, AddressAsked, Got, Site, SiteSeen, json_object

MOST = 8
"""Addresses that are looked at."""
FAMILIES = ("AAAA", "A")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Probes:
    """How the world is seen; each has a limit of its own."""

    names: Callable[[str, str], Coroutine[None, None, tuple[DnsSeen, ...]]]
    """A name and a record to the answers, aliases first. Below 3 s."""
    walk: Callable[[str, str], Coroutine[None, None, tuple[Hop, ...]]]
    """An address and a URL to its hops. Below 7 s."""
    handshake: Callable[[str, int, str], Coroutine[None, None, SeenCertificate]]
    """Address, port and name to what is shown. Raises OSError. Below 5 s."""
    asker: Asker


async def look(site: Site, probes: Probes, hub: Site | None = None) -> SiteSeen:
    """Names, then every address, then what the Binder itself answers; at most 11 s, and then the build, if any.

    The host of the hub, and of the session that was built, is looked at like the first, where it is another.
    """
    async with asyncio.TaskGroup() as group:
        first = group.create_task(_binder(site, probes), name=f"look at {site.host}")
        beside = [group.create_task(_host(one, probes), name=f"look at {one.host}") for one in _apart(hub, site)]
    seen, others = first.result(), [one.result() for one in beside]
    others += [await _host(one, probes) for one in _apart(_session_at(seen), site, *(o.site for o in others))]
    return replace(seen, others=tuple(others))


def _apart(site: Site | None, *known: Site) -> tuple[Site, ...]:
    """A site, where its host is none of those; nothing else."""
    places = {(one.scheme, one.host, one.port) for one in known}
    return (site,) if site is not None and (site.scheme, site.host, site.port) not in places else ()


def _session_at(seen: SiteSeen) -> Site | None:
    """Where the session is that was built."""
    ready = json_object(seen.build.frames[-1].data) if seen.build is not None and seen.build.frames else {}
    try:
        parts = urlsplit(str(ready.get("url", ""))[:2000])
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname:
        return None
    return Site(parts.scheme, parts.hostname, port, http_port=seen.site.http_port, build="")


async def _host(site: Site, probes: Probes) -> SiteSeen:
    """Names and addresses alone."""
    at = time.time()
    dns, found = await _names(site.host, probes)
    return SiteSeen(site, at, dns, await _together(*(_address(site, one, probes) for one in found)))


async def _binder(site: Site, probes: Probes) -> SiteSeen:
    began = time.monotonic()
    if site.scheme == "http":
        _, found = await _names(site.host, probes)
        site = _secured(site, await probes.walk(found[0], site.url)) if found else site
    seen = await _host(site, probes)
    through = next((one.address for one in seen.addresses if _answers(site, one)), "")
    if not through:
        return replace(seen, seconds=time.monotonic() - began)
    health, versions, plain, upgraded = await _together(
        _get(site, "health", through, probes), _get(site, "versions", through, probes),
        _get(site, SESSION[1:], through, probes), _get(site, SESSION[1:], through, probes, upgrade=True),
    )  # fmt: skip
    seen = replace(seen, health=health, versions=versions, plain=plain, upgraded=upgraded)
    seen = replace(seen, seconds=time.monotonic() - began)
    if not site.build or not _speaks(seen):
        return seen
    place = Place(f"{site.url}build/{site.build}", through)
    return replace(seen, build=await build(probes.asker, place, site.host, partial(_first, probes)))


async def _first(probes: Probes, host: str) -> str:
    """One address of a name, by whom names are asked; `` for none."""
    _, found = await _names(host, probes)
    return next((one for one in found if ":" not in one), next(iter(found), ""))


async def _names(host: str, probes: Probes) -> tuple[tuple[DnsSeen, ...], tuple[str, ...]]:
    """What name servers say, and the addresses; of an address nothing, of `localhost` this machine (RFC 6761, 6.3)."""
    try:
        return (), (str(ip_address(host)),)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return (), ("127.0.0.1",)
    told = await _together(*(probes.names(host, record) for record in FAMILIES))
    values = [value for one in told for value in one[-1].values[:MOST]]
    return tuple(dict.fromkeys(seen for one in told for seen in one)), tuple(values[: 2 * MOST])


def _secured(site: Site, hops: tuple[Hop, ...]) -> Site:
    """The same site by https, where that is where http leads."""
    for hop in hops[1:]:
        parts = urlsplit(hop.url)
        if (parts.scheme, parts.hostname) == ("https", site.host):
            return replace(site, scheme="https", port=parts.port or 443, http_port=site.port)
    return replace(site, http_port=site.port)


async def _address(site: Site, address: str, probes: Probes) -> AddressAsked:
    """Both ports of one address."""
    token = secrets.token_urlsafe(32)
    urls = [site.http(site.path), site.http(CHALLENGE + token)] + ([site.url] if site.scheme == "https" else [])
    async with asyncio.TaskGroup() as group:
        shaking = group.create_task(_shown(site, address, probes), name=f"shake hands with {address}")
        walked = await _together(*(probes.walk(address, url) for url in urls))
    page, challenge, *secure = walked
    return AddressAsked(address, page, challenge, secure[0] if secure else (), *shaking.result())


async def _together(*parts: Coroutine[None, None, Part]) -> tuple[Part, ...]:
    """All of them at once."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(part, name="a look at a site") for part in parts]
    return tuple(one.result() for one in asked)


async def _shown(site: Site, address: str, probes: Probes) -> tuple[SeenCertificate | None, str]:
    """The certificate, or why there is none."""
    if site.scheme == "http":
        return None, ""
    try:
        return await probes.handshake(address, site.port, site.host), ""
    except OSError as error:
        return None, (str(error) or "no answer in time")[:300]


def _answers(site: Site, one: AddressAsked) -> bool:
    """Whether the port that people are meant to use answers at all."""
    return one.certificate is not None if site.scheme == "https" else bool(one.page and one.page[0].status)


async def _get(site: Site, path: str, address: str, probes: Probes, *, upgrade: bool = False) -> Got:
    return await probes.asker.get(Place(f"{site.url}{path}", address), UPGRADE if upgrade else None)


def _speaks(seen: SiteSeen) -> bool:
    """Whether it is worth asking for a build: something answers as the site, be it ill."""
    return any(one is not None and one.status == 200 for one in (seen.health, seen.versions)) or (
        seen.health is not None and seen.health.status == 503 and "checks" in seen.health.body
    )
