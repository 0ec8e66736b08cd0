"""What sessions are called, which host each gets, and what is told to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.domain.classes import Class, ClassSettings
from perijove.domain.listening import MARK
from perijove.domain.nouns import Checkout, Environment, Mount, RepoAddress, ResolvedRepo
from perijove.domain.settings import Settings
from perijove.launching.start.sandbox import (
    BINDER_VARIABLES,
    THREADS,
    ahead_of_visitors,
    blank,
    in_class,
    limits,
    may_be_blank,
    read_at_start,
    sandbox,
    session_label,
    session_name,
)

GB = 1024**3
LABELS = ("s1", "s2", "s3")
ENVIRONMENT = Environment(
    "e" * 32, Path("/env"), "3.12.1", ("python", "serve.py"), (), (), (Mount(Path("/server"), Path("/server")),)
)
REPOSITORIES = ["repo", "My Repo", "a--b", "--", "ü", "x" * 99, "a-" * 50]


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("suffix", ["x1y2z3a4", "x1y2z3a4--s1", "x1y2z3a4--" + "l" * 20])
def test_a_session_s_name_is_a_host_s_label_and_ends_with_its_own(repository: str, suffix: str) -> None:
    name = session_name(repository, suffix)
    assert len(name) <= 40
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name[0] != "-" != name[-1]
    assert name.partition(MARK)[2] == suffix.partition(MARK)[2]


def test_no_host_is_shared_while_one_is_free_and_each_rests_for_long() -> None:
    assert [session_label(LABELS, (), number) for number in range(4)] == ["s1", "s2", "s3", "s1"]
    assert session_label(LABELS, ("r-1--s1",), 3) == "s2"
    assert session_label(LABELS, ("r-1--s1", "r-2--s3"), 3) == "s2"
    live: list[str] = []
    for number in (7, 7, 7, 9, 9, 9):
        live.append(f"r-{number}--{session_label(LABELS, live, number)}")
        assert len({name.partition(MARK)[2] for name in live}) == min(3, len(live))


def test_hosts_that_all_have_sessions_are_shared_evenly() -> None:
    assert session_label(LABELS, ("a--s1", "b--s2", "c--s3", "d--s1", "old"), 0) == "s2"


@pytest.mark.parametrize(("cpus", "threads"), [(2.0, "2"), (1.5, "2"), (0.25, "1")])
def test_a_session_finds_the_variables_of_a_binder(cpus: float, threads: str) -> None:
    commit = "a" * 40
    repo = ResolvedRepo(RepoAddress("gh", "o/r/main", "https://github.com/o/r", "main", "r"), commit, "refs/heads/main")
    environment = Environment("k" * 32, Path("/e"), "3.12.1", ("serve",), (("PATH", "/e/bin"),), ())
    settings = Settings()
    settings = replace(settings, session=replace(settings.session, cpus=cpus, memory=1024**3))
    told = dict(sandbox("r-1", "secret", Checkout(repo, Path("/c")), environment, settings).environ)
    assert told["BINDER_REF_URL"] == f"https://github.com/o/r/tree/{commit}"
    assert told["REPO_DIR"] == told["HOME"] == "/home/jovyan"
    assert told["NB_USER"] == told["USER"] == "jovyan"
    assert told["JUPYTERHUB_SERVICE_PREFIX"] == "/user/r-1/"
    assert (told["JUPYTERHUB_BASE_URL"], told["JUPYTERHUB_USER"]) == ("/", "r-1")
    assert told["JUPYTER_IMAGE"] == told["JUPYTER_IMAGE_SPEC"] == "k" * 32
    assert (told["CPU_LIMIT"], told["MEM_LIMIT"]) == (str(cpus), str(1024**3))
    assert {told[name] for name in THREADS} == {threads}
    assert told["PATH"] == "/e/bin"


@pytest.mark.parametrize("forked", [True, False])
def test_a_server_may_be_forked_where_its_environment_and_the_operator_let_it(forked: bool) -> None:
    repo = ResolvedRepo(RepoAddress("local", "r", "/r", "HEAD", "r"), "a" * 40, "")
    shown = (Mount(Path("/tools"), Path("/tools")),)
    environment = Environment("k" * 32, Path("/e"), "3.12.1", ("serve",), (), shown, server=shown)
    settings = Settings()
    settings = replace(settings, session=replace(settings.session, forked=forked))
    for one, wanted in ((environment, shown if forked else ()), (replace(environment, server=()), ())):
        assert sandbox("r-1", "secret", Checkout(repo, Path("/c")), one, settings).server == wanted


@pytest.mark.parametrize("ahead", [True, False])
def test_a_session_is_told_whether_to_import_ahead_of_a_kernel(ahead: bool) -> None:
    repo = ResolvedRepo(RepoAddress("gh", "o/r/main", "https://github.com/o/r", "main", "r"), "a" * 40, "")
    environment = Environment("k" * 32, Path("/e"), "3.12.1", ("serve",), (), ())
    settings = replace(Settings(), session=replace(Settings().session, kernel_ahead=ahead))
    told = dict(sandbox("r-1", "secret", Checkout(repo, Path("/c")), environment, settings).environ)
    assert ("PERIJOVE_KERNEL_AHEAD" in told) is ahead


@pytest.mark.parametrize(
    ("name", "read"),
    [
        *((name, True) for name in ("jupyter_server_config.py", "jupyter_config.json", "jupyter_notebook_config.d")),
        *((name, True) for name in (".jupyter", ".local", ".ipython", "labconfig", "serverconfig", ".config")),
        *((name, False) for name in (".git", ".gitignore", ".binder", "jupyter.ipynb", "config", "postBuild", "a b")),
    ],
)
def test_what_a_server_reads_of_a_repository_at_its_start_is_known_by_name(name: str, read: bool) -> None:
    assert read_at_start(["README.md", name]) == read


def test_a_blank_session_tells_nothing_of_a_repository() -> None:
    specs = []
    for name in ("first", "second"):
        address = RepoAddress("gh", f"o/{name}/HEAD", f"https://github.com/o/{name}", "HEAD", name)
        checkout = Checkout(ResolvedRepo(address, "c" * 40, "refs/heads/main"), Path("/checkouts", name))
        specs.append(sandbox("session-1", "token", checkout, ENVIRONMENT, Settings()))
    first, second = specs
    assert first != second
    assert blank(first) == blank(second)
    assert blank(blank(first)) == blank(first)
    assert {*dict(first.environ)} - {*dict(blank(first).environ)} == set(BINDER_VARIABLES)


@pytest.mark.parametrize(
    ("environment", "may"),
    [
        pytest.param(ENVIRONMENT, True, id="our own server"),
        pytest.param(replace(ENVIRONMENT, server=()), False, id="a server of the repository's"),
        pytest.param(replace(ENVIRONMENT, start="start"), False, id="a start script"),
        pytest.param(replace(ENVIRONMENT, home=Path("/home")), False, id="a home that postBuild made"),
    ],
)
def test_what_a_repository_brings_to_the_start_has_no_blank_sessions(environment: Environment, may: bool) -> None:
    assert may_be_blank(environment) == may


def test_one_that_is_held_may_import_ahead_of_its_visitor() -> None:
    address = RepoAddress("gh", "o/r/HEAD", "", "HEAD", "r")
    checkout = Checkout(ResolvedRepo(address, "c" * 40, "HEAD"), Path("/checkout"))
    for setting, told in ((True, "held"), (False, None)):
        settings = replace(Settings(), session=replace(Settings().session, kernel_ahead=setting))
        spec = ahead_of_visitors(sandbox("r-1", "token", checkout, ENVIRONMENT, settings))
        assert dict(spec.environ).get("PERIJOVE_KERNEL_AHEAD") == told


def test_a_session_of_a_class_has_what_the_class_has_and_else_what_all_have() -> None:
    own = Class(ClassSettings("c", memory=GB, cpus=0.5), (), frozenset())
    assert limits(in_class(Settings(), own)) == replace(limits(Settings()), memory=GB, cpus=0.5)
    assert in_class(Settings(), None) == Settings()
