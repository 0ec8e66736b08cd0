"""The port `Sessions` in a cluster: against an API that speaks the wire protocol, and a kubelet that runs processes."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes import installing
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import COMPONENT, RULES, Terms, Work
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.engine_settings import EngineSettings
from perijove.domain.events import Queued, SessionEnded
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, EndReason, Room, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.settings import ServiceSettings, SessionSettings, Settings
from perijove.domain.state import State
from tests.fakes.cluster_api import kubeconfig
from tests.fakes.confined import LIMITS, MIB, SERVER, Follower, spec, until
from tests.fakes.kept_pods import keeping_in, supervised
from tests.fakes.ports import free_port
from tests.fakes.session_cluster import NAMESPACE, SessionCluster, running, session_cluster, status, terminated

pytestmark = pytest.mark.same_for_any_user

IMAGE = f"registry.example/env@sha256:{'a' * 64}"
HOME = Path("/checkout")


@dataclass
class World:
    """A cluster, and sessions in it."""

    cluster: SessionCluster
    sessions: KubernetesSessions
    again: Callable[..., Any]
    """Another control plane of the same namespace, with other terms."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    terms = Terms(NAMESPACE, port=free_port(), files_port=free_port(), start_limit=10.0, grace=1, end_limit=1.0)

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        if spec.session == "pushed":
            tell("Pushing a layer")
        return Work(IMAGE, {"repository": "gh/owner/repo", "person": "ada"})

    async def room_here() -> Room:
        return Room(1, 2, 3, 4)

    async with session_cluster(tmp_path) as (cluster, config):

        @asynccontextmanager
        async def plane(**changed: Any) -> AsyncIterator[KubernetesSessions]:
            api = Cluster(NAMESPACE, str(config))
            keeping = keeping_in(State(tmp_path), ConfinedCalls())
            sessions = KubernetesSessions(api, replace(terms, **changed), described, room_here, keeping)
            async with supervised(sessions, api):
                yield sessions

        async with plane() as sessions:
            yield World(cluster, sessions, plane)


@pytest.fixture
async def follower(world: World) -> AsyncIterator[Follower]:
    follower = Follower(world.sessions)
    yield follower
    await follower.close()


async def failing(work: Any) -> Any:
    with pytest.raises(Fail) as caught:
        await work
    return caught.value.failure


async def test_a_session_starts_answers_and_stops(world: World, follower: Follower) -> None:
    await world.sessions.start(spec("one", HOME))
    answered = await world.sessions.status("one", "/user/one/", "token", 20)
    assert (answered.connections, answered.kernels) == (1, 2)
    assert (await world.sessions.use("one", "/user/one/", "token", 5)).busy == 1
    (one,) = await world.sessions.running()
    assert (one.session, one.limits) == ("one", replace(LIMITS, processes=0))
    assert await world.sessions.held("one") == one
    await world.sessions.stop("one", EndReason.IDLE)
    assert await world.sessions.running() == []
    assert await follower.ended("one") == SessionEnded("one", EndReason.IDLE, "nobody used it", None)
    assert {plural for plural, _ in world.cluster.things} == {"networkpolicies"}


async def test_stopping_what_is_gone_does_nothing(world: World) -> None:
    await world.sessions.stop("nobody", EndReason.STOPPED)


async def test_two_sessions_of_one_name_are_refused(world: World) -> None:
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    assert (await failing(world.sessions.start(spec("one", HOME)))).kind.code == "start.sandbox-failed"
    async with world.again() as other:  # which has not heard of it yet
        assert (await failing(other.start(spec("one", HOME)))).kind.code == "start.sandbox-failed"
    assert len(world.cluster.pods) == 1


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "A", "x" * 41], ids=["up", "slash", "empty", "upper", "long"])
async def test_a_name_that_could_be_a_path_is_refused(world: World, name: str) -> None:
    assert (await failing(world.sessions.start(spec(name, HOME)))).kind.code == "start.sandbox-failed"
    assert world.cluster.asked in ([], ["GET pods"], ["GET pods", "WATCH pods"])


