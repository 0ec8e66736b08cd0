"""What a visitor left in sessions that are over: told, downloaded, removed.

In: requests with a visitor's key. Out: pages and zips. Whoever brings another key, or none, is told the same as of a
session that never was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import KeptWork
from perijove.domain.keeping_failures import NOTHING_KEPT
from perijove.launching.resolve.address import launch_link
from perijove.sealing import public_half
from perijove.web.kept_words import day, files
from perijove.web.launch_records import SessionRecord, session_record
from perijove.web.pages import page
from perijove.web.public import Public


@dataclass(frozen=True, slots=True)
class Told:
    """Of one session, for its visitor."""

    work: KeptWork
    until: str
    life: SessionRecord | None
    """None where the journal knows it no more."""
    again: str
    """The link that goes on, or ``."""

    @property
    def fresh(self) -> str:
        """The same for a start without these files."""
        return f"{self.again}?fresh=true" if self.again else ""


class KeptPages:
    """The handlers below /kept."""

    def __init__(self, public: Public) -> None:
        self.public = public

    async def all(self, request: Request) -> Response:
        """All that is kept for this visitor."""
        return self._page([self._told(work) for work in await self._works(request)])

    async def one(self, request: Request) -> Response:
        """What is kept of one session, and what can be done with it."""
        return self._page([self._told(await self._work(request))])

    async def zip(self, request: Request) -> Response:
        """The files, as they are read. Raises Fail: `session.kept-unreadable`, before the first byte."""
        work, key, works = await self._work(request), self.public.gate.visitor_key(request), self.public.keeping.works
        await works.opening(work, key)
        headers = {"Content-Disposition": f'attachment; filename="{work.session}.zip"'}
        return StreamingResponse(works.zipped(work, key), media_type="application/zip", headers=headers)

    async def remove(self, request: Request) -> Response:
        """Now, and not when its time has come."""
        await self.public.keeping.works.remove(await self._work(request))
        return RedirectResponse("/kept", 303)

    async def _works(self, request: Request) -> Sequence[KeptWork]:
        return await self.public.keeping.of(public_half(self.public.gate.visitor_key(request)))

    async def _work(self, request: Request) -> KeptWork:
        session = request.path_params["session"]
        for work in await self._works(request):
            if work.session == session:
                return work
        seen = Evidence(
            "this browser",
            "its key opens nothing of it" if self.public.gate.visitor_key(request) else "it brings no key",
        )
        raise Fail(NOTHING_KEPT("nothing is kept that this browser may open", seen))

    def _told(self, work: KeptWork) -> Told:
        life = session_record(self.public.journal, work.session)
        address = life.session.repo.address if life else None
        again = launch_link(self.public.base, address.path, "") if address and address.provider != "local" else ""
        return Told(work, day(self.public.keeping.until(work)), life, again)

    def _page(self, told: Sequence[Told]) -> Response:
        return page(self.public, "kept.html", told=told, files=files)
