"""Where does somebody want to go, here or in a session? In: what was asked for. Out: an address that is safe. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.requests import Request

from perijove.launching.resolve.urlpath import relative_urlpath

HERE = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]{0,2000}")
"""An address of ours, whatever a browser makes of it."""


def ours(asked: str) -> str:
    """Where somebody wants to go; the front page where that is not an address of ours."""
    return asked if HERE.fullmatch(asked) else "/"


def place_in_session(request: Request) -> str:
    """What the visitor had open, as a urlpath without the old token; `` where it was not a page."""
    raw = bytes(request.scope.get("raw_path") or b"").decode("ascii", "replace").partition("?")[0]
    path = re.sub(r"^/user/[^/]+/?", "", raw)
    if path.startswith(("api/", "files/", "static/")):
        return ""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
    return relative_urlpath({"urlpath": path + (f"?{query}" if query else "")})
