"""What a class needs is built before it comes. In: the timetable, pushes. Out: launches that end with an environment.

What was begun before a restart is begun again: what stands already is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perijove.domain.classes import Class
from perijove.domain.failures import Fail, Failure, Retry
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import RepoAddress
from perijove.domain.ports import Clock
from perijove.domain.repository_names import canonical
from perijove.launching.launches import Launch, Launches
from perijove.launching.start.timetable import Timetable
from perijove.log import log

LOOK_EVERY = 10.0
"""Seconds."""
AGAIN = 300.0
"""Seconds after which a preparation is begun again that trying again can help; a launch tries thrice by itself."""
REMEMBERED = 200
"""Launches among which those of before a restart are looked for."""


def client(one: Class) -> str:
    """Who asks, as launches have it."""
    return f"class {one.name}"


@dataclass(slots=True)
class _Begun:
    """The last preparation of a link."""

    number: int
    since: float | None
    """When the class opened for which it was; None for one that was closed."""
    told: bool = False
    """Whether its failure is in the service's log."""


class Preparations:
    """Begins them, and looks at what they came to."""

    def __init__(self, timetable: Timetable, launches: Launches, clock: Clock) -> None:
        self._timetable = timetable
        self._launches = launches
        self._clock = clock
        self._begun: dict[tuple[str, RepoAddress], _Begun] = {}

    async def run(self) -> None:
        """Prepare each class when it opens, for ever."""
        while True:
            try:
                self.look()
            except Fail as error:
                failure = error.failure
                log.warning("classes are not prepared now", code=failure.kind.code, message=failure.message)
            await self._clock.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Begin what is due. Raises Fail: `platform.draining`, `platform.disk-full`."""
        classes = self._timetable.classes()
        links = {(one.name, address) for one in classes for address in one.addresses}
        self._begun = {key: begun for key, begun in self._begun.items() if key in links}
        for one in classes:
            since = self._timetable.hours(one).since
            if since is not None and (one.settings.prepare or one.settings.ready):
                for address in one.addresses:
                    self._look_at(one, address, since)

    def pushed(self, repository: str) -> Sequence[int]:
        """Build what the links to a repository, by its canonical name, lead to now: the launches. Raises Fail.

        One that has not looked yet where its link leads to will see this push as well.
        """
        one = self._timetable.of(repository)
        if one is None:
            return ()
        since = self._timetable.hours(one).since
        numbers = []
        for address in one.addresses:
            if canonical(address.url) == repository:
                begun = self._begun.get((one.name, address))
                launch = self._launches.get(begun.number) if begun else None
                looks = launch is not None and launch.state == "resolving"
                numbers.append(launch.number if launch and looks else self._begin(one, address, since))
        return numbers

    def last(self, one: Class, address: RepoAddress) -> Launch | None:
        """What the last preparation of a class's link has come to; None where none is known."""
        if begun := self._begun.get((one.name, address)):
            return self._launches.get(begun.number)
        found = (launch for launch in self._launches.list(REMEMBERED) if launch.client == client(one))
        return next((launch for launch in found if launch.address == address), None)

    def _look_at(self, one: Class, address: RepoAddress, since: float) -> None:
        begun = self._begun.get((one.name, address))
        if begun is None or begun.since != since:
            self._begin(one, address, since)
            return
        launch = self._launches.get(begun.number)
        if launch is None or launch.failure is None:
            return
        if not begun.told:
            begun.told, failure = True, launch.failure
            facts = {"name": one.name, "link": address.path, "launch": begun.number, "code": failure.kind.code}
            log.warning("a class is not prepared", **facts, message=failure.message)
        wait = _wait(launch.failure)
        if wait is not None and self._clock.now() >= (launch.ended_at or 0) + wait:
            self._begin(one, address, since)

    def _begin(self, one: Class, address: RepoAddress, since: float | None) -> int:
        number = self._launches.begin(address, client(one), LaunchOptions(build_only=True))
        self._begun[one.name, address] = _Begun(number, since)
        return number


def _wait(failure: Failure) -> float | None:
    """Seconds until it is tried again; None where that cannot help."""
    if failure.kind.retry is Retry.NEVER:
        return None
    return max(AGAIN, failure.after)
