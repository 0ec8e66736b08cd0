"""To whom does a `proxy_pass` hand a request, and what of it arrives there? Pure.

Facts: nginx's documentation of ngx_http_proxy_module: how the path is replaced, which headers are set by default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from perijove.doctor.front.matching import parts
from perijove.doctor.front.requests import Outcome, Passes, Responds, Unknown
from perijove.doctor.front.variables import Variables
from perijove.domain.web_servers import Directive

USUAL_SILENCE = 60.0
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000, "": 1}


def passed(
    variables: Variables, by: Directive, scopes: Sequence[Directive], chain: Sequence[Directive], *, rewritten: bool
) -> Outcome:
    """What arrives at the other side."""
    url = variables.filled(by.args[0])
    match = re.fullmatch(r"(https?)://(unix:[^:]+|\[[^\]]+\][^/]*|[^/]*)(:?)(/.*)?", url or "")
    if match is None:
        return Unknown(f"what {by.args[0]} is stands not in the configuration", by)
    scheme, there, path = match[1], match[2], match[4]
    if variables.front.upstreams.get(f"{variables.context} {there}") == ():
        return Responds(502, by)  # all of its servers are marked as down
    args = f"?{variables.args}" if variables.args else ""
    if path is None or rewritten:
        # As it was asked, where nothing has changed it.
        same = variables.path == variables.normal and variables.args == variables.request.path.partition("?")[2]
        replaced = variables.request.path if same else variables.path + args
    elif "$" in by.args[0]:
        replaced = path
    else:
        replaced = (path + variables.path[len(parts(chain[-1])[1]) :] if chain else path) + args
    headers = _headers(scopes)
    variables.own["proxy_host"] = "localhost" if there.startswith("unix:") else there
    host = variables.filled(headers.get("host", "$proxy_host"))
    return Passes(
        scheme,
        upstream(variables, there, scheme),
        replaced,
        host if host is not None else headers["host"],
        _upgrades(variables, headers, scopes),
        _flag(scopes, "proxy_buffering") == "on",
        seconds(_flag(scopes, "proxy_read_timeout")),
        by,
    )


def upstream(variables: Variables, name: str, scheme: str = "") -> str:
    """`10.0.1.61:80`: the first server of an upstream of that name, else the name itself; its port is told for http."""
    servers = variables.front.upstreams.get(f"{variables.context} {name}")
    there = servers[0] if servers else name
    if servers is not None and not servers:
        return name
    if there.startswith("unix:") or not scheme or re.search(r":\d+$", there):
        return there
    return f"{there}:{443 if scheme == 'https' and not servers else 80}"


def _headers(scopes: Sequence[Directive]) -> dict[str, str]:
    """What `proxy_set_header` sets: only the innermost block that sets any counts."""
    level = next((one for one in reversed(scopes) if one.last("proxy_set_header")), None)
    rows = level.all("proxy_set_header") if level is not None else ()
    return {one.args[0].lower(): one.args[1] for one in rows if len(one.args) == 2}


def _upgrades(variables: Variables, headers: dict[str, str], scopes: Sequence[Directive]) -> bool:
    """Whether a websocket's request stays one; a value that nobody can tell is believed to be right."""
    if "upgrade" not in headers or "connection" not in headers:
        return False
    upgrade, connection = variables.filled(headers["upgrade"]), variables.filled(headers["connection"])
    kept = upgrade != "" and (connection is None or "upgrade" in connection.lower())
    return kept and _flag(scopes, "proxy_http_version") in ("1.1", "2")


def _flag(scopes: Sequence[Directive], name: str) -> str:
    """A value of the innermost block that has one."""
    found = next((found for one in reversed(scopes) if (found := one.last(name))), None)
    return found.args[0] if found is not None and found.args else ""


def seconds(text: str) -> float:
    """`1h30m`, `86400`; nginx's own 60 where none is given or understood."""
    pieces = re.findall(r"(\d+)(ms|[smhdwMy]?)", text)
    return sum(int(count) * _UNITS[unit] for count, unit in pieces) if pieces else USUAL_SILENCE