async def test_a_crash_is_told_once_after_its_last_words_and_its_pod_goes(world: World, follower: Follower) -> None:
    await world.sessions.start(spec("one", HOME, "import sys; print('my last words'); sys.exit(7)"))
    ended = await follower.ended("one")
    assert ended == SessionEnded("one", EndReason.EXITED, "its server ended with exit code 7", 7)
    assert follower.lines("one") == ["my last words"]
    await until(lambda: not world.cluster.pods)
    assert follower.events[-1] == ended
    assert await world.sessions.running() == []
    with pytest.raises(ConnectionError):
        await world.sessions.status("one", "/", "", 1)


async def test_every_reader_hears_every_end_once(world: World) -> None:
    followers = [Follower(world.sessions) for _ in range(3)]
    for name in ("one", "two"):
        world.cluster.statuses[name] = running()
        await world.sessions.start(spec(name, HOME))
        world.cluster.change(name, status=terminated(1, "x"))
    for follower in followers:
        for name in ("one", "two"):
            await follower.ended(name)
            assert len(follower.ends(name)) == 1
            assert follower.lines(name) == ["x"]
        await follower.close()


async def test_an_end_that_no_reader_heard_waits_for_the_next_control_plane(world: World) -> None:
    world.cluster.statuses |= {"goes": running(), "stays": running()}
    await world.sessions.start(spec("goes", HOME))
    await world.sessions.start(spec("stays", HOME))
    world.cluster.change("goes", status=terminated(0))
    async with world.again() as other:
        follower = Follower(other)
        assert [one.session for one in await other.running()] == ["stays"]
        assert (await follower.ended("goes", 1)).exit_code == 0
        await until(lambda: len(world.cluster.pods) == 1)
        await follower.close()


async def test_an_end_that_no_reader_heard_waits_for_the_first_that_comes(world: World) -> None:
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    world.cluster.change("one", status=terminated(3))
    async with asyncio.timeout(10):
        while await world.sessions.held("one") is not None:
            await asyncio.sleep(0.01)
    assert len(world.cluster.pods) == 1
    follower = Follower(world.sessions)
    assert (await follower.ended("one", 5)).exit_code == 3
    await until(lambda: not world.cluster.pods)
    await follower.close()


ENDS = {
    "memory": (terminated(137, reason="OOMKilled"), EndReason.MEMORY, ""),
    "signal": (terminated(134), EndReason.EXITED, ""),
    "deadline": ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active on the node longer"},
                 EndReason.OLD, ""),
    "disk": ({"phase": "Failed", "reason": "Evicted", "message":
              'Pod ephemeral local storage usage exceeds the total limit of containers 80Mi. '}, EndReason.DISK, ""),
    "pressure": ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
                 EndReason.PAD_LOST, "cluster.pods-evicted"),
    "node's disk": ({"phase": "Failed", "reason": "Evicted", "message":
                     "The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi, available: 1Gi. "},
                    EndReason.PAD_LOST, "cluster.pods-evicted"),
    "no room after all": ({"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource"},
                          EndReason.PAD_LOST, "cluster.pod-unschedulable-full"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
async def test_why_it_ended_is_told(world: World, follower: Follower, name: str) -> None:
    said, reason, code = ENDS[name]
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    world.cluster.change("one", status=said)
    assert (await follower.ended("one")).reason is reason
    assert [one.failure.kind.code for one in follower.troubles("one")] == ([code] if code else [])
    await until(lambda: not world.cluster.pods)


async def test_a_pod_that_somebody_deletes_is_told_and_one_that_a_node_s_drain_does_too(
    world: World, follower: Follower
) -> None:
    world.cluster.statuses |= {"one": running(), "two": running()}
    for name in ("one", "two"):
        await world.sessions.start(spec(name, HOME))
    drained = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}
    world.cluster.change("one", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    world.cluster.change(
        "two", status={"conditions": [drained]}, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}
    )
    assert (await follower.ended("one")).detail == "somebody deleted its pod"
    assert (await follower.ended("two")).reason is EndReason.PAD_LOST
    assert (await follower.troubled("two")).failure.kind.code == "cluster.pods-evicted"


