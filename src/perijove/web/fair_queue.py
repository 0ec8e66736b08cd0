"""Who is answered first when a crowd asks? In: requests as they come. Out: a few begun at each turn of the loop.

The event loop begins all that has come before it looks at what came later: behind a thousand requests a probe waits for
all of them. So requests wait in line here, in their order, and probes and CAs pass by.
"""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

AT_A_TIME = 4
"""Requests begun at one turn of the loop, some milliseconds' work."""
PASS_BY = ("/health", "/metrics", "/.well-known/acme-challenge/")


class FairQueue:
    """Holds requests until it is their turn; how long their answers take is not its matter."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(PASS_BY):
            await self._turn()
        await self._app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            loop.call_soon(self._begin)
        await turn

    def _begin(self) -> None:
        for _ in range(min(AT_A_TIME, len(self._waiting))):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
