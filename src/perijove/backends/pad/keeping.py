"""What a session's visitor changed is kept when it ends: sealed at once, in `handed`, for the master to fetch.

In: a home whose writers are gone, and the terms. Out: `handed/<session>.kept`, or nothing where nothing changed. The
home is read with the session's rights, what it was copied from with the master's. What is to be kept for whom stands in
notes of the pad's own, so that the pad after a killed one keeps what still lies there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perijove import durable
from perijove.backends.pad.master import FOLDER, Master
from perijove.backends.pad.spawning import in_child
from perijove.domain import wire
from perijove.domain.keeping import KeepTerms
from perijove.domain.nouns import SessionName
from perijove.domain.state import State
from perijove.home_changes import Changes, Rights, decided, seal

LIMIT = 90.0
"""Seconds that it may take for one session."""
AT_ONCE = 2
ENDING = ".kept"


@dataclass(frozen=True, slots=True)
class Note:
    """What the pad after us has to know of one session."""

    terms: KeepTerms
    home_from: Path | None
    uid: int | None


def acting_as(uid: int | None) -> Rights:
    """A session's rights in the place of root's; ours, where sessions run as us."""
    return contextlib.nullcontext if uid is None else partial(_acting, uid)


@contextlib.contextmanager
def _acting(uid: int) -> Iterator[None]:
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Keeping:
    """What is kept of the sessions of one pad."""

    def __init__(self, state: State, master: Master, ring: Callable[[], None]) -> None:
        """`ring` is called when something waits to be fetched."""
        self._state = state
        self._master = master
        self._ring = ring
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def intend(self, session: SessionName, note: Note) -> None:
        """Have its changes kept when it ends, however that comes. Raises OSError."""
        durable.folder(self._state.keep_notes)
        aside = self._state.keep_notes / f".{session}"
        aside.write_text(json.dumps(wire.encode(note)))  # no fsync: a launch waits, and homes last no longer than this
        aside.rename(self._note(session))

    async def ended(self, session: SessionName, home: Path) -> bool:
        """Its writers are gone: keep what changed, where that was intended; whether the home is needed no more."""
        note = self._intended(session)
        if note is not None and home.is_dir():
            try:
                async with self._at_once:
                    await self._keep(session, home, note)
            except asyncio.CancelledError:
                return False
            except (OSError, TimeoutError) as error:
                _tell(f"what changed in {session} is not kept: {error or 'it took too long'}")
        self.forget(session)
        return True

    def forget(self, session: SessionName) -> None:
        """Nothing of it is to be kept."""
        self._note(session).unlink(missing_ok=True)

    def left(self) -> Mapping[SessionName, Note]:
        """Of sessions that an earlier pad left: what is still to be kept."""
        for aside in self._state.keep_notes.glob(".*"):
            aside.unlink()
        names = [path.stem for path in self._state.keep_notes.glob("[!.]*.json")]
        return {name: note for name in names if (note := self._intended(name)) is not None}

    def waiting(self) -> Sequence[SessionName]:
        """Sessions whose work waits to be fetched."""
        return [path.name.removesuffix(ENDING) for path in self._state.handed.glob(f"[!.]*{ENDING}")]

    def fetched(self, session: SessionName) -> None:
        """The master has it."""
        (self._state.handed / f"{session}{ENDING}").unlink(missing_ok=True)

    def _note(self, session: SessionName) -> Path:
        return self._state.keep_notes / f"{session}.json"

    def _intended(self, session: SessionName) -> Note | None:
        try:
            note: Note = wire.decode(Note, json.loads(self._note(session).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            _tell(f"what is to be kept of {session} cannot be read: {error}")
            return None
        return note

    async def _keep(self, session: SessionName, home: Path, note: Note) -> None:
        aside, handed = self._state.handed / f".{session}{ENDING}", self._state.handed / f"{session}{ENDING}"
        if handed.exists():  # a pad that was killed before it could say so
            return
        aside.unlink(missing_ok=True)
        try:
            await in_child(partial(_keep, session, home, note, aside, self._master), LIMIT)
            if aside.exists():
                aside.rename(handed)
                durable.sync(handed.parent)
                self._ring()
        finally:
            aside.unlink(missing_ok=True)


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201


def _keep(session: SessionName, home: Path, note: Note, aside: Path, master: Master) -> None:
    """In a process of its own."""
    if os.geteuid() == 0:
        os.setgroups([])
    rights, terms = acting_as(note.uid), note.terms
    with rights():
        ours = os.open(home, FOLDER)
    changes = Changes(rights, master.rights, terms.size)
    changes.look(ours, _base(note.home_from, master))
    kept = decided(changes, session, terms)
    if kept is None:
        return
    from perijove import kept_files  # noqa: PLC0415  only where it is needed: it takes 60 ms, and memory for good

    opened = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "wb") as file:
        master.give(file.fileno())
        if note.uid is not None:  # for good: nothing of root's is needed any more
            os.setresgid(note.uid, note.uid, note.uid)
            os.setresuid(note.uid, note.uid, note.uid)
        seal(ours, *kept, file, kept_files.written)


def _base(home_from: Path | None, master: Master) -> int | None:
    """What the home was copied from; None where that is gone, and all counts as changed."""
    if home_from is None:
        return None
    try:
        return master.folder(home_from)
    except FileNotFoundError:
        return None