async def test_a_session_of_a_lost_node_is_over_though_its_pod_stands(world: World, follower: Follower) -> None:
    world.cluster.lost = {"one", "two"}
    for name in world.cluster.lost:
        world.cluster.statuses[name] = running()
        await world.sessions.start(spec(name, HOME))
    await world.sessions.stop("one", EndReason.OLD)
    assert (await follower.ended("one")).reason is EndReason.OLD
    tainted = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "lost"}
    marked = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.cluster.change("two", status={"conditions": [tainted]}, metadata=marked)
    assert (await follower.ended("two")).reason is EndReason.PAD_LOST
    assert await world.sessions.running() == []
    assert len(world.cluster.pods) == 2
    for name in ("one", "two"):
        world.cluster.remove("pods", world.cluster.pod(name)["metadata"]["name"])
    await until(lambda: not world.cluster.pods)
    assert [len(follower.ends(name)) for name in ("one", "two")] == [1, 1]


def waiting(reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "hostIP": "10.0.0.111", "containerStatuses": [{"name": "server", "state": state}]}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (waiting("ErrImagePull", 'failed to resolve reference "r/env": r/env: not found'), "cluster.image-not-found"),
        (waiting("ErrImagePull", "pull access denied, repository does not exist"), "cluster.image-pull-unauthorized"),
        (waiting("CreateContainerError", "context deadline exceeded"), "cluster.container-start-failed"),
        (terminated(128, "no such file", "StartError"), "cluster.container-start-failed"),
    ],
    ids=["no image", "no credentials", "runtime", "command"],
)
async def test_what_no_waiting_helps_fails_at_once_and_leaves_nothing(
    world: World, follower: Follower, said: dict[str, Any], code: str
) -> None:
    world.cluster.statuses["one"] = said
    failure = await failing(world.sessions.start(spec("one", HOME)))
    assert failure.kind.code == code
    assert failure.evidence
    await until(lambda: not world.cluster.pods)
    assert follower.events == []


async def test_a_pod_without_a_place_is_told_while_it_waits_and_runs_once_there_is_one(
    world: World, follower: Follower
) -> None:
    words = "0/2 nodes are available: 2 Insufficient memory. no new claims to deallocate, preemption: 0/2 nodes …"
    placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    world.cluster.statuses["one"] = {"phase": "Pending", "conditions": [placed]}
    starting = asyncio.create_task(world.sessions.start(spec("one", HOME)))
    told = await follower.troubled("one")
    assert told.failure.kind.code == "cluster.pod-unschedulable-full"
    assert told.failure.evidence[0].saw == words
    assert not starting.done()
    world.cluster.pod("one")["spec"]["nodeName"] = "node2"
    world.cluster.change("one", status=running())
    await starting
    assert len(follower.troubles("one")) == 1
    assert follower.progress("one") == [
        Queued(1, "no node has a place for it: 0/2 nodes are available: 2 Insufficient memory.")
    ]


async def test_who_waits_for_a_full_cluster_is_told_its_place_in_the_line_and_moves_up(
    world: World, follower: Follower
) -> None:
    def places(name: str) -> list[int]:
        return [one.position for one in follower.progress(name) if isinstance(one, Queued)]

    world.cluster.scheduler.memory = LIMITS.memory
    await world.sessions.start(spec("one", HOME))
    two = asyncio.create_task(world.sessions.start(spec("two", HOME)))
    await until(lambda: places("two") == [1])
    three = asyncio.create_task(world.sessions.start(spec("three", HOME)))
    await until(lambda: places("three") == [2])
    await world.sessions.stop("one", EndReason.STOPPED)
    await two
    await until(lambda: places("three") == [2, 1])
    await world.sessions.stop("two", EndReason.STOPPED)
    await three
    assert (places("one"), places("two")) == ([], [1])


