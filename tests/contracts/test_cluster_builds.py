"""Builds as Jobs of a cluster: what becomes of one that does not get to run, is ended, or is nobody's any more."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.kubernetes import in_job
from perijove.backends.kubernetes.manifests import RULES
from perijove.backends.kubernetes.pod_status import LINE
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Mount
from perijove.domain.ran import Ran
from perijove.domain.state import State
from tests.contracts.test_foreign_code_port import run_of
from tests.fakes.cluster_builds import Jobs, jobs
from tests.fakes.confined import until
from tests.fakes.docker_registry import DockerRegistry, needs_registry
from tests.fakes.session_cluster import Json, running, status, terminated

pytestmark = [needs_registry, pytest.mark.same_for_any_user]
SAYS = "import time; print('runs', flush=True); time.sleep(100)"


@pytest.fixture
async def foreign(state: State, tmp_path: Path, docker_registry: DockerRegistry) -> AsyncIterator[Jobs]:
    async with jobs(state, tmp_path / "cluster", docker_registry.address, start_limit=5.0) as foreign:
        yield foreign
        await until(lambda: not foreign.left)


@pytest.fixture
def into(state: State) -> Path:
    return state.root / "into"


async def failure(foreign: Jobs, code: str, into: Path, told: list[str], timeout: float = 20) -> Failure:
    with pytest.raises(Fail) as caught:
        await foreign.run(run_of(None, code, timeout), into, told.append)
    return caught.value.failure


def evicted(words: str) -> Json:
    return {"phase": "Failed", "reason": "Evicted", "message": words}


def waits(why: str, words: str) -> Json:
    waiting = {"name": "server", "ready": False, "state": {"waiting": {"reason": why, "message": words}}}
    return {"phase": "Pending", "conditions": [], "hostIP": "10.0.0.111", "containerStatuses": [waiting]}


QUOTA = 'pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4'
POLICY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
LOW = "The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi, available: 1Gi."


@pytest.mark.parametrize(
    ("stands", "code"),
    [
        (terminated(137, reason="OOMKilled"), "build.out-of-memory"),
        (evicted("Pod ephemeral local storage usage exceeds the total limit of containers 144Mi."), "build.too-large"),
        (evicted(LOW), "cluster.pods-evicted"),
        (evicted("The node was low on resource: memory."), "cluster.pods-evicted"),
        ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "active longer"}, "build.too-slow"),
        (waits("ErrImagePull", "manifest unknown"), "cluster.image-not-found"),
        (waits("CreateContainerError", "no such runtime"), "cluster.container-start-failed"),
        (terminated(1), "start.sandbox-failed"),
    ],
    ids=["memory", "disk", "node's disk", "node's memory", "deadline", "image", "runtime", "no Python"],
)
async def test_what_the_cluster_does_with_its_pod_is_told_as_what_it_is(
    foreign: Jobs, into: Path, stands: Json, code: str
) -> None:
    foreign.cluster.statuses["build-1"] = stands
    assert (await failure(foreign, "", into, [])).kind.code == code
    assert list(into.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [(QUOTA, "cluster.resource-quota-exceeded"), (POLICY, "cluster.admission-refused")],
    ids=["quota", "policy"],
)
async def test_a_job_that_is_given_no_pod_says_why(foreign: Jobs, into: Path, words: str, code: str) -> None:
    foreign.cluster.refuses_pods_of_jobs = f"Error creating: {words}"
    assert (await failure(foreign, "", into, [])).kind.code == code


async def test_a_role_of_before_is_named_with_what_helps(foreign: Jobs, into: Path) -> None:
    words = 'jobs.batch is forbidden: User "perijove" cannot create resource "jobs" in API group "batch"'
    foreign.cluster.faults.append(lambda asked: status(403, "Forbidden", words) if asked == "POST jobs" else None)
    found = await failure(foreign, "", into, [])
    assert found.kind.code == "cluster.api-forbidden"
    assert "engine.builds = here" in found.remedy
    assert words in found.evidence[0].saw


async def test_one_without_a_place_waits_says_so_and_is_given_up(foreign: Jobs, into: Path) -> None:
    foreign.cluster.scheduler.memory = 0
    told: list[str] = []
    assert (await failure(foreign, "", into, told)).kind.code == "cluster.pod-unschedulable-full"
    assert any("Insufficient memory" in line for line in told)


async def test_one_whose_job_somebody_deletes_is_over(foreign: Jobs, into: Path) -> None:
    def said(line: str) -> None:
        (job,) = [name for plural, name in foreign.cluster.things if plural == "jobs"]
        foreign.cluster.remove("jobs", job)

    with pytest.raises(Fail) as caught:
        await foreign.run(run_of(None, SAYS), into, said)
    assert "somebody deleted" in caught.value.failure.cause


async def test_one_that_ends_all_that_it_sees_was_ended_by_a_signal(foreign: Jobs, into: Path) -> None:
    async with asyncio.timeout(20):
        assert await foreign.run(run_of(None, "import os; os.kill(-1, 9)"), into, print) == Ran(-9)


async def test_one_of_whose_processes_the_kernel_ended_some_for_memory_says_so_where_it_fails(
    foreign: Jobs, into: Path, tmp_path: Path
) -> None:
    (tmp_path / "events").write_text("oom 1\noom_kill 1\n")
    run = replace(run_of(None, ""), mounts=(Mount(tmp_path / "events", Path(in_job.EVENTS)),))
    assert await foreign.run(run, into, print) == Ran(0)
    with pytest.raises(Fail) as caught:
        await foreign.run(replace(run, command=(*run.command[:2], "raise SystemExit(1)")), into, print)
    assert caught.value.failure.kind.code == "build.out-of-memory"


async def test_its_variables_are_its_own_alone_and_no_secret_stands_in_its_manifest(foreign: Jobs, into: Path) -> None:
    told: list[str] = []
    run = run_of(None, "import os; print(sorted(os.environ))")
    run = replace(run, environ=(*run.environ, ("A_PASSWORD", "jupiter")))
    assert await foreign.run(run, into, told.append) == Ran(0)
    assert told == ["['A_PASSWORD', 'HOME', 'LC_CTYPE', 'PATH']"]
    shown = [one for _, _, plural, one in foreign.cluster._history if plural in {"jobs", "pods"}]
    assert shown
    assert "jupiter" not in str(shown)
    assert "PERIJOVE_FILES_TOKEN" not in str([one["spec"].get("template", one["spec"]).get("env") for one in shown])


async def test_a_log_that_breaks_off_goes_on_where_it_was(foreign: Jobs, into: Path) -> None:
    told: list[str] = []
    broken = iter([status(500, "InternalError", "kubelet restarts")])
    foreign.cluster.faults.append(lambda asked: next(broken, None) if asked.endswith("/log") else None)
    assert await foreign.run(run_of(None, "print('one'); print('two')"), into, told.append) == Ran(0)
    assert told == ["one", "two"]


async def test_a_line_without_end_hides_no_other(foreign: Jobs, into: Path) -> None:
    told: list[str] = []
    code = "import sys; sys.stdout.write('x' * (3 << 20)); print(); print('end')"
    assert await foreign.run(run_of(None, code), into, told.append) == Ran(0)
    assert (told[-1], max(map(len, told))) == ("end", LINE)


async def test_a_flood_of_lines_is_told_whole_and_no_faster_than_others_are_heard_beside_it(
    foreign: Jobs, into: Path
) -> None:
    told: list[float] = []
    clock = asyncio.get_running_loop().time
    code = "print('x\\n' * 60_000)"
    assert await foreign.run(run_of(None, code), into, lambda line: told.append(clock())) == Ran(0)
    assert len(told) == 60_000
    assert told[-1] - told[0] > 1


@asynccontextmanager
async def lying(foreign: Jobs, *said: bytes, over: Json | None = None) -> AsyncIterator[None]:
    """In place of a pod's first process; it breaks off then, and the pod is `over`."""
    address = f"127.78.{random.randint(1, 250)}.{random.randint(1, 250)}"

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(said)
        await writer.drain()
        if over:
            foreign.cluster.change("build-1", status=over)
        writer.close()

    foreign.cluster.statuses["build-1"] = running(address)
    async with await asyncio.start_server(answered, address, foreign.builds._terms.port):
        yield


