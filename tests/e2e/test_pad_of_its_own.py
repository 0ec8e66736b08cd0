"""The pad as a service of its own, as packaging/systemd has it: sessions go on while the service is stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, furnish, until

pytestmark = pytest.mark.e2e
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


@pytest.fixture(scope="module")
def pad(module_state: State) -> Iterator[subprocess.Popen[bytes]]:
    """A pad that no `perijove up` started."""
    furnish(module_state)
    command = [sys.executable, "-m", "perijove", "pad", "--state", str(module_state.root)]
    with (module_state.root / "pad.out").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    until(module_state.pad_socket.exists)
    yield process
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def service(pad: subprocess.Popen[bytes], module_state: State) -> Iterator[Service]:
    service = Service(module_state).up()
    yield service
    service.stop()


def test_a_stop_and_a_start_of_the_service_leave_its_sessions_running(
    pad: subprocess.Popen[bytes], service: Service
) -> None:
    session = service.session(HELLO)
    kernel = session.kernel()
    assert session.execute("x = 41", kernel) == ""
    assert service.stop() == 0
    assert pad.poll() is None
    service.up()
    assert session.execute("x + 1", kernel) == "42"
    told = json.loads(service.cli("get", "sessions", "-o", "json"))
    assert [(row["name"], row["state"]) for row in told] == [(session.name, "running")]


def test_a_stop_of_the_pad_ends_its_sessions_and_says_so(pad: subprocess.Popen[bytes], service: Service) -> None:
    """The last one here: there is no pad after it but the one that the service starts."""
    session = service.session(HELLO)
    pad.terminate()
    assert pad.wait(30) == 0
    until(lambda: "ended" in service.cli("logs", "session", session.name))
    assert not session.answers()
