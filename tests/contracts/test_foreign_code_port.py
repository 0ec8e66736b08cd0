"""The port `ForeignCode`: a repository's own code at build time runs confined, and only plain files come back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.nouns import Egress, ForeignRun, Overlay
from perijove.domain.ports import ForeignCode
from perijove.domain.ran import Ran, Withheld
from perijove.domain.state import State
from perijove.domain.yielding import BUILD_NICENESS
from tests.fakes.cluster_builds import Jobs, jobs
from tests.fakes.confined import LIMITS, MIB, PYTHON, until, with_less
from tests.fakes.docker_registry import needs_registry
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


@pytest.fixture(params=["sandbox", "none", pytest.param("jobs", marks=needs_registry)])
async def foreign(state: State, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pad | Jobs]:
    if request.param != "jobs":
        async with running_pad(state, request.param) as pad:
            yield pad
        return
    registry = request.getfixturevalue("docker_registry")
    async with jobs(state, tmp_path / "cluster", registry.address) as foreign:
        yield foreign
        await until(lambda: not foreign.left)


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
    assert await foreign.run(run_of(repo, WORKS), into, lines.append) == Ran(0)
    assert lines == ["building hello"]
    assert (into / "thing.whl").read_text() == "wheel"
    assert sorted(path.name for path in repo.iterdir()) == ["hello.txt"]


async def test_its_output_is_told_and_its_result_handed_back(
    foreign: Pad | Jobs, state: State, repo: Path, into: Path
) -> None:
    await _works(foreign, repo, into)
    assert traces(state) == []


async def test_a_results_folders_keep_their_place_and_the_pad_keeps_nothing(pad: Pad, state: State, into: Path) -> None:
    code = "import os; os.makedirs('dist/a/b'); open('dist/a/b/c', 'w').write('x'); open('dist/a/d', 'w')"
    assert await pad.run(run_of(None, code), into / "new", print) == Ran(0)
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == ["new/a/b/c", "new/a/d"]
    assert (into / "new" / "a" / "b" / "c").read_text() == "x"
    await until(lambda: not list(state.handed.iterdir()))


async def test_it_gives_way_to_sessions(pad: Pad, into: Path) -> None:
    lines: list[str] = []
    assert await pad.run(run_of(None, "import os; print(os.nice(0))"), into, lines.append) == Ran(0)
    assert lines == [f"{min(os.nice(0) + BUILD_NICENESS, 19)}"]


async def test_the_fake_does_the_same(repo: Path, into: Path) -> None:
    await _works(UnconfinedForeignCode(), repo, into)


async def test_without_a_repository_its_home_is_empty(foreign: Pad | Jobs, into: Path) -> None:
    lines: list[str] = []
    assert await foreign.run(run_of(None, "import os; print(os.listdir())"), into, lines.append) == Ran(0)
    assert lines == ["[]"]


async def test_a_failed_build_gives_its_status_and_last_words(foreign: Pad | Jobs, repo: Path, into: Path) -> None:
    lines: list[str] = []
    assert await foreign.run(run_of(repo, "import sys; sys.exit('no compiler')"), into, lines.append) == Ran(1)
    assert lines == ["no compiler"]


async def test_one_that_a_signal_ends_says_so(foreign: Pad | Jobs, into: Path) -> None:
    assert await foreign.run(run_of(None, "import os; os.kill(os.getpid(), 9)"), into, print) == Ran(-9)
    assert list(into.iterdir()) == []


async def test_one_that_does_not_end_is_ended(foreign: Pad | Jobs, state: State, repo: Path, into: Path) -> None:
    with pytest.raises(Fail) as caught:
        await foreign.run(run_of(repo, "import time; time.sleep(100)", timeout=0.5), into, print)
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


async def test_a_result_of_holes_is_too_large_all_the_same(foreign: Pad | Jobs, repo: Path, into: Path) -> None:
    code = "import os; os.mkdir('dist')\nfor n in range(3): open(f'dist/{n}', 'wb').truncate(50 << 20)"
    with pytest.raises(Fail) as caught:
        await foreign.run(run_of(repo, code), into, print)
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
async def test_a_trick_in_the_result_stays_behind(foreign: Pad | Jobs, repo: Path, into: Path, trick: str) -> None:
    code = f"import os; os.mkdir('dist'); open('dist/good', 'w').write('x'); {trick}"
    assert await foreign.run(run_of(repo, code), into, print) == Ran(0)
    assert [path.name for path in into.iterdir()] == ["good"]


async def test_a_result_folder_that_is_a_link_gives_nothing(foreign: Pad | Jobs, repo: Path, into: Path) -> None:
    assert await foreign.run(run_of(repo, "import os; os.symlink('/etc', 'dist')"), into, print) == Ran(0)
    assert list(into.iterdir()) == []


async def test_one_whose_asker_is_gone_is_ended(foreign: Pad | Jobs, state: State, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import time; print('runs', flush=True); time.sleep(100)"
    asking = asyncio.create_task(foreign.run(run_of(repo, code), into, lines.append))
    await until(lambda: lines)
    asking.cancel()
    await asyncio.wait([asking])
    await until(lambda: traces(state) == [])


async def test_it_does_not_count_as_a_session(pad: Pad, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import time; print('runs', flush=True); time.sleep(100)"
    asking = asyncio.create_task(pad.run(run_of(repo, code), into, lines.append))
    await until(lambda: lines)
    assert await pad.running() == []
    asking.cancel()
    await asyncio.wait([asking])


async def test_nothing_of_it_listens(pad: Pad, repo: Path, into: Path) -> None:
    lines: list[str] = []
    code = "import os; print(os.environ.get('PERIJOVE_SOCKET_FD'), sorted(map(int, os.listdir('/proc/self/fd')))[:4])"
    assert await pad.run(run_of(repo, code), into, lines.append) == Ran(0)
    assert lines == ["None [0, 1, 2, 3]"], "besides its words it holds the folder it lists, and nothing of ours"


@pytest.fixture
def base(state: State) -> Path:
    """A folder of the service's that a run is shown and may write over."""
    folder = state.environments / "base"
    (folder / "folder" / "below").mkdir(parents=True)
    for name in ("file", "gone", "folder/old", "folder/below/deep"):
        (folder / name).write_text(name)
    return folder


