"""A real service for tests: `perijove up` as a process of its own, its links followed as a client would."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from perijove.cli.client import Client
from perijove.domain.state import State
from perijove.domain.system_settings import PlatformSettings
from tests.fakes.ports import free_port

STARTS_WITHIN = 500.0
"""Seconds; a machine on which much else runs took more than 200. It ends sooner where the process does."""
_PAUSE = threading.Event()


def until(condition: Callable[[], Any], limit: float = 60.0) -> Any:
    """What the condition returns as soon as it is true. Raises TimeoutError."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not after {limit:.0f} s")
        _PAUSE.wait(0.02)
    return value


@cache
def first() -> State:
    """Where a service was up once in this test run: what a first start installs is here, fetched and compiled."""
    state = State(Path(tempfile.mkdtemp(prefix="perijove-first-")))
    atexit.register(shutil.rmtree, state.root, ignore_errors=True)
    state.root.chmod(0o711)
    Service(state, shares_store=False).up().stop()
    return state


def shared_cache() -> Path:
    """uv's cache for a whole test run, with all that a service's first start installs."""
    return first().uv_cache


def first_server() -> Path:
    """The Jupyter server that a first start made: others come, for other Pythons and on a base."""
    return min(first().tools.glob("server-*"), key=lambda path: path.stat().st_mtime)


BASE = PlatformSettings(packages=("ca-certificates", "python3"))
"""The base of a whole test run: `furnish` shares it."""


def furnish(state: State) -> None:
    """Begin a state directory with the test run's uv cache and Jupyter server: what a first start installs."""
    state.store.mkdir(mode=0o711)
    state.uv_cache.symlink_to(shared_cache())
    state.tools.symlink_to(first().tools)
    for name in ("bases", "layers", "apt"):  # a base takes a minute, and is prepared by the first test that needs one
        (state.store / name).symlink_to(first().store / name)


@dataclass
class Service:
    """One `perijove up` on one state directory; stopped at the end, whatever happened."""

    state: State
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    python: str = sys.executable
    uid: int | None = None
    """Whom it runs as; None: as us."""
    flags: tuple[str, ...] = ()
    """More words for `perijove up`."""
    environ: dict[str, str] = field(default_factory=dict)
    """More variables than ours."""
    told: list[str] = field(default_factory=list)
    """What its commands have printed so far."""
    holds_ready: bool = False
    """Whether it may hold sessions ready: where it does, more sandboxes run than a test has launched."""
    shares_store: bool = True
    """Whether a new state directory begins with the test run's uv cache and Jupyter server, which saves 20 seconds."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def config(self) -> Path:
        """Its settings file, used where there is one."""
        return self.state.root / "perijove.toml"

    @property
    def log(self) -> Path:
        return self.state.root / "up.log"

    def up(self) -> Service:
        """Start it; returns once it says that it is up."""
        process = self.start()
        try:
            until(lambda: b"Perijove is up at" in self.log.read_bytes() or process.poll() is not None, STARTS_WITHIN)
        except TimeoutError as error:
            self.stop()
            raise AssertionError(self.log.read_text()) from error
        assert b"Perijove is up at" in self.log.read_bytes(), self.log.read_text()
        return self

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, without waiting."""
        settings = self.settings if self.holds_ready else {"LAUNCHING_READY": "0", **self.settings}
        told = {f"PERIJOVE_{name}": value for name, value in settings.items()}
        environ = {**os.environ, **self.environ, **told}
        become: dict[str, Any] = {}
        if self.uid is not None:
            become = {"user": self.uid, "group": self.uid, "extra_groups": (), "cwd": "/"}
            environ |= {"HOME": str(self.state.control), "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
        if self.shares_store and self.uid is None and not self.state.store.exists():
            furnish(self.state)
        command = [self.python, "-m", "perijove", "up", "--state", str(self.state.root)]
        command += ["--http", f"127.0.0.1:{self.port}"]
        command += ["--config", str(self.config)] if self.config.exists() else []
        command += self.flags
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ, **become)
        return self.process

    def kill(self) -> None:
        """kill -9 the control plane, and nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self.process is not None
        self.process.terminate()

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def cli(self, *words: str, status: int = 0) -> str:
        """A command's standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "perijove", *words, "--state", str(self.state.root)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        self.told += [done.stdout, done.stderr]
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def launching(self, link: str) -> Iterator[dict[str, Any]]:
        """A new launch's events as they come, to Ready or Failed: what `perijove launch --json` prints, asked as it is.

        Raises Fail where the service goes away.
        """
        client = Client(self.state)
        begun = client.call("POST", "/launches", {"folder": link} if Path(link).is_dir() else {"link": link})
        for entry in client.events(f"/launches/{begun['number']}/events", follow=True):
            yield entry
            if entry["event"]["is"] in ("Ready", "Failed"):
                return

    def launch(self, link: str, *, fails: bool = False) -> list[dict[str, Any]]:
        """The events of a launch that gets ready, or fails."""
        events = list(self.launching(link))
        assert events[-1]["event"]["is"] == ("Failed" if fails else "Ready"), events[-1]
        return events

    def session(self, link: str) -> Session:
        """A launch that got ready."""
        return Session(str(self.launch(link)[-1]["url"]))


