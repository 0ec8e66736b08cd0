"""A person's own page: tokens for their programs, and theirs for Git hosts. In: requests of theirs. Out: the page."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perijove.certifying.formatting import moment
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.people import ANY_USER, HostToken, Login, host_of
from perijove.web import pages
from perijove.web.device_codes import DeviceCodes
from perijove.web.forms import form
from perijove.web.identity import Asking, People
from perijove.web.public import Public
from perijove.web.running import running

LONGEST = 60
"""Characters of what a token is for."""
SECRET = re.compile("[!-~]{8,1000}")
"""A token of a Git host's: what a line of git's credential protocol can carry."""
USER = re.compile("[!-~]{1,100}")


class You:
    """The handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self.codes = DeviceCodes(public)

    async def page(self, request: Request) -> Response:
        """Who they are here, and their tokens."""
        return self._page(request)

    async def begin_token(self, request: Request) -> Response:
        """A new one, shown once."""
        self.public.gate.identity.theirs(request)
        program = (await form(request)).get("program", "").strip()
        if not program.isprintable() or not 0 < len(program) <= LONGEST:
            raise Fail(BAD_REQUEST(f"what it is for has 1 to {LONGEST} characters", Evidence("program", program[:100])))
        secret = self.public.gate.identity.begin_program(request, program)
        return self._page(request, {"program": program, "secret": secret})

    async def end_token(self, request: Request) -> Response:
        """It opens nothing any more."""
        asking, people = self.public.gate.identity.theirs(request)
        token = (await form(request)).get("token", "")
        for login in self._tokens(asking, people):
            if login.id == token:
                self.public.gate.identity.ended(login)
        return RedirectResponse("/you", 303)

    async def keep_host(self, request: Request) -> Response:
        """Their token for a Git host, which no page shows again."""
        asking, people = self.public.gate.identity.theirs(request)
        told = {name: value.strip() for name, value in (await form(request)).items()}
        named = told.get("host", "")
        host = host_of(named if "://" in named else f"https://{named}")
        if not host:
            raise Fail(BAD_REQUEST("the host is named as github.com is", Evidence("host", named[:100])))
        secret, user = told.get("secret", ""), told.get("user", "") or ANY_USER
        if not SECRET.fullmatch(secret) or not USER.fullmatch(user):
            raise Fail(BAD_REQUEST("a token has 8 to 1,000 letters, digits and signs, a user name 1 to 100"))
        people.host_tokens.keep(asking.person.name, HostToken(host, secret, user, self.public.clock.now()))
        return RedirectResponse("/you", 303)

    async def remove_host(self, request: Request) -> Response:
        """It opens nothing here any more."""
        asking, people = self.public.gate.identity.theirs(request)
        people.host_tokens.remove(asking.person.name, (await form(request)).get("host", ""))
        return RedirectResponse("/you", 303)

    def _page(self, request: Request, made: dict[str, str] | None = None) -> Response:
        asking, people = self.public.gate.identity.theirs(request)
        tokens = [
            {"id": one.id, "program": one.program, "until": moment(one.expires)} for one in self._tokens(asking, people)
        ]
        values: dict[str, Any] = {
            "name": asking.person.name,
            "tokens": tokens,
            "made": made,
            "device": self.codes.told(asking.person.name),
            "devices": [(one, one.partition("://")[2]) for one in people.devices.hosts],
            "sessions": running(self.public, request),
            "hosts": [
                {"host": one.host, "name": one.host.removeprefix("https://"), "since": moment(one.since)}
                for one in people.host_tokens.of(asking.person.name)
            ],
        }
        return pages.page(self.public, "you.html", **values)

    def _tokens(self, asking: Asking, people: People) -> list[Login]:
        return [one for one in people.logins.all() if one.program and one.person.name == asking.person.name]