async def test_a_placeholder_of_the_installation_gives_way_to_a_session_and_comes_back_after_it(
    world: World, follower: Follower
) -> None:
    limits = SessionSettings(memory=LIMITS.memory, disk=LIMITS.disk)
    engine, service = EngineSettings(namespace=NAMESPACE, placeholders=1), ServiceSettings(hosts=("b.example",))
    settings = Settings(engine=engine, session=limits, service=service)
    made = {one["kind"]: one for one in installing.manifests(settings, (), installing.Options(IMAGE))
            if one["metadata"]["name"].endswith("-placeholder")}  # fmt: skip
    priority = made["PriorityClass"]
    world.cluster.scheduler.priorities[priority["metadata"]["name"]] = priority["value"]
    world.cluster.scheduler.memory = LIMITS.memory
    world.cluster.deploy(made["Deployment"])

    def place_of_them() -> list[bool]:
        them = [one for one in world.cluster.pods if one["metadata"]["labels"][COMPONENT] == "placeholder"]
        return [bool(one["spec"].get("nodeName")) for one in them]

    await until(lambda: place_of_them() == [True])
    await world.sessions.start(spec("one", HOME))
    await until(lambda: place_of_them() == [False])
    assert [one.session for one in await world.sessions.running()] == ["one"], "nor is a placeholder a session"
    await world.sessions.stop("one", EndReason.STOPPED)
    await until(lambda: place_of_them() == [True])


async def test_what_a_server_says_while_it_starts_is_told_and_of_its_last_words_what_was_not(
    world: World, follower: Follower, tmp_path: Path
) -> None:
    over = tmp_path / "over"
    waits = f"import os, sys, time\nwhile not os.path.exists({str(over)!r}): time.sleep(0.01)\n"
    await world.sessions.start(spec("says", HOME, f"print('first', flush=True)\n{waits}print('last'); sys.exit(3)"))
    asking = asyncio.create_task(world.sessions.status("says", "/", "", 60))
    await until(lambda: follower.lines("says") == ["first"])
    over.touch()
    assert (await follower.ended("says")).exit_code == 3
    assert follower.lines("says") == ["first", "last"]
    with pytest.raises(ConnectionError):
        await asking


async def test_what_a_server_said_until_it_answered_is_not_told_again_at_its_end(
    world: World, follower: Follower, tmp_path: Path
) -> None:
    over = tmp_path / "over"
    ends = f"""
def end():
    while not os.path.exists({str(over)!r}): pass
    print("last", flush=True)
    os._exit(3)
threading.Thread(target=end, daemon=True).start()
"""
    await world.sessions.start(spec("one", HOME, SERVER.replace("while True:", f"{ends}while True:", 1)))
    await world.sessions.status("one", "/user/one/", "token", 20)
    over.touch()
    await follower.ended("one")
    assert follower.lines("one") == ["the server is up", "last"]


async def test_pulls_are_told_and_lines_of_pushing_are_no_words_of_a_server(world: World, follower: Follower) -> None:
    world.cluster.statuses["pushed"] = waiting("ContainerCreating", "")
    starting = asyncio.create_task(world.sessions.start(spec("pushed", HOME)))
    await until(lambda: world.cluster.pods)
    about = {"uid": world.cluster.pod("pushed")["metadata"]["uid"]}
    words = 'Successfully pulled image "registry.example/env" in 2.1s (2.1s including waiting). Image size: 123 bytes.'
    for reason, message in (("Pulling", "Pulling image"), ("Pulled", words)):
        event = {"metadata": {"name": reason, "uid": reason}, "involvedObject": about}
        world.cluster.things["events", reason] = {**event, "reason": reason, "message": message}
    await until(lambda: len(follower.progress("pushed")) == 3)
    world.cluster.change("pushed", status=running())
    await starting
    assert [one.line for one in follower.progress("pushed")] == ["Pushing a layer", "Pulling image", words]
    assert follower.lines("pushed") == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (waiting("ContainerCreating", ""), "cluster.pod-start-slow"),
        (waiting("ImagePullBackOff", "Back-off pulling image"), "cluster.image-pull-failed"),
    ],
    ids=["unknown", "known"],
)
async def test_one_that_does_not_run_in_time_fails_with_what_is_known_and_leaves_nothing(
    world: World, said: dict[str, Any], code: str
) -> None:
    world.cluster.statuses["one"] = said
    async with world.again(start_limit=0.5) as other:
        failure = await failing(asyncio.wait_for(other.start(spec("one", HOME)), 10))
        assert failure.kind.code == code
        await until(lambda: not world.cluster.pods)


