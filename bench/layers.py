"""What overlays add to the start of a sandbox, beside plain folders."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from perijove.backends import statedir
from perijove.domain.nouns import Egress, ForeignRun, Limits, Mount, Overlay
from perijove.domain.state import State
from perijove.launching.start.sandbox import HOME
from tests.fakes.pads import running_pad

LIMITS = Limits(memory=2**30, cpus=1.0, processes=64, disk=2**30, tmp=2**26)
SHOWN, RESULT = Path("/shown"), "made"
SANDBOXES = 20
"""Of each kind: they take milliseconds."""


def layers(bench: Bench, patience: float) -> Part:
    """Each kind in turns, and again."""
    part = Part("layers", "Layers: seconds")
    bound, one, two = asyncio.run(_sandboxes(bench.root / "pad-alone", patience))
    part.rows = [
        Row("a sandbox that does nothing: the environment bound", bound),
        Row("the same: under an overlay", one),
        Row("the same: under an overlay of it and a layer", two),
    ]
    return part


async def _sandboxes(root: Path, patience: float) -> Sequence[list[float]]:
    root.mkdir(mode=0o711)
    state = State(root)
    statedir.prepare(state)
    lowers = state.environments / "base", state.environments / "layer"
    for folder in lowers:
        folder.mkdir()
        (folder / folder.name).touch()
    kinds: tuple[tuple[tuple[Mount, ...], tuple[Overlay, ...]], ...] = (
        ((Mount(lowers[0], SHOWN),), ()),
        ((), (Overlay(lowers[:1], SHOWN),)),
        ((), (Overlay(lowers, SHOWN),)),
    )
    took: tuple[list[float], ...] = ([], [], [])
    async with running_pad(state) as pad:
        for number in range(SANDBOXES):
            machine.quiet(patience / SANDBOXES)
            for kind, ((mounts, overlays), values) in enumerate(zip(kinds, took, strict=True)):
                run = ForeignRun(
                    name=f"nothing-{kind}-{number}",
                    command=("/bin/mkdir", f"{HOME}/{RESULT}"),
                    environ=(),
                    mounts=mounts,
                    home_from=None,
                    result=RESULT,
                    limits=LIMITS,
                    egress=Egress.NONE,
                    egress_allowed=(),
                    timeout=60,
                    overlays=overlays,
                )
                began = time.monotonic()
                ran = await pad.run(run, root / f"{kind}-{number}", lambda _: None)
                values.append(time.monotonic() - began)
                assert ran.status == 0
    shutil.rmtree(root)
    return took
