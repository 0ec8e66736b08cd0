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
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
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
        container, own = pod["spec"]["containers"][0], self._folder / pod["metadata"]["name"]
        root = await self.root(pod, own)
        ports = {one["containerPort"]: free_port() for one in container.get("ports", ())}
        instead = {f"{name}{port}": f"{name}{ours}" for port, ours in ports.items() for name in ("", "port=", "files=")}
        words = [instead.get(word, word) for word in container["command"]]
        volumes = (one["mountPath"] for one in container.get("volumeMounts", ()))
        command = [
            *(str(bubblewrap(self._folder, copied=False)), *root),
            *(word for path in (*self._system, "/etc/hosts", "/etc/resolv.conf") for word in ("--ro-bind", path, path)),
            *("--bind", str(own), "/home/jovyan", "--proc", "/proc", "--dev", "/dev"),
            *(word for path in volumes if path != "/tmp" for word in ("--tmpfs", path)),
            *("--unshare-user", "--unshare-pid", "--as-pid-1", "--uid", "1000", "--gid", "1000"),
            *("--chdir", container.get("workingDir", "/"), "--die-with-parent", *words),
        ]
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        relays = set[asyncio.Task[None]]()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_cut, relays)
            for port, ours in ports.items():
                there = await asyncio.start_server(to(ours, relays=relays), address, port)
                await stack.enter_async_context(there)
            yield Container(command, address, ports)
        await asyncio.to_thread(shutil.rmtree, own)

    async def root(self, pod: Json, home: Path) -> Sequence[str]:
        """What bubblewrap is told of its root; its home is copied."""
        image = await self._image(pod["spec"]["containers"][0]["image"])
        (image / "home/jovyan").mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(shutil.copytree, image / "home/jovyan", home, symlinks=True)
        return "--overlay-src", str(image), "--tmp-overlay", "/"


def to(port: int, host: str = "127.0.0.1", relays: set[asyncio.Task[None]] | None = None) -> Any:
    """Relays to there, each one of `relays` while it lasts."""
    relays = set() if relays is None else relays

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            there, onward = await _listening(port, host)
            ends.append(onward)
            await asyncio.gather(_moved(reader, onward), _moved(there, writer), return_exceptions=True)
            # What was written last may still be on its way, which cutting both would lose.
            await asyncio.gather(*(one.wait_closed() for one in ends), return_exceptions=True)
        except (TimeoutError, asyncio.CancelledError):  # the container is over
            for one in ends:
                one.transport.abort()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(task := asyncio.create_task(relay(reader, writer), name="relay"))
        task.add_done_callback(relays.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # also where it was cut before it began

    return accepted


async def _cut(relays: set[asyncio.Task[None]]) -> None:
    if relays:
        await asyncio.wait(relays, timeout=2)  # what is on its way arrives
    for task in (tasks := [*relays]):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _listening(port: int, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As soon as anything does. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection(host, port)
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

    def remove(self, session: str) -> None:
        """A pod, without warning."""

        async def removed() -> None:
            self.cluster.remove("pods", self.cluster.pod(session)["metadata"]["name"])

        self.do(removed())


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
