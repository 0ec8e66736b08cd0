"""What people see: form, launch page, failure page, the page of a session that is gone.

In: requests that a guard let through, and values. Out: HTML by the templates beside this file. Every page works
without JavaScript; where there is some, it only shows sooner what a reload would show anyway.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from perijove.certifying.moments import span
from perijove.domain.events import Entry
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail, Failure, Owner
from perijove.domain.listening import service_origin
from perijove.domain.nouns import RepoAddress, Wish
from perijove.domain.request_failures import LOG_CLOSED
from perijove.launching.launches import Launch, subject
from perijove.launching.resolve.address import from_launch_path, launch_link
from perijove.launching.resolve.urlpath import relative_urlpath
from perijove.web import stream
from perijove.web.assets import ASSETS_VERSION
from perijove.web.form_fields import link_of
from perijove.web.launch_keys import hold
from perijove.web.launch_records import SessionRecord, known_launch, log_open, outline, session_record
from perijove.web.public import Public
from perijove.web.requests import client, origin, raw_spec, wished

SESSION = re.compile("[a-z0-9-]{1,40}")
"""What a session can be called."""
SHOWN_LINES = 5000
"""Log lines on a page; the rest stands in the plain log."""
OVER = "No session runs at this address: it is over, or never was."
STILL_OPEN = "The session runs, but it does not answer at this moment."
OWNERS = {
    Owner.VISITOR: "You can put this right",
    Owner.AUTHOR: "The repository's author can put this right",
    Owner.OPERATOR: "Whoever runs this service can put this right",
    Owner.UPSTREAM: "Somebody else's service is in trouble",
    Owner.US: "This is a mistake in Perijove",
}
STAGES = {
    "resolving": 0,
    "fetching": 0,
    "building": 1,
    "waiting": 2,
    "launching": 2,
    "built": 2,
    "ready": 3,
    "failed": 3,
}


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    public: Public, template: str, code: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page by its template; never kept by anybody on the way, since it may hold keys."""
    given = {"service": public.settings().service.title, "assets": f"/-/{ASSETS_VERSION}", "owners": OWNERS}
    html = _TEMPLATES.get_template(template).render(**({"home": "/"} | given | values))
    return HTMLResponse(html, code, {"Cache-Control": "no-store", **(headers or {})})


def problem(public: Public, failure: Failure, code: int, headers: dict[str, str]) -> Response:
    """A failure that is not a launch's: a bad link, a page that does not exist."""
    return page(public, "problem.html", code, headers, failure=failure)


def https_pending(public: Public, request: Request, failure: Failure, code: int, headers: dict[str, str]) -> Response:
    """There is no certificate yet, this is why, and the page comes back by itself."""
    standing = public.gate.standing(request)
    left = standing.next_attempt - public.clock.now()
    soon = span(left) if left > 0 else ""
    return page(public, "https.html", code, headers, failure=failure, verdict=standing.failure, soon=soon)


