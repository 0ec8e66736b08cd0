"""postBuild, start and the session's own environment, from a link to what a kernel sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, running, until
from tests.fakes.git_server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


def repository(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(folder)


def failure(service: Service, link: str) -> dict[str, Any]:
    told: dict[str, Any] = service.launch(link, fails=True)[-1]["event"]["failure"]
    return told


def said(service: Service, link: str) -> list[str]:
    return [event["event"].get("line", "") for event in service.launch(link)]


def test_a_session_begins_with_a_clean_tree_and_its_environment_is_its_own(service: Service, tmp_path: Path) -> None:
    with serving(tmp_path / "git") as server:
        author = server.author("owner/repo")
        author.commit({"README": "hello"})
        author.git("tag", "v1.2")
        author.commit({"README": "hello again", "postBuild": "pip --version && touch $NB_PYTHON_PREFIX/by-postbuild\n"})
        session, other = (service.session(server.url("owner/repo")) for _ in range(2))
    kernel = session.kernel()
    page = session.get("lab").text
    disabled = page.partition('"disabledExtensions"')[2].partition("]")[0]
    assert "@jupyterlab/lsp-extension" in disabled, "it asks for what is not there"
    assert "@jupyterlab/extensionmanager-extension" in disabled, "session.lab_disabled says so"
    assert session.execute("!git status --short", kernel) == ""
    assert session.execute("!git describe --tags --dirty", kernel).startswith("v1.2-1-g")
    assert "could not fetch" in session.execute("!git log -p", kernel), "its host is out of a session's reach"
    write = "import comm, pathlib; pathlib.Path(comm.__file__).with_name('mine.py').write_text('answer = 42')"
    assert session.execute(write, kernel) == "11"
    assert session.execute("import comm.mine; comm.mine.answer", kernel) == "42"
    assert "Uninstalled" in session.execute("!pip uninstall --yes packaging", kernel).replace("Successfully u", "U")
    session.execute("!touch .bash_history; mkdir -p a/.ipynb_checkpoints; touch a/.ipynb_checkpoints/b", kernel)
    assert session.execute("!git status --short", kernel) == ""
    fresh = other.kernel()
    assert "ModuleNotFoundError" in other.execute("import comm.mine", fresh)
    assert other.execute("import packaging", fresh) == ""
    assert "apt.txt" in other.execute("!apt-get install tree", fresh)


def test_what_start_exports_reaches_kernels(service: Service, tmp_path: Path) -> None:
    (tmp_path / "binder").mkdir()
    repository(tmp_path / "binder", start='export FROM_START="$PWD $#"\r\nexec "$@"\r\n')
    session = service.session(str(tmp_path))
    assert session.execute("import os; os.environ['FROM_START'].split()[0]") == "'/home/jovyan'"


@pytest.mark.parametrize(
    ("start", "code", "says"),
    [
        pytest.param("echo all is well\n", "start.no-exec", "did not run the server", id="ends"),
        pytest.param("#!/bin/bash\necho oh no\nexit 3\n", "start.start-failed", "oh no", id="fails"),
        pytest.param("#!/opt/nothing/perl6\n", "start.start-failed", "not here", id="no interpreter"),
        pytest.param('exec "$@" --ServerApp.port=x\n', "start.server-crashed", "", id="server"),
    ],
)
def test_a_start_that_does_not_run_the_server_is_told_as_that(
    service: Service, tmp_path: Path, start: str, code: str, says: str
) -> None:
    told = failure(service, repository(tmp_path, start=start))
    assert told["kind"] == code
    assert says in json.dumps(told)


def test_what_post_build_made_is_there_for_every_session_and_belongs_to_the_commit(
    service: Service, tmp_path: Path
) -> None:
    link = repository(tmp_path, postBuild="date +%N > made; echo telling; touch ~/.local-file $VIRTUAL_ENV/in-env")
    assert "telling" in said(service, link)
    first, second = service.session(link), service.session(link)
    ask = "import os, sys; open('made').read().strip(), os.path.exists(sys.prefix + '/in-env')"
    assert first.execute(ask) == second.execute(ask)
    assert "True" in first.execute(ask)
    rows = {row["key"]: row for row in json.loads(service.cli("get", "environments", "-o", "json"))}
    layers = [row for row in rows.values() if row["base"]]
    assert [row["base"] in rows for row in layers] == [True] * len(layers)
    own = next(row for row in layers if row["made_from"].endswith(f"{tmp_path.name} at {row['made_from'][-7:]}"))
    assert own["size"] < 100_000 < rows[own["base"]]["size"]


@pytest.mark.parametrize(
    ("script", "says", "remedy"),
    [
        pytest.param("echo it broke >&2\nexit 3\n", "it broke: postBuild ended with exit status 3", "", id="fails"),
        pytest.param("exit 200\n", "ended with exit status 200", "", id="as if by a signal"),
        pytest.param("jupyter nbextension enable x", "jupyter nbextension", "found by themselves", id="dead command"),
        pytest.param("#!/no/perl6\n", "asks for /no/perl6, which is not here", "", id="no interpreter"),
    ],
)
def test_a_post_build_that_fails_is_told_with_its_last_words(
    service: Service, tmp_path: Path, script: str, says: str, remedy: str
) -> None:
    told = failure(service, repository(tmp_path, postBuild=script))
    assert told["kind"] == "build.post-build-failed"
    assert says in told["cause"]
    assert remedy in told["remedy"]


def test_a_service_killed_while_post_build_runs_leaves_nothing_half_made(service: Service, tmp_path: Path) -> None:
    link = repository(tmp_path, postBuild="echo $(date +%N) > made; echo runs; sleep 3; echo rest >> made")
    for event in service.launching(link):
        if event["event"].get("line") == "runs":
            break
    service.kill()
    service.up()  # which takes the build up again
    assert service.session(link).execute("open('made').read().split()[1:]") == "['rest']"
    until(lambda: not [*service.state.environments.glob(".*"), *service.state.handed.iterdir()])


SCM = """
[build-system]
requires = ["setuptools>=64", "setuptools_scm>=8"]
build-backend = "setuptools.build_meta"

[project]
name = "scmpkg"
dynamic = ["version"]

[tool.setuptools]
packages = ["scmpkg"]

[tool.setuptools_scm]
"""


def test_a_version_that_is_made_of_the_history_is_the_same_as_in_a_full_clone(service: Service, tmp_path: Path) -> None:
    with serving(tmp_path / "git") as server:
        author = server.author("owner/scm")
        author.commit({"pyproject.toml": SCM, "scmpkg/__init__.py": ""})
        author.git("tag", "v1.2.0")
        author.commit({"scmpkg/y.py": ""})
        for ref, version in (("v1.2.0", "1.2.0"), ("main", "1.2.1.dev1+g")):
            session = service.session(f"{server.url('owner/scm')}@{ref}")
            kernel = session.kernel()
            asked = "import importlib.metadata as m; m.version('scmpkg')"
            assert session.execute(asked, kernel).strip("'").startswith(version)
