"""Which images does each node pull before a session waits for them there? In: classes, sessions that start. Acts.

A DaemonSet has one container after another do nothing, each with one of those images. It is as it should be or it is
changed; whether it is, its own annotation says.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from perijove.backends.kubernetes import manifests
from perijove.backends.kubernetes.api import APPLY, Cluster
from perijove.backends.kubernetes.manifests import Json, Owner, Terms
from perijove.backends.kubernetes.refusals import CREATED, MISSING, OK, Answer, refused
from perijove.domain import failures
from perijove.domain.cluster import JSON, NOTHING, at, listed, text
from perijove.domain.cluster_failures import CHANGE_REFUSED
from perijove.domain.cluster_session_failures import API_FORBIDDEN, POD_REFUSED
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import SandboxSpec
from perijove.launching.start.demand import REMEMBERED, most_asked
from perijove.log import log

LOOK_EVERY = 60.0
"""Seconds."""
KNOWN, TIMES = 100, 1000
"""Images that are remembered, and of each the last starts."""
APPS = "/apis/apps"
PULL = "pull-"
"""Begins the names of containers."""
MADE_OF = f"{manifests.ABOUT}made-of"
"""Annotation: a hash of what we asked for. What stands has the API's defaults too, and what webhooks changed."""


def daemon_set_spec(images: Sequence[str], terms: Terms) -> Json:
    """Has each node that sessions may get pull them, one after another."""
    labels = {**manifests.selector(terms), manifests.COMPONENT: "prepull"}
    pulls = [manifests.small_container(f"{PULL}{number}", image, "true") for number, image in enumerate(images)]
    pod = {
        **manifests.placed(terms), "terminationGracePeriodSeconds": 0, "initContainers": pulls,
        "containers": [manifests.small_container("rest", images[0], "sleep", "infinity")],
    }  # fmt: skip
    return {
        "selector": {"matchLabels": labels},
        # Else a node that is lost, or cannot pull, would hold up all others.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


async def _none() -> Sequence[SandboxSpec]:
    return ()


@dataclass(eq=False)
class Prepull:
    """Keeps the DaemonSet. `_most`: images, 0 for none. `_owner`: whom it goes away with, as sessions do.

    `_publish`: the image of such a session. Raises Fail: `registry.*`, `platform.*`.
    """

    _cluster: Cluster
    _terms: Terms
    _most: int
    _owner: Callable[[], Awaitable[Owner | None]]
    _publish: Callable[[SandboxSpec], Awaitable[str]]
    now: Callable[[], float] = time.monotonic
    look_every: float = LOOK_EVERY
    classes: Callable[[], Awaitable[Sequence[SandboxSpec]]] = _none
    """What people of classes that are open will start."""
    _asked: dict[str, deque[float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._began, self._name = self.now(), f"{self._terms.instance}-prepull"
        self._met, self._told = set[str](), set[str]()
        """Codes of what this look has met, and what the one before had."""

    def asked(self, image: str) -> None:
        """A session starts with it."""
        times = self._asked.pop(image, None) or deque[float](maxlen=TIMES)
        times.append(self.now())
        self._asked[image] = times
        if len(self._asked) > KNOWN:
            del self._asked[next(iter(self._asked))]

    async def run(self) -> None:
        """Keep it as it should be, for ever; where it never should be, until it is gone."""
        while True:
            pause = self.look_every
            try:
                await self.look()
                if not self._most:
                    return
            except Fail as error:
                if not self._most and error.failure.kind is API_FORBIDDEN:  # a Role without it is enough then
                    return
                self._tell(error.failure)
                pause = max(pause, error.failure.after)
            self._met, self._told = set(), self._met
            await asyncio.sleep(pause)

    def _tell(self, failure: Failure) -> None:
        """Once, until it is well."""
        code, seen = failure.kind.code, [f"{one.where}: {one.saw}" for one in failure.evidence]
        if code not in self._met | self._told:
            log.warning("images are not pulled ahead", code=code, message=failure.message, evidence=seen)
        self._met.add(code)

    async def look(self) -> None:
        """Make it as it should be. Raises Fail: `cluster.*`."""
        answer = await self._cluster.ask("GET", f"daemonsets/{self._name}", base=APPS)
        if answer.status not in (OK, MISSING):
            raise Fail(_refused(answer))
        stands = answer.body if answer.status == OK else NOTHING
        if images := self._wanted(await self._for_classes(), stands):
            spec = daemon_set_spec(images, self._terms)
            made_of = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
            if at(stands, "metadata", "annotations", MADE_OF) != made_of:
                await self._apply(spec, made_of)
        elif stands:
            options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
            answer = await self._cluster.ask("DELETE", f"daemonsets/{self._name}", options, base=APPS)
            if answer.status not in (OK, MISSING):
                raise Fail(_refused(answer))

    async def _for_classes(self) -> list[str]:
        """Published where they are not; one that cannot be is told, and holds up no other."""
        images = list[str]()
        for spec in (await self.classes())[: self._most]:
            try:
                images.append(await self._publish(spec))
            except (Fail, OSError) as error:
                self._tell(failures.of(error))
        return images

    def _wanted(self, first: Sequence[str], stands: JSON) -> list[str]:
        """By name. Whoever has just begun has heard of few launches: what an earlier one wanted stays meanwhile."""
        now = self.now()
        before = _images(stands) if now - self._began < REMEMBERED else ()
        chosen = dict.fromkeys((*first, *most_asked(self._asked, now, self._most), *before))
        return sorted([*chosen][: self._most])

    async def _apply(self, spec: Json, made_of: str) -> None:
        about = manifests.metadata(self._name, self._terms, {}, await self._owner())
        about["annotations"] = {MADE_OF: made_of}
        whole = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": about, "spec": spec}
        params = {"fieldManager": manifests.MANAGER, "force": "true"}
        path = f"daemonsets/{self._name}"
        answer = await self._cluster.ask("PATCH", path, whole, base=APPS, params=params, content=APPLY)
        if answer.status not in (OK, CREATED):
            raise Fail(_refused(answer))


def _images(stands: JSON) -> Iterator[str]:
    """Those that it pulls; webhooks may have it run others too."""
    for one in listed(stands, "spec", "template", "spec", "initContainers"):
        if text(one.get("name")).startswith(PULL):
            yield text(one.get("image"))


def _refused(answer: Answer) -> Failure:
    failure = refused(answer)
    if failure.kind is POD_REFUSED:  # which tells of sessions
        remedy = "Read the API server's words below; sessions start without it."
        failure = CHANGE_REFUSED(f"it refuses {answer.asked}", answer.evidence, remedy=remedy)
    return failure
