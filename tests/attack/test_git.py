"""Repositories made to hurt: each is the author's failure, told by name within seconds, and takes nothing with it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.confinement import Identity
from perijove.domain.failures import BAD_TREE, Failure, Owner, Retry
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.attack.hostile_packs import doubled
from tests.attack.hostile_trees import bomb, nested, on_main, stored, tree
from tests.e2e.git.asking import at, brought, can_unshare, configure, failure_of, with_submodule
from tests.fakes.git_server import Author, Server

pytestmark = pytest.mark.e2e
MIB = 1024**2
FILES = (
    b".", b"..", b".git", b".GIT", b"git~1", b"GIT~1", b".git ", b".git...", b".git::$INDEX_ALLOCATION",
    ".g\u200cit".encode(), "\ufeff.git".encode(), b"n" * 256, b"n" * 100_000, b"\xff" * 256,
)  # fmt: skip
NAMES = (
    *(("100644", name) for name in FILES),
    *(("40000", name) for name in (b"..", b".git", b"n" * 256)),
    *(("120000", name) for name in (b".Git", b".gitmodules")),
)


@pytest.fixture
def repositories(state: State, confined: ConfinedCalls, home: Path) -> GitRepositories:
    return GitRepositories(state, RepositoriesSettings(), True, confined)


@pytest.fixture
def author(server: Server) -> Author:
    return server.author("r.git")


def measured(state: State, server: Server) -> dict[str, Any]:
    """What came of fetching `r.git` in a process of its own, in how many seconds, and how much memory that took."""
    command = [sys.executable, str(Path(__file__).parent / "fetching.py"), str(state.root), server.url("r.git")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def assert_the_authors(failure: Failure, code: str, state: State) -> None:
    assert failure.kind.code == code
    assert (failure.kind.owner, failure.kind.retry) == (Owner.AUTHOR, Retry.NEVER)
    assert list(state.checkouts.iterdir()) == []


# More files than any disk holds


def test_a_tree_of_trees_costs_neither_memory_nor_time(author: Author, server: Server, state: State) -> None:
    bomb(author)
    told = measured(state, server)
    assert told["code"] == "resolve.too-large"
    assert told["seconds"] < 30
    assert max(told["memory"]) < 200 * MIB
    assert list(state.checkouts.iterdir()) == []


async def test_many_files_without_a_byte_are_refused_by_their_number(
    author: Author, server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    bomb(author, width=11, levels=2)
    few = GitRepositories(state, RepositoriesSettings(max_files=130), True, confined)
    failure = await failure_of(few, at(server.url("r.git")))
    assert_the_authors(failure, "resolve.too-large", state)
    assert failure.evidence[0].where == "repositories.max_files"
    enough = GitRepositories(state, RepositoriesSettings(max_files=132), True, confined)
    checkout, _ = await brought(enough, at(server.url("r.git")))
    assert len(list(checkout.path.rglob("[0-9]*"))) == 132


async def test_one_blob_under_many_names_is_counted_by_each(
    author: Author, server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    bomb(author, width=20, levels=2, content=b"x" * 100_000)
    small = GitRepositories(state, RepositoriesSettings(max_size=20 * MIB), True, confined)
    failure = await failure_of(small, at(server.url("r.git")))
    assert_the_authors(failure, "resolve.too-large", state)
    assert failure.evidence[0].where == "repositories.max_size"


async def test_submodules_count_together(server: Server, state: State, confined: ConfinedCalls, home: Path) -> None:
    commit = bomb(server.author("inner.git"), width=10, levels=2)
    outer = server.author("outer.git")
    for number in range(3):
        with_submodule(outer, f"sub{number}", "../inner.git", commit)
    few = GitRepositories(state, RepositoriesSettings(max_files=300), True, confined)
    assert_the_authors(await failure_of(few, at(server.url("outer.git"))), "resolve.too-large", state)


# Paths that no file system or no git takes


async def test_names_that_are_no_files_are_the_authors(
    server: Server, state: State, repositories: GitRepositories
) -> None:
    async def told(number: int, mode: str, name: bytes) -> tuple[bytes, Failure]:
        author = server.author(f"r{number}.git")
        blob = stored(author, "blob", b"target")
        inside = tree(author, ("100644", b"config", blob)) if mode == "40000" else blob
        on_main(author, tree(author, (mode, name, inside)))
        return name, await failure_of(repositories, at(server.url(f"r{number}.git")))

    failures = await asyncio.gather(*(told(number, mode, name) for number, (mode, name) in enumerate(NAMES)))
    assert [name for name, failure in failures if failure.kind is not BAD_TREE] == []
    assert (BAD_TREE.owner, BAD_TREE.retry) == (Owner.AUTHOR, Retry.NEVER)
    assert list(state.checkouts.iterdir()) == []


@pytest.mark.parametrize("depth", [201, 3000])
async def test_folders_without_end_are_the_authors(
    author: Author, server: Server, state: State, repositories: GitRepositories, depth: int
) -> None:
    nested(author, depth)
    assert_the_authors(await failure_of(repositories, at(server.url("r.git"))), "resolve.bad-tree", state)


async def test_a_path_that_is_there_twice_is_the_authors(
    author: Author, server: Server, state: State, repositories: GitRepositories
) -> None:
    blob = stored(author, "blob", b"")
    inside = tree(author, ("100644", b"x", blob))
    on_main(author, tree(author, ("120000", b"a", blob), ("100644", b"b", blob), ("40000", b"a", inside)))
    failure = await failure_of(repositories, at(server.url("r.git")))
    assert_the_authors(failure, "resolve.bad-tree", state)
    assert "twice" in failure.cause


async def test_a_link_to_a_target_without_end_is_the_authors(
    author: Author, server: Server, state: State, repositories: GitRepositories
) -> None:
    on_main(author, tree(author, ("120000", b"a", stored(author, "blob", b"t" * 5000))))
    assert_the_authors(await failure_of(repositories, at(server.url("r.git"))), "resolve.bad-tree", state)


@pytest.mark.parametrize("content", [b"100644 a", b"100644 \0" + bytes(20), b"9 a\0" + bytes(20), b"100644"])
async def test_a_tree_that_is_none_is_the_authors(
    author: Author, server: Server, state: State, repositories: GitRepositories, content: bytes
) -> None:
    on_main(author, stored(author, "tree", content))
    assert_the_authors(await failure_of(repositories, at(server.url("r.git"))), "resolve.bad-tree", state)


# Packs that grow as they are read


async def test_a_pack_that_takes_memory_without_end_is_refused_at_the_limit(
    author: Author, server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    doubled(author, 4)
    small = GitRepositories(state, RepositoriesSettings(memory=96 * MIB), True, confined)
    failure = await failure_of(small, at(server.url("r.git")))
    assert_the_authors(failure, "resolve.too-large", state)
    assert "repositories.memory" in failure.cause


async def test_a_blob_that_unpacks_without_end_is_refused_before_it_is_written(
    author: Author, server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    on_main(author, tree(author, ("100644", b"zeros", stored(author, "blob", bytes(64 * MIB)))))
    small = GitRepositories(state, RepositoriesSettings(max_size=32 * MIB), True, confined)
    assert_the_authors(await failure_of(small, at(server.url("r.git"))), "resolve.too-large", state)


# Names that nobody answers for


@pytest.mark.skipif(not can_unshare(), reason="no namespaces can be made here, or ip is not installed")
def test_a_name_server_that_never_answers_holds_up_nobody_else() -> None:
    script = Path(__file__).parent / "dead_names.py"
    setup = f'ip link set lo up && exec "{sys.executable}" "{script}"'
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        ["unshare", "-Urnm", "sh", "-c", setup], env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["mirrored"] == "fetched"
    assert told["waiting"] == len(told["slow"]) == 12
    assert set(told["slow"]) == {"resolve.host-unreachable"}


# What a git that was taken over can do


PROBE = """#!/bin/sh
id -u > {out}/uid
for place in {store} {store}/{kept} {root}/control {home}; do
  touch "$place/mine" 2> /dev/null && echo "$place" >> {out}/reached
