"""The way to a challenge over HTTP: one request a hop, redirects followed as CAs follow them, each answer kept.

In: an address, a URL. Out: `Hop`s, the last one where the way ends or a CA would go no further.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import httpx

from perijove.backends.probes.errors import seen_error
from perijove.backends.probes.handshakes import Handshakes, described, unverified
from perijove.backends.probes.names import Names
from perijove.domain.certificates import SOLVER_HEADER, Hop, SeenCertificate
from perijove.domain.parsing import bracketed

LIMIT = 2.0
"""Seconds for each of connecting, asking, and the answer's beginning."""
TOTAL = 5.0
"""Seconds for all hops of an address."""
SHOWN = 1.0
"""Seconds for a further handshake, which only explains what is known already."""
REDIRECTS = (301, 302, 307, 308)
MOST = 10
"""Redirects that are followed: Boulder's rule (va/http.go), as are the statuses above, the two schemes and ports."""
BODY = 512
HEADER = 300
"""Octets and characters that are kept."""
_VIA = re.compile(r"via|x-cache|x-served-by|x-azure-ref|cf-ray|x-amz-cf-id|x-iinfo|x-sucuri-id|x-vercel-id|x-fastly-.*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    url: str
    host: str
    port: int


class Hops:
    """Walks; `ports` are those for http and https, the only ones that are followed to."""

    def __init__(self, names: Names, handshakes: Handshakes, ports: Callable[[], tuple[int, int]]) -> None:
        self._names = names
        self._handshakes = handshakes
        self._ports = ports
        never_kept = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(verify=unverified(), trust_env=False, limits=never_kept)

    async def walk(self, address: str, url: str) -> tuple[Hop, ...]:
        """Ask an address for a URL and follow its redirects; names of other hosts are looked up."""
        hops: list[Hop] = []
        target, began = self.target(url), time.monotonic()
        here, at = target, address
        while here is not None:
            left = max(0.0, began + TOTAL - time.monotonic())
            hop = await self._asked(here, at, min(LIMIT, left))
            hops.append(hop)
            here = self._next(hops, hop)
            if here is not None and target is not None and here.host != target.host:
                found, why = await self._address(here.host, address)
                if not found:
                    return (*hops, Hop(here.url, "", 0, "unresolved", why))
                at = found
            else:
                at = address
        return tuple(hops)

    def target(self, url: str) -> Target | None:
        """A URL's parts; None for what CAs would not ask: other schemes, other ports, nonsense."""
        try:
            parts = urlsplit(url)
            http, https = self._ports()
            port = parts.port or {"http": http, "https": https}.get(parts.scheme, 0)
        except ValueError:
            return None
        if parts.hostname is None or port not in {http, https}:
            return None
        return Target(url, parts.hostname, port)

    def _next(self, hops: list[Hop], hop: Hop) -> Target | None:
        """Where a redirect leads that a CA would follow: not in a circle, and not for ever."""
        if hop.status not in REDIRECTS or not hop.location or len(hops) > MOST:
            return None
        try:
            url = urljoin(hop.url, hop.location)
        except ValueError:
            return None
        return None if url in {one.url for one in hops} else self.target(url)

    async def _address(self, host: str, preferred: str) -> tuple[str, str]:
        """The address a CA would ask for another host, or why there is none; the one that is looked at if it can be."""
        try:
            return str(ip_address(host)), ""
        except ValueError:
            found, seen = await self._names.addresses(host)
        if not found:
            return "", "; ".join(f"{one.record} {one.status} ({one.server})" for one in seen)
        return (preferred if preferred in found else found[0]), ""

    async def _asked(self, here: Target, address: str, limit: float) -> Hop:
        """One request to one address."""
        began = time.monotonic()
        place = f"{bracketed(address)}:{here.port}"
        parts = urlsplit(here.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": "Perijove", "Accept-Encoding": "identity"}
        extensions = {
            "timeout": {"connect": limit, "read": limit, "write": limit, "pool": limit},
            "sni_hostname": here.host,
        }
        try:
            request = httpx.Request("GET", f"{parts.scheme}://{place}{path}", headers=headers, extensions=extensions)
            async with asyncio.timeout(2 * limit):
                hop = await self._answer(here, place, await self._transport.handle_async_request(request))
        except TimeoutError:
            return Hop(here.url, place, 0, "silent", "the answer did not end in time", seconds=time.monotonic() - began)
        except (httpx.TransportError, httpx.InvalidURL, OSError, ValueError) as error:
            kind, words = seen_error(error)
            shown = await self._shown(address, here) if kind in {"reset", "not-http"} else None
            kind = "tls" if shown is not None else kind
            return Hop(here.url, place, 0, kind, words, certificate=shown, seconds=time.monotonic() - began)
        seen = hop.certificate
        if seen is not None and not seen.self_signed:
            hop = replace(hop, certificate=await self._shown(address, here) or seen)
        return replace(hop, seconds=time.monotonic() - began)

    async def _answer(self, here: Target, place: str, response: httpx.Response) -> Hop:
        """What was answered; of the body its beginning, as far as it comes in time."""
        shaken = response.extensions["network_stream"].get_extra_info("ssl_object")
        try:
            leaf = shaken.getpeercert(binary_form=True) if isinstance(shaken, ssl.SSLObject) else None
            said = response.headers
            return Hop(
                here.url, place, response.status_code,
                server=_bounded(said.get("Server", "")),
                location=_bounded(said.get("Location", ""), 2000),
                marker=_bounded(said.get(SOLVER_HEADER, "")),
                hsts=_bounded(said.get("Strict-Transport-Security", "")),
                asks_password=_bounded(said.get("WWW-Authenticate", "")),
                via=_via(said),
                encoding=_bounded(said.get("Content-Encoding", "")),
                body=(await _beginning(response)).decode(errors="replace"),
                certificate=described(leaf, trusted=False) if leaf else None,
                undated="Date" not in said,
            )  # fmt: skip
        finally:
            await response.aclose()

    async def _shown(self, address: str, here: Target) -> SeenCertificate | None:
        """What the port shows in a handshake, and whether it is trusted; None where there is no handshake."""
        try:
            async with asyncio.timeout(SHOWN):
                return await self._handshakes.certificate(address, here.port, here.host)
        except (OSError, TimeoutError):
            return None


async def _beginning(response: httpx.Response) -> bytes:
    """The body's first octets."""
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) >= BODY:
            break
    return body[:BODY]


def _via(headers: Mapping[str, str]) -> str:
    """What proxies and CDNs say of themselves."""
    told = [f"{name}: {value}" for name, value in headers.items() if _VIA.fullmatch(name)]
    told += [f"Server: {value}" for name, value in headers.items() if name == "server" and value == "cloudflare"]
    return _bounded("; ".join(told))


def _bounded(text: str, most: int = HEADER) -> str:
    return text[:most]
