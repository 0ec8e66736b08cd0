"""Does a launch get to a kernel? In: facts. Out: what it ended with. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.doctor.engine import NotSeen
from perijove.domain.findings import Confidence, Finding
from perijove.domain.ground import Own, Unseen


def ready(own: Own) -> Iterator[Finding]:
    """What a launch of a tiny repository ended with."""
    launch = own.launch
    if isinstance(launch, Unseen):
        raise NotSeen(launch.why)
    if launch.failure is not None:
        command = (f"perijove describe launch {launch.number}",) if launch.number else ()
        yield Finding(launch.failure, "A launch of a tiny repository", Confidence.CERTAIN, commands=command)
