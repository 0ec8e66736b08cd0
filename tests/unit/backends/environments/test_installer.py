import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from perijove.backends.environments.installer import Ended, Room, Run, lines, ran
from perijove.domain import failures
from perijove.domain.bounded_log import LINE
from perijove.domain.confinement import Beyond, Limit
from perijove.domain.failures import Fail, Kind

ROOM = Room(1024**3, 1000)


async def told(data: bytes) -> list[str]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return [line async for line in lines(reader)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"one\n\ntwo", ["one", "", "two"], id="lines"),
        pytest.param(b"\xff\n", ["\ufffd"], id="no text"),
        pytest.param(b"x" * 10**6 + b"\nlast\n", ["x" * LINE, "last"], id="a line longer than any buffer"),
        pytest.param("ä".encode() * 10**6, ["ä" * LINE], id="one without an end"),
    ],
)
async def test_lines_are_as_long_as_is_kept_of_them(data: bytes, expected: list[str]) -> None:
    assert await told(data) == expected


def shell(folder: Path, script: str) -> Run:
    cache = folder / "shared"
    (cache / "archive-v0").mkdir(parents=True)
    return Run(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, folder, cache)


async def test_what_it_says_and_how_it_ends_are_told(tmp_path: Path) -> None:
    heard: list[str] = []
    ended = await ran(shell(tmp_path, "echo 'Using Python 3'; echo one; echo two >&2; exit 3"), ROOM, tell=heard.append)
    assert ended == Ended(3, ("one", "two"))
    assert heard == ["one", "two"]


async def test_its_cache_is_the_shared_one_but_for_what_is_under_way(tmp_path: Path) -> None:
    script = (
        'mkdir "$UV_CACHE_DIR/.tmp" "$UV_CACHE_DIR/wheels-v8" && mv "$UV_CACHE_DIR/.tmp" "$UV_CACHE_DIR/archive-v0/a"'
    )
    run = shell(tmp_path, script)
    assert (await ran(run, ROOM, tell=print)).status == 0
    assert sorted(path.name for path in run.cache.iterdir()) == ["archive-v0", "wheels-v8"]
    assert (run.cache / "archive-v0" / "a").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


@pytest.mark.parametrize(
    ("script", "room", "limit"),
    [
        pytest.param(
            'mkdir $UV_CACHE_DIR/$(seq -s " $UV_CACHE_DIR/" 9); exec sleep 60', Room(10**9, 5), Limit.SIZE, id="files"
        ),
        pytest.param("kill -9 $$", ROOM, Limit.KILLED, id="killed"),
        pytest.param("kill -XFSZ $$", ROOM, Limit.SIZE, id="a file"),
        pytest.param("kill -XCPU $$", ROOM, Limit.TIME, id="processor time"),
        pytest.param("kill -SEGV $$", ROOM, Limit.CRASH, id="a crash"),
        pytest.param("echo memory allocation of 9 bytes failed; kill -ABRT $$", ROOM, Limit.MEMORY, id="memory"),
    ],
)
async def test_what_it_needs_too_much_of_is_named_and_nothing_is_left(
    tmp_path: Path, script: str, room: Room, limit: Limit
) -> None:
    run = shell(tmp_path, script)
    async with asyncio.timeout(20):
        with pytest.raises(Beyond) as caught:
            await ran(run, room, tell=print)
    assert caught.value.limit is limit
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


@pytest.mark.parametrize(("short", "kind"), [(False, failures.BUILD_TOO_LARGE), (True, failures.BUILD_DISK)])
async def test_more_than_the_disk_has_left_is_the_operators_and_more_than_may_be_the_authors(
    tmp_path: Path, short: bool, kind: Kind
) -> None:
    run = shell(tmp_path, "exec cat /dev/zero >$UV_CACHE_DIR/big")
    async with asyncio.timeout(20):
        with pytest.raises(Fail) as caught:
            await ran(run, Room(10**6, 1000, short), tell=print)
    assert caught.value.failure.kind is kind
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


async def test_it_does_not_outlive_whoever_runs_it(tmp_path: Path) -> None:
    """Killed, that one takes nothing along; what goes on would write to what is being removed."""
    code = (
        "import asyncio, pathlib; from perijove.backends.environments.installer import Room, Run, ran; "
        f"place = pathlib.Path({str(tmp_path)!r}); "
        "run = Run(('/bin/sh', '-c', 'echo $$; exec sleep 600'), {'PATH': '/usr/bin:/bin'}, place, place / 'shared'); "
        "run.cache.mkdir(); "
        "asyncio.run(ran(run, Room(10**9, 1000), tell=lambda line: print(line, flush=True)))"
    )
    whoever = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert whoever.stdout is not None
    async with asyncio.timeout(20):
        started = psutil.Process(int(await whoever.stdout.readline()))
        whoever.kill()
        await whoever.wait()
        while started.is_running() and started.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)
