"""Headers that every answer carries: what pages may do, and whose pages may ask. In and out: ASGI messages."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perijove.domain.framing import frame_ancestors
from perijove.domain.settings import ServiceSettings
from perijove.web import origins

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {frames}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
KEPT_APART = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), serial=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""No other site's page holds or reads ours, and ours use nothing of the visitor's machine."""
UNLESS_SAID = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
"""For all that does not say otherwise itself: pictures do."""
ASKED_WITH = "Authorization, Cache-Control, Content-Type, Last-Event-ID, X-XSRFToken"


class EdgeHeaders:
    """Adds them, to errors too, and answers preflights."""

    def __init__(self, app: ASGIApp, service: Callable[[], ServiceSettings]) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        asking = Headers(scope=scope).get("origin", "")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(raw=message.setdefault("headers", [])), asking)
            await send(message)

        if scope["method"] == "OPTIONS":
            await with_headers({"type": "http.response.start", "status": 204, "headers": []})
            await with_headers({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, with_headers)

    def _add(self, headers: MutableHeaders, asking: str) -> None:
        headers.update(KEPT_APART)
        ancestors = " ".join(frame_ancestors(service := self._service())) or "'none'"
        headers.setdefault("Content-Security-Policy", POLICY.format(frames=ancestors))
        for name, value in UNLESS_SAID.items():
            headers.setdefault(name, value)
        headers["Access-Control-Allow-Headers"] = ASKED_WITH
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
        allowed = service.cors_allow_origin
        if origin := origins.answered(asking, allowed):
            headers["Access-Control-Allow-Origin"] = origin
        if allowed and origin != origins.EVERYBODY:
            headers.add_vary_header("Origin")