async def test_a_pull_that_backs_off_is_told_by_its_events(world: World, follower: Follower) -> None:
    world.cluster.statuses["one"] = waiting("ImagePullBackOff", "Back-off pulling image")
    words = "Failed to pull image: 429 Too Many Requests - Server message: toomanyrequests"
    starting = asyncio.create_task(world.sessions.start(spec("one", HOME)))
    await until(lambda: world.cluster.pods)
    about = {"uid": world.cluster.pod("one")["metadata"]["uid"]}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Failed", "message": words}
    world.cluster.things["events", "e"] = event
    told = await follower.troubled("one", code="cluster.image-pull-rate-limited")
    assert told.failure.evidence[0].saw == words
    starting.cancel()
    await asyncio.wait([starting])
    await until(lambda: not world.cluster.pods)


def once(asked: str, answer: Callable[[], web.Response]) -> Callable[[str], web.StreamResponse | None]:
    left = [answer]
    return lambda now: left.pop()() if now == asked and left else None


QUOTA = 'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9'
QUOTA_CHANGED = (
    'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your changes to'
    " the latest version and try again"
)
UNSAID = 'pods "p" is forbidden: failed quota: q: must specify requests.ephemeral-storage for: session'
UNCOUNTED = 'pods "p" is forbidden: status unknown for quota: q, resources: limits.cpu,limits.memory'
TERMINATING = 'pods "p" is forbidden: unable to create new content in namespace s because it is being terminated'
RBAC = 'pods is forbidden: User "system:serviceaccount:s:perijove" cannot create resource "pods" in API group ""'
SECURITY = 'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
WEBHOOK = 'Internal error occurred: failed calling webhook "validate.kyverno.svc": connect: connection refused'
DENIED = 'admission webhook "validate.kyverno.svc" denied the request: no digests here'
LIMIT_RANGE = 'pods "p" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
POLICY_DENIED = "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'q' with binding 'b' denied request: no digests"
REFUSALS = {
    "quota in use": (409, "Conflict", QUOTA_CHANGED, {}, "cluster.api-busy"),
    "policy": (422, "Invalid", POLICY_DENIED, {}, "cluster.admission-refused"),
    "quota": (403, "Forbidden", QUOTA, {}, "cluster.resource-quota-exceeded"),
    "quota of what is not said": (403, "Forbidden", UNSAID, {}, "cluster.resource-quota-exceeded"),
    "quota not counted": (403, "Forbidden", UNCOUNTED, {}, "cluster.api-busy"),
    "namespace goes": (403, "Forbidden", TERMINATING, {}, "cluster.namespace-terminating"),
    "rights": (403, "Forbidden", RBAC, {}, "cluster.api-forbidden"),
    "account": (401, "Unauthorized", "Unauthorized", {}, "cluster.api-forbidden"),
    "pod security": (403, "Forbidden", SECURITY, {}, "cluster.admission-refused"),
    "webhook says no": (400, "BadRequest", DENIED, {}, "cluster.admission-refused"),
    "webhook is away": (500, "InternalError", WEBHOOK, {}, "cluster.webhook-down"),
    "invalid": (422, "Invalid", 'Pod "p" is invalid: spec.runtimeClassName', {}, "cluster.pod-refused"),
    "limit range": (403, "Forbidden", LIMIT_RANGE, {}, "cluster.pod-refused"),
    "gone": (410, "Gone", "the server no longer serves it", {}, "cluster.pod-refused"),
    "busy": (429, "TooManyRequests", "too many requests", {"Retry-After": "7"}, "cluster.api-busy"),
    "broken for a while": (503, "ServiceUnavailable", "later", {"Retry-After": "7"}, "cluster.api-busy"),
    "no number": (503, "ServiceUnavailable", "later", {"Retry-After": "\u00b2"}, "cluster.api-unreachable"),
    "broken": (500, "InternalError", "etcdserver: request timed out", {}, "cluster.api-unreachable"),
}


