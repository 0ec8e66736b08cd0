"""What was and is: a launch as JSON and as events, for whoever knows its number; what a pasted link means.

In: requests that a guard let through. Out: JSON and event streams. Anybody may read a launch's log; only whoever
brings its key is told the session's address and token.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.launching.resolve.address import badge_markdown, badge_rst, launch_link
from perijove.web.following import follow
from perijove.web.guard import RESUME
from perijove.web.lives import known_launch, launch_told, life
from perijove.web.public import Public
from perijove.web.requests import origin
from perijove.web.wishes import wished


class Records:
    """The handlers below /api/."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def launch(self, request: Request) -> Response:
        """A launch as it stands; with `?key=`, where its session runs too."""
        launch = known_launch(self.public, request)
        session = life(self.public.journal, launch.session) if launch.session else None
        told = launch_told(launch, session)
        if (
            launch.state == "ready"
            and session
            and not session.end
            and self.public.gate.key_given(request, launch.number)
        ):
            token = self.public.keys.session_token(session.session.name)
            told |= {"url": f"{origin(request)}{session.session.path}", "token": token}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def events(self, request: Request) -> Response:
        """A launch's events, from `Last-Event-ID` or `?after=` on."""
        launch = known_launch(self.public, request)
        seen = RESUME.fullmatch(request.headers.get("last-event-id") or request.query_params.get("after", "0"))
        return follow(self.public, request, launch.number, int(seen[1]) if seen else 0)

    async def link(self, request: Request) -> Response:
        """What the form's fields mean: the link to share, and badges for it. Starts nothing."""
        query = request.query_params
        wish = wished(query.get("link", ""), query.get("ref", ""), query.get("file", ""))
        base = f"{origin(request)}/"
        return JSONResponse(
            {
                "path": launch_link("/", wish.address.path, wish.urlpath),
                "link": launch_link(base, wish.address.path, wish.urlpath),
                "markdown": badge_markdown(base, wish.address.path, wish.urlpath),
                "rst": badge_rst(base, wish.address.path, wish.urlpath),
            },
            headers={"Cache-Control": "no-store"},
        )
