"""A cluster that runs, asked through kr8s. In: a context of kubectl's configuration, a namespace. Out: a Recording.

Only lists are asked for, and the ends of a few logs; nothing is changed. A kind that the API does not know, or does not
let this account read, is told in the recording and fails nothing.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import kr8s
from kr8s.asyncio import Api

from perijove.backends.cluster import sifting
from perijove.backends.cluster.kinds import KINDS, Served
from perijove.domain.cluster import Recording, Thing, at, day, items, listed, mapping, text
from perijove.domain.cluster_failures import API_UNREACHABLE, CHANGE_REFUSED
from perijove.domain.failures import Evidence, Fail
from perijove.domain.findings import Change

# kr8s says of each version newer than itself that it is not supported; lists are asked for by their own paths.
warnings.filterwarnings("ignore", message="Kubernetes version", category=UserWarning)
PAGE = 500
"""Objects an answer."""
AT_ONCE = 6
LINES = 400
"""Of a log, its last ones."""
LOGS = {"hub": "hub", "binder": "binder", "autohttps": "traefik"}
"""Components whose logs say what objects do not, and their containers."""
MOST_LOGS = 24
FORBIDDEN, UNKNOWN = 403, 404
_ERRORS = (
    kr8s.ServerError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, kr8s.NotFoundError, httpx.HTTPError, OSError,
    ValueError, KeyError, TypeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, in seconds, and how much is waited for."""

    whole: float = 60.0
    """All of it."""
    answer: float = 20.0
    pages: int = 200
    """Of a kind."""


USUAL = Limits()


async def asked(
    context: str | None, namespace: str | None, kubeconfig: str | None = None, limits: Limits = USUAL
) -> Recording:
    """Everything that is looked at, of one namespace or of all. Raises Fail: `cluster.api-unreachable`."""
    async with _opened(context, namespace, kubeconfig, limits) as api:
        looked = _Looked(api, namespace, limits.pages)
        await looked.all()
    if not looked.things:
        cause = "it lets nothing be looked at"
        raise Fail(API_UNREACHABLE(cause, *looked.refusals(_said(context))))
    now = time.time()
    return Recording(
        f"{_said(context)} of {api.auth.server}", now, f"now, {day(now)}", tuple(looked.things), logs=looked.logs,
        whole=frozenset(looked.whole), unseen=looked.unseen,
    )  # fmt: skip


async def change(
    context: str | None, namespace: str | None, changes: Iterable[Change], kubeconfig: str | None = None
) -> None:
    """Patch objects, one after the other. Raises Fail: `cluster.change-refused`, `cluster.api-unreachable`."""
    async with _opened(context, namespace, kubeconfig, USUAL) as api:
        for one in changes:
            served = next(kind for kind in KINDS if (kind.kind, kind.group) == (one.kind, one.group))
            call = api.call_api(
                "PATCH", version=served.version, base=served.base, namespace=one.namespace or None,
                url=f"{served.plural}/{one.name}", content=one.patch, raise_for_status=False,
                headers={"Content-Type": "application/merge-patch+json"},
            )  # fmt: skip
            async with call as response:
                if not response.is_success:
                    saw = Evidence(one.command, f"{response.status_code} {response.text[:300]}")
                    raise Fail(CHANGE_REFUSED(f"{one.kind} {one.name} could not be changed", saw))


@asynccontextmanager
async def _opened(
    context: str | None, namespace: str | None, kubeconfig: str | None, limits: Limits
) -> AsyncIterator[Api]:
    """An API that answers. Raises Fail: `cluster.api-unreachable`, for what fails within too."""
    where = _said(context)
    api: Api | None = None
    try:
        # An own object: kr8s.api() would hand out one that another event loop left.
        api = Api(context=context, namespace=namespace, kubeconfig=kubeconfig, bypass_factory=True)
        api.timeout = limits.answer
        async with asyncio.timeout(limits.whole):
            await api
            yield api
    except TimeoutError as error:
        cause = f"it did not answer within {limits.whole:.0f} s"
        raise Fail(API_UNREACHABLE(cause, Evidence(where, "no answer"))) from error
    except _ERRORS as error:
        words = Evidence(where, f"{type(error).__name__}: {error}"[:500])
        raise Fail(API_UNREACHABLE("the API server gave no answer that can be used", words)) from error
    finally:
        # kr8s has no word for it, and leaves its connections to the collector.
        if api is not None and api._session is not None:  # noqa: SLF001
            await api._session.aclose()  # noqa: SLF001


def _said(context: str | None) -> str:
    return f"context {context}" if context else "kubectl's context"


