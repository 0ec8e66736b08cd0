"""Who opens a session that belongs to somebody? In: the table. Out: Caddy's handlers before a session. Pure.

Whoever shows a grant: the name of a file in the session's folder of grants. Caddy looks for it at each request, at a
websocket's first too, so that nobody else is asked. Without one the control plane says where it is got.
"""

from __future__ import annotations

from typing import Any

from perijove.backends.caddy.handlers import control, route, subroute
from perijove.domain.data_plane import DataPlaneTable

Json = dict[str, Any]

GRANT = "[0-9a-f]{48}"
"""Nothing else is looked for: a path or a pattern that a cookie brings is none."""
COOKIE = "perijove_grant"
OWN_COOKIE = f"__Host-{COOKIE}"
"""By https, where a session has a host of its own: no other session's host can have set it, so it counts more."""
NONE = "none"
"""No file has this name; without one the folder itself would be found."""


def granted_alone(table: DataPlaneTable) -> list[Json]:
    """Nothing where sessions are opened by their address."""
    if table.grants is None:
        return []
    there = [f"/{{http.regexp.session.1}}/{{http.vars.{COOKIE}}}"]
    found = {"file": {"root": str(table.grants), "try_files": there}}
    # By a program, in the header in which Jupyter's own clients bring a token: the session's, a dot, the grant.
    header = {"name": "program", "pattern": f"^(?i:token|bearer) ([0-9a-f]{{48}})\\.({GRANT})$"}
    token = {"Authorization": ["token {http.regexp.program.1}"]}
    return [
        subroute(
            {"handle": [{"handler": "vars", COOKIE: NONE}]},
            _shown_by(COOKIE),
            _shown_by(OWN_COOKIE),
            {
                "match": [{"header_regexp": {"Authorization": header}}],
                "handle": [
                    {"handler": "vars", COOKIE: "{http.regexp.program.2}"},
                    {"handler": "headers", "request": {"set": token}},
                ],
            },
            route({"not": [found]}, control(table)),
        )
    ]


def _shown_by(cookie: str) -> Json:
    shown = f"{{http.request.cookie.{cookie}}}"
    return {
        "match": [{"vars_regexp": {shown: {"pattern": f"^{GRANT}$"}}}],
        "handle": [{"handler": "vars", COOKIE: shown}],
    }


def ours_kept_back(table: DataPlaneTable) -> Json:
    """What shows who somebody is never reaches a session's code."""
    ours = {"search_regexp": r"(?:__Host-)?perijove_(?:away|grant|led|login|opening|visitor)=[^;]*;?\s*", "replace": ""}
    return {"handler": "headers", "request": {"replace": {"Cookie": [ours]}, "delete": list(table.front_says)}}
