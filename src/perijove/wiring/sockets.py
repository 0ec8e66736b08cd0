"""Applications on unix sockets. In: an ASGI application and a path. Out: a server for as long as the block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from perijove.backends.caddy.handlers import KEPT


class Door:
    """An application that another one takes the place of, for requests that come from then on."""

    def __init__(self, leads_to: ASGIApp) -> None:
        self.leads_to = leads_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.leads_to(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn without its own ideas about signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, path: Path) -> AsyncIterator[None]:
    """Serve an application on a unix socket that only we can open."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(1024)
    listener.setblocking(False)
    # An idle connection is Caddy's to end: were it ours, a POST that is just being sent by it would be lost, for Go
    # sends only what is idempotent again (net/http, `Transport`), and its visitor be told that we are away.
    # Below errors it tells what strangers do, and to install what we do not want.
    config = uvicorn.Config(
        app, ws="none", log_config=None, log_level="error", access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=2, timeout_keep_alive=2 * KEPT,
    )  # fmt: skip
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"serving {path.name}")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({serving}, timeout=5)
        listener.close()
        path.unlink(missing_ok=True)
