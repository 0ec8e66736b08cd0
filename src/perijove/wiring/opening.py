"""What stands first: whoever looks from outside is answered, and certificates are on their way. Acts.

In: a data plane that may still be starting. Out: the certificate way's parts, at work for as long as the block lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.events import Entry
from perijove.domain.failures import Failure
from perijove.domain.ports import DataPlane
from perijove.journal import ends
from perijove.log import log
from perijove.routing.reconcile import Applier, Trouble, keep
from perijove.routing.table import table
from perijove.web.assets import ASSETS_VERSION, STATIC
from perijove.web.challenge import Challenge
from perijove.web.opening import opening_app
from perijove.wiring.certifying import CertificateParts, directories, joined
from perijove.wiring.given import Given, Tasks
from perijove.wiring.sockets import Door, serving

HEAD_START = 0.5
"""Seconds that names without a certificate have for themselves before the rest is imported and started."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the rest is built on."""

    certifying: CertificateParts
    door: Door
    """Leads visitors to what stands."""
    happened: list[Entry] = field(default_factory=list)
    """All entries of the journal so far."""
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, entry: Entry) -> None:
        """For the journal's listeners."""
        self.happened.append(entry)
        self.bell.set()

    async def head_start(self) -> None:
        """Return when each name without a certificate has got or failed to get one, or after HEAD_START seconds."""
        certificates = self.certifying.certificates
        lacking = len(certificates.hosts()) - len(certificates.served())
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START):
                while sum(ends(one.event) for one in self.happened) < lacking:
                    self.bell.clear()
                    await self.bell.wait()


@asynccontextmanager
async def opened(given: Given, plane: DataPlane) -> AsyncIterator[Opened]:
    """Raises Fail: `platform.*`."""

    def wished() -> DataPlaneTable:
        served, asked = parts.certificates.served(), directories(parts.certificates.specs())
        return table(given.settings(), given.state, STATIC, ASSETS_VERSION, served, asked)

    apply, tasks = Applier(plane, wished), Tasks(given.group)
    parts = joined(given.state, given.settings, given.journal, given.keys, given.clock, given.group, apply)
    given.reloaded.append(parts.reload)
    challenge = Challenge(given.keys.solver_marker(), parts.answers.get)
    first = Opened(parts, Door(opening_app(challenge, lambda: given.settings().service)))
    given.journal.listeners.append(first.hear)
    try:
        async with serving(first.door, given.state.control_socket):
            parts.certificates.recall()
            await apply()
            tasks.add(keep(apply, given.changed, given.clock, telling("data plane")), "data plane, kept")
            parts.certificates.start()
            yield first
    finally:
        tasks.cancel()
        await parts.stop()


def telling(what: str) -> Trouble:
    """Logs each trouble of a process of ours once."""
    last: Failure | None = None

    def tell(failure: Failure | None) -> None:
        nonlocal last
        if failure is not None and failure != last:
            log.error(what, code=failure.kind.code, message=failure.message)
        last = failure

    return tell
