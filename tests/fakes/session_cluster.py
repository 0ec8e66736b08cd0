"""A namespace of a Kubernetes cluster on loopback: an API server (kmock's transport) and a kubelet, as far as pods go.

kmock's own emulator has neither versions nor graceful deletion: here lists have a `resourceVersion`, watches are taken
up at one or refused with 410, deletion is first a mark and then an end, uids are preconditions. `faults` answers in its
place.
The kubelet runs a pod's command as a process of this machine, or gives it a status that was recorded from a real one.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmock
from aiohttp import web

from perijove.backends.kubernetes.manifests import SESSION
from perijove.domain.cluster import day
from tests.fakes.cluster_api import VERSION, kubeconfig

Json = dict[str, Any]
NAMESPACE = "sessions"
Fault = Callable[[str], web.StreamResponse | None]
"""An answer in place of what `GET pods` would have; None to let it be."""
KINDS = {"pods": "Pod", "secrets": "Secret", "events": "Event", "networkpolicies": "NetworkPolicy"}
NODE = "node1"


def status(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """What the API answers where it refuses."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return web.json_response({**body, "code": code}, status=code, headers=headers)


@dataclass(frozen=True)
class Container:
    """What a node runs of a pod."""

    command: list[str]
    address: str = "127.0.0.1"
    """Where its port is reached."""


@asynccontextmanager
async def as_it_is(pod: Json) -> AsyncIterator[Container]:
    """Its command, as a process of this machine."""
    yield Container(pod["spec"]["containers"][0]["command"])


