"""What may a session's answer do beyond its own path? In: the table. Out: what Caddy does with such answers. Pure.

Sessions answer with strangers' words, and some headers reach further than the answer that they stand in: they bind the
whole origin, the host, or hosts beside it. Those never leave a session.
"""

from __future__ import annotations

from typing import Any

from perijove.domain.nouns import DataPlaneTable

Json = dict[str, Any]

SESSION = "[a-z0-9][a-z0-9-]{0,39}"
FAR_REACHING = (
    "Service-Worker-Allowed",  # Service Workers 1: a worker above the path of its script
    "Clear-Site-Data",  # cookies, storage and cache of the origin, cookies of the whole site
    "Alt-Svc",  # RFC 7838: another server for the origin
    "Strict-Transport-Security",  # RFC 6797
    "Public-Key-Pins",  # RFC 7469
    "Public-Key-Pins-Report-Only",
    "Expect-CT",  # RFC 9163
    "NEL",  # reports on all requests to the host
    "Report-To",
    "Reporting-Endpoints",
    "Set-Cookie2",  # RFC 2965
    "Set-Login",  # FedCM: the log-in status of the origin
    "Accept-CH",  # RFC 8942: what browsers tell the origin
    "Critical-CH",
    "Origin-Agent-Cluster",  # HTML: how the whole origin is held apart
    "Use-As-Dictionary",  # RFC 9842: for other addresses of the origin
    "Sec-Session-*",  # Device Bound Session Credentials
    "Secure-Session-*",
    "Shared-Storage-Write",
    "Attribution-Reporting-*",
    "Observe-Browsing-Topics",
    "Activate-Storage-Access",
)
"""Response headers with power beyond the answer's own address; `*` for all that begin so."""
CROSS_ORIGIN = "Access-Control-Allow-Origin"
_ELSEWHERE = r"(?i);[^;a-z]*(?:path|domain)[^;]*"
"""Where a cookie wants to be sent, whatever stands around the words (RFC 6265, 5.2)."""


def confined(table: DataPlaneTable) -> Json:
    """Takes from a session's answers what reaches beyond `/user/<name>/`.

    The last Path of a cookie is the one that counts (RFC 6265, 5.3); one named `__Host-…` is refused with this path.
    """
    withheld = (CROSS_ORIGIN, "Access-Control-Allow-Credentials", "Access-Control-Allow-Private-Network")
    own_path = "$0; Path=/user/{http.regexp.session.1}/"
    cookies = [{"search_regexp": _ELSEWHERE, "replace": ""}, {"search_regexp": "^.*$", "replace": own_path}]
    return {
        "handler": "headers",
        "response": {
            "delete": [*FAR_REACHING, *(withheld if table.cors_allow_origin else ("Access-Control-*",))],
            "replace": {"Set-Cookie": cookies},
            "deferred": True,
        },
    }


def shared(table: DataPlaneTable) -> Json:
    """Whose pages may read a session's answers the operator says: each is told its own origin, or `*`."""
    everybody = "*" in table.cors_allow_origin
    told = ["*" if everybody else "{http.request.header.Origin}"]
    asking = {} if everybody else {"match": [{"header": {"Origin": list(table.cors_allow_origin)}}]}
    allowed = {"handler": "headers", "response": {"set": {CROSS_ORIGIN: told}, "deferred": True}}
    return {"handler": "subroute", "routes": [{**asking, "handle": [allowed]}] if table.cors_allow_origin else []}


def no_worker() -> Json:
    """A worker outlives its session in the visitor's browser; neither Jupyter nor thebe has one."""
    told = {"Content-Type": ["text/plain; charset=utf-8"], "Cache-Control": ["no-store"]}
    body = "Sessions may not register service workers.\n"
    refusal = {"handler": "static_response", "status_code": "403", "headers": told, "body": body}
    return {"match": [{"header": {"Service-Worker": ["*"]}}], "handle": [refusal], "terminal": True}
