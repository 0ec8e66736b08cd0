"""More launches than a machine carries, one that is busy with other things, and servers that are killed or stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from perijove.backends.pad import cgroups
from perijove.domain.state import State
from tests.e2e.service import Service, running
from tests.fakes.crowd import Launched, burning, crowd

HELLO = str(Path(__file__).parents[2] / "examples" / "hello")
STALL = 5.0
AT_ONCE = max(1, round(2 * cgroups.processors()))
"""How many servers may start at once."""


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state, SESSION_STALL_TIMEOUT=f"{STALL}")


def repository(folder: Path, config: str) -> str:
    """A folder whose server does this as it starts."""
    (folder / ".jupyter").mkdir()
    (folder / ".jupyter" / "jupyter_server_config.py").write_text(f"import os, signal, time\n{config}\n")
    return str(folder)


def most_at_once(launches: list[Launched]) -> int:
    """How many servers had begun and did not answer yet, at the worst moment."""
    begun = [(event["at"], 1) for launched in launches for event in launched.told("SessionStarted")]
    over = [(event["at"], -1) for launched in launches for event in launched.told("Ready")]
    starting = most = 0
    for _, change in sorted(begun + over):
        starting += change
        most = max(most, starting)
    return most


def test_twenty_launches_at_once_on_a_busy_machine_are_all_ready_in_order(service: Service) -> None:
    service.cli("stop", service.session(HELLO).name)
    with burning(1):
        all_ready_in_order(crowd(service, HELLO, count=20, at_once=20))


def all_ready_in_order(launches: list[Launched]) -> None:
    """None failed or was tried again, no more began at once than processors carry, and who came first began first."""
    assert [launched.failures for launched in launches] == [[]] * len(launches)
    assert all(launched.told("Ready") for launched in launches)
    assert most_at_once(launches) <= AT_ONCE
    waited = [launched for launched in launches if launched.told("Queued")]
    waited.sort(key=lambda launched: int(launched.told("Queued")[0]["seq"]))
    assert waited
    began = [launched.told("SessionStarted")[0]["seq"] for launched in waited]
    order = sorted(range(len(began)), key=began.__getitem__)
    assert all(abs(place - came) < AT_ONCE for place, came in enumerate(order)), order  # a few start together


def sandboxed(service: Service, session: str) -> psutil.Process:
    """A session's Jupyter server, as this machine sees it."""
    for process in pad(service).children(recursive=True):
        try:
            if f"--ServerApp.base_url=/user/{session}/" in process.cmdline() and process.cmdline()[0] != "bwrap":
                return process
        except psutil.NoSuchProcess:
            continue
    raise AssertionError(f"no server of {session} runs")


def pad(service: Service) -> psutil.Process:
    assert service.process is not None
    children = psutil.Process(service.process.pid).children()
    return next(child for child in children if "perijove.backends.pad.process" in child.cmdline())


def once_it_starts(service: Service, folder: str, act: Callable[[str], None]) -> list[dict[str, Any]]:
    """A launch's events; once, when its server has begun and waits, this is done with its session's name."""
    told, acted = [], False
    for entry in service.launching(folder):
        event = entry["event"]
        told.append(event | {"at": entry["at"]})
        if not acted and event["is"] == "Logged" and "waiting" in event["line"]:
            acted = True
            act(next(one["session"] for one in told if one["is"] == "SessionStarted"))
    return told


@pytest.mark.parametrize(
    ("victim", "code"),
    [
        pytest.param("server", "start.server-killed", id="the server"),
        pytest.param("pad", "platform.pad-down", id="the pad"),
    ],
)
def test_what_somebody_kills_during_a_start_is_the_machine_s_fault_and_tried_again(
    service: Service, tmp_path: Path, victim: str, code: str
) -> None:
    folder = repository(tmp_path, "print('waiting', flush=True)\ntime.sleep(1.5)")

    def kill(session: str) -> None:
        (pad(service) if victim == "pad" else sandboxed(service, session)).send_signal(signal.SIGKILL)

    told = once_it_starts(service, folder, kill)
    assert [event["failure"]["kind"] for event in told if event["is"] == "Retrying"] == [code]
    assert told[-1]["is"] == "Ready"
    service.cli("stop", told[-1]["session"])


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("time.sleep(1000)", id="sleeps"),
        pytest.param("os.kill(os.getpid(), signal.SIGSTOP)", id="is stopped"),
    ],
)
def test_a_server_that_hangs_is_told_in_its_own_time_on_a_busy_machine_too(
    service: Service, tmp_path: Path, config: str
) -> None:
    with burning(1):
        told = once_it_starts(service, repository(tmp_path, f"print('waiting', flush=True)\n{config}"), lambda _: None)
    assert [event["failure"]["kind"] for event in told if event["is"] == "Failed"] == ["start.server-hangs"]
    hung = next(event["at"] for event in told if event["is"] == "Logged" and "waiting" in event["line"])
    assert told[-1]["at"] - hung < STALL + 5


@pytest.mark.long
def test_a_class_of_sixty_that_clicks_at_once_on_a_busy_machine_gets_in_in_order(service: Service) -> None:
    service.cli("stop", service.session(HELLO).name)
    with burning(1):
        launches = crowd(service, HELLO, count=60, at_once=60)
    all_ready_in_order(launches)
    estimates = [queued["seconds"] for launched in launches for queued in launched.told("Queued")]
    assert any(estimates)


@pytest.mark.long
def test_two_hundred_launches_sixty_at_once_on_a_busy_machine_are_all_ready(service: Service) -> None:
    service.cli("stop", service.session(HELLO).name)
    with burning(2):
        launches = crowd(service, HELLO, count=200, at_once=60)
    assert [launched.failures for launched in launches] == [[]] * 200
    assert all(launched.told("Ready") for launched in launches)
    assert most_at_once(launches) <= AT_ONCE
