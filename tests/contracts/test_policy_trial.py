"""The trial of network policies: each way that it may end, against an API that speaks the wire protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from perijove.backends.kubernetes import policies, policy_trial
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import Owner, Terms
from perijove.domain.failures import Fail
from tests.fakes.confined import until
from tests.fakes.pod_security import RESTRICTED
from tests.fakes.schemas import wrong_manifest
from tests.fakes.session_cluster import NAMESPACE, SessionCluster, session_cluster, status, terminated

pytestmark = pytest.mark.same_for_any_user

IMAGE = f"registry.example/base@sha256:{'a' * 64}"
OWNER = Owner("networking.k8s.io/v1", "NetworkPolicy", "perijove-closed", "uid-of-it")
TERMS = Terms(NAMESPACE, owner=OWNER, runtime_class="gvisor", host_users=False, pull_secrets=("registry",))
POD = policy_trial.pod(IMAGE, TERMS, 180)


@dataclass
class World:
    cluster: SessionCluster
    api: Cluster

    async def tried(self, limit: float = 60, said: dict[str, Any] | None = None) -> str:
        """`said`: how its pod ends, in place of a process."""
        if said is not None:
            self.cluster.faults.append(lambda asked: self._ends(said) if asked == "GET pods" else None)
        return await policy_trial.reached(self.api, IMAGE, TERMS, limit)

    def _ends(self, said: dict[str, Any]) -> None:
        (pod,) = self.cluster.pods
        pod["status"] = said


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with session_cluster(tmp_path) as (cluster, config):
        api = Cluster(NAMESPACE, str(config))
        yield World(cluster, api)
        await until(lambda: not cluster.pods)
        await api.close()


@pytest.mark.parametrize(
    ("said", "reached"),
    [
        (terminated(0), ""),
        (terminated(3, "10.0.0.1 port 443\n"), "10.0.0.1 port 443"),
        (terminated(3), "what it did not say"),
    ],
    ids=["nothing", "the API", "something"],
)
async def test_what_it_reached_is_told(world: World, said: dict[str, Any], reached: str) -> None:
    assert await world.tried(said=said) == reached


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (terminated(127, "env: 'python3': No such file or directory"), "No such file"),
        (terminated(1), "ended otherwise"),
        ({"phase": "Failed", "reason": "Evicted"}, "Failed"),
    ],
    ids=["no Python", "otherwise", "evicted"],
)
async def test_one_that_ends_otherwise_says_nothing_of_policies(world: World, said: dict[str, Any], why: str) -> None:
    with pytest.raises(Fail) as caught:
        await world.tried(said=said)
    assert why in caught.value.failure.evidence[0].saw


QUOTA = 'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9'
REFUSALS: dict[str, tuple[str, Callable[[], web.Response], str]] = {
    "not let in": ("POST pods", lambda: status(403, "Forbidden", QUOTA), "cluster.resource-quota-exceeded"),
    "not looked at": ("GET pods", lambda: status(500, "InternalError", "etcd"), "cluster.api-unreachable"),
    "list too old": ("GET pods", lambda: status(410, "Expired", "too old"), "cluster.api-unreachable"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_the_api_refuses_is_told_and_leaves_nothing(world: World, name: str) -> None:
    where, answer, code = REFUSALS[name]
    world.cluster.faults.append(lambda asked: answer() if asked == where else None)
    with pytest.raises(Fail) as caught:
        await world.tried()
    assert caught.value.failure.kind.code == code


async def test_one_that_does_not_end_is_given_up_and_removed(world: World) -> None:
    with pytest.raises(Fail) as caught:
        await world.tried(0.5, {"phase": "Pending"})
    assert (caught.value.failure.kind.code, caught.value.failure.evidence[0].saw) == (
        "cluster.api-unreachable", "it has not ended within 0 s",
    )  # fmt: skip


async def test_a_removal_that_is_refused_loses_nothing_of_what_it_told(world: World) -> None:
    world.cluster.faults.append(
        lambda asked: status(500, "InternalError", "etcd") if asked.startswith("DELETE") else None
    )
    assert await world.tried(said=terminated(3, "it")) == "it"
    world.cluster.remove("pods", world.cluster.pods[0]["metadata"]["name"])


@pytest.mark.parametrize("version", ["1.29", "1.31", "1.34"])
def test_its_pod_is_what_the_published_schema_holds(version: str) -> None:
    assert wrong_manifest(POD, version) == ""


@pytest.mark.parametrize("rule", RESTRICTED)
def test_its_pod_is_of_the_restricted_profile(rule: str) -> None:
    assert RESTRICTED[rule](POD)


def test_its_pod_is_held_to_the_policy_of_sessions_that_reach_nothing_and_goes_with_an_uninstallation() -> None:
    labels = POD["metadata"]["labels"]
    policy = policies.policy(policy_trial.CLOSED, TERMS)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["egress"] == []
    assert (labels["perijove/trial"], "perijove/session" in labels) == ("policies", False)
    assert POD["metadata"]["ownerReferences"][0]["uid"] == OWNER.uid
    assert (POD["spec"]["runtimeClassName"], POD["spec"]["hostUsers"]) == ("gvisor", False)
