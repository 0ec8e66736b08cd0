"""The port `ForeignCode` in a Kubernetes cluster: each run is a Job of one pod. In: runs; out: how they ended, files.

A Job is its asker's alone: it goes when the run is over or given up, and those that another control plane left are
removed before the first one. What can be no pod runs on this machine: what is root of its system, and what has none.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path

import httpx

from perijove.backends.kubernetes import fetching, handed_over, jobs, pod_status, policies
from perijove.backends.kubernetes.api import Cluster, Gone
from perijove.backends.kubernetes.handed_over import AGAIN, RESULT, Ended
from perijove.backends.kubernetes.jobs import BATCH, BUILD, FETCH, JOB
from perijove.backends.kubernetes.manifests import COMPONENT, SERVER, Json, Owner, Terms, selector
from perijove.backends.kubernetes.pods import Pods, longer
from perijove.backends.kubernetes.refusals import CREATED, FORBIDDEN, MISSING, OK, Answer, refused
from perijove.backends.kubernetes.starting import EVENTS_EVERY, Start, events_of
from perijove.domain import failures as rows
from perijove.domain.cluster import Thing, text
from perijove.domain.cluster_session_failures import API_FORBIDDEN
from perijove.domain.confinement import MIB, Beyond, Bounds, Identity
from perijove.domain.events import Logged, Queued, SessionProgressed, SessionTroubled
from perijove.domain.failures import Evidence, Fail, Failure
from perijove.domain.nouns import EndReason, ForeignRun
from perijove.domain.parsing import bracketed
from perijove.domain.ports import Confined, ForeignCode, Tell
from perijove.domain.ran import Ran
from perijove.domain.sizes import inodes, size
from perijove.log import log

LOG = 64 * 1024**2
"""Bytes of a run's log that are told."""
CONNECT, RETRY = 10.0, 0.2
"""Seconds to reach a pod that runs, and until it is tried again."""
LAST_WORDS = 5.0
"""Seconds for the last of its log, and for what is fetched, once the pod has ended."""
A_FILE = 2048
"""Bytes of a tar for a file beside its content."""
ALIVE = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30))
"""An answer comes when the command has ended, perhaps hours after it was asked for."""


@dataclass(eq=False)
class ClusterBuilds:
    """In the sessions' namespace. `_image`: publishes a run's. `_owner`: whom Jobs go away with, as sessions do."""

    _cluster: Cluster
    _terms: Terms
    _image: Callable[[ForeignRun, Tell], Awaitable[str]]
    _owner: Callable[[], Awaitable[Owner | None]]
    _confined: Confined
    _here: ForeignCode
    _swept: bool = field(default=False, init=False)
    _sweeping: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def sweep(self) -> None:
        """Remove what an earlier control plane left, once. Raises Fail: `cluster.*`."""
        async with self._sweeping:
            if not self._swept:
                labels = {**selector(self._terms), COMPONENT: "build"}
                await self._delete("jobs", {"labelSelector": ",".join(f"{key}={one}" for key, one in labels.items())})
                self._swept = True

    async def sweep_at_start(self) -> None:
        """The same where nothing is built meanwhile; what it raises, the first run raises again."""
        try:
            await self.sweep()
        except Fail as error:
            log.warning("builds that were left are not removed", message=error.failure.message)

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        """Raises Fail: `start.sandbox-failed`, `build.*`, `registry.*`, `cluster.*`, `platform.*`."""
        if run.system or not run.root:
            return await self._here.run(run, into, tell)
        image = await self._image(run, tell)
        await self.sweep()
        terms = replace(self._terms, owner=await self._owner())
        await self._cluster.apply("networkpolicies", policies.policy(run, terms), "/apis/networking.k8s.io")
        name, token = f"{terms.instance}-{run.name[:40]}-{secrets.token_hex(4)}", secrets.token_hex(24)
        try:
            made = await self._create("jobs", jobs.job(run, name, image, terms), BATCH)
            await self._create("secrets", jobs.variables(run, made, token, terms))
            return await _Run(self._cluster, terms, self._confined, run, Thing(made), tell).ended(token, into)
        finally:
            await asyncio.shield(self._remove(name))

    async def _create(self, plural: str, manifest: Json, base: str = "/api") -> Json:
        answer = await self._cluster.ask("POST", plural, manifest, base=base)
        if answer.status not in (OK, CREATED):
            raise Fail(_refused(answer))
        return dict(answer.body)

    async def _delete(self, path: str, params: Json) -> None:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        answer = await self._cluster.ask("DELETE", path, options, base=BATCH, params=params)
        if answer.status not in (OK, MISSING):
            raise Fail(_refused(answer))

    async def _remove(self, name: str) -> None:
        try:
            await self._delete(f"jobs/{name}", {})
        except Fail as error:  # its deadline ends it then, and the cluster removes it
            log.warning("a build's Job is not removed", job=name, message=error.failure.message)


