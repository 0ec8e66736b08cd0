"""A session's pod on its way to run. In: the pod as the watch tells it, events about it. Out: what its launch is told.

The line in front of a full cluster is the scheduler's, which takes pods of one priority in the order they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perijove.backends.kubernetes import pod_status
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import Terms
from perijove.backends.kubernetes.pods import Pods
from perijove.domain.cluster import Thing, listed, moment, text
from perijove.domain.cluster_pods import unplaced
from perijove.domain.events import Logged, Phase, Queued, SessionProgressed, SessionStarted, SessionTroubled
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail, Failure
from perijove.domain.nouns import SessionName

EVENTS_EVERY = 2.0
"""Seconds between two looks at the events of a pod that waits."""
PROGRESS = {"Pulling", "Pulled"}
"""Reasons of the kubelet's events that say how a start gets on; of layers and bytes it says nothing."""
Put = Callable[[Sequence[SessionProgressed | SessionTroubled]], None]


@dataclass(slots=True)
class Start:
    """One pod, from its making until its server runs."""

    cluster: Cluster
    pods: Pods
    terms: Terms
    name: SessionName
    made: Thing
    put: Put
    _begun: float = field(init=False)
    _looked: float = field(init=False)
    _events: list[Thing] = field(default_factory=list)
    _waits: pod_status.Waits | None = None
    _position: int = 0
    _progress: set[str] = field(default_factory=set)
    """Events that were told, by their uids."""

    def __post_init__(self) -> None:
        self._begun = asyncio.get_running_loop().time()
        self._looked = self._begun - EVENTS_EVERY

    async def until_it_runs(self) -> None:
        """Raises Fail: why the cluster does not let it."""
        loop, seen = asyncio.get_running_loop(), False
        while True:
            pod = self.pods.now.get(self.name)
            if pod is not None and pod.uid == self.made.uid and not pod.deleting:
                seen = True
                if loop.time() - self._looked >= EVENTS_EVERY and not unplaced(pod):
                    await self._look(loop.time())
                if self._is_up(pod):
                    return
                self._tell(pod)
            elif seen or (pod is not None and pod.uid == self.made.uid):
                seen_at = Evidence("pod", self.made.said)
                raise Fail(SANDBOX_FAILED("somebody deleted its pod", seen_at, remedy="Launch again."))
            left = self._begun + self.terms.start_limit - loop.time()
            if left <= 0:
                raise Fail(self._late(pod or self.made, loop.time()))
            await self.pods.change(min(left, EVENTS_EVERY))

    def _late(self, pod: Thing, now: float) -> Failure:
        return self._waits.failure if self._waits else pod_status.slow(pod, self._events, now - self._begun)

    def _is_up(self, pod: Thing) -> bool:
        """Whether its server runs, or has run. Raises Fail: why the cluster did not let it."""
        over = pod_status.end(pod)
        if over is not None and over.failure is not None:
            raise Fail(over.failure)
        return over is not None or pod_status.runs(pod)

    def _tell(self, pod: Thing) -> None:
        """Why it waits and where in the line, when that changes. Raises Fail: where no waiting helps."""
        before, self._waits = self._waits, pod_status.waits(pod, self._events)
        if self._waits is not None and self._waits.lasting:
            raise Fail(self._waits.failure)
        if self._waits is not None and (before is None or before.failure.kind is not self._waits.failure.kind):
            self.put([SessionTroubled(self.name, self._waits.failure)])
        if self._waits is not None and (position := self.pods.position(self.name)):
            if position != self._position:
                self._progressed(Queued(position, pod_status.without_room(pod)))
            self._position = position
        elif self._position and not unplaced(pod):
            self._position = 0
            self._progressed(SessionStarted(self.name))

    def _progressed(self, told: Logged | Queued | SessionStarted) -> None:
        self.put([SessionProgressed(self.name, told)])

    async def _look(self, now: float) -> None:
        """At the last events about it."""
        self._looked = now
        self._events = await events_of(self.cluster, self.made.uid)
        for one in self._events:
            if one.uid not in self._progress and text(one.raw.get("reason")) in PROGRESS:
                self._progress.add(one.uid)
                self._progressed(Logged(Phase.LAUNCHING, pod_status.shown(pod_status.message(one))))


async def events_of(cluster: Cluster, uid: str) -> list[Thing]:
    """The last ones about an object; none where they cannot be had: they only explain."""
    try:
        params = {"fieldSelector": f"involvedObject.uid={uid}", "limit": 50}
        answer = await cluster.ask("GET", "events", params=params)
    except Fail:
        return []
    found = [Thing(one) for one in listed(answer.body, "items")]
    return sorted(found, key=lambda one: moment(one.raw.get("lastTimestamp") or one.raw.get("eventTime")))
