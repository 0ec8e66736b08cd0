"""When did somebody last use this Jupyter server, and how many pages and apps are connected? The standard library only.

And when will it be stopped, what does it use of what it may, what went wrong: whoever asks says so, and pages ask here,
where a person may also say that it is used.

Runs inside the sandbox, in our own server and in a repository's. The answer stands in a header of what the server says
of its kernels. What Jupyter itself counts as activity is no use of anybody's: an open tab asks every few seconds, and
a thread of an idle kernel may print for ever.
"""

import importlib
import json
import os
import re
import time
from typing import Any

HEADER = "X-Perijove-Use"
"""`used=<Unix seconds> pages=<connections> apps=<connections>`."""
ENDING = "X-Perijove-Ending"
"""Of the request: `at=<Unix seconds> reason=<word>`, or `` where nothing is to be said."""
ENDS = re.compile(r"at=(\d{1,12}) reason=([a-z-]{1,20})")
JUPYTER = {"jupyter_server", "jupyter_server_terminals"}
"""Packages whose handlers change something only when somebody wants it: an open Lab writes its workspace every ten
seconds by jupyterlab_server's, and git's extension polls by POST."""
PROXY = "jupyter_server_proxy"
READS = ("GET", "HEAD", "OPTIONS")
UNASKED = (b"kernel_info_request", b"comm_info_request", b'"set_size"')
"""What a page says by itself when its connection comes back."""
WRITTEN: "dict[str, int]" = {}
"""What was last saved at an address, without what kernels make of it."""
REMEMBERED = 100
NOTICES = "X-Perijove-Notices"
"""Of the request: JSON, as pages are told it: `{"shares": {"memory": [used, allowed] …}, "troubles": […]}`."""
VARIABLES = "X-Perijove-Variables"
"""Of the request: JSON, which repository the session was launched for, where that was not known at its start."""
NAMED = "BINDER_"
"""Begins the names of such variables (binder-protocol, 1.8)."""
LOOKED_AT = 512
"""Bytes of a message in which its kind stands."""


class Usage:
    """What has been noticed so far."""

    used = 0.0
    pages = 0
    apps = 0
    ends_at = 0.0
    """When it will be stopped; 0 where nobody says."""
    reason = ""
    asked = 0.0

    def __init__(self) -> None:
        self.notices: dict[str, Any] = {}
        """What is told beside that."""

    def __str__(self) -> str:
        return f"used={self.used:.3f} pages={self.pages} apps={self.apps}"


USAGE = Usage()


def proxies(handler: Any) -> bool:
    """Whether it passes requests on to an app."""
    return any(one.__module__.partition(".")[0] == PROXY for one in type(handler).__mro__)


def wanted(handler: Any) -> bool:
    """Whether somebody wanted what has just been answered: a page, a change, something of an app."""
    request = handler.request
    if handler.get_status() >= 400:
        return False
    if proxies(handler):
        return True
    if request.method in READS:
        return "text/html" in request.headers.get("Accept", "")
    return type(handler).__module__.partition(".")[0] in JUPYTER and not saved_by_itself(request)


def saved_by_itself(request: Any) -> bool:
    """Whether a page has saved what nobody has written since: every two minutes it does, for as long as a kernel's
    thread prints. Whoever asks for it has a checkpoint made as well, by POST."""
    if request.method != "PUT" or "/api/contents/" not in request.path:
        return False
    try:
        model = json.loads(request.body)
        cells = model["content"]["cells"] if model["type"] == "notebook" else [{"source": model["content"]}]
        wrote = hash(str([(cell.get("id"), cell.get("cell_type"), cell.get("source")) for cell in cells]))
    except (ValueError, LookupError, TypeError, AttributeError):  # no page's
        return False
    same = WRITTEN.get(request.path) == wrote
    if len(WRITTEN) >= REMEMBERED and request.path not in WRITTEN:
        WRITTEN.clear()
    WRITTEN[request.path] = wrote
    return same


def said(handler: Any, message: bytes) -> bool:
    """Whether somebody said this to a kernel, a terminal or an app."""
    if proxies(handler):
        return True
    ours = type(handler).__module__.partition(".")[0] in JUPYTER
    return ours and not any(kind in message[:LOOKED_AT] for kind in UNASKED)