class Pages:
    """The handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def form(self, request: Request) -> Response:
        """Paste a link. With `?link=` and no JavaScript: on to its launch, or what is wrong with it."""
        query = request.query_params
        values: dict[str, Any] = {name: query.get(name, "")[:2000] for name in ("link", "ref", "file")}
        if not values["link"]:
            return page(self.public, "form.html", failure=None, **values)
        try:
            link = link_of(values["link"], values["ref"], values["file"])
        except Fail as fail:
            return page(self.public, "form.html", 400, failure=fail.failure, **values)
        return RedirectResponse(launch_link("/", link.address.path, link.urlpath), 303)

    async def link(self, request: Request) -> Response:
        """A launch link, opened. The page begins the launch; merely fetching it, as robots do, begins nothing."""
        spec = raw_spec(request)
        address = from_launch_path(spec)
        urlpath = relative_urlpath(request.query_params)
        gate, begin = self.public.gate, request.query_params.get("begin", "")
        anew = wished(request).again
        if begin and gate.foreign(request) is None and gate.tokens.spend(begin, spec):
            if refused := gate.beginning(request, by_page=True):
                raise Fail(refused)
            number = self.public.launches.begin(address, client(request), Wish(again=anew))
            query = f"?{urlencode({'urlpath': urlpath})}" if urlpath else ""
            answer = RedirectResponse(f"/launch/{number}{query}", 303)
            hold(answer, request, number, self.public.keys.launch_key(number))
            return answer
        token = gate.tokens.make(spec, secrets.token_hex(8))
        return page(
            self.public,
            "launch.html",
            title=_shown(address),
            spec=_shown(address),
            launch=None,
            log=True,
            lines=(),
            left_out=0,
            life=None,
            here="",
            again="",
            anew="",
            afresh=anew,
            stage=0,
            after=0,
            begin=token,
            events=""
            if gate.asks_first(request)
            else f"/build/{spec}?build_token={quote(token)}{'&again=true' * anew}",
            urlpath=urlpath,
        )

    async def launch(self, request: Request) -> Response:
        """A launch, for ever: its log and its names to those who may read them, to others how far it is."""
        launch = known_launch(self.public, request)
        if "key" in request.query_params:
            return self._held(request, launch, "")
        key = self.public.gate.key_given(request, launch.number)
        log = bool(key) or log_open(self.public.settings(), launch)
        lines, after = _log(self.public, launch, origin(request)) if log else ([], 0)
        session = session_record(self.public.journal, launch.session) if launch.session and log else None
        urlpath, spec = relative_urlpath(request.query_params), _shown(launch.address) if log else ""
        return page(
            self.public,
            "launch.html",
            title=f"Launch {launch.number}: {spec}" if log else f"Launch {launch.number}",
            spec=spec,
            launch=launch if log else outline(launch),
            log=log,
            lines=lines[-SHOWN_LINES:],
            left_out=max(0, len(lines) - SHOWN_LINES),
            life=session,
            here=self._here(launch, session, urlpath, origin(request)) if key else "",
            again=(again := _again(launch, urlpath) if log else ""),
            anew=f"{again}{'&' if '?' in again else '?'}again=true" if again else "",
            afresh=False,
            stage=STAGES.get(launch.state, 0),
            after=after,
            begin="",
            events=f"/api/launches/{launch.number}/events?after={after}",
            urlpath=urlpath,
        )

    async def log(self, request: Request) -> Response:
        """A launch's whole log as plain text."""
        launch = known_launch(self.public, request)
        if "key" in request.query_params:
            return self._held(request, launch, "/log")
        if not self.public.gate.key_given(request, launch.number) and not log_open(self.public.settings(), launch):
            raise Fail(LOG_CLOSED("the request brings no key of this launch", Evidence("launch", str(launch.number))))
        lines, _ = _log(self.public, launch, origin(request))
        return PlainTextResponse("".join(f"{phase:<10} {line}\n" for phase, line in lines))

    def _held(self, request: Request, launch: Launch, page: str) -> Response:
        """The same address without the key, which the browser keeps where it is the launch's."""
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "key"])
        answer = RedirectResponse(f"/launch/{launch.number}{page}{'?' * bool(query)}{query}", 303)
        if key := self.public.gate.key_given(request, launch.number):
            hold(answer, request, launch.number, key)
        return answer

    async def gone(self, request: Request) -> Response:
        """A session's address at which nobody listens: 424.

        Why it ended and what it was made from is told to whoever brings its token; others find the way to its launch's
        page, which asks for the launch's key.
        """
        name = request.path_params["session"]
        if not SESSION.fullmatch(name):
            seen = Evidence("the address", name[:100])
            raise Fail(NO_SUCH_OBJECT("no session can have this name", seen, remedy="Begin at the front page."))
        known = session_record(self.public.journal, name)
        still_open = known is not None and known.end is None
        code, headers = (503, {"Retry-After": "3"}) if still_open else (424, {})
        launch = self.public.launches.get(known.session.launch) if known else None
        proved = self.public.gate.session_proved(request, name)
        if not proved and (launch is None or not log_open(self.public.settings(), launch)):
            known = None
        address = known.session.repo.address if known else None
        there = service_origin(self.public.settings().service, origin(request))
        home = "/" if there == origin(request) else f"{there}/"
        told: dict[str, Any] = {
            "says": _fate(known) if known else STILL_OPEN if still_open else OVER,
            "home": home,
            "again": "" if address is None or address.provider == "local" else f"{home}{address.path}",
        }
        if "text/html" not in request.headers.get("accept", ""):
            log = f"{home}launch/{launch.number}" if launch else None
            # By these words mybinder.org's monitoring knows that a session is gone, and no hub of JupyterHub's.
            says = told["says"] if still_open else f"Binder not found: {told['says']}"
            body = {"status": code, "message": says, "session": known.told if known else None, "log": log}
            return JSONResponse({**body, "launch_again": told["again"] or None}, code, headers)
        urlpath = _place_in_session(request)
        query = f"?urlpath={quote(urlpath, safe='')}" if urlpath else ""
        told |= {"name": name, "life": known, "still_open": still_open, "spec": _shown(address) if address else ""}
        told["again"] += query if told["again"] else ""
        told["log"] = f"{home}launch/{launch.number}{query}" if launch else ""
        return page(self.public, "gone.html", code, headers, **told)

    def _here(self, launch: Launch, session: SessionRecord | None, urlpath: str, base: str) -> str:
        """Where the launch's session is opened, with its token; `` where it is not open."""
        if launch.state != "ready" or session is None or session.end is not None:
            return ""
        url = self.public.opened_at(base)(session.session.name) + urlpath
        token = self.public.keys.session_token(session.session.name)
        return f"{url}{'&' if '?' in url else '?'}token={token}"


def _log(public: Public, launch: Launch, base: str) -> tuple[list[tuple[str, str]], int]:
    """The lines of a launch's log and of what became of its session, each with its phase; the launch's last event."""
    reader = stream.Reader(base, launch.number, "", public.keys.session_token, public.opened_at(base), log=True)
    lines: list[tuple[str, str]] = []
    known, after = stream.Known(), 0

    def tell(entries: Sequence[Entry]) -> None:
        nonlocal known
        for entry in entries:
            known = stream.learn(known, entry.event)
            told = stream.message(entry.event, known, reader)
            lines.append((told["phase"], told["message"].rstrip("\n")))

    while entries := public.journal.read(subject(launch.number), after):
        tell(entries)
        after = entries[-1].seq
    if launch.session:
        tell(public.journal.ledger.steps(f"session/{launch.session}")[1:])
    return lines, after


def _shown(address: RepoAddress) -> str:
    """`provider/spec` for people to read."""
    return f"{address.provider}/{unquote(address.spec)}"


def _again(launch: Launch, urlpath: str) -> str:
    return "" if launch.address.provider == "local" else launch_link("/", launch.address.path, urlpath)


def _fate(known: SessionRecord) -> str:
    return STILL_OPEN if known.end is None else f"The session is over: {known.end.detail}."


def _place_in_session(request: Request) -> str:
    """What the visitor had open, as a urlpath without the old token; `` where it was not a page."""
    raw = bytes(request.scope.get("raw_path") or b"").decode("ascii", "replace").partition("?")[0]
    path = re.sub(r"^/user/[^/]+/?", "", raw)
    if path.startswith(("api/", "files/", "static/")):
        return ""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
    return relative_urlpath({"urlpath": path + (f"?{query}" if query else "")})
