"""The operator's commands for the service itself, on the admin socket. In: requests. Out: JSON on how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.domain import wire
from perijove.domain.cluster_failures import API_UNREACHABLE
from perijove.domain.engine_settings import EngineKind
from perijove.domain.failures import BAD_REQUEST, Evidence, Fail
from perijove.domain.ports import Clock, Sessions
from perijove.domain.request_failures import DRAINED
from perijove.domain.service_failures import PAD_SILENT
from perijove.domain.settings import Settings
from perijove.launching.launches import Launches
from perijove.launching.start.admission import room_for
from perijove.launching.start.announcing import LONGEST
from perijove.launching.start.sessions import SessionKeeper
from perijove.web.operator_doors import OperatorDoors

LONGEST_MESSAGE = 30 * 86400
"""Seconds for which a message to all is told at most."""
CLOSED = "its operator takes no new launches for a while"


@dataclass(frozen=True, slots=True)
class ServiceAdmin:
    """Handlers over the service as a whole."""

    launches: Launches
    sessions: SessionKeeper
    sandboxes: Sessions
    clock: Clock
    settings: Callable[[], Settings]
    url: Callable[[], str]
    doors: OperatorDoors
    waits: float = 10.0
    """Seconds for what is said of sessions: by this it is known whether the service is up, and commands wait for it."""
    since: float = field(init=False)
    """When it started, Unix seconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", self.clock.now())

    def routes(self) -> list[tuple[str, str, Callable[[Request], Any]]]:
        """Rows of the admin's URL map."""
        rows: list[tuple[str, str, Callable[[Request], Any]]] = [("GET", "/status", self.status)]
        rows += [("GET", "/message", self.message), ("POST", "/message", self.announce)]
        return [*rows, ("POST", "/drain", self.drain), ("POST", "/operator", self.operator)]

    async def operator(self, request: Request) -> Response:
        """A link that opens the operator's page once."""
        return JSONResponse({"url": f"{self.url()}admin?key={self.doors.link_key()}"})

    async def status(self, request: Request) -> Response:
        """Up since when, where, how many; what the pad does not tell is null, and `pad` says why."""
        return JSONResponse(await self.told())

    async def told(self) -> dict[str, Any]:
        """The same as values."""
        told: dict[str, Any] = {
            "version": version("perijove"),
            "url": self.url(),
            "since": self.since,
            "launches": self.launches.in_progress,
            "drained": self.launches.closed and self.launches.closed.cause,
            "ready": self.sessions.ready,
        }
        return told | await self._held()

    async def _held(self) -> dict[str, Any]:
        """What whoever holds the sandboxes says."""
        settings = self.settings()
        silent = API_UNREACHABLE if settings.engine.kind is EngineKind.KUBERNETES else PAD_SILENT
        try:
            async with asyncio.timeout(self.waits):
                running = await self.sessions.running()
                silent = PAD_SILENT  # of room it tells, whoever runs sessions
                room = await self.sandboxes.room()
                isolation = wire.encode(await self.sandboxes.isolation())
        except (Fail, TimeoutError) as error:
            cause = f"it gave no answer within {self.waits:g} s"
            failure = (
                error.failure if isinstance(error, Fail) else silent(cause, Evidence("how sessions stand", "no answer"))
            )
            nothing = dict.fromkeys(("sessions", "memory", "room", "free", "isolation"))
            return nothing | {"pad": failure.message, "failure": wire.encode(failure)}
        live = [running[session.name] for session in self.sessions.live if session.name in running]
        return {
            "sessions": len(live),
            "memory": sum(one.memory for one in live),
            "room": room_for(len(live), room, settings.launching, settings.session),
            "free": {"memory": room.memory, "disk": room.disk},
            "isolation": isolation,
            "pad": None,
        }

    async def message(self, request: Request) -> Response:
        """What all pages say, or null."""
        now = self.sessions.announcing.now
        return JSONResponse({"message": now and {"text": now.text, "until": now.until}})

    async def announce(self, request: Request) -> Response:
        """Have all pages say `words` for so many `seconds`, or nothing any more with ``."""
        asked = await request.json()
        words, seconds = str(asked.get("words") or ""), asked.get("seconds", 0)
        if words and not (isinstance(seconds, int | float) and 0 < seconds <= LONGEST_MESSAGE):
            raise Fail(BAD_REQUEST("a message is told for up to 30 days", Evidence("seconds", str(seconds)[:100])))
        self.sessions.announcing.say(words, seconds)
        return await self.message(request)

    async def drain(self, request: Request) -> Response:
        """Take no new launches, or take them again. Nothing is ended."""
        asked = await request.json()
        on = asked.get("on") is True
        drained = self.close(str(asked.get("words") or "")) if on else None
        if not on:
            self.launches.closed = None
        return JSONResponse({"drained": drained, "launches": self.launches.in_progress})

    def close(self, words: str) -> str:
        """Take no new launches; what visitors are told."""
        said = " ".join(words.split())[:LONGEST] or CLOSED
        self.launches.closed = DRAINED(said)
        return said
