"""What a pod's first process answers, as bytes. In: its answer, which may be a stranger's. Out: so many at most. Acts.

Nothing is unpacked, followed or remembered of it, whatever HTTP has for that: a pod's address is another's next.
"""

from __future__ import annotations

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO

import httpx

SMALL, COUNTS_AS = 512, 4096
"""Bytes of a piece that is small, and as what it counts: it takes us as long as a large one."""


def client(timeout: httpx.Timeout, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Of pods alone."""
    none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(trust_env=False, verify=False, timeout=timeout, transport=transport, cookies=none)  # noqa: S501  http


async def received(answer: httpx.Response, to: IO[bytes], most: int) -> None:
    """Raises ValueError where there are more bytes; OSError, httpx.HTTPError."""
    async for piece in answer.aiter_raw():
        most -= len(piece) if len(piece) >= SMALL else COUNTS_AS
        if most < 0:
            raise ValueError("it is more than was asked for")
        to.write(piece)
        if len(piece) < SMALL:
            await asyncio.sleep(0)  # there may be thousands in what was read at once
