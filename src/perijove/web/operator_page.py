"""The operator's page: what runs, room for how many more, how launches end, what disk and certificates say.

In: requests of a browser that `operator_doors` lets in. Out: a page, or a session stopped, or launches closed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perijove.domain.events import Entry, Logged, SessionLogged
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail, Failure
from perijove.domain.listening import session_hosts
from perijove.domain.nouns import EndReason, Session
from perijove.domain.repository_names import canonical
from perijove.domain.request_failures import ADMIN_CLOSED, ADMIN_SHARED, TOO_MANY_READERS
from perijove.launching.start.titles import title_of
from perijove.web.following import EventStream
from perijove.web.forms import form
from perijove.web.launch_page import heading
from perijove.web.operator_figures import figures, lines
from perijove.web.pages import page
from perijove.web.public import Public
from perijove.web.requests import origin

SHOWN_LAUNCHES, SHOWN_ENVIRONMENTS = 200, 10
READERS = 20
"""Pages that are told at once when something happens."""
AT_MOST, AT_LEAST = 1.0, 10.0
"""Seconds between two words that something has: what a session uses is no event."""
HAPPENED = b"data: happened\n\n"


class OperatorPage:
    """The handlers below /admin."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self.desk = public.desk
        self._readers = 0

    def guard(self, request: Request) -> Failure | None:
        """An admin, or whom the operator's link or cookie lets in, where no session's page can do as if it was them."""
        if refused := self.public.gate.visitor(request):
            return refused
        if not session_hosts(self.public.settings().service):
            seen = Evidence("the origin of both", origin(request))
            return ADMIN_SHARED("sessions share the origin of this page", seen)
        doors = self.desk.service.doors
        if doors.opens(request) or self.public.gate.oversees(request):
            return None
        if request.method == "GET" and request.url.path == "/admin" and request.query_params.get("key"):
            return None  # which is looked at there, and spent
        return ADMIN_CLOSED("the request brings no key that opens it")

    async def show(self, request: Request) -> Response:
        """The page; by a link once, and then by the cookie."""
        if key := request.query_params.get("key", ""):
            if not self.desk.service.doors.enter(key):
                raise Fail(ADMIN_CLOSED("its link was used already, or is too old"))
            answer = RedirectResponse("/admin", 303)
            self.desk.service.doors.hold(answer, request)
            return answer
        now = self.public.clock.now()
        stored = await self.desk.environments.stored()
        going = self.public.launches.in_hand()
        waiting = [launch for launch in going if launch.state == "waiting"]
        return page(
            self.public,
            "admin.html",
            told=await self.desk.service.told(),
            now=now,
            sessions=await self._sessions(),
            figures=figures(self.public.launches.list(SHOWN_LAUNCHES), now),
            going=[launch for launch in going if launch not in waiting],
            waiting=sorted(waiting, key=lambda launch: (launch.queued.position if launch.queued else 0, launch.number)),
            environments=sorted(stored, key=lambda one: -one.size)[:SHOWN_ENVIRONMENTS],
            environments_count=len(stored),
            environments_size=sum(one.size for one in stored),
            doctor=self.desk.doctor,
            certificates=lines(self.desk.certificates(), now),
        )

    async def events(self, request: Request) -> Response:
        """An event stream that says when the page is to be shown anew. Raises Fail: `start.too-many-readers`."""
        if self._readers >= READERS:
            raise Fail(TOO_MANY_READERS(f"{READERS} of the operator's pages are open", after=60.0))
        return EventStream(self._happenings(request), self._seat())

    @contextmanager
    def _seat(self) -> Iterator[None]:
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def _happenings(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Until whoever reads may no longer."""
        bell = asyncio.Event()

        def hear(entry: Entry) -> None:
            if not isinstance(entry.event, Logged | SessionLogged):
                bell.set()

        self.public.journal.listeners.append(hear)
        try:
            while self.guard(request) is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(AT_LEAST):
                        await bell.wait()
                bell.clear()
                yield HAPPENED
                await asyncio.sleep(AT_MOST)
        finally:
            self.public.journal.listeners.remove(hear)

    async def _sessions(self) -> list[dict[str, Any]]:
        running = await self.public.sessions.running()
        longest = self.public.settings().session.max_age
        return [
            {
                "name": session.name,
                "title": title_of(self.public.journal, session.name),
                "repository": heading(session.repo.address, None).name,
                "ref": session.repo.address.ref,
                "client": self.public.launches.whose(session.launch) or self.public.launches.asked_by(session.launch),
                "launch": session.launch,
                "started_at": session.started_at,
                "used_at": self.public.sessions.last_activity(session.name),
                "until": session.started_at + longest if longest else None,
                "use": running.get(session.name),
                "processors": self.public.sessions.processors(session.name),
            }
            for session in sorted(self.public.sessions.live, key=lambda one: one.started_at)
        ]

    async def stop(self, request: Request) -> Response:
        """Sessions are stopped, after some minutes: one, all of a repository, or all."""
        asked = await form(request)
        minutes = _minutes(asked)
        for session in self._meant(asked):
            if minutes:
                self.public.sessions.stop_later(session.name, 60.0 * minutes)
            else:
                await self.public.sessions.stop(session.name, EndReason.STOPPED)
        return RedirectResponse("/admin", 303)

    def _meant(self, asked: Mapping[str, str]) -> list[Session]:
        name, repository = asked.get("session", ""), asked.get("repository", "")
        live = list(self.public.sessions.live)
        if name:
            return [session for session in live if session.name == name]
        if repository:
            of = {session.name: heading(session.repo.address, None).name for session in live}
            wanted = {canonical(one.repo.address.url) for one in live if of[one.name] == repository}
            return [session for session in live if canonical(session.repo.address.url) in wanted]
        return live if asked.get("all") == "all" else []

    async def close(self, request: Request) -> Response:
        """No new launches are taken, with words for visitors; or they are taken again."""
        asked = await form(request)
        if asked.get("open") == "open":
            self.public.launches.closed = None
        else:
            self.desk.service.close(asked.get("words", ""))
        return RedirectResponse("/admin", 303)

    async def examine(self, request: Request) -> Response:
        """The doctor looks soon."""
        self.desk.doctor.begin()
        return RedirectResponse("/admin#doctor", 303)

    async def fix(self, request: Request) -> Response:
        """The doctor mends what it said that it would, and looks again; nothing where it says something else by now."""
        asked, last = await form(request), self.desk.doctor.last
        if asked.get("sure") == "yes" and last and last.fixes and asked.get("fixes") == last.planned:
            self.desk.doctor.begin(last.planned)
        return RedirectResponse("/admin#doctor", 303)

    async def message(self, request: Request) -> Response:
        """All pages, those of sessions too, say these words for some minutes; nothing any more without words."""
        asked = await form(request)
        self.public.sessions.announcing.say(asked.get("words", ""), 60.0 * _minutes(asked))
        return RedirectResponse("/admin", 303)


def _minutes(asked: Mapping[str, str]) -> int:
    """Raises Fail: `start.bad-request`."""
    minutes = asked.get("minutes", "0")
    if not re.fullmatch("[0-9]{1,4}", minutes):
        raise Fail(BAD_REQUEST("minutes is no number", Evidence("minutes", minutes[:100])))
    return int(minutes)
