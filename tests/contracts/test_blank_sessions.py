"""The port `Sessions`: a session that was started without files gets them, or is of no use to anybody."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.keeping import KeepTerms
from perijove.domain.nouns import EndReason, SandboxSpec
from perijove.domain.state import State
from perijove.sealing import new_key, public_half
from tests.contracts.test_sessions_port import pad_process
from tests.fakes.confined import MIB, do, spec, until, with_less
from tests.fakes.pads import running_pad
from tests.fakes.world import FakeSessions

LISTED = """
import os, stat
answer = []
for folder, folders, files in os.walk("."):
    for name in sorted([*folders, *files]):
        path = os.path.join(folder, name)
        facts = os.lstat(path)
        content = os.readlink(path) if os.path.islink(path) else open(path).read() if os.path.isfile(path) else ""
        answer.append([path, oct(facts.st_mode), facts.st_uid, facts.st_gid, int(facts.st_mtime), content])
facts = os.stat(".")
answer = [sorted(answer), oct(facts.st_mode), facts.st_uid]
"""


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "code").mkdir(mode=0o775)
    (folder / "code" / "run.sh").write_text("echo")
    (folder / "code" / "run.sh").chmod(0o755)
    (folder / "hello.txt").write_text("hello")
    os.utime(folder / "hello.txt", (1_000_000, 1_000_000))
    (folder / "link").symlink_to("/etc/hostname")
    return folder


@pytest.fixture(params=["sandbox", "none"])
async def pad(state: State, request: pytest.FixtureRequest) -> AsyncIterator[Pad]:
    async with running_pad(state, str(request.param)) as pad:
        yield pad


@pytest.fixture
async def sandboxing(state: State) -> AsyncIterator[Pad]:
    async with running_pad(state) as pad:
        yield pad


def blank(name: str = "one", disk: int = 64 * MIB) -> SandboxSpec:
    return replace(spec(name, Path(), limits=with_less(disk=disk)), home_from=None)


async def code_of(pad: Pad, repo: Path) -> str:
    """Of the failure that filling it comes to."""
    with pytest.raises(Fail) as caught:
        await pad.fill("one", repo)
    return caught.value.failure.kind.code


async def test_its_home_is_as_one_that_was_copied_before_its_start(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("copied", repo))
    await pad.start(blank())
    assert (await do(state, "one", LISTED))[0] == []
    await pad.fill("one", repo)
    assert await do(state, "one", LISTED) == await do(state, "copied", LISTED)
    assert await do(state, "one", "open('hello.txt', 'w').write('mine'); answer = open('hello.txt').read()") == "mine"
    assert (repo / "hello.txt").read_text() == "hello"
    assert [path.name for path in (state.sessions / "one" / "own").iterdir() if path.name == "aside"] == []


async def test_what_a_visitor_changes_in_it_is_kept_against_the_files_that_it_got(
    sandboxing: Pad, state: State, repo: Path
) -> None:
    await sandboxing.start(blank())
    await sandboxing.fill("one", repo)
    terms = KeepTerms(public_half(new_key()), "github.com/owner/repo", "c" * 40, 64 * MIB, 100)
    await sandboxing.keep("one", terms)
    await do(state, "one", "open('new.txt', 'w').write('mine'); answer = 1")
    await sandboxing.stop("one", EndReason.IDLE)
    assert list(await sandboxing.kept()) == ["one"]
    await sandboxing.fetched("one")


async def test_it_is_filled_once(pad: Pad, repo: Path) -> None:
    await pad.start(blank())
    await pad.fill("one", repo)
    assert await code_of(pad, repo) == "start.sandbox-failed"
    await pad.stop("one", EndReason.STOPPED)
    assert await code_of(pad, repo) == "start.sandbox-failed"


async def test_the_fake_is_filled_once_too(repo: Path) -> None:
    sessions = FakeSessions()
    await sessions.start(blank())
    await sessions.fill("one", repo)
    for _ in range(2):
        with pytest.raises(Fail) as caught:
            await sessions.fill("one", repo)
        assert caught.value.failure.kind.code == "start.sandbox-failed"
        await sessions.stop("one", EndReason.STOPPED)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param("open('hello.txt', 'w').write('not the repository')", id="a file in the place of one"),
        pytest.param("os.symlink('/tmp', 'code')", id="a link in the place of a folder"),
        pytest.param("os.makedirs('.git/hooks')", id="a hidden folder that the repository has too"),
    ],
)
async def test_one_whose_home_was_changed_is_not_filled(
    sandboxing: Pad, state: State, repo: Path, changed: str
) -> None:
    await sandboxing.start(blank())
    assert await do(state, "one", f"import os; {changed}; answer = 'done'") == "done"
    assert await code_of(sandboxing, repo) == "start.sandbox-failed"
    await sandboxing.stop("one", EndReason.STOPPED)
    assert [*state.sessions.iterdir(), *state.session_sockets.iterdir(), *state.home_disks.glob("*")] == []


async def test_a_link_that_lies_where_a_hidden_folder_comes_leads_nothing_astray(
    sandboxing: Pad, state: State, repo: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    await sandboxing.start(blank())
    assert await do(state, "one", f"import os; os.symlink({str(tmp_path)!r}, '.git'); answer = 'done'") == "done"
    assert await code_of(sandboxing, repo) == "start.sandbox-failed"
    assert list(tmp_path.iterdir()) == []


async def test_a_repository_that_its_disk_cannot_hold_is_told_so(sandboxing: Pad, state: State, repo: Path) -> None:
    (repo / "large").write_bytes(os.urandom(24 * MIB))
    await sandboxing.start(blank(disk=8 * MIB))
    if not list(state.home_disks.glob("*")):
        pytest.skip("homes have no disks of their own here")
    assert await code_of(sandboxing, repo) == "start.disk-full"
    await sandboxing.stop("one", EndReason.STOPPED)
    assert [*state.sessions.iterdir(), *state.session_sockets.iterdir()] == []


async def test_nothing_is_left_of_one_that_is_ended_while_it_is_filled(
    sandboxing: Pad, state: State, repo: Path
) -> None:
    (repo / "large").write_bytes(os.urandom(24 * MIB))
    await sandboxing.start(blank())
    filling = asyncio.create_task(sandboxing.fill("one", repo))
    aside = state.sessions / "one" / "own" / "aside"
    await until(lambda: filling.done() or aside.exists())
    await sandboxing.stop("one", EndReason.STOPPED)
    await asyncio.wait({filling})
    assert [*state.sessions.iterdir(), *state.session_sockets.iterdir(), *state.home_disks.glob("*")] == []


async def test_nothing_is_left_of_one_whose_pad_is_killed_while_it_is_filled(state: State, repo: Path) -> None:
    (repo / "large").write_bytes(os.urandom(24 * MIB))
    first = Pad(state)
    await first.start(blank())
    filling = asyncio.create_task(first.fill("one", repo))
    aside = state.sessions / "one" / "own" / "aside"
    await until(lambda: filling.done() or aside.exists())
    os.kill(pad_process(state), signal.SIGKILL)
    await asyncio.wait({filling})
    assert filling.exception() is None or isinstance(filling.exception(), Fail)
    await first.close(stop=True)
    async with running_pad(state) as pad:
        assert await pad.running() == []
        await until(lambda: [*state.sessions.iterdir(), *state.home_disks.glob("*")] == [], 30)
        await pad.start(blank())
        await pad.fill("one", repo)
        assert await do(state, "one", "import os; answer = os.path.getsize('large')") == 24 * MIB
