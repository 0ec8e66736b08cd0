"""Sessions as pods whose root is this machine's and whose home is a copy of their checkout, with an image's times."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.keeping import Keeping
from perijove.backends.kubernetes.manifests import SESSION, Terms, Work
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.images import TIME
from perijove.domain.nouns import Room, SandboxSpec, SessionName
from perijove.domain.ports import Tell
from perijove.domain.state import State
from tests.fakes.image_node import ImageNode, to
from tests.fakes.session_cluster import NAMESPACE, Container, Json, SessionCluster, session_cluster

IMAGE = f"registry.example/env@sha256:{'a' * 64}"


class HomeNode(ImageNode):
    """Their sockets lie where those of sandboxes do, so that tests reach into both by one way."""

    def __init__(self, state: State, folder: Path) -> None:
        super().__init__(folder)
        self._state = state
        self.homes: dict[SessionName, Path] = {}

    async def root(self, pod: Json, home: Path) -> Sequence[str]:
        session = pod["metadata"]["labels"][SESSION]
        shutil.copytree(self.homes[session], home, symlinks=True)
        for folder, _, names in os.walk(home):
            for name in (".", *names):
                os.utime(Path(folder, name), (TIME, TIME), follow_symlinks=False)
        return "--ro-bind", "/", "/", "--tmpfs", "/home"

    @asynccontextmanager
    async def container(self, pod: Json) -> AsyncIterator[Container]:
        path = self._state.session_sockets / f"{pod['metadata']['labels'][SESSION]}.sock"
        async with (
            super().container(pod) as container,
            await asyncio.start_unix_server(to(8888, container.address), path),
        ):
            yield container


def keeping_in(state: State, confined: ConfinedCalls) -> Keeping:
    """As a service has it; its folders are made."""
    state.unsealed.mkdir(0o710, parents=True, exist_ok=True)
    confined.let_through(state.unsealed)
    return Keeping(state, confined, lambda session: f"files-of-{session}", 8889)


@asynccontextmanager
async def home_cluster(state: State) -> AsyncIterator[tuple[SessionCluster, HomeNode, Path]]:
    """One of such a node, and kubectl's configuration for it."""
    with TemporaryDirectory(prefix="perijove-node-") as folder:
        node = HomeNode(state, Path(folder))
        async with session_cluster(Path(folder)) as (cluster, kubeconfig):
            cluster.container = node.container
            yield cluster, node, kubeconfig


@asynccontextmanager
async def supervised(sessions: KubernetesSessions, api: Cluster) -> AsyncIterator[None]:
    """With the task that follows pods; whoever asks the cluster for them is closed afterwards."""
    supervising = asyncio.create_task(sessions.supervise(), name="supervision")
    try:
        yield
    finally:
        supervising.cancel()
        await asyncio.wait([supervising])
        await api.close()


@asynccontextmanager
async def control_plane(state: State, node: HomeNode, kubeconfig: Path) -> AsyncIterator[KubernetesSessions]:
    """As a killed one leaves it, in the end."""

    async def described(spec: SandboxSpec, tell: Tell) -> Work:
        assert spec.home_from is not None
        node.homes[spec.session] = spec.home_from
        return Work(IMAGE)

    async def room_here() -> Room:
        return Room(1, 2, 3, 4)

    confined, api = ConfinedCalls(), Cluster(NAMESPACE, str(kubeconfig))
    keeping = keeping_in(state, confined)
    sessions = KubernetesSessions(api, Terms(NAMESPACE, grace=1, end_limit=1.0), described, room_here, keeping)
    with closing(confined):
        async with supervised(sessions, api):
            yield sessions