done
ls {store} {root}/control {home} > {out}/listed 2> /dev/null
env | grep -c -e SSH_AUTH_SOCK -e TOKEN > {out}/secrets
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only a service of root's has another uid to give")
async def test_what_git_runs_is_not_root_and_writes_nothing_of_the_store(
    author: Author,
    server: Server,
    state: State,
    confined: ConfinedCalls,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked through `core.gitProxy`, which git runs as itself: whoever takes git over can do what this can."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("A_TOKEN", "secret")
    author.commit({"n": "1"})
    repositories = GitRepositories(state, RepositoriesSettings(), True, confined)
    checkout, _ = await brought(repositories, at(server.url("r.git")))
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        out.chmod(0o777)
        told = {"out": out, "store": state.checkouts, "kept": checkout.path.name, "root": state.root, "home": home}
        (out / "probe").write_text(PROBE.format(**told))
        (out / "probe").chmod(0o755)
        configure(home, f"[core]\n\tgitProxy = {out}/probe\n")
        await failure_of(repositories, at("git://git.example.org/r.git"))
        assert int((out / "uid").read_text()) == confined.uids[Identity.FETCHER]
        assert not (out / "reached").exists()
        assert (out / "listed").read_text() == ""
        assert (out / "secrets").read_text().strip() == "0"
    assert {path.lstat().st_uid for path in (checkout.path, *checkout.path.rglob("*"))} == {0}
    assert not [path for path in checkout.path.rglob("*") if path.name == "mine"]


TAKEN_OVER = """#!/bin/sh
if [ -e {out}/taken ]; then exit 0; fi
case " $* " in
  *" reset "*) mv ../tree ../gone && ln -s {out}/elsewhere ../tree && touch {out}/taken; exit ;;
esac
exec {git} "$@"
"""


async def test_what_git_leaves_in_the_place_of_a_checkout_leads_nowhere(
    author: Author, server: Server, state: State, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author.commit({"n": "1"})
    # A process of its own, which begins with this test's PATH.
    with tempfile.TemporaryDirectory() as place, closing(ConfinedCalls()) as confined:
        confined.let_through(state.checkouts)
        out = Path(place)
        out.chmod(0o777)
        (out / "elsewhere").mkdir()
        (out / "git").write_text(TAKEN_OVER.format(out=out, git=shutil.which("git")))
        (out / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{out}:{os.environ['PATH']}")
        repositories = GitRepositories(state, RepositoriesSettings(), True, confined)
        failure = await failure_of(repositories, at(server.url("r.git")))
        assert (out / "taken").exists()
    assert failure.kind is BAD_TREE
    assert list(state.checkouts.iterdir()) == []
