"""A repository with an apt.txt from its link to a kernel that runs; and the commands for the base that it stands on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from perijove.backends.environments.system.bases import NOTE, chosen
from perijove.domain.state import State
from tests.e2e.service import BASE, Service, furnish
from tests.fakes.bases import shared_base

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    service = Service(module_state)
    shared_base()
    furnish(module_state)
    service.config.write_text(f"[platform]\npackages = {json.dumps(BASE.packages)}\n")
    yield service.up()
    service.stop()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "apt.txt").write_text("tree\n")
    (folder / "requirements.txt").write_text("six==1.16.0\n")
    (folder / "postBuild").write_text("tree --version > made\n")
    return str(folder)


def base_command(service: Service, *words: str, status: int = 0) -> str:
    said = service.cli("base", *words, "--config", str(service.config), status=status)
    return said + service.told[-1]


def test_a_repository_with_an_apt_txt_gets_to_a_kernel(service: Service, repository: str) -> None:
    session = service.session(repository)
    kernel = session.kernel()
    ask = "import subprocess, six, sys; subprocess.check_output(['tree', '--version'], text=True)[:6], sys.base_prefix"
    assert session.execute(ask, kernel) == "('tree v', '/usr')"
    assert session.execute("open('made').read()[:6]", kernel) == "'tree v'"
    assert "trixie" in session.execute("open('/etc/os-release').read()", kernel)
    assert session.execute("import os; os.path.exists('/usr/bin/mmdebstrap'), os.getuid()", kernel) == "(False, 1000)"
    said = session.execute("!apt-get install tree", kernel)
    assert "apt.txt" in said
    events = [one["event"]["is"] for one in service.launch(repository)]
    assert "BuildStarted" not in events, "it stands"


def test_the_commands_for_the_base_show_keep_and_remove_it(
    service: Service, module_state: State, repository: str
) -> None:
    service.launch(repository)
    base = chosen(module_state, BASE)
    assert base is not None
    assert base.key in base_command(service, "prepare"), "it is prepared already"
    shown = base_command(service, "show")
    assert f"{base.key}*" in shown
    assert base.python in shown
    assert "platform.base-in-use" in base_command(service, "remove", base.key, status=1)
    assert "platform.no-such-object" in base_command(service, "remove", "nonesuch", status=1)
    other = module_state.bases / ("0" * 32)
    other.mkdir()
    shutil.copy(base.path / NOTE, other)
    assert f"{other.name} " in base_command(service, "show")
    assert "removed" in base_command(service, "remove", "00000000")
    assert not other.exists()
    assert base.path.is_dir()
