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

    def __init__(self, folder: Path, *system: str) -> None:
        """`system`: folders of this machine's, for images that have none."""
        self._folder = folder
        self._system = system
        self._pulled: dict[str, Path] = {}
        self._one_pull = asyncio.Lock()

    async def _image(self, name: str) -> Path:
        async with self._one_pull:
            if name not in self._pulled:
                self._pulled[name] = await fetched(name, self._folder / f"image-{len(self._pulled)}")
            return self._pulled[name]

    @asynccontextmanager
    async def container(self, pod: Json) -> AsyncIterator[Container]:
        """What is run of a pod, and where it is reached then."""
        container = pod["spec"]["containers"][0]
        image, own = await self._image(container["image"]), self._folder / pod["metadata"]["name"]
        (image / "home/jovyan").mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copytree, image / "home/jovyan", own, symlinks=True)
        reached = {one["containerPort"]: free_port() for one in container.get("ports", ())}
        others = {f"{key}{port}": f"{key}{other}" for port, other in reached.items() for key in ("", "files=")}
        words = [others.get(word, word) for word in container["command"]]
        volumes = (one["mountPath"] for one in container.get("volumeMounts", ()))
        command = [
            str(bubblewrap(self._folder, copied=False)),
            *("--overlay-src", str(image), "--tmp-overlay", "/"),
            *(word for path in self._system for word in ("--ro-bind", path, path)),
            *("--bind", str(own), "/home/jovyan", "--proc", "/proc", "--dev", "/dev"),
            *(word for path in volumes if path != "/tmp" for word in ("--tmpfs", path)),
            *("--unshare-user", "--unshare-pid", "--as-pid-1", "--uid", "1000", "--gid", "1000"),
            *("--chdir", container.get("workingDir", "/"), "--die-with-parent", *words),
        ]
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        relays = set[asyncio.Task[None] | None]()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_cut, relays)
            for port, other in reached.items():
                await stack.enter_async_context(await asyncio.start_server(_to(other, relays), address, port))
            yield Container(command, address)


def _to(port: int, relays: set[asyncio.Task[None] | None]) -> Any:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(asyncio.current_task())
        ends = [writer]
        try:
            there, onward = await _listening(port)
            ends.append(onward)
            await asyncio.gather(_moved(reader, onward), _moved(there, writer), return_exceptions=True)
        except (TimeoutError, asyncio.CancelledError):  # the container is over
            return
        finally:
            for one in ends:
                one.transport.abort()
            relays.discard(asyncio.current_task())

    return relay


async def _cut(relays: set[asyncio.Task[None] | None]) -> None:
    for task in (tasks := [task for task in relays if task]):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
