"""The doctor, asked about a launch that failed. In: its failure. Out: the reason, where the machine can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from perijove.domain.failures import Failure
from perijove.domain.ground import Own
from perijove.domain.ports import Clock, Explain
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.log import log

LIMIT = 5.0
"""Seconds for a look at the machine; a visitor waits for it."""
FRESH = 10.0
"""Seconds for which a look, or that there was none, holds for other failures too: many fail in one moment."""


@dataclass
class Explainer:
    """Looks where that can help, once for all failures of a moment; whatever goes wrong then, the failure is told."""

    look: Callable[[], Awaitable[Own]]
    clock: Clock
    limit: float = LIMIT
    _own: Own | None = None
    _looked_at: float = float("-inf")
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def explain(self, failure: Failure) -> Failure:
        """The root cause, or the failure itself."""
        # Imported late: most services need it rarely, and all would start later.
        from perijove.doctor.own import explaining  # noqa: PLC0415

        if not explaining.may_be(failure):
            return failure
        async with self._looking:
            if self.clock.now() - self._looked_at > FRESH:
                self._own = await self._seen()
                self._looked_at = self.clock.now()
            own = self._own
        return explaining.explained(failure, own) if own is not None else failure

    async def _seen(self) -> Own | None:
        try:
            async with asyncio.timeout(self.limit):
                return await self.look()
        except TimeoutError:
            log.warning("launches that fail are not explained: a look at the machine took too long", limit=self.limit)
        except Exception:
            log.exception("launches that fail are not explained: the machine could not be looked at")
        return None


def explainer(state: State, settings: Callable[[], Settings], clock: Clock) -> Explain:
    """Explains by a look at this machine."""

    async def look() -> Own:
        from perijove.wiring import examining  # noqa: PLC0415 - late, as above

        return await examining.beneath(state, settings(), clock)

    return Explainer(look, clock).explain
