"""Repositories by the real git over real HTTP: what is found, what is refused, and what is left behind."""

from __future__ import annotations

import asyncio
import base64
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import Fail
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.e2e.git.asking import at, brought, failure_of, left, said, with_submodule
from tests.fakes.git_server import Server

pytestmark = pytest.mark.e2e


async def test_a_checkout_is_a_repository_to_work_in(
    server: Server, state: State, repositories: GitRepositories
) -> None:
    author = server.author("r.git")
    author.commit({"old.txt": "old"})
    commit = author.commit({"a/b.txt": "hello", "ü.txt": "x"})
    os.symlink("/etc/passwd", author.tree / "link")
    os.symlink("nowhere", author.tree / "dangling")
    commit = author.commit({})
    checkout, lines = await brought(repositories, at(server.url("r.git"), "main"))
    assert checkout.repo.commit == commit
    assert not [line for line in lines if re.search(r": +\d\d?%", line)], "of a few files their end is told alone"
    assert (checkout.path / "a/b.txt").read_text() == "hello"
    assert os.readlink(checkout.path / "link") == "/etc/passwd"
    assert (checkout.path / "dangling").is_symlink()
    assert said(checkout.path, "status", "--porcelain", "--branch") == "## main...origin/main"
    assert said(checkout.path, "rev-list", "--count", "HEAD") == "3"
    assert said(checkout.path, "remote", "get-url", "origin") == server.url("r.git")
    assert said(checkout.path, "pull") == "Already up to date."
    assert lines
    assert not any("\r" in line or not line.isprintable() for line in lines)
    assert left(state) == []


@pytest.fixture
def history(server: Server) -> dict[str, str]:
    """A repository `r.git` of three commits, with refs that incumbents take for one another."""
    author = server.author("r.git")
    commits = {
        "first": author.commit({"n": "1"}),
        "second": author.commit({"n": "2"}),
        "third": author.commit({"n": "3"}),
    }
    author.git("branch", "feature/main", commits["first"])
    author.git("branch", "größe-ветка", commits["second"])
    author.git("tag", "-a", "-m", "a tag", "v1", commits["first"])
    author.git("branch", "v1", commits["second"])
    author.git("tag", "-a", "-m", "a tag", "v2", commits["first"])
    author.push()
    return commits


@pytest.mark.parametrize("manner", ["plain", "elsewhere", "old"])
@pytest.mark.parametrize(
    ("ref", "commit", "ref_name"),
    [
        ("HEAD", "third", "refs/heads/main"),
        ("main", "third", "refs/heads/main"),
        ("master", "third", "refs/heads/main"),
        ("feature/main", "first", "refs/heads/feature/main"),
        ("größe-ветка", "second", "refs/heads/größe-ветка"),
        ("v1", "second", "refs/heads/v1"),
        ("v2", "first", "refs/tags/v2"),
        ("refs/tags/v1", "first", "refs/tags/v1"),
    ],
)
async def test_a_ref_is_its_commit_whatever_the_host(
    server: Server,
    history: dict[str, str],
    repositories: GitRepositories,
    manner: str,
    ref: str,
    commit: str,
    ref_name: str,
) -> None:
    checkout, lines = await brought(repositories, at(server.url("r.git", manner), ref))
    assert (checkout.repo.commit, checkout.repo.ref_name) == (history[commit], ref_name)
    assert said(checkout.path, "rev-parse", "HEAD") == history[commit]
    assert said(checkout.path, "status", "--porcelain") == ""
    assert (ref == "master") == any(
        "There is no branch master here; main, the default, is taken" in line for line in lines
    )


