"""A person's token for a Git host opens their private repositories for them alone, and reaches nobody else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.backends.git.access import Access, for_person
from perijove.backends.host_tokens import HostTokenFolder
from perijove.domain import people_failures as codes
from perijove.domain.failures import REPO_FORBIDDEN, REPO_NOT_FOUND, Fail, Failure
from perijove.domain.keys import Keys
from perijove.domain.nouns import RepoAddress
from perijove.domain.people import HostToken, host_of
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.e2e.git.asking import at, with_submodule
from tests.fakes.git_server import Server, serving

pytestmark = pytest.mark.e2e
ADAS, BOBS = "ghp_adas0123456789", "ghp_bobs0123456789"


@pytest.fixture
def tokens(state: State, server: Server) -> HostTokenFolder:
    """Ada and Bob have given theirs; Ada's opens `r.git`, Bob's `bobs.git`."""
    server.tokens |= {ADAS: ("r.git",), BOBS: ("bobs.git",)}
    folder = HostTokenFolder(state.host_tokens, Keys(b"s" * 32))
    host = f"http://127.0.0.1:{server.port}"
    folder.keep("ada", HostToken(host, ADAS))
    folder.keep("bob", HostToken(host, BOBS))
    return folder


@pytest.fixture
def repositories(state: State, confined: ConfinedCalls, home: Path, tokens: HostTokenFolder) -> GitRepositories:
    ahead = iter(range(0, 10**6, 10))
    return GitRepositories(state, RepositoriesSettings(), True, confined, tokens, now=lambda: float(next(ahead)))


async def failure_of(repositories: GitRepositories, address: RepoAddress, person: str) -> Failure:
    with pytest.raises(Fail) as caught:
        await repositories.fetch(await repositories.resolve(address, person), print)
    return caught.value.failure


async def test_a_token_opens_what_is_its_person_s_and_stays_unseen(
    server: Server, repositories: GitRepositories, state: State
) -> None:
    server.author("r.git").commit({"n": "1"})
    lines: list[str] = []
    repo = await repositories.resolve(at(server.url("r.git", "token")), "ada")
    checkout = await repositories.fetch(repo, lines.append)
    assert (checkout.path / "n").read_text() == "1"
    assert (repo.private, repo.person) == (True, "ada")
    assert any("ada's token" in line for line in lines)
    shown = base64.b64encode(f"oauth2:{ADAS}".encode())
    assert server.shown
    assert {each.removeprefix("Basic ").encode() for each in server.shown} == {shown}
    assert ADAS not in "".join(lines) + repr(repo)
    for path in state.root.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in (ADAS.encode(), shown)), path


async def test_nobody_else_gets_at_it_by_asking_for_the_same_commit(
    server: Server, repositories: GitRepositories
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    for ref in ("HEAD", commit):
        address = at(server.url("r.git", "token"), ref)
        await repositories.fetch(await repositories.resolve(address, "ada"), print)
        failure = await failure_of(repositories, address, "bob")
        assert failure.kind is codes.TOKEN_LACKS_ACCESS
        failure = await failure_of(repositories, address, "eve")
        assert (failure.kind, "/you" in failure.remedy) == (REPO_NOT_FOUND, True)
        assert (await failure_of(repositories, address, "")).kind is REPO_NOT_FOUND
        # Another who may read it has a copy of their own.
        server.tokens[BOBS] = ("r.git",)
        places = [
            (await repositories.fetch(await repositories.resolve(address, who), print)).path for who in ("ada", "bob")
        ]
        assert places[0] != places[1]
        server.tokens[BOBS] = ()


async def test_a_token_that_ends_is_renewed_once_for_all_who_ask(
    state: State, server: Server, confined: ConfinedCalls, home: Path, tokens: HostTokenFolder
) -> None:
    host = f"http://127.0.0.1:{server.port}"
    old = HostToken(host, "ended-0123456789", renewal="once", expires=1)
    tokens.keep("ada", old)
    asked: list[HostToken] = []

    async def renewed(token: HostToken) -> HostToken:
        if token != old:
            return token
        asked.append(token)
        await asyncio.sleep(0)
        return HostToken(host, ADAS, renewal="twice", expires=2)

    repositories = GitRepositories(state, RepositoriesSettings(), True, confined, tokens, renewed=renewed)
    for name in ("r.git", "s.git"):
        server.author(name).commit({"n": "1"})
    server.tokens[ADAS] = ("r.git", "s.git")
    addresses = [at(server.url(name, "token")) for name in ("r.git", "s.git")]
    await asyncio.gather(*(repositories.resolve(address, "ada") for address in addresses))
    assert asked == [old]
    kept = tokens.find("ada", host)
    assert kept is not None
    assert (kept.secret, kept.renewal) == (ADAS, "twice")


async def test_a_right_that_has_ended_is_asked_for_again_whatever_lies_in_the_store(
    server: Server, repositories: GitRepositories, tokens: HostTokenFolder
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    address = at(server.url("r.git", "token"), commit)
    await repositories.fetch(await repositories.resolve(address, "ada"), print)
    server.tokens[ADAS] = ("(403)",)
    failure = await failure_of(repositories, address, "ada")
    assert (failure.kind, failure.kind.owner.value) == (codes.TOKEN_LACKS_ACCESS, "visitor")
    assert any("403" in seen.saw for seen in failure.evidence)
    del server.tokens[ADAS]
    assert (await failure_of(repositories, address, "ada")).kind is codes.TOKEN_REFUSED
    tokens.remove("ada", host_of(address.url))
    assert (await failure_of(repositories, address, "ada")).kind is REPO_NOT_FOUND


async def test_what_everybody_may_read_is_shown_no_token_and_is_everybody_s(
    server: Server, repositories: GitRepositories
) -> None:
    server.author("r.git").commit({"n": "1"})
    repo = await repositories.resolve(at(server.url("r.git")), "ada")
    assert (repo.private, repo.person) == (False, "")
    await repositories.fetch(repo, print)
    assert server.shown == []


async def test_whoever_wrote_a_repository_cannot_have_it_bring_another_of_its_reader(
    server: Server, repositories: GitRepositories
) -> None:
    """Ada launches `trap.git`, which she was invited to: her own `r.git` does not come with it."""
    server.tokens[ADAS] = ("r.git", "trap.git", "lfs.git")
    commit = server.author("r.git").commit({"secret": "1"})
    trap = server.author("trap.git")
    trap.commit({"n": "1"})
    with_submodule(trap, "stolen", server.url("r.git", "token"), commit)
    failure = await failure_of(repositories, at(server.url("trap.git", "token")), "ada")
    assert failure.kind.code == "resolve.submodule-failed"
    oid = hashlib.sha256(b"secret").hexdigest()
    server.lfs[oid] = b"secret"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 6\n"
    lfs = {
        ".lfsconfig": f"[lfs]\n\turl = {server.url('r.git', 'token')}/info/lfs\n",
        ".gitattributes": "*.b filter=lfs\n",
    }
    server.author("lfs.git").commit({**lfs, "x.b": pointer})
    failure = await failure_of(repositories, at(server.url("lfs.git", "token")), "ada")
    assert (failure.kind, "LFS" in failure.cause) == (REPO_FORBIDDEN, True)
    assert "GET /lfs/" not in " ".join(server.asked)


@pytest.fixture
def other() -> Iterator[Server]:
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as running:
        yield running


async def test_a_host_that_leads_elsewhere_leads_no_token_there(
    server: Server, other: Server, repositories: GitRepositories
) -> None:
    server.author("r.git").commit({"n": "1"})
    other.author("r.git").commit({"n": "1"})
    server.away = f"http://127.0.0.1:{other.port}/token"
    other.tokens[ADAS] = ("r.git",)
    await failure_of(repositories, at(server.url("r.git", "astray")), "ada")
    assert server.shown
    assert other.shown == []


def test_a_token_is_in_no_configuration_that_git_could_print_and_for_one_repository() -> None:
    url = "https://github.com/o/r"
    access = for_person(Access({}, (), private_addresses=False), url, HostToken("https://github.com", ADAS))
    assert ADAS not in str([*access.config, *access.credentials])
    assert access.of(url, "HEAD")["PERIJOVE_GIT_PASSWORD"] == ADAS
    for elsewhere in ("https://github.com/o/r2", "https://github.com/o", "https://github.com.evil.test/o/r"):
        assert "PERIJOVE_GIT_PASSWORD" not in access.of(elsewhere, "HEAD")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://GitHub.com/o/r", "https://github.com"),
        ("https://git.example.org:8443/o", "https://git.example.org:8443"),
        ("https://git.example.org:443", "https://git.example.org"),
        ("https://ada:x@github.com@evil.test/", "https://evil.test"),
        ("https://[2001:db8::1]:8443/r", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:80/r", "http://127.0.0.1"),
        ("http://github.com/o/r", ""),
        ("ssh://git@github.com/o/r", ""),
        ("git@github.com:o/r", ""),
        ("https://git hub.com/", ""),
        ("https://github.com:99999/", ""),
        ("https://", ""),
    ],
)
def test_which_host_a_token_may_be_sent_to(url: str, host: str) -> None:
    assert host_of(url) == host


def test_what_is_kept_is_read_with_the_service_s_secret_alone_and_goes_with_its_person(
    tokens: HostTokenFolder, state: State, server: Server
) -> None:
    assert [one.secret for one in HostTokenFolder(state.host_tokens, Keys(b"s" * 32)).of("ada")] == [ADAS]
    assert HostTokenFolder(state.host_tokens, Keys(b"t" * 32)).of("ada") == []
    assert {path.stat().st_mode & 0o777 for path in state.host_tokens.iterdir()} == {0o600}
    assert ADAS not in repr(tokens.of("ada"))
    tokens.keep("ada", replace(next(iter(tokens.of("ada"))), host="https://github.com"))
    tokens.sweep(lambda name: name == "bob")
    assert ([one.host for one in tokens.of("ada")][1], tokens.of("bob")) == ("https://github.com", [])
    for one in tokens.of("ada"):
        tokens.remove("ada", one.host)
    assert list(state.host_tokens.iterdir()) == []
