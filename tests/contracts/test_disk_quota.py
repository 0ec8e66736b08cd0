"""A hard limit of the disk: what a session meets that fills it, and that nothing of its disk outlives anything."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from perijove.backends.pad import quota
from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.nouns import EndReason
from perijove.domain.sizes import inodes
from perijove.domain.state import State
from tests.contracts.test_sessions_port import pad_process, traces
from tests.fakes.confined import MIB, Follower, do, spec, until, with_less

WITHOUT_LOOPS = 'mount --bind /dev/null /dev/loop-control && exec "$@"'


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    return folder


@pytest.fixture
async def pad(state: State) -> AsyncIterator[Pad]:
    pad = Pad(state)
    await pad.ensure()
    if (await pad.isolation()).disk != "quota":
        await pad.close(stop=True)
        pytest.skip((state.logs / "pad.log").read_text() or "only root can make disks")
    yield pad
    await pad.close(stop=True)
    words = (state.logs / "pad.log").read_text()
    assert "Traceback" not in words, words
    assert "unmounted" not in words, words
    await until(lambda: devices(state) == [])


@pytest.fixture
async def follower(pad: Pad) -> AsyncIterator[Follower]:
    follower = Follower(pad)
    yield follower
    await follower.close()


def devices(state: State) -> list[str]:
    """Loop devices whose file lies, or lay, in this state directory."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            behind = path.read_text()
        except OSError:  # gone meanwhile
            continue
        if behind.startswith(f"{state.root}/"):
            found.append(path.parts[3])
    return found


def times_told(follower: Follower, times: int) -> bool:
    return len(follower.troubles("one", "session.disk-full")) == times


async def test_a_full_home_is_no_end_and_can_be_emptied_again(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("one", repo))
    write = "for n in range(9): open(f'{n}', 'wb').write(bytes(10 << 20))"
    for told in (1, 2):
        assert "No space left" in await do(state, "one", write)
        await until(partial(times_told, follower, told))
        assert await do(state, "one", "import os\nfor n in range(7): os.remove(f'{n}')\nanswer = 1") == 1
        await uses_less(pad, MIB)
    assert (await pad.status("one", "/", "", 5)).kernels == 2
    assert follower.ends("one") == []


async def uses_less(pad: Pad, limit: int) -> None:
    async with asyncio.timeout(10):
        while (await pad.running())[0].disk >= limit:
            await asyncio.sleep(0.05)


async def test_a_home_without_room_for_one_more_file_is_told(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("one", repo))
    answer = await do(state, "one", "for n in range(20000): open(f'f{n}', 'x').close()")
    assert "No space left" in answer
    assert "as many files" in (await follower.troubled("one", code="session.disk-full")).failure.cause


async def test_what_the_session_sees_of_its_disk_is_its_limit(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    code = "import os; s = os.statvfs('.'); answer = [s.f_bavail * s.f_frsize, s.f_flag, sorted(os.listdir())]"
    free, flags, names = await do(state, "one", code)
    assert 64 * MIB <= free < 67 * MIB
    assert flags & os.ST_NOSUID
    assert flags & os.ST_NODEV
    assert names == ["hello.txt"]


async def test_a_repository_beyond_the_limit_is_refused_with_both_sizes(pad: Pad, state: State, repo: Path) -> None:
    (repo / "large").write_bytes(bytes(80 * MIB))
    with pytest.raises(Fail) as caught:
        await pad.start(spec("one", repo))
    assert caught.value.failure.kind.code == "start.disk-full"
    seen = {item.where: item.saw for item in caught.value.failure.evidence}
    assert seen["repository"].startswith("80")
    assert seen["session.disk"] == "64 MB"
    assert traces(state) == []
    await until(lambda: devices(state) == [])


async def test_twenty_at_once_have_a_disk_each_and_leave_none(pad: Pad, state: State, repo: Path) -> None:
    names = [f"n{number}" for number in range(20)]
    limits = with_less(disk=2048 * MIB)
    async with asyncio.TaskGroup() as starts:
        for name in names:
            starts.create_task(pad.start(spec(name, repo, limits=limits)), name=name)
    assert len(devices(state)) == 20
    async with asyncio.TaskGroup() as stops:
        for name in names:
            stops.create_task(pad.stop(name, EndReason.STOPPED), name=name)
    assert traces(state) == []
    await until(lambda: devices(state) == [])


async def test_the_host_sees_no_mount_and_a_killed_pad_leaves_no_device(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    supervised = asyncio.create_task(pad.supervise(), name="supervise")
    await pad.start(spec("one", repo))
    assert len(devices(state)) == 1
    assert str(state.root) not in Path("/proc/self/mounts").read_text()
    os.kill(pad_process(state), signal.SIGKILL)
    assert (await follower.ended("one")).reason is EndReason.PAD_LOST
    await until(lambda: devices(state) == [])
    assert traces(state) == []
    await pad.start(spec("one", repo))
    assert len(devices(state)) == 1
    supervised.cancel()
    await asyncio.wait([supervised])


async def test_a_session_that_can_have_no_disk_is_watched(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("first", repo))
    shutil.rmtree(state.pad / "disks")
    await pad.start(spec("one", repo))
    assert len(devices(state)) == 1
    assert "one: its disk is watched" in (state.logs / "pad.log").read_text()
    write = "for n in range(20): open(f'{n}', 'wb').write(bytes(10 << 20))"
    await asyncio.gather(do(state, "one", write), return_exceptions=True)
    assert (await follower.ended("one")).reason is EndReason.DISK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make disks")
async def test_a_machine_without_loop_devices_is_one_where_disks_are_watched(state: State, repo: Path) -> None:
    argv = [sys.executable, "-m", "perijove.backends.pad.process", "--state", str(state.root)]
    unit = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "sh", "-c", WITHOUT_LOOPS, "sh", *argv, stderr=asyncio.subprocess.PIPE
    )
    await until(state.pad_socket.exists)
    pad = Pad(state)
    follower = Follower(pad)
    assert (await pad.isolation()).disk == "watched"
    await pad.start(spec("one", repo))
    write = "for n in range(20): open(f'{n}', 'wb').write(bytes(10 << 20))"
    await asyncio.gather(do(state, "one", write), return_exceptions=True)
    assert (await follower.ended("one")).reason is EndReason.DISK
    await follower.close()
    await pad.close(stop=True)
    unit.terminate()
    _, words = await unit.communicate()
    assert b"the disks of sessions are watched" in words


@pytest.mark.parametrize("limit", [MIB, 64 * MIB, 2048 * MIB, 100 * 1024 * MIB], ids=["1M", "64M", "2G", "100G"])
async def test_a_disk_holds_what_it_is_for(limit: int, state: State) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make disks")
    script = (
        "import asyncio, sys; from tests.contracts.test_disk_quota import measure; asyncio.run(measure(*sys.argv[1:]))"
    )
    told = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        str(state.root),
        f"{limit}",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), *sys.path))},
    )
    words, _ = await told.communicate()
    if words == b"none\n":
        pytest.skip("no disks can be made here")
    free, files = map(int, words.split())
    assert limit <= free <= limit * 1.06 + 3 * MIB
    assert files >= inodes(limit) - 16


async def measure(root: str, limit: str) -> None:
    """In a process of its own, since that moves to another mount namespace: print what is free on a new disk."""
    disks = await quota.find(Path(root, "disks"))
    if disks is None:
        print("none")
        return
    disk = await disks.make(int(limit), Path(root, "disk"))
    look = disk.look()
    await disk.close()
    print(look.free, look.files)
