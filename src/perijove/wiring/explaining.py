"""The doctor, asked about a launch that failed. In: its failure. Out: the reason, where the machine can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perijove.domain.failures import Failure
from perijove.domain.ports import Clock, Explain
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.log import log

LIMIT = 5.0
"""Seconds for a look at the machine; a visitor waits for it."""


def explainer(state: State, settings: Callable[[], Settings], clock: Clock) -> Explain:
    """Looks where that can help; whatever goes wrong then, the failure itself is told."""

    async def explain(failure: Failure) -> Failure:
        # Imported late: most services need it rarely, and all would start later.
        from perijove.doctor.own import explaining  # noqa: PLC0415
        from perijove.wiring import examining  # noqa: PLC0415

        if not explaining.may_be(failure):
            return failure
        try:
            async with asyncio.timeout(LIMIT):
                own = await examining.beneath(state, settings(), clock)
            return explaining.explained(failure, own)
        except Exception:
            log.exception("a launch's failure could not be looked into", code=failure.kind.code)
            return failure

    return explain
