"""Images that nodes pull ahead: against an API that speaks the wire protocol, as sessions start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import RULES, Owner, Terms, Work
from perijove.backends.kubernetes.prepulling import KNOWN, Prepull, daemon_set_spec
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Room, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.registry_failures import OCI_UNREACHABLE
from perijove.domain.state import State
from perijove.launching.start.demand import REMEMBERED
from tests.fakes.confined import spec, until
from tests.fakes.kept_pods import keeping_in
from tests.fakes.pod_security import RESTRICTED
from tests.fakes.schemas import wrong_manifest
from tests.fakes.session_cluster import NAMESPACE, Json, SessionCluster, running, session_cluster, status
from tests.ways.conftest import World as Ways
from tests.ways.test_classes import BEFORE, CLOSED, MORNING, OPEN, prepared

pytestmark = pytest.mark.same_for_any_user

A, B, C = (f"registry.example/env@sha256:{letter * 64}" for letter in "abc")
TERMS = Terms(NAMESPACE, start_limit=10.0, runtime_class="gvisor", host_users=False, pull_secrets=("registry",))
NAME = "daemonsets/perijove-prepull"
FORBIDDEN = 'daemonsets.apps is forbidden: User "system:serviceaccount:s:p" cannot get resource "daemonsets"'


@dataclass
class World:
    """A cluster, and who has images pulled there."""

    cluster: SessionCluster
    api: Cluster
    now: float = 0.0
    unpublished: Failure | None = None
    """Why the registry takes nothing."""

    def prepull(self, most: int = 2, **more: Any) -> Prepull:
        async def owner() -> Owner:
            return Owner("networking.k8s.io/v1", "NetworkPolicy", "perijove-closed", "uid-of-it")

        return Prepull(self.api, TERMS, most, owner, self.publish, now=lambda: self.now, **more)

    async def publish(self, spec: SandboxSpec) -> str:
        """`B` is what sessions of classes have."""
        if self.unpublished:
            raise Fail(self.unpublished)
        return B

    @property
    def daemon_set(self) -> Json | None:
        return self.cluster.things.get(("daemonsets", "perijove-prepull"))

    @property
    def pulled(self) -> list[str]:
        """Image by image."""
        assert self.daemon_set is not None
        return [one["image"] for one in self.daemon_set["spec"]["template"]["spec"]["initContainers"]]

    @property
    def written(self) -> list[str]:
        return [one for one in self.cluster.asked if not one.startswith(("GET", "WATCH"))]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with session_cluster(tmp_path) as (cluster, config):
        api = Cluster(NAMESPACE, str(config))
        yield World(cluster, api)
        await api.close()


def ask(prepull: Prepull, *images: str) -> None:
    for image in images:
        prepull.asked(image)


async def test_what_is_asked_for_often_is_pulled_and_what_is_as_it_should_be_is_left_alone(world: World) -> None:
    prepull = world.prepull()
    ask(prepull, C, A, B, A, C)
    await prepull.look()
    assert world.pulled == [A, C]
    for _ in range(2):
        ask(prepull, C)
        await prepull.look()
    assert world.written == [f"PATCH {NAME}"]
    ask(prepull, B, B, B)
    await prepull.look()
    assert (world.pulled, world.written) == ([B, C], [f"PATCH {NAME}"] * 2)


async def test_what_nobody_asks_for_any_more_is_pulled_no_more(world: World) -> None:
    prepull = world.prepull()
    await prepull.look()
    ask(prepull, A, A)
    await prepull.look()
    world.now += REMEMBERED + 1
    await prepull.look()
    await prepull.look()
    assert (world.daemon_set, world.written) == (None, [f"PATCH {NAME}", f"DELETE {NAME}"])


async def test_who_has_just_begun_lets_what_stands_be_until_it_knows_better(world: World) -> None:
    ask(before := world.prepull(), A, A, B, B)
    await before.look()
    await (after := world.prepull()).look()
    assert world.written == [f"PATCH {NAME}"]
    ask(after, C, C)
    await after.look()
    assert world.pulled == [A, C]
    world.now += REMEMBERED
    ask(after, C, C)
    await after.look()
    assert world.pulled == [C]


async def test_with_none_to_be_pulled_it_is_gone_and_nobody_looks_any_more(world: World) -> None:
    ask(before := world.prepull(), A, A)
    await before.look()
    await asyncio.wait_for(world.prepull(0).run(), 10)
    assert world.daemon_set is None


async def test_with_none_to_be_pulled_nobody_has_to_have_the_right(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.cluster.faults.append(lambda asked: status(403, "Forbidden", FORBIDDEN))
    await asyncio.wait_for(world.prepull(0).run(), 10)
    assert (world.cluster.asked, capsys.readouterr().err) == ([f"GET {NAME}"], "")


async def test_other_terms_change_it_and_it_goes_with_what_an_uninstallation_removes(world: World) -> None:
    ask(before := world.prepull(), A, A)
    await before.look()
    world.cluster.things["networkpolicies", "perijove-closed"] = {"metadata": {"uid": "uid-of-it"}}

    async def nobody() -> None:
        return None

    await Prepull(world.api, TERMS, 2, nobody, world.publish).look()
    assert world.written == [f"PATCH {NAME}"], "its owner alone is no change"
    await Prepull(world.api, replace(TERMS, pull_secrets=()), 2, world.prepull()._owner, world.publish).look()
    assert world.written == [f"PATCH {NAME}"] * 2
    world.cluster.remove("networkpolicies", "perijove-closed")
    assert world.daemon_set is None


async def test_containers_that_a_webhook_adds_are_nobody_s_demand(world: World) -> None:
    ask(before := world.prepull(), A, A)
    await before.look()
    assert world.daemon_set is not None
    added = {"name": "proxy-init", "image": "proxy.example/init:1"}
    world.daemon_set["spec"]["template"]["spec"]["initContainers"].append(added)
    await world.prepull().look()
    assert world.written == [f"PATCH {NAME}"]


@pytest.fixture
async def ways(tmp_path: Path) -> AsyncIterator[Ways]:
    """A class that opens at 13:45 on Mondays and closes at 14:30."""
    (tmp_path / "ways").mkdir()
    ways = Ways(tmp_path / "ways")
    ways.set(launching__classes=(MORNING,), launching__ready=0)
    ways.clock.time = BEFORE
    async with ways.up():
        yield ways


async def test_what_is_built_ahead_of_a_class_is_pulled_before_all_else_while_the_class_is_open(
    world: World, ways: Ways
) -> None:
    prepull = world.prepull(1)
    prepull.classes = ways.way.pool.for_classes
    ask(prepull, A, A, A)
    for now, pulled in ((BEFORE, A), (OPEN, B), (OPEN + 60, B), (CLOSED, A)):
        ways.clock.time = now
        await prepared(ways)
        await prepull.look()
        assert world.pulled == [pulled]
    assert [launch.client for launch in ways.launches.list(9)] == ["class morning"], "nobody has launched it"


async def test_a_class_whose_image_cannot_be_published_is_told_once_and_holds_up_no_other(
    world: World, ways: Ways, capsys: pytest.CaptureFixture[str]
) -> None:
    world.unpublished = OCI_UNREACHABLE("it is away")
    prepull = world.prepull(2, look_every=0.01)
    prepull.classes = ways.way.pool.for_classes
    ask(prepull, A, A)
    ways.clock.time = OPEN
    await prepared(ways)
    looking = asyncio.create_task(prepull.run(), name="prepull")
    try:
        await until(lambda: world.cluster.asked.count(f"GET {NAME}") > 2)
        assert world.pulled == [A]
        assert capsys.readouterr().err.count("registry.unreachable") == 1
        world.unpublished = None
        await until(lambda: world.pulled == [A, B])
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def test_of_many_images_the_last_ones_are_remembered(world: World) -> None:
    prepull = world.prepull()
    ask(prepull, *(f"{number}" for number in range(2 * KNOWN)))
    assert len(prepull._asked) == KNOWN


@pytest.mark.parametrize("version", ["1.29", "1.31", "1.34"])
async def test_it_is_what_the_published_schema_holds(world: World, version: str) -> None:
    ask(prepull := world.prepull(), A, A, B, B)
    await prepull.look()
    assert world.daemon_set is not None
    assert wrong_manifest(world.daemon_set, version) == ""


@pytest.mark.parametrize("rule", RESTRICTED)
def test_its_pods_are_of_the_restricted_profile_and_of_no_session(rule: str) -> None:
    template = daemon_set_spec([A, B], TERMS)["template"]
    for one in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
        assert RESTRICTED[rule]({"spec": {**template["spec"], "containers": [one]}})
    assert template["spec"]["automountServiceAccountToken"] is False
    assert (template["spec"]["runtimeClassName"], template["spec"]["hostUsers"]) == ("gvisor", False)
    assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "prepull"


REFUSALS: dict[str, tuple[Callable[[], Any], str]] = {
    "rights": (lambda: status(403, "Forbidden", FORBIDDEN), "cluster.api-forbidden"),
    "conflict": (lambda: status(409, "Conflict", "the object has been modified"), "cluster.change-refused"),
    "invalid": (lambda: status(422, "Invalid", "spec.selector: field is immutable"), "cluster.change-refused"),
    "busy": (lambda: status(429, "TooManyRequests", "later", {"Retry-After": "7"}), "cluster.api-busy"),
    "broken": (lambda: status(500, "InternalError", "etcdserver: request timed out"), "cluster.api-unreachable"),
    "no namespace": (lambda: status(404, "NotFound", 'namespaces "s" not found'), "cluster.change-refused"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_the_api_refuses_is_a_failure_and_is_made_once_it_lets_it(world: World, name: str) -> None:
    answer, code = REFUSALS[name]
    ask(prepull := world.prepull(), A, A)
    world.cluster.faults.append(lambda asked: answer() if asked == f"PATCH {NAME}" else None)
    with pytest.raises(Fail) as caught:
        await prepull.look()
    assert (caught.value.failure.kind.code, world.daemon_set) == (code, None)
    world.cluster.faults.clear()
    await prepull.look()
    assert world.pulled == [A]


async def test_a_refusal_is_told_once_and_sessions_start_nevertheless(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    prepull = world.prepull(look_every=0.01)

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        prepull.asked(A)
        return Work(A)

    async def room_here() -> Room:
        return Room(1, 2, 3, 4)

    sessions = KubernetesSessions(world.api, TERMS, described, room_here, keeping_in(State(tmp_path), ConfinedCalls()))
    world.cluster.faults.append(
        lambda asked: status(403, "Forbidden", FORBIDDEN) if asked == f"GET {NAME}" else None
    )  # fmt: skip
    tasks = [asyncio.create_task(work, name="supervised") for work in (sessions.supervise(), prepull.run())]
    try:
        await until(lambda: world.cluster.asked.count(f"GET {NAME}") > 2)
        for session in ("one", "two"):
            world.cluster.statuses[session] = running()
            await sessions.start(spec(session, Path("/checkout")))
        told = [line for line in capsys.readouterr().err.splitlines() if "not pulled ahead" in line]
        assert len(told) == 1
        assert "cluster.api-forbidden" in told[0]
        assert FORBIDDEN.partition('"')[0] in told[0]
        world.cluster.faults.clear()
        await until(lambda: world.daemon_set is not None)
        assert [one.session for one in await sessions.running()] == ["one", "two"]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_it_asks_for_what_its_role_holds_and_the_role_holds_nothing_else(world: World) -> None:
    await test_what_nobody_asks_for_any_more_is_pulled_no_more(world)
    used = {one.split()[0].lower() for one in world.cluster.asked if one.endswith(NAME)}
    (rule,) = [one for one in RULES if "daemonsets" in one["resources"]]
    assert rule["apiGroups"] == ["apps"]
    # A patch of what is not there asks for `create` too (kubernetes.io/docs/reference/using-api/server-side-apply).
    assert {*rule["verbs"]} == {*used, "create"} == {"create", "delete", "get", "patch"}