POLICY = "networkpolicies/perijove-sessions-none"


@pytest.mark.parametrize("asked", ["POST pods", "POST secrets", f"PATCH {POLICY}"])
@pytest.mark.parametrize("name", REFUSALS)
async def test_what_the_api_refuses_is_told_and_leaves_nothing(world: World, name: str, asked: str) -> None:
    code, reason, message, headers, wanted = REFUSALS[name]
    for _ in range(2):  # who is not known asks once more with a token that was read anew
        world.cluster.faults.append(once(asked, lambda: status(code, reason, message, headers)))
    failure = await failing(world.sessions.start(spec("one", HOME)))
    assert failure.kind.code == wanted
    assert message in failure.evidence[0].saw or wanted == "cluster.api-unreachable"
    assert failure.after == (float(headers.get("Retry-After", 5)) if wanted == "cluster.api-busy" else 0)
    await until(lambda: not world.cluster.pods)


async def test_a_removal_that_is_refused_as_gone_is_tried_again(world: World, follower: Follower) -> None:
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    world.cluster.faults.append(once("DELETE pods/perijove-one", lambda: status(410, "Gone", "no longer served")))
    world.cluster.change("one", status=terminated(0))
    await until(lambda: not world.cluster.pods)
    assert world.cluster.asked.count("DELETE pods/perijove-one") == 2


async def test_a_token_that_expired_is_read_anew(world: World) -> None:
    world.cluster.statuses["one"] = running()
    world.cluster.faults.append(once("POST pods", lambda: status(401, "Unauthorized", "Unauthorized")))
    await world.sessions.start(spec("one", HOME))
    assert world.cluster.asked.count("POST pods") == 2


async def test_an_api_that_is_away_for_a_while_costs_no_session_and_tells_afterwards(
    world: World, follower: Follower
) -> None:
    world.cluster.statuses |= {"stays": running(), "goes": running(), "unwanted": running()}
    for name in world.cluster.statuses:
        await world.sessions.start(spec(name, HOME))
    world.cluster.down = True
    world.cluster.cut()
    failure = await failing(world.sessions.running())
    assert failure.kind.code == "cluster.api-unreachable"
    assert (await failing(world.sessions.stop("unwanted", EndReason.OLD))).kind.code == "cluster.api-unreachable"
    assert await world.sessions.held("stays") is not None
    world.cluster.change("goes", status=terminated(3))
    world.cluster.down = False
    assert (await follower.ended("goes")).exit_code == 3
    assert (await follower.ended("unwanted")).reason is EndReason.OLD
    assert [one.session for one in await world.sessions.running()] == ["stays"]
    assert follower.ends("stays") == []


async def test_a_watch_is_taken_up_where_it_was_and_all_is_listed_where_that_is_gone(
    world: World, follower: Follower
) -> None:
    world.cluster.statuses |= {"one": running(), "two": running(), "three": running()}
    for name in world.cluster.statuses:
        await world.sessions.start(spec(name, HOME))
    lists = world.cluster.asked.count("GET pods")
    world.cluster.cut()
    world.cluster.change("one", status=terminated(1))
    await follower.ended("one")
    assert world.cluster.asked.count("GET pods") == lists
    world.cluster.cut()
    world.cluster.change("two", status=terminated(1))
    world.cluster.remove("pods", world.cluster.pod("three")["metadata"]["name"])
    world.cluster.forget()
    await follower.ended("two")
    assert (await follower.ended("three")).detail == "somebody deleted its pod"
    assert world.cluster.asked.count("GET pods") == lists + 1
    assert [len(follower.ends(name)) for name in world.cluster.statuses] == [1, 1, 1]


async def test_a_cluster_that_was_restored_from_a_backup_is_listed_again(world: World, follower: Follower) -> None:
    world.cluster.statuses |= {"one": running(), "two": running()}
    await world.sessions.start(spec("one", HOME))
    world.cluster.restore()
    await world.sessions.start(spec("two", HOME))
    world.cluster.change("one", status=terminated(1))
    await follower.ended("one")


