"""How does a visitor show that a launch is theirs? In: a request. Out: the keys it brings; cookies that bring one.

A key comes in `?key=` (our pages lead on at once to an address without it), in the event id of a stream that goes on,
or in a cookie. The cookie is for its launch's own addresses alone: no session and no script ever sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from perijove.web import cookies

COOKIE = "perijove_launch"
EVENT_ID = re.compile(r"([0-9]{1,15})(?:\.([0-9a-z]{1,64}))?")


def keys_given(request: Request) -> Iterator[str]:
    """All that may be a key."""
    yield request.query_params.get("key", "")
    if (resumed := EVENT_ID.fullmatch(request.headers.get("last-event-id", ""))) and resumed[2]:
        yield resumed[2]
    yield from cookies.values(request, COOKIE)


def hold(response: Response, request: Request, number: int, key: str) -> None:
    """Have the browser keep a launch's key, until it is closed."""
    for path in (f"/launch/{number}", f"/api/launches/{number}"):
        cookies.keep(response, request, COOKIE, key, path)
