"""Tell a launch as it happens. In: its number, and what the reader has seen. Out: an event stream that ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from perijove.domain.events import Entry, Failed
from perijove.domain.reach import household
from perijove.launching.launches import subject
from perijove.web import stream
from perijove.web.public import Public
from perijove.web.requests import client

KEEPALIVE_EVERY = 20.0
"""Seconds of silence after which a comment is sent; the protocol's clients expect one every 25."""
EVENT_STREAM = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""Headers of every event stream; the last asks a web server in front of us not to hold it back."""


class EventStream(StreamingResponse):
    """A stream whose reader gives back their seat when they leave."""

    def __init__(self, frames: AsyncGenerator[bytes, None], seat: AbstractContextManager[object]) -> None:
        super().__init__(frames, media_type="text/event-stream", headers=EVENT_STREAM)
        self._seat = seat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._seat:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """As its parent does, but that what was sent is not held while a reader waits: for a thousand it is 11 MB."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for part in self.body_iterator:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            del part
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def follow(
    public: Public, request: Request, number: int, after: int, *, key: str, log: bool, held: float = 0.0
) -> Response:
    """Tell a launch's events after `after`; 204 where the reader has seen the last, so that it stops asking.

    `key`: the launch's, to whoever holds it; `log`: whether its log and names are told; `held`: seconds for which the
    stream is left open once all is told of a launch that is ready. Raises Fail: `start.too-many-readers`.
    """
    if _seen_all(public, number, after):
        return Response(status_code=204)
    seat = public.readers.seat(number, household(client(request)), holds=bool(key))
    reader = stream.Reader(
        public.home(request), number, key, public.token_for(request), public.opened_at(request), log=log
    )
    return EventStream(told(public, reader, after, held=held), seat)


def _seen_all(public: Public, number: int, after: int) -> bool:
    launch = public.launches.get(number) if after else None
    over = launch is not None and launch.ended_at is not None
    return over and not public.journal.read(subject(number), after, 1)


async def told(
    public: Public, reader: stream.Reader, after: int, every: float = KEEPALIVE_EVERY, held: float = 0.0
) -> AsyncGenerator[bytes, None]:
    """The frames after `after`, those to come included, and a comment after each `every` seconds of silence.

    `held`: seconds of it after `ready`.
    """
    name, read = subject(reader.number), 0
    with public.journal.bell(name) as bell:
        while True:
            bell.clear()
            chunk = public.frames.chunk(reader, read)
            read = chunk.last
            if text := chunk.told(reader, after):
                yield text
            del text
            if chunk.over:
                break
            if chunk.full:
                continue
            if failure := public.journal.unwritten(name):
                last = Entry(read, public.clock.now(), name, Failed(failure))
                yield stream.frame(last, stream.Known(), reader)
                return
            try:
                async with asyncio.timeout(every):
                    await bell.wait()
            except TimeoutError:
                yield stream.KEEPALIVE
    launch = public.launches.get(reader.number)
    left = held if launch is not None and launch.failure is None else 0.0
    while left > 0:
        await asyncio.sleep(min(left, every))
        yield stream.KEEPALIVE
        left -= every
