"""Where is a session opened, and what may its answers do there? In: the table. Out: Caddy's routes for sessions. Pure.

Sessions answer with strangers' words. At a host of its own a session has an origin of its own, where nothing of ours is
served; the service's own host leads browsers there, and answers programs and other sites' pages (thebe) alone. On any
host some headers reach further than the answer that they stand in: those never leave a session.
"""

from __future__ import annotations

import re
from typing import Any

from perijove.backends.caddy.grants import granted_alone, ours_kept_back
from perijove.backends.caddy.handlers import (
    CROSS_ORIGIN,
    compressed,
    control,
    or_else,
    proxy,
    route,
    shared,
    static,
    subroute,
    words,
)
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.listening import LOCAL_SESSIONS, MARK
from perijove.domain.parsing import split_address

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
LISTENS_WITHIN = "10s"
"""For which a request waits where a pod has an address and does not listen yet."""
OWN_FRAMES = "frame-ancestors 'self'"
_ELSEWHERE = r"(?i);[^;a-z]*(?:path|domain)[^;]*"
"""Where a cookie wants to be sent, whatever stands around the words (RFC 6265, 5.2)."""


def session_hosts(table: DataPlaneTable, *answers: Json) -> list[Json]:
    """`answers` for the session whose host it is; static files and our icon; and nothing else of ours."""
    if not table.session_hosts:
        return []
    name, host = _named(table)
    match: Json = {"host": list(table.session_hosts)}
    if ours := [host for host in table.hosts if not host.startswith("*.")]:
        match["not"] = [{"host": ours}]
    own = route({"vars": {"{http.request.host}": [host]}}, *answers)
    nothing = route(None, words(404, "Nothing but one session is served at this host."))
    return [
        route(
            match,
            subroute(
                *_led_to_static(table),
                static(table),
                route({"path": [f"{table.base}favicon.ico"]}, control(table)),
                route(_below_user(table, f"({name})$"), *_add_slash(table)),
                route(_below_user(table, f"({name})/"), subroute(own, nothing)),
                nothing,
            ),
        )
    ]


def service_host(table: DataPlaneTable, *, secure: bool) -> list[Json]:
    """Sessions below the service's own host: all there is of them where they have no hosts."""
    slash, session = route(_below_user(table, f"({SESSION})$"), *_add_slash(table)), _below_user(table, f"({SESSION})/")
    if not table.session_hosts:
        return [slash, route(session, *answer(table))]
    name, _ = _named(table)
    lead_on = {"match": [_below_user(table, f"({name})(?:/|$)")], "handle": [subroute(_led_on(table, secure=secure))]}
    ours = ({"Sec-Fetch-Mode": ["navigate", "no-cors", "same-origin"]}, {"Sec-Fetch-Site": ["same-origin"]})
    refused = words(403, "Browsers open this session at its own host.")
    return [
        lead_on,
        {"match": [session | {"header": header} for header in ours], "handle": [refused], "terminal": True},
        slash,
        route(session, _for_programs(), *answer(table)),
    ]


def answer(table: DataPlaneTable) -> list[Json]:
    """What a session says, kept to its path; the control plane's words where it is gone."""
    headers = (ours_kept_back(table), shared(table), _framed(table), _confined(table))
    return [
        subroute(_no_worker()),
        *granted_alone(table),
        *headers,
        compressed(),
        or_else(_server(table), control(table)),
    ]


def _server(table: DataPlaneTable) -> Json:
    """Where it listens: at a socket of its name, or at the address that stands in its folder; so that a new session
    needs no other configuration, and is found while the control plane is away."""
    if table.upstreams is None:
        return proxy(f"unix/{table.sessions}/{{http.regexp.session.1}}.sock")
    found = {"file": {"root": f"{table.upstreams}/{{http.regexp.session.1}}", "try_files": ["/*"]}}
    pod = proxy("{http.matchers.file.relative}") | {"load_balancing": {"try_duration": LISTENS_WITHIN}}
    return subroute(route(found, pod), route(None, control(table)))


def _named(table: DataPlaneTable) -> tuple[str, str]:
    """The names of sessions that have a host of their own, as a pattern; and the host of the one asked for."""
    parent = table.session_hosts[0].partition(".")[2]
    if table.session_hosts[0].startswith("*."):
        return SESSION, f"{{http.regexp.session.1}}.{parent}"
    labels = "|".join(host.partition(".")[0] for host in table.session_hosts)
    return f"[a-z0-9][a-z0-9-]*?{MARK}({labels})", f"{{http.regexp.session.2}}.{parent}"


