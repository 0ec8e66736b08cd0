"""One answer of a site's, from an address of its own choosing. In: a place, a path. Out: `Got`; what fails is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from perijove.domain.site import Got

LIMIT = 4.0
"""Seconds for one answer; HAProxy tries for three before it says that nobody is there."""
BODY = 20_000
HEADER = 500
"""Octets and characters that are kept."""
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "cGVyaWpvdmUtZG9jdG9yLg==",
}  # fmt: skip
"""RFC 6455, 4.1."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL is asked for: its own host, or an address in its place."""

    url: str
    address: str = ""


class Asker:
    """Asks; `context` is what TLS is spoken with: certificates are judged elsewhere."""

    def __init__(self, context: ssl.SSLContext) -> None:
        never_kept = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=never_kept)

    async def get(self, place: Place, headers: Mapping[str, str] | None = None, method: str = "GET") -> Got:
        """One answer, its body bounded. Raises nothing: what goes wrong is told."""
        try:
            async with asyncio.timeout(LIMIT), self.answer(place, headers or {}, LIMIT, method) as response:
                return await read(place.url, response)
        except (httpx.TransportError, httpx.InvalidURL, OSError, ValueError) as error:
            return Got(place.url, words=words(error))

    @asynccontextmanager
    async def answer(
        self, place: Place, headers: Mapping[str, str], limit: float, method: str = "GET"
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to come. Raises httpx.TransportError, httpx.InvalidURL, OSError, ValueError."""
        parts = urlsplit(place.url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        at = place.address or host
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = httpx.Request(
            method,
            f"{parts.scheme}://{f'[{at}]' if ':' in at else at}:{port}{path}",
            headers={"Host": parts.netloc.rpartition("@")[2], "User-Agent": "perijove-doctor", **headers},
            extensions={
                "timeout": {"connect": LIMIT, "read": limit, "write": LIMIT, "pool": LIMIT},
                "sni_hostname": host,
            },
        )
        response = await self._transport.handle_async_request(asked)
        try:
            yield response
        finally:
            await response.aclose()


async def read(url: str, response: httpx.Response) -> Got:
    """An answer with its body's beginning; of an upgrade none."""
    said, body = response.headers, b""
    if response.status_code != 101:
        async for part in response.aiter_raw():
            body += part
            if len(body) >= BODY:
                break
    return Got(
        url, response.status_code, said.get("Content-Type", "")[:HEADER], said.get("Server", "")[:HEADER],
        said.get("Location", "")[:HEADER], body[:BODY].decode(errors="replace"), undated="Date" not in said,
    )  # fmt: skip


def words(error: Exception) -> str:
    """Why nothing answered, as the library says it."""
    return (str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__))[:HEADER]
