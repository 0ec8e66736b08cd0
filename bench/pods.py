"""Sessions as pods: our own share of a start, a thousand pods in memory, an environment packed and pushed.

The cluster is the tests' double, which answers and starts containers as late as it is told; the registry is a real one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from perijove.backends.confined import ConfinedCalls
from perijove.backends.kubernetes import manifests
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.manifests import Terms, Work
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.backends.registry.client import connected
from perijove.backends.registry.contents import contents
from perijove.backends.registry.publishing import Publishing
from perijove.domain.nouns import Environment, Overlay, Room, SandboxSpec
from perijove.domain.ports import Tell
from perijove.domain.state import State
from tests.fakes.confined import spec
from tests.fakes.docker_registry import repository_at, running_registry
from tests.fakes.kept_pods import keeping_in
from tests.fakes.session_cluster import NAMESPACE, SessionCluster, running, session_cluster

ANSWERS_IN, RUNS_IN = 0.02, 1.0
"""Seconds that the double takes for an answer, and until a container runs."""
ASKED = 3
"""Answers that a start waits for: owner, policy, pod; that of the Secret comes while the container is started."""
AT_ONCE, MANY = 50, 1000
OWN_SHARE, PUSHED, PUSHED_AGAIN, MEMORY = 0.05, 5.0, 1.0, 200.0
SCIENCE = ("numpy", "pandas", "matplotlib")
IMAGE = f"registry.example/env@sha256:{'a' * 64}"
CHILD = """
import asyncio, pathlib, sys, tempfile, psutil
import perijove.wiring.service, perijove.wiring.visiting, perijove.wiring.pods
from perijove.backends.kubernetes.api import Cluster
from perijove.backends.kubernetes.keeping import Keeping
from perijove.backends.kubernetes.manifests import Terms
from perijove.backends.kubernetes.sessions import KubernetesSessions
from perijove.domain.state import State
async def main(namespace, config, many):
    state = State(pathlib.Path(tempfile.mkdtemp()))
    state.unsealed.mkdir(parents=True)
    keeping = Keeping(state, None, str, 0)
    sessions = KubernetesSessions(Cluster(namespace, config), Terms(namespace), None, None, keeping)
    supervised = asyncio.create_task(sessions.supervise())
    while len(sessions._pods.now) < many:
        await asyncio.sleep(0.1)
    assert len(await sessions.running()) == many
    print(psutil.Process().memory_full_info().uss / 2**20)
    supervised.cancel()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""
"""A control plane's modules, and what it knows of so many pods."""


def pods(bench: Bench, runs: int, patience: float) -> Part:
    """Starts one by one and many at once, memory, then pushes."""
    part = Part("pods", "Sessions as pods")
    folder = bench.root / "pods"
    folder.mkdir()
    machine.quiet(patience)
    alone, together, busy = asyncio.run(_started(folder, runs))
    used, watches = asyncio.run(_many(folder))
    part.rows = [
        Row("a start, beside what the cluster takes", alone, target=OWN_SHARE),
        Row(f"the same, {AT_ONCE} at once", together, target=OWN_SHARE),
        Row("processor time of each of these, the double's part included", [busy], target=OWN_SHARE),
        Row(f"control plane, {MANY} pods", [used], target=MEMORY, unit="MB"),
        Row("watches of pods", [watches], target=1, unit=""),
    ]
    first, second = _pushed(bench, folder, runs, patience)
    part.rows += [
        Row(f"{', '.join(SCIENCE)}: packed and pushed", first, target=PUSHED),
        Row("the same and one package", second, target=PUSHED_AGAIN),
    ]
    part.notes.append(f"The double answers after {ANSWERS_IN} s, runs containers after {RUNS_IN} s, in our process.")
    return part


async def _started(folder: Path, runs: int) -> tuple[list[float], list[float], float]:
    """Seconds of starts beside those of the cluster: one by one, then many at once; seconds of a processor for each."""

    async def described(_: SandboxSpec, tell: Tell) -> Work:
        return Work(IMAGE)

    async def room() -> Room:
        return Room(None, 0, 0, None)

    async with session_cluster(folder) as (cluster, config):
        keeping = keeping_in(State(folder), ConfinedCalls())
        sessions = KubernetesSessions(Cluster(NAMESPACE, str(config)), Terms(NAMESPACE), described, room, keeping)
        supervised = asyncio.create_task(sessions.supervise(), name="supervision")

        async def start(name: str) -> float:
            cluster.statuses[name] = running()
            began = time.monotonic()
            await sessions.start(spec(name, Path("/")))
            return time.monotonic() - began - ASKED * ANSWERS_IN - RUNS_IN

        await start("warm")
        cluster.answers_in, cluster.runs_in = ANSWERS_IN, RUNS_IN
        alone = [await start(f"alone-{number}") for number in range(runs)]
        began = time.process_time()
        together = await asyncio.gather(*(start(f"together-{number}") for number in range(AT_ONCE)))
        busy = (time.process_time() - began) / AT_ONCE
        supervised.cancel()
        await asyncio.wait([supervised])
    return alone, list(together), busy


async def _many(folder: Path) -> tuple[float, int]:
    """Megabytes of a control plane's modules and of what it knows of many pods, and how many watches it had."""
    async with session_cluster(folder) as (cluster, config):
        _filled(cluster)
        words = (sys.executable, "-c", CHILD, NAMESPACE, str(config), f"{MANY}")
        child = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
        told, _ = await child.communicate()
        assert child.returncode == 0
    return float(told), cluster.asked.count("WATCH pods")


def _filled(cluster: SessionCluster) -> None:
    """With pods as a real API tells them, who wrote which field included."""
    padding = [{"manager": "kubelet", "fieldsV1": {f"f:{number}": {} for number in range(100)}}]
    for number in range(MANY):
        pod = json.loads(json.dumps(_model(f"{number}")))
        pod["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": "1", "managedFields": padding}
        cluster.things["pods", pod["metadata"]["name"]] = pod


def _model(name: str) -> dict[str, object]:
    made = manifests.pod(spec(name, Path("/")), Work(IMAGE), Terms(NAMESPACE))
    return {**made, "status": running()}


def _pushed(bench: Bench, folder: Path, runs: int, patience: float) -> tuple[list[float], list[float]]:
    """Seconds of two environments that our service built, each run to a repository that has nothing."""
    asked = {"first": SCIENCE, "second": (*SCIENCE, "six")}
    made = [_built(bench, folder / name, packages) for name, packages in asked.items()]
    first, second = list[float](), list[float]()
    with running_registry(folder / "registry") as registry:
        for run in range(runs):
            machine.quiet(patience)
            notes = folder / f"notes-{run}"
            notes.mkdir()
            took = asyncio.run(_published(registry.address, f"run-{run}", notes, made))
            first.append(took[0])
            second.append(took[1])
    return first, second


def _built(bench: Bench, folder: Path, packages: tuple[str, ...]) -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text("\n".join([*packages, ""]))
    return bench.built(str(folder))[1]


async def _published(address: str, name: str, notes: Path, made: list[Path]) -> list[float]:
    took = []
    async with connected(repository_at(address, name), None) as registry:
        for path in made:
            own = Environment(path.name, path, "", (), (), (), overlays=(Overlay((path,), path),))
            began = time.monotonic()
            layers = await asyncio.to_thread(contents, own, notes)
            await Publishing(registry, notes).publish(layers, path.name[:40])
            took.append(time.monotonic() - began)
    return took