def _led_on(table: DataPlaneTable, *, secure: bool) -> Json:
    """What a person opens goes on to the session's host, by the same scheme and port.

    On loopback by http: browsers believe no certificate for `*.localhost`, and hold http there for secure.
    """
    _, host = _named(table)
    there = f"//{host}{{http.regexp.port.1}}"
    if secure and table.session_hosts == (LOCAL_SESSIONS,):
        there = f"http://{host}:{split_address(table.http[0])[1]}"
    port = {"header_regexp": {"Host": {"name": "port", "pattern": "(:[0-9]+)?$"}}, "method": ["GET", "HEAD"]}
    location = {"Location": [f"{there}{{http.request.uri}}"], "Cache-Control": ["no-store"]}
    return {
        "match": [
            port | {"header": {"Sec-Fetch-Mode": ["navigate"]}},
            port | {"header": {"Accept": ["*text/html*"]}, "not": [{"header": {"Sec-Fetch-Mode": ["*"]}}]},
        ],
        "handle": [{"handler": "static_response", "status_code": "307", "headers": location}],
        "terminal": True,
    }


def _led_to_static(table: DataPlaneTable) -> list[Json]:
    """To one address for all sessions' hosts, which are one site to browsers: they share what is kept of it.

    Nowhere where the service has no name, as on loopback: the hosts there are sites of their own.
    """
    ours = [host for host in table.hosts if not host.startswith("*.")]
    if not ours:
        return []
    port = {"header_regexp": {"Host": {"name": "port", "pattern": "(:[0-9]+)?$"}}, "path": [f"{table.base}-/server-*"]}
    location = {"Location": [f"//{ours[0]}{{http.regexp.port.1}}{{http.request.uri}}"]}
    # Not for ever, as what it leads to: the service may get another name.
    shared = {"Access-Control-Allow-Origin": ["*"], "Cache-Control": ["public, max-age=3600"]}
    return [route(port, {"handler": "static_response", "status_code": "307", "headers": location | shared})]


def _for_programs() -> Json:
    """Nothing that is answered here runs in the origin of our pages, nor keeps a browser logged in."""
    sandboxed = {"handler": "headers", "response": {"set": {"Content-Security-Policy": ["sandbox"]}, "deferred": True}}
    no_cookies = {"request": {"delete": ["Cookie"]}, "response": {"delete": ["Set-Cookie"], "deferred": True}}
    browsers = [{"header": {name: ["*"]}} for name in ("Sec-Fetch-Mode", "Origin")]
    return subroute({"handle": [sandboxed]}, {"match": browsers, "handle": [{"handler": "headers", **no_cookies}]})


def _below_user(table: DataPlaneTable, pattern: str) -> Json:
    return {"path_regexp": {"name": "session", "pattern": f"^{re.escape(table.base)}user/{pattern}"}}


def _add_slash(table: DataPlaneTable) -> list[Json]:
    """Read by the pages that may read the session's answers: theirs would end here else."""
    there = f"{table.base}user/{{http.regexp.session.1}}/{{http.request.uri.prefixed_query}}"
    careful = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    headers = {"Location": [there]} | {name: [value] for name, value in careful.items()}
    return [shared(table), {"handler": "static_response", "status_code": "307", "headers": headers}]


def _confined(table: DataPlaneTable) -> Json:
    """Takes from a session's answers what reaches beyond `/user/<name>/`.

    The last Path of a cookie is the one that counts (RFC 6265, 5.3); one named `__Host-…` is refused with this path.
    """
    withheld = (CROSS_ORIGIN, "Access-Control-Allow-Credentials", "Access-Control-Allow-Private-Network")
    own_path = f"$0; Path={table.base}user/{{http.regexp.session.1}}/"
    cookies = [{"search_regexp": _ELSEWHERE, "replace": ""}, {"search_regexp": "^.*$", "replace": own_path}]
    return {
        "handler": "headers",
        "response": {
            "delete": [*FAR_REACHING, *(withheld if table.cors_allow_origin else ("Access-Control-*",))],
            "replace": {"Set-Cookie": cookies},
            "deferred": True,
        },
    }


def _framed(table: DataPlaneTable) -> Json:
    """Who may frame a session beside its own pages, where its server says no more than Jupyter does by itself."""
    told = {"search_regexp": f"{OWN_FRAMES}(;|$)", "replace": " ".join((OWN_FRAMES, *table.frame_ancestors)) + "$1"}
    allowed = {"replace": {"Content-Security-Policy": [told]}, "deferred": True}
    return subroute(*([{"handle": [{"handler": "headers", "response": allowed}]}] if table.frame_ancestors else []))


def _no_worker() -> Json:
    """A worker outlives its session in the visitor's browser; neither Jupyter nor thebe has one."""
    return route({"header": {"Service-Worker": ["*"]}}, words(403, "Sessions may not register service workers."))
