"""Classes as operators see them. In: the timetable and what runs. Out: rows of JSON. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.domain import wire
from perijove.domain.classes import Class
from perijove.domain.failures import Evidence, Fail
from perijove.domain.request_failures import not_listed
from perijove.launching.launches import Launch
from perijove.launching.preparing import Preparations
from perijove.launching.start.pool import Pool
from perijove.launching.start.queue import Queue
from perijove.launching.start.timetable import Timetable


@dataclass(frozen=True, slots=True)
class ClassAdmin:
    """What is told of classes."""

    timetable: Timetable
    queue: Queue
    pool: Pool
    preparations: Preparations

    async def rows(self) -> list[dict[str, Any]]:
        """All classes, as the settings have them."""
        return [self._row(one) for one in self.timetable.classes()]

    async def get(self, request: Request) -> Response:
        """One class with its repositories and settings."""
        name = request.path_params["name"]
        for one in self.timetable.classes():
            if one.name == name:
                return JSONResponse(self._row(one) | self._whole(one))
        seen = Evidence("launching.classes", ", ".join(one.name for one in self.timetable.classes()) or "none")
        raise Fail(not_listed("classes", f"there is no class {name[:40]}", seen))

    def _row(self, one: Class) -> dict[str, Any]:
        hours = self.timetable.hours(one)
        return {
            "name": one.name,
            "state": "open" if hours.open else "closed",
            "closes": hours.until,
            "taken": self.queue.taken(one),
            "seats": one.seats,
            "ready": self.pool.held_for(one),
            "wanted": one.settings.ready,
            "opens": hours.next,
        }

    def _whole(self, one: Class) -> dict[str, Any]:
        repositories = []
        for address in one.addresses:
            last = self.preparations.last(one, address)
            repositories.append({"link": address.path, "prepared": _prepared(last) if last else None})
        return {"repositories": repositories, "settings": wire.encode(one.settings)}


def _prepared(launch: Launch) -> dict[str, Any]:
    """How a preparation went, and what stands by it."""
    return {
        "launch": launch.number,
        "state": launch.state,
        "ended_at": launch.ended_at,
        "commit": launch.repo.commit if launch.repo else "",
        "environment": launch.environment,
        "failure": wire.encode(launch.failure),
    }
