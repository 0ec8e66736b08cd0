"""The port `ForeignCode`: a repository's own code at build time runs confined, and only plain files come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, ForeignRun
from perijove.domain.ports import ForeignCode
from perijove.domain.state import State
from tests.fakes.confined import LIMITS, MIB, PYTHON, until, with_less
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.pads import running_pad


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    return folder


@pytest.fixture
def into(state: State) -> Path:
    folder = state.root / "into"
    folder.mkdir()
    return folder


@pytest.fixture(params=["sandbox", "none"])
async def pad(state: State, request: pytest.FixtureRequest) -> AsyncIterator[Pad]:
    async with running_pad(state, request.param) as pad:
        yield pad


def run_of(repo: Path | None, code: str, timeout: float = 20) -> ForeignRun:
    environ = (("PATH", "/usr/bin:/bin"), ("HOME", "/home/jovyan"))
    command = (PYTHON, "-c", code)
    return ForeignRun("build-1", command, environ, (), repo, "dist", LIMITS, Egress.NONE, (), timeout)


def traces(state: State) -> list[Path]:
    return [*state.sessions.iterdir(), *state.session_sockets.iterdir()]


WORKS = """
import os
print("building", open("hello.txt").read())
os.mkdir("dist")
open("dist/thing.whl", "w").write("wheel")
"""


async def _works(foreign: ForeignCode, repo: Path, into: Path) -> None:
    lines: list[str] = []
    assert await foreign.run(run_of(repo, WORKS), into, lines.append) == 0
    assert lines == ["building hello"]
    assert (into / "thing.whl").read_text() == "wheel"
    assert sorted(path.name for path in repo.iterdir()) == ["hello.txt"]


async def test_its_output_is_told_and_its_result_handed_back(pad: Pad, state: State, repo: Path, into: Path) -> None:
    await _works(pad, repo, into)
    assert traces(state) == []


async def test_a_results_folders_keep_their_place_and_the_pad_keeps_nothing(pad: Pad, state: State, into: Path) -> None:
    code = "import os; os.makedirs('dist/a/b'); open('dist/a/b/c', 'w').write('x'); open('dist/a/d', 'w')"
    assert await pad.run(run_of(None, code), into / "new", print) == 0
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == ["new/a/b/c", "new/a/d"]
    assert (into / "new" / "a" / "b" / "c").read_text() == "x"
    await until(lambda: not list(state.handed.iterdir()))


async def test_the_fake_does_the_same(repo: Path, into: Path) -> None:
    await _works(UnconfinedForeignCode(), repo, into)


async def test_without_a_repository_its_home_is_empty(pad: Pad, into: Path) -> None:
    lines: list[str] = []
    assert await pad.run(run_of(None, "import os; print(os.listdir())"), into, lines.append) == 0
    assert lines == ["[]"]


async def test_a_failed_build_gives_its_status_and_last_words(pad: Pad, repo: Path, into: Path) -> None:
    lines: list[str] = []
    assert await pad.run(run_of(repo, "import sys; sys.exit('no compiler')"), into, lines.append) == 1
    assert lines == ["no compiler"]


async def test_one_that_does_not_end_is_ended(pad: Pad, state: State, repo: Path, into: Path) -> None:
    with pytest.raises(Fail) as caught:
        await pad.run(run_of(repo, "import time; time.sleep(100)", timeout=0.5), into, print)
    assert caught.value.failure.kind.code == "build.too-slow"
    assert traces(state) == []


async def test_one_that_needs_too_much_memory_is_told(pad: Pad, repo: Path, into: Path) -> None:
    hog = run_of(repo, "x = bytearray(400 << 20)\nimport time\ntime.sleep(100)")
    with pytest.raises(Fail) as caught:
        await pad.run(replace(hog, limits=with_less(memory=100 * MIB)), into, print)
    assert caught.value.failure.kind.code == "build.out-of-memory"


async def test_a_compiler_killed_for_memory_is_told(pad: Pad, repo: Path, into: Path) -> None:
    hog = "x = bytearray(400 << 20)\nimport time\ntime.sleep(100)"
    code = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {hog!r}]).returncode != 0)"
    with pytest.raises(Fail) as caught:
        await pad.run(replace(run_of(repo, code), limits=with_less(memory=100 * MIB)), into, print)
    assert caught.value.failure.kind.code == "build.out-of-memory"


async def test_one_that_fills_the_disk_is_ended(pad: Pad, repo: Path, into: Path) -> None:
    code = "for n in range(30): open(f'f{n}', 'wb').write(bytes(10 << 20))\nimport time\ntime.sleep(100)"
    with pytest.raises(Fail) as caught:
        await pad.run(run_of(repo, code), into, print)
    assert caught.value.failure.kind.code == "build.too-large"


async def test_a_result_of_holes_is_too_large_all_the_same(pad: Pad, repo: Path, into: Path) -> None:
    code = "import os; os.mkdir('dist')\nfor n in range(3): open(f'dist/{n}', 'wb').truncate(50 << 20)"
    with pytest.raises(Fail) as caught:
        await pad.run(run_of(repo, code), into, print)
    assert caught.value.failure.kind.code == "build.too-large"


@pytest.mark.parametrize(
    "trick",
    [
        "os.symlink('/etc/passwd', 'dist/trick')",
        "os.symlink('..', 'dist/trick')",
        "os.link('hello.txt', 'dist/trick')",
        "os.mkfifo('dist/trick')",
        "import socket; socket.socket(socket.AF_UNIX).bind('dist/trick')",
    ],
    ids=["link", "folder-link", "hardlink", "fifo", "socket"],
)
async def test_a_trick_in_the_result_stays_behind(pad: Pad, repo: Path, into: Path, trick: str) -> None:
    code = f"import os; os.mkdir('dist'); open('dist/good', 'w').write('x'); {trick}"
    assert await pad.run(run_of(repo, code), into, print) == 0
    assert [path.name for path in into.iterdir()] == ["good"]


async def test_a_result_folder_that_is_a_link_gives_nothing(pad: Pad, repo: Path, into: Path) -> None:
    assert await pad.run(run_of(repo, "import os; os.symlink('/etc', 'dist')"), into, print) == 0
    assert list(into.iterdir()) == []


async def test_one_whose_asker_is_gone_is_ended(pad: Pad, state: State, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import time; print('runs', flush=True); time.sleep(100)"
    asking = asyncio.create_task(pad.run(run_of(repo, code), into, lines.append))
    await until(lambda: lines)
    asking.cancel()
    await asyncio.wait([asking])
    await until(lambda: traces(state) == [])


async def test_it_does_not_count_as_a_session(pad: Pad, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import sys, time; print('runs', flush=True); time.sleep(0.3)"
    asking = asyncio.create_task(pad.run(run_of(repo, code), into, lines.append))
    await until(lambda: lines)
    assert await pad.running() == []
    assert await asking == 0


async def test_nothing_of_it_listens(pad: Pad, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import os; print(os.environ.get('PERIJOVE_SOCKET_FD'), sorted(map(int, os.listdir('/proc/self/fd')))[:4])"
    assert await pad.run(run_of(repo, code), into, lines.append) == 0
    assert lines == ["None [0, 1, 2, 3]"], "besides its words it holds the folder it lists, and nothing of ours"
