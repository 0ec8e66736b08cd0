"""What is answered while the service still starts? In: a Public. Out: an application for the challenge alone.

A CA that looks, and a look of our own, need no sandboxes and no environments; everybody else is asked to come back.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from perijove.web.challenge import PATH, Challenge
from perijove.web.front import EVERY, Row, application
from perijove.web.public import Public

COME_BACK = {"Retry-After": "2", "Refresh": "2", "Cache-Control": "no-store"}


def opening_app(public: Public) -> Starlette:
    """The application until everything stands."""
    anyone = public.gate.anyone
    return application(
        public, (Row(PATH, Challenge(public).answer, anyone), Row("/{rest:path}", _starting, anyone, methods=EVERY))
    )


async def _starting(request: Request) -> Response:
    return PlainTextResponse("Perijove is starting. This page tries again by itself.\n", 503, COME_BACK)