def hear(said: "str | None") -> None:
    """Take in when it will be stopped; others who ask for the kernels do not say."""
    if said is None:
        return
    told, before = ENDS.fullmatch(said), USAGE.asked
    USAGE.asked = time.time()
    # Whoever asks does not know yet of what has been wanted since they asked last.
    used_since = USAGE.used > before and told is not None and told[2] == "idle"
    USAGE.ends_at, USAGE.reason = (float(told[1]), told[2]) if told and not used_since else (0.0, "")


def note(said: "str | None") -> None:
    """Take in what pages are told beside that."""
    try:
        told = json.loads(said or "")
    except ValueError:  # nobody said anything, or somebody else something else
        return
    if isinstance(told, dict):
        USAGE.notices = told


def belong(said: "str | None") -> int:
    """Take in what the session was launched for: kernels and terminals get it as we have it. How much of it."""
    try:
        told = {name: value for name, value in json.loads(said or "{}").items() if name.startswith(NAMED)}
        os.environ.update(told)
    except (ValueError, AttributeError, TypeError):  # not said by the service
        return 0
    return len(told)


def notice() -> None:
    """Have it noticed and told from now on. A version of tornado that works otherwise tells of requests alone."""
    application = importlib.import_module("tornado.web").Application
    log_request = application.log_request

    def answered(self: Any, handler: Any) -> None:
        log_request(self, handler)
        if wanted(handler):
            USAGE.used = time.time()

    application.log_request = answered
    _notice_connections(importlib.import_module("tornado.websocket"))
    kernels = importlib.import_module("jupyter_server.services.kernels.handlers")
    _tell(kernels.MainKernelHandler)
    # JupyterLab's pages ask it; here our handler is sure to be among those of every server.
    kernels.default_handlers.append((r"/perijove/session", _session_handler()))


def _notice_connections(websocket: Any) -> None:
    protocol = websocket.WebSocketProtocol13
    receive, handle = getattr(protocol, "_receive_frame_loop", None), getattr(protocol, "_handle_message", None)
    if receive is None or handle is None:
        return

    async def received(self: Any) -> None:
        if not isinstance(self.handler, websocket.WebSocketHandler):  # an app's end of what is passed on to it
            await receive(self)
            return
        kind = "apps" if proxies(self.handler) else "pages"
        setattr(USAGE, kind, getattr(USAGE, kind) + 1)
        try:
            await receive(self)
        finally:
            setattr(USAGE, kind, getattr(USAGE, kind) - 1)

    def handled(self: Any, opcode: int, data: bytes) -> Any:
        is_message = opcode in (1, 2) and isinstance(self.handler, websocket.WebSocketHandler)
        if is_message and said(self.handler, bytes(data[:LOOKED_AT])):
            USAGE.used = time.time()
        return handle(self, opcode, data)

    protocol._receive_frame_loop, protocol._handle_message = received, handled  # noqa: SLF001 - tornado has no other place


def _tell(handler: Any) -> None:
    get = handler.get

    def told(self: Any, *words: Any, **named: Any) -> Any:
        self.set_header(HEADER, str(USAGE))
        hear(self.request.headers.get(ENDING))
        note(self.request.headers.get(NOTICES))
        if VARIABLES in self.request.headers:
            self.set_header(VARIABLES, str(belong(self.request.headers[VARIABLES])))
        return get(self, *words, **named)

    handler.get = importlib.import_module("tornado.web").authenticated(told)


def _session_handler() -> Any:
    """GET: what pages are told: the notices, the time by their clock, `reason` and `seconds` where it is stopped soon.

    POST: somebody wants it to go on.
    """
    web = importlib.import_module("tornado.web")

    class SessionHandler(importlib.import_module("jupyter_server.base.handlers").APIHandler):  # type: ignore[misc]
        _track_activity = False

        @web.authenticated  # type: ignore[untyped-decorator]
        def get(self) -> None:
            ends = {"reason": USAGE.reason, "seconds": USAGE.ends_at - time.time()} if USAGE.reason else {}
            self.finish(json.dumps({**USAGE.notices, "now": time.time(), **ends}))

        @web.authenticated  # type: ignore[untyped-decorator]
        def post(self) -> None:
            USAGE.used = time.time()
            if USAGE.reason == "idle":
                USAGE.reason = ""
            self.set_status(204)
            self.finish()

    return SessionHandler
