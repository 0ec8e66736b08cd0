"""Which visitor is it who comes again? In: a request. Out: the key it brings; a cookie that has a browser keep one.

The key is random, and the visitor's alone: of it nothing but its public half is stored (`sealing`). What runs in
sessions never sees the cookie, nor does any script; by https no session's page can put its author's key in its place.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from perijove import sealing
from perijove.web import cookies

COOKIE = "perijove_visitor"
PATHS = ("/v2", "/build", "/launch", "/kept")
"""By http, where something is begun or given back; by https all, and Caddy keeps it from sessions."""
LASTS = 180 * 86400
"""Seconds from the last launch link on."""


def key_given(request: Request) -> str:
    """The visitor's key; `` where the request brings none."""
    key = next(cookies.values(request, cookies.own(request, COOKIE)), "")
    return key if sealing.KEY.fullmatch(key) else ""


def hold(response: Response, request: Request) -> Response:
    """Have the browser keep the key that it brings, or a new one."""
    key = key_given(request) or sealing.new_key()
    name = cookies.own(request, COOKIE)
    for path in PATHS if name == COOKIE else ("/",):
        cookies.keep(response, request, name, key, path, LASTS)
    return response
