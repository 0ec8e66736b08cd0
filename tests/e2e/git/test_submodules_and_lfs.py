"""Submodules and files in Git LFS, over real HTTP on loopback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.e2e.git.asking import at, brought, configure, failure_of, said, with_submodule
from tests.fakes.git_server import Server

pytestmark = pytest.mark.e2e


# Submodules


async def test_submodules_are_fetched_level_by_level(server: Server, repositories: GitRepositories) -> None:
    inner = server.author("inner.git")
    deep = inner.commit({"deep.txt": "deep"})
    inner.commit({"deep.txt": "later"})
    middle = server.author("middle.git")
    pinned = with_submodule(middle, "in/ner", "../inner.git", deep)
    outer = server.author("outer.git")
    with_submodule(outer, "absolute", server.url("inner.git"), deep)
    with_submodule(outer, "middle", "../middle.git", pinned)
    checkout, lines = await brought(repositories, at(server.url("outer.git")))
    assert (checkout.path / "middle/in/ner/deep.txt").read_text() == "deep"
    assert (checkout.path / "absolute/deep.txt").read_text() == "deep"
    assert said(checkout.path, "status", "--porcelain") == ""
    assert said(checkout.path / "middle/in/ner", "rev-parse", "HEAD") == deep
    assert any("Fetching submodule middle from " in line for line in lines)


@pytest.mark.parametrize(
    "url",
    [
        "../missing.git",
        "file:///etc",
        "ext::sh",
        "--upload-pack=x",
        "https://u:p@example.org/r",
        "http://127.0.0.1:{port}/denied/r",
        "https://no-such-host.invalid/x.git",
        "git@no-such-host.invalid:x.git",
    ],
)
async def test_a_submodule_that_cannot_be_had_is_the_authors(
    server: Server, state: State, repositories: GitRepositories, url: str
) -> None:
    outer = server.author("outer.git")
    with_submodule(outer, "sub", url.format(port=server.port), "1" * 40)
    failure = await failure_of(repositories, at(server.url("outer.git")))
    assert failure.kind.code == "resolve.submodule-failed"
    assert failure.cause.startswith("sub: ")
    assert failure.evidence[0].where == ".gitmodules"
    assert "u:p" not in repr(failure)
    assert list(state.checkouts.iterdir()) == []


async def test_a_submodules_host_that_does_not_answer_is_told_with_its_name(
    server: Server, repositories: GitRepositories
) -> None:
    with_submodule(server.author("outer.git"), "sub", "http://127.0.0.1:1/x.git", "1" * 40)
    failure = await failure_of(repositories, at(server.url("outer.git")))
    assert failure.kind.code == "resolve.host-unreachable"
    assert failure.cause.startswith("submodule sub: ")
    assert failure.evidence[0].where == ".gitmodules"


async def test_a_submodules_missing_commit_is_the_authors(server: Server, repositories: GitRepositories) -> None:
    server.author("inner.git").commit({"n": "1"})
    outer = server.author("outer.git")
    with_submodule(outer, "sub", "../inner.git", "1" * 40)
    failure = await failure_of(repositories, at(server.url("outer.git")))
    assert failure.kind.code == "resolve.submodule-failed"
    assert "1" * 40 in failure.cause


async def test_a_submodule_without_an_address_stays_empty(server: Server, repositories: GitRepositories) -> None:
    outer = server.author("outer.git")
    outer.commit({"n": "1"})
    outer.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},stray")
    outer.git("commit", "--quiet", "-m", "stray")
    outer.push()
    checkout, lines = await brought(repositories, at(server.url("outer.git")))
    assert list((checkout.path / "stray").iterdir()) == []
    assert any("stray has no address" in line for line in lines)


async def test_submodules_without_end_are_given_up(server: Server, repositories: GitRepositories) -> None:
    commit = server.author("r0.git").commit({"n": "1"})
    for level in range(1, 8):
        commit = with_submodule(server.author(f"r{level}.git"), "sub", f"../r{level - 1}.git", commit)
    failure = await failure_of(repositories, at(server.url("r7.git")))
    assert failure.kind.code == "resolve.submodule-failed"
    assert "too many" in failure.cause


# Git LFS


def _pointer(server: Server, content: bytes) -> str:
    oid = hashlib.sha256(content).hexdigest()
    server.lfs[oid] = content
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def _with_lfs(server: Server, content: bytes, **files: str) -> None:
    attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
    server.author("r.git").commit({".gitattributes": attributes, "data/x.bin": _pointer(server, content), **files})


async def test_files_in_lfs_are_fetched(server: Server, repositories: GitRepositories) -> None:
    _with_lfs(server, b"large" * 1000)
    checkout, lines = await brought(repositories, at(server.url("r.git")))
    assert (checkout.path / "data/x.bin").read_bytes() == b"large" * 1000
    assert any("Git LFS" in line for line in lines)


async def test_files_in_lfs_that_are_too_large_are_refused(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    _with_lfs(server, b"large" * 200_000)
    small = GitRepositories(state, RepositoriesSettings(max_size=500_000), True, confined)
    assert (await failure_of(small, at(server.url("r.git")))).kind.code == "resolve.too-large"
    assert not any("/lfs" in line for line in server.asked)


async def test_files_missing_from_lfs_are_told(server: Server, state: State, repositories: GitRepositories) -> None:
    _with_lfs(server, b"gone")
    server.lfs.clear()
    failure = await failure_of(repositories, at(server.url("r.git")))
    assert failure.kind.code == "resolve.lfs-missing"
    assert "x.bin" in failure.cause
    assert list(state.checkouts.iterdir()) == []


@pytest.mark.parametrize("instead", [b"shorter", b"much longer than it was"])
async def test_a_file_in_lfs_that_is_another_is_refused(
    server: Server, state: State, repositories: GitRepositories, instead: bytes
) -> None:
    _with_lfs(server, b"the right one")
    server.lfs = dict.fromkeys(server.lfs, instead)
    assert (await failure_of(repositories, at(server.url("r.git")))).kind.code == "resolve.lfs-missing"
    assert list(state.checkouts.iterdir()) == []


async def test_an_lfs_server_of_the_repositorys_choice_is_asked(server: Server, repositories: GitRepositories) -> None:
    other = f"[lfs]\n\turl = {server.url('other.git')}/info/lfs\n"
    _with_lfs(server, b"elsewhere", **{".lfsconfig": other})
    checkout, _ = await brought(repositories, at(server.url("r.git")))
    assert (checkout.path / "data/x.bin").read_bytes() == b"elsewhere"
    assert "POST /plain/other.git/info/lfs/objects/batch" in server.asked


async def test_an_lfs_server_that_does_not_answer_is_told(server: Server, repositories: GitRepositories) -> None:
    _with_lfs(server, b"x", **{".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:1/lfs\n"})
    assert (await failure_of(repositories, at(server.url("r.git")))).kind.code == "resolve.host-unreachable"


async def test_the_operators_credentials_open_a_private_lfs_server(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    _with_lfs(server, b"private")
    configure(home, '[credential]\n\thelper = "!f() { echo username=ada; echo password=open; }; f"\n')
    trusting = GitRepositories(state, RepositoriesSettings(private=("git/",)), True, confined)
    checkout, _ = await brought(trusting, at(server.url("r.git", "login")))
    assert (checkout.path / "data/x.bin").read_bytes() == b"private"


async def test_a_private_lfs_server_without_credentials_is_told(server: Server, repositories: GitRepositories) -> None:
    private = f"[lfs]\n\turl = {server.url('r.git', 'login')}/info/lfs\n"
    _with_lfs(server, b"private", **{".lfsconfig": private})
    assert (await failure_of(repositories, at(server.url("r.git")))).kind.code == "resolve.access-denied"


@pytest.mark.parametrize("scheme", ["file://", ""])
async def test_a_mirror_on_this_machine_has_its_files_in_lfs(
    server: Server, repositories: GitRepositories, home: Path, scheme: str
) -> None:
    content = b"large" * 1000
    _with_lfs(server, content)
    server.root.chmod(0o755)
    bare = server.root / "bare" / "r.git"
    configure(home, f'[url "{scheme}{server.root}/bare/"]\n\tinsteadOf = https://git.example.org/\n')
    failure = await failure_of(repositories, at("https://git.example.org/r.git"))
    assert failure.kind.code == "resolve.lfs-missing"
    assert f"git lfs fetch --all` in {bare}" in failure.remedy
    oid = hashlib.sha256(content).hexdigest()
    kept = bare / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content + b"more")
    assert (await failure_of(repositories, at("https://git.example.org/r.git"))).kind.code == "resolve.lfs-missing"
    kept.write_bytes(content)
    checkout, _ = await brought(repositories, at("https://git.example.org/r"))
    assert (checkout.path / "data/x.bin").read_bytes() == content
    assert not any("/lfs" in line for line in server.asked)
