"""Log in, log out. In: requests that a guard let through. Out: the page, and the cookie that shows who somebody is."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perijove.domain.auth_failures import LOGIN_SLOWED, LOGIN_WRONG
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail, Failure
from perijove.domain.people import Person
from perijove.domain.reach import household
from perijove.web import cookies, pages
from perijove.web.forms import form
from perijove.web.limits import RateWindows
from perijove.web.public import Public
from perijove.web.redirects import ours
from perijove.web.requests import client
from perijove.web.statuses import status

SLOWED = 300.0
"""Seconds in which so many wrong passwords are borne:"""
OF_BOTH, OF_VISITOR, OF_NAME = 6, 120, 100
"""for one name from one visitor; from one visitor, who may be a class; for one name from anywhere, which whoever
guesses from many addresses so locks out for others, and for no longer than that."""


class Login:
    """The handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self._wrong = RateWindows()

    async def page(self, request: Request) -> Response:
        """The form; whoever is logged in goes on."""
        there = ours(request.query_params.get("next", ""))
        self._with_form()
        if not self.public.gate.identity.name(request):
            return self._form(there)
        if there.startswith("/open/"):  # a form's answer may not lead to another origin, as a session's is (CSP)
            return pages.page(self.public, "going_on.html", there=there)
        return RedirectResponse(there, 303)

    async def login(self, request: Request) -> Response:
        """A name and a password."""
        self._with_form(AuthMethod.PASSWORD)
        given = await form(request)
        name, there = given.get("name", "").strip()[:200], ours(given.get("next", ""))
        if failure := await self._refusal(request, name, given.get("password", "")):
            return self._form(there, name, failure)
        identity = self.public.gate.identity
        answer = RedirectResponse(f"/login?next={quote(there, safe='')}", 303)
        identity.keep(answer, request, identity.begin(Person(name)))
        return answer

    async def logout(self, request: Request) -> Response:
        """Nothing of this browser's log-in opens anything any more."""
        self._with_form()
        self.public.gate.identity.end(request)
        answer = RedirectResponse("/login", 303)
        cookies.keep(answer, request, cookies.own(request, cookies.LOGIN), "", "/", 0)
        return answer

    async def _refusal(self, request: Request, name: str, password: str) -> Failure | None:
        """Each try is counted before it is judged, so that many at once are no way around it."""
        people = self.public.gate.identity.people
        assert people is not None
        visitor, now = household(client(request)), self.public.clock.now()
        counted = {f"{visitor} {name}": OF_BOTH, visitor: OF_VISITOR, f"name {name}": OF_NAME}
        if wait := max(self._wrong.wait(key, now, limit, SLOWED) for key, limit in counted.items()):
            return LOGIN_SLOWED("the next try is possible later", Evidence("your address", visitor), after=wait)
        for key in counted:
            self._wrong.count(key, now, SLOWED)
        crowd: Failure | None = None
        try:
            if not await people.passwords.right(name, password):
                return LOGIN_WRONG("nobody has both")
        except Fail as fail:  # nothing was judged
            crowd = fail.failure
        for key in counted:
            self._wrong.give_back(key, now)
        return crowd

    def _form(self, there: str, name: str = "", failure: Failure | None = None) -> Response:
        code = status(failure) if failure else 200
        headers = {"Retry-After": f"{max(1, round(failure.after))}"} if failure and failure.after else {}
        elsewhere = self.public.settings().auth.method is AuthMethod.OIDC
        values = {"there": there, "name": name, "failure": failure, "elsewhere": elsewhere}
        return pages.page(self.public, "login.html", code, headers, **values)

    def _with_form(self, *methods: AuthMethod) -> None:
        """Raises Fail where nobody logs in here."""
        identity = self.public.gate.identity
        if identity.auth.method not in (methods or (AuthMethod.PASSWORD, AuthMethod.OIDC)) or not identity.needed:
            raise Fail(NO_SUCH_OBJECT("nobody logs in at this address", remedy="Begin at the front page."))
