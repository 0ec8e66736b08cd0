"""A checkout → its environment, found or built, told as events.

Two launches that ask for the same share one build; a build goes on when those who watch it leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from perijove.domain import failures
from perijove.domain.bounded_log import BoundedLog, clean, clean_colours
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.confinement import Beyond
from perijove.domain.events import BuildStarted, Built, Logged, Noted, Phase
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Checkout, EnvironmentKey, ResolvedRepo
from perijove.domain.ports import Confined, Environments
from perijove.journal import COLOUR, ROW
from perijove.launching.build.detect import Detected
from perijove.launching.build.reading import detected
from perijove.launching.telling import Telling

NOTES = 10
"""Of one commit, which pages show; more stand in the log alone."""
KEPT = 8 * 1024**2
"""Bytes of a build's log that are held for its followers; the journal keeps less of it."""


@dataclass(eq=False)
class Builds:
    """The builds in progress, at most `concurrent` at once; their tasks belong to `group`."""

    _environments: Environments
    _confined: Confined
    concurrent: int
    _group: asyncio.TaskGroup

    def __post_init__(self) -> None:
        self._room, self._running = asyncio.Semaphore(self.concurrent), dict[str, _Build]()

    async def built(
        self, checkout: Checkout, *, again: bool = False
    ) -> AsyncIterator[BuildStarted | Logged | Noted | Built]:
        """The environment of a checkout; the last event is Built, after which the port's `find` knows it.

        With `again` it is resolved anew, whatever it was before. Raises Fail: `build.*`, `start.sandbox-failed`,
        `platform.*`; whoever shares a build is told the same failure.
        """
        found = await self._detected(checkout)
        for count, note in enumerate(found.notes):
            yield Noted(clean(note)) if count < NOTES else Logged(Phase.BUILDING, note)
        deciding = Telling(
            Phase.BUILDING, lambda tell: self._environments.inputs(found.plan, checkout, tell, again=again)
        )
        async for told in deciding:
            yield told
        inputs = deciding.result
        name = inputs.name
        if name not in self._running and (stands := await self._environments.resolved(inputs)) is not None:
            yield Built(stands.key, found=True, seconds=0.0)
            return
        shared = (build := self._running.get(name)) is not None
        build = build or self._begin(inputs, checkout.repo)
        yield BuildStarted(name, shared)
        async for line in build.log():
            yield line
        yield Built(build.environment, found=False, seconds=build.seconds)

    async def _detected(self, checkout: Checkout) -> Detected:
        try:
            return await self._confined.call(detected, checkout.path, lasting=True)
        except Beyond as beyond:
            raise Fail(beyond.told(failures.BAD_FILE, "what describes the environment")) from beyond

    def _begin(self, inputs: BuildInputs, made_for: ResolvedRepo) -> _Build:
        build = self._running[inputs.name] = _Build()
        self._group.create_task(self._run(build, inputs, made_for), name=f"build {inputs.name}")
        return build

    async def _run(self, build: _Build, inputs: BuildInputs, made_for: ResolvedRepo) -> None:
        clock = asyncio.get_running_loop().time
        began, waited = clock(), 0.0

        @asynccontextmanager
        async def place() -> AsyncIterator[None]:
            nonlocal waited
            since = clock()
            if self._room.locked():
                build.tell("Waiting for other builds to end")
            async with self._room:
                waited += clock() - since
                yield

        try:
            build.environment = (await self._environments.build(inputs, made_for, build.tell, place)).key
            build.end(None, clock() - began - waited)
        except Exception as error:  # noqa: BLE001 - told to everybody who follows; the group must outlive it
            build.end(failures.of(error), 0.0)
        finally:
            del self._running[inputs.name]
            if not build.over:
                build.end(failures.INTERRUPTED("The service stopped while the environment was built"), 0.0)


class _Build:
    """One build's log and outcome, for any number of followers."""

    def __init__(self) -> None:
        self.over = False
        self.seconds = 0.0
        self.environment: EnvironmentKey = ""
        self._failure: Failure | None = None
        self._lines: list[Logged] = []
        self._log = BoundedLog[Logged](KEPT)
        self._more = asyncio.Event()

    def tell(self, line: str) -> None:
        """A line of the log, for followers now and later."""
        logged = Logged(Phase.BUILDING, *clean_colours(line))
        if self._log.takes(logged, ROW + len(logged.line) + COLOUR * len(logged.colours)):
            self._lines.append(logged)
            self._wake()

    def end(self, failure: Failure | None, seconds: float) -> None:
        """The build is over."""
        if self._log.cut:
            left_out, last = self._log.rest()
            self._lines += [Logged(Phase.BUILDING, left_out), *last]
        self._failure, self.seconds, self.over = failure, seconds, True
        self._wake()

    async def log(self) -> AsyncIterator[Logged]:
        """The log so far and the rest, to the build's end. Raises Fail: what the build failed of."""
        told = 0
        while True:
            more, over = self._more, self.over
            while told < len(self._lines):
                yield self._lines[told]
                told += 1
            if over:
                break
            # The build itself has a limit (build.timeout), so this wait has one.
            await more.wait()
        if self._failure is not None:
            raise Fail(self._failure)

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
