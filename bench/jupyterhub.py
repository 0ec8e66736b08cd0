"""The peer: plain JupyterHub with its own proxy and local processes, no sandbox. In: a virtual environment that has it.

Spawner "simple", authenticator "dummy"; everything it writes lies in one folder, everything it starts ends with it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from bench import machine
from bench.visitor import NotReady, Visitor, frames
from tests.e2e.service import Session, until
from tests.fakes.ports import free_port

STARTS_WITHIN = 60.0
STOPS_WITHIN = 40.0
SERVER = "jupyterhub-singleuser"
CONFIG = """
import json, pathlib
known = json.loads(pathlib.Path(__file__).with_name("known.json").read_text())
c.JupyterHub.bind_url = known["url"]
c.JupyterHub.hub_bind_url = known["hub"]
c.ConfigurableHTTPProxy.api_url = known["proxy_api"]
c.ConfigurableHTTPProxy.command = [known["proxy"]]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = known["homes"] + "/{username}"
c.Spawner.cmd = [known["server"]]
c.Spawner.args = ["--allow-root"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.JupyterHub.services = [{"name": "visitor", "api_token": known["token"]}]
c.JupyterHub.load_roles = [
    {
        "name": "visits",
        "services": ["visitor"],
        "scopes": ["admin:users", "admin:servers", "access:servers", "read:hub"],
    }
]
"""


def programs(environment: Path) -> tuple[Path, Path] | None:
    """JupyterHub's folder of programs and its proxy; None where one is missing."""
    bins, proxy = environment / "bin", environment / "node_modules" / ".bin" / "configurable-http-proxy"
    if (bins / "jupyterhub").exists() and (bins / SERVER).exists() and proxy.exists():
        return bins, proxy
    return None


class Hub:
    """One JupyterHub on loopback."""

    def __init__(self, bins: Path, proxy: Path, folder: Path, visitor: Visitor) -> None:
        self.visitor = visitor
        self._bins = bins
        self._folder = folder
        self._token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        homes = folder / "homes"
        homes.mkdir(parents=True)
        known = {"url": self.url, "hub": f"http://127.0.0.1:{free_port()}", "homes": str(homes), "token": self._token}
        known |= {"proxy_api": f"http://127.0.0.1:{free_port()}", "proxy": str(proxy), "server": str(bins / SERVER)}
        (folder / "known.json").write_text(json.dumps(known))
        (folder / "jupyterhub_config.py").write_text(CONFIG)

    # the hub

    def up(self) -> float:
        """Start it; seconds until its API answers through the proxy. Raises TimeoutError, NotReady."""
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PATH"] = f"{self._bins}{os.pathsep}{environ.get('PATH', os.defpath)}"
        began = time.monotonic()
        with (self._folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bins / "jupyterhub", "-f", self._folder / "jupyterhub_config.py"],
                cwd=self._folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, STARTS_WITHIN)
        return time.monotonic() - began

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise NotReady(f"JupyterHub ended: {(self._folder / 'hub.log').read_text()[-2000:]}")
        try:
            return self.visitor.http.get(f"{self.url}/hub/api/").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """SIGTERM, and after a while the end of its process group."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOPS_WITHIN)

    # launches

    def launch(self, name: str) -> Session:
        """A new user's server, until the hub says that it is ready. Raises NotReady."""
        server = f"/hub/api/users/{name}/server"
        self._call("POST", f"/hub/api/users/{name}")
        self._call("POST", server, {})
        ends = time.monotonic() + STARTS_WITHIN
        url, headers = f"{self.url}{server}/progress", self._headers
        with self.visitor.http.stream("GET", url, headers=headers) as answer:
            for event in frames(answer, ends):
                if event.get("failed"):
                    raise NotReady(str(event.get("message")))
                if event.get("ready"):
                    return Session(f"{self.url}/user/{name}/?token={self._token}")
        raise NotReady(f"the progress of {name} ended early")

    def remove(self, name: str) -> None:
        """End the server and forget the user. Raises TimeoutError."""

        def gone() -> bool:
            path = f"{self.url}/hub/api/users/{name}"
            return self.visitor.http.delete(path, headers=self._headers).status_code in (204, 404)

        until(gone, STOPS_WITHIN)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self._token}"}

    def _call(self, method: str, path: str, body: object = None) -> None:
        answer = self.visitor.http.request(method, self.url + path, headers=self._headers, json=body)
        if answer.is_error:
            raise NotReady(f"{method} {path}: {answer.status_code} {answer.text[:200]}")

    # its processes

    def servers(self) -> list[list[psutil.Process]]:
        """The processes of each session."""
        return [machine.family(child) for child in self._children() if _serves(child)]

    def own_processes(self) -> list[psutil.Process]:
        """The hub and its proxy."""
        assert self._process is not None
        return [psutil.Process(self._process.pid), *(child for child in self._children() if not _serves(child))]

    def _children(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children()


def _serves(process: psutil.Process) -> bool:
    return any(SERVER in word for word in process.cmdline())


@contextmanager
def beside(environment: Path, folder: Path, visitor: Visitor) -> Iterator[Hub | None]:
    """A JupyterHub that is up, or None where `environment` has none; stopped at the end."""
    found = programs(environment)
    if found is None:
        yield None
        return
    hub = Hub(*found, folder, visitor)
    try:
        hub.up()
        yield hub
    finally:
        hub.stop()
