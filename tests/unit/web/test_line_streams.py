"""Streams of lines that say that they go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from perijove.web.line_streams import kept_alive


async def test_a_silent_stream_has_blank_lines_and_each_of_its_own_once() -> None:
    news, closed = asyncio.Event(), asyncio.Event()

    async def lines() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one\n"
            await news.wait()
            yield b"two\n"
        finally:
            closed.set()

    told = kept_alive(lines(), every=0.01)
    assert await anext(told) == b"one\n"
    assert await anext(told) == b"\n"
    assert await anext(told) == b"\n"
    news.set()
    assert [line async for line in told if line != b"\n"] == [b"two\n"]
    assert closed.is_set()


async def test_a_reader_that_leaves_ends_what_it_read() -> None:
    closed = asyncio.Event()

    async def lines() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    told = kept_alive(lines(), every=0.01)
    assert await anext(told) == b"\n"
    await told.aclose()
    assert closed.is_set()
