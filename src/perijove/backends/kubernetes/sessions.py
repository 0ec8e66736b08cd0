"""The port `Sessions` in a Kubernetes cluster: each is a pod. In: specs; out: what happens to sessions.

Kubernetes places, limits, evicts and scales. A pod that ended stands in the cluster until a reader has heard of it; one
that is not wanted any more is removed as soon as the API answers. `supervise` has to run.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from perijove.asking import Connection, Servers
from perijove.backends.kubernetes import manifests, pod_status, policies, policy_trial
from perijove.backends.kubernetes.api import Cluster, Gone
from perijove.backends.kubernetes.keeping import Keeping, Note
from perijove.backends.kubernetes.last_words import LastWords
from perijove.backends.kubernetes.manifests import Owner, Terms, Work, pod_name
from perijove.backends.kubernetes.pods import Pods, longer
from perijove.backends.kubernetes.refusals import CREATED, FORBIDDEN, MISSING, OK, refused, unreachable
from perijove.backends.kubernetes.starting import Start
from perijove.domain.activity import NO_NOTICES, Activity, Notices, ServerStatus, ServerUse
from perijove.domain.cluster import Thing, mapping, text
from perijove.domain.cluster_failures import API_UNREACHABLE
from perijove.domain.cluster_session_failures import POLICY_UNENFORCED, SESSION_CANNOT
from perijove.domain.events import (
    Logged,
    Phase,
    SessionEvent,
    SessionHappening,
    SessionLogged,
    SessionProgressed,
)
from perijove.domain.failures import SANDBOX_FAILED, Evidence, Fail
from perijove.domain.isolation import Isolation
from perijove.domain.keeping import GivenBack
from perijove.domain.keeping_failures import KEPT_UNREADABLE
from perijove.domain.nouns import EndReason, Room, RunningSandbox, SandboxSpec, SessionName
from perijove.domain.parsing import bracketed
from perijove.domain.ports import Tell
from perijove.log import log
from perijove.session_events import UNREAD, Happenings

LOOK_EVERY = 5.0
"""Seconds between two looks at a pod of which nothing is told."""
RETRY_CONNECT = 0.05
"""Seconds between two tries to reach a server whose container runs."""
Describe = Callable[[SandboxSpec, Tell], Awaitable[Work]]
"""What a session runs, and whose it is. Raises Fail: `registry.*`, `platform.*`."""
Lead = Callable[[SessionName, str], None]
"""Has the data plane lead to a session by `address:port`; `` to nowhere. Raises Fail: `platform.*`."""
Doomed = tuple[str, str]
"""A pod's name and its uid, `` where that is unknown."""


