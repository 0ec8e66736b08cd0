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
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kmock
from aiohttp import web

from perijove.backends.kubernetes.jobs import BUILD
from perijove.backends.kubernetes.manifests import COMPONENT, SESSION
from perijove.domain.cluster import day
from tests.fakes.cluster_api import VERSION, kubeconfig
from tests.fakes.scheduling import NODE, Scheduler

Json = dict[str, Any]
NAMESPACE = "sessions"
Fault = Callable[[str], web.StreamResponse | None]
"""An answer in place of what `GET pods` would have; None to let it be."""
GROUPS = {"pods": "", "secrets": "", "events": "", "networkpolicies": "networking.k8s.io", "daemonsets": "apps",
          "jobs": "batch"}  # fmt: skip


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
    ports: Mapping[int, int] = field(default_factory=dict)
    """What stands in the place of its own on this machine."""


@asynccontextmanager
async def as_it_is(pod: Json) -> AsyncIterator[Container]:
    """Its command, as a process of this machine."""
    yield Container(pod["spec"]["containers"][0]["command"])


def without_network(command: list[str]) -> list[str]:
    """As a plugin holds a pod to a policy that opens nothing."""
    return ["unshare", "--user", "--map-root-user", "--net", *command]


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
        self.scheduler = Scheduler()
        self.refuses_pods_of_jobs = ""
        """Why their controller cannot make any."""
        self.enforces = True
        """Whether a pod that nobody may reach, and that may reach nothing, is held to that."""
        self.probes = True
        """Whether its kubelet asks what runs whether it is ready."""
        self.address = ""
        self.logs: dict[str, bytearray] = {}
        """What containers have said, by their pods' names."""
        self._said_all: set[str] = set()
        self.answers_in = self.runs_in = 0.0
        """Seconds until it answers, and until a container runs."""
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
        self._ring()

    async def _told(self) -> None:
        await self._news.wait()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def change(self, session: str, **parts: Any) -> None:
        """A pod's status, or its `metadata`."""
        thing = self.pod(session)
        for key, value in parts.items():
            thing.setdefault(key, {}).update(value)
        self.tell("MODIFIED", "pods", thing)

    def pod(self, session: str) -> Json:
        return next(one for one in self.pods if _session(one) == session)

    @property
    def pods(self) -> list[Json]:
        return [one for (plural, _), one in self.things.items() if plural == "pods"]

    def deploy(self, deployment: Json) -> None:
        """Keep as many pods as a Deployment says."""
        self._do(self._deployed(deployment["spec"]))

    async def _deployed(self, spec: Json) -> None:
        labels, number = spec["template"]["metadata"]["labels"], 0
        while True:
            there = [one for one in self.pods if one["metadata"]["labels"] == labels]
            for _ in range(spec["replicas"] - sum("deletionTimestamp" not in one["metadata"] for one in there)):
                number += 1
                about = {"name": f"{labels[COMPONENT]}-{number}", "labels": labels}
                self._make("pods", {"metadata": about, "spec": copy.deepcopy(spec["template"]["spec"])})
            await self._news.wait()

    def remove(self, plural: str, name: str) -> None:
        """At once, as after its grace; what it owned goes with it."""
        thing = self.things.pop((plural, name))
        self.scheduler.free(thing)
        self.tell("DELETED", plural, thing)
        for key, one in list(self.things.items()):
            if any(owner["uid"] == thing["metadata"]["uid"] for owner in _owners(one)):
                if plural == "jobs" and key[0] == "pods":
                    self._mark(one)
                else:
                    self.remove(*key)

    def forget(self) -> None:
        """As etcd's compaction does, after five minutes."""
        self.forgotten, self._history = self._version, []

    def restore(self) -> None:
        """As from a backup, before much that has happened since: versions are given out again."""
        self._version, self._history = 1, []
        self.cut()

    def cut(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()

    # the API

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        plural, group = (request.resource.plural, request.resource.group) if request.resource else (None, None)
        if plural is None or GROUPS.get(plural) != group or request.namespace != NAMESPACE:
            return web.json_response(VERSION) if "version" in request.url.path else status(404, "NotFound", "no such")
        path = "/".join(part for part in (plural, request.name, request.subresource) if part)
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
        await asyncio.sleep(self.answers_in)
        if request.subresource == "log":
            assert request.name is not None
            return await self._log(raw, request.name)
        return getattr(self, f"_{request.method.name.lower()}")(plural, request)  # type: ignore[no-any-return]

    def _get(self, plural: str, request: kmock.Request) -> web.Response:
        if request.name is not None:
            one = self.things.get((plural, request.name))
            return web.json_response(one) if one else status(404, "NotFound", f'{plural} "{request.name}" not found')
        found = [one for (of, _), one in self.things.items() if of == plural]
        found = [one for one in found if _selects(request.params.get("labelSelector", ""), one)]
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
        self._make(plural, thing)
        if any(owner["kind"] == "Pod" and not self._there(owner["uid"]) for owner in _owners(thing)):
            self.remove(plural, name)  # as the garbage collector does a moment later
        return web.json_response(thing, status=201)

    def _there(self, uid: str) -> bool:
        return any(one["metadata"].get("uid") == uid for one in self.things.values())

    def _make(self, plural: str, thing: Json) -> None:
        thing["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": day(time.time())}
        self.things[plural, thing["metadata"]["name"]] = thing
        if plural == "pods":
            thing["status"] = {"phase": "Pending", "conditions": []}
        self.tell("ADDED", plural, thing)
        if plural == "pods":
            self._do(self._kubelet(thing))
        elif plural == "jobs":
            self._run_job(thing)

    def _run_job(self, job: Json) -> None:
        """As its controller does, of one that has one pod and no second try."""
        about, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        if why := self.refuses_pods_of_jobs:
            told = {"reason": "FailedCreate", "involvedObject": {"uid": about["uid"]}, "message": why}
            self._make("events", {"metadata": {"name": f"{about['name']}.1"}, **told})
            return
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": about["name"], "uid": about["uid"]}
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": about["name"]}
        pod = {"name": f"{about['name']}-{uuid.uuid4().hex[:5]}", "labels": labels, "ownerReferences": [owner]}
        self._make("pods", {"metadata": pod, "spec": template["spec"]})

    def _patch(self, plural: str, request: kmock.Request) -> web.Response:
        assert request.name is not None
        thing = json.loads(request.body)
        if (before := self.things.get((plural, request.name))) is None:
            self._make(plural, thing)
            return web.json_response(thing, status=201)
        thing["metadata"] |= {"uid": before["metadata"]["uid"]}
        self.things[plural, request.name] = thing
        return web.json_response(thing)

    def _delete(self, plural: str, request: kmock.Request) -> web.Response:
        if request.name is None:
            wanted = dict(one.split("=") for one in request.params["labelSelector"].split(","))
            for of, name in [*self.things]:
                if of == plural and wanted.items() <= self.things[of, name]["metadata"]["labels"].items():
                    self.remove(of, name)
            return web.json_response({"kind": "Status", "status": "Success"})
        thing = self.things.get((plural, request.name))
        options = json.loads(request.body)
        if thing is None:
            return status(404, "NotFound", f'{plural} "{request.name}" not found')
        wanted = options.get("preconditions", {}).get("uid")
        if wanted and wanted != thing["metadata"]["uid"]:
            return status(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        if plural == "pods":
            self._mark(thing)
        else:
            self.remove(plural, request.name)
        return web.json_response(thing)

    def _mark(self, thing: Json, plural: str = "pods") -> None:
        if "deletionTimestamp" not in thing["metadata"]:
            thing["metadata"]["deletionTimestamp"] = day(time.time())
            self.tell("MODIFIED", plural, thing)

    async def _log(self, raw: web.BaseRequest, name: str) -> web.StreamResponse:
        """As it goes on, until its container ends."""
        if name not in self.logs:
            return status(400, "BadRequest", f'container "server" in pod "{name}" is waiting to start')
        response, told = web.StreamResponse(), 0
        await response.prepare(raw)
        with suppress(ConnectionError):
            while told < len(self.logs[name]) or name not in self._said_all:
                if told == len(self.logs[name]):
                    await self._news.wait()
                await response.write(bytes(self.logs[name][told:]))
                told = len(self.logs[name])
        return response

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
                if since > self._version:  # 1.20.2 says nothing until the seconds are over that it was asked for
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
        session, name = _session(pod), pod["metadata"]["name"]
        placeholder = pod["metadata"]["labels"][COMPONENT] not in ("session", "build")
        given = self.statuses.get(session, running() if placeholder else None)
        if given is None or given["phase"] != "Pending":
            await self.scheduler.place(pod, self._moved, self._mark, self._told)
        await asyncio.sleep(self.runs_in)
        if "deletionTimestamp" not in pod["metadata"] and given is not None:
            pod["status"] = copy.deepcopy(given)
            if "nodeName" not in pod["spec"] and given.get("hostIP"):
                pod["spec"]["nodeName"] = NODE
            self.tell("MODIFIED", "pods", pod)
            await self._marked(pod)
        elif "deletionTimestamp" not in pod["metadata"]:
            await self._run(session, name, pod)
        if self.things.get(("pods", name)) is pod:
            await self._marked(pod)
            if session not in self.lost:
                self.remove("pods", name)

    def _moved(self, pod: Json) -> None:
        self.tell("MODIFIED", "pods", pod)

    async def _marked(self, pod: Json) -> None:
        """Wait until somebody wants it gone, or it is."""
        name = pod["metadata"]["name"]
        while "deletionTimestamp" not in pod["metadata"] and self.things.get(("pods", name)) is pod:
            await self._news.wait()

    async def _run(self, session: str, name: str, pod: Json) -> None:
        while (secret := _secret(pod)) and secret not in self.things:
            if "deletionTimestamp" in pod["metadata"]:
                return
            await self._news.wait()
        async with self.container(pod) as container:
            await self._contained(session, name, pod, container)

    async def _hear(self, name: str, output: asyncio.StreamReader) -> None:
        while piece := await output.read(4096):
            self.logs[name] += piece
            self._ring()
        self._said_all.add(name)
        self._ring()

    async def _probe(self, pod: Json, container: Container, probe: Json | None) -> None:
        """As its pod wants it, five times as often as a kubelet."""
        while probe:
            await asyncio.sleep(probe["periodSeconds"] / 5)
            port = probe["tcpSocket"]["port"]
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", container.ports.get(port, port))
                writer.close()
                ready = True
            except OSError:
                ready = False
            if ready != pod["status"]["containerStatuses"][0]["ready"]:
                self.change(_session(pod), status=running(container.address, ready=ready))

    async def _contained(self, session: str, name: str, pod: Json, container: Container) -> None:
        host, _, port = self.address.rpartition(":")
        environ = {"PATH": os.environ["PATH"], "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        environ |= self.things.get(_secret(pod) or ("", ""), {}).get("stringData", {})
        closed = "ports" not in pod["spec"]["containers"][0]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(without_network(container.command) if self.enforces and closed else container.command),
            env=environ,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            self.logs[name] = bytearray()
            self._said_all.discard(name)
            probe = pod["spec"]["containers"][0].get("readinessProbe") if self.probes else None
            self.change(session, status=running(container.address, ready=not probe))
            probing = asyncio.create_task(self._probe(pod, container, probe), name="readiness")
            saying = asyncio.create_task(self._hear(name, process.stdout), name="container's log")
            marked = asyncio.create_task(self._marked(pod), name="deletion")
            ended = asyncio.create_task(process.wait(), name="container")
            await asyncio.wait({marked, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
            code = await ended
            for task in (marked, probing):
                task.cancel()
            await asyncio.wait({probing})
            await saying
            said = self.logs[name].decode()
            if ("pods", name) in self.things:
                self.change(session, status=terminated(code if code >= 0 else 128 - code, said))
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
            # What it started may hold its output: closed by nobody, that is told in whichever test comes later.
            process._transport.close()  # type: ignore[attr-defined]


def _owners(thing: Json) -> list[Json]:
    return list(thing["metadata"].get("ownerReferences", ()))


def _selects(selector: str, thing: Json) -> bool:
    """`label=value` and `label`, with commas between."""
    labels = thing["metadata"].get("labels", {})
    asked = [one.partition("=") for one in selector.split(",") if one]
    return all(labels.get(name) == value if equals else name in labels for name, equals, value in asked)


def _session(pod: Json) -> str:
    """Whose it is, or which build; of neither: its name."""
    labels = pod["metadata"]["labels"]
    return str(labels.get(SESSION, labels.get(BUILD, pod["metadata"]["name"])))


def _secret(pod: Json) -> tuple[str, str] | None:
    """That which has its variables."""
    named = pod["spec"]["containers"][0].get("envFrom")
    return ("secrets", named[0]["secretRef"]["name"]) if named else None


def running(address: str = "127.0.0.1", *, ready: bool = True) -> Json:
    """As a kubelet of 1.31 tells it, recorded; but for the address, and what is not ready."""
    started = {"running": {"startedAt": day(time.time())}}
    return {
        "phase": "Running", "hostIP": "10.0.0.111", "podIP": address, "qosClass": "Burstable",
        "conditions": [
            *({"type": one, "status": "True"} for one in ("Initialized", "PodScheduled")),
            {"type": "Ready", "status": str(ready)},
        ],
        "containerStatuses": [
            {"name": "server", "ready": ready, "restartCount": 0, "started": True, "state": started, "lastState": {}}
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
        cluster.address = f"{server.url.host}:{server.url.port}"
        yield cluster, kubeconfig(folder, str(server.url), NAMESPACE)
        await cluster.finish()
        cluster.cut()
