"""What people see: form, launch page, failure page, the page of a session that is gone.

In: requests that a guard let through, and values. Out: HTML by the templates beside this file. Every page works
without JavaScript; where there is some, it only shows sooner what a reload would show anyway.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from perijove.certifying.formatting import span
from perijove.domain.events import Entry, Phase
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail, Failure, Owner, sentence
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.listening import service_origin
from perijove.domain.nouns import RepoAddress, SessionName
from perijove.domain.request_failures import CANCEL_CLOSED, LOG_CLOSED
from perijove.domain.sizes import size
from perijove.launching.launches import Launch, subject
from perijove.launching.resolve.address import from_launch_path, launch_link
from perijove.launching.resolve.urlpath import named_notebook, relative_urlpath
from perijove.web import explained, progress, stream
from perijove.web.assets import ASSETS_VERSION
from perijove.web.form_fields import tried, with_fields
from perijove.web.granting import Granting
from perijove.web.kept_words import day, files
from perijove.web.launch_keys import hold
from perijove.web.launch_page import SESSION as SESSION_PART
from perijove.web.launch_page import SHOWN_LINES, Line, folds, heading, limits, opened_path
from perijove.web.launch_records import SessionRecord, known_launch, outline, session_record, told_log
from perijove.web.public import Public
from perijove.web.redirects import place_in_session
from perijove.web.requests import client, launch_options, origin, raw_spec

SESSION = re.compile("[a-z0-9-]{1,40}")
"""What a session can be called."""
OVER = "No session runs at this address: it is over, or never was."
STILL_OPEN = "The session runs, but it does not answer at this moment."
OWNERS = {
    Owner.VISITOR: "You can put this right",
    Owner.AUTHOR: "The repository's author can put this right",
    Owner.OPERATOR: "Whoever runs this service can put this right",
    Owner.UPSTREAM: "Somebody else's service is in trouble",
    Owner.US: "This is a mistake in Perijove",
}
_NOTHING_MORE: dict[str, Any] = {
    "log": True, "life": None, "here": "", "again": "", "anew": "", "options": NO_OPTIONS, "begin": "",
    "cancels": False, "kept": "", "report": "", "issue": "", "change": "", "retry_helps": False,
}  # fmt: skip
"""What a launch's page does not offer where nobody says that it does."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "shown": explained.shown,
    "lasted": progress.lasted,
    "sentence": sentence,
    "size": size,
    "span": span,
}


SHOWN_TO = ContextVar("shown_to", default="")
"""The name of a person who can log out, at whose request a page is made."""


