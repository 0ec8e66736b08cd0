"""Stands before one session and lets in whom its hub lets in: `jupyterhub-singleuser`'s place, outside the sandbox.

A program of a hub's Python that a spawner starts; imports nothing of Perijove's. In: the variables that a hub gives its
servers, with those of `spawner.PerijoveSpawner.get_env`. What the hub gave never gets into the sandbox: no token, no
cookie. Nor does the session's token open anything here, which all that runs in the sandbox has.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from jupyterhub import __version__
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import httpclient, httputil, netutil, web, websocket

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
SOCKET = os.environ["PERIJOVE_SESSION_SOCKET"]
TOKEN = os.environ["PERIJOVE_SESSION_TOKEN"]
TOOLS = os.environ["PERIJOVE_TOOLS"]
OPENS = os.environ["PERIJOVE_OPENS"]
BODY = 512 * 1024 * 1024
"""Bytes of a request or of a message: as much as Jupyter servers take (`max_body_size` of jupyter_server 2)."""
A_YEAR = 31_536_000
HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
    *("transfer-encoding", "upgrade", "content-length", "authorization", "cookie"),
}
"""What is not handed on as it is: RFC 9110, 7.6.1, and what lets in."""
NOT_ITS = re.compile(r"(?:__Host-)?(?:jupyterhub-|_xsrf)", re.IGNORECASE)
"""Cookies of the hub and of this gate."""


class Auth(HubOAuth):  # type: ignore[misc]
    """The hub's judgement of who asks."""

    def get_token(self, handler: Any, in_cookie: bool = True) -> Any:
        """None where it is the session's, which pages of Jupyter send along with their cookie."""
        token = super().get_token(handler, in_cookie=in_cookie)
        return None if token == TOKEN else token


class Static(web.StaticFileHandler):
    """What pages of Perijove's own Jupyter server load: the same for all sessions, compressed once, and no secret."""

    async def get(self, server: str, name: str = "", include_body: bool = True) -> None:  # type: ignore[override]
        self._name, path = name, f"{server}/share/static/{name}"
        if "gzip" in self.request.headers.get("Accept-Encoding", "") and Path(self.root, f"{path}.gz").is_file():
            self.set_header("Content-Encoding", "gzip")
            path += ".gz"
        self.set_header("Vary", "Accept-Encoding")
        await super().get(path, include_body)

    def get_content_type(self) -> str:
        return mimetypes.guess_type(self._name)[0] or "application/octet-stream"

    def get_cache_time(self, *_: object) -> int:
        return A_YEAR


