"""What our own pages' forms send. In: a request. Out: its fields, or the failure that says why it is not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.request_failures import FOREIGN_PAGE
from perijove.domain.sizes import size
from perijove.web import origins

LONGEST_FORM = 16 * 1024
"""Bytes."""
READ_WITHIN = 10.0
"""Seconds in which a form has come."""


def by_our_page(request: Request) -> None:
    """What changes something is asked for by our own pages alone. Raises Fail: `start.foreign-page`."""
    if origins.foreign(request, ()) or origins.unsaid(request):
        asking = request.headers.get("origin", "")[:200]
        raise Fail(FOREIGN_PAGE("A page of another site asked", Evidence("the request's Origin", asking)))


async def body(request: Request, most: int, seconds: float) -> bytes:
    """What it sends: at most so many bytes, in so many seconds. Raises Fail: `start.bad-request`."""
    sent, bound = bytearray(), Evidence("the request", f"more than {size(most)} or {seconds:.0f} s")
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                sent += part
                if len(sent) > most:
                    raise Fail(BAD_REQUEST("its body is too large", bound))
    except TimeoutError:
        raise Fail(BAD_REQUEST("its body did not come", bound)) from None
    return bytes(sent)


async def form(request: Request) -> Mapping[str, str]:
    """Raises Fail: `start.bad-request`."""
    sent = await body(request, LONGEST_FORM, READ_WITHIN)
    try:
        return dict(parse_qsl(sent.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError as error:
        raise Fail(BAD_REQUEST("the form cannot be read", Evidence("the request", str(error)[:200]))) from error
