"""Wait for a time or for a bell, whichever comes first. In: the clock, seconds, an event. Acts."""

from __future__ import annotations

import asyncio

from perijove.domain.ports import Clock


async def pause(clock: Clock, seconds: float, bell: asyncio.Event, name: str) -> bool:
    """Whether the bell rang before the time was over; it is silent again then."""
    sleeping = asyncio.create_task(clock.sleep(max(0.0, seconds)), name=f"{name}, until its time")
    ringing = asyncio.create_task(bell.wait(), name=f"{name}, until it is called")
    try:
        await asyncio.wait((sleeping, ringing), return_when=asyncio.FIRST_COMPLETED)
        rang = ringing.done()
    finally:
        for task in (sleeping, ringing):
            task.cancel()
        await asyncio.wait((sleeping, ringing))
    if rang:
        bell.clear()
    return rang
