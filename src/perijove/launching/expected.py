"""How long will each stage of a launch take? In: launches that came to a session. Out: seconds, by repository. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from statistics import median

from perijove.domain.events import Phase
from perijove.domain.nouns import RepoAddress
from perijove.domain.repository_names import canonical
from perijove.launching.launches import Launch

REPOSITORIES = 1000
"""Of how many it is remembered; those not launched for longest are forgotten first."""
KNOWN = 5
"""Launches of each."""


class Expected:
    """What launches took."""

    def __init__(self) -> None:
        self._took: OrderedDict[str, dict[Phase, deque[float]]] = OrderedDict()

    def ready(self, launch: Launch) -> None:
        """This one came to its session. Of builds only those count that made something."""
        took = self._took.setdefault(canonical(launch.address.url), {})
        ends = [*(at for _, at in launch.stages[1:]), launch.ended_at]
        for (phase, began), end in zip(launch.stages, ends, strict=True):
            if end is not None and (launch.builds or phase is not Phase.BUILDING):
                took.setdefault(phase, deque(maxlen=KNOWN)).append(end - began)
        self._took.move_to_end(canonical(launch.address.url))
        if len(self._took) > REPOSITORIES:
            self._took.popitem(last=False)

    def of(self, address: RepoAddress) -> Mapping[str, float]:
        """Seconds by phase; those of which nothing is known are not in it."""
        took = self._took.get(canonical(address.url), {})
        return {phase.value: median(seconds) for phase, seconds in took.items()}
