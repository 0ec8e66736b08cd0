"""Silence is told too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from perijove.domain.events import Entry, SessionStarted
from perijove.web.following import paced

ENTRY = Entry(1, 0.0, "launch/1", SessionStarted("s"))


async def test_a_silent_launch_is_kept_alive_and_loses_nothing() -> None:
    bell = asyncio.Event()

    async def entries() -> AsyncIterator[Entry]:
        yield ENTRY
        await bell.wait()
        yield ENTRY

    heard: list[Entry | None] = []
    async with asyncio.timeout(5):
        async for entry in paced(entries(), every=0.01):
            heard.append(entry)
            if heard.count(None) == 3:
                bell.set()
    assert heard[0] == ENTRY
    assert heard[-1] == ENTRY
    assert heard.count(None) >= 3


async def test_a_reader_that_leaves_takes_its_source_with_it() -> None:
    closed = asyncio.Event()

    async def entries() -> AsyncIterator[Entry]:
        try:
            yield ENTRY
            await asyncio.Event().wait()
        finally:
            closed.set()

    source = entries()
    reading = paced(source)
    assert await anext(reading) == ENTRY
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    await reading.aclose()
    async with asyncio.timeout(5):
        await closed.wait()
