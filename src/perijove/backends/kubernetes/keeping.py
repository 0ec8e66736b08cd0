"""What visitors change in pods: fetched while they run, for a pod may be lost, and when they end; and given back.

In: pods, and for whom what is to be kept. Out: sealed files. A session's last snapshot stands in `control/keeping`, and
is handed over once the session is over, as the pad does. For whom to keep what stands there too, in a file, before
anything is fetched: so a control plane after a killed one goes on.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn

import httpx

from perijove import durable, kept_files
from perijove.backends.kubernetes import fetching, handed_out, pod_status
from perijove.backends.kubernetes.in_pod import MOST
from perijove.backends.kubernetes.pods import Pods
from perijove.domain import wire
from perijove.domain.cluster import Thing, text
from perijove.domain.confinement import MIB, Beyond, Bounds, Identity
from perijove.domain.failures import Evidence, Fail
from perijove.domain.keeping import GivenBack, KeepTerms, LeftOut, shown
from perijove.domain.keeping_failures import KEPT_UNREADABLE
from perijove.domain.nouns import SessionName
from perijove.domain.parsing import bracketed
from perijove.domain.ports import Confined
from perijove.domain.state import State
from perijove.giving import TOLD
from perijove.log import log

EVERY, LONGEST = 180.0, 3000.0
"""Seconds between two looks at a home, and at most, where looks fail: a pod that is slow holds a place of others."""
AT_ONCE = 16
LIMIT = 90.0
"""Seconds for what a pod hands out or takes in."""
TICK = 5.0
A_FILE = 4096
"""Bytes that a file takes in a tar beside its own."""
ANSWER = 64 * 1024
"""Bytes of an answer that is no files."""
NOTE, SNAPSHOT, KEPT = ".json", ".sealed", ".kept"
_ERRORS = (
    httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError,
    RuntimeError,
)  # fmt: skip
"""TimeoutError, RecursionError and OverflowError among them: what a stranger says may be anything, and infinite."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a control plane after us has to know of a session."""

    home_from: Path
    terms: KeepTerms | None = None


