"""The operator's commands over HTTP, on a unix socket that only the operator can open. JSON in and out.

Events are told as one JSON object a line, as they happen. A failure is an object with `failure`, and status 4xx or 5xx.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from perijove.domain import failures, wire
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.events import Entry, Ready, SessionOpened
from perijove.domain.failures import BAD_LINK, BAD_REQUEST, NO_LONGER_KEPT, NO_SUCH_OBJECT, Evidence, Fail
from perijove.domain.keys import Keys
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.listening import own_origin, session_origin
from perijove.domain.nouns import EndReason, Session, SessionName, StoredEnvironment, session_path
from perijove.domain.people import Grants
from perijove.domain.ports import Environments
from perijove.domain.request_failures import not_listed
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import names
from perijove.journal import Journal
from perijove.launching.housekeeping import Housekeeping
from perijove.launching.launches import Launch, Launches
from perijove.launching.links import Links
from perijove.launching.resolve.address import local_folder
from perijove.launching.resolve.urlpath import opened_file, view_and_file
from perijove.launching.start.sessions import SessionKeeper, subject
from perijove.launching.start.titles import title_of
from perijove.web.certificate_admin import CertificateAdmin
from perijove.web.class_admin import ClassAdmin
from perijove.web.form_fields import with_fields
from perijove.web.kept_admin import KeptAdmin
from perijove.web.line_streams import line_stream
from perijove.web.requests import read_title
from perijove.web.service_admin import ServiceAdmin
from perijove.web.watching import List, is_watched, watch

OPERATOR = "operator"
"""No log-in has this id."""
SERVED_AT = re.compile(r"/(?:[A-Za-z0-9._~@%+-]+/){1,20}")
"""Paths of servers that a hub starts, whose names it encodes (`url_escape_path` of jupyterhub 6)."""
LISTED = 200
"""Launches and ended sessions that a list shows."""
STOPS_AT_ONCE = 16
MOVING = ("memory", "disk", "processes", "last_activity", "used_at")
"""What changes all the time: no news to somebody who watches."""


@dataclass(frozen=True, slots=True)
class Admin:
    """What the operator's commands act on."""

    launches: Launches
    links: Links
    sessions: SessionKeeper
    environments: Environments
    housekeeping: Housekeeping
    journal: Journal
    keys: Keys
    settings: Callable[[], tuple[Settings, Mapping[str, str]]]
    service: ServiceAdmin
    certificates: CertificateAdmin | None = None
    classes: ClassAdmin | None = None
    grants: Grants | None = None
    """Open what nobody has logged in for, where people log in."""

    # launches

    async def begin(self, request: Request) -> Response:
        asked = await request.json()
        urlpath = ""
        if "folder" in asked:
            folder = Path(asked["folder"])
            if not folder.is_dir():
                raise Fail(BAD_LINK("there is no such folder", Evidence("this machine", str(folder)[:300])))
            address = local_folder(folder)
        else:
            link = await self.links.meant(str(asked.get("link", "")))
            link = with_fields(link, str(asked.get("ref", "")), "")
            address, urlpath = link.address, link.urlpath
        opened, at = opened_file(*view_and_file(urlpath)), str(asked.get("served_at", ""))
        if at and not SERVED_AT.fullmatch(at):
            raise Fail(BAD_REQUEST("served_at is no path with both slashes", Evidence("served_at", at[:100])))
        again, build_only = (asked.get(name) is True for name in ("again", "build_only"))
        title = read_title(str(asked.get("title", "")))
        options = LaunchOptions(again, build_only, title=title, urlpath=opened, served_at=at)
        number = self.launches.begin(address, str(asked.get("client", "local")), options)
        return _json({"number": number, "urlpath": urlpath})

    async def list_launches(self, request: Request) -> Response:
        return await self._list(request, self._launch_rows)

    async def _launch_rows(self) -> list[dict[str, Any]]:
        return [launch_row(launch) for launch in self.launches.list(LISTED)]

    async def get_launch(self, request: Request) -> Response:
        return _json(launch_row(self._launch(request)))

    async def cancel_launch(self, request: Request) -> Response:
        launch = self._launch(request)
        self.launches.cancel(launch.number)
        return _json(launch_row(launch))

    async def launch_events(self, request: Request) -> Response:
        return self._events(request, f"launch/{self._launch(request).number}")

    def _launch(self, request: Request) -> Launch:
        name = request.path_params["name"]
        if not re.fullmatch("[0-9]{1,15}", name):
            raise Fail(not_listed("launches", f"there is no launch {name[:40]}"))
        launch = self.launches.get(int(name))
        if launch is None:
            raise Fail(self.launches.missing(int(name)))
        return launch

    # sessions

    async def list_sessions(self, request: Request) -> Response:
        return await self._list(request, self._session_rows)

    async def _session_rows(self) -> list[dict[str, Any]]:
        return [await self._session_row(session) for session in self.sessions.live]

    async def get_session(self, request: Request) -> Response:
        session = self._session(request)
        row, kept = await self._session_row(session), await self._kept.of(session.name)
        return _json(row | ({"kept": kept["size"], "kept_until": kept["until"]} if kept else {}))

    async def list_kept(self, request: Request) -> Response:
        return await self._list(request, self._kept.rows)

    @property
    def _kept(self) -> KeptAdmin:
        return KeptAdmin(self.housekeeping.keeping)

    async def session_events(self, request: Request) -> Response:
        return self._events(request, subject(self._session(request).name))

    async def stop_session(self, request: Request) -> Response:
        session, after = self._session(request), _after(request)
        await self._stop(session.name, after)
        return _json({"stopped": session.name, "after": after})

    async def stop_sessions(self, request: Request) -> Response:
        """All that run, some at a time; one that cannot be stopped holds up no other."""
        after, room, failed = _after(request), asyncio.Semaphore(STOPS_AT_ONCE), dict[SessionName, Any]()
        names = [session.name for session in self.sessions.live]

        async def stop(name: SessionName) -> None:
            async with room:
                try:
                    await self._stop(name, after)
                except Fail as error:
                    failed[name] = wire.encode(error.failure)

        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(stop(name), name=f"stop of {name}")
        return _json({"stopped": [name for name in names if name not in failed], "failed": failed})

    async def _stop(self, name: SessionName, after: float) -> None:
        if after:
            self.sessions.stop_later(name, after)
        else:
            await self.sessions.stop(name, EndReason.STOPPED)

    def _session(self, request: Request) -> Session:
        """By its name, or by what it is called while it runs."""
        name = request.path_params["name"]
        for session in self.sessions.live:
            if session.name == name:
                return session
        called = [one for one in self.sessions.live if title_of(self.journal, one.name) == name]
        if len(called) > 1:
            seen = Evidence("sessions", ", ".join(one.name for one in called)[:300])
            raise Fail(BAD_REQUEST(f"{len(called)} sessions are called {name}", seen, remedy="Name one of them."))
        if called:
            return called[0]
        first = self.journal.read(subject(name), 0, 1)
        if first and isinstance(first[0].event, SessionOpened):
            return first[0].event.session
        raise Fail(not_listed("sessions", f"there is no session {name[:40]}"))

    async def _session_row(self, session: Session) -> dict[str, Any]:
        used = await self.sessions.sandboxes.held(session.name)
        row = {
            "name": session.name,
            "title": title_of(self.journal, session.name),
            "state": "running" if used else "over",
            "repo": session.repo.address.path,
            "commit": session.repo.commit,
            "environment": session.environment,
            "launch": session.launch,
            "client": self.launches.asked_by(session.launch),
            "person": self.launches.whose(session.launch),
            "started_at": session.started_at,
            "last_activity": self.sessions.last_activity(session.name),
        }
        if used:
            row |= {"memory": used.memory, "disk": used.disk, "processes": used.processes}
            if used.limits:
                row |= {"memory_limit": used.limits.memory, "disk_limit": used.limits.disk}
                row |= {"threads": used.threads, "threads_limit": used.limits.processes}
            row |= {} if session.served_at else {"url": self._link(session.name)}
        return row

    def _link(self, name: SessionName) -> str:
        """A session's address with its token, and, where people log in, with a grant for programs if it is nobody's."""
        settings, _ = self.settings()
        at = session_origin(settings.service, own_origin(settings.service), name)
        token = self.keys.session_token(name)
        if self.grants and settings.auth.method is not AuthMethod.NONE and not self._whose(name):
            token += f".{self.grants.give(name, OPERATOR)}"
        return f"{at}{session_path(settings.service.base, name)}?token={token}"

    def _whose(self, name: SessionName) -> str:
        launches = (session.launch for session in self.sessions.live if session.name == name)
        return next(map(self.launches.whose, launches), "")

    # environments

    async def list_environments(self, request: Request) -> Response:
        return await self._list(request, self._environment_rows)

    async def _environment_rows(self) -> list[dict[str, Any]]:
        return _rows(await self.environments.stored())

    async def get_environment(self, request: Request) -> Response:
        name = request.path_params["name"]
        for environment in await self.environments.stored():
            if name and environment.key.startswith(name):
                return _json(wire.encode(environment))
        raise Fail(not_listed("environments", f"there is no environment {name[:40]}"))

    async def clean(self, request: Request) -> Response:
        asked = await request.json()
        done = await self.housekeeping.clean(dry_run=asked.get("dry_run") is True)
        told = {"free": done.free, "keep_free": self.settings()[0].build.keep_free, "removed": _rows(done.environments)}
        return _json(
            told | {"checkouts": done.checkouts, "journal": wire.encode(done.journal), "kept": wire.encode(done.kept)}
        )

    # the service

    async def show_settings(self, request: Request) -> Response:
        settings, sources = self.settings()
        values = wire.encode(settings)
        return _json(
            [
                {
                    "name": name,
                    "value": values[name.partition(".")[0]][name.partition(".")[2]],
                    "source": sources.get(name, "default"),
                }
                for name in names()
            ]
        )

    async def _list(self, request: Request, rows: List) -> Response:
        """The rows, or their changes from now on."""
        if is_watched(request):
            return watch(self.journal, rows, _name, ignored=MOVING)
        return _json(await rows())

    def _events(self, request: Request, of: str) -> Response:
        """A subject's events, a line each; those to come as well with `follow=1`."""
        after = int(request.query_params.get("after", "0"))

        async def lines() -> AsyncGenerator[bytes, None]:
            if request.query_params.get("follow") == "1":
                async for entry in self.journal.follow(of, after):
                    yield self._line(entry)
                return
            seen = after
            while entries := self.journal.read(of, seen):
                for entry in entries:
                    seen = entry.seq
                    yield self._line(entry)

        return line_stream(lines())

    def _line(self, entry: Entry) -> bytes:
        """An entry as one line of JSON; a session that got ready with its link, which the journal must not hold."""
        told = {"seq": entry.seq, "at": entry.at, "event": wire.encode(entry.event)}
        if isinstance(entry.event, Ready):
            told["url"] = self._link(entry.event.session)
            told["token"] = self.keys.session_token(entry.event.session)
        return json.dumps(told, ensure_ascii=False).encode() + b"\n"

    def _class_routes(self, classes: ClassAdmin) -> list[tuple[str, str, Callable[[Request], Any]]]:
        async def listed(request: Request) -> Response:
            return await self._list(request, classes.rows)

        return [("GET", "/classes", listed), ("GET", "/classes/{name}", classes.get)]

    def app(self) -> Starlette:
        """The application; its socket is its only guard."""
        rows: list[tuple[str, str, Callable[[Request], Any]]] = [
            *self.service.routes(),
            ("GET", "/settings", self.show_settings),
            ("POST", "/launches", self.begin),
            ("GET", "/launches", self.list_launches),
            ("GET", "/launches/{name}", self.get_launch),
            ("DELETE", "/launches/{name}", self.cancel_launch),
            ("GET", "/launches/{name}/events", self.launch_events),
            ("GET", "/sessions", self.list_sessions),
            ("DELETE", "/sessions", self.stop_sessions),
            ("GET", "/sessions/{name:path}/events", self.session_events),
            ("GET", "/sessions/{name:path}", self.get_session),
            ("DELETE", "/sessions/{name:path}", self.stop_session),
            ("GET", "/environments", self.list_environments),
            ("GET", "/environments/{name}", self.get_environment),
            ("GET", "/kept", self.list_kept),
            ("GET", "/kept/{name}", self._kept.get),
            ("POST", "/clean", self.clean),
            *(self.certificates.routes() if self.certificates else ()),
            *(self._class_routes(self.classes) if self.classes else ()),
        ]
        return Starlette(
            routes=[Route(path, handler, methods=[method]) for method, path, handler in rows],
            exception_handlers={Fail: _told, Exception: _told},
        )


def launch_row(launch: Launch) -> dict[str, Any]:
    """A launch for people and programs."""
    row: dict[str, Any] = wire.encode(launch)
    return row | {"link": launch.address.path, "commit": launch.repo.commit if launch.repo else ""}


def _rows(environments: Any) -> list[dict[str, Any]]:
    chosen: list[StoredEnvironment] = list(environments)
    return [wire.encode(environment) for environment in chosen]


def _name(row: dict[str, Any]) -> str:
    """What a row is called, whatever it is of."""
    return str(row.get("name") or row.get("number") or row["key"])


def _after(request: Request) -> float:
    """Seconds. Raises Fail: `start.bad-request`."""
    after = request.query_params.get("after", "0")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", after):
        raise Fail(BAD_REQUEST("after is no number of seconds", Evidence("after", after[:100])))
    return float(after)


def _json(value: Any) -> Response:
    return JSONResponse(value)


async def _told(request: Request, error: Exception) -> Response:
    failure = failures.of(error)
    status = 404 if failure.kind in (NO_SUCH_OBJECT, NO_LONGER_KEPT) else 500 if failure.kind is failures.BUG else 409
    return JSONResponse({"failure": wire.encode(failure)}, status)
