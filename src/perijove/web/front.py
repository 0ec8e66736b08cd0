"""The URL map. In: a Public. Out: the public application, an ASGI app for the control socket.

Every endpoint is a row: path, methods, handler, guard, and how its failures are told. A row without a guard does not
start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from perijove.domain import failures
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.settings import ServiceSettings
from perijove.log import log
from perijove.web.answers import Form, refused
from perijove.web.below import BelowBase, outside
from perijove.web.binder import Binder
from perijove.web.challenge import PATH, Challenge
from perijove.web.fair_queue import FairQueue
from perijove.web.forms import by_our_page
from perijove.web.guard import Guard
from perijove.web.headers import EdgeHeaders
from perijove.web.hosts import led_on
from perijove.web.kept import KeptPages
from perijove.web.login import Login
from perijove.web.oidc_login import OidcLogin
from perijove.web.operator_page import OperatorPage
from perijove.web.pages import SHOWN_TO, Pages
from perijove.web.preview_page import PreviewPage
from perijove.web.public import Public
from perijove.web.pushes import Pushes
from perijove.web.records import Records
from perijove.web.running import RunningPages
from perijove.web.you import You

Handler = Callable[[Request], Awaitable[Response]]
READ = ("GET", "HEAD")
EVERY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint. Paths match decoded addresses; handlers that need a spec read the raw one."""

    path: str
    handler: Handler
    guard: Guard
    form: Form = Form.JSON
    methods: tuple[str, ...] = READ


def _form(path: str, handler: Handler, guard: Guard) -> Row:
    """A form of our own pages, for which no other page may ask."""

    async def ours(request: Request) -> Response:
        by_our_page(request)
        return await handler(request)

    return Row(path, ours, guard, Form.PAGE, ("POST",))


def rows(public: Public) -> tuple[Row, ...]:
    """All endpoints."""
    binder, pages, records, gate = Binder(public), Pages(public), Records(public), public.gate
    pushes, challenge = Pushes(public), Challenge(public.keys.solver_marker(), public.answers)
    return (
        *_of_launches(public, pages),
        *_of_people(public, pages),
        *_of_operators(public),
        Row("/build/{spec:path}", binder.build, gate.launcher, Form.STREAM, ("GET",)),
        Row("/api/launches/{number:int}", records.launch, gate.person),
        Row("/api/launches/{number:int}/events", records.events, gate.person, methods=("GET",)),
        Row("/api/link", records.link, gate.person),
        Row("/api/refs", records.refs, gate.person),
        Row("/api/repoproviders", binder.providers, gate.visitor),
        Row("/repo/{owner}/{name}", binder.repo, gate.visitor, Form.PAGE),
        Row("/repo/{owner}/{name}/{path:path}", binder.repo, gate.visitor, Form.PAGE),
        Row("/hooks/prepare", pushes.prepare, gate.visitor, methods=("POST",)),
        Row(PATH, challenge.answer, gate.anyone),
        Row("/health", binder.health, gate.anyone),
        Row("/hub/api/health", binder.hub_health, gate.anyone),
        Row("/versions", binder.versions, gate.anyone),
        Row("/metrics", binder.metrics, gate.anyone, methods=("GET",)),
        Row("/badge.svg", binder.badge, gate.anyone),
        Row("/badge_logo.svg", binder.badge, gate.anyone),
        Row("/assets/images/badge.svg", binder.badge, gate.anyone),
        Row("/favicon.ico", binder.icon, gate.anyone),
        Row("/robots.txt", partial(_robots, public), gate.anyone),
    )


def _of_launches(public: Public, pages: Pages) -> tuple[Row, ...]:
    """Pages of launches, their sessions, and what is kept of those."""
    gate, kept, running = public.gate, KeptPages(public), RunningPages(public, pages.link)
    return (
        Row("/", pages.form, gate.person, Form.PAGE),
        Row("/v2/{spec:path}", running.link, gate.person, Form.PAGE),
        Row("/launch/running", running.all, gate.person, Form.PAGE),
        _form("/launch/running/{session}/stop", running.stop, gate.person),
        _form("/launch/running/{session}/rename", running.rename, gate.person),
        Row("/launch/{number:int}", pages.launch, gate.person, Form.PAGE),
        Row("/launch/{number:int}/log", pages.log, gate.person, Form.PAGE),
        Row("/launch/{number:int}/preview", PreviewPage(public).show, gate.person, Form.PAGE),
        Row("/launch/{number:int}/cancel", pages.cancel, gate.person, Form.PAGE, ("POST",)),
        Row("/user/{session}", pages.session, gate.visitor, Form.PAGE, EVERY),
        Row("/user/{session}/{rest:path}", pages.session, gate.visitor, Form.PAGE, EVERY),
        Row("/kept", kept.all, gate.person, Form.PAGE),
        Row("/kept/{session}", kept.one, gate.person, Form.PAGE),
        Row("/kept/{session}/files.zip", kept.zip, gate.person, Form.PAGE, ("GET",)),
        _form("/kept/{session}/remove", kept.remove, gate.person),
    )