class KubernetesSessions(Servers):
    """Sessions in one namespace."""

    def __init__(
        self, cluster: Cluster, terms: Terms, describe: Describe, room_here: Callable[[], Awaitable[Room]],
        keeping: Keeping, lead: Lead = lambda session, address: None,
    ) -> None:  # fmt: skip
        super().__init__(self._reached)
        self.fills = False
        self._cluster = cluster
        self._terms = terms
        self._describe = describe
        self._room_here = room_here
        self._keeping = keeping
        self.keep, self.kept, self.fetched = keeping.keep, keeping.kept, keeping.fetched
        self._lead = lead
        self._selector = manifests.selecting(terms)
        self._pods = Pods(cluster, self._selector, self._changed)
        self._starting: set[SessionName] = set()
        self._stopping: dict[SessionName, EndReason] = {}
        self._told: dict[str, None] = {}
        """Pods whose end was told, or is its starter's to tell, by uid; of many the last ones."""
        self._open_policies = ""
        self._words = LastWords()
        self._doomed: asyncio.Queue[Doomed] = asyncio.Queue()
        self._readers: weakref.WeakSet[Happenings] = weakref.WeakSet()
        self._unread: deque[tuple[Thing, list[SessionEvent]]] = deque(maxlen=UNREAD)

    async def supervise(self) -> None:
        """Hear what becomes of pods, and remove those that nobody wants, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.follow(), name="watch on sessions' pods")
            tasks.create_task(self._remove(), name="removal of sessions' pods")
            tasks.create_task(self._keeping.supervise(self._pods), name="what is kept of sessions")

    async def try_policies(self, image: str) -> None:
        """Find out whether they hold, with an image that has a Python. Raises Fail: `cluster.*`."""
        terms = replace(self._terms, owner=await self.owner())
        await self._policed(policy_trial.CLOSED)
        self._open_policies = await policy_trial.reached(self._cluster, image, terms)
        if self._open_policies:
            log.warning("network policies do not hold", reached=self._open_policies, code=POLICY_UNENFORCED.code)

    # start

    async def start(self, spec: SandboxSpec) -> None:
        """Raises Fail: `start.sandbox-failed`, `cluster.*`."""
        if spec.home_from is None or spec.person_home is not None:
            raise _cannot("its home is part of its image", "launching.ready, home")
        name = spec.session
        pod_name(name, self._terms)
        work = await self._describe(spec, lambda line: self._put([_said(name, line)]))
        made = manifests.pod(spec, work, replace(self._terms, owner=await self.owner()))
        await self._policed(spec)
        if name in self._starting or name in self._pods.now:
            raise _taken(name)
        self._starting.add(name)
        uid = ""
        try:
            await self._keeping.intend(name, Note(spec.home_from))
            uid = await self._create("pods", made, name)
            made["metadata"]["uid"] = uid
            await self._create("secrets", manifests.secret(spec, made, self._keeping.token(name), self._terms), name)
            await Start(self._cluster, self._pods, self._terms, name, Thing(made), self._put).until_it_runs()
        except BaseException as error:
            if uid:
                self._note(uid)
            self._keeping.ended(name)
            if uid or not isinstance(error, Fail) or error.failure.kind is API_UNREACHABLE:  # else it was never made
                self._doomed.put_nowait((made["metadata"]["name"], uid))
            raise
        finally:
            self._starting.discard(name)

    async def _create(self, plural: str, manifest: manifests.Json, name: SessionName) -> str:
        answer = await self._cluster.ask("POST", plural, manifest)
        if answer.body.get("reason") == "AlreadyExists":
            raise _taken(name)
        if answer.status not in (OK, CREATED):
            raise Fail(refused(answer))
        return text(mapping(answer.body.get("metadata")).get("uid"))

    async def owner(self) -> Owner | None:
        """What an uninstallation removes, and sessions with it; None where nobody installed it."""
        name = manifests.closing(self._terms)
        answer = await self._cluster.ask("GET", f"networkpolicies/{name}", base="/apis/networking.k8s.io")
        if answer.status in (MISSING, FORBIDDEN):  # the role of an installation of before may not look
            return None
        if answer.status != OK:
            raise Fail(refused(answer))
        uid = text(mapping(answer.body.get("metadata")).get("uid"))
        return Owner("networking.k8s.io/v1", "NetworkPolicy", name, uid)

    async def _policed(self, spec: SandboxSpec) -> None:
        """What it may reach is said before it is there, each time: somebody may have removed or changed it."""
        policy = policies.policy(spec, self._terms)
        await self._cluster.apply("networkpolicies", policy, "/apis/networking.k8s.io")

    async def fill(self, session: SessionName, home_from: Path) -> None:
        """Raises Fail: `cluster.session-cannot`."""
        raise _cannot("its home is part of its image", "launching.ready")

    async def status(self, session: SessionName, base_url: str, token: str, limit: float) -> ServerStatus:
        """As `Servers` has it; what it says meanwhile is told, afterwards its last words alone."""
        telling = asyncio.create_task(self._tell_log(session), name=f"log of {session}")
        try:
            return await super().status(session, base_url, token, limit)
        finally:
            telling.cancel()
            await asyncio.wait({telling})

    async def _tell_log(self, session: SessionName) -> None:
        while (pod := self._pods.now.get(session)) is not None and not pod_status.runs(pod) and pod_status.lives(pod):
            await self._pods.change(LOOK_EVERY)
        if pod is None or not pod_status.lives(pod):
            return
        self._words.begin(session)
        try:
            async with aclosing(self._cluster.log(pod.name, manifests.SERVER, self._terms.start_limit)) as lines:
                async for line in lines:
                    if pod.uid in self._told:  # its end was, with its last words
                        return
                    for part in filter(str.strip, line.splitlines()):
                        self._put([SessionLogged(session, self._words.told(session, part[: pod_status.LINE]))])
        except (Fail, Gone) as error:
            log.warning("a session's log is not told while it starts", session=session, message=str(error))

    # stop

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        """End it and wait until it is gone, which a lost node may hold up for ever: then it is told as over before.

        Raises Fail: `cluster.*`; it is ended once the API answers then.
        """
        name = pod_name(session, self._terms)
        if session not in self._pods.now and not self._pods.listed:  # just after a start
            await self._pods.change(LOOK_EVERY)
        pod = self._pods.now.get(session)
        uid = pod.uid if pod else ""
        if pod is not None and not pod.deleting:
            await self._keeping.snapshot(pod, final=True)
        self._stopping[session] = reason
        try:
            there = await self._deleted((name, uid))
        except BaseException:
            self._doomed.put_nowait((name, uid))
            raise
        if not there and session not in self._pods.now:
            self._stopping.pop(session, None)
        until = asyncio.get_running_loop().time() + self._terms.grace + self._terms.end_limit
        while (now := self._pods.now.get(session)) is not None and now.uid == uid:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                log.warning("a session's pod does not end", session=session, pod=pod_status.told(now))
                self._over(now, [pod_status.stopped(session, reason)])
                return
            await self._pods.change(left)

    async def _deleted(self, doomed: Doomed) -> bool:
        """Ask for its end; False where it is gone. Raises Fail: `cluster.*`."""
        name, uid = doomed
        return await self._cluster.delete(f"pods/{name}", uid=uid, grace=self._terms.grace)

    async def _remove(self) -> NoReturn:
        pause = 0.0
        while True:
            doomed = await self._doomed.get()
            try:
                await self._deleted(doomed)
                pause = 0.0
            except Fail as error:
                self._doomed.put_nowait(doomed)  # behind the others, which it shall not hold up
                log.warning("a session's pod is not removed", pod=doomed[0], message=error.failure.message)
                pause = longer(pause)
                await asyncio.sleep(max(pause, error.failure.after))

    # what happens

    def happenings(self) -> AsyncIterator[SessionHappening]:
        """What happens from this call on; the first reader also gets what ended while nobody read."""
        reader = Happenings()
        self._readers.add(reader)
        while self._unread:
            self._end(*self._unread.popleft())
        return reader

    def _put(self, events: Sequence[SessionHappening]) -> None:
        for reader in list(self._readers):
            for event in events:
                reader.put(event)

    def _changed(self, pod: Thing, *, gone: bool) -> None:
        name = pod_status.session(pod)
        self._lead_to(name, pod, gone=gone)
        reason = self._stopping.pop(name, None) if gone else self._stopping.get(name)
        if reason is not None:
            self._words.untold(name, ())
            if gone:
                self._over(pod, [pod_status.stopped(name, reason)])
            return
        over = pod_status.removed(pod) if gone or pod.deleting else pod_status.end(pod)
        if over is not None:
            over = replace(over, lines=self._words.untold(name, over.lines))
            failed = name in self._starting and (over.failure is not None or pod.deleting)
            self._over(pod, [] if failed else pod_status.events(name, over))
        elif pod_status.silent(pod):  # once what its server left is fetched, its pod is over too
            self._keeping.look(name)

    def _lead_to(self, name: SessionName, pod: Thing, *, gone: bool) -> None:
        address = text(pod.status.get("podIP")) if not gone and pod_status.runs(pod) else ""
        try:
            host = bracketed(str(ip_address(address))) if address else ""
            self._lead(name, host and f"{host}:{self._terms.port}")
        except (ValueError, Fail) as error:  # its next change, or the next look at all, tries it again
            log.warning("nobody is led to a session", session=name, message=str(error)[:300])

    def _over(self, pod: Thing, events: list[SessionEvent]) -> None:
        """Tell its end, once; with no events it is its starter's to tell."""
        if pod.uid not in self._told:
            self._note(pod.uid)
            self._keeping.ended(pod_status.session(pod))
            self._end(pod, events)

    def _note(self, uid: str) -> None:
        self._told[uid] = None
        if len(self._told) > UNREAD:
            del self._told[next(iter(self._told))]

    def _end(self, pod: Thing, events: list[SessionEvent]) -> None:
        """Tell it, and let it go; what nobody hears stays in the cluster, for whoever comes after us."""
        if not self._readers and events:
            self._unread.append((pod, events))
            return
        self._put(events)
        if not pod.deleting:
            self._doomed.put_nowait((pod.name, pod.uid))

    # looks

    async def running(self) -> Sequence[RunningSandbox]:
        """Raises Fail: `cluster.*`."""
        try:
            listed, _ = await self._cluster.pods(self._selector)
        except Gone as error:
            raise Fail(unreachable("GET pods", "a list that took too long")) from error
        ours = [pod for pod in listed if pod_status.session(pod)]
        for pod in ours:
            self._changed(pod, gone=False)  # what ended is told before the answer
        return [pod_status.sandbox(pod) for pod in ours if pod_status.lives(pod)]

    async def held(self, session: SessionName) -> RunningSandbox | None:
        """As the watch last told it."""
        pod = self._pods.now.get(session)
        return pod_status.sandbox(pod) if pod is not None and pod_status.lives(pod) else None

    async def activity(self, session: SessionName) -> Activity:
        """From outside nobody looks into a pod."""
        pod = self._pods.now.get(session)
        return Activity(0, 0, queued=False, doing=pod_status.told(pod) if pod else "not there", seen=False)

    async def room(self) -> Room:
        """The disk of this machine, which builds; of the cluster nobody knows: a pod without a place waits and says so.

        Raises Fail: `platform.pad-down`.
        """
        return replace(await self._room_here(), memory=None, processors=None)

    async def isolation(self) -> Isolation:
        own_uid = not self._terms.host_users
        return Isolation(True, own_uid, cgroups="v2", disk="watched", open_policies=self._open_policies)

    async def _reached(self, session: SessionName, limit: int) -> Connection:
        """Its pod, as soon as its container runs; it listens a moment later."""
        while (pod := self._pods.now.get(session)) is not None and pod_status.lives(pod):
            address = text(pod.status.get("podIP"))
            if not pod_status.runs(pod) or not address:
                await self._pods.change(LOOK_EVERY)
                continue
            try:
                return await asyncio.open_connection(address, self._terms.port, limit=limit)
            except OSError:
                await asyncio.sleep(RETRY_CONNECT)
        raise ConnectionRefusedError(f"session {session} has no pod that runs")

    # what is kept

    async def use(
        self, session: SessionName, base_url: str, token: str, limit: float, notices: Notices = NO_NOTICES
    ) -> ServerUse:
        """As `Servers` has it. Where nobody answers any more, its pod may wait for what it left to be fetched."""
        try:
            return await super().use(session, base_url, token, limit, notices)
        except (ConnectionError, TimeoutError):
            self._keeping.look(session)
            raise

    async def give_back(self, session: SessionName, archive: Path, opens: bytes, *, same_commit: bool) -> GivenBack:
        """Raises Fail: `session.kept-unreadable`."""
        pod = self._pods.now.get(session)
        if pod is None or not pod_status.runs(pod):
            raise Fail(KEPT_UNREADABLE("its session is over", Evidence("session", session)))
        return await self._keeping.give_back(pod, archive, opens, same_commit=same_commit)


def _said(name: SessionName, line: str) -> SessionProgressed:
    return SessionProgressed(name, Logged(Phase.LAUNCHING, line))


def _taken(name: SessionName) -> Fail:
    remedy = "Stop it first, or give this one another name."
    return Fail(SANDBOX_FAILED("there is a session of this name", Evidence("session", name), remedy=remedy))


def _cannot(cause: str, setting: str) -> Fail:
    return Fail(SESSION_CANNOT(cause, Evidence("settings", setting)))
