"""What does a CA find at a challenge's address? In: the token. Out: its key authorization (RFC 8555, 8.3).

Every answer here says by a header that it was we who answered, so that a look can tell what stands between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

PATH = "/.well-known/acme-challenge/{token:path}"
MARKER = "X-Perijove-Solver"
NOBODYS = PATH.replace("{token:path}", "none")
"""An address that we answer whatever else stands, by http, with a header of our own."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The handler."""

    marker: str
    """By which our own answers are known."""
    answers: Callable[[str], str | None]
    """The key authorization that stands for a token of http-01; None for tokens that are not ours."""

    async def answer(self, request: Request) -> Response:
        """The key authorization of a token, for anybody by any name; 404 for tokens that are not ours."""
        headers = {MARKER: self.marker, "Cache-Control": "no-store"}
        expected = self.answers(request.path_params["token"])
        if expected is None:
            return PlainTextResponse("No challenge has this token.\n", 404, headers)
        return Response(expected, media_type="application/octet-stream", headers=headers)
