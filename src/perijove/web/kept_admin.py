"""What visitors left in sessions, as operators see it. Out: rows of JSON, never content. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perijove.domain.failures import Fail
from perijove.domain.keeping import KeptWork
from perijove.domain.nouns import SessionName
from perijove.domain.request_failures import not_listed
from perijove.launching.start.keeping import Keeping


@dataclass(frozen=True, slots=True)
class KeptAdmin:
    """What is told of kept work."""

    keeping: Keeping

    async def rows(self) -> list[dict[str, Any]]:
        """All of it, the newest first."""
        return [self._row(work) for work in await self.keeping.all()]

    async def get(self, request: Request) -> Response:
        """What is kept of one session."""
        name = request.path_params["name"]
        if (row := await self.of(name)) is None:
            raise Fail(not_listed("kept", f"nothing is kept of a session {name[:40]}"))
        return JSONResponse(row)

    async def of(self, session: SessionName) -> dict[str, Any] | None:
        """The row of one session; None where nothing is kept."""
        return next((self._row(work) for work in await self.keeping.all() if work.session == session), None)

    def _row(self, work: KeptWork) -> dict[str, Any]:
        return {
            "name": work.session,
            "repository": work.repository,
            "commit": work.commit,
            "visitor": work.visitor[:12],
            "files": work.files,
            "size": work.size,
            "left_out": dict(work.left_out),
            "ended_at": work.at,
            "until": self.keeping.until(work),
        }
