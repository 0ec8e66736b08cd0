"""Who answers: the control plane, a session, or a file? In: the table. Out: Caddy's handlers and routes. Pure."""

from __future__ import annotations

import re
from typing import Any

from perijove.domain.data_plane import DataPlaneTable

Json = dict[str, Any]

CROSS_ORIGIN = "Access-Control-Allow-Origin"
STREAMS_OUTLIVE_RELOADS = "24h"
KEPT = 30
"""Seconds that an idle connection to a server behind is kept for the next request."""
DOWN_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3"><meta name="color-scheme" content="light dark"><title>Back in a moment</title>
<body style="font:1rem/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem"><h1>Back in a moment</h1>
<p>The service is being restarted. Running sessions are not affected. This page tries again by itself every three
seconds.</p></body></html>
"""


def route(match: Json | None, *handlers: Json) -> Json:
    """What is not handled by others any more; everything where there is nothing to match."""
    route: Json = {"handle": list(handlers), "terminal": True}
    return route if match is None else {"match": [match], **route}


def subroute(*routes: Json) -> Json:
    return {"handler": "subroute", "routes": list(routes)}


def words(status: int, text: str) -> Json:
    """A plain answer."""
    headers = {"Content-Type": ["text/plain; charset=utf-8"], "Cache-Control": ["no-store"]}
    return {"handler": "static_response", "status_code": str(status), "headers": headers, "body": f"{text}\n"}


def or_else(first: Json, second: Json) -> Json:
    """`second` answers where nobody listens at `first`."""
    return {"handler": "subroute", "routes": [{"handle": [first]}], "errors": {"routes": [{"handle": [second]}]}}


def proxy(dial: str) -> Json:
    """Whoever listens there, with websockets and streams."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "flush_interval": -1,
        "stream_close_delay": STREAMS_OUTLIVE_RELOADS,
        "headers": {"request": {"set": {"X-Forwarded-For": ["{http.vars.client_ip}"]}}},
        "transport": {
            "protocol": "http",
            "dial_timeout": "2s",
            "keep_alive": {"enabled": True, "max_idle_conns_per_host": 8, "idle_timeout": f"{KEPT}s"},
        },
    }


def control(table: DataPlaneTable) -> Json:
    """The public application, or a page of ours while it is away."""
    headers = {"Content-Type": ["text/html; charset=utf-8"], "Retry-After": ["3"], "Cache-Control": ["no-store"]}
    down = {"handler": "static_response", "status_code": "503", "headers": headers, "body": DOWN_PAGE}
    return or_else(proxy(f"unix/{table.control}"), subroute({"handle": [shared(table), down]}))


def shared(table: DataPlaneTable) -> Json:
    """Whose pages may read answers the operator says: each is told its own origin, or `*`."""
    everybody = "*" in table.cors_allow_origin
    told = ["*" if everybody else "{http.request.header.Origin}"]
    asking = {} if everybody else {"match": [{"header": {"Origin": list(table.cors_allow_origin)}}]}
    allowed = {"handler": "headers", "response": {"set": {CROSS_ORIGIN: told}, "deferred": True}}
    return subroute(*([{**asking, "handle": [allowed]}] if table.cors_allow_origin else []))


def compressed() -> Json:
    """What programs and browsers load is; pages are not, which hold secrets beside what their address says (BREACH).

    Nor are streams: what is written to one is to be read at once.
    """
    kinds = ("application/json", "application/javascript", "text/javascript", "text/css", "image/svg+xml", "font/ttf")
    types = {"headers": {"Content-Type": [f"{kind}*" for kind in kinds]}}
    return {"handler": "encode", "encodings": {"gzip": {}}, "minimum_length": 1024, "match": types}


def static(table: DataPlaneTable) -> Json:
    """Files that browsers may keep for ever: what is in them stands in their addresses. Ours, and those of servers."""
    kept = {"Cache-Control": ["public, max-age=31536000, immutable"], "X-Content-Type-Options": ["nosniff"]}
    kept |= {"Access-Control-Allow-Origin": ["*"]}  # sessions at hosts of their own load fonts of them
    headers = {"handler": "headers", "response": {"set": kept, "deferred": True, "require": {"status_code": [2, 304]}}}
    below = f"{table.base}-/{table.assets_version}"
    ours = route(
        {"path": [f"{below}/*"]},
        {"handler": "rewrite", "strip_path_prefix": below},
        headers,
        {"handler": "encode", "encodings": {"gzip": {}}, "prefer": ["gzip"]},
        {"handler": "file_server", "root": str(table.assets), "pass_thru": False},
    )
    pattern = f"^{re.escape(table.base)}-/(server-[0-9a-f]{{16}})/([0-9A-Za-z_][0-9A-Za-z._-]*)$"
    name = "{http.regexp.server.1}/share/static/{http.regexp.server.2}"
    servers = route(
        {"path_regexp": {"name": "server", "pattern": pattern}},
        {"handler": "rewrite", "uri": f"/{name}"},
        headers,
        {"handler": "file_server", "root": str(table.servers), "pass_thru": False}
        | {"precompressed": {"gzip": {}}, "precompressed_order": ["gzip"]},
    )
    return {"handle": [subroute(ours, servers)]}
