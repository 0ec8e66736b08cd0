"""kill -9 of each process at each step: nothing half-written, nobody left without a word, sessions go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from perijove.backends.caddy import Caddy
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.e2e.service import Service, running, until

pytestmark = pytest.mark.e2e
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


def ours(service: Service, word: str) -> list[psutil.Process]:
    """Processes of this service whose command line holds `word`."""
    root = str(service.state.root)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if word in line and root in line:
            found.append(process)
    return found


def test_sessions_outlive_the_control_plane_and_are_listed_again(service: Service) -> None:
    session = service.session(HELLO)
    kernel = session.kernel()
    assert session.execute("x = 41", kernel) == ""
    service.kill()
    assert session.execute("x + 1", kernel) == "42"
    service.up()
    assert session.execute("x + 2", kernel) == "43"
    assert session.name in service.cli("get", "sessions")
    service.cli("stop", session.name)
    assert not session.answers()


def at_step(service: Service, link: str, step: str, act: Callable[[], object]) -> list[dict[str, Any]]:
    """Launch, act as soon as an event is told; all that was told."""
    told = []
    with suppress(Fail):
        for event in service.launching(link):
            told.append(event)
            if event["event"]["is"] == step:
                act()
    return told


STEPS = ["Requested", "Resolved", "BuildStarted", "SessionStarted"]


@pytest.mark.parametrize("step", STEPS)
def test_a_launch_cut_off_at_a_step_is_told_so_and_the_next_one_works(
    service: Service, tmp_path: Path, step: str
) -> None:
    (tmp_path / "requirements.txt").write_text(f"six\n{step}; python_version < '3'\n")
    at_step(service, str(tmp_path), step, service.kill)
    service.up()
    launch = json.loads(service.cli("get", "launches", "-o", "json"))[0]
    assert launch["state"] == "failed"
    assert launch["failure"]["kind"] == "platform.interrupted"
    assert launch["failure"]["cause"]
    assert service.session(str(tmp_path)).answers()
    half = [path for path in service.state.environments.iterdir() if path.name.startswith(".")]
    until(lambda: not [path for path in half if path.exists()])


def test_a_killed_pad_comes_back_and_its_sessions_are_told_as_lost(service: Service) -> None:
    session = service.session(HELLO)
    (pad,) = ours(service, "perijove.backends.pad.process")
    pad.kill()
    until(lambda: not session.answers())
    until(lambda: session.name not in service.cli("get", "sessions"))
    assert "pad-lost" in service.cli("logs", "session", session.name)
    assert session.get("lab").status_code == 424
    assert service.session(HELLO).execute("1+1") == "2"


def test_a_killed_caddy_comes_back_and_sessions_go_on(service: Service) -> None:
    session = service.session(HELLO)
    kernel = session.kernel()
    session.execute("x = 1", kernel)
    pid = Caddy(service.state).pid()
    assert pid is not None
    psutil.Process(pid).kill()
    until(session.answers)
    assert session.execute("x", kernel) == "1"


def test_a_server_that_is_killed_is_told_to_the_user(service: Service) -> None:
    session = service.session(HELLO)
    with pytest.raises((ConnectionClosed, TimeoutError)):
        session.execute("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", limit=10)
    until(lambda: session.name not in service.cli("get", "sessions"))
    page = httpx.get(session.base + "lab", params={"token": session.token}, timeout=10, trust_env=False)
    assert page.status_code == 424
    assert "launch" in page.text.lower()


def test_a_session_that_dies_while_the_service_is_away_is_told_with_its_reason(service: Service) -> None:
    session = service.session(HELLO)
    service.kill()
    with pytest.raises((ConnectionClosed, TimeoutError)):
        session.execute("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", limit=10)
    service.up()
    assert "signal 9" in service.cli("logs", "session", session.name)
    assert session.get("lab").status_code == 424


def test_sigterm_stops_everything_it_started(service: Service) -> None:
    service.session(HELLO)
    before = psutil.Process(service.process.pid).children(recursive=True) if service.process else []
    pads = ours(service, "perijove.backends.pad.process")
    assert service.stop() == 0
    _, alive = psutil.wait_procs([*before, *pads], timeout=10)
    assert not alive
    assert not ours(service, "perijove")
    assert not list(service.state.sessions.iterdir())
    service.up()


def test_two_services_on_one_state_directory_are_refused(service: Service) -> None:
    command = [sys.executable, "-m", "perijove", "up", "--state", str(service.state.root), "--http", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "platform.already-up" in done.stderr
    assert str(service.process.pid if service.process else "") in done.stderr


def test_launches_under_way_may_end_before_the_service_stops(service: Service) -> None:
    told = [event["event"]["is"] for event in at_step(service, HELLO, "Fetched", service.terminate)]
    assert told[-1] == "Ready"
    service.stop()
    service.up()