class SessionCluster(kmock.RawHandler):
    """What is there, and what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[tuple[str, str], Json] = {}
        self.asked: list[str] = []
        self.faults: list[Fault] = []
        self.statuses: dict[str, Json] = {}
        """By session: what its pod gets in place of a process."""
        self.container: Callable[[Json], AbstractAsyncContextManager[Container]] = as_it_is
        self.lost: set[str] = set()
        """Sessions whose node is gone: nobody ends their pods."""
        self.down = False
        self.forgotten = 0
        """Versions up to this one are not kept any more."""
        self.watching = 0
        self._version = 100
        self._history: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._kubelets: set[asyncio.Task[None]] = set()

    # what happens in it

    def tell(self, kind: str, plural: str, thing: Json) -> None:
        self._version += 1
        thing["metadata"]["resourceVersion"] = f"{self._version}"
        self._history.append((self._version, kind, plural, copy.deepcopy(thing)))
        self._news.set()
        self._news = asyncio.Event()

    def change(self, session: str, **parts: Any) -> None:
        """A pod's status, or its `metadata`."""
        thing = self.pod(session)
        for key, value in parts.items():
            thing.setdefault(key, {}).update(value)
        self.tell("MODIFIED", "pods", thing)

    def pod(self, session: str) -> Json:
        return next(one for one in self.pods if one["metadata"]["labels"][SESSION] == session)

    @property
    def pods(self) -> list[Json]:
        return [one for (plural, _), one in self.things.items() if plural == "pods"]

    def remove(self, plural: str, name: str) -> None:
        """At once, as after its grace; what it owned goes with it."""
        thing = self.things.pop((plural, name))
        self.tell("DELETED", plural, thing)
        for key, one in list(self.things.items()):
            if any(owner["uid"] == thing["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", ())):
                self.remove(*key)

    def forget(self) -> None:
        """As etcd's compaction does, after five minutes."""
        self.forgotten, self._history = self._version, []

    def cut(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()

    # the API

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        plural = request.resource.plural if request.resource else None
        if plural not in KINDS or request.namespace != NAMESPACE:
            return web.json_response(VERSION) if "version" in request.url.path else status(404, "NotFound", "no such")
        path = plural + (f"/{request.name}" if request.name else "")
        watched = request.params.get("watch") == "1"
        self.asked.append(asked := f"{'WATCH' if watched else request.method.name} {path}")
        raw = request._raw_request
        assert raw is not None
        if self.down:
            assert raw.transport is not None
            raw.transport.close()
            return web.Response()
        if faulty := next((answer for fault in self.faults if (answer := fault(asked)) is not None), None):
            return faulty
        if watched:
            return await self._watch(raw, plural, int(request.params["resourceVersion"]))
        return getattr(self, f"_{request.method.name.lower()}")(plural, request)  # type: ignore[no-any-return]

    def _get(self, plural: str, request: kmock.Request) -> web.Response:
        found = [one for (of, _), one in self.things.items() if of == plural]
        if uid := request.params.get("fieldSelector", "").removeprefix("involvedObject.uid="):
            found = [one for one in found if one["involvedObject"]["uid"] == uid]
        first, most = int(request.params.get("continue", 0)), int(request.params["limit"])
        more = {"continue": f"{first + most}"} if first + most < len(found) else {}
        about = {"resourceVersion": f"{self._version}", **more}
        return web.json_response({"kind": "List", "metadata": about, "items": found[first : first + most]})

    def _post(self, plural: str, request: kmock.Request) -> web.Response:
        thing = json.loads(request.body)
        name = thing["metadata"]["name"]
        if (plural, name) in self.things:
            return status(409, "AlreadyExists", f'{plural} "{name}" already exists')
        thing["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": day(time.time())}
        self.things[plural, name] = thing
        if plural == "pods":
            thing["status"] = {"phase": "Pending", "conditions": []}
        self.tell("ADDED", plural, thing)
        if plural == "pods":
            self._do(self._kubelet(thing))
        return web.json_response(thing, status=201)

    def _patch(self, plural: str, request: kmock.Request) -> web.Response:
        assert request.name is not None
        thing = json.loads(request.body)
        there = (plural, request.name) in self.things
        self.things[plural, request.name] = thing
        return web.json_response(thing, status=200 if there else 201)

    def _delete(self, plural: str, request: kmock.Request) -> web.Response:
        assert request.name is not None
        thing = self.things.get((plural, request.name))
        options = json.loads(request.body)
        if thing is None:
            return status(404, "NotFound", f'{plural} "{request.name}" not found')
        wanted = options.get("preconditions", {}).get("uid")
        if wanted and wanted != thing["metadata"]["uid"]:
            return status(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        if "deletionTimestamp" not in thing["metadata"]:
            thing["metadata"]["deletionTimestamp"] = day(time.time())
            self.tell("MODIFIED", plural, thing)
        return web.json_response(thing)

    async def _watch(self, raw: web.BaseRequest, plural: str, since: int) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(raw)
        task = asyncio.current_task()
        assert task is not None
        self.watching += 1
        self._tasks.add(task)
        try:
            while True:
                if since < self.forgotten:
                    gone = json.loads(status(410, "Expired", f"too old resource version: {since}").body or b"")  # type: ignore[arg-type]
                    await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
                    return response
                news = self._news
                for version, kind, of, thing in [one for one in self._history if one[0] > since]:
                    since = version
                    if of == plural:
                        await response.write(json.dumps({"type": kind, "object": thing}).encode() + b"\n")
                await news.wait()
        except (asyncio.CancelledError, ConnectionError):
            if raw.transport is not None:
                raw.transport.close()
            return response
        finally:
            self.watching -= 1
            self._tasks.discard(task)

    # the kubelet

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(work, name="kubelet")
        self._kubelets.add(task)
        task.add_done_callback(self._kubelets.discard)

    async def finish(self) -> None:
        for task in list(self._kubelets):
            task.cancel()
        await asyncio.gather(*self._kubelets, return_exceptions=True)

    async def _kubelet(self, pod: Json) -> None:
        session, name = pod["metadata"]["labels"][SESSION], pod["metadata"]["name"]
        given = self.statuses.get(session)
        if given is not None:
            pod["status"] = copy.deepcopy(given)
            if "nodeName" not in pod["spec"] and given.get("hostIP"):
                pod["spec"]["nodeName"] = NODE
            self.tell("MODIFIED", "pods", pod)
            await self._marked(pod)
        else:
            await self._run(session, name, pod)
        if self.things.get(("pods", name)) is pod:
            await self._marked(pod)
            if session not in self.lost:
                self.remove("pods", name)

    async def _marked(self, pod: Json) -> None:
        """Wait until somebody wants it gone, or it is."""
        name = pod["metadata"]["name"]
        while "deletionTimestamp" not in pod["metadata"] and self.things.get(("pods", name)) is pod:
            await self._news.wait()

    async def _run(self, session: str, name: str, pod: Json) -> None:
        while ("secrets", name) not in self.things:
            if "deletionTimestamp" in pod["metadata"]:
                return
            await self._news.wait()
        async with self.container(pod) as container:
            await self._contained(session, name, pod, container)

    async def _contained(self, session: str, name: str, pod: Json, container: Container) -> None:
        environ = self.things["secrets", name]["stringData"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *container.command, env=environ, stdout=pipe, stderr=asyncio.subprocess.STDOUT, start_new_session=True
        )
        try:
            pod["spec"]["nodeName"] = NODE
            self.change(session, status=running(container.address))
            assert process.stdout is not None
            saying = asyncio.create_task(process.stdout.read(), name="container's log")
            marked = asyncio.create_task(self._marked(pod), name="deletion")
            ended = asyncio.create_task(process.wait(), name="container")
            await asyncio.wait({marked, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
            code = await ended
            marked.cancel()
            said = (await saying).decode()
            if ("pods", name) in self.things:
                self.change(session, status=terminated(code if code >= 0 else 128 - code, said))
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()


def running(address: str = "127.0.0.1") -> Json:
    """As a kubelet of 1.31 tells it, recorded; but for the address."""
    started = {"running": {"startedAt": day(time.time())}}
    return {
        "phase": "Running", "hostIP": "10.0.0.111", "podIP": address, "qosClass": "Burstable",
        "conditions": [{"type": one, "status": "True"} for one in ("Initialized", "Ready", "PodScheduled")],
        "containerStatuses": [
            {"name": "server", "ready": True, "restartCount": 0, "started": True, "state": started, "lastState": {}}
        ],
    }  # fmt: skip


def terminated(code: int, message: str = "", reason: str = "") -> Json:
    """The same for one that ended; of its log the end, where it failed."""
    told = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
    if code and message:
        told["message"] = message[-2048:]
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "server", "ready": False, "restartCount": 0, "state": {"terminated": told}}],
    }


@asynccontextmanager
async def session_cluster(folder: Path) -> AsyncIterator[tuple[SessionCluster, Path]]:
    """One that runs, and kubectl's configuration for it."""
    async with SessionCluster() as cluster, kmock.Server(cluster) as server:
        yield cluster, kubeconfig(folder, str(server.url), NAMESPACE)
        await cluster.finish()
        cluster.cut()
