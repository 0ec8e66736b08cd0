"""People's homes are held to their quota while sessions run. In: homes, sessions. Out: what is told, and who is ended.

A home that is too full can be written to all the same, for how else would anything be removed: it may not grow. It is
counted now and then, so what is written between two looks is not held back: that a file system's own quota does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import EndReason, SessionName
from perijove.domain.people import Homes
from perijove.domain.people_failures import HOME_FULL
from perijove.domain.ports import Clock
from perijove.domain.settings import HomeSettings
from perijove.domain.sizes import size
from perijove.launching.start.sessions import SessionKeeper
from perijove.log import log

LOOK = 30.0
"""Seconds between two looks, or ten times what one takes: a home may have many files, and its disk be far away."""
ROOM = 16 * 1024**2
"""Bytes by which a home that is too full may grow: programs write while something is removed."""


@dataclass(eq=False)
class HomeQuota:
    """Looks at the homes of those who have sessions."""

    _homes: Homes
    _sessions: SessionKeeper
    _whose: Callable[[int], str]
    _settings: Callable[[], HomeSettings]
    _clock: Clock
    _most: dict[SessionName, int] = field(default_factory=dict, init=False)
    """What the home may hold while this session runs: no more than it had at the last look, above the quota."""
    _told: set[SessionName] = field(default_factory=set, init=False)

    async def run(self) -> None:
        """For ever."""
        took = 0.0
        while True:
            await self._clock.sleep(max(LOOK, 10 * took))
            began = self._clock.now()
            await self.look()
            took = self._clock.now() - began

    async def look(self) -> None:
        """At each home once."""
        settings, theirs = self._settings(), defaultdict[str, list[SessionName]](list)
        for session in self._sessions.live if settings.path and settings.quota else ():
            theirs[self._whose(session.launch)].append(session.name)
        running = {name for names in theirs.values() for name in names}
        self._most = {name: most for name, most in self._most.items() if name in running}
        self._told &= running
        for person, names in theirs.items():
            if not person:
                continue
            try:
                home = await self._homes.ready(person)
                if home is not None and home.used >= 0:
                    for name in names:
                        await self._judge(name, home.used, settings.quota)
            except Fail as error:  # launches tell it, and the doctor does
                log.warning("a home is not held to its quota", person=person, message=error.failure.message)

    async def _judge(self, name: SessionName, used: int, quota: int) -> None:
        """One of its sessions is told before it is ended. Raises Fail: `platform.pad-down`."""
        now = max(used, quota) + ROOM
        most = self._most[name] = min(self._most.get(name, now), now)
        if used <= quota:
            self._told.discard(name)
            return
        seen = Evidence("~/home", size(used)), Evidence("home.quota", size(quota))
        if name not in self._told:
            self._told.add(name)
            self._sessions.trouble(name, HOME_FULL("it is fuller than home.quota allows", *seen))
        elif used > most:
            self._sessions.trouble(name, HOME_FULL("it grew on, so the session is ended", *seen))
            await self._sessions.stop(name, EndReason.DISK)
