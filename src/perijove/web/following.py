"""Tell a launch as it happens. In: its number, and what the reader has seen. Out: an event stream that ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from perijove.domain.events import Entry
from perijove.launching.launches import subject
from perijove.web import stream
from perijove.web.public import Public
from perijove.web.requests import origin

KEEPALIVE_EVERY = 20.0
"""Seconds of silence after which a comment is sent; the protocol's clients expect one every 25."""
EVENT_STREAM = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Headers of every event stream; the last asks a web server in front of us not to hold it back."""


def follow(public: Public, request: Request, number: int, after: int, key: str = "") -> Response:
    """Tell a launch's events after `after`; 204 where the reader has seen the last, so that it stops asking."""
    if _seen_all(public, number, after):
        return Response(status_code=204)
    key = key or public.gate.key_given(request, number)
    reader = stream.Reader(origin(request), number, key, public.keys.session_token)
    return StreamingResponse(
        _frames(public, number, after, reader), media_type="text/event-stream", headers=EVENT_STREAM
    )


def _seen_all(public: Public, number: int, after: int) -> bool:
    launch = public.launches.get(number)
    over = launch is not None and launch.ended_at is not None
    return over and not public.journal.read(subject(number), after, 1)


async def _frames(public: Public, number: int, after: int, reader: stream.Reader) -> AsyncGenerator[bytes, None]:
    known = stream.Known()
    for entry in public.journal.ledger.steps(subject(number)):
        if entry.seq <= after:
            known = stream.learn(known, entry.event)
    async with aclosing(paced(public.journal.follow(subject(number), after))) as entries:
        async for paced_entry in entries:
            if paced_entry is None:
                yield stream.KEEPALIVE
                continue
            known = stream.learn(known, paced_entry.event)
            yield stream.frame(paced_entry, known, reader)


async def paced(entries: AsyncIterator[Entry], every: float = KEEPALIVE_EVERY) -> AsyncGenerator[Entry | None, None]:
    """The entries, and None after each `every` seconds without one."""
    upcoming = asyncio.ensure_future(anext(entries, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=every)
            if not done:
                yield None
                continue
            entry = upcoming.result()
            if entry is None:
                return
            yield entry
            upcoming = asyncio.ensure_future(anext(entries, None))
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})