async def test_a_control_plane_that_dies_while_it_starts_one_leaves_it_to_be_found(world: World) -> None:
    placed = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Too many pods."}
    world.cluster.statuses["one"] = {"phase": "Pending", "conditions": [placed]}
    starting = asyncio.create_task(world.sessions.start(spec("one", HOME)))
    await until(lambda: ("secrets", "perijove-one") in world.cluster.things)
    async with world.again() as other:
        assert [one.session for one in await other.running()] == ["one"]
        await other.stop("one", EndReason.FAILED_START)
    assert (await failing(starting)).kind.code == "start.sandbox-failed"
    assert not world.cluster.pods


async def test_a_secret_stands_in_no_pod_and_goes_with_it(world: World) -> None:
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    assert "the-session-secret" not in json.dumps(world.cluster.pod("one"))
    assert world.cluster.things["secrets", "perijove-one"]["stringData"]["SECRET"] == "the-session-secret"
    await world.sessions.stop("one", EndReason.STOPPED)
    assert ("secrets", "perijove-one") not in world.cluster.things


async def test_one_policy_stands_for_all_sessions_that_may_reach_the_same(world: World) -> None:
    for name, egress in (("one", Egress.PUBLIC), ("two", Egress.PUBLIC), ("three", Egress.NONE)):
        world.cluster.statuses[name] = running()
        await world.sessions.start(spec(name, HOME, egress=egress))
    assert sum(plural == "networkpolicies" for plural, _ in world.cluster.things) == 2
    assert world.cluster.asked.index("PATCH networkpolicies/perijove-sessions-public") < world.cluster.asked.index(
        "POST pods"
    )


async def test_what_an_uninstallation_removes_takes_sessions_along(world: World, follower: Follower) -> None:
    about = {"name": "perijove-closed", "uid": "uid-of-it"}
    world.cluster.things["networkpolicies", "perijove-closed"] = {"metadata": about}
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    world.cluster.remove("networkpolicies", "perijove-closed")
    assert (await follower.ended("one")).detail == "somebody deleted its pod"
    assert not world.cluster.pods


OWNER = "GET networkpolicies/perijove-closed"


async def test_where_a_role_of_before_may_not_look_who_owns_sessions_they_start_without(world: World) -> None:
    words = 'networkpolicies.networking.k8s.io is forbidden: User "s" cannot get resource "networkpolicies"'
    world.cluster.faults.append(once(OWNER, lambda: status(403, "Forbidden", words)))
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    assert "ownerReferences" not in world.cluster.pod("one")["metadata"]


async def test_where_nobody_says_who_owns_sessions_none_starts_that_an_uninstallation_would_leave(world: World) -> None:
    world.cluster.faults.append(once(OWNER, lambda: status(500, "InternalError", "etcd")))
    assert (await failing(world.sessions.start(spec("one", HOME)))).kind.code == "cluster.api-unreachable"
    assert not world.cluster.pods


async def test_a_policy_that_somebody_removed_is_back_with_the_next_session(world: World) -> None:
    world.cluster.statuses |= {"one": running(), "two": running()}
    await world.sessions.start(spec("one", HOME))
    del world.cluster.things["networkpolicies", "perijove-sessions-none"]
    await world.sessions.start(spec("two", HOME))
    assert ("networkpolicies", "perijove-sessions-none") in world.cluster.things


@pytest.mark.parametrize("enforces", [True, False])
async def test_whether_the_cluster_enforces_policies_is_tried_and_its_pod_is_no_session(
    world: World, enforces: bool
) -> None:
    world.cluster.enforces = enforces
    await asyncio.wait_for(world.sessions.try_policies(IMAGE), 40)
    address, _, port = world.cluster.address.rpartition(":")
    assert (await world.sessions.isolation()).open_policies == ("" if enforces else f"{address} port {port}")
    assert ("networkpolicies", "perijove-sessions-none") in world.cluster.things
    assert await world.sessions.running() == []
    await until(lambda: not world.cluster.pods)


