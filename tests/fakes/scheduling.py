"""Who gets the memory of a cluster's one node: by priority, then in the order they came, as kube-scheduler gives it.

For a pod of a higher priority those of the lowest are ended; which priorities there are, PriorityClasses say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from perijove.domain.cluster_pods import quantity

Json = dict[str, Any]
NODE = "node1"
INSUFFICIENT = "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption."


class Scheduler:
    """Of one node."""

    def __init__(self) -> None:
        self.memory = float("inf")
        """Bytes of the node."""
        self.priorities: dict[str, int] = {}
        """PriorityClasses."""
        self._placed: list[Json] = []
        self._waiting: list[Json] = []

    async def place(
        self,
        pod: Json,
        changed: Callable[[Json], None],
        end: Callable[[Json], None],
        news: Callable[[], Awaitable[Any]],
    ) -> None:
        """Give it its place; returns without one where it is deleted first."""
        self._waiting.append(pod)
        self._waiting.sort(key=lambda one: -self._priority(one))
        try:
            while "deletionTimestamp" not in pod["metadata"]:
                if self._waiting[0] is pod:
                    if self._free >= _memory(pod):
                        self._bind(pod, changed)
                        return
                    self._preempt(pod, end)
                self._refuse(pod, changed)
                await news()
        finally:
            self._waiting.remove(pod)

    def free(self, pod: Json) -> None:
        """It is over."""
        self._placed = [one for one in self._placed if one is not pod]

    @property
    def _free(self) -> float:
        return self.memory - sum(map(_memory, self._placed))

    def _priority(self, pod: Json) -> int:
        return self.priorities[pod["spec"]["priorityClassName"]] if "priorityClassName" in pod["spec"] else 0

    def _bind(self, pod: Json, changed: Callable[[Json], None]) -> None:
        pod["spec"]["nodeName"] = NODE
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
        self._placed.append(pod)
        changed(pod)

    def _refuse(self, pod: Json, changed: Callable[[Json], None]) -> None:
        told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": INSUFFICIENT}
        if pod["status"]["conditions"] != [told]:
            pod["status"]["conditions"] = [told]
            changed(pod)

    def _preempt(self, pod: Json, end: Callable[[Json], None]) -> None:
        lower = [one for one in self._placed if self._priority(one) < self._priority(pod)]
        going = sum(_memory(one) for one in self._placed if "deletionTimestamp" in one["metadata"])
        for one in sorted(lower, key=self._priority):
            if self._free + going >= _memory(pod):
                return
            if "deletionTimestamp" not in one["metadata"]:
                going += _memory(one)
                end(one)


def _memory(pod: Json) -> float:
    return sum(quantity(one["resources"]["requests"]["memory"]) for one in pod["spec"]["containers"])
