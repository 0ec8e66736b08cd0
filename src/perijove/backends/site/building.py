"""A build of a tiny repository, followed as its visitor's browser does, and ended in order. Out: `BuildSeen`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from perijove.backends.site.asking import UPGRADE, Asker, Place, read, words
from perijove.domain.site import BuildSeen, Frame, Got, json_object

LIMIT = 300.0
"""Seconds until nobody waits for the build's end any more."""
SILENCE = 65.0
"""Seconds without a single octet; Binders send something every 25."""
FRAMES = 2000
"""Events that are kept; the last one always is."""
DATA = 4000
LONGEST = 1_000_000
"""Characters of an event that are kept, and octets of a line."""
EVENTS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}


async def build(asker: Asker, place: Place, host: str, resolve: Callable[[str], Awaitable[str]]) -> BuildSeen:
    """Begin one, read its events to the end, try the session's websocket, end the session.

    `resolve`: an address of another host than `host`; `` for none.
    """
    began = time.monotonic()
    answer, frames, cut, waited = Got(place.url), list[Frame](), "", False
    try:
        async with asyncio.timeout(LIMIT), asker.answer(place, EVENTS, SILENCE) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                return BuildSeen(await read(place.url, response), ended=time.monotonic() - began)
            answer = replace(answer, status=response.status_code, kind=response.headers["Content-Type"])
            answer = replace(answer, server=response.headers.get("Server", "")[:200])
            async for data in _data(response):
                frames[FRAMES - 1 :] = [Frame(time.monotonic() - began, data)]
                if json_object(data).get("phase") in {"ready", "failed"}:
                    break
    except TimeoutError:
        waited = True
    except (httpx.TransportError, httpx.InvalidURL, OSError, ValueError) as error:
        cut = words(error)
        answer = answer if answer.status else replace(answer, words=cut)
    ended = time.monotonic() - began
    last = json_object(frames[-1].data) if frames else {}
    socket = None
    if last.get("phase") == "ready":
        socket = await _session(asker, last, host, place.address, resolve)
    return BuildSeen(answer, tuple(frames), ended, cut, waited, socket)


async def _data(response: httpx.Response) -> AsyncIterator[str]:
    """The `data` lines of an event stream as they come."""
    rest = b""
    async for part in response.aiter_raw():
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > LONGEST:
            raise ValueError("a line of the event stream has no end")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()[:DATA].decode(errors="replace")


async def _session(
    asker: Asker, ready: dict[str, Any], host: str, own: str, resolve: Callable[[str], Awaitable[str]]
) -> Got | None:
    """What a websocket of the session gets; then it is ended, as nobody needs it. `own` is the address of `host`."""
    url, token = str(ready.get("url", ""))[:2000], str(ready.get("token", ""))[:500]
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    address = own if parts.hostname == host else await resolve(parts.hostname)
    if not address:
        return Got(url.partition("?")[0], words=f"{parts.hostname} has no address")
    key = {"Authorization": f"token {quote(token, safe='')}"}
    base = url.partition("?")[0].rstrip("/")
    socket = await asker.get(Place(f"{base}/api/events/subscribe", address), {**UPGRADE, **key})
    await asker.get(Place(f"{base}/api/shutdown", address), key, "POST")
    return socket