def page(
    public: Public, template: str, code: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page by its template; never kept by anybody on the way, since it may hold keys."""
    settings = public.settings()
    given: dict[str, Any] = {
        "base": public.base,
        "home": public.base,
        "service": settings.service.title,
        "site": settings.page,
        "closed": public.launches.closed,
        "message": public.sessions.announcing.now,
        "assets": f"{public.base}-/{ASSETS_VERSION}",
        "owners": OWNERS,
        "person": SHOWN_TO.get(),
    }
    html = _TEMPLATES.get_template(template).render(**(given | values))
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
        self._granting = Granting(public)
        self.open = self._granting.open

    async def form(self, request: Request) -> Response:
        """Paste a link. With `?link=` and no JavaScript: on to its launch, or what is wrong with it."""
        query = request.query_params
        values = {name: query.get(name, "")[:2000] for name in ("link", "ref", "file")}
        if not values["link"]:
            values["link"] = query.get("change", "")[:2000]
            return self._form(None, values)
        try:
            link = with_fields(await self.public.meant(request, values["link"]), values["ref"], values["file"])
        except Fail as fail:
            return self._form(fail.failure, values)
        return RedirectResponse(launch_link("/", link.address.path, link.urlpath), 303)

    def _form(self, failure: Failure | None, values: Mapping[str, str]) -> Response:
        settings = self.public.settings()
        example = tried(settings.page.example, settings.launching)
        return page(
            self.public,
            "form.html",
            400 if failure else 200,
            None,
            failure=failure,
            limits=limits(settings.session),
            example=example.path if example else "",
            example_name=heading(example, None).name if example else "",
            **values,
        )

    async def link(self, request: Request) -> Response:
        """A launch link, opened. The page begins the launch; merely fetching it, as robots do, begins nothing."""
        spec = raw_spec(request)
        address = from_launch_path(spec)
        urlpath = relative_urlpath(request.query_params)
        gate, begin = self.public.gate, request.query_params.get("begin", "")
        options = replace(launch_options(request), build_only=False)
        if begin and gate.foreign(request) is None and gate.tokens.spend(begin, spec):
            return self._begun(request, address, urlpath, options)
        token = gate.tokens.make(spec, secrets.token_hex(8))
        events = f"{self.public.base}build/{spec}?build_token={quote(token)}{_said(options)}"
        shown = self._launch_page(
            address,
            None,
            urlpath,
            title=_shown(address),
            options=options,
            begin=token,
            events="" if gate.asks_first(request) else events,
        )
        return gate.held(shown, request)

    def _begun(self, request: Request, address: RepoAddress, urlpath: str, options: LaunchOptions) -> Response:
        """Begin it, and on to its page. Raises Fail."""
        gate = self.public.gate
        if refused := gate.beginning(request, by_page=True):
            raise Fail(refused)
        key, person = gate.visitor_key(request), gate.identity.name(request)
        number = self.public.launches.begin(address, client(request), options, key, person)
        gate.begun(request, number)
        query = f"?{urlencode({'urlpath': urlpath})}" if urlpath else ""
        answer = RedirectResponse(f"/launch/{number}{query}", 303)
        hold(answer, request, number, self.public.keys.launch_key(number))
        return answer

    async def launch(self, request: Request) -> Response:
        """A launch, for ever: its log and its names to those who may read them, to others how far it is."""
        launch = known_launch(self.public, request)
        if "key" in request.query_params:
            return self._held(request, launch, "")
        urlpath = relative_urlpath(request.query_params)
        key = self.public.gate.key_given(request, launch.number)
        events = f"{self.public.base}api/launches/{launch.number}/events"
        if not key and not told_log(self.public, request, launch):
            return self._launch_page(
                None, outline(launch), urlpath, title=f"Launch {launch.number}", log=False, events=events
            )
        lines, after = _log(self.public, launch, request)
        session = session_record(self.public.journal, launch.session) if launch.session else None
        again = _again(self.public.base, launch, urlpath)
        return self._launch_page(
            launch.address,
            launch,
            urlpath,
            title=_shown(launch.address),
            lines=lines,
            life=session,
            kept=await self._kept(session.session.name, launch) if session and session.end and key else "",
            here=self._here(launch, session, urlpath, request) if key else "",
            again=again,
            anew=f"{again}{'&' if '?' in again else '?'}again=true" if again else "",
            cancels=bool(key) and launch.ended_at is None,
            events=f"{events}?after={after}",
            **_offered(launch, self.public.home(request), self.public.base),
        )

    def _launch_page(self, address: RepoAddress | None, launch: Launch | None, urlpath: str, **values: Any) -> Response:
        stages = progress.stages(launch)
        lines: list[Line] = values.pop("lines", [])
        kept = lines[-SHOWN_LINES:]
        given: dict[str, Any] = {
            "launch": launch,
            "heading": heading(address, launch.repo if launch else None) if address else None,
            "opens": opened_path(urlpath),
            "stages": stages,
            "expected": self.public.expected.of(address) if address else {},
            "now": progress.NOW.get(launch.state, "") if launch else "",
            "folds": folds(kept, stages),
            "first_error": next((line for line in kept if line.error), None),
            "left_out": len(lines) - len(kept),
            "limits": limits(self.public.settings().session),
            "urlpath": urlpath,
            "notebook": named_notebook(launch.opened(launch.options.urlpath) if launch else urlpath),
            "script": self.public.script(urlpath),
        }
        return page(self.public, "launch.html", **(_NOTHING_MORE | given | values))

    async def log(self, request: Request) -> Response:
        """A launch's whole log as plain text."""
        launch = known_launch(self.public, request)
        if "key" in request.query_params:
            return self._held(request, launch, "/log")
        if not self.public.gate.key_given(request, launch.number) and not told_log(self.public, request, launch):
            raise Fail(LOG_CLOSED("the request brings no key of this launch", Evidence("launch", str(launch.number))))
        told = _told(self.public, launch, request)
        return PlainTextResponse("".join(f"{one['phase']:<10} {one['message']}\n" for _, one in told))

    async def cancel(self, request: Request) -> Response:
        """A launch is given up by whoever began it; then its page."""
        launch = known_launch(self.public, request)
        if refused := self.public.gate.foreign(request):
            raise Fail(refused)
        if not self.public.gate.key_given(request, launch.number):
            seen = Evidence("launch", str(launch.number))
            raise Fail(CANCEL_CLOSED("the request brings no key of this launch", seen))
        self.public.launches.cancel(launch.number)
        urlpath = relative_urlpath(request.query_params)
        return RedirectResponse(launch_link("/", f"launch/{launch.number}", urlpath), 303)

    def _held(self, request: Request, launch: Launch, page: str) -> Response:
        """The same address without the key, which the browser keeps where it is the launch's."""
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "key"])
        answer = RedirectResponse(f"/launch/{launch.number}{page}{'?' * bool(query)}{query}", 303)
        if key := self.public.gate.key_given(request, launch.number):
            hold(answer, request, launch.number, key)
        return answer

    async def session(self, request: Request) -> Response:
        """A session's address where none has answered: the way to open it, or what became of it."""
        return self._granting.granted(request) or await self.gone(request)

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
        if not proved and (launch is None or not told_log(self.public, request, launch)):
            known = None
        address = known.session.repo.address if known else None
        there = service_origin(self.public.settings().service, origin(request))
        home = self.public.base if there == origin(request) else f"{there}{self.public.base}"
        kept = await self._kept(name, launch) if known else ""
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
            body |= {"launch_again": told["again"] or None, "kept": f"{home}kept/{name}" if kept else None}
            return JSONResponse(body, code, headers)
        urlpath = place_in_session(request)
        query = f"?urlpath={quote(urlpath, safe='')}" if urlpath else ""
        told |= {"name": name, "life": known, "still_open": still_open, "spec": _shown(address) if address else ""}
        told["again"] += query if told["again"] else ""
        log = f"{home}launch/{launch.number}{query}" if launch else ""
        told |= {"log": log, "kept": kept, "files": f"{home}kept/{name}" if launch and launch.visitor else ""}
        return page(self.public, "gone.html", code, headers, **told)

    async def _kept(self, session: SessionName, launch: Launch | None) -> str:
        """What is kept of a session, in words; `` for nothing."""
        keeping = self.public.keeping
        works = await keeping.of(launch.visitor) if launch else ()
        found = (f"{files(work)}, until {day(keeping.until(work))}" for work in works if work.session == session)
        return next(found, "")

    def _here(self, launch: Launch, session: SessionRecord | None, urlpath: str, request: Request) -> str:
        """Where the launch's session is opened, with its token; `` where it is not open."""
        if launch.state != "ready" or session is None or session.end is not None:
            return ""
        url = self.public.opened_at(request)(session.session.name) + launch.opened(urlpath)
        token = self.public.keys.session_token(session.session.name)
        return f"{url}{'&' if '?' in url else '?'}token={token}"


