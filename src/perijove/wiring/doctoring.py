"""The doctor before this service, for its own operator's page: now and then, and when asked. Acts.

It looks as a process of its own, as `perijove doctor` is, so that whatever it meets holds up nobody's launch.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field

from perijove.domain.ports import Clock
from perijove.domain.state import State
from perijove.web.operator_desk import Examined

FIRST, EVERY = 600.0, 3600.0
"""Seconds from the start to the first look, and from one to the next."""
LIMIT = 600.0
"""Seconds for one: what it mends may take long."""
LONGEST = 4 * 1024**2
"""Bytes of what it says, which is told in full or not at all."""


@dataclass(slots=True)
class OwnDoctor:
    """Looks one time after the other; implements `Doctor`."""

    state: State
    clock: Clock
    last: Examined | None = None
    busy: bool = False
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _agreed: str = ""

    def begin(self, agreed: str = "") -> None:
        """Have it look soon, and mend first what it can, where that is still what somebody agreed to, by `planned`."""
        self.busy, self._agreed = True, agreed or self._agreed
        self._asked.set()

    async def run(self) -> None:
        """Look, for ever."""
        wait = FIRST
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._asked.wait()
            self._asked.clear()
            self.busy, agreed, self._agreed, wait = True, self._agreed, "", EVERY
            found = await self._examined(fix=False)
            self.last = await self._examined(fix=True) if agreed and found.planned == agreed else found
            self.busy = self._asked.is_set()

    async def _examined(self, *, fix: bool) -> Examined:
        flags = ("--fix", "--yes") if fix else ()
        asked = ("doctor", "--json", "--no-launch", "--state", str(self.state.root), *flags)
        try:
            async with asyncio.timeout(LIMIT):
                said = json.loads(await _said("-Pm", "perijove.cli.main", *asked))
        except TimeoutError:
            return Examined(self.clock.now(), (), (), f"it did not end within {LIMIT:.0f} s")
        except (OSError, ValueError) as error:
            return Examined(self.clock.now(), (), (), str(error)[:300])
        failure = said.get("failure")
        why = f"{failure['title']}: {failure['cause']}" if failure else ""
        return Examined(self.clock.now(), tuple(said["told"]), tuple(said.get("fixes", ())), why)


async def _said(*command: str) -> bytes:
    """What it printed. Raises OSError where it cannot be run, ValueError where it says too much."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = b""
        while part := await process.stdout.read(64 * 1024):
            said += part
            if len(said) > LONGEST:
                raise ValueError("it says too much")
        await process.wait()
        return said
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
