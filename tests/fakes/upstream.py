"""Servers on unix sockets that say who they are and what they were asked: what stands behind Caddy in its tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect


class Quiet(uvicorn.Server):
    """Leaves the test runner's signals alone, and ends as soon as it is told to; uvicorn's own looks every 0.1 s."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._over = asyncio.Event()

    def leave(self) -> None:
        """End."""
        self._over.set()

    async def main_loop(self) -> None:
        await self._over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.connections:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def echo(who: str, status: int = 200) -> Starlette:
    """Answers everything with what it was asked; echoes websockets."""

    async def answer(request: Request) -> Response:
        told = {
            "who": who,
            "method": request.method,
            "raw_path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": (await request.body()).decode(),
        }
        return JSONResponse(told, status)

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.send_text(f"{who}: {await websocket.receive_text()}")

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return Starlette(routes=[WebSocketRoute("/{path:path}", talk), Route("/{path:path}", answer, methods=methods)])


def bound(path: Path) -> socket.socket:
    """A listening unix socket that nobody serves yet."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    listener.setblocking(False)
    return listener


@contextlib.asynccontextmanager
async def served(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """An application on that socket; removed on leaving."""
    listener_at = Path(listener.getsockname()) if listener.family is socket.AF_UNIX else None
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, ws="websockets-sansio")
    server = Quiet(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.leave()
        await asyncio.wait({serving}, timeout=5)
        listener.close()
        if listener_at is not None:
            listener_at.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def upstream(path: Path, who: str, status: int = 200) -> AsyncIterator[None]:
    """`echo` at a path."""
    async with served(echo(who, status), bound(path)):
        yield
