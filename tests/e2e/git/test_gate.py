"""The operator's configuration holds; visitors reach nothing private; a full disk is told."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.failures import REPO_NOT_FOUND
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.e2e.git.asking import at, brought, can_unshare, configure, failure_of, said, with_submodule
from tests.fakes.git_server import Server

pytestmark = pytest.mark.e2e


# The operator's configuration, and what is none of it


async def test_the_operators_mirror_is_used_and_may_be_private(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    configure(home, f'[url "http://127.0.0.1:{server.port}/plain/"]\n\tinsteadOf = https://git.example.org/\n')
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    checkout, _ = await brought(public, at("https://git.example.org/r.git"))
    assert checkout.repo.commit == commit
    assert said(checkout.path, "remote", "get-url", "origin") == "https://git.example.org/r.git"
    assert str(server.port) not in "".join(
        p.read_text(errors="replace") for p in (checkout.path / ".git").iterdir() if p.is_file()
    )


async def test_where_the_operators_mirror_is_no_visitor_is_told(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    server.author("r.git").commit({"n": "1"})
    server.root.chmod(0o755)
    login = f"http://ada:secret@127.0.0.1:{server.port}/login/"
    places = (f"http://127.0.0.1:{server.port}/plain/", login, f"{server.root}/bare/", f"file://{server.root}/bare/")
    for place in places:
        configure(home, f'[url "{place}"]\n\tinsteadOf = https://git.example.org/\n')
        public = GitRepositories(state, RepositoriesSettings(), False, confined)
        failure = await failure_of(public, at("https://git.example.org/nosuch.git"))
        told = failure.message + "".join(f"{seen.where} {seen.saw}" for seen in failure.evidence)
        for secret in (str(server.port), "127.0.0.1", "secret", str(server.root)):
            assert secret not in told, place
        assert "git.example.org" in told
    configure(home, f'[url "{places[0]}"]\n\tinsteadOf = https://git.example.org/\n')
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    _, lines = await brought(public, at("https://git.example.org/r.git"))
    assert str(server.port) not in "".join(lines)


async def test_the_operators_mirror_may_be_a_folder(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    commit = server.author("r.git").commit({"n": "1"})
    server.root.chmod(0o755)
    configure(home, f'[url "{server.root}/bare/"]\n\tinsteadOf = https://git.example.org/\n')
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    assert (await brought(public, at("https://git.example.org/r.git")))[0].repo.commit == commit


@pytest.fixture
def trusting(state: State, confined: ConfinedCalls, home: Path) -> GitRepositories:
    """Gives the operator's credentials to repositories `login/named…`."""
    settings = RepositoriesSettings(private=(r"git/http%3A%2F%2F127\.0\.0\.1%3A\d+%2Flogin%2Fnamed",))
    return GitRepositories(state, settings, True, confined)


HELPER = '[credential]\n\thelper = "!f() { echo username=ada; echo password=open; }; f"\n'
LOGIN = base64.b64encode(b"ada:open").decode()


@pytest.mark.parametrize("how", ["helper", "netrc", "header", "mirror"])
async def test_the_operators_credentials_open_the_repositories_that_they_name(
    server: Server, trusting: GitRepositories, state: State, home: Path, how: str
) -> None:
    server.author("named.git").commit({"n": "1"})
    server.author("other.git").commit({"n": "1"})
    away = f"http://127.0.0.1:{server.port}/login/"
    if how == "helper":
        configure(home, HELPER)
    elif how == "netrc":
        (home / ".netrc").write_text("machine 127.0.0.1 login ada password open\n")
        (home / ".netrc").chmod(0o600)
    elif how == "header":
        configure(home, f'[http "{away}"]\n\textraHeader = Authorization: Basic {LOGIN}\n')
    else:
        configure(home, f'[url "http://ada:open@127.0.0.1:{server.port}/login/"]\n\tinsteadOf = {away}\n')
    checkout, lines = await brought(trusting, at(server.url("named.git", "login")))
    assert (checkout.path / "n").read_text() == "1"
    assert checkout.repo.private
    told = "".join(lines) + (checkout.path / ".git/config").read_text()
    assert "open" not in told
    assert LOGIN not in told
    failure = await failure_of(trusting, at(server.url("other.git", "login")))
    assert failure.kind.code == "resolve.repo-not-found"
    assert "repositories.private" in failure.remedy


async def test_what_credentials_opened_is_not_given_to_who_names_its_commit(
    server: Server, trusting: GitRepositories, repositories: GitRepositories, home: Path
) -> None:
    commit = server.author("named.git").commit({"n": "1"})
    configure(home, HELPER)
    await brought(trusting, at(server.url("named.git", "login")))
    assert (await failure_of(repositories, at(server.url("named.git", "login"), commit))).kind is REPO_NOT_FOUND


@pytest.mark.parametrize(("inner", "opens"), [("named-too.git", True), ("other.git", False)])
async def test_a_named_repository_opens_submodules_that_are_named_too(
    server: Server, trusting: GitRepositories, home: Path, inner: str, opens: bool
) -> None:
    commit = server.author(inner).commit({"n": "1"})
    with_submodule(server.author("named.git"), "sub", f"../{inner}", commit)
    configure(home, HELPER)
    if opens:
        checkout, _ = await brought(trusting, at(server.url("named.git", "login")))
        assert (checkout.path / "sub/n").read_text() == "1"
    else:
        failure = await failure_of(trusting, at(server.url("named.git", "login")))
        assert failure.kind.code == "resolve.submodule-failed"


