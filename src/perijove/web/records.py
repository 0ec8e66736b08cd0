"""What was and is: a launch as JSON and as events; what a pasted link means.

In: requests that a guard let through. Out: JSON and event streams. Anybody is told how far a launch is; its log and its
names whoever may read them, the session's address and token whoever brings its key.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.domain.failures import Fail
from perijove.launching.resolve.address import badge_markdown, badge_rst, launch_link
from perijove.web.following import follow
from perijove.web.form_fields import with_fields
from perijove.web.launch_keys import EVENT_ID
from perijove.web.launch_page import heading, opened_path
from perijove.web.launch_records import known_launch, launch_told, outline, outline_told, session_record, told_log
from perijove.web.public import Public

OFFERED = 100
"""Branches, and tags, that a form offers."""


class Records:
    """The handlers below /api/."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def launch(self, request: Request) -> Response:
        """A launch as it stands; with its key, where its session runs too."""
        launch = known_launch(self.public, request)
        key = self.public.gate.key_given(request, launch.number)
        if not key and not told_log(self.public, request, launch):
            return JSONResponse(outline_told(outline(launch)))
        session = session_record(self.public.journal, launch.session) if launch.session else None
        told = launch_told(self.public.base, launch, session)
        if launch.state == "ready" and session and not session.end and key:
            token = self.public.token_for(request)(session.session.name)
            told |= {"url": self.public.opened_at(request)(session.session.name), "token": token}
        return JSONResponse(told)

    async def events(self, request: Request) -> Response:
        """A launch's events, from `Last-Event-ID` or `?after=` on."""
        launch = known_launch(self.public, request)
        seen = EVENT_ID.fullmatch(request.headers.get("last-event-id") or request.query_params.get("after", "0"))
        key = self.public.gate.key_given(request, launch.number)
        log = bool(key) or told_log(self.public, request, launch)
        return follow(self.public, request, launch.number, int(seen[1]) if seen else 0, key=key, log=log)

    async def link(self, request: Request) -> Response:
        """What the form's fields mean: the link to share, and badges for it. Starts nothing."""
        query = request.query_params
        pasted = await self.public.meant(request, query.get("link", ""))
        link = with_fields(pasted, query.get("ref", ""), query.get("file", ""))
        base, repository = self.public.home(request), heading(link.address, None)
        return JSONResponse(
            {
                "path": launch_link(self.public.base, link.address.path, link.urlpath),
                "link": launch_link(base, link.address.path, link.urlpath),
                "markdown": badge_markdown(base, link.address.path, link.urlpath),
                "rst": badge_rst(base, link.address.path, link.urlpath),
                "host": repository.host,
                "repository": repository.name,
                "ref": link.address.ref,
                "opens": opened_path(link.urlpath),
            }
        )

    async def refs(self, request: Request) -> Response:
        """Branches and tags of what a pasted link means, as many as a form can offer. Raises Fail."""
        link = await self.public.meant(request, request.query_params.get("link", ""))
        if refused := self.public.gate.not_for(request, link.address):
            raise Fail(refused)
        if not self.public.gate.may_look(request):
            return JSONResponse({"branches": [], "tags": []})
        names = await self.public.links.names(link.address)
        return JSONResponse({"branches": names.branches[:OFFERED], "tags": names.tags[-OFFERED:][::-1]})
