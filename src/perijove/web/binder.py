"""The Binder protocol, as its clients rely on it: /build, /health, /versions, /api/repoproviders, badges, /repo.

In: requests that a guard let through. Out: answers; launches are begun and followed, never run here.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from urllib.parse import quote

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from perijove.cached import Cached
from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.reach import household
from perijove.domain.repository_names import canonical
from perijove.launching.resolve.address import PROVIDERS, from_launch_path
from perijove.launching.start.admission import Load, kept, lack_of_room, room_for
from perijove.web import stream
from perijove.web.assets import STATIC
from perijove.web.following import follow
from perijove.web.launch_keys import hold
from perijove.web.metrics import Held
from perijove.web.public import Public
from perijove.web.requests import client, launch_options, raw_spec

HEALTH_LIMIT = 3.0
"""Seconds a part may take to say that it is well."""
PICTURE = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
"""READMEs anywhere show them."""
OURS = version("perijove")
SPOKEN = "0.2.0"
"""The version of the incumbent whose protocol this is."""


class Binder:
    """The protocol's handlers."""

    def __init__(self, public: Public) -> None:
        self.public = public
        self._health = Cached(self._looked, public.clock.now, "health, looked at")
        self._metrics = Cached(self._counted, public.clock.now, "metrics, counted")

    async def build(self, request: Request) -> Response:
        """Begin a launch and tell it; or go on telling the one this client began before."""
        public, keys = self.public, self.public.keys
        if resumed := public.gate.resumption(request):
            key = keys.launch_key(resumed.number)
            answer = follow(public, request, resumed.number, resumed.after, key=key, log=True, held=public.held)
            hold(answer, request, resumed.number, key)
            return answer
        if request.headers.get("last-event-id", "") == stream.REFUSED_ID:
            return Response(status_code=204)
        _streams_only(request)
        address = from_launch_path(raw_spec(request))
        with public.readers.seat(0, household(client(request)), holds=True):
            key, person = public.gate.visitor_key(request), public.gate.identity.name(request)
            number = public.launches.begin(address, client(request), launch_options(request), key, person)
        public.gate.begun(request, number)
        key = keys.launch_key(number)
        answer = follow(public, request, number, 0, key=key, log=True, held=public.held)
        hold(answer, request, number, key)
        return answer

    async def health(self, request: Request) -> Response:
        """Whether launches can work, part by part; 503 when one is ill."""
        well, checks = await self._health.get()
        return JSONResponse({"ok": well, "checks": checks}, 200 if well else 503)

    async def hub_health(self, request: Request) -> Response:
        """Whether sessions can be started, as JupyterHub says that it is well."""
        _, checks = await self._health.get()
        return JSONResponse({}, 200 if checks[0]["ok"] else 503)

    async def _looked(self) -> tuple[bool, list[dict[str, object]]]:
        sessions, sandboxes = await self._sandboxes()
        # Clients of BinderHub look for who starts its sessions by this name.
        hub = {"service": "JupyterHub API", "ok": sandboxes["ok"]}
        checks = [hub, sandboxes, await self._room(), self._quota(sessions)]
        return all(check["ok"] or check.get("_ignore_failure") for check in checks), checks

    async def _sandboxes(self) -> tuple[int, dict[str, object]]:
        """How many run, and whether whoever holds them answers."""
        try:
            async with asyncio.timeout(HEALTH_LIMIT):
                running = {sandbox.session for sandbox in await self.public.sandboxes.running()}
                return len(running - self.public.sessions.held), {"service": "Sandboxes", "ok": True}
        except TimeoutError:
            message = f"no answer within {HEALTH_LIMIT:g} s"
        except Fail as fail:
            message = fail.failure.message
        return 0, {"service": "Sandboxes", "ok": False, "message": message}

    async def _room(self) -> dict[str, object]:
        settings = self.public.settings()
        try:
            async with asyncio.timeout(HEALTH_LIMIT):
                room = await self.public.sandboxes.room()
        except (TimeoutError, Fail):
            return {"service": "Room", "ok": False, "message": "unknown: the sandboxes do not answer"}
        ok = not lack_of_room(Load((), 0), room, settings.launching, settings.session)
        return {"service": "Room", "ok": ok, "memory": room.memory, "disk": room.disk, "_ignore_failure": True}

    def _quota(self, users: int) -> dict[str, object]:
        """As the federation's redirector reads it. Whoever it sends finds the seats of classes taken."""
        builds, kept = self.public.metrics.building, self._kept_seats()
        quota = self.public.settings().launching.total_quota or None
        told = {"total_pods": users + kept + builds, "build_pods": builds, "user_pods": users, "kept_seats": kept}
        ok = quota is None or users + kept < quota
        return {"service": "Pod quota", **told, "quota": quota, "ok": ok, "_ignore_failure": True}

    def _kept_seats(self) -> int:
        """How many seats of open classes are free."""
        running = [canonical(session.repo.address.url) for session in self.public.sessions.live]
        return kept("", Load(running, 0), self.public.timetable.seated())

    async def versions(self, request: Request) -> Response:
        """What runs here, for anybody."""
        told = {"binderhub": f"{SPOKEN}+perijove.{OURS}", "perijove": OURS, "builder_info": {"perijove": OURS}}
        allowed = {} if self.public.settings().service.cors_allow_origin else {"Access-Control-Allow-Origin": "*"}
        return JSONResponse(told, headers=allowed)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(await self._metrics.get(), media_type=CONTENT_TYPE_LATEST)

    async def _counted(self) -> bytes:
        self.public.metrics.room.tell(await self._held())
        return self.public.metrics.text()

    async def _held(self) -> Held:
        """What runs and what is left; a pad that does not answer is the health's to tell."""
        sessions, now = self.public.sessions, self.public.clock.now()
        try:
            async with asyncio.timeout(HEALTH_LIMIT):
                running = await self.public.sandboxes.running()
                room = await self.public.sandboxes.room()
        except (TimeoutError, Fail):
            return Held(0, sessions.ready, 0, 0, 0, (), None, 0)
        taken = [one for one in running if one.session not in sessions.held]
        settings = self.public.settings()
        more = room_for(len(taken), room, settings.launching, settings.session)
        memory, disk = (sum(getattr(one, key) for one in running) for key in ("memory", "disk"))
        busy = sum(sessions.processors(one.session) for one in taken)
        return Held(len(taken), sessions.ready, memory, disk, busy, [now - one.started_at for one in taken], room, more)

    async def providers(self, request: Request) -> Response:
        """The kinds of links served here, as forms elsewhere show them."""
        return JSONResponse([dict(provider.display) for provider in PROVIDERS.values()])

    async def badge(self, request: Request) -> Response:
        """The picture for READMEs; both names it is known by show the same."""
        return FileResponse(STATIC / "badge.svg", headers=PICTURE)

    async def icon(self, request: Request) -> Response:
        """For pages that name none, a session's API among them."""
        return FileResponse(STATIC / "idle.svg", headers=PICTURE)

    async def repo(self, request: Request) -> Response:
        """`/repo/owner/name/path`, an old form of links."""
        owner, name = (quote(request.path_params[part], safe="") for part in ("owner", "name"))
        path = request.path_params.get("path", "")
        return RedirectResponse(
            f"/v2/gh/{owner}/{name}/HEAD" + (f"?urlpath={quote(path, safe='')}" if path else ""), 302
        )


def _streams_only(request: Request) -> None:
    """Raises Fail unless the client says that it reads event streams."""
    accept = request.headers.get("accept", "")
    if not any(part.partition(";")[0].strip().lower() == "text/event-stream" for part in accept.split(",")):
        seen = Evidence("the request's Accept", accept[:200] or "(missing)")
        raise Fail(failures.BAD_REQUEST("Missing Accept header: text/event-stream", seen))