@dataclass(frozen=True)
class Session:
    """A session as a browser would use it: its address with the token."""

    link: str

    @property
    def base(self) -> str:
        return self.link.partition("?")[0]

    @property
    def name(self) -> str:
        return self.base.rstrip("/").rpartition("/")[2]

    @property
    def token(self) -> str:
        return self.link.partition("token=")[2]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.base + path, headers=self.headers, timeout=20, trust_env=False)

    def answers(self) -> bool:
        """Whether its server says 200."""
        try:
            return self.get("api/status").status_code == 200
        except httpx.TransportError:
            return False

    def kernel(self) -> str:
        """A new kernel's id."""
        answer = httpx.post(
            self.base + "api/kernels", headers=self.headers, json={"name": "python3"}, timeout=30, trust_env=False
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def execute(self, code: str, kernel: str = "", limit: float = 60) -> str:
        """What the code prints and results in, run by a kernel over its websocket."""
        return asyncio.run(self._execute(code, kernel or self.kernel(), limit))

    async def _execute(self, code: str, kernel: str, limit: float) -> str:
        address = f"{self.base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
        dialled = connect(address, proxy=None, max_size=None, additional_headers=self.headers)
        async with asyncio.timeout(limit), dialled as channel:
            return await executed(channel, code)


async def executed(channel: ClientConnection, code: str) -> str:
    """What the code prints and results in, run by the kernel at the other end of a websocket."""
    asked = uuid.uuid4().hex
    header = {"msg_id": asked, "username": "", "session": uuid.uuid4().hex, "msg_type": "execute_request"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    await channel.send(
        json.dumps(
            {
                "header": {**header, "version": "5.3", "date": ""},
                "parent_header": {},
                "metadata": {},
                "channel": "shell",
                "buffers": [],
                "content": {**content, "user_expressions": {}},
            }
        )
    )
    said: list[str] = []
    while True:
        message = json.loads(await channel.recv())
        if message["parent_header"].get("msg_id") != asked:
            continue
        content, kind = message["content"], message["msg_type"]
        if kind == "stream":
            said.append(content["text"])
        elif kind == "execute_result":
            said.append(content["data"]["text/plain"])
        elif kind == "error":
            said.append(f"{content['ename']}: {content['evalue']}")
        elif kind == "status" and content["execution_state"] == "idle":
            return "".join(said)


def running(state: State, **settings: str) -> Iterator[Service]:
    """A service for a fixture; everything it started is gone afterwards."""
    service = Service(state, settings).up()
    try:
        yield service
    finally:
        service.stop()
