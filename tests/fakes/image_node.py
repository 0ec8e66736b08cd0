"""A node of a cluster: pulls a pod's image from its registry, unpacks it, and runs the container in it, by bubblewrap.

Each pod has an address of its own on loopback, where it is reached at the port that it says. In the container, which
shares this machine's network, another port stands in its place. `/tmp` is the image's own, where tests have their state
directories, and no volume.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from perijove.backends.environments.installer import Room
from perijove.backends.environments.system import registry as pulling
from perijove.backends.environments.system import unpacking
from perijove.backends.pad.tools import bubblewrap
from perijove.domain.system_settings import Image
from tests.fakes.ports import free_port
from tests.fakes.session_cluster import Container, Json, SessionCluster, session_cluster

ROOM = Room(1 << 32, 1_000_000)


async def fetched(image: str, folder: Path) -> Path:
    """An image's files, as our own client fetches and unpacks any image."""
    folder.mkdir()
    name, _, digest = image.partition("@")
    host, _, path = name.partition("/")
    layers = await pulling.fetched(Image(host, path, digest), folder, ROOM, tell=print)
    await asyncio.to_thread(unpacking.unpacked, layers, folder / "root", ROOM)
    return folder / "root"


class ImageNode:
    """Its pods' images lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pulled: dict[str, Path] = {}
        self._one_pull = asyncio.Lock()

    @asynccontextmanager
    async def container(self, pod: Json) -> AsyncIterator[Container]:
        """What is run of a pod, and where it is reached then."""
        container = pod["spec"]["containers"][0]
        image = container["image"]
        async with self._one_pull:
            if image not in self._pulled:
                self._pulled[image] = await fetched(image, self._folder / f"image-{len(self._pulled)}")
        own = self._folder / pod["metadata"]["name"]
        (home := self._pulled[image] / "home/jovyan").mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copytree, home, own, symlinks=True)
        port, reached = free_port(), [one["containerPort"] for one in container.get("ports", ())]
        words = [f"{port}" if word in map(str, reached) else word for word in container["command"]]
        command = [
            *(str(bubblewrap(self._folder, copied=False)), "--bind", str(self._pulled[image]), "/"),
            *("--bind", str(own), "/home/jovyan", "--proc", "/proc", "--dev", "/dev"),
            *("--tmpfs", "/dev/shm", "--unshare-user", "--unshare-pid", "--uid", "1000", "--gid", "1000"),
            *("--chdir", container.get("workingDir", "/"), "--die-with-parent", *words),
        ]
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        async with AsyncExitStack() as stack:
            for one in reached:
                await stack.enter_async_context(await asyncio.start_server(_to(port), address, one))
            yield Container(command, address)


def _to(port: int) -> Any:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await _listening(port)
        except TimeoutError:
            writer.transport.abort()
            return
        await asyncio.gather(_moved(reader, there[1]), _moved(there[0], writer), return_exceptions=True)

    return relay


async def _listening(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As soon as anything does. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)


async def _moved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


class Running:
    """A cluster that runs in a thread, for tests that wait in their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cluster: SessionCluster, kubeconfig: Path) -> None:
        self._loop = loop
        self.cluster = cluster
        self.kubeconfig = kubeconfig

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Something in the cluster's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Running]:
    """A cluster of one node."""
    up, over, found = threading.Event(), asyncio.Event(), list[Running]()

    async def run() -> None:
        async with session_cluster(folder) as (cluster, config):
            cluster.container = ImageNode(folder).container
            found.append(Running(asyncio.get_running_loop(), cluster, config))
            up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="cluster")
    thread.start()
    try:
        assert up.wait(30)
        yield found[0]
    finally:
        found[0]._loop.call_soon_threadsafe(over.set)
        thread.join(60)
