"""A real JupyterHub with its own proxy, as `docs/jupyterhub.md` says to configure it, and what its users do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from perijove.domain.state import State
from tests.e2e.service import Session, until
from tests.fakes import node
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef0123456789abcdef"
"""Of a service that may start servers, and read how they are."""


def documented() -> str:
    """The settings that the document shows."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs/jupyterhub.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@dataclass
class Hub:
    """One hub on loopback."""

    folder: Path
    state: State
    repository: Path
    repositories: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self) -> str:
        proxy = node.installed("jupyterhub") / "node_modules/.bin/configurable-http-proxy"
        return f"""{documented()}
c.PerijoveSpawner.state_directory = "{self.state.root}"
c.PerijoveSpawner.repository = "{self.repository}"
c.PerijoveSpawner.repositories |= {self.repositories}
c.PerijoveSpawner.poll_interval = 1
c.JupyterHub.bind_url = "{self.url}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.command = ["{proxy}"]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.services = [{{"name": "tests", "api_token": "{TOKEN}"}}]
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
def hurried(spawner):
    if spawner.user.name == "joe":
        spawner.start_timeout = 5
c.PerijoveSpawner.pre_spawn_hook = hurried
scopes = ["admin:users", "admin:servers", "access:servers", "tokens"]
c.JupyterHub.load_roles = [{{"name": "tests", "services": ["tests"], "scopes": scopes}}]
"""

    def up(self) -> None:
        """Start it; returns once its API answers through its proxy."""
        (self.folder / "jupyterhub_config.py").write_text(self.config())
        bins = Path(sys.executable).parent
        environ = os.environ | {"PATH": f"{bins}{os.pathsep}{os.environ['PATH']}"}
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [bins / "jupyterhub", "-f", self.folder / "jupyterhub_config.py"],
                cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self._answers, 90)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "hub.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/hub/api/", trust_env=False).status_code == 200
        return False

    def stop(self) -> None:
        """As its service manager would, and its servers go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """What its API answers."""
        headers = {"Authorization": f"token {TOKEN}"}
        url = f"{self.url}/hub/api/{path}"
        answer = httpx.request(method, url, headers=headers, json=body, timeout=30, trust_env=False)
        assert not answer.is_error, answer.text
        return answer.json() if answer.content else None

    def runs(self, name: str) -> bool:
        """Whether the hub says that the user's server does."""
        return bool(self.call("GET", f"users/{quoted(name)}")["server"])

    def started(self, name: str, server: str = "", **options: str) -> list[dict[str, Any]]:
        """The progress of a new user's server, or of a named one, to its end."""
        if not server:
            self.call("POST", f"users/{quoted(name)}")
        headers = {"Authorization": f"token {TOKEN}"}
        url = f"{self.url}/hub/api/users/{quoted(name)}/{f'servers/{quoted(server)}' if server else 'server'}"
        asked = httpx.post(url, headers=headers, json=options, timeout=60, trust_env=False)
        assert asked.status_code in (201, 202), asked.text
        return list(self._progress(f"{url}/progress", headers))

    def _progress(self, url: str, headers: dict[str, str]) -> Iterator[dict[str, Any]]:
        with httpx.stream("GET", url, headers=headers, timeout=90, trust_env=False) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def token(self, name: str) -> str:
        """A token of the user's own, for programs."""
        asked = {"scopes": [f"access:servers!user={name}", f"read:users!user={name}"]}
        return str(self.call("POST", f"users/{quoted(name)}/tokens", asked)["token"])

    def session(self, name: str, token: str = "", server: str = "") -> Session:
        """The user's server through the hub's proxy, where the hub says that it is, as programs of theirs use it."""
        path = self.call("GET", f"users/{quoted(name)}")["servers"][server]["url"] if not token else f"/user/{name}/"
        return Session(f"{self.url}{path}?token={token or self.token(name)}")


def quoted(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")