@pytest.mark.parametrize("manner", ["plain", "elsewhere", "old"])
@pytest.mark.parametrize("ref", ["HEAD", "v2", "commit"])
async def test_its_history_is_told_as_in_a_full_clone(
    server: Server, repositories: GitRepositories, home: Path, manner: str, ref: str
) -> None:
    author = server.author("r.git")
    author.commit({"n": "1"})
    author.git("tag", "-a", "-m", "a tag", "v1")
    author.commit({"n": "2"})
    author.git("tag", "light")
    wanted = author.commit({"n": "3"})
    author.git("tag", "-a", "-m", "a tag", "v2")
    author.commit({"n": "4"})
    author.git("checkout", "--quiet", "--orphan", "other")
    author.commit({"n": "5"})
    author.git("tag", "elsewhere")
    author.git("checkout", "--quiet", "main")
    author.push()
    checkout, lines = await brought(repositories, at(server.url("r.git", manner), wanted if ref == "commit" else ref))
    author.git("checkout", "--quiet", checkout.repo.commit)
    for asked in (
        ("describe",),
        ("describe", "--tags", "--long", "--dirty"),
        ("describe", "--match", "v1", "--long"),
        ("rev-list", "--count", "HEAD"),
        ("log", "--format=%H %s %d", "v1"),
        ("status", "--porcelain"),
        ("tag", "--merged", "HEAD"),
    ):
        theirs = author.git(*asked).replace("HEAD -> other", "")
        assert said(checkout.path, *asked) == theirs, asked
    assert not any("without its history" in line for line in lines)


async def test_nothing_waits_for_a_past_that_cannot_be_had(
    server: Server, repositories: GitRepositories, home: Path
) -> None:
    author = server.author("r.git")
    author.commit({"n": "1" * 3000})
    author.commit({"n": "2"})
    checkout, _ = await brought(repositories, at(server.url("r.git"), "main"))
    shutil.rmtree(author.bare)
    ran = subprocess.run(
        ["git", "-C", checkout.path, "log", "-p"], capture_output=True, timeout=20, text=True, check=False
    )
    assert ran.returncode != 0
    assert "could not fetch" in ran.stderr
    assert said(checkout.path, "status", "--porcelain") == ""
    assert said(checkout.path, "describe", "--always") == checkout.repo.commit[:7]


async def test_a_history_that_is_too_large_is_left_out(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    author = server.author("r.git")
    for _ in range(3):
        author.commit({"n": "small"}, message=base64.b64encode(os.urandom(60_000)).decode())
    author.commit({"n": "small"})
    repositories = GitRepositories(state, RepositoriesSettings(max_size=1 << 20), True, confined)
    checkout, lines = await brought(repositories, at(server.url("r.git"), "main"))
    assert (checkout.path / "n").read_text() == "small"
    assert said(checkout.path, "rev-list", "--count", "HEAD") == "1"
    (told,) = (line for line in lines if "without its history" in line)
    assert "more than 128 KB" in told


@pytest.mark.parametrize("manner", ["plain", "old"])
@pytest.mark.parametrize("digits", [40, 12, 7])
async def test_a_commit_that_no_ref_stands_at_is_found_by_its_name(
    server: Server, repositories: GitRepositories, manner: str, digits: int
) -> None:
    author = server.author("r.git")
    author.commit({"n": "1"})
    wanted = author.commit({"n": "2"})
    author.commit({"n": "3"})
    checkout, _ = await brought(repositories, at(server.url("r.git", manner), wanted[:digits]))
    assert checkout.repo.commit == wanted
    assert (checkout.path / "n").read_text() == "2"
    assert said(checkout.path, "status", "--porcelain") == ""


@pytest.mark.parametrize("ref", ["f" * 40, "f" * 64, "ffffffff", "ain", "n0pe"])
async def test_a_ref_that_is_not_there_is_told(
    server: Server, history: dict[str, str], state: State, repositories: GitRepositories, ref: str
) -> None:
    failure = await failure_of(repositories, at(server.url("r.git"), ref))
    assert failure.kind.code == "resolve.ref-not-found"
    assert left(state) == []


async def test_a_misspelt_branch_is_told_with_similar_names(
    server: Server, history: dict[str, str], repositories: GitRepositories
) -> None:
    failure = await failure_of(repositories, at(server.url("r.git"), "feature/mian"))
    assert "feature/main" in [each.saw for each in failure.evidence]


async def test_an_empty_repository_is_told(server: Server, repositories: GitRepositories) -> None:
    server.author("r.git")
    failure = await failure_of(repositories, at(server.url("r.git")))
    assert (failure.kind.code, failure.remedy) == ("resolve.ref-not-found", "Push a commit to it.")


@pytest.mark.parametrize(
    ("manner", "code"),
    [
        ("missing", "resolve.repo-not-found"),
        ("login", "resolve.repo-not-found"),
        ("denied", "resolve.access-denied"),
        ("broken", "resolve.host-unreachable"),
        ("busy", "resolve.host-unreachable"),
        ("cut", "resolve.fetch-failed"),
    ],
)
async def test_what_a_host_answers_is_told_apart(
    server: Server, history: dict[str, str], state: State, repositories: GitRepositories, manner: str, code: str
) -> None:
    failure = await failure_of(repositories, at(server.url("r.git", manner)))
    assert failure.kind.code == code
    assert list(state.checkouts.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("http://127.0.0.1:1/r", "resolve.host-unreachable", id="nobody listens"),
        pytest.param("http://no-such-host.invalid/r", "resolve.host-unreachable", id="no such name"),
        pytest.param("ssh://git@127.0.0.1:1/r", "resolve.host-unreachable", id="nobody listens for ssh"),
        pytest.param("git://127.0.0.1:1/r", "resolve.host-unreachable", id="nobody listens for git"),
    ],
)
async def test_a_host_that_does_not_answer_is_told(repositories: GitRepositories, url: str, code: str) -> None:
    if url.startswith("ssh") and os.geteuid() == 0:
        code = "resolve.access-denied"  # git is then run as a user without a name, as which ssh does not run
    elif url.startswith("ssh") and not _has_a_name():
        pytest.skip("ssh does not run for a user without a name")
    assert (await failure_of(repositories, at(url))).kind.code == code