class InSandbox(netutil.Resolver):
    """Every host is the session."""

    async def resolve(self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[Any]:
        return [(socket.AF_UNIX, SOCKET)]


class Gate(HubOAuthenticated, websocket.WebSocketHandler):  # type: ignore[misc]
    """One request or websocket, handed on once the hub knows who asks."""

    there: websocket.WebSocketClientConnection
    asking: asyncio.Task[None] | None = None

    def initialize(self, http: httpx.AsyncClient) -> None:
        self._http = http

    def set_default_headers(self) -> None:
        self.set_header("X-JupyterHub-Version", __version__)

    def check_xsrf_cookie(self) -> None:
        """As a hub's servers do, but for files that tell nobody anything.

        Where each user has a domain, a page of the same origin is the user's own, whatever application it belongs to.
        """
        reads = self.request.method in {"GET", "HEAD"} and self.request.path.startswith(f"{PREFIX}static/")
        own = self.hub_auth.hub_host and self.request.headers.get("Sec-Fetch-Site") == "same-origin"
        if not (reads or own):
            super().check_xsrf_cookie()

    def prepare(self) -> None:
        page = self.request.method == "GET" and self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if self.current_user is None:
            if not page or self._upgrades or "Authorization" in self.request.headers:
                raise web.HTTPError(403)
            self.redirect(self.get_login_url())
        elif page and self.request.uri == PREFIX and OPENS:
            self.redirect(PREFIX + OPENS)
        elif page and not self._upgrades:
            _ = self.xsrf_token  # sets its cookie where that is missing or an earlier log-in's

    async def get(self, *_: str) -> None:
        if self._upgrades:
            self.there = await self._connected()
            await super().get()
        else:
            await self.handed_on()

    async def handed_on(self, *_: str) -> None:
        """Ends with whoever asks, however long the session takes."""
        self.asking = asyncio.create_task(self._handed_on(), name="request to the session")
        await asyncio.wait({self.asking})
        if not self.asking.cancelled():
            self.asking.result()

    head = post = put = patch = delete = options = handed_on

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self.asking:
            self.asking.cancel()

    async def _handed_on(self) -> None:
        url = httpx.URL("http://session").copy_with(raw_path=self._uri.encode())
        body = self.request.body or (None if self.request.method in {"GET", "HEAD"} else b"")
        request = httpx.Request(str(self.request.method), url, headers=list(self._headers_on()), content=body)
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise web.HTTPError(424, "the session does not answer") from error  # as a hub says of a server that is over
        try:
            self.set_status(answer.status_code, answer.reason_phrase)
            self._take_headers(answer.headers)
            async for part in answer.aiter_raw():
                self.write(part)
                await self.flush()
        finally:
            await answer.aclose()

    def _take_headers(self, headers: httpx.Headers) -> None:
        for name in ("Content-Type", "Date", "Server"):
            self.clear_header(name)
        for name, value in headers.multi_items():
            if name == "content-length" or (
                name not in HOP and not (name == "set-cookie" and NOT_ITS.match(value.strip()))
            ):
                self.add_header(name, value)

    @property
    def _upgrades(self) -> bool:
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    @property
    def _uri(self) -> str:
        """Without the hub's token, where that is in it."""
        path, _, query = str(self.request.uri).partition("?")
        kept = [part for part in query.split("&") if not part.startswith("token=")]
        return f"{path}?{'&'.join(kept)}" if query and kept != [""] and kept else path

    def _headers_on(self) -> Iterator[tuple[str, str]]:
        for name, value in self.request.headers.get_all():
            if name.lower() not in HOP and not name.lower().startswith("sec-websocket-"):
                yield name, value
        cookies = (cookie.strip() for cookie in self.request.headers.get("Cookie", "").split(";"))
        if its := "; ".join(cookie for cookie in cookies if cookie and not NOT_ITS.match(cookie)):
            yield "Cookie", its
        yield "Authorization", f"token {TOKEN}"

    # websockets

    async def _connected(self) -> websocket.WebSocketClientConnection:
        wanted = self.request.headers.get("Sec-WebSocket-Protocol", "")
        headers = httputil.HTTPHeaders()
        for name, value in self._headers_on():
            headers.add(name, value)
        request = httpclient.HTTPRequest(f"ws://session{self._uri}", headers=headers, request_timeout=0)
        subprotocols = [one.strip() for one in wanted.split(",") if one.strip()]
        try:
            return await websocket.websocket_connect(
                request, subprotocols=subprotocols, max_message_size=BODY, resolver=InSandbox()
            )
        except httpclient.HTTPClientError as error:
            raise web.HTTPError(error.code, "the session refuses it") from error
        except OSError as error:
            raise web.HTTPError(424, "the session does not answer") from error

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self.there.selected_subprotocol

    def open(self, *_: str, **__: str) -> None:
        self.asking = asyncio.create_task(self._brought_back(), name="messages of the session")

    async def on_message(self, message: str | bytes) -> None:
        try:
            await self.there.write_message(message, binary=isinstance(message, bytes))
        except websocket.WebSocketClosedError:
            self.close()

    async def _brought_back(self) -> None:
        try:
            while (message := await self.there.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        except websocket.WebSocketClosedError:
            return
        self.close(self.there.close_code, self.there.close_reason)

    def on_close(self) -> None:
        if hasattr(self, "there"):
            self.there.close()


async def main() -> None:
    """Until a signal."""
    Auth.instance()  # whom all handlers ask
    transport = httpx.AsyncHTTPTransport(uds=SOCKET, limits=httpx.Limits(max_connections=None), verify=False)
    given = {"http": httpx.AsyncClient(transport=transport)}
    at = re.escape(PREFIX)
    application = web.Application(
        [
            (f"{at}oauth_callback", HubOAuthCallbackHandler),
            (rf"{at}-/(server-[0-9a-f]{{16}})/([0-9A-Za-z_][0-9A-Za-z._-]*)", Static, {"path": TOOLS}),
            (re.escape(PREFIX.rstrip("/")), web.RedirectHandler, {"url": PREFIX}),
            (f"{at}.*", Gate, given),
        ],
        cookie_secret=os.urandom(32),
        log_function=lambda _: None,  # addresses may hold tokens
        websocket_max_message_size=BODY,
    )
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    server = application.listen(url.port or 80, url.hostname or "127.0.0.1", max_buffer_size=BODY, max_body_size=BODY)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    server.stop()


if __name__ == "__main__":
    asyncio.run(main())
