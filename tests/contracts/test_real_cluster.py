"""An installation, and sessions by its account, in a real cluster: TESTS_KUBECONFIG is a file of its admin's.

TESTS_IMAGE is an image by its digest that nodes pull, with /usr/bin/python3 and a home of user 1000. Pods have to be
reached from here.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kept import KeptOnDisk
from perijove.backends.kubernetes import applying
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.applying import Done
from perijove.backends.kubernetes.builds import ClusterBuilds
from perijove.backends.kubernetes.exposing import Expose
from perijove.backends.kubernetes.installing import Nodes, Options, manifests
from perijove.backends.kubernetes.manifests import Terms, Work, closing, selector
from perijove.backends.kubernetes.refusals import CREATED, OK, Answer
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.cluster import at, listed, text
from perijove.domain.events import SessionEnded
from perijove.domain.failures import Fail
from perijove.domain.nouns import EndReason, ForeignRun, Room, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.settings_layers import Layer, merged
from perijove.domain.state import State
from tests.contracts.test_foreign_code_port import run_of
from tests.contracts.test_kept_work import KEY, TERMS, kept, unzipped
from tests.fakes.confined import SERVER, Follower, spec
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.kept_pods import keeping_in

CONFIG, IMAGE = (os.environ.get(f"TESTS_{name}", "") for name in ("KUBECONFIG", "IMAGE"))
pytestmark = [
    pytest.mark.same_for_any_user,
    pytest.mark.filterwarnings("ignore:Kubernetes version"),
    pytest.mark.skipif(not (CONFIG and IMAGE), reason="TESTS_KUBECONFIG, TESTS_IMAGE: no cluster"),
]
HOME = Path("/checkout")
LIMIT = 120.0
"""Seconds for what nodes do."""
Plane = Callable[..., AbstractAsyncContextManager[tuple[KubernetesSessions, Follower]]]


@dataclass
class World:
    """A cluster with an installation in two namespaces of its own."""

    admin: Cluster
    terms: Terms
    options: Options
    plane: Plane
    """A control plane, as the installation's account; with other terms."""

    def settings(self, **changed: Any) -> tuple[Settings, Any]:
        given = {"service.hosts": ["binder.example.org"], "engine.placeholders": 1, **changed}
        return merged([Layer("file", {**given, "engine.namespace": self.terms.namespace})])

    async def install(self, **changed: Any) -> dict[str, Done]:
        settings, told = self.settings(**changed)
        wanted = manifests(settings, told, self.options)
        return {name: done async for name, done in applying.install(self.admin, wanted, settings, self.options)}

    async def uninstall(self) -> None:
        async for _ in applying.uninstall(self.admin, self.settings()[0], self.options, purge=True):
            pass

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Of sessions' namespace."""
        return await self.admin.ask(method, f"namespaces/{self.terms.namespace}/{path}", body, **options)

    async def left(self) -> list[str]:
        """What is there of sessions."""
        ours, found = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector(self.terms).items())}, []
        for plural, base in (("pods", "/api"), ("secrets", "/api"), ("networkpolicies", "/apis/networking.k8s.io")):
            answer = await self.ask("GET", plural, base=base, params=ours)
            found += [f"{plural} {text(at(one, 'metadata', 'name'))}" for one in listed(answer.body, "items")]
        return found

    async def until_left(self, *names: str) -> None:
        async with asyncio.timeout(LIMIT):
            while await self.left() != [*names]:
                await asyncio.sleep(0.2)


async def described(_: SandboxSpec, _tell: Tell) -> Work:
    return Work(IMAGE)


async def room_here() -> Room:
    return Room(1, 2, 3, 4)


@pytest.fixture
async def world(tmp_path: Path, state: State) -> AsyncIterator[World]:
    name = f"perijove-test-{uuid.uuid4().hex[:8]}"
    terms, admin = Terms(name, grace=1), Cluster("", CONFIG)
    options = Options(IMAGE, f"{name}-system", Expose.CLUSTER_IP, nodes=Nodes.PRIVILEGED)

    @asynccontextmanager
    async def plane(**changed: Any) -> AsyncIterator[tuple[KubernetesSessions, Follower]]:
        path = f"namespaces/{options.namespace}/serviceaccounts/{terms.instance}/token"
        asks = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        answer, whole = await admin.ask("POST", path, asks), yaml.safe_load(Path(CONFIG).read_text())
        for user in whole["users"]:
            user["user"] = {"token": at(answer.body, "status", "token")}
        (tmp_path / "account").write_text(yaml.safe_dump(whole))
        api, confined = Cluster(name, str(tmp_path / "account")), ConfinedCalls()
        keeping = keeping_in(state, confined)
        sessions = KubernetesSessions(api, replace(terms, **changed), described, room_here, keeping)
        supervised, follower = asyncio.create_task(sessions.supervise(), name="supervision"), Follower(sessions)
        try:
            yield sessions, follower
        finally:
            supervised.cancel()
            await asyncio.wait([supervised])
            await follower.close()
            await api.close()
            confined.close()

    world = World(admin, terms, options, plane)
    try:
        await world.install()
        yield world
        await world.uninstall()
    finally:
        for one in (name, options.namespace):
            await admin.ask("DELETE", f"namespaces/{one}")
        await admin.close()


async def test_an_installation_is_made_once_changed_and_taken_away(world: World) -> None:
    assert set((await world.install()).values()) == {Done.SAME}
    changed = await world.install(**{"service.title": "Binder", "engine.placeholders": 0})
    done = {one: {name.split()[0] for name in changed if changed[name] is one} for one in Done}
    assert (done[Done.CHANGED], done[Done.REMOVED]) == ({"ConfigMap", "Deployment"}, {"Deployment", "PriorityClass"})
    await world.uninstall()
    await world.until_left()


