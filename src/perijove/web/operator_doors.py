"""Who may open the operator's page? In: a link's key, or a cookie. Out: whether it opens; a cookie in its place.

A link is good once, for a while, and until the service is restarted: what was spent need not be kept on the disk.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.keys import Keys
from perijove.domain.ports import Clock
from perijove.web import cookies
from perijove.web.requests import origin

COOKIE = "perijove_admin"
LINK, STAY = 600.0, 12 * 3600.0
"""Seconds for which a link, and a cookie, open the page."""
SPENT = 1000
"""Links of which it is remembered that they were used; more within their time close the door."""


@dataclass(frozen=True, slots=True)
class OperatorDoors:
    """Makes and checks what opens the page."""

    keys: Keys
    clock: Clock
    _start: str = field(default_factory=lambda: secrets.token_hex(8))
    _spent: dict[str, float] = field(default_factory=dict)

    def link_key(self) -> str:
        """For one link."""
        return self.keys.operator_token(f"link/{self._start}", secrets.token_hex(8), self.clock.now(), LINK)

    def enter(self, key: str) -> bool:
        """Whether a link's key opens the page now; it does so once."""
        now = self.clock.now()
        for spent in [one for one, at in self._spent.items() if now - at > LINK]:
            del self._spent[spent]
        if not self.keys.operator_token_holds(key, f"link/{self._start}", now):
            return False
        if key in self._spent or len(self._spent) >= SPENT:
            return False
        self._spent[key] = now
        return True

    def hold(self, response: Response, request: Request) -> None:
        """Have the browser keep what opens the page."""
        token = self.keys.operator_token("stay", secrets.token_hex(8), self.clock.now(), STAY)
        secure = "; Secure" if origin(request).startswith("https:") else ""
        kept = f"{COOKIE}={token}; Path=/admin; HttpOnly; SameSite=Strict; Max-Age={STAY:.0f}{secure}"
        response.headers.append("Set-Cookie", kept)

    def opens(self, request: Request) -> bool:
        """Whether a request brings the cookie."""
        now = self.clock.now()
        return any(self.keys.operator_token_holds(token, "stay", now) for token in cookies.values(request, COOKIE))