def _told(public: Public, launch: Launch, request: Request) -> Iterator[tuple[int, stream.Message]]:
    """What a launch and its session tell whoever may read all of it, each with its event's number."""
    token, opened_at = public.keys.session_token, public.opened_at(request)
    reader = stream.Reader(public.home(request), launch.number, "", token, opened_at, log=True)
    known, after = stream.Known(), 0

    def message(entry: Entry) -> tuple[int, stream.Message]:
        nonlocal known
        known = stream.learn(known, entry.event)
        told = stream.message(entry.event, known, reader)
        return entry.seq, told | {"message": told["message"].rstrip("\n")}

    while entries := public.journal.read(subject(launch.number), after):
        yield from map(message, entries)
        after = entries[-1].seq
    if launch.session:
        yield from map(message, public.journal.ledger.steps(f"session/{launch.session}")[1:])


def _log(public: Public, launch: Launch, request: Request) -> tuple[list[Line], int]:
    """The lines of a launch's log, each with its stage; the launch's last event.

    How it failed is no line of it: the page says so anyway.
    """
    lines, stage, after = [], Phase.FETCHING.value, 0
    for seq, told in _told(public, launch, request):
        of_session = told["phase"] == SESSION_PART
        if told["phase"] != "failed":
            lines.append(Line(SESSION_PART if of_session else stage, told["message"], told.get("colours", ())))
        stage = told.get("stage", stage)
        after = after if of_session else seq
    return lines, after


def _offered(launch: Launch, home: str, base: str) -> dict[str, Any]:
    """What can be done about a launch that failed."""
    failure, address, repo = launch.failure, launch.address, launch.repo
    if failure is None:
        return {}
    text = explained.report(failure, address.url, repo.commit if repo else "", f"{home}launch/{launch.number}")
    mends = failure.kind.owner is Owner.VISITOR and failure.kind.code.startswith("resolve.")
    return {
        "report": text,
        "issue": explained.issue_link(address, failure, text),
        "change": f"{base}?{urlencode({'change': _shown(address)})}" if mends and address.provider != "local" else "",
        "retry_helps": explained.retry_helps(failure),
    }


def _shown(address: RepoAddress) -> str:
    """`provider/spec` for people to read."""
    return f"{address.provider}/{unquote(address.spec)}"


def _said(options: LaunchOptions) -> str:
    """What is asked beside a repository, as an address goes on with it."""
    title = f"&{urlencode({'session_name': options.title})}" if options.title else ""
    opened = f"&{urlencode({'urlpath': options.urlpath})}" if options.urlpath else ""
    return "&again=true" * options.again + "&fresh=true" * options.fresh + title + opened


def _again(base: str, launch: Launch, urlpath: str) -> str:
    return "" if launch.address.provider == "local" else launch_link(base, launch.address.path, urlpath)


def _fate(known: SessionRecord) -> str:
    return STILL_OPEN if known.end is None else f"The session is over: {known.end.detail}."
