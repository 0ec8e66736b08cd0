"""What was and is: a launch as JSON and as events; what a pasted link means.

In: requests that a guard let through. Out: JSON and event streams. Anybody is told how far a launch is; its log and its
names whoever may read them, the session's address and token whoever brings its key.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.launching.resolve.address import badge_markdown, badge_rst, launch_link
from perijove.web.following import follow
from perijove.web.form_fields import link_of
from perijove.web.launch_keys import EVENT_ID
from perijove.web.launch_records import known_launch, launch_told, log_open, outline, outline_told, session_record
from perijove.web.public import Public
from perijove.web.requests import origin


class Records:
    """The handlers below /api/."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def launch(self, request: Request) -> Response:
        """A launch as it stands; with its key, where its session runs too."""
        launch = known_launch(self.public, request)
        key = self.public.gate.key_given(request, launch.number)
        if not key and not log_open(self.public.settings(), launch):
            return JSONResponse(outline_told(outline(launch)))
        session = session_record(self.public.journal, launch.session) if launch.session else None
        told = launch_told(launch, session)
        if launch.state == "ready" and session and not session.end and key:
            token = self.public.keys.session_token(session.session.name)
            told |= {"url": self.public.opened_at(origin(request))(session.session.name), "token": token}
        return JSONResponse(told)

    async def events(self, request: Request) -> Response:
        """A launch's events, from `Last-Event-ID` or `?after=` on."""
        launch = known_launch(self.public, request)
        seen = EVENT_ID.fullmatch(request.headers.get("last-event-id") or request.query_params.get("after", "0"))
        key = self.public.gate.key_given(request, launch.number)
        log = bool(key) or log_open(self.public.settings(), launch)
        return follow(self.public, request, launch.number, int(seen[1]) if seen else 0, key=key, log=log)

    async def link(self, request: Request) -> Response:
        """What the form's fields mean: the link to share, and badges for it. Starts nothing."""
        query = request.query_params
        link = link_of(query.get("link", ""), query.get("ref", ""), query.get("file", ""))
        base = f"{origin(request)}/"
        return JSONResponse(
            {
                "path": launch_link("/", link.address.path, link.urlpath),
                "link": launch_link(base, link.address.path, link.urlpath),
                "markdown": badge_markdown(base, link.address.path, link.urlpath),
                "rst": badge_rst(base, link.address.path, link.urlpath),
            }
        )
