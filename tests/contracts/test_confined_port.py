"""The port Confined: calls in this process and calls in processes that may die; then what only those do."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls, landlock
from perijove.backends.git import fetching
from perijove.domain.confinement import MIB, READING, Beyond, Identity, Limit
from perijove.domain.failures import BAD_FILE, BUG, HUNG, KILLED, Evidence, Fail
from perijove.domain.nouns import EnvironmentPlan, InstallProject, InstallRequirements, PythonRequest, PythonSource
from perijove.domain.ports import Confined
from perijove.domain.state import State
from perijove.domain.yielding import BUILD_NICENESS
from tests.architecture.sources import ROOT
from tests.fakes import hostile
from tests.fakes.in_process import InProcess

READING_AND_WRITING = replace(READING, file_size=MIB)


@pytest.fixture
async def real(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConfinedCalls]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.fixture(params=["in process", "confined"])
def either(request: pytest.FixtureRequest, real: ConfinedCalls) -> Confined:
    return InProcess() if request.param == "in process" else real


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_values_of_ours_go_in_and_come_out(either: Confined) -> None:
    step = InstallRequirements("requirements.txt", "six\ud800\n")
    wish = PythonRequest("==3.12.*", PythonSource.DEFAULT)
    assert await either.call(hostile.plan, "==3.12.*", (step,)) == EnvironmentPlan(wish, (step, InstallProject(".")))
    assert await either.call(hostile.counted, {"a": "xx"}, frozenset({"a", "b"})) == {"a": 2, "b": 0}


async def test_what_lasts_is_read_once_but_for_failures_and_what_is_large(real: ConfinedCalls, state: State) -> None:
    name, large = state.root / "name", state.root / "large"
    with pytest.raises(Fail):
        await real.call(hostile.text_of, name, lasting=True)
    for path, first in ((name, "first"), (large, "first" * 20_000)):
        path.write_text(first)
        assert await real.call(hostile.text_of, path, lasting=True) == first
        path.write_text("second")
        assert await real.call(hostile.text_of, path) == "second"
    assert await real.call(hostile.text_of, name, lasting=True) == "first"
    assert await real.call(hostile.text_of, large, lasting=True) == "second"


async def test_what_asks_git_hosts_brings_no_command_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
    with closing(ConfinedCalls((fetching.__name__,))) as calls:
        packages = await calls.call(hostile.loaded)
    assert "httpx" in packages
    assert not {"click", "pygments", "rich"} & set(packages)


async def test_what_installs_gives_way_to_what_people_wait_for(real: ConfinedCalls) -> None:
    for identity in Identity:
        given_way = await real.call(hostile.niceness, bounds=replace(READING, identity=identity)) - os.nice(0)
        assert given_way == (min(BUILD_NICENESS, 19 - os.nice(0)) if identity is Identity.INSTALLER else 0)


async def test_lines_are_told_as_they_come(either: Confined) -> None:
    heard: list[str] = []
    assert await either.run(hostile.told, ("one", "two"), tell=heard.append) == 2
    assert heard == ["one", "two"]


async def test_a_failure_inside_is_one_outside(either: Confined) -> None:
    with pytest.raises(Fail) as caught:
        await either.call(hostile.refused, "x\0y")
    assert caught.value.failure == BAD_FILE("it is no good", Evidence("line 1", "x\0y"))


async def test_a_mistake_is_ours_and_says_where(either: Confined) -> None:
    with pytest.raises(Fail) as caught:
        await either.call(hostile.mistaken, "x")
    assert caught.value.failure.kind is BUG
    assert "ValueError in " in caught.value.failure.cause
    assert "mistaken" in caught.value.failure.cause


async def test_nesting_without_end_is_beyond_a_limit(either: Confined) -> None:
    with pytest.raises(Beyond) as caught:
        await either.call(hostile.deep, "x")
    assert caught.value.limit is Limit.DEPTH


@pytest.mark.parametrize(
    ("function", "given", "limit"),
    [
        pytest.param(hostile.forever, ("a" * 60 + "b",), Limit.TIME, id="an expression that backtracks"),
        pytest.param(hostile.silent, (600.0,), Limit.TIME, id="a wait"),
        pytest.param(hostile.hungry, (4096 * MIB,), Limit.MEMORY, id="memory"),
        pytest.param(hostile.wordy, (64 * MIB,), Limit.OUTPUT, id="an endless answer"),
        pytest.param(hostile.ends, (signal.SIGABRT.value,), Limit.CRASH, id="an abort"),
        pytest.param(hostile.crashes, ("",), Limit.CRASH, id="a null pointer"),
        pytest.param(hostile.lies, ("",), Limit.CRASH, id="an answer of another kind"),
        pytest.param(hostile.ends, (signal.SIGKILL.value,), Limit.KILLED, id="somebody's kill"),
    ],
)
async def test_what_it_meets_is_told_and_others_go_on(
    real: ConfinedCalls, function: Callable[..., object], given: tuple[object, ...], limit: Limit
) -> None:
    await real.call(hostile.counted, {}, frozenset())
    bounds = replace(READING, cpu=1, seconds=4 if limit is Limit.TIME else 60)
    other = asyncio.create_task(real.call(hostile.counted, {}, frozenset({"a"})))
    with pytest.raises(Beyond) as caught:
        await real.call(function, *given, bounds=bounds)
    assert caught.value.limit is limit
    kind = KILLED if limit is Limit.KILLED else BAD_FILE
    assert caught.value.told(BAD_FILE, "requirements.txt").kind is kind
    assert await other == {"a": 0}


async def test_a_file_has_a_bound(real: ConfinedCalls, state: State) -> None:
    state.root.chmod(0o777)
    with pytest.raises(Beyond) as caught:
        await real.call(hostile.writes, f"{state.root}/file", 5000, bounds=replace(READING, file_size=4096))
    assert caught.value.limit is Limit.SIZE


async def test_nothing_of_a_call_outlives_it(real: ConfinedCalls) -> None:
    assert not alive(await real.call(hostile.leaves_behind))


async def test_whoever_leaves_ends_it(real: ConfinedCalls) -> None:
    began = time.monotonic()
    asking = asyncio.create_task(real.run(hostile.silent, 600.0, bounds=replace(READING, seconds=600)))
    assert await real.call(hostile.counted, {}, frozenset()) == {}
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert time.monotonic() - began < 30


async def test_a_process_that_was_killed_is_started_again(real: ConfinedCalls) -> None:
    await real.call(hostile.counted, {}, frozenset())
    assert real._process is not None
    real._process.kill()
    real._process.wait()
    assert await real.call(hostile.counted, {}, frozenset({"a"})) == {"a": 0}


async def test_a_process_that_hangs_is_not_waited_for_for_ever_nor_held_against_what_was_read(
    real: ConfinedCalls,
) -> None:
    await real.call(hostile.counted, {}, frozenset())
    assert real._process is not None
    hung, real.taken_within = real._process, 1
    os.kill(hung.pid, signal.SIGSTOP)
    calls = (real.call(hostile.counted, {"a": str(number)}, frozenset()) for number in range(3))
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(answer, Beyond), answer
        assert answer.told(BAD_FILE, "a file").kind is HUNG
    real.taken_within = 60
    assert await real.call(hostile.counted, {}, frozenset({"a"})) == {"a": 0}
    assert hung.returncode == -signal.SIGKILL


async def test_it_has_no_rights(real: ConfinedCalls) -> None:
    for identity in Identity:
        status = await real.call(hostile.rights, "", bounds=replace(READING, identity=identity))
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == 0
        if os.geteuid() == 0:
            uid = real.uids[identity]
            assert uid != 0
            assert status["Uid"].split() == [str(uid)] * 4
            assert status["Gid"].split() == [str(real.gid)] * 4
            assert int(status["CapBnd"], 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives uids")
def test_each_identity_has_a_uid_of_its_own() -> None:
    assert len(set(ConfinedCalls().uids.values())) == len(Identity)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives uids")
def test_what_is_handed_over_with_its_contents_is_theirs_wholly_whoever_wrote_there(state: State) -> None:
    calls = ConfinedCalls()
    cache, beyond = state.root / "cache", state.root / "beyond"
    (cache / "deep").mkdir(parents=True)
    (cache / "deep" / "file").write_text("another's")
    beyond.write_text("the service's")
    (cache / "link").symlink_to(beyond)
    calls.hand_over(cache, Identity.INSTALLER, contents=True)
    owner = calls.uids[Identity.INSTALLER]
    assert {path.lstat().st_uid for path in (cache, *cache.rglob("*"))} == {owner}
    assert beyond.stat().st_uid == 0
    (cache / "later").write_text("ours")
    calls.hand_over(cache, Identity.INSTALLER, contents=True)
    assert (cache / "later").stat().st_uid == owner


@pytest.mark.skipif(not landlock.held(), reason="this kernel has no Landlock that holds files")
async def test_it_changes_and_reads_what_it_may_alone(real: ConfinedCalls, state: State) -> None:
    ours, others = state.root / "ours", state.root / "others"
    for folder in (ours, others):
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "there").write_text("said")
        (folder / "there").chmod(0o666)
    bounds = replace(READING, file_size=MIB, writes=(ours,))
    assert await real.call(hostile.touched, str(ours), bounds=bounds) == "said"
    assert await real.call(hostile.touched, str(others), bounds=READING_AND_WRITING) == "said"
    with pytest.raises(Fail) as caught:
        await real.call(hostile.touched, str(others), bounds=bounds)
    assert "Permission denied" in caught.value.failure.evidence[0].saw
    assert await real.call(hostile.read, str(others), bounds=bounds) == "said"
    with pytest.raises(Fail) as caught:
        await real.call(hostile.read, str(others), bounds=replace(bounds, reads=()))
    assert "Permission denied" in caught.value.failure.evidence[0].saw
