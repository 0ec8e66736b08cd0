"""What every implementation of the port Repositories holds: the fake, git over HTTP, and a local folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.nouns import RefNames, RepoAddress
from perijove.domain.ports import Repositories
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.resolve.address import from_launch_path, local_folder
from perijove.launching.resolve.pasted import pasted
from tests.fakes.git_server import WHO, serving
from tests.fakes.world import FakeClock, FakeRepositories


@dataclass
class Case:
    """An implementation, and an address that exists there with a file `hello.txt`."""

    repositories: Repositories
    address: RepoAddress


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="folder-"))
    (path / "hello.txt").write_text("hello")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def confined(state: State) -> Iterator[ConfinedCalls]:
    calls = ConfinedCalls()
    calls.let_through(state.checkouts)
    yield calls
    calls.close()


@pytest.fixture(params=["fake", "git", "local"])
def case(request: pytest.FixtureRequest, state: State, folder: Path, confined: ConfinedCalls) -> Iterator[Case]:
    real = GitRepositories(state, RepositoriesSettings(), True, confined)
    if request.param == "fake":
        yield Case(FakeRepositories(folder), from_launch_path("gh/o/r/HEAD"))
    elif request.param == "local":
        yield Case(real, local_folder(folder))
    else:
        with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as server:
            author = server.author("r.git")
            author.commit({"hello.txt": "hello"})
            author.git("tag", "v1")
            author.git("branch", "feature/x")
            author.push()
            yield Case(real, from_launch_path(f"git/{quote(server.url('r.git'), safe='')}/HEAD"))


async def test_a_ref_is_resolved_to_a_commit_always_the_same(case: Case) -> None:
    repo = await case.repositories.resolve(case.address)
    assert repo.address == case.address
    assert len(repo.commit) in (40, 64)
    assert set(repo.commit) <= set("0123456789abcdef")
    assert await case.repositories.resolve(case.address) == repo


async def test_what_a_host_lists_has_short_names_that_lead_to_commits(case: Case) -> None:
    names = await case.repositories.refs(case.address)
    assert all(not name.startswith("refs/") for name in (*names.branches, *names.tags))
    if case.address.provider == "local":
        assert names == RefNames((), ())
        return
    assert names.branches[0] == "main"
    assert {"feature/x", "v1"} <= {*names.branches, *names.tags}


async def test_a_pull_request_s_ref_is_resolved_by_its_full_name(repositories: GitRepositories) -> None:
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as server:
        author = server.author("r.git")
        author.commit({"hello.txt": "hello"})
        commit = author.commit({"hello.txt": "asked for"})
        author.git("push", "--quiet", str(author.bare), f"{commit}:refs/pull/5/head")
        repositories.apply(RepositoriesSettings(), True)
        address = pasted(f"{server.url('r')}/pull/5").address
        found = await repositories.resolve(replace(address, url=server.url("r.git")))
        assert (found.commit, found.ref_name) == (commit, "refs/pull/5/head")
        checkout = await repositories.fetch(found, print)
        assert (checkout.path / "hello.txt").read_text() == "asked for"


async def test_a_commits_files_are_fetched_to_a_place_of_their_own(case: Case) -> None:
    repo = await case.repositories.resolve(case.address)
    lines: list[str] = []
    checkout = await case.repositories.fetch(repo, lines.append)
    assert checkout.repo == repo
    assert (checkout.path / "hello.txt").read_text() == "hello"
    assert all("\n" not in line for line in lines)
    assert (await case.repositories.fetch(repo, lines.append)).path == checkout.path


# A local folder


@pytest.fixture
def repositories(state: State, confined: ConfinedCalls) -> GitRepositories:
    return GitRepositories(state, RepositoriesSettings(max_size=1 << 20), False, confined)


async def files_of(repositories: GitRepositories, folder: Path) -> dict[str, str]:
    """The files that a launch of a folder would see; links as `-> target`."""
    checkout = await repositories.fetch(await repositories.resolve(local_folder(folder)), print)
    return {
        str(path.relative_to(checkout.path)): f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()
        for path in checkout.path.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def git(folder: Path, *args: str) -> None:
    command = ["git", "-c", "protocol.file.allow=always", *args]
    subprocess.run(command, cwd=folder, env={"PATH": os.environ["PATH"], **WHO}, check=True, capture_output=True)


async def test_a_checkout_s_time_is_its_commit_s(state: State, confined: ConfinedCalls) -> None:
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as server:
        server.author("r.git").commit({"hello.txt": "hello"})
        repositories = GitRepositories(state, RepositoriesSettings(), True, confined)
        repo = await repositories.resolve(from_launch_path(f"git/{quote(server.url('r.git'), safe='')}/HEAD"))
        checkout = await repositories.fetch(repo, lambda _: None)
    assert checkout.path.stat().st_mtime == datetime.fromisoformat(WHO["GIT_COMMITTER_DATE"]).timestamp()


async def test_a_class_that_clicks_at_once_asks_the_host_once_and_a_second_later_anew(
    state: State, confined: ConfinedCalls
) -> None:
    clock = FakeClock()
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as server:
        author = server.author("r.git")
        first = author.commit({"hello.txt": "hello"})
        repositories = GitRepositories(state, RepositoriesSettings(), True, confined, now=clock.now)
        address = from_launch_path(f"git/{quote(server.url('r.git'), safe='')}/HEAD")
        found = await asyncio.gather(*(repositories.resolve(address) for _ in range(60)))
        assert {repo.commit for repo in found} == {first}
        assert len(server.asked) == len(set(server.asked))
        second = author.commit({"hello.txt": "hello again"})
        assert (await repositories.resolve(address)).commit == first
        clock.time += 1
        assert (await repositories.resolve(address)).commit == second


async def test_a_plain_folder_is_taken_whole_with_links_as_links(repositories: GitRepositories, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/run.sh").write_text("run")
    (folder / "sub/run.sh").chmod(0o700)
    (folder / "out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    assert await files_of(repositories, folder) == {"hello.txt": "hello", "sub/run.sh": "run", "out": "-> /etc"}


async def test_a_working_tree_is_taken_as_it_stands(repositories: GitRepositories, folder: Path) -> None:
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text("secret\n")
    (folder / "gone.txt").write_text("gone")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "x")
    (folder / "gone.txt").unlink()
    (folder / "hello.txt").write_text("changed")
    (folder / "größe.txt").write_text("untracked")
    (folder / "secret").write_text("ignored")
    seen = await files_of(repositories, folder)
    assert seen == {".gitignore": "secret\n", "hello.txt": "changed", "größe.txt": "untracked"}


async def test_a_folder_inside_a_working_tree_is_taken_alone(repositories: GitRepositories, folder: Path) -> None:
    git(folder, "init", "--quiet")
    (folder / "inner").mkdir()
    (folder / "inner/x").write_text("x")
    assert await files_of(repositories, folder / "inner") == {"x": "x"}


async def test_an_ignored_folder_is_taken_whole(repositories: GitRepositories, folder: Path) -> None:
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text("inner\n")
    (folder / "inner").mkdir()
    (folder / "inner/x").write_text("x")
    assert await files_of(repositories, folder / "inner") == {"x": "x"}


async def test_a_repository_inside_a_working_tree_is_taken_too(repositories: GitRepositories, folder: Path) -> None:
    git(folder, "init", "--quiet")
    (folder / "inner").mkdir()
    (folder / "inner/x").write_text("x")
    git(folder / "inner", "init", "--quiet")
    git(folder / "inner", "add", "--all")
    git(folder / "inner", "commit", "--quiet", "-m", "x")
    assert await files_of(repositories, folder) == {"hello.txt": "hello", "inner/x": "x"}


async def test_a_changed_file_mode_link_or_name_is_another_commit(repositories: GitRepositories, folder: Path) -> None:
    async def commit() -> str:
        return (await repositories.resolve(local_folder(folder))).commit

    seen = [await commit()]
    (folder / "hello.txt").write_text("hallo")
    seen.append(await commit())
    (folder / "hello.txt").chmod(0o755)
    seen.append(await commit())
    (folder / "link").symlink_to("a")
    seen.append(await commit())
    (folder / "hello.txt").rename(folder / "hullo.txt")
    seen.append(await commit())
    assert len(set(seen)) == len(seen)


async def test_a_snapshot_does_not_follow_later_changes(repositories: GitRepositories, folder: Path) -> None:
    repo = await repositories.resolve(local_folder(folder))
    (folder / "hello.txt").write_text("later")
    assert ((await repositories.fetch(repo, print)).path / "hello.txt").read_text() == "hello"


async def test_the_same_folder_wanted_twice_at_once_is_one_snapshot(
    repositories: GitRepositories, state: State, folder: Path
) -> None:
    both = await asyncio.gather(*(repositories.resolve(local_folder(folder)) for _ in range(4)))
    assert len(set(both)) == 1
    assert len(list(state.checkouts.iterdir())) == 1


async def test_a_folder_that_is_not_there_or_is_too_large_is_told(
    repositories: GitRepositories, state: State, folder: Path
) -> None:
    with pytest.raises(Fail, match="there is no such folder"):
        await repositories.resolve(local_folder(folder / "nothing"))
    (folder / "noise").write_bytes(bytes(2 << 20))
    with pytest.raises(Fail) as caught:
        await repositories.resolve(local_folder(folder))
    assert caught.value.failure.kind.code == "resolve.too-large"
    assert list(state.checkouts.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
async def test_a_file_that_cannot_be_read_is_told(repositories: GitRepositories, folder: Path) -> None:
    (folder / "hello.txt").chmod(0)
    with pytest.raises(Fail, match="cannot be read"):
        await repositories.resolve(local_folder(folder))
