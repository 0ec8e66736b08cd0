"""How is a failure told over HTTP? In: a Failure and its reader. Out: a page, JSON, or a stream of one event."""

from __future__ import annotations

import math
from enum import Enum
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from perijove.domain.auth_failures import LOGIN_NEEDED
from perijove.domain.certificate_failures import HTTPS_PENDING
from perijove.domain.failures import Failure, Retry
from perijove.web import pages, stream
from perijove.web.following import EVENT_STREAM
from perijove.web.public import Public
from perijove.web.statuses import status


class Form(Enum):
    """How a row of the URL map tells its failures."""

    PAGE = "page"
    """A page to a browser, JSON to anything else."""
    JSON = "json"
    STREAM = "stream"
    """HTTP 200 and one event, always: the Binder protocol's clients see nothing else."""


def refused(request: Request, failure: Failure, form: Form, public: Public) -> Response:
    """The whole answer to a request that failed."""
    headers = {"Retry-After": f"{max(1, math.ceil(failure.after))}"} if failure.kind.retry is Retry.AFTER else {}
    if form is Form.STREAM:
        return Response(stream.refusal(failure), media_type="text/event-stream", headers=EVENT_STREAM | headers)
    code = status(failure)
    if form is Form.PAGE and failure.kind is LOGIN_NEEDED and reads_pages(request) and request.method == "GET":
        there = request.scope["raw_path"].decode("latin-1") + f"?{request.url.query}" * bool(request.url.query)
        return RedirectResponse(f"/login?next={quote(there, safe='')}", 303, headers)
    if form is Form.PAGE and reads_pages(request):
        if failure.kind is HTTPS_PENDING:
            return pages.https_pending(public, request, failure, code, headers)
        return pages.problem(public, failure, code, headers)
    return json_failure(failure, code, headers)


def json_failure(failure: Failure, code: int, headers: dict[str, str] | None = None) -> Response:
    """`message` stands at the top, where Jupyter's own pages look for it."""
    body = {"status": code, "message": failure.message, "failure": stream.failure_told(failure)}
    return JSONResponse(body, code, headers)


def reads_pages(request: Request) -> bool:
    """Whether this is a person's browser rather than a program."""
    return "text/html" in request.headers.get("accept", "")