async def test_it_asks_for_nothing_that_its_role_does_not_hold(world: World, tmp_path: Path) -> None:
    await test_a_pull_that_backs_off_is_told_by_its_events(world, follower := Follower(world.sessions))
    await test_what_a_server_says_while_it_starts_is_told_and_of_its_last_words_what_was_not(world, follower, tmp_path)
    await follower.close()
    await test_whether_the_cluster_enforces_policies_is_tried_and_its_pod_is_no_session(world, enforces=True)
    verbs = {"POST": "create", "GET": "list"}
    asked = [one.split() for one in world.cluster.asked]
    used = set()
    for verb, path in asked:
        plural = "pods/log" if path.endswith("/log") else path.partition("/")[0]
        used.add((plural, "get" if verb == "GET" and "/" in path else verbs.get(verb, verb.lower())))
    assert used <= {(plural, verb) for rule in RULES for plural in rule["resources"] for verb in rule["verbs"]}


async def test_what_a_cluster_cannot_do_is_refused_by_name(world: World) -> None:
    blank = replace(spec("one", HOME), home_from=None)
    named = spec("one", HOME, allowed=("mirror.example:443",))
    for work in (world.sessions.start(blank), world.sessions.start(named), world.sessions.fill("one", HOME)):
        assert (await failing(work)).kind.code == "cluster.session-cannot"
    assert not world.cluster.pods


async def test_a_list_without_an_end_is_given_up(world: World) -> None:
    endless = {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": []}
    world.cluster.faults.append(lambda now: web.json_response(endless) if now == "GET pods" else None)
    failure = await failing(world.sessions.running())
    assert (failure.kind.code, failure.evidence[0].saw) == (
        "cluster.api-unreachable", "the list has not ended after 100 pages",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "why", "limit"),
    [("exec sleep 60", "TimeoutError", 0.5), ("exit 3", "code 3", 50)],
    ids=["hangs", "fails"],
)
async def test_a_program_that_does_not_say_who_we_are_is_told(
    tmp_path: Path, program: str, why: str, limit: float
) -> None:
    """As the clouds' have it: `exec` in kubectl's configuration."""
    asks = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", program]}
    config = kubeconfig(tmp_path, "http://127.0.0.1:9", NAMESPACE)
    told = yaml.safe_load(config.read_text())
    told["users"][0]["user"] = {"exec": asks}
    config.write_text(yaml.safe_dump(told))
    cluster = Cluster(NAMESPACE, str(config), limit)
    async with aclosing(cluster.watch("", "1")) as watch:
        failure = await failing(asyncio.wait_for(anext(watch), 50))
    assert failure.kind.code == "cluster.api-unreachable"
    assert why in failure.evidence[0].saw
    assert (await failing(asyncio.wait_for(cluster.pods(""), 50))).kind.code == "cluster.api-unreachable"


async def test_a_thousand_sessions_are_two_pages_and_one_watch_and_bounded_memory(world: World) -> None:
    world.cluster.statuses["one"] = running()
    await world.sessions.start(spec("one", HOME))
    model, before = json.dumps(world.cluster.pod("one")), world.cluster.asked.count("GET pods")
    padding = [{"manager": "kubelet", "fieldsV1": {f"f:{number}": {} for number in range(100)}}]
    for number in range(1000):
        pod = json.loads(model.replace('-one"', f'-{number}"').replace('"one"', f'"{number}"'))
        pod["metadata"] |= {"uid": f"uid-{number}", "managedFields": padding}
        world.cluster.things["pods", pod["metadata"]["name"]] = pod
    world.cluster.forget()
    tracemalloc.start()
    world.cluster.cut()
    await until(lambda: world.cluster.asked.count("GET pods") == before + 3 and world.cluster.watching == 1)
    assert len(await world.sessions.running()) == 1001
    assert await world.sessions.held("999") is not None
    used, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 100 * MIB
    assert peak < 200 * MIB
    for name in [name for plural, name in world.cluster.things if plural == "pods" and name != "perijove-one"]:
        del world.cluster.things["pods", name]