@dataclass
class _Looked:
    """What was seen so far."""

    api: Api
    namespace: str | None
    pages: int
    things: list[Thing] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    unseen: dict[str, str] = field(default_factory=dict)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for served in KINDS:
                group.create_task(self.kind(served), name=f"list {served.plural}")
        wanted = [one for pod in self.things if pod.kind == "Pod" for one in _wanted(pod)]
        async with asyncio.TaskGroup() as group:
            for one in sorted(wanted, key=lambda one: one.urgency)[:MOST_LOGS]:
                group.create_task(self.log(one), name=f"log of {one.pod.name}")

    def refusals(self, where: str) -> list[Evidence]:
        """Some of what was not shown."""
        return [Evidence(f"{where}, {name}", why) for name, why in list(self.unseen.items())[:3]]

    async def kind(self, served: Served) -> None:
        """All objects of a kind; of one namespace where this account may not see the others."""
        async with self.turns:
            try:
                await self.every(served)
            except _ERRORS as error:
                self.unseen[served.kind] = f"{type(error).__name__}: {error}"[:300]

    async def every(self, served: Served) -> None:
        """A kind, if need be of the own namespace alone."""
        namespace = self.namespace if served.namespaced else None
        refused = await self.list(served, namespace)
        own = self.api.namespace
        if refused.startswith(str(FORBIDDEN)) and served.namespaced and namespace is None and own:
            refused = await self.list(served, own) or f"{own} alone: {refused}"
            if refused.startswith(own):
                self.unseen[served.kind] = refused
                return
        if not refused or refused.startswith(str(UNKNOWN)):
            # Of a kind that the API does not know there is no object.
            self.whole.add(served.kind)
        elif not served.legacy:
            self.unseen.setdefault(served.kind, refused)

    async def list(self, served: Served, namespace: str | None) -> str:
        """Keep a list's objects; `` where that went well, else why not."""
        begin = ""
        for _ in range(self.pages):
            params = {"limit": str(PAGE), **({"continue": begin} if begin else {})}
            status, answer = await self.get(served, namespace, served.plural, params)
            if status != 200:
                return f"{status} {text(answer.get('message')) or 'the API does not know this kind'}"[:300]
            kind = {"apiVersion": f"{served.base[6:]}/{served.version}" if served.base != "/api" else "v1"}
            for one in listed(answer, "items"):
                self.things.append(sifting.thing({**kind, "kind": served.kind, **one}))
            begin = text(at(answer, "metadata", "continue"))
            if not begin:
                return ""
        return f"more than {self.pages * PAGE}"

    async def get(
        self, served: Served, namespace: str | None, url: str, params: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and body of one answer. A refusal is an answer like any other."""
        call = self.api.call_api(
            "GET", version=served.version, base=served.base, namespace=namespace, url=url, params=dict(params),
            raise_for_status=False,
        )  # fmt: skip
        async with call as response:
            try:
                body = response.json()
            except ValueError:
                body = {"message": response.text[:300]}
        return response.status_code, mapping(body)

    async def log(self, wanted: _Wanted) -> None:
        """The end of a container's log."""
        pod = wanted.pod
        params = {"container": wanted.container, "tailLines": str(LINES)}
        params |= {"previous": "true"} if wanted.previous else {}
        call = self.api.call_api(
            "GET", version="v1", base="/api", namespace=pod.namespace, url=f"pods/{pod.name}/log", params=params,
            raise_for_status=False,
        )  # fmt: skip
        try:
            async with self.turns, call as response:
                if response.status_code == 200:
                    self.logs[f"log {pod.namespace}/{pod.name}{' (previous)' if wanted.previous else ''}"] = (
                        response.text
                    )
                else:
                    self.unseen[f"log of {pod.said}"] = f"{response.status_code} {response.text[:200]}"
        except _ERRORS as error:
            self.unseen[f"log of {pod.said}"] = f"{type(error).__name__}: {error}"[:300]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A container's log: of the one that runs, or of the one before it."""

    pod: Thing
    container: str
    previous: bool
    urgency: int
    """0 for what all launches go through; then what failed."""

    @property
    def name(self) -> str:
        return f"log {self.pod.namespace}/{self.pod.name}{' (previous)' if self.previous else ''}"


def _wanted(pod: Thing) -> Iterator[_Wanted]:
    """Logs that say what objects do not: of the parts that launches go through, of what crashes, of builds that failed.

    Of a container that waits to be started again, the one before; where it was started again, both.
    """
    component = text(pod.labels.get("component"))
    failed_build = component == "binderhub-build" and text(pod.status.get("phase")) == "Failed"
    for one in listed(pod.status, "containerStatuses"):
        name = text(one.get("name"))
        waits = text(at(one, "state", "waiting", "reason"))
        again = isinstance(one.get("restartCount"), int) and one["restartCount"] > 0
        if LOGS.get(component) == name or (LOGS.get(component) and len(items(pod.spec.get("containers"))) == 1):
            if not waits:
                yield _Wanted(pod, LOGS[component], previous=False, urgency=0)
            if waits or again:
                yield _Wanted(pod, LOGS[component], previous=True, urgency=1)
        elif waits == "CrashLoopBackOff":
            yield _Wanted(pod, name, previous=True, urgency=2)
        elif failed_build:
            yield _Wanted(pod, name, previous=False, urgency=3)