def _has_a_name() -> bool:
    return any(row.pw_uid == os.getuid() for row in pwd.getpwall())


async def test_a_host_without_a_repository_there_is_told(server: Server, repositories: GitRepositories) -> None:
    assert (await failure_of(repositories, at(server.url("nothing.git")))).kind.code == "resolve.repo-not-found"


async def test_a_host_without_trusted_tls_is_told(server: Server, repositories: GitRepositories) -> None:
    failure = await failure_of(repositories, at(server.url("r.git").replace("http:", "https:")))
    assert failure.kind.code == "resolve.host-unreachable"
    assert "certificate" in failure.remedy


async def test_a_host_that_never_answers_is_given_up(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    server.author("r.git").commit({"n": "1"})
    hasty = GitRepositories(state, RepositoriesSettings(resolve_timeout=0.3, fetch_timeout=0.3), True, confined)
    assert (await failure_of(hasty, at(server.url("r.git", "slow")))).kind.code == "resolve.host-unreachable"
    assert (await failure_of(hasty, at(server.url("r.git", "slow"), "a" * 7))).kind.code == "resolve.host-unreachable"
    commit = server.author("s.git").commit({"n": "1"})
    known = await GitRepositories(state, RepositoriesSettings(), True, confined).resolve(
        at(server.url("s.git"), commit)
    )
    late = type(known)(at(server.url("s.git", "slow"), commit), commit, "")
    with pytest.raises(Fail) as caught:
        await hasty.fetch(late, print)
    assert caught.value.failure.kind.code == "resolve.too-slow"
    assert left(state) == []


async def test_a_cancelled_fetch_leaves_neither_files_nor_processes(
    server: Server, state: State, repositories: GitRepositories
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    repo = await repositories.resolve(at(server.url("r.git"), commit))
    slow = type(repo)(at(server.url("r.git", "slow"), commit), commit, "")
    task = asyncio.create_task(repositories.fetch(slow, print), name="a visitor's fetch")
    async with asyncio.timeout(10):
        while not any("/slow/" in line for line in server.asked):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(state.checkouts.iterdir()) == []
    assert not [line for line in _processes() if server.url("", "slow") in line]


def _processes() -> list[str]:
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


async def test_a_commit_wanted_by_many_at_once_is_fetched_once(server: Server, repositories: GitRepositories) -> None:
    server.author("r.git").commit({"n": "1"})
    repo = await repositories.resolve(at(server.url("r.git")))
    before = len(server.asked)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repositories.fetch(repo, print), name=f"visitor {n}") for n in range(5)]
    once = len(server.asked) - before
    assert len({task.result().path for task in tasks}) == 1
    await repositories.fetch(repo, print)
    assert len(server.asked) - before == once == len([line for line in server.asked[before:] if "/r.git/" in line])
    assert len([line for line in server.asked[before:] if line.startswith("GET")]) == 2, "its files, and its history"


