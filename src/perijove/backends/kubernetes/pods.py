"""What does the cluster say of our pods? In: one list, then one watch. Out: the pods as they stand, each change told.

A watch that breaks is taken up where it was; what is not kept any more (410), or a first time, is listed. While the API
is away nothing is concluded: what was known stands until it answers.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from perijove.backends.kubernetes.api import Cluster, Gone, Version
from perijove.backends.kubernetes.manifests import SESSION
from perijove.backends.kubernetes.pod_status import without_room
from perijove.domain.cluster import Thing, text
from perijove.domain.failures import Fail
from perijove.domain.nouns import SessionName
from perijove.log import log

FIRST, LAST = 0.1, 10.0
"""Seconds between two tries, twice as long each time."""


def longer(pause: float) -> float:
    """Seconds until the next try, after those that were waited before the last."""
    return min(max(pause * 2, FIRST), LAST)


class Change(Protocol):
    def __call__(self, pod: Thing, *, gone: bool) -> None:
        """A pod as it stands now."""
        ...


@dataclass(eq=False)
class Pods:
    """Those of one Perijove, by their sessions, or by what another label of theirs says."""

    _cluster: Cluster
    _selector: str
    _changed: Change
    _label: str = SESSION
    _since: Version = ""
    _pause: float = 0.0
    now: dict[SessionName, Thing] = field(default_factory=dict)
    _line: dict[SessionName, None] = field(default_factory=dict)
    """Those for which no node has a place, in the order they came."""
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def listed(self) -> bool:
        """Whether all have been seen."""
        return bool(self._since)

    async def change(self, limit: float) -> None:
        """Wait until something changes, at most so many seconds."""
        try:
            async with asyncio.timeout(limit):
                await self._bell.wait()
        except TimeoutError:
            return

    def position(self, name: SessionName) -> int:
        """In the line of those that wait for a place, 1 is next; 0 for one that does not."""
        return [*self._line].index(name) + 1 if name in self._line else 0

    async def follow(self) -> NoReturn:
        """For ever."""
        while True:
            after, heard = 0.0, False
            try:
                if not self._since:
                    await self._list()
                async with aclosing(self._cluster.watch(self._selector, self._since)) as told:
                    async for kind, pod, version in told:
                        self._since, self._pause, heard = version or self._since, 0.0, True
                        self.take(pod, gone=kind == "DELETED")
                if not heard:  # not even a bookmark: one restored from a backup waits for that version to come again
                    self._since = ""
            except Gone:
                self._since = ""
            except Fail as error:
                after = error.failure.after
                log.warning("sessions' pods are not watched", message=error.failure.message)
            self._pause = longer(self._pause)
            await asyncio.sleep(max(self._pause, after))

    async def _list(self) -> None:
        listed, since = await self._cluster.pods(self._selector)
        there = {pod.uid for pod in listed}
        for pod in [pod for pod in self.now.values() if pod.uid not in there]:
            self.take(pod, gone=True)
        for pod in sorted(listed, key=lambda pod: pod.created):
            self.take(pod, gone=False)
        self._since = since

    def take(self, pod: Thing, *, gone: bool) -> None:
        """As it was told; bookmarks are of no session."""
        name = text(pod.labels.get(self._label))
        if not name:
            return
        before = self.now.get(name)
        if gone:
            if before is not None and before.uid == pod.uid:
                del self.now[name]
        else:
            if before is not None and before.uid != pod.uid:
                self._changed(before, gone=True)
            self.now[name] = pod
        if not gone and not pod.deleting and without_room(pod):
            self._line.setdefault(name)
        else:
            self._line.pop(name, None)
        self._changed(pod, gone=gone)
        self._bell.set()
        self._bell = asyncio.Event()
