"""May whoever asks begin something here? In: a request's headers, the origins allowed. Out: why not, in words. Pure.

Browsers say for which page they ask, by `Sec-Fetch-Site` (W3C Fetch Metadata, 2.3) and `Origin` (Fetch standard, 3.2),
and no page can forge either. Programs that are no browsers send neither.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request

from perijove.web.requests import origin

EVERYBODY = "*"
OURS = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of our own pages, and of addresses that a person opened by hand."""


def foreign(request: Request, allowed: Collection[str]) -> str:
    """Another site's page asks, and none of those allowed: its origin, or `another site`; else ``."""
    asking, site = request.headers.get("origin", ""), request.headers.get("sec-fetch-site", "")
    if EVERYBODY in allowed or asking in allowed or site in OURS:
        return ""
    if asking:
        return "" if not site and asking.lower() == origin(request).lower() else asking[:200]
    return "another site" if site else ""


def named(request: Request, allowed: Collection[str]) -> str:
    """The allowed site whose page asks, by its origin; `*` for any where all are allowed, `` for none."""
    asking = request.headers.get("origin", "")
    if asking in allowed:
        return asking
    return EVERYBODY if asking and EVERYBODY in allowed else ""


def unsaid(request: Request) -> bool:
    """Whether a browser asks without saying for whom, as it does by plain http for pages that need no answer.

    Fetches in the mode `no-cors` have no `Origin`, and by plain http no `Sec-Fetch-Site` either; but in that mode a
    page cannot change the `User-Agent` (Fetch standard, 2.2.2: no-CORS-safelisted request-headers).
    """
    said = request.headers.get("origin") or request.headers.get("sec-fetch-site")
    return not said and request.headers.get("user-agent", "").startswith("Mozilla/")


def answered(request_origin: str, allowed: Collection[str]) -> str:
    """What `Access-Control-Allow-Origin` says to a page: its own origin, `*`, or `` where it may not read."""
    if EVERYBODY in allowed:
        return EVERYBODY
    return request_origin if request_origin in allowed else ""
