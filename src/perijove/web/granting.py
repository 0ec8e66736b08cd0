"""How a browser gets to open a session that is its user's. In: requests without a grant. Out: the way to one.

A session's host knows nobody. Whoever opens it is sent to the service's own host, where they are logged in, and comes
back with a ticket: good once, for a minute, for the browser that was sent.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perijove.domain.auth_failures import LOGIN_NEEDED, LOGIN_NOT_KEPT, NOT_YOURS
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.keys import Keys
from perijove.domain.listening import service_origin
from perijove.domain.nouns import Session, session_path
from perijove.launching.resolve.urlpath import relative_urlpath
from perijove.web import cookies
from perijove.web.public import Public
from perijove.web.redirects import place_in_session
from perijove.web.requests import origin

TICKET = "perijove_ticket"
GOOD_FOR = 60.0
"""Seconds."""
MOST = 10_000
"""Tickets at once; the oldest is forgotten first."""
OPENED_WITHIN = 600
"""Seconds in which somebody logs in on the way."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """For one browser to one session."""

    session: str
    login: str
    browser: str
    """A hash of the cookie that it got when it was sent."""
    expires: float


class Granting:
    """The handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self._tickets: dict[str, Ticket] = {}

    def granted(self, request: Request) -> Response | None:
        """What somebody is told who asked for a session and was not let in; None where it is not for want of a grant.

        Raises Fail: `start.login-needed`, `start.login-not-kept`.
        """
        identity, name = self.public.gate.identity, request.path_params["session"]
        if identity.people is None or not identity.needed or (session := self._live(name)) is None:
            return None
        shown = {cookies.GRANT, cookies.own(request, cookies.GRANT)}
        if any(identity.people.grants.holds(name, one) for key in shown for one in cookies.values(request, key)):
            return None
        if not _navigates(request):
            raise Fail(
                LOGIN_NEEDED(f"the session {name} is somebody's, and the request does not show that it is yours")
            )
        if ticket := self._tickets.pop(request.query_params.get(TICKET, ""), None):
            return self._let_in(request, session, ticket)
        return self._sent(request, session)

    async def open(self, request: Request) -> Response:
        """Whose session it is gets a ticket. Raises Fail: `start.not-yours`, `platform.no-such-object`."""
        name, asking = request.path_params["session"], self.public.gate.identity.who(request)
        session = self._live(name)
        if asking is None or session is None:
            seen = Evidence("session", name[:40])
            raise Fail(NO_SUCH_OBJECT("no session of this name runs", seen, remedy="Begin at the front page."))
        whose = self.public.launches.whose(session.launch)
        if whose != asking.person.name and not (whose == "" and asking.person.admin):
            raise Fail(NOT_YOURS("the session is not yours", Evidence("session", name)))
        query = {}
        if browser := request.query_params.get("browser", "")[:64]:
            ticket = secrets.token_hex(24)
            self._tickets[ticket] = Ticket(name, asking.login, browser, self.public.clock.now() + GOOD_FOR)
            while len(self._tickets) > MOST:
                del self._tickets[next(iter(self._tickets))]
            query = {TICKET: ticket}
        return RedirectResponse(self._address(request, session, request.query_params.get("at", ""), query), 303)

    def _sent(self, request: Request, session: Session) -> Response:
        browser = secrets.token_hex(24)
        there = service_origin(self.public.settings().service, origin(request))
        query = urlencode({"browser": _hash(browser), "at": _without_ticket(place_in_session(request))})
        answer = RedirectResponse(f"{there}{self.public.base}open/{session.name}?{query}", 303)
        cookies.keep(answer, request, cookies.OPENING, browser, _path(session), OPENED_WITHIN)
        return answer

    def _let_in(self, request: Request, session: Session, ticket: Ticket) -> Response:
        """Raises Fail: `start.login-not-kept`."""
        if ticket.session != session.name or self.public.clock.now() > ticket.expires:
            return self._sent(request, session)
        shown = [_hash(one) for one in cookies.values(request, cookies.OPENING)]
        if not any(Keys.same(one, ticket.browser) for one in shown):
            raise Fail(LOGIN_NOT_KEPT("it comes back from logging in without the cookie that it was sent with"))
        people = self.public.gate.identity.people
        assert people is not None
        token = {"token": self.public.keys.session_token(session.name)}
        at = _without_ticket(place_in_session(request))
        answer = RedirectResponse(self._address(request, session, at, token, here=True), 303)
        grant = people.grants.give(session.name, ticket.login)
        here = origin(request)
        apart = service_origin(self.public.settings().service, here) != here
        kept = cookies.own(request, cookies.GRANT) if apart else cookies.GRANT  # one for all paths of a host
        cookies.keep(answer, request, kept, grant, _path(session))
        cookies.keep(answer, request, cookies.OPENING, "", _path(session), 0)
        return answer

    def _address(
        self, request: Request, session: Session, at: str, query: dict[str, str], *, here: bool = False
    ) -> str:
        base = _path(session) if here else self.public.opened_at(request)(session.name)
        place = relative_urlpath({"urlpath": at})
        return f"{base}{place}{('&' if '?' in place else '?') if query else ''}{urlencode(query)}"

    def _live(self, name: str) -> Session | None:
        return next((one for one in self.public.sessions.live if one.name == name), None)


def _without_ticket(place: str) -> str:
    path, _, query = place.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith(f"{TICKET}="))
    return f"{path}?{kept}" if kept else path


def _path(session: Session) -> str:
    """Its path below the service."""
    return session_path("/", session.name)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _navigates(request: Request) -> bool:
    """Whether a person opens a page."""
    page = "text/html" in request.headers.get("accept", "")
    return request.method == "GET" and page and request.headers.get("sec-fetch-mode", "navigate") == "navigate"
