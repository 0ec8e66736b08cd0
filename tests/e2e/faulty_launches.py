"""Launches to which something is done at a step of theirs: a service, what it fetches from, and who works for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from perijove.cli.client import Client
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.e2e.service import Service, until

PAD = "perijove.backends.pad.process"
STEP = 60.0
"""Seconds to a step, on a machine that is very busy."""


@dataclass
class Launch:
    """One that goes on in a thread of its own."""

    service: Service
    link: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with suppress(Fail):  # the service has gone away
            for entry in self.service.launching(self.link):
                self.events.append(entry["event"])

    def ended(self, limit: float = 150) -> dict[str, Any]:
        """Its last event, once there comes no other."""
        self._thread.join(limit)
        assert not self._thread.is_alive(), self.events[-5:]
        return self.events[-1]

    def at(self, step: Callable[[], object]) -> None:
        """Wait for a step of it. Raises AssertionError where it ends before."""
        with suppress(TimeoutError):
            until(lambda: step() or not self._thread.is_alive(), STEP)
        assert step(), self.events[-5:]

    def fails(self, code: str) -> None:
        """It ends with this failure."""
        event = self.ended()
        assert event["is"] == "Failed", self.events[-8:]
        assert event["failure"]["kind"] == code, event["failure"]

    def ready(self) -> None:
        """It gets to a session, which is ended."""
        event = self.ended()
        assert event["is"] == "Ready", self.events[-8:]
        Client(self.service.state).call("DELETE", f"/sessions/{event['session']}")


def workers(service: Service) -> list[psutil.Process]:
    """All that runs for a service: also for its pad where that is older than it."""
    assert service.process is not None
    found: dict[int, psutil.Process] = {}
    root = str(service.state.root)
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.pid == service.process.pid or (PAD in line and root in line):
            with suppress(psutil.NoSuchProcess):
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    found.pop(service.process.pid, None)
    return list(found.values())


def named(service: Service, name: str) -> list[psutil.Process]:
    """Those whose program is called so, or whose command line has the word in it where it has a dot."""
    found = []
    for process in workers(service):
        with suppress(psutil.NoSuchProcess):
            if process.name() == name or ("." in name and name in " ".join(process.cmdline())):
                found.append(process)
    return found


def kill(service: Service, name: str) -> None:
    """All of that name; there is one."""
    found = until(lambda: named(service, name))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def stopped(service: Service) -> list[psutil.Process]:
    """Scripts that have stopped themselves."""
    found = []
    for process in workers(service):
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_STOPPED and process.name() != "bwrap":
                found.append(process)
    return found


def go_on(service: Service) -> None:
    """Whoever has stopped itself."""
    for process in stopped(service):
        process.send_signal(signal.SIGCONT)


def end_stopped(service: Service) -> None:
    """Lest a test that failed holds up the next one."""
    for process in stopped(service):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def half_made(state: State) -> list[str]:
    """What lies in the store and is neither whole nor anybody's."""
    found = [path for folder in state.in_store if folder != state.uv_cache for path in folder.glob(".*")]
    found += [*state.handed.iterdir(), *state.apt_archives.glob("partial/*")]
    return sorted(str(path.relative_to(state.root)) for path in found)


def repository(folder: Path, **files: str) -> str:
    """A folder with these files, dots of whose names are written `__`."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return str(folder)
