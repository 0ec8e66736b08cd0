"""The sessions that a visitor has running: offered to them where they open such a link again, opened, stopped.

In: requests with a visitor's key. Out: a page, or JSON for the front page. Whoever brings none, or another, has none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from perijove.certifying.formatting import span
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.nouns import EndReason, Session, SessionName
from perijove.launching.resolve.address import from_launch_path
from perijove.launching.resolve.urlpath import relative_urlpath
from perijove.launching.start.factory import canonical_address
from perijove.launching.start.titles import entitle, title_of
from perijove.sealing import public_half
from perijove.web.forms import form
from perijove.web.pages import page
from perijove.web.public import Public
from perijove.web.requests import launch_options, raw_spec, read_title

ANOTHER = "another"
"""Stands in a launch link's query where one beside those that run is wanted."""


@dataclass(frozen=True, slots=True)
class Running:
    """One session, for its visitor."""

    name: str
    spec: str
    """`provider/spec` for people to read."""
    since: str
    url: str
    """Its address, with its token."""
    title: str = ""
    """What its visitor calls it."""


class RunningPages:
    """The handlers: launch links, and what lies below /launch/running."""

    def __init__(self, public: Public, launched: Callable[[Request], Awaitable[Response]]) -> None:
        """`launched` opens a launch link."""
        self.public = public
        self._launched = launched

    async def link(self, request: Request) -> Response:
        """A launch link, opened: the way back to what they have running of it, or a launch."""
        options, chosen = launch_options(request), not {ANOTHER, "begin"}.isdisjoint(request.query_params)
        if chosen or options.again or options.fresh or not self.public.settings().launching.offer_running:
            return await self._launched(request)
        asked = canonical_address(from_launch_path(raw_spec(request)))
        found = [one for one in _running(self.public, request) if canonical_address(one.repo.address) == asked]
        if options.title:
            found = [one for one in found if title_of(self.public.journal, one.name) == options.title]
        if not found:
            return await self._launched(request)
        another = f"?{urlencode([*request.query_params.multi_items(), (ANOTHER, 'true')])}"
        urlpath = relative_urlpath(request.query_params)
        shown = _page(self.public, request, found, urlpath, another=another)
        return self.public.gate.held(shown, request)

    async def all(self, request: Request) -> Response:
        """All that this visitor has running."""
        found = _running(self.public, request)
        if "text/html" in request.headers.get("accept", ""):
            return _page(self.public, request, found)
        told = [asdict(one) for one in _told(self.public, request, found, "")]
        return JSONResponse({"sessions": told}, headers={"Cache-Control": "no-store"})

    async def stop(self, request: Request) -> Response:
        """End one of them; then the others. Raises Fail."""
        await self.public.sessions.stop(self._theirs(request), EndReason.STOPPED)
        return RedirectResponse("/launch/running", 303)

    async def rename(self, request: Request) -> Response:
        """Call one of them something, or nothing any more. Raises Fail."""
        name = self._theirs(request)
        entitle(self.public.journal, name, read_title((await form(request)).get("title", "")))
        return RedirectResponse("/launch/running", 303)

    def _theirs(self, request: Request) -> SessionName:
        name: SessionName = request.path_params["session"]
        if name not in {session.name for session in _running(self.public, request)}:
            seen, remedy = Evidence("this browser", "it began no such session that runs"), "Begin at the front page."
            raise Fail(NO_SUCH_OBJECT("you have no session of this name", seen, remedy=remedy))
        return name


def running(public: Public, request: Request) -> Sequence[Running]:
    """All that whoever asks has, for a page; the newest first."""
    return _told(public, request, _running(public, request), "")


def _running(public: Public, request: Request) -> Sequence[Session]:
    visitor = public_half(public.gate.visitor_key(request))
    live = public.sessions.live if visitor else ()
    return [session for session in reversed(live) if public.launches.visitor(session.launch) == visitor]


def _told(public: Public, request: Request, sessions: Sequence[Session], urlpath: str) -> Sequence[Running]:
    opened_at, now = public.opened_at(request), public.clock.now()
    told = []
    for session in sessions:
        launch, address = public.launches.get(session.launch), session.repo.address
        there = opened_at(session.name) + (launch.opened(urlpath) if launch else urlpath)
        url = f"{there}{'&' if '?' in there else '?'}token={public.keys.session_token(session.name)}"
        spec = f"{address.provider}/{unquote(address.spec)}"
        title = title_of(public.journal, session.name)
        told.append(Running(session.name, spec, span(now - session.started_at), url, title))
    return told


def _page(
    public: Public, request: Request, sessions: Sequence[Session], urlpath: str = "", another: str = ""
) -> Response:
    """`another` leads on to a launch."""
    told = _told(public, request, sessions, urlpath)
    return page(public, "running.html", sessions=told, urlpath=urlpath, another=another)
