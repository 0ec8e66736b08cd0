"""What visitors change in sessions outlives them: who gets what back, and what is kept no longer.

In: sessions that are handed out, and the keys of those who began them; what the pad has kept. Out: lines of launches'
logs, and files that their visitors alone can open. What is kept is asked of the disk, each time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from perijove.domain.events import LaunchEvent, Logged, Phase
from perijove.domain.failures import Fail
from perijove.domain.keeping import GivenBack, KeepTerms, KeptWork, to_remove
from perijove.domain.nouns import ResolvedRepo, Session, SessionName
from perijove.domain.ports import Clock, KeptWorks, Sessions
from perijove.domain.repository_names import canonical
from perijove.domain.settings import Settings
from perijove.log import log
from perijove.sealing import public_half

PAUSE = 10.0
"""Seconds until something that could not be taken in is tried again."""


@dataclass(eq=False)
class Keeping:
    """Keeps and gives back."""

    works: KeptWorks
    _sandboxes: Sessions
    _clock: Clock
    _settings: Callable[[], Settings]

    async def all(self) -> Sequence[KeptWork]:
        """What is kept, the newest first. Raises Fail: `platform.*`."""
        return self._lasting(await self.works.all())

    async def of(self, visitor: str) -> Sequence[KeptWork]:
        """The same of one visitor."""
        return self._lasting(await self.works.of(visitor))

    def until(self, work: KeptWork) -> float:
        """When it is removed; Unix seconds."""
        return work.at + self._settings().session.keep

    def _lasting(self, works: Sequence[KeptWork]) -> Sequence[KeptWork]:
        return [work for work in works if self.until(work) > self._clock.now()]

    async def entrusted(self, session: Session, key: str, *, fresh: bool) -> AsyncGenerator[LaunchEvent, None]:
        """A new session is its visitor's: it is given what they left of its repository, and keeps what they do.

        `key`: theirs, or ``; `fresh`: they want nothing back. What fails here is told, and the session goes on.
        """
        visitor, settings = public_half(key), self._settings().session
        if not visitor or not settings.keep:
            return
        repository, given = canonical(session.repo.address.url), ""
        try:
            if not fresh and (work := await self._left(visitor, repository)):
                told = await self._given_back(session, work, key)
                given = "" if told.no_room or told.refused else work.session
                yield Logged(Phase.LAUNCHING, in_words(told))
            bounds = settings.keep_size, settings.keep_files
            terms = KeepTerms(visitor, repository, session.repo.commit, *bounds, given)
            await self._sandboxes.keep(session.name, terms)
        except Fail as error:
            failure = error.failure
            log.warning("a visitor's work", session=session.name, code=failure.kind.code, message=failure.message)
            yield Logged(Phase.LAUNCHING, failure.message)

    async def gives_back(self, repo: ResolvedRepo, key: str, *, fresh: bool) -> bool:
        """Whether a new session of theirs is given something back."""
        if not key or fresh or not self._settings().session.keep:
            return False
        try:
            return await self._left(public_half(key), canonical(repo.address.url)) is not None
        except Fail:
            return False  # it is told once the session has started

    async def _left(self, visitor: str, repository: str) -> KeptWork | None:
        works = [work for work in await self.of(visitor) if work.repository == repository and work.files]
        return works[0] if works else None

    async def _given_back(self, session: Session, work: KeptWork, key: str) -> GivenBack:
        archive, opens = await self.works.opening(work, key)
        same = work.commit == session.repo.commit
        return await self._sandboxes.give_back(session.name, archive, opens, same_commit=same)

    async def take_in(self) -> None:
        """Fetch what the pad has kept, for ever."""
        while True:
            try:
                for name in await self._sandboxes.kept():
                    await self._taken_in(name)
            except Fail as error:
                failure = error.failure
                log.warning("kept work was not taken in", code=failure.kind.code, message=failure.message)
                await self._clock.sleep(PAUSE)

    async def _taken_in(self, session: SessionName) -> None:
        work = await self.works.take_in(session)
        if work is not None and work.given_back and work.whole:  # all of it is in the newer one
            for older in await self.works.of(work.visitor):
                if older.session == work.given_back:
                    await self.works.remove(older)
        await self._sandboxes.fetched(session)
        await self.clean()

    async def clean(self, *, dry_run: bool = False) -> Sequence[KeptWork]:
        """Remove what is kept for too long, or too much; what that is. Raises Fail: `platform.*`."""
        settings = self._settings().session
        works = await self.works.all()
        gone = to_remove(works, self._clock.now(), settings.keep, settings.keep_total, settings.keep_per_visitor)
        for work in () if dry_run else gone:
            log.info("kept work removed", session=work.session, files=work.files, size=work.size)
            await self.works.remove(work)
        if not dry_run:
            await self.works.tidy(self._clock.now() - settings.keep)
        return gone


def in_words(told: GivenBack) -> str:
    """What became of kept files, for their visitor."""
    parts = [f"{_files(told.files)} of your last session given back"]
    if told.beside:
        parts.append(f"beside the repository's own: {', '.join(told.beside)}")
    if told.no_room:
        parts.append(f"for {told.no_room} the session's disk has no room")
    if told.refused:
        parts.append(f"{told.refused} could not be written")
    return "; ".join(parts)


def _files(number: int) -> str:
    return f"{number} file{'s' * (number != 1)}"
