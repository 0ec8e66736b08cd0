"""The port ForeignCode in a cluster: an API's double, and a node that runs what images hold on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.builds import ClusterBuilds
from perijove.backends.kubernetes.manifests import Owner, Terms
from perijove.backends.registry.session_images import SessionImages
from perijove.domain.nouns import ForeignRun
from perijove.domain.ports import Tell
from perijove.domain.ran import Ran
from perijove.domain.state import State
from tests.fakes.docker_registry import repository_at
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.image_node import ImageNode
from tests.fakes.ports import free_port
from tests.fakes.session_cluster import NAMESPACE, SessionCluster, session_cluster

TERMS = Terms(NAMESPACE, start_limit=60.0)


@dataclass
class Jobs:
    """Runs each on a system that holds nothing of its own."""

    builds: ClusterBuilds
    cluster: SessionCluster
    system: Path
    here: UnconfinedForeignCode
    pushing: list[str]
    """What was told of images."""

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        return await self.builds.run(replace(run, root=(self.system,)), into, tell)

    @property
    def left(self) -> list[str]:
        """What of runs is there."""
        return [plural for plural, _ in self.cluster.things if plural in {"jobs", "secrets", "pods"}]


@asynccontextmanager
async def jobs(state: State, folder: Path, registry: str, **changed: Any) -> AsyncIterator[Jobs]:
    """`registry`: its address; `changed`: terms."""
    system = folder / "system"
    (system / "opt").mkdir(parents=True)
    (folder / "node").mkdir()
    images = SessionImages(repository_at(registry, "builds"), "", state.image_layers)
    here, confined = UnconfinedForeignCode(), ConfinedCalls()
    terms = replace(TERMS, port=free_port(), **changed)

    pushing: list[str] = []

    async def image(run: ForeignRun, tell: Tell) -> str:
        return await images.of_run(run, pushing.append)

    async def owner() -> Owner | None:
        return None

    async with session_cluster(folder) as (cluster, config):
        cluster.container = ImageNode(folder / "node", "/usr", "/bin", "/lib", "/lib64", "/etc").container
        api = Cluster(NAMESPACE, str(config))
        try:
            yield Jobs(ClusterBuilds(api, terms, image, owner, confined, here), cluster, system, here, pushing)
        finally:
            confined.close()
            await api.close()
