"""Our side: a real service on a state directory of its own, launches with their stages, and its processes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import machine
from bench.visitor import NotReady, Visitor, Watch
from perijove.backends.pad.fork_sandbox import SCRIPT
from perijove.cli.client import Client
from perijove.domain.state import State
from tests.e2e.service import Service, Session, until
from tests.fakes.git_server import Server as GitServer
from tests.fakes.git_server import serving

HELLO = Path(__file__).parents[1] / "examples" / "hello"
QUIET_SETTINGS = "[launching]\nrate_limit = 0\nready = {ready}\n"
STAGES = {"Requested": "asked", "Resolved": "resolved", "Fetched": "fetched", "Built": "environment"}
STAGES |= {"SessionStarted": "sandbox", "Ready": "server"}


class Bench:
    """What every part of the benchmark may use."""

    def __init__(self, root: Path, git: GitServer, visitor: Visitor) -> None:
        self.root = root
        self.state = State(root / "state")
        self.state.root.mkdir(mode=0o711)
        self.git = git
        self.visitor = visitor
        self._config = root / "perijove.toml"
        self._config.write_text(QUIET_SETTINGS.format(ready=0))
        self.service = Service(self.state, {"CONFIG": str(self._config)}, holds_ready=True, shares_store=False)
        self.hello = str(HELLO)
        git.author("hello").commit({path.name: path.read_bytes() for path in HELLO.iterdir() if path.is_file()})
        self.link = git.url("hello")

    # the service

    def up(self) -> float:
        """Start the service; seconds until it says that it is up."""
        began = time.monotonic()
        self.service.up()
        return time.monotonic() - began

    def configure(self, more: str = "", *, ready: int = 0) -> None:
        """Further settings, read by the running service, which holds so many sessions ready at most.

        Raises TimeoutError when it does not take them.
        """
        self._config.write_text(QUIET_SETTINGS.format(ready=ready) + more)
        assert self.service.process is not None
        taken = self.service.log.read_text().count("settings reloaded")
        self.service.process.send_signal(signal.SIGHUP)
        until(lambda: self.service.log.read_text().count("settings reloaded") > taken)

    def until_ready(self) -> None:
        """Wait until a session is held ready. Raises TimeoutError."""
        until(lambda: "perijove_sessions_ready 0.0" not in httpx.get(f"{self.service.url}metrics").text, 120)

    def admin(self) -> Client:
        return Client(self.state)

    # launches

    def launch(self, link: str) -> tuple[Session, Watch]:
        """A visitor's launch of a Git URL, or the operator's of a folder, until it is ready. Raises NotReady."""
        watch = Watch()
        if link.startswith("/"):
            session = self._launch_folder(link)
        else:
            session = self.visitor.clicks(build_url(self.service.url, link))
        watch.mark("told")
        return session, watch

    def _launch_folder(self, folder: str) -> Session:
        client = self.admin()
        number = client.call("POST", "/launches", {"folder": folder})["number"]
        last = self.events(number)[-1]["event"]
        if last["is"] != "Ready":
            raise NotReady(last["failure"]["cause"])
        return Session(str(client.call("GET", f"/sessions/{last['session']}")["url"]))

    def events(self, number: int) -> list[dict[str, Any]]:
        """A launch's events, to its end."""
        return list(self.admin().events(f"/launches/{number}/events", follow=True))

    def built(self, folder: str) -> tuple[float, Path]:
        """Seconds from a folder's launch begun to its environment, which was not there, and where that stands.

        Solving is a part of it. Raises NotReady.
        """
        session, _ = self.launch(folder)
        number = self.admin().call("GET", f"/sessions/{session.name}")["launch"]
        self.stop(session)
        events = {entry["event"]["is"]: entry for entry in self.events(number)}
        made = events["Built"]["event"]
        if made["found"]:
            raise NotReady(f"launch {number} built nothing")
        return events["Built"]["at"] - events["Fetched"]["at"], self.state.environments / made["environment"]

    def failed(self, folder: str) -> list[dict[str, Any]]:
        """The events of a launch that is expected to fail, each with `heard`: when we were told, in Unix seconds."""
        client = self.admin()
        number = client.call("POST", "/launches", {"folder": folder})["number"]
        entries = client.events(f"/launches/{number}/events", follow=True)
        return [entry | {"heard": time.time()} for entry in entries]

    def stages(self, session: Session, began: float) -> dict[str, float]:
        """Seconds each stage of a session's launch took, by the journal's clock; the first since the click."""
        number = self.admin().call("GET", f"/sessions/{session.name}")["launch"]
        took, before = {}, began
        for entry in self.events(number):
            if stage := STAGES.get(entry["event"]["is"]):
                took[stage] = entry["at"] - before
                before = entry["at"]
        return took

    def stop(self, session: Session) -> None:
        """End a session; nothing is left of it then."""
        self.admin().call("DELETE", f"/sessions/{session.name}")

    # its processes

    def control(self) -> psutil.Process:
        assert self.service.process is not None
        return psutil.Process(self.service.process.pid)

    def pad(self) -> psutil.Process:
        return next(child for child in self.control().children() if "perijove.backends.pad.process" in child.cmdline())

    def sandboxes(self) -> list[list[psutil.Process]]:
        """The processes of each session: a server that was forked is no child of its sandbox's bubblewrap."""
        found: dict[str, list[psutil.Process]] = {}
        for child in self.pad().children():
            if inside := self._inside(child):
                found.setdefault(inside, []).extend(machine.family(child))
        return list(found.values())

    def _inside(self, child: psutil.Process) -> str:
        """The process namespace of a sandbox that a child of the pad, or what is below it, is in; `` for none."""
        own = _namespace(self.pad())
        return next((name for one in machine.family(child) if (name := _namespace(one)) not in {own, ""}), "")

    def own_processes(self) -> Mapping[str, list[psutil.Process]]:
        """The service's processes without its sessions, by what they are."""
        control, pad = self.control(), self.pad()
        beside = [process for child in pad.children() if not self._inside(child) for process in machine.family(child)]
        forking = [process for process in beside if SCRIPT in process.cmdline() or process.name() == "bwrap"]
        others = [child for child in control.children() if child.pid != pad.pid]
        caddy = [child for child in others if child.name() == "caddy"]
        return {
            "control plane": [control],
            "pad": [pad],
            "egress proxy": [process for process in beside if process not in forking],
            "fork server": forking,
            "Caddy": caddy,
            "confined calls": [one for child in others if child not in caddy for one in machine.family(child)],
        }


def _namespace(process: psutil.Process) -> str:
    try:
        return os.readlink(f"/proc/{process.pid}/ns/pid")
    except OSError:
        return ""


def build_url(service: str, link: str) -> str:
    """The event stream that a visitor's page follows."""
    quoted = link.replace("%", "%25").replace(":", "%3A").replace("/", "%2F")
    return f"{service}build/git/{quoted}/main"


@contextmanager
def prepared(visitor: Visitor) -> Iterator[Bench]:
    """A bench whose service is up and has built the example's environment; everything is stopped and removed after."""
    root = Path(tempfile.mkdtemp(prefix="perijove-bench-"))
    root.chmod(0o711)
    try:
        with serving(root / "git") as git:
            bench = Bench(root, git, visitor)
            try:
                yield bench
            finally:
                if bench.service.process is not None:
                    bench.service.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)
