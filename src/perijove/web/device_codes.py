"""A person's token for a Git host, by a code that they type there. In: requests of theirs. Out: their own page, /you.

The host is asked when their page asks: a script does as often as the host allows, or a button.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from perijove.domain.failures import BAD_REQUEST, Evidence, Fail, Failure
from perijove.domain.people import DeviceCode, HostToken
from perijove.domain.people_failures import DEVICE_ENDED
from perijove.web.answers import reads_pages
from perijove.web.forms import form
from perijove.web.identity import People
from perijove.web.limits import RateWindows
from perijove.web.public import Public

MOST = 10_000
"""People with a code at once; the oldest is forgotten first."""
PERIOD, OF_PERSON = 600.0, 10
"""Seconds in which a person gets so many codes."""


@dataclass(slots=True)
class _Code:
    code: DeviceCode
    next: float
    """When the host may be asked again."""
    failure: Failure | None = None
    """How it ended."""


class DeviceCodes:
    """The handlers; a code is kept in memory alone, and a restart forgets it."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self._codes: dict[str, _Code] = {}
        self._begun = RateWindows()

    async def begin(self, request: Request) -> Response:
        """A code of a host for whoever asks, or the one that they have. Raises Fail."""
        asking, people = self.public.gate.identity.theirs(request)
        host, name, now = (await form(request)).get("host", ""), asking.person.name, self.public.clock.now()
        if host not in people.devices.hosts:
            raise Fail(BAD_REQUEST("this host gives no codes here", Evidence("host", host[:100])))
        had = self._codes.get(name)
        if had is None or had.failure or had.code.host != host or now > had.code.expires:
            if wait := self._begun.wait(name, now, OF_PERSON, PERIOD):
                why, remedy = (
                    f"{OF_PERSON} codes in {PERIOD:g} seconds are enough",
                    f"Wait {wait:.0f} s, or paste a token.",
                )
                raise Fail(BAD_REQUEST(why, Evidence("host", host), remedy=remedy))
            self._begun.count(name, now, PERIOD)
            code = await people.devices.begin(host)
            self._codes.pop(name, None)
            self._codes[name] = _Code(code, now + code.interval)
            while len(self._codes) > MOST:
                del self._codes[next(iter(self._codes))]
        return RedirectResponse("/you", 303)

    async def ask(self, request: Request) -> Response:
        """Whether it was typed there: to scripts in how many seconds to ask again, 0 once that is over. Raises Fail."""
        asking, people = self.public.gate.identity.theirs(request)
        await self._ask(asking.person.name, people)
        if reads_pages(request):
            return RedirectResponse("/you", 303)
        told = self.told(asking.person.name)
        return JSONResponse({"wait": told["wait"] if told else 0}, headers={"Cache-Control": "no-store"})

    def told(self, name: str) -> dict[str, Any] | None:
        """What their page says of it; None for nothing."""
        if (had := self._codes.get(name)) is None:
            return None
        wait = 0 if had.failure else max(1, round(had.next - self.public.clock.now()))
        shown = {"shown": had.code.shown, "there": had.code.there, "name": had.code.host.partition("://")[2]}
        return shown | {"failure": had.failure, "wait": wait}

    async def _ask(self, name: str, people: People) -> None:
        had, now = self._codes.get(name), self.public.clock.now()
        if had is None or had.failure or now < had.next:
            return
        had.next = now + had.code.interval  # two pages of theirs ask once
        if now > had.code.expires:
            had.failure = DEVICE_ENDED("the code was not typed there in time", Evidence("its host", had.code.host))
            return
        try:
            told = await people.devices.ask(had.code)
            if isinstance(told, HostToken) and self._codes.get(name) is had:
                people.host_tokens.keep(name, told)
                del self._codes[name]
            elif isinstance(told, DeviceCode):
                had.code, had.next = told, self.public.clock.now() + told.interval
        except Fail as fail:
            had.failure = fail.failure
