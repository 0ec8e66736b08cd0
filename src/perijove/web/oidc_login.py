"""Log in at an OpenID provider. In: requests that a guard let through. Out: the way there, and back.

What a browser was sent with is kept here, and by a cookie in that browser: whoever brings back another's answer is not
logged in by it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perijove.domain.auth_failures import LOGIN_REFUSED, LOGIN_SLOWED, LOGIN_STALE
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.keys import Keys
from perijove.domain.people import Back, Leave, Provider
from perijove.domain.reach import household
from perijove.web import cookies
from perijove.web.limits import RateWindows
from perijove.web.public import Public
from perijove.web.redirects import ours
from perijove.web.requests import client

PENDING = 600.0
"""Seconds in which somebody comes back from the provider."""
MOST = 10_000
"""Browsers that are away at once; the oldest is forgotten first."""
PERIOD, OF_VISITOR = 300.0, 300
"""Seconds in which a visitor, who may be a class, is sent so many times."""


@dataclass(frozen=True, slots=True)
class Away:
    """A browser that was sent to the provider."""

    leave: Leave
    browser: str
    """What its cookie says."""
    there: str
    """Where its user wants to go."""
    until: float


class OidcLogin:
    """The handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self._away: dict[str, Away] = {}
        self._sent = RateWindows()

    async def start(self, request: Request) -> Response:
        """To the provider. Raises Fail."""
        provider = self._provider()
        visitor, now = household(client(request)), self.public.clock.now()
        if wait := self._sent.wait(visitor, now, OF_VISITOR, PERIOD):
            raise Fail(LOGIN_SLOWED("the next try is possible later", Evidence("your address", visitor), after=wait))
        self._sent.count(visitor, now, PERIOD)
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        leave = Leave(f"{self.public.home(request)}login/back", state, nonce, verifier)
        answer = RedirectResponse(await provider.address(leave), 303)
        self._away[state] = Away(leave, browser, ours(request.query_params.get("next", "")), now + PENDING)
        while len(self._away) > MOST:
            del self._away[next(iter(self._away))]
        cookies.keep(answer, request, cookies.own(request, cookies.AWAY), browser, "/login/back", PENDING)
        return answer

    async def back(self, request: Request) -> Response:
        """From the provider. Raises Fail."""
        provider, query = self._provider(), request.query_params
        away = self._away.pop(query.get("state", ""), None)
        if away is None or self.public.clock.now() > away.until:
            raise Fail(LOGIN_STALE("nobody was sent to the provider with what comes back, or it is too long ago"))
        if not any(Keys.same(one, away.browser) for one in cookies.values(request, cookies.own(request, cookies.AWAY))):
            raise Fail(LOGIN_STALE("another browser was sent to the provider, or this one does not keep cookies"))
        if "code" not in query:
            said = f"{query.get('error', '')}: {query.get('error_description', '')}"[:300]
            raise Fail(LOGIN_REFUSED("the provider logged nobody in", Evidence("the provider", said)))
        person = await provider.person(away.leave, Back(query["code"][:4000], query.get("iss", "")[:1000]))
        identity = self.public.gate.identity
        answer = RedirectResponse(f"/login?next={quote(away.there, safe='')}", 303)
        identity.keep(answer, request, identity.begin(person))
        cookies.keep(answer, request, cookies.own(request, cookies.AWAY), "", "/login/back", 0)
        return answer

    def _provider(self) -> Provider:
        """Raises Fail where nobody logs in so."""
        people = self.public.gate.identity.people
        if people is None or self.public.settings().auth.method is not AuthMethod.OIDC:
            raise Fail(NO_SUCH_OBJECT("nobody logs in at this address", remedy="Begin at the front page."))
        return people.provider
