"""The port Homes, by a process that looks. In: a person's name. Out: their home. Acts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perijove.backends.homes import looking
from perijove.domain.failures import Evidence, Fail
from perijove.domain.people import NAME, Home
from perijove.domain.people_failures import HOME_FULL, HOME_SILENT, HOME_UNUSABLE
from perijove.domain.settings import HomeSettings
from perijove.domain.sizes import size

AT_ONCE = 4


class HomesOnDisk:
    """Begins no look while one has not come back: no more than AT_ONCE ever hang."""

    def __init__(self, settings: Callable[[], HomeSettings]) -> None:
        self._settings = settings
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._hanging: dict[str, float] = {}
        """Since when a look has not come back, `time.monotonic`, by path."""

    async def ready(self, person: str) -> Home | None:
        settings = self._settings()
        if not settings.path:
            return None
        if not NAME.fullmatch(person):  # it becomes part of a path
            raise Fail(HOME_UNUSABLE("this name can be no folder's", Evidence("name", person[:100])))
        told = await self._looked(settings, person)
        return Home(Path(settings.path, person), _in_words(told, settings.quota), int(told["used"]))

    async def look(self) -> None:
        """At the folder of all homes, as it is now. Raises Fail: as `ready`."""
        await self._looked(self._settings(), "")

    async def _looked(self, settings: HomeSettings, person: str) -> dict[str, Any]:
        async with self._turn:
            text = await self._answer(settings, person)
        try:
            told: dict[str, Any] = json.loads(text)
        except ValueError as error:
            seen = Evidence(settings.path, text[-300:] or "no words")
            raise Fail(HOME_UNUSABLE("nobody could look at it", seen)) from error
        if told["wrong"]:
            kind = HOME_SILENT if told.get("stale") else HOME_UNUSABLE
            raise Fail(kind("it is not as it must be", Evidence(settings.path, str(told["wrong"])[:300])))
        return told

    async def _answer(self, settings: HomeSettings, person: str) -> str:
        path = settings.path
        if since := self._hanging.get(path):
            seen = Evidence(path, f"a look at it has not come back for {time.monotonic() - since:.0f} s")
            raise Fail(HOME_SILENT("it has not answered before", seen))
        return await self._ran(path, person, settings.timeout)

    async def _ran(self, path: str, person: str, limit: float) -> str:
        """What the look said. One that hangs is killed, and left to end when it can. Raises Fail: `home.silent`."""
        with os.fdopen(os.memfd_create("home"), "rb+") as words:
            argv = (sys.executable, "-I", "-S", looking.__file__, path, person)
            actions = [(os.POSIX_SPAWN_DUP2, words.fileno(), one) for one in (1, 2)]
            child = os.posix_spawn(argv[0], argv, {}, file_actions=actions, setpgroup=0)  # noqa: ASYNC221
            fd, ended, loop = os.pidfd_open(child), asyncio.Event(), asyncio.get_running_loop()

            def reap() -> None:
                loop.remove_reader(fd)
                os.close(fd)
                os.waitpid(child, 0)
                self._hanging.pop(path, None)
                ended.set()

            loop.add_reader(fd, reap)
            try:
                async with asyncio.timeout(limit):
                    await ended.wait()
            except TimeoutError as error:
                cause = f"it gave no answer within {limit:g} seconds"
                raise Fail(HOME_SILENT(cause, Evidence(path, "no end"))) from error
            finally:
                if not ended.is_set():
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self._hanging[path] = time.monotonic()
            words.seek(0)
            return words.read(65536).decode(errors="replace")


def _in_words(told: dict[str, Any], quota: int) -> str:
    used, free = int(told["used"]), int(told["free"])
    if used < 0:
        return "Your home is at ~/home; it holds too many files to be counted"
    words = f"Your home is at ~/home: {size(used)} used"
    if quota and used > quota:
        words += f", of {size(quota)} that it may have at most ({HOME_FULL.code})"
        return f"{words}: remove what you do not need; a session that makes it fuller is ended"
    return f"{words}{f' of {size(quota)}' if quota else ''}, {size(free)} free on its disk"