@dataclass(slots=True)
class _Kept:
    """A session, and what is kept of it."""

    note: Note
    due: float = float("inf")
    """When its home is looked at; by the loop's clock."""
    pause: float = EVERY
    """Seconds from this look to the next."""
    tag: int | None = None
    """Of what was fetched last."""
    final: bool = False
    """Whether it was fetched for its end."""
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class Keeping:
    """What is kept of the pods of one control plane. `token`: opens a session's files."""

    def __init__(self, state: State, confined: Confined, token: Callable[[SessionName], str], port: int) -> None:
        """Raises Fail: `platform.*`."""
        self._state, self._confined, self._port = state, confined, port
        self.token, self.limit = token, LIMIT
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._client = fetching.client(httpx.Timeout(LIMIT, connect=10))
        self._bell, self._waiting = asyncio.Event(), asyncio.Event()
        self._over = set[SessionName]()
        with durable.told(state.keeping):
            durable.folder(state.keeping)
            for left in (*state.unsealed.iterdir(), *state.keeping.glob(".*")):
                durable.remove(left)
            self._sessions = {path.stem: _Kept(_read(path)) for path in state.keeping.glob(f"[!.]*{NOTE}")}
        self._before = {*self._sessions}
        """Sessions of an earlier control plane of which is not known yet whether they are over."""

    async def intend(self, session: SessionName, note: Note) -> None:
        """Raises Fail: `platform.*`."""
        content = json.dumps(wire.encode(note)).encode()
        with durable.told(self._state.keeping):
            await durable.in_thread(lambda: durable.write(self._path(session, NOTE), content))
        self._sessions.setdefault(session, _Kept(note)).note = note

    async def keep(self, session: SessionName, terms: KeepTerms) -> None:
        """Its home is looked at from now on; nothing where it is over. Raises Fail: `platform.*`."""
        kept = self._sessions.get(session)
        if kept is not None:
            await self.intend(session, replace(kept.note, terms=terms))
            self.look(session)

    def look(self, session: SessionName) -> None:
        """Fetch what changed soon, where the last look did not fail."""
        kept = self._sessions.get(session)
        if kept is not None and kept.note.terms is not None and (kept.pause == EVERY or kept.fetching.locked()):
            kept.due = 0.0
            self._bell.set()

    def ended(self, session: SessionName) -> None:
        """It is over: what was fetched last is handed over."""
        if session in self._sessions:
            self._over.add(session)
            self._bell.set()

    async def kept(self) -> Sequence[SessionName]:
        """As soon as there are any."""
        while True:
            self._waiting.clear()
            if names := [path.stem for path in self._state.keeping.glob(f"[!.]*{KEPT}")]:
                return names
            await self._waiting.wait()

    async def fetched(self, session: SessionName) -> None:
        """It was taken in."""
        self._path(session, KEPT).unlink(missing_ok=True)

    async def supervise(self, pods: Pods) -> NoReturn:
        """Look at homes, and hand over what is kept of those that are over, for ever."""
        loop = asyncio.get_running_loop()
        for kept in self._sessions.values():
            kept.due = loop.time() + EVERY * random.random()  # noqa: S311  spread out, and no secret
        async with self._client, asyncio.TaskGroup() as tasks:
            while True:
                self._bell.clear()
                if pods.listed:
                    self._over |= self._before - pods.now.keys()
                    self._before.clear()
                for name in self._over:
                    tasks.create_task(self._handed_over(name), name=f"what is kept of {name}")
                self._over.clear()
                for name, kept in self._sessions.items():
                    pod = pods.now.get(name)
                    free = not kept.fetching.locked()
                    if free and kept.due <= loop.time() and pod is not None and pod_status.runs(pod):
                        kept.due = float("inf")
                        tasks.create_task(self.snapshot(pod), name=f"what changed in {name}")
                try:
                    async with asyncio.timeout(TICK):
                        await self._bell.wait()
                except TimeoutError:
                    continue

    async def snapshot(self, pod: Thing, *, final: bool = False) -> None:
        """Fetch what changed, in place of what was fetched before; what fails is logged, and that stands."""
        name, kept = pod_status.session(pod), self._sessions.get(pod_status.session(pod))
        if kept is None or kept.note.terms is None or not pod_status.runs(pod):
            return
        try:
            async with asyncio.timeout(2 * LIMIT), kept.fetching, self._at_once:  # others may hold it up
                kept.pause = min(2 * kept.pause, LONGEST)
                await self._fetch(name, pod, kept, kept.note.terms)
                kept.final, kept.pause = final, EVERY
        except Fail as error:
            log.warning("what changed in a session is not kept", session=name, message=error.failure.message)
        except (*_ERRORS, Beyond) as error:
            why = f"{type(error).__name__}: {error}"[:300]
            log.warning("what changed in a session is not fetched", session=name, message=why)
        if kept.due or kept.pause != EVERY:  # else it was asked for once more meanwhile
            kept.due = asyncio.get_running_loop().time() + kept.pause * (0.75 + random.random() / 2)  # noqa: S311
        self._bell.set()

    async def _fetch(self, name: SessionName, pod: Thing, kept: _Kept, terms: KeepTerms) -> None:
        folder = Path(await asyncio.to_thread(mkdtemp, prefix=f"{name}-", dir=self._state.unsealed))
        try:
            told = await self._received(name, pod, kept, folder / handed_out.TAR)
            if told is None:
                return
            left_out = {LeftOut[why].value: _count(number) for why, number in told["left_out"].items()}
            tag, work = int(told["tag"]), None
            if told["files"] or left_out:
                bounds = Bounds(
                    Identity.FETCHER, LIMIT, cpu=60, memory=512 * MIB, file_size=2 * terms.size + 64 * MIB,
                    writes=(folder,), reads=(kept.note.home_from,),
                )  # fmt: skip
                self._confined.hand_over(folder, Identity.FETCHER, contents=True)
                given = folder, name, terms, kept.note.home_from, left_out
                work = await self._confined.call(handed_out.sealed, *given, bounds=bounds)
                await asyncio.to_thread(self._confined.take_back, folder)
            to = self._path(name, SNAPSHOT)
            if work is None:
                to.unlink(missing_ok=True)
            else:
                made = folder / handed_out.SEALED
                if made.is_symlink():  # a process that was taken over would have us read what it cannot
                    raise ValueError("what was sealed is a link")
                made.rename(to)
                await durable.in_thread(lambda: durable.sync(to.parent))
            kept.tag = tag
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder))

    async def _received(self, name: SessionName, pod: Thing, kept: _Kept, to: Path) -> Mapping[str, Any] | None:
        """What a pod says of its files, which lie in a file then; None where they are those of before."""
        terms = kept.note.terms
        assert terms is not None
        known = "" if kept.tag is None else f"&known={kept.tag}"
        async with self._asked("GET", pod, f"size={terms.size}&files={terms.files}{known}") as answer:
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return None
            answer.raise_for_status()
            with to.open("xb") as file:
                await fetching.received(answer, file, terms.size + (terms.files + 16) * A_FILE)
            told = json.loads(answer.headers["Perijove-Files"])
        return told if isinstance(told, dict) else {}

    @asynccontextmanager
    async def _asked(self, method: str, pod: Thing, query: str, **given: Any) -> AsyncIterator[httpx.Response]:
        headers = {"Authorization": f"Bearer {self.token(pod_status.session(pod))}", **given.pop("headers", {})}
        url = f"http://{bracketed(text(pod.status.get('podIP')))}:{self._port}/?{query}"
        async with asyncio.timeout(self.limit), self._client.stream(method, url, headers=headers, **given) as answer:
            yield answer

    async def give_back(self, pod: Thing, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        """Raises Fail: `session.kept-unreadable`."""
        limits = pod_status.sandbox(pod).limits
        query = f"room={limits.disk if limits else 0}&same_commit={same_commit:d}"
        try:
            # Nothing is given of what is not whole.
            size = await asyncio.to_thread(lambda: sum(map(len, kept_files.pieces(archive, opens))))
            content = _in_threads(partial(kept_files.pieces, archive, opens))
            sent = {"headers": {"Content-Length": f"{size}"}, "content": content}
            async with self._asked("PUT", pod, query, **sent) as answer:
                answer.raise_for_status()
                await fetching.received(answer, told := BytesIO(), ANSWER)
            return _given(json.loads(told.getvalue()))
        except (*_ERRORS, EOFError) as error:
            where = Evidence(archive.name, f"{type(error).__name__}: {error}"[:300])
            raise Fail(KEPT_UNREADABLE("the files could not be given back", where)) from error

    async def _handed_over(self, name: SessionName) -> None:
        kept, snapshot = self._sessions.get(name), self._path(name, SNAPSHOT)
        if kept is None:
            return
        async with kept.fetching:  # perhaps its last
            self._sessions.pop(name, None)
            try:
                if snapshot.exists():
                    if not kept.final:
                        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(snapshot.stat().st_mtime))
                        log.info("what changed in a session is kept as it was fetched last", session=name, at=at)
                    snapshot.rename(self._path(name, KEPT))
                    await durable.in_thread(lambda: durable.sync(self._state.keeping))
                self._path(name, NOTE).unlink(missing_ok=True)
            except OSError as error:  # the next start tries it again
                log.warning("what changed in a session is not handed over", session=name, message=str(error))
        self._waiting.set()

    def _path(self, session: SessionName, ending: str) -> Path:
        return self._state.keeping / f"{session}{ending}"


def _read(note: Path) -> Note:
    """Ours; whoever has changed it has it end here. Raises OSError."""
    try:
        found: Note = wire.decode(Note, json.loads(note.read_bytes()))
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(None, f"what is to be kept cannot be read: {error}", str(note)) from error
    return found


async def _in_threads(pieces: Callable[[], Any]) -> AsyncIterator[bytes]:
    found = pieces()
    while piece := await asyncio.to_thread(next, found, b""):
        yield piece


def _count(told: Any) -> int:
    """Of files, as a pod says. Raises one of `_ERRORS`."""
    return min(abs(int(told)), MOST)


def _given(told: Any) -> GivenBack:
    """What a pod says, which may be anything. Raises one of `_ERRORS`."""
    names = [shown(tuple(str(part) for part in path))[:1000] for path in told["beside"][:TOLD]]
    return GivenBack(_count(told["files"]), tuple(names), _count(told["no_room"]), _count(told["refused"]))
