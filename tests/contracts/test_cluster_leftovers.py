"""What a control plane leaves in its cluster when it is killed, at each moment, and what the next one makes of that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes import leftovers
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import COMPONENT, EGRESS, Terms, Work, selector
from perijove.backends.kubernetes.prepulling import Prepull
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Ready
from perijove.domain.failures import Fail
from perijove.domain.keys import Keys
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Room, SandboxSpec, Session
from perijove.domain.ports import Tell
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.launching.start.sessions import SessionKeeper
from perijove.wiring.given import SystemClock
from tests.fakes.confined import spec, until
from tests.fakes.kept_pods import keeping_in
from tests.fakes.ports import free_port
from tests.fakes.session_cluster import NAMESPACE, SessionCluster, session_cluster, status

pytestmark = [pytest.mark.same_for_any_user, pytest.mark.timeout(300)]

IMAGE = f"registry.example/env@sha256:{'a' * 64}"
HOME = Path("/checkout")
REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://github.com/o/r", "HEAD", "r"), "1" * 40, "refs/heads/main")


@dataclass
class Plane:
    """What of a control plane touches its cluster, as `wiring` joins it."""

    api: Cluster
    terms: Terms
    sessions: KubernetesSessions
    keeper: SessionKeeper
    journal: Journal

    async def begin(self) -> None:
        """As at each start."""
        await self.keeper.recover()
        await leftovers.sweep(self.api, self.terms)
        await self.prepull(0).run()

    def prepull(self, most: int) -> Prepull:
        async def publish(spec: SandboxSpec) -> str:
            return IMAGE

        return Prepull(self.api, self.terms, most, self.sessions.owner, publish)

    async def live(self) -> None:
        """All that makes anything in the cluster; of two sessions one is over at the end, and one is used."""
        await self.sessions.try_policies(IMAGE)
        prepull = self.prepull(1)
        prepull.asked(IMAGE)
        prepull.asked(IMAGE)
        await prepull.look()
        for number, (name, allowed) in enumerate({"over": (), "used": ("192.0.2.1:443",)}.items()):
            session = Session(name, number, REPO, "environment", 0.0)
            async with aclosing(self.keeper.started(session, spec(name, HOME, allowed=allowed))) as told:
                async for _ in told:
                    continue
            self.journal.append(f"launch/{number}", Ready(name, session.path))
            if name == "over":
                await self.keeper.stop(name, EndReason.IDLE)


@asynccontextmanager
async def plane(config: Path, terms: Terms) -> AsyncIterator[Plane]:
    """One that runs; on leaving it is cut off."""

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        return Work(IMAGE)

    async def room_here() -> Room:
        return Room(1, 2, 3, 4)

    api, clock, settings = Cluster(NAMESPACE, str(config)), SystemClock(), Settings()
    confined = ConfinedCalls()
    sessions = KubernetesSessions(api, terms, described, room_here, keeping_in(State(config.parent), confined))
    with closing(confined), closing(SqliteLedger(config.parent / "perijove.db")) as ledger:
        journal = Journal(ledger, clock, lambda: settings.journal)
        keeper = SessionKeeper(sessions, journal, Keys(b"s" * 32), clock, lambda: settings)
        tasks = [asyncio.create_task(work, name="supervised") for work in (sessions.supervise(), keeper.watch())]
        try:
            yield Plane(api, terms, sessions, keeper, journal)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await api.close()


class Killer:
    """After so many changes nothing that the control plane asks for is done any more."""

    def __init__(self, cluster: SessionCluster, after: int) -> None:
        self.made: list[str] = []
        self.killed = asyncio.Event()
        self._cluster, self._after = cluster, after
        cluster.faults.append(self._heard)

    def _heard(self, asked: str) -> web.StreamResponse | None:
        if not asked.startswith(("GET", "WATCH")):
            self.made.append(re.sub(r"-[0-9a-f]{8,12}$", "", asked))
            self._cluster.down = len(self.made) == self._after
            if self._cluster.down:
                self.killed.set()
        return None


MADE = [
    "PATCH networkpolicies/perijove-sessions-none", "POST pods", "DELETE pods/perijove-policy-trial",
    "PATCH daemonsets/perijove-prepull",
    "PATCH networkpolicies/perijove-sessions-none", "POST pods", "POST secrets", "DELETE pods/perijove-over",
    "PATCH networkpolicies/perijove-sessions", "POST pods", "POST secrets",
]  # fmt: skip
"""Changes that it makes, from its start on."""


@pytest.mark.parametrize("after", range(1, len(MADE) + 2))
async def test_wherever_it_is_killed_the_next_start_leaves_what_is_used_and_nothing_else(
    tmp_path: Path, after: int
) -> None:
    terms = Terms(NAMESPACE, port=free_port(), files_port=free_port(), start_limit=20.0, grace=1, end_limit=5.0)
    async with session_cluster(tmp_path) as (cluster, config):
        killer = Killer(cluster, after)
        async with plane(config, terms) as first:
            living = asyncio.create_task(first.live(), name="a control plane's life")
            dying = asyncio.create_task(killer.killed.wait(), name="its end")
            await asyncio.wait({living, dying}, return_when=asyncio.FIRST_COMPLETED)
            cluster.down = True
            cluster.cut()
            for task in (living, dying):
                task.cancel()
            await asyncio.wait({living, dying})
        assert killer.made == MADE[:after]
        cluster.faults.clear()
        cluster.down = False
        async with plane(config, terms) as second:
            await second.begin()
            used = {"used"} if after > len(MADE) else set[str]()
            assert {*second.keeper.names} == used
            await until(lambda: len(cluster.pods) == len(used))
            await leftovers.sweep(second.api, terms)  # what held for a pod that still ended goes with the start after
            keys = [one["metadata"]["labels"][EGRESS] for one in cluster.pods]
            policies = [("networkpolicies", f"perijove-sessions-{key}") for key in keys]
            theirs = [(plural, f"perijove-{name}") for name in used for plural in ("pods", "secrets")]
            assert {*cluster.things} == {*theirs, *policies}


async def test_policies_of_builds_go_too_but_for_those_of_pods_that_stand(tmp_path: Path) -> None:
    terms = Terms(NAMESPACE)
    async with session_cluster(tmp_path) as (cluster, config), plane(config, terms) as one:

        def there(plural: str, name: str, component: str, key: str) -> None:
            labels = {**selector(terms), COMPONENT: component, EGRESS: key}
            cluster.things[plural, name] = {"metadata": {"name": name, "uid": f"uid of {name}", "labels": labels}}

        for component in ("session", "build"):
            there("networkpolicies", f"{component}s-used", component, "used")
            there("networkpolicies", f"{component}s-other", component, "other")
        there("pods", "build", "build", "used")
        await leftovers.sweep(one.api, terms)
        assert {*cluster.things} == {("pods", "build"), ("networkpolicies", "builds-used")}


def _answered(asked: str, answer: Callable[[], web.Response], now: str) -> web.StreamResponse | None:
    return answer() if now == asked else None


async def test_what_the_api_refuses_of_it_is_told(tmp_path: Path) -> None:
    terms = Terms(NAMESPACE)
    words = 'networkpolicies.networking.k8s.io is forbidden: User "s" cannot list resource "networkpolicies"'
    async with session_cluster(tmp_path) as (cluster, config), plane(config, terms) as one:
        answers = {
            "GET networkpolicies": (lambda: status(403, "Forbidden", words), "cluster.api-forbidden"),
            "GET pods": (lambda: status(410, "Expired", "the list took too long"), "cluster.api-unreachable"),
        }
        for asked, (answer, code) in answers.items():
            cluster.faults[:] = [partial(_answered, asked, answer)]
            with pytest.raises(Fail) as caught:
                await leftovers.sweep(one.api, terms)
            assert caught.value.failure.kind.code == code