async def test_what_is_handed_over_is_taken_as_it_comes_and_not_as_it_says_that_it_is_packed(
    foreign: Jobs, into: Path
) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip, gzip\r\n\r\n"
    async with lying(foreign, head, gzip.compress(gzip.compress(bytes(1 << 20)))):
        found = await failure(foreign, "", into, [])
    assert found.cause == "what its pod handed over cannot be unpacked"


async def test_one_that_ends_while_it_is_fetched_is_told_as_soon_as_it_broke_off(foreign: Jobs, into: Path) -> None:
    async with lying(foreign, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", over=evicted(LOW)):
        async with asyncio.timeout(30):
            found = await failure(foreign, "", into, [], timeout=100)
    assert found.kind.code == "cluster.pods-evicted"


async def test_what_an_earlier_control_plane_left_goes_before_the_first_run_and_sessions_stay(
    foreign: Jobs, into: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    asking = asyncio.create_task(foreign.run(run_of(None, SAYS), into, told.append))
    await until(lambda: told)
    left = dict(foreign.cluster.things)
    labels = {"app.kubernetes.io/managed-by": "perijove", "app.kubernetes.io/instance": "perijove"}
    session: Any = {"metadata": {"name": "s", "labels": {**labels, "app.kubernetes.io/component": "session"}}}
    foreign.cluster.things["networkpolicies", "s"] = session
    foreign.builds._swept = False  # as one that begins
    await foreign.builds.sweep_at_start()
    with pytest.raises(Fail):
        await asking
    assert not [key for key in left if key[0] == "jobs" and key in foreign.cluster.things]
    assert ("networkpolicies", "s") in foreign.cluster.things
    await foreign.builds.sweep()
    assert foreign.cluster.asked.count("DELETE jobs") == 2


async def test_what_can_be_no_pod_runs_here(foreign: Jobs, into: Path, state: State) -> None:
    run = run_of(None, "")
    await foreign.builds.run(run, into, print)
    await foreign.builds.run(replace(run, root=(foreign.system,), system=True), into, print)
    assert len(foreign.here.runs) == 2
    assert not foreign.cluster.asked


async def test_it_asks_for_nothing_that_its_role_does_not_hold(foreign: Jobs, into: Path) -> None:
    await foreign.run(run_of(None, ""), into, print)
    used = {one.rsplit("-", 1)[0] if " jobs/" in one else one.partition("/")[0] for one in foreign.cluster.asked}
    assert {one for one in used if "jobs" in one} == {"POST jobs", "DELETE jobs", "DELETE jobs/perijove-build-1"}
    (rule,) = [one for one in RULES if "jobs" in one["resources"]]
    assert rule == {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "deletecollection"]}