async def test_a_session_starts_answers_stops_and_leaves_its_policy_alone(world: World) -> None:
    async with world.plane() as (sessions, follower):
        await sessions.start(spec("one", HOME))
        assert (await sessions.status("one", "/user/one/", "token", 20)).kernels == 2
        assert [one.session for one in await sessions.running()] == ["one"]
        await sessions.stop("one", EndReason.IDLE)
        assert await follower.ended("one") == SessionEnded("one", EndReason.IDLE, "nobody used it", None)
        await world.until_left("networkpolicies perijove-sessions-none")


ENDS = {
    "exit": ("print('my last words'); raise SystemExit(7)", EndReason.EXITED),
    "memory": ("x = b'x' * (1 << 30)", EndReason.MEMORY),
    "disk": ("import time; open('/tmp/x', 'wb').write(bytes(40 << 20)); time.sleep(600)", EndReason.DISK),
    "age": ("import time; time.sleep(600)", EndReason.OLD),
}


@pytest.mark.parametrize("name", ENDS)
async def test_why_a_session_ended_is_told_and_its_pod_goes(world: World, name: str) -> None:
    code, reason = ENDS[name]
    async with world.plane(deadline=5.0 if name == "age" else 3600.0) as (sessions, follower):
        await sessions.start(spec("one", HOME, code))
        assert (await follower.ended("one", LIMIT)).reason is reason
        assert follower.lines("one") == (["my last words"] if name == "exit" else [])
        await world.until_left("networkpolicies perijove-sessions-none")


ORPHAN = """
import pathlib, subprocess, time
left = subprocess.run("sleep 0.1 & echo $!", shell=True, stdout=subprocess.PIPE, text=True).stdout.strip()
while pathlib.Path("/proc", left).exists():
    time.sleep(0.05)
"""


async def test_what_a_session_s_programs_leave_behind_is_reaped(world: World) -> None:
    async with world.plane() as (sessions, follower):
        await sessions.start(spec("one", HOME, ORPHAN))
        assert (await follower.ended("one", LIMIT)).exit_code == 0


async def test_what_changed_in_a_session_is_fetched_from_its_node_and_given_back(world: World, state: State) -> None:
    (checkout := state.root / "checkout").mkdir()
    works = KeptOnDisk(state, state.keeping)
    async with world.plane() as (sessions, _):
        await sessions.start(spec("one", checkout, f"open('mine', 'w').write('mine')\n{SERVER}"))
        await sessions.status("one", "/user/one/", "token", LIMIT)
        await sessions.keep("one", TERMS)
        await sessions.stop("one", EndReason.IDLE)
        work = await kept(sessions, works)
        assert unzipped(works, work) == {"mine": b"mine"}
        await sessions.start(spec("two", checkout))
        await sessions.status("two", "/user/two/", "token", LIMIT)
        assert (await sessions.give_back("two", *await works.opening(work, KEY), same_commit=True)).files == 1
        await sessions.keep("two", TERMS)
        await sessions.stop("two", EndReason.IDLE)
        assert unzipped(works, await kept(sessions, works)) == {"mine": b"mine"}


async def test_a_build_is_a_job_whose_result_is_fetched_and_that_goes(world: World, state: State) -> None:
    async def image(_run: ForeignRun, _tell: Tell) -> str:
        return IMAGE

    code = "import os; print('builds', flush=True); os.mkdir('dist'); open('dist/a', 'w').write('made'); os._exit(3)"
    run, told = replace(run_of(None, code, LIMIT), root=(Path("/"),)), list[str]()
    confined, here = ConfinedCalls(), UnconfinedForeignCode()
    async with world.plane() as (sessions, _):
        builds = ClusterBuilds(sessions._cluster, world.terms, image, sessions.owner, confined, here)
        assert (await builds.run(run, state.root / "into", told.append)).status == 3
    confined.close()
    assert "builds" in told
    assert (state.root / "into/a").read_text() == "made"
    async with asyncio.timeout(LIMIT):
        while [*listed((await world.ask("GET", "jobs", base="/apis/batch")).body, "items")]:
            await asyncio.sleep(0.2)


FORBIDDING = {
    "cluster.resource-quota-exceeded": ("ResourceQuota", {"hard": {"pods": "0"}}),
    "cluster.pod-refused": ("LimitRange", {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}),
}


@pytest.mark.parametrize("code", FORBIDDING)
async def test_what_a_quota_or_a_limit_forbids_is_told_and_leaves_nothing(world: World, code: str) -> None:
    kind, content = FORBIDDING[code]
    thing = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "tight"}, "spec": content}
    assert (await world.ask("POST", f"{kind.lower()}s", thing)).status in (OK, CREATED)
    async with world.plane() as (sessions, _), asyncio.timeout(LIMIT):
        told = ""
        while told != code:  # it holds a moment later
            try:
                await sessions.start(spec("one", HOME))
                await sessions.stop("one", EndReason.STOPPED)
            except Fail as error:
                told = error.failure.kind.code
        await world.until_left("networkpolicies perijove-sessions-none")


async def test_sessions_go_with_what_an_uninstallation_removes(world: World) -> None:
    async with world.plane() as (sessions, follower):
        await sessions.start(spec("one", HOME))
        await world.ask("DELETE", f"networkpolicies/{closing(world.terms)}", base="/apis/networking.k8s.io")
        assert (await follower.ended("one", LIMIT)).detail == "somebody deleted its pod"
        await world.until_left("networkpolicies perijove-sessions-none")