def over(base: Path, code: str, *layers: Path, repo: Path | None = None) -> ForeignRun:
    """One whose code finds the folder as `base`, with layers over it, and whose writes are kept."""
    run = run_of(repo, f"import os, shutil, stat; base = {str(base)!r}; {code}")
    return replace(run, overlays=(Overlay(layers or (base,), base),), layers=True)


def stack(base: Path, into: Path, *below: Path) -> tuple[Path, ...]:
    """What a run's writes are found with."""
    whole = into / "whole-0"
    return (whole,) if whole.exists() else (*(below or (base,)), into / "layer-0")


CHANGES = """
open(base + "/file", "a").write(" changed"); open(base + "/new", "w").write("new"); os.remove(base + "/gone")
shutil.rmtree(base + "/folder"); os.makedirs(base + "/folder/again"); os.symlink("new", base + "/link")
os.chmod(base + "/new", 0o750); os.mkdir(".cache"); os.mkdir("kept"); open("kept/note", "w").write("mine")
"""
LOOKS = """
print(sorted(os.listdir(base)), os.listdir(base + "/folder"), open(base + "/file").read(), os.readlink(base + "/link"))
print(oct(os.stat(base + "/new").st_mode)[-3:], sorted(os.listdir()), os.access(base + "/file", os.W_OK))
"""
LOOKED = [
    "['file', 'folder', 'link', 'new'] ['again'] file changed new",
    "750 ['hello.txt', 'kept'] True",
]


async def test_what_it_writes_over_a_folder_is_a_layer_that_others_find(
    foreign: Pad | Jobs, state: State, repo: Path, base: Path, into: Path
) -> None:
    as_it_was = {path: path.read_text() for path in base.rglob("*") if path.is_file()}
    assert await foreign.run(over(base, CHANGES, repo=repo), into / "first", print) == Ran(0)
    lines: list[str] = []
    first = stack(base, into / "first")
    looks = over(base, f"{LOOKS}os.remove(base + '/link')", *first, repo=into / "first" / "home")
    assert await foreign.run(looks, into / "second", lines.append) == Ran(0)
    assert lines == LOOKED
    third = over(base, "print(sorted(os.listdir(base)))", *stack(base, into / "second", *first))
    assert await foreign.run(third, into / "third", lines.append) == Ran(0)
    assert lines[-1] == "['file', 'folder', 'new']"
    assert {path: path.read_text() for path in base.rglob("*") if path.is_file()} == as_it_was
    assert traces(state) == []


async def test_a_layer_is_laid_over_another_where_there_are_copies_only(state: State, base: Path, into: Path) -> None:
    """As where a state directory moves to a machine without overlays."""
    async with running_pad(state) as sandboxed:
        if why := (await sandboxed.isolation()).copied:
            pytest.skip(f"no overlay can be made here: {why}")
        assert await sandboxed.run(over(base, CHANGES), into / "first", print) == Ran(0)
    lines: list[str] = []
    async with running_pad(state, "none") as bare:
        look = "print(sorted(os.listdir(base)), os.listdir(base + '/folder'), open(base + '/file').read())"
        assert await bare.run(over(base, look, *stack(base, into / "first")), into / "second", lines.append) == Ran(0)
        assert (await bare.isolation()).copied == "there are no sandboxes"
    assert lines == ["['file', 'folder', 'link', 'new'] ['again'] file changed"]