async def test_wrong_credentials_are_told(server: Server, trusting: GitRepositories, home: Path) -> None:
    server.author("named.git").commit({"n": "1"})
    configure(home, '[credential]\n\thelper = "!f() { echo username=ada; echo password=wr0ng; }; f"\n')
    failure = await failure_of(trusting, at(server.url("named.git", "login")))
    assert failure.kind.code == "resolve.access-denied"
    assert "wr0ng" not in repr(failure)


async def test_no_hook_template_or_identity_of_the_operators_gets_into_a_checkout(
    server: Server, repositories: GitRepositories, home: Path
) -> None:
    server.author("r.git").commit({"n": "1"})
    hook = home / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {home}/ran\n")
    hook.chmod(0o755)
    shutil.copytree(hook.parent, home / "template/hooks")
    configure(
        home,
        f"[init]\n\ttemplateDir = {home}/template\n[core]\n\thooksPath = {home}/hooks\n[user]\n\tname = Grace\n"
        f'[core]\n\tfsmonitor = "touch {home}/ran"\n',
    )
    checkout, _ = await brought(repositories, at(server.url("r.git")))
    assert not (home / "ran").exists()
    assert not (checkout.path / ".git/hooks").exists()
    assert not any(b"Grace" in path.read_bytes() for path in (checkout.path / ".git").rglob("*") if path.is_file())


# Where visitors may not go


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/plain/r.git",
        "http://localhost:{port}/plain/r.git",
        "http://[::1]:{port}/r.git",
        "http://0.0.0.0:{port}/plain/r.git",
        "http://127.1:{port}/plain/r.git",
        "http://2130706433:{port}/plain/r.git",
        "http://0x7f.1:{port}/plain/r.git",
        "http://[::ffff:127.0.0.1]:{port}/plain/r.git",
        "http://169.254.169.254/latest",
        "https://10.0.0.1/r.git",
        "ssh://git@127.0.0.1/r.git",
        "git://127.0.0.1/r.git",
    ],
)
async def test_a_visitor_reaches_nothing_private(
    server: Server, state: State, confined: ConfinedCalls, home: Path, url: str
) -> None:
    server.author("r.git").commit({"n": "1"})
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    failure = await failure_of(public, at(url.format(port=server.port)))
    assert failure.kind.code == "resolve.forbidden-address"
    assert server.asked == []


async def test_an_operators_exception_for_one_host_is_none_for_others(
    server: Server, state: State, confined: ConfinedCalls, home: Path
) -> None:
    configure(home, f'[url "http://127.0.0.1:{server.port}/plain/"]\n\tinsteadOf = https://git.example.org/\n')
    server.author("inner.git").commit({"n": "1"})
    with_submodule(server.author("outer.git"), "sub", server.url("inner.git"), "1" * 40)
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    failure = await failure_of(public, at("https://git.example.org/outer.git"))
    assert failure.kind.code == "resolve.submodule-failed"
    assert "not a public host" in failure.cause


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param(
            '[url "http://127.0.0"]\n\tinsteadOf = https://git.example.org\n',
            "https://git.example.org.1:{port}/plain/r.git",
            id="a host that begins as a mirror's",
        ),
        pytest.param(
            '[url "http://"]\n\tinsteadOf = git://\n', "git://127.0.0.1:{port}/plain/r.git", id="another protocol"
        ),
    ],
)
async def test_a_rewriting_opens_no_host_that_the_operator_did_not_name(
    server: Server, state: State, confined: ConfinedCalls, home: Path, text: str, url: str
) -> None:
    configure(home, text)
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    failure = await failure_of(public, at(url.format(port=server.port)))
    assert failure.kind.code == "resolve.forbidden-address"
    assert server.asked == []


@pytest.mark.parametrize("how", ["configuration", "environment"])
async def test_behind_the_operators_proxy_private_hosts_are_refused_all_the_same(
    server: Server, state: State, confined: ConfinedCalls, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    proxy = f"http://127.0.0.1:{server.port}"
    if how == "configuration":
        configure(home, f"[http]\n\tproxy = {proxy}\n")
    else:
        monkeypatch.setenv("http_proxy", proxy)
    public = GitRepositories(state, RepositoriesSettings(), False, confined)
    assert (await failure_of(public, at("http://10.0.0.1/r.git"))).kind.code == "resolve.forbidden-address"
    assert server.asked == []
    assert (await failure_of(public, at("http://git.invalid/r.git"))).kind.code != "resolve.forbidden-address"
    assert server.asked[0].startswith("GET http://git.invalid/r.git/info/refs")


@pytest.mark.skipif(not can_unshare(), reason="no network namespace can be made here, or ip is not installed")
def test_public_hosts_are_fetched_from_and_their_ways_to_private_ones_are_not() -> None:
    """In network namespaces that hold public addresses, so that nothing leaves this machine."""
    script = Path(__file__).parent / "beyond_the_gate.py"
    setup = f'ip link set lo up && exec "{sys.executable}" "{script}"'
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        ["unshare", "-Urn", "sh", "-c", setup], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    expected = ["plain: fetched", "elsewhere: fetched", "away: resolve.forbidden-address"]
    expected += ["own: resolve.forbidden-address", "submodule: fetched"]
    expected += ["lfs: fetched", "lfs away: resolve.forbidden-address"]
    assert ran.stdout.splitlines() == expected


@pytest.mark.skipif(not can_unshare(), reason="no mount namespace can be made here, or ip is not installed")
def test_a_disk_that_fills_up_is_told() -> None:
    script = Path(__file__).parent / "on_a_full_disk.py"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    setup = f'mount -t tmpfs -o size=600k none /mnt && ip link set lo up && exec "{sys.executable}" "{script}" /mnt'
    ran = subprocess.run(
        ["unshare", "-Urnm", "sh", "-c", setup], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["fetch: platform.disk-full", "folder: platform.disk-full", "left: []"]
