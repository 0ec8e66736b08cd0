"""What is answered while the service still starts? In: the challenge's handler. Out: an application for it alone.

A CA that looks, and a look of our own, need no sandboxes and no environments; everybody else is asked to come back.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from perijove.domain.settings import ServiceSettings
from perijove.web.challenge import PATH, Challenge
from perijove.web.headers import EdgeHeaders

COME_BACK = {"Retry-After": "2", "Refresh": "2", "Cache-Control": "no-store"}
OPENING = "Perijove is starting."
STARTING = PlainTextResponse(f"{OPENING} This page tries again by itself.\n", 503, COME_BACK)


def opening_app(challenge: Challenge, service: Callable[[], ServiceSettings]) -> Starlette:
    """The application until everything stands; all of it is for anyone."""
    routes = [Route(PATH, challenge.answer), Mount("/", STARTING)]
    return Starlette(routes=routes, middleware=[Middleware(EdgeHeaders, service=service)])
