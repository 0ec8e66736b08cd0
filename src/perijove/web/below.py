"""Everything of ours lies below `service.base`. In and out: ASGI messages.

Handlers know addresses below it alone: requests come to them without it, and where they lead to, by a path, and the
paths of their cookies get it here. What stands in pages and JSON is written with `Public.base`.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perijove.domain.failures import NO_SUCH_OBJECT, Evidence
from perijove.web import cookies
from perijove.web.answers import Form, refused
from perijove.web.challenge import PATH as CHALLENGE
from perijove.web.cookies import LED, OWN
from perijove.web.public import Public

AT_THE_ROOT = CHALLENGE.partition("{")[0]
"""RFC 8555, 8.3: CAs ask there, whatever lies below what path."""
TAKEN_OFF = "X-Forwarded-Prefix"
"""What Traefik's StripPrefix, and others that take a path off, say that they took."""

LED_FOR = 60.0
"""Seconds."""


class BelowBase:
    """Takes the base from requests, and gives it to answers; `outside` answers what does not lie below it."""

    def __init__(self, app: ASGIApp, base: Callable[[], str], outside: ASGIApp) -> None:
        self._app = app
        self._base = base
        self._outside = outside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        base = self._base()
        if base == "/" or scope["type"] != "http" or scope["path"].startswith(AT_THE_ROOT):
            await self._app(scope, receive, send)
            return
        if not (scope["path"].startswith(base) and scope["raw_path"].startswith(base.encode())):
            await self._outside(scope, receive, send)
            return

        async def with_base(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(raw=message.setdefault("headers", [])), base)
            await send(message)

        cut = len(base) - 1
        below = {"path": scope["path"][cut:], "raw_path": scope["raw_path"][cut:]}
        await self._app({**scope, **below}, receive, with_base)


def _add(headers: MutableHeaders, base: str) -> None:
    there = headers.get("location", "")
    if there.startswith("/") and not there.startswith("//"):
        headers["location"] = base + there[1:]
    kept = headers.getlist("set-cookie")
    del headers["set-cookie"]
    for cookie in kept:  # browsers take those of `OWN` for all paths alone
        own = cookie.startswith(OWN)
        headers.append("set-cookie", cookie if own else cookie.replace("; Path=/", f"; Path={base}", 1))


def outside(public: Public) -> ASGIApp:
    """Leads on from the root, and says elsewhere where the service is."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _told(Request(scope), public)(scope, receive, send)

    return app


def _told(request: Request, public: Public) -> Response:
    base, path = public.base, request.scope["path"]
    # Browsers send a cookie of that path below it alone: one that comes elsewhere tells of a front that says nothing.
    taken = request.headers.get(TAKEN_OFF, "").rstrip("/") == base.rstrip("/") or any(cookies.values(request, LED))
    if path in ("/", base.rstrip("/")) and not taken:
        answer = RedirectResponse(base, 302, {"Cache-Control": "no-store"})
        cookies.keep(answer, request, LED, "1", base, LED_FOR)
        return answer
    cause, remedy = f"this service lies below {base}", "Begin at its front page."
    if taken:
        cause += ", which the web server in front takes off before it passes requests on"
        remedy = "Have it pass them on as they are: without StripPrefix, handle_path, or a path after its upstream."
    failure = NO_SUCH_OBJECT(cause, Evidence("the address", path[:200]), remedy=remedy)
    return refused(request, failure, Form.PAGE, public)
