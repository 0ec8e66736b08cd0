"""What does a request say of itself? In: a request as Caddy passes it on. Out: texts. Pure.

X-Forwarded-* and Host are as Caddy says: it alone reaches our socket, believes what a server in front says of them only
where the operator named that server, and leaves one address, the last that nobody vouches for.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from starlette.requests import Request

from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.launch_options import LaunchOptions
from perijove.launching.resolve.urlpath import opened_file, relative_urlpath, view_and_file

LONGEST_TITLE = 60
"""Characters."""


def client(request: Request) -> str:
    """The visitor's address as Caddy tells it; `unknown` where nothing says."""
    told = request.headers.getlist("x-forwarded-for")
    last = told[-1].rpartition(",")[2].strip() if told else ""
    try:
        address = ip_address(last)
    except ValueError:
        return "unknown"
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def asked_host(request: Request) -> str:
    """The name in the request's Host, without port and brackets."""
    return re.sub(r":[0-9]+$", "", request.headers.get("host", "")).strip("[]").lower()


def origin(request: Request) -> str:
    """The address the client reached us by, `https://binder.example.org`. The guard has looked at the host already."""
    told = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    scheme = "https" if told in ("https", "wss") else "http"  # Traefik says wss of websockets
    return f"{scheme}://{request.headers['host']}"


def raw_spec(request: Request) -> str:
    """`provider/spec` as it stands in the address, still percent-encoded; `` where the address has none."""
    raw = bytes(request.scope.get("raw_path") or b"").decode("ascii", "replace").partition("?")[0]
    match = re.match(r"/(?:build|v2)/(.+)", raw)
    return match[1].rstrip("/") if match else ""


def launch_options(request: Request) -> LaunchOptions:
    """What it asks for beside a repository: `again=true`, `build_only=true`, `fresh=true`, `session_name=…`, a file.

    Raises Fail: `start.bad-request`.
    """
    query = request.query_params
    again, build_only, fresh = (query.get(name, "").lower() == "true" for name in ("again", "build_only", "fresh"))
    return LaunchOptions(
        again,
        build_only,
        fresh,
        read_title(query.get("session_name", "")),
        opened_file(*view_and_file(relative_urlpath(query))),
    )


def read_title(text: str) -> str:
    """What a session is called, as it was typed: a line that lists and terminals can show.

    Raises Fail: `start.bad-request`.
    """
    title = " ".join(text.split())
    if len(title) > LONGEST_TITLE or not title.isprintable():
        seen = Evidence("the name", title[:LONGEST_TITLE])
        remedy = f"Give it at most {LONGEST_TITLE} letters, digits and signs."
        raise Fail(BAD_REQUEST("a session cannot be called so", seen, remedy=remedy))
    return title
