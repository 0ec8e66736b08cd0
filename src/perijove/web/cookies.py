"""Cookies as browsers send them, and as ours are set. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from perijove.web.requests import origin

OWN = "__Host-"
LOGIN = "perijove_login"
"""Shows a log-in."""
GRANT = "perijove_grant"
"""Opens a session; for its own path alone, or its own host's. Caddy reads it."""
AWAY = "perijove_away"
"""Shows that the browser that comes back from a provider is the one that was sent there."""
LED = "perijove_led"
"""Shows that the browser was led below the service's path."""
OPENING = "perijove_opening"
"""Shows that the browser that comes back to a session is the one that was sent to log in."""


def values(request: Request, name: str) -> Iterator[str]:
    """All cookies of that name. Others may have set further ones: none of them hides ours."""
    for cookies in request.headers.getlist("cookie"):
        for cookie in cookies.split(";"):
            key, _, value = cookie.strip().partition("=")
            if key == name:
                yield value


def own(request: Request, name: str) -> str:
    """A name by which no other host, a session's for one, can have set it: by https alone (RFC 6265bis, 4.1.3.2)."""
    return f"{OWN}{name}" if _secure(request) else name


def keep(response: Response, request: Request, name: str, value: str, path: str, seconds: float | None = None) -> None:
    """Have the browser keep it: for so long, or until it is closed; one of `own` for all paths, as browsers want.

    Lax: whoever comes from a link elsewhere, or back from their session's own host, is known too.
    """
    age = "" if seconds is None else f"; Max-Age={seconds:.0f}"
    secure = "; Secure" if _secure(request) else ""
    path = "/" if name.startswith(OWN) else path
    response.headers.append("Set-Cookie", f"{name}={value}; Path={path}{age}; HttpOnly; SameSite=Lax{secure}")


def _secure(request: Request) -> bool:
    return origin(request).startswith("https:")
