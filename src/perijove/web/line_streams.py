"""Values a line each, as JSON, for programs on the admin socket. In: lines. Out: a response that is never silent long.

A blank line after so many seconds without one: whoever reads with a limit knows one that goes on from one that is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse

ALIVE_EVERY = 20.0
"""Seconds of silence after which a blank line is sent; clients give up after three times as many."""


def line_stream(lines: AsyncGenerator[bytes, None]) -> StreamingResponse:
    """What these lines answer."""
    return StreamingResponse(kept_alive(lines), media_type="application/x-ndjson")


async def kept_alive(lines: AsyncGenerator[bytes, None], every: float = ALIVE_EVERY) -> AsyncGenerator[bytes, None]:
    """The lines, and a blank one after each `every` seconds of silence."""
    coming = asyncio.create_task(_next(lines), name="next line of a stream")
    try:
        while True:
            await asyncio.wait({coming}, timeout=every)
            if not coming.done():
                yield b"\n"
                continue
            if not (line := coming.result()):
                return
            yield line
            coming = asyncio.create_task(_next(lines), name="next line of a stream")
    finally:
        coming.cancel()
        await asyncio.wait({coming})
        await lines.aclose()


async def _next(lines: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(lines, b"")