def _of_operators(public: Public) -> tuple[Row, ...]:
    """The operator's page."""
    operator = OperatorPage(public)
    return (
        Row("/admin", operator.show, operator.guard, Form.PAGE),
        Row("/admin/events", operator.events, operator.guard, methods=("GET",)),
        _form("/admin/stop", operator.stop, operator.guard),
        _form("/admin/examine", operator.examine, operator.guard),
        _form("/admin/fix", operator.fix, operator.guard),
        _form("/admin/close", operator.close, operator.guard),
        _form("/admin/message", operator.message, operator.guard),
    )


def _of_people(public: Public, pages: Pages) -> tuple[Row, ...]:
    """Endpoints where people log in, and what is theirs."""
    gate, login, elsewhere, you = public.gate, Login(public), OidcLogin(public), You(public)
    return (
        Row("/login", login.page, gate.visitor, Form.PAGE, ("GET",)),
        _form("/login", login.login, gate.visitor),
        Row("/login/start", elsewhere.start, gate.visitor, Form.PAGE, ("GET",)),
        Row("/login/back", elsewhere.back, gate.visitor, Form.PAGE, ("GET",)),
        _form("/logout", login.logout, gate.visitor),
        Row("/you", you.page, gate.person, Form.PAGE),
        _form("/you/tokens", you.begin_token, gate.person),
        _form("/you/tokens/end", you.end_token, gate.person),
        _form("/you/hosts", you.keep_host, gate.person),
        _form("/you/device", you.codes.begin, gate.person),
        _form("/you/device/ask", you.codes.ask, gate.person),
        _form("/you/hosts/remove", you.remove_host, gate.person),
        Row("/open/{session}", pages.open, gate.person, Form.PAGE, ("GET",)),
    )


def public_app(public: Public) -> Starlette:
    """The public application."""
    return application(public, rows(public))


def application(public: Public, served: Sequence[Row]) -> Starlette:
    """These rows as an application. Raises ValueError for a row without a guard."""

    async def no_such_page(request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 404
        if code == 405:
            allowed = {"Allow": "GET, HEAD, OPTIONS", **(getattr(error, "headers", None) or {})}
            return PlainTextResponse(f"This address takes {allowed['Allow']} and nothing else.\n", 405, allowed)
        seen = Evidence("the address", public.base + str(request.scope["path"])[1:200])
        failure = NO_SUCH_OBJECT("no page has this address", seen, remedy="Begin at the front page.")
        return refused(request, failure, Form.PAGE, public)

    def service() -> ServiceSettings:
        return public.settings().service

    app = Starlette(
        routes=[_route(row, public) for row in served],
        middleware=[
            Middleware(BelowBase, base=lambda: public.base, outside=EdgeHeaders(outside(public), service)),
            Middleware(FairQueue),
            Middleware(EdgeHeaders, service=service),
        ],
        exception_handlers={HTTPException: no_such_page},
    )
    app.router.redirect_slashes = False
    return app


def _route(row: Row, public: Public) -> Route:
    if not callable(row.guard):
        raise ValueError(f"{row.path} has no guard")

    async def endpoint(request: Request) -> Response:
        try:
            if refusal := row.guard(request):
                return refused(request, refusal, row.form, public)
            if public.gate.identity.needed:
                SHOWN_TO.set(public.gate.identity.shown_name(request))
            if row.form is Form.PAGE and (there := led_on(request, public.settings().service)):
                return RedirectResponse(there, 307)
            return await row.handler(request)
        except Fail as fail:
            return refused(request, fail.failure, row.form, public)
        except Exception as error:  # whatever went wrong is told, and told as ours
            log.exception("request failed", path=row.path)
            return refused(request, failures.of(error), row.form, public)

    route = Route(row.path, endpoint, methods=list(row.methods), name=row.path)
    route.methods = set(row.methods)
    return route


async def _robots(public: Public, request: Request) -> Response:
    closed = "".join(f"Disallow: {public.base}{path}\n" for path in ("build/", "user/", "launch/", "kept", "api/"))
    return PlainTextResponse(f"User-agent: *\n{closed}")
