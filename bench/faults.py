"""Faults of DNS and web servers in front, made for real: seconds from a look's begin to its verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Part, Row
from tests.fakes.faults import FAULTS, SLOW, Fault
from tests.fakes.faulty_web import EXPECTED, TOKEN, World, faulty_web
from tests.fakes.nginx import missing

TOLD_WITHIN, SILENCE_WITHIN = 0.1, 3.0
"""Where something answers; where nothing does, which only waiting shows."""


def faults(runs: int, tell: Callable[[str], None]) -> Part:
    """Each fault of the tests' table, by the same probe and judge as theirs; its code is checked."""
    part = Part("faults", "Faults of DNS and web servers: seconds from the look's begin to the verdict")
    if why := missing():
        part.notes.append(why)
        return part
    with TemporaryDirectory(prefix="perijove-bench-") as made, faulty_web(Path(made)) as world:
        for what, fault in FAULTS.items():
            tell(f"faults: {what}")
            fault.happens(world.dns)
            values = [asyncio.run(judged(world, fault)) for _ in range(runs)]
            target = SILENCE_WITHIN if fault.within == SLOW else TOLD_WITHIN
            part.rows.append(Row(f"{what}: {fault.code}", values, target=target))
    return part


async def judged(world: World, fault: Fault) -> float:
    """One look at a name that nothing is remembered of. Raises AssertionError where another fault is told."""
    probe = world.probe()
    began = time.monotonic()
    seen = await probe.look(fault.name, TOKEN, EXPECTED, tls=False)
    failure = world.judged(await probe.past_caches(seen, TOKEN, tls=False)).failure
    took = time.monotonic() - began
    if failure is None or failure.kind.code != fault.code:
        raise AssertionError(f"{fault.name}: {failure}")
    return took