@dataclass(eq=False)
class _Run:
    """One, from its Job to its result."""

    _cluster: Cluster
    _terms: Terms
    _confined: Confined
    _run: ForeignRun
    _job: Thing
    _tell: Tell
    _begun: bool = False

    def __post_init__(self) -> None:
        self._pods = Pods(self._cluster, f"{JOB}={self._job.name}", lambda pod, *, gone: None, BUILD)

    async def ended(self, token: str, into: Path) -> Ran:
        """How; what it wrote, in `into`. Raises Fail."""
        into.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=into, prefix=".handed-"))
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._pods.follow(), name=f"watch on {self._job.name}")
                try:
                    status = await self._fetched(await self._pod(), token, work / "handed", tasks)
                finally:
                    watch.cancel()
            return await self._unpacked(status, work, into)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the others were cancelled for it
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, work))

    async def _pod(self) -> Thing:
        """As soon as its container runs, or has. Raises Fail: why the cluster does not let it."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._terms.start_limit
        while (pod := self._pods.now.get(self._run.name)) is None:
            await self._pods.change(EVENTS_EVERY)
            for event in await events_of(self._cluster, self._job.uid):
                if text(event.raw.get("reason")) == "FailedCreate":
                    raise Fail(refused(Answer(f"pods of {self._job.said}", FORBIDDEN, {}, pod_status.message(event))))
            if clock() > until:
                raise Fail(pod_status.slow(self._job, (), self._terms.start_limit))
        await Start(self._cluster, self._pods, self._terms, self._run.name, pod, self._progressed).until_it_runs()
        return self._pods.now.get(self._run.name, pod)

    def _progressed(self, events: Sequence[SessionProgressed | SessionTroubled]) -> None:
        for one in events:
            match one:
                case SessionTroubled(failure=failure):
                    self._tell(failure.message)
                case SessionProgressed(told=Logged(line=line) | Queued(why=line)):
                    self._tell(line)

    async def _fetched(self, pod: Thing, token: str, to: Path, tasks: asyncio.TaskGroup) -> int:
        """The command's status, as PID 1 has it; what is handed over, in a file. Raises Fail: why there is none."""
        telling = tasks.create_task(self._log(pod.name), name=f"log of {pod.name}")
        over = tasks.create_task(self._over(), name=f"end of {pod.name}")
        try:
            async with asyncio.timeout(self._run.timeout) as limit:
                fetching = tasks.create_task(self._fetch(pod, token, to, limit), name=f"result of {pod.name}")
                await asyncio.wait({fetching, over}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({fetching}, timeout=FETCH if self._begun else LAST_WORDS)
                await asyncio.wait({telling}, timeout=LAST_WORDS)
            if fetching.done() and (status := fetching.result()) is not None:
                return status
            fetching.cancel()
            return self._without(await over)
        except TimeoutError as error:
            fetching.cancel()
            where = Evidence(" ".join(self._run.command)[:500], f"still ran after {self._run.timeout:.0f} s")
            raise Fail(rows.BUILD_TOO_SLOW("a package's own build did not end", where)) from error
        finally:
            telling.cancel()
            over.cancel()

    async def _over(self) -> Thing | None:
        """Its pod, once it has ended; None where it is gone, or somebody wants it gone."""
        while self._lives():
            await self._pods.change(LAST_WORDS)
        pod = self._pods.now.get(self._run.name)
        return None if pod is None or pod.deleting else pod

    def _lives(self) -> bool:
        pod = self._pods.now.get(self._run.name)
        return pod is not None and pod_status.lives(pod)

    def _without(self, pod: Thing | None) -> int:
        """What a pod's end means that has handed nothing over. Raises Fail."""
        over = pod_status.end(pod) if pod is not None else None
        if over is None:
            raise Fail(rows.SANDBOX_FAILED("somebody deleted its pod", Evidence("job", self._job.said), remedy=AGAIN))
        limits, seen = self._run.limits, Evidence(f"pod of {self._job.said}", over.detail)
        if over.failure is not None:
            raise Fail(over.failure)
        match over.reason:
            case EndReason.MEMORY:
                raise Fail(rows.BUILD_MEMORY(f"it reached its {size(limits.memory)}", seen))
            case EndReason.DISK:
                raise Fail(rows.BUILD_TOO_LARGE(f"it wrote more than {size(limits.disk)}", seen))
            case EndReason.OLD:
                raise Fail(rows.BUILD_TOO_SLOW("a package's own build did not end", seen))
        if over.code is not None and over.code < 0:
            return 128 - over.code
        raise Fail(rows.SANDBOX_FAILED("its pod ended before its result was fetched", seen, remedy=AGAIN))

    async def _log(self, pod: str) -> None:
        """Line by line; where it breaks off, from where it was."""
        told, pause = 0, 0.0
        while True:
            seen = 0
            try:
                async with aclosing(self._cluster.log(pod, SERVER, self._run.timeout, LOG)) as lines:
                    async for line in lines:
                        for part in line.splitlines():
                            seen += 1
                            if seen > told:
                                told = seen
                                self._tell(part[: pod_status.LINE])
                return
            except (Fail, Gone) as error:
                log.warning("a build's log breaks off", pod=pod, message=str(error)[:300])
            pause = longer(pause)
            await asyncio.sleep(pause)

    async def _fetch(self, pod: Thing, token: str, to: Path, limit: asyncio.Timeout) -> int | None:
        """As soon as the command has ended; what breaks off is asked for again, for as long as the pod runs: None."""
        address = f"http://{bracketed(text(pod.status.get('podIP')))}:{self._terms.port}/"
        transport = httpx.AsyncHTTPTransport(socket_options=ALIVE, verify=False)  # it is http
        async with fetching.client(httpx.Timeout(CONNECT, read=None), transport) as client:
            while True:
                try:
                    async with client.stream("GET", address, headers={"Authorization": f"Bearer {token}"}) as answer:
                        self._begun = True  # what is on its way arrives, or breaks off, whether the pod is there or not
                        limit.reschedule(asyncio.get_running_loop().time() + FETCH)
                        answer.raise_for_status()
                        await self._write(answer, to)
                        told = re.search(r'"status": ([0-9]{1,3})\b', answer.headers.get("Perijove-Files", ""))
                        return int(told[1]) if told else 0
                except httpx.HTTPError:  # it does not listen yet, or broke off
                    if not self._lives():
                        return None
                    await asyncio.sleep(RETRY)

    async def _write(self, answer: httpx.Response, to: Path) -> None:
        limits = self._run.limits
        try:
            with to.open("wb") as file:
                await fetching.received(answer, file, limits.disk + inodes(limits.disk) * A_FILE + MIB)
        except ValueError as error:
            where = Evidence("build.disk", size(limits.disk))
            raise Fail(rows.BUILD_TOO_LARGE("what it wrote is more than may be kept", where)) from error
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            raise Fail(rows.BUILD_DISK("no space is left for what it wrote", Evidence(str(to), str(error)))) from error

    async def _unpacked(self, status: int, work: Path, into: Path) -> Ran:
        run, handed, folder = self._run, work / "handed", work / "unpacked"
        tops = ("home", *(f"layer-{number}" for number, _ in enumerate(run.overlays))) if run.layers else (RESULT,)
        ended = None
        if handed.exists():
            folder.mkdir(mode=0o700)
            work.chmod(0o755)
            handed.chmod(0o644)
            self._confined.hand_over(folder, Identity.INSTALLER)
            bounds = Bounds(
                Identity.INSTALLER, FETCH, FETCH, 512 * MIB, run.limits.disk, writes=(folder,), reads=(handed,)
            )
            try:
                given = (handed, folder, tops, run.limits)
                ended = await self._confined.call(handed_over.unpacked, *given, bounds=bounds)
            except Beyond as beyond:
                raise Fail(beyond.told(rows.BUILD_TOO_LARGE, "what its pod handed over")) from beyond
            finally:
                await asyncio.to_thread(self._confined.take_back, folder)
        if ended is not None:
            status = ended.status
            _judge(ended, run)
        await asyncio.to_thread(_moved, folder if run.layers else folder / RESULT, into)
        return Ran(128 - status if status > 128 else status)


def _judge(ended: Ended, run: ForeignRun) -> None:
    """Raises Fail."""
    limits = run.limits
    if ended.status and ended.killed:
        seen = Evidence("memory.events", f"oom_kill {ended.killed}")
        raise Fail(rows.BUILD_MEMORY(f"it reached its {size(limits.memory)}", seen))
    if ended.short:
        raise Fail(
            rows.BUILD_DISK("the disk of its node had no room for what it hands over", Evidence("pod", ended.short))
        )
    if ended.too_large:
        where = Evidence("build.disk", f"{size(limits.disk)}, {inodes(limits.disk)} files")
        raise Fail(rows.BUILD_TOO_LARGE("what it wrote is more than may be kept", where))


def _moved(folder: Path, into: Path) -> None:
    for path in folder.iterdir() if folder.exists() else ():
        path.rename(into / path.name)


def _refused(answer: Answer) -> Failure:
    failure = refused(answer)
    if failure.kind is API_FORBIDDEN:
        remedy = (
            "Apply the installation again, whose Role has Jobs since builds can be some, or set engine.builds = here."
        )
        return API_FORBIDDEN(failure.cause, *failure.evidence, remedy=remedy)
    return failure