async def test_what_a_fetch_comes_to_is_told_to_all_who_waited_for_it(
    server: Server, state: State, repositories: GitRepositories, confined: ConfinedCalls
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    repo = await repositories.resolve(at(server.url("r.git"), commit))
    slow = type(repo)(at(server.url("r.git", "slow"), commit), commit, "")
    hasty, lines = GitRepositories(state, RepositoriesSettings(fetch_timeout=1), True, confined), list[str]()
    asking = (hasty.fetch(slow, lines.append) for _ in range(5))
    for answer in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(answer, Fail), answer
        assert answer.failure.kind.code == "resolve.too-slow"
    assert lines.count("Another launch fetches this commit: waiting for it") == 4
    assert len([line for line in server.asked if "/slow/" in line]) <= 2, "one fetch asks twice"
    server.released.set()
    hasty.apply(RepositoriesSettings(), True)
    assert (await hasty.fetch(slow, print)).path.exists(), "whoever comes later tries it"


async def test_a_stored_commit_needs_no_host(server: Server, repositories: GitRepositories) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    first, _ = await brought(repositories, at(server.url("r.git"), commit))
    before = len(server.asked)
    again, _ = await brought(repositories, at(server.url("r.git"), commit))
    assert again.path == first.path
    assert len(server.asked) == before


@pytest.mark.parametrize("where", ["fetch", "search", "submodule"])
async def test_a_repository_that_is_too_large_is_refused(
    server: Server, state: State, confined: ConfinedCalls, home: Path, where: str
) -> None:
    author = server.author("r.git")
    old = author.commit({"noise": os.urandom(1 << 20)})
    author.commit({"noise": os.urandom(1 << 20)})
    if where == "submodule":
        outer = server.author("outer.git")
        with_submodule(outer, "sub", "../r.git", old)
    small = GitRepositories(state, RepositoriesSettings(max_size=500_000), True, confined)
    address = {
        "fetch": at(server.url("r.git")),
        "search": at(server.url("r.git", "old"), old[:10]),
        "submodule": at(server.url("outer.git")),
    }[where]
    assert (await failure_of(small, address)).kind.code == "resolve.too-large"
    assert list(state.checkouts.iterdir()) == []


async def test_a_repository_of_sha256_is_fetched(server: Server, repositories: GitRepositories) -> None:
    commit = server.author("r.git", kind="sha256").commit({"n": "1"})
    checkout, _ = await brought(repositories, at(server.url("r.git"), commit))
    assert len(checkout.repo.commit) == 64
    assert (checkout.path / "n").read_text() == "1"


# What is left behind


async def test_what_an_interrupted_service_left_is_swept(
    state: State, repositories: GitRepositories, server: Server
) -> None:
    (state.checkouts / ".aside-x/tree").mkdir(parents=True)
    server.author("r.git").commit({"n": "1"})
    checkout, _ = await brought(repositories, at(server.url("r.git")))
    repositories.sweep()
    assert list(state.checkouts.iterdir()) == [checkout.path]
    await repositories.prune([])
    assert list(state.checkouts.iterdir()) == []