@pytest.mark.parametrize(
    "trick",
    [
        "open(place + '/trick', 'w'); os.chmod(place + '/trick', 0o6755)",
        "os.mkfifo(place + '/trick')",
        "import socket; os.chdir(place); socket.socket(socket.AF_UNIX).bind('trick')",
        "open(place + '/trick', 'w'); os.chmod(place + '/trick', 0); os.chmod(place, 0)",
        "os.symlink('/etc/shadow', place + '/trick')",
    ],
    ids=["set-id", "fifo", "socket", "closed", "link"],
)
async def test_a_trick_among_what_it_writes_is_made_harmless(
    foreign: Pad | Jobs, base: Path, into: Path, trick: str
) -> None:
    code = (
        f"os.mkdir('place'); os.mkdir(base + '/place')\nfor place in (base + '/place', os.getcwd() + '/place'): {trick}"
    )
    assert await foreign.run(over(base, code), into, print) == Ran(0)
    (layer,) = (path for path in into.iterdir() if path.name != "home")
    for place in (layer / "place", into / "home" / "place"):
        assert place.stat().st_mode & 0o7700 == 0o700
        for path in place.iterdir():
            assert path.is_symlink() or path.is_file()
            assert path.lstat().st_mode & 0o6000 == 0
            assert path.is_symlink() or path.lstat().st_mode & 0o400


@pytest.mark.parametrize("place", ["base", "'.'"], ids=["layer", "home"])
@pytest.mark.parametrize(
    "code",
    [
        "for n in range(20): open(f'{place}/{n}', 'wb').truncate(10 << 20)",
        "for n in range(20000): os.close(os.open(f'{place}/{n}', os.O_CREAT))",
        "deep = place\nfor n in range(300): deep += '/d'; os.mkdir(deep)",
    ],
    ids=["bytes", "files", "depth"],
)
async def test_what_it_writes_has_an_end(
    foreign: Pad | Jobs, state: State, base: Path, into: Path, code: str, place: str
) -> None:
    run = over(base, f"place = {place}\n{code}")
    with pytest.raises(Fail) as caught:
        await foreign.run(run, into, print)
    assert caught.value.failure.kind.code == "build.too-large"
    assert list(into.iterdir()) == []
    assert traces(state) == []


ASKS = """
import socket, sys
for target in sys.argv[1:]:
    with socket.create_connection(("127.0.0.1", 3128), 20) as asking:
        asking.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
        print(asking.recv(1000).decode().splitlines()[0])
sys.exit(1)
"""


async def test_what_it_did_not_reach_is_told_as_the_proxy_knows_it(state: State, into: Path) -> None:
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as open_one:
        closed, reached = (f"127.0.0.1:{one.getsockname()[1]}" for one in (silent, open_one))
        silent.close()
        asks = (closed, "127.0.0.1:80", "no-such-name.invalid:443", "127.0.0.1:80", reached)
        run = replace(run_of(None, ""), command=(PYTHON, "-c", ASKS, *asks), egress_allowed=(closed, reached))
        run = replace(run, egress=Egress.PUBLIC)
        async with running_pad(state) as pad:
            ran = await pad.run(run, into, lines.append)
    assert ran.status == 1
    assert [(one.host, one.why) for one in ran.unreached] == [
        (closed, Withheld.UNREACHABLE),
        ("127.0.0.1:80", Withheld.FORBIDDEN),
        ("no-such-name.invalid:443", Withheld.UNREACHABLE),
    ]
    assert "Connection refused" in ran.unreached[0].said
    assert "not a public address" in ran.unreached[1].said
    answers = [line for line in lines if line.startswith("HTTP/1.1")]
    assert answers[1].startswith("HTTP/1.1 403 Forbidden (127.0.0.1 is 127.0.0.1, which is not a public address")
    assert len([line for line in lines if line.startswith("Perijove's egress proxy: ")]) == 3


async def test_what_it_reached_in_the_end_is_not_told(state: State, into: Path) -> None:
    code = """
import socket
def ask():
    with socket.create_connection(("127.0.0.1", 3128), 20) as asking:
        asking.sendall(b"CONNECT TARGET HTTP/1.1\\r\\n\\r\\n")
        return asking.recv(1000).split()[1]
print("first", ask(), flush=True)
while ask() != b"200":
    pass
"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = taken.getsockname()
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def listen(line: str) -> None:
        if line.startswith("first"):
            server.bind(target)
            server.listen(100)

    code = code.replace("TARGET", f"127.0.0.1:{target[1]}")
    with server:
        run = replace(run_of(None, code), egress_allowed=(f"127.0.0.1:{target[1]}",))
        async with running_pad(state) as pad:
            assert await pad.run(run, into, listen) == Ran(0)
