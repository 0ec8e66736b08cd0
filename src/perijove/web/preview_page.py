"""The notebook that a launch's link names, for its page to show in a frame while one waits.

In: requests that a guard let through. Out: a page that runs nothing, loads nothing and is of no origin, whatever stands
in the notebook.
"""

from __future__ import annotations

import base64
import hashlib

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.failures import Evidence, Fail
from perijove.domain.framing import frame_ancestors
from perijove.domain.request_failures import LOG_CLOSED
from perijove.launching.notebook import Preview
from perijove.web.assets import STATIC
from perijove.web.launch_records import known_launch, told_log
from perijove.web.pages import page
from perijove.web.public import Public

STYLE = (STATIC / "preview.css").read_text()
"""Within the page, which loads nothing, and known by its hash."""
POLICY = (
    "sandbox; default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
NOT_NOW = Preview("", "There is nothing to be seen now")


class PreviewPage:
    """The handler."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def show(self, request: Request) -> Response:
        """To whoever may read the launch's log, from when its files are here until it is over. Raises Fail."""
        launch = known_launch(self.public, request)
        if not self.public.gate.key_given(request, launch.number) and not told_log(self.public, request, launch):
            raise Fail(LOG_CLOSED("the request brings no key of this launch", Evidence("launch", str(launch.number))))
        preview = await self.public.launches.preview(launch) or NOT_NOW
        policy = " ".join((POLICY, *frame_ancestors(self.public.settings().service)))
        return page(self.public, "preview.html", 200, {"Content-Security-Policy": policy}, preview=preview, style=STYLE)
