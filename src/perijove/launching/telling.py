"""Work that tells its log, as events. In: a coroutine that takes a Tell. Out: Logged events, then a result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from perijove.domain.events import Logged, Phase
from perijove.domain.ports import Tell

T = TypeVar("T")


class Telling(Generic[T]):
    """Iterate over it for its log; `result` holds what the work returned, once the iteration has ended."""

    result: T

    def __init__(self, phase: Phase, work: Callable[[Tell], Awaitable[T]]) -> None:
        self._phase = phase
        self._work = work

    async def __aiter__(self) -> AsyncIterator[Logged]:
        lines: asyncio.Queue[str | None] = asyncio.Queue()

        async def run() -> T:
            try:
                return await self._work(lines.put_nowait)
            finally:
                lines.put_nowait(None)

        task = asyncio.create_task(run(), name=f"telling {self._phase}")
        try:
            while (line := await lines.get()) is not None:
                yield Logged(self._phase, line)
            self.result = await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
