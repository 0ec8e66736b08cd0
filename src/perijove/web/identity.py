"""Who asks? In: a request, who is logged in. Out: a person, or nobody.

A cookie, or what the web server in front says, shows who the browser's user is; not that the page that asks is ours. So
it counts for nothing where another site's page asks, be it a session's, unless its user follows a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.auth_failures import FRONT_SILENT, LOGIN_NEEDED, NAME_UNUSABLE
from perijove.domain.auth_settings import AuthMethod, AuthSettings
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail, Failure
from perijove.domain.nouns import SessionName
from perijove.domain.people import NAME, Devices, Grants, HostTokens, Login, Logins, Passwords, Person, Provider, among
from perijove.domain.ports import Clock
from perijove.domain.settings import Settings
from perijove.web import cookies, origins

BEARER = re.compile(r"(?i:bearer|token) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class People:
    """What is kept of those who log in."""

    passwords: Passwords
    provider: Provider
    logins: Logins
    grants: Grants
    host_tokens: HostTokens
    devices: Devices


@dataclass(frozen=True, slots=True)
class Asking:
    """Whoever asks, and by which log-in."""

    person: Person
    login: str
    """Its id."""
    program: bool = False
    """Whether a program asks, by a token."""


class Identity:
    """Says who asks, as the settings are now."""

    def __init__(self, settings: Callable[[], Settings], clock: Clock, people: People | None) -> None:
        self._settings = settings
        self._clock = clock
        self.people = people

    @property
    def auth(self) -> AuthSettings:
        return self._settings().auth

    @property
    def needed(self) -> bool:
        """Whether people log in here."""
        return self.people is not None and self.auth.method is not AuthMethod.NONE

    def who(self, request: Request) -> Asking | None:
        """None for nobody, and for a page of another site.

        Raises Fail: `start.name-unusable`, `platform.people-unreadable`.
        """
        if self.people is None or not self.needed:
            return None
        if asking := self._program(self.people, request):  # no page makes a browser send that by itself
            return asking
        if _for_another_site(request):
            return None
        if self.auth.method is AuthMethod.HEADER:
            return self._by_header(request)
        for secret in cookies.values(request, cookies.own(request, cookies.LOGIN)):
            login = self.people.logins.find(secret)
            if login and not login.program and (person := self._now(self.people, login)):
                return Asking(self._judged(person), login.id)
        return None

    def _program(self, people: People, request: Request) -> Asking | None:
        """Whose token it brings; what else may stand in the header is no token of ours."""
        said = BEARER.fullmatch(request.headers.get("authorization", ""))
        login = people.logins.find(said[1]) if said else None
        if login is None or not login.program or (person := self._now(people, login)) is None:
            return None
        return Asking(self._judged(person), login.id, program=True)

    def theirs(self, request: Request) -> tuple[Asking, People]:
        """Who asks for what is theirs, in a browser. Raises Fail where nobody logs in: a guard has let them through."""
        if self.people is None or (asking := self.who(request)) is None or asking.program:
            raise Fail(NO_SUCH_OBJECT("nobody logs in here, or a program asks", remedy="Begin at the front page."))
        return asking, self.people

    def unknown(self, request: Request) -> Failure | None:
        """Why whoever asks has to log in first; None where nobody has to, or they have. Raises Fail as `who`."""
        if not self.needed or self.who(request):
            return None
        if self.auth.method is AuthMethod.HEADER and not _for_another_site(request):
            return FRONT_SILENT("its header is missing, or there twice", Evidence("auth.header", self.auth.header))
        return LOGIN_NEEDED("the request does not show who asks")

    def name(self, request: Request) -> str:
        """Of the person who asks; `` for nobody. Raises Fail as `who`."""
        return asking.person.name if (asking := self.who(request)) else ""

    def shown_name(self, request: Request) -> str:
        """Of a person who can log out here; `` for others."""
        return "" if self.auth.method is AuthMethod.HEADER else self.name(request)

    def begin(self, person: Person) -> str:
        """Whoever has shown that they are this person is logged in: the secret for their browser. Raises Fail."""
        assert self.people is not None
        expires = self._clock.now() + self.auth.login_lifetime
        return self.people.logins.begin(person, expires, self._proof(self.people, person.name))

    def begin_program(self, request: Request, program: str) -> str:
        """A token for a program of whoever asks. Raises Fail."""
        asking = self.who(request)
        assert self.people is not None
        assert asking is not None
        expires = self._clock.now() + self.auth.token_lifetime
        proof = self._proof(self.people, asking.person.name)
        return self.people.logins.begin(asking.person, expires, proof, program)

    def keep(self, answer: Response, request: Request, secret: str) -> None:
        """Have the browser show that log-in."""
        cookies.keep(answer, request, cookies.own(request, cookies.LOGIN), secret, "/", self.auth.login_lifetime)

    def end(self, request: Request) -> None:
        """The log-ins that the request shows are over, and open no session any more. Raises Fail."""
        assert self.people is not None
        for secret in cookies.values(request, cookies.own(request, cookies.LOGIN)):
            if login := self.people.logins.find(secret):
                self.ended(login)

    def sweep(self, sessions: Collection[SessionName]) -> None:
        """End the log-ins that hold no more, and forget who may open sessions that are over. Raises Fail.

        Tokens for Git hosts go with their person, as far as it is told here that somebody has gone.

        `sessions`: those that are not.
        """
        if self.people is not None:
            self.people.grants.keep(sessions)
            for login in self.people.logins.all():
                if self._now(self.people, login) is None:
                    self.ended(login)
            passwords = self.people.passwords
            if self.auth.method is AuthMethod.PASSWORD and passwords.anybody:
                self.people.host_tokens.sweep(lambda name: passwords.person(name) is None)

    def _now(self, people: People, login: Login) -> Person | None:
        """Who that is now; None where it holds no more: it is too old, or what it rests on is another."""
        if self._clock.now() >= login.expires or self._proof(people, login.person.name) != login.proof:
            return None
        if self.auth.method is AuthMethod.PASSWORD:
            return people.passwords.person(login.person.name)
        return login.person

    def _proof(self, people: People, name: str) -> str:
        if self.auth.method is AuthMethod.OIDC:
            return f"{self.auth.oidc_issuer} {self.auth.oidc_client_id}"
        return people.passwords.proof(name) if self.auth.method is AuthMethod.PASSWORD else ""

    def ended(self, login: Login) -> None:
        """It shows nobody any more, and opens no session. Raises Fail."""
        assert self.people is not None
        self.people.logins.end(login)
        self.people.grants.withdraw(login.id)

    def _by_header(self, request: Request) -> Asking | None:
        """Caddy has dropped what anybody but the web server in front says there."""
        said = request.headers.getlist(self.auth.header)
        if len(said) != 1 or not (name := said[0].strip()):
            return None
        if not NAME.fullmatch(name):
            raise Fail(NAME_UNUSABLE("its characters or its length", Evidence(self.auth.header, name[:200])))
        told = request.headers.getlist(self.auth.groups_header) if self.auth.groups_header else []
        groups = {group.strip() for group in ",".join(told).split(",")}
        person = Person(name, frozenset(group for group in groups if NAME.fullmatch(group)))
        return Asking(self._judged(person), f"front/{name}")

    def _judged(self, person: Person) -> Person:
        return replace(person, admin=person.admin or among(person, self.auth.admins))


def _for_another_site(request: Request) -> bool:
    opened = request.method in ("GET", "HEAD") and request.headers.get("sec-fetch-mode") == "navigate"
    return not opened and bool(origins.foreign(request, ()))
