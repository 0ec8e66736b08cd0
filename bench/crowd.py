"""A crowd: many more launches than the machine carries, when it is quiet and when other programs want it too."""

from __future__ import annotations

from contextlib import nullcontext

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from tests.fakes.crowd import burning, crowd

BURNERS = 2
"""Programs a processor that never end, where it is to be busy."""


def crowds(bench: Bench, launches: int, at_once: int, patience: float) -> Part:
    """Each launch is stopped as soon as it is ready, and the next one clicks."""
    part = Part("crowd", f"{launches} launches, {at_once} at once: seconds from the click to ready")
    bench.stop(bench.launch(bench.hello)[0])
    for name, load in (("quiet", nullcontext()), (f"busy ({BURNERS} burners a processor)", burning(BURNERS))):
        machine.quiet(patience)
        with load:
            launched = crowd(bench.service, bench.hello, launches, at_once)
        begun, ended = (
            min(one.events[0]["at"] for one in launched),
            max(one.events[-1]["at"] for one in launched),
        )
        failures = [code for one in launched for code in one.failures]
        part.rows += [
            Row(f"{name}: ready", [one.seconds for one in launched if one.told("Ready")]),
            Row(f"{name}: launches a minute", [60 * launches / (ended - begun)], unit=""),
            Row(f"{name}: failed or tried again", [len(failures)], target=0, unit=""),
        ]
        part.notes += [f"{name}: {code}" for code in sorted(set(failures))]
    return part
