"""What keeps the service from starting is told, and nothing that it had started is left."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, first, furnish, until
from tests.fakes.ports import free_port

pytestmark = pytest.mark.e2e

NO_INDEX = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/nowhere", "UV_FIND_LINKS": "", "UV_INDEX": ""}


def refused(service: Service) -> str:
    """What a start that fails says."""
    process = service.start()
    try:
        assert process.wait(60) == 1, service.log.read_text()
    finally:
        service.stop()
    return service.log.read_text()


def names(process: psutil.Process, state: State) -> bool:
    """Whether a process that runs has the state directory in its command line."""
    try:
        return str(state.root) in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def free(service: Service) -> bool:
    """Whether nobody listens on its port any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", service.port)) != 0


def test_settings_of_no_use_are_told_and_no_caddy_is_left(state: State) -> None:
    settings = {
        "SERVICE_HOSTS": "a.example",
        "SERVICE_HTTPS": f"127.0.0.1:{free_port()}",
        "CERTIFICATES_DNS": "rfc2136",
    }
    service = Service(state, settings)
    assert "platform.bad-settings" in refused(service)
    assert free(service)
    assert not state.admin_socket.exists()


def test_a_taken_port_is_told_with_who_has_it(state: State) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        told = refused(Service(state, port=holder.getsockname()[1]))
    assert "platform.port-taken" in told
    assert f"(process {psutil.Process().pid})" in told


def test_without_git_nothing_is_begun(empty_state: State) -> None:
    told = refused(Service(empty_state, environ={"PATH": str(empty_state.root)}, shares_store=False))
    assert "platform.tool-missing" in told
    assert "git is not installed" in told
    assert not empty_state.run.exists()


def test_a_server_that_cannot_be_installed_is_told_and_no_pad_is_left(state: State) -> None:
    told = refused(Service(state, environ=NO_INDEX, shares_store=False))
    assert "build.index-unreachable" in told
    assert not [one for one in psutil.process_iter() if names(one, state)]
    assert not state.pad_socket.exists()


def launched(state: State, what: str) -> subprocess.CompletedProcess[str]:
    """`perijove launch` where no service runs; it must end by itself."""
    command = [sys.executable, "-m", "perijove", "launch", what, "--state", str(state.root)]
    command += ["--http", f"127.0.0.1:{free_port()}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def test_a_launch_that_fails_ends_the_service_that_it_started(empty_state: State, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    furnish(empty_state)
    ran = launched(empty_state, str(tmp_path))
    assert ran.returncode == 1
    assert "build.unsupported-file" in ran.stdout
    assert "stays up" not in ran.stdout
    assert not [one for one in psutil.process_iter() if names(one, empty_state)]


@pytest.mark.parametrize("what", ["rubbish", "./no-such-folder", "me@example.org"])
def test_a_link_that_is_none_starts_nothing(empty_state: State, what: str) -> None:
    ran = launched(empty_state, what)
    assert ran.returncode == 1
    assert "resolve." in ran.stderr
    assert not empty_state.run.exists()


def test_a_pad_that_was_there_before_a_start_that_fails_holds_its_sessions(empty_state: State) -> None:
    service = Service(empty_state).up()
    try:
        session = service.session("examples/hello")
        service.kill()
        empty_state.tools.unlink()  # so that the server has to be installed
        empty_state.uv_cache.unlink()
        assert "build.index-unreachable" in refused(Service(empty_state, environ=NO_INDEX, port=service.port))
        shutil.rmtree(empty_state.tools)
        empty_state.tools.symlink_to(first().tools)
        service.up()
        assert session.answers()
    finally:
        service.stop()


def test_a_stop_while_it_starts_leaves_no_caddy(state: State) -> None:
    service = Service(state)
    process = psutil.Process(service.start().pid)
    try:
        caddy = until(lambda: [one for one in process.children() if one.name() == "caddy"])
    finally:
        service.stop()
    _, alive = psutil.wait_procs(caddy, timeout=10)
    assert not alive
    assert free(service)
