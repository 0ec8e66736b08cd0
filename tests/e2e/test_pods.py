"""A launch in a cluster, whole: Caddy, a real registry, an API's double whose node runs what the image holds."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from perijove.domain.state import State
from tests.e2e.service import BASE, Service, furnish, until
from tests.e2e.test_kept import Visitor
from tests.fakes.bases import shared_base
from tests.fakes.docker_registry import DockerRegistry, needs_registry, running_registry
from tests.fakes.git_server import serving
from tests.fakes.image_node import Running, running_cluster
from tests.fakes.session_cluster import NAMESPACE

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.same_for_any_user, needs_registry]


REPOS = Path(__file__).parent.parent / "repos"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def service(module_state: State, cluster: Running, registry: DockerRegistry) -> Iterator[Service]:
    shared_base()
    furnish(module_state)
    service = Service(module_state, environ={"KUBECONFIG": str(cluster.kubeconfig)})
    service.config.write_text(
        f"[platform]\npackages = {json.dumps(BASE.packages)}\n"
        f"[engine]\nkind = 'kubernetes'\nnamespace = '{NAMESPACE}'\nregistry = '{registry.address}/perijove'\n"
        "prepull = 1\nbuilds = 'jobs'\n"
    )
    yield service.up()
    service.stop()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "requirements.txt").write_text("six==1.16.0\n")
    (folder / "data.txt").write_text("of the repository")
    return str(folder)


@pytest.fixture
def git_repository() -> Iterator[str]:
    """Its launch link."""
    with serving(Path(tempfile.mkdtemp(prefix="perijove-git-"))) as server:
        server.author("course").commit({"requirements.txt": "six==1.16.0\n", "data.txt": "of the repository"})
        yield f"v2/git/{quote(server.url('course'), safe='')}/main"


def test_a_link_leads_to_a_kernel_in_a_pod_which_outlives_the_control_plane_and_goes_when_it_is_stopped(
    service: Service, cluster: Running, repository: str
) -> None:
    until(lambda: [one for one in cluster.cluster.asked if one.startswith("DELETE pods/perijove-policy-trial-")], 90)
    told = service.launch(repository)
    lines = [one["event"]["line"] for one in told if one["event"]["is"] == "Logged"]
    assert any(line.startswith("Pushing ") for line in lines), lines
    assert not any(line.startswith("Pushing system") for line in lines), "they are there since policies were tried"
    session = service.session(repository)
    assert not [line for line in service.cli("logs", "session", session.name).splitlines() if "Pushing" in line]
    kernel = session.kernel()
    ask = "import six, os; six.__version__, open('data.txt').read(), os.getuid()"
    assert session.execute(ask, kernel) == "('1.16.0', 'of the repository', 1000)"
    until(lambda: [one for one in cluster.cluster.things if one[0] == "daemonsets"], 90)  # two have asked for its image
    service.kill()
    assert session.execute("1 + 1", kernel) == "2", "Caddy finds the way by itself"
    service.up()
    assert session.execute("2 + 2", kernel) == "4"
    until(lambda: len(cluster.cluster.pods) == 2, 90)  # policies are tried by another once more
    service.cli("stop", session.name)
    until(lambda: len(cluster.cluster.pods) == 1)
    assert session.get("api/status").status_code == 424, "as a hub says of a server that is over"


WORK = "open('data.txt', 'w').write('mine'); open('new.ipynb', 'w').write('{}')"


def test_what_a_visitor_changed_in_a_pod_is_there_again_also_where_its_pod_or_the_control_plane_was_killed(
    service: Service, cluster: Running, git_repository: str
) -> None:
    with Visitor(service) as visitor:
        session, _ = visitor.launch(git_repository)
        assert session.execute(WORK) == "2"
        until(lambda: [*service.state.keeping.glob("*.json")])
        service.kill()
        service.up()
        service.cli("stop", session.name)
        until(lambda: visitor.get(f"kept/{session.name}").status_code == 200)
        assert visitor.zipped(session.name) == {"data.txt": b"mine", "new.ipynb": b"{}"}
        again, log = visitor.launch(git_repository)
        assert "2 files of your last session given back" in log
        assert again.execute("open('data.txt').read(), open('new.ipynb').read()") == "('mine', '{}')"
        until(lambda: [*service.state.keeping.glob("*.sealed")], 240)
        cluster.remove(again.name)
        until(lambda: visitor.get(f"kept/{again.name}").status_code == 200)
        assert visitor.zipped(again.name) == {"data.txt": b"mine", "new.ipynb": b"{}"}
    until(lambda: not [*service.state.keeping.glob("course*"), *service.state.unsealed.iterdir()])


def test_what_a_repository_runs_while_it_is_built_runs_in_jobs_and_is_there_in_its_session(
    service: Service, cluster: Running, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(REPOS / "post-build", repository)
    with (repository / "binder" / "requirements.txt").open("a") as file:
        file.write("docopt==0.6.2\n")  # which ships no wheel
    told = service.launch(str(repository))
    lines = [one["event"]["line"] for one in told if one["event"]["is"] == "Logged"]
    assert any("Building wheel for docopt" in line for line in lines), lines
    logs = " ".join(one for one in cluster.cluster.asked if one.endswith("/log"))
    assert "perijove-post-build-" in logs
    assert "perijove-compile-" in logs
    session = service.session(str(repository))
    ask = "import docopt, subprocess, sys; docopt.__version__, subprocess.check_output([sys.executable, 'verify'])"
    assert session.execute(ask) == "('0.6.2', b'')"
    until(lambda: not [one for one in cluster.cluster.things if one[0] == "jobs"])
    service.cli("stop", session.name)
