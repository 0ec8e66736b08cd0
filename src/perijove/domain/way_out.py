"""How the operator's own programs reach the web, which sandboxes then do too: by a proxy, with authorities. Pure.

In: the service's environment, as curl and Python read it. Out: addresses of proxies, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SCHEMES = ("http", "socks5", "socks5h")
"""Of proxies that can lead on from a sandbox."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """Nothing of it: straight, and with the authorities of the system."""

    http: str = ""
    https: str = ""
    """URL of the proxy for each scheme, `` for none."""
    direct: tuple[str, ...] = ()
    """Hosts that are reached without it: names with all below them, addresses, networks, `*`."""
    authorities: Path | None = None
    """A file of certificates in PEM."""

    def proxy(self, scheme: str, host: str) -> str:
        """URL of the proxy for a host; `` where there is none."""
        named = self.https if scheme == "https" else self.http
        return "" if not named or any(_means(entry, host) for entry in self.direct) else named


STRAIGHT = WayOut()


def way_out(environ: Mapping[str, str], authorities: Path | None = None) -> WayOut:
    """What these variables say. Of two spellings the one in lower case counts, as for curl."""

    def said(name: str) -> str:
        return (environ.get(name) or environ.get(name.upper()) or "").strip()

    def proxy(name: str) -> str:
        named = said(name) or said("all_proxy")
        return named if "://" in named or not named else f"http://{named}"

    direct = tuple(entry.strip().lower() for entry in said("no_proxy").split(",") if entry.strip())
    return WayOut(proxy("http_proxy"), proxy("https_proxy"), direct, authorities)


def read_way_out(told: Mapping[str, Any]) -> WayOut:
    """From JSON."""
    return WayOut(told["http"], told["https"], tuple(told["direct"]))


def unusable(way: WayOut) -> tuple[str, ...]:
    """Why sandboxes cannot use the proxies that are named, without their passwords."""
    return tuple(
        f"the proxy for {scheme} is {why}"
        for scheme, named in (("http", way.http), ("https", way.https))
        if named and (why := _fault(named))
    )


def usable(way: WayOut) -> WayOut:
    """Without what sandboxes cannot use."""
    return replace(way, http="" if _fault(way.http) else way.http, https="" if _fault(way.https) else way.https)


def _fault(named: str) -> str:
    try:
        parts = urlsplit(named)
        _ = parts.port
    except ValueError:
        return "no address"
    if parts.scheme not in SCHEMES:
        return f"reached by {parts.scheme[:20]}, and sandboxes use {', '.join(SCHEMES)} alone"
    return "" if parts.hostname else "no address"


def _means(entry: str, host: str) -> bool:
    """Whether an entry of `no_proxy` means a host."""
    host = host.lower().rstrip(".").strip("[]")
    name = entry.partition(":")[0] if entry.count(":") == 1 else entry.strip("[]")
    name = name.removeprefix("*").lstrip(".") or name
    if name in ("*", host) or host.endswith(f".{name}"):
        return True
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return False
