"""The URL map. In: a Public. Out: the public application, an ASGI app for the control socket.

Every endpoint is a row: path, methods, handler, guard, and how its failures are told. A row without a guard does not
start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from perijove.domain import failures
from perijove.domain.failures import NO_SUCH_OBJECT, Evidence, Fail
from perijove.log import log
from perijove.web.answers import Form, refused
from perijove.web.binder import Binder
from perijove.web.challenge import PATH, Challenge
from perijove.web.fair_queue import FairQueue
from perijove.web.guard import Guard
from perijove.web.headers import EdgeHeaders
from perijove.web.hosts import led_on
from perijove.web.pages import Pages
from perijove.web.public import Public
from perijove.web.records import Records

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


def rows(public: Public) -> tuple[Row, ...]:
    """All endpoints."""
    binder, pages, records, gate = Binder(public), Pages(public), Records(public), public.gate
    challenge = Challenge(public.keys.solver_marker(), public.answers)
    return (
        Row("/", pages.form, gate.visitor, Form.PAGE),
        Row("/v2/{spec:path}", pages.link, gate.visitor, Form.PAGE),
        Row("/launch/{number:int}", pages.launch, gate.visitor, Form.PAGE),
        Row("/launch/{number:int}/log", pages.log, gate.visitor, Form.PAGE),
        Row("/user/{session}", pages.gone, gate.visitor, Form.PAGE, EVERY),
        Row("/user/{session}/{rest:path}", pages.gone, gate.visitor, Form.PAGE, EVERY),
        Row("/build/{spec:path}", binder.build, gate.launcher, Form.STREAM, ("GET",)),
        Row("/api/launches/{number:int}", records.launch, gate.visitor),
        Row("/api/launches/{number:int}/events", records.events, gate.visitor, methods=("GET",)),
        Row("/api/link", records.link, gate.visitor),
        Row("/api/repoproviders", binder.providers, gate.visitor),
        Row("/repo/{owner}/{name}", binder.repo, gate.visitor, Form.PAGE),
        Row("/repo/{owner}/{name}/{path:path}", binder.repo, gate.visitor, Form.PAGE),
        Row(PATH, challenge.answer, gate.anyone),
        Row("/health", binder.health, gate.anyone),
        Row("/versions", binder.versions, gate.anyone),
        Row("/metrics", binder.metrics, gate.anyone, methods=("GET",)),
        Row("/badge.svg", binder.badge, gate.anyone),
        Row("/badge_logo.svg", binder.badge, gate.anyone),
        Row("/assets/images/badge.svg", binder.badge, gate.anyone),
        Row("/favicon.ico", binder.icon, gate.anyone),
        Row("/robots.txt", _robots, gate.anyone),
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
            return PlainTextResponse("This address is only for reading.\n", 405, allowed)
        seen = Evidence("the address", request.url.path[:200])
        failure = NO_SUCH_OBJECT("no page has this address", seen, remedy="Begin at the front page.")
        return refused(request, failure, Form.PAGE, public)

    app = Starlette(
        routes=[_route(row, public) for row in served],
        middleware=[
            Middleware(FairQueue),
            Middleware(EdgeHeaders, cors=lambda: public.settings().service.cors_allow_origin),
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


async def _robots(request: Request) -> Response:
    return PlainTextResponse(
        "User-agent: *\nDisallow: /build/\nDisallow: /user/\nDisallow: /launch/\nDisallow: /api/\n"
    )
