"""What counts as use of a session, with real kernels, terminals and apps: a test a row of docs/operating.md's table.

The looks are real, the hours are not: what comes of a look is `tests/unit/launching/start/test_idling.py`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from perijove.backends.pad.client import Pad
from perijove.domain.activity import ServerUse
from perijove.domain.state import State
from tests.e2e.kernels import Talk, open_page, post, talking
from tests.e2e.service import Service, Session, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
APP = """
import sys
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler
class Page(RequestHandler):
    def get(self): self.write("an app")
class Talk(WebSocketHandler):
    def open(self): self.write_message("open")
    def on_message(self, message): self.close() if message == "close" else self.write_message(message)
Application([("/", Page), ("/talk", Talk)]).listen(int(sys.argv[1]), "127.0.0.1")
IOLoop.current().start()
"""
CONFIG = {"ServerProxy": {"servers": {"app": {"command": ["python", "/home/jovyan/app.py", "{port}"]}}}}


@dataclass(frozen=True)
class Looked:
    """One session, and what is seen of it from outside."""

    session: Session
    state: State

    async def use(self) -> ServerUse:
        return await Pad(self.state).use(self.session.name, f"/user/{self.session.name}/", self.session.token, 20)

    async def jobs(self) -> int:
        pad = Pad(self.state)
        try:
            return (await pad.activity(self.session.name)).jobs
        finally:
            await pad.close(stop=False)

    async def until(self, condition: Callable[[ServerUse], bool]) -> ServerUse:
        async with asyncio.timeout(60):
            while not condition(use := await self.use()):
                await asyncio.sleep(0.1)
        return use

    async def until_jobs(self, number: int) -> None:
        async with asyncio.timeout(60):
            while await self.jobs() != number:
                await asyncio.sleep(0.25)

    @asynccontextmanager
    async def connected(self, path: str) -> AsyncIterator[ClientConnection]:
        address = self.session.base.replace("http", "ws", 1) + path
        async with connect(address, proxy=None, max_size=None, additional_headers=self.session.headers) as channel:
            yield channel


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


def _repository(folder: Path, requirements: str) -> str:
    folder.chmod(0o755)
    (folder / "requirements.txt").write_text(requirements)
    (folder / "app.py").write_text(APP)
    (folder / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
    return str(folder)


@pytest.fixture(scope="module")
def forked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """A session with Perijove's own server."""
    repository = _repository(tmp_path_factory.mktemp("plain"), "")
    return Looked(service.session(repository), service.state)


@pytest.fixture(scope="module")
def its_own(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """A session whose repository brings its server, which passes requests on to apps."""
    repository = _repository(tmp_path_factory.mktemp("own"), "jupyter-server-proxy\n")
    return Looked(service.session(repository), service.state)


@pytest.fixture(params=["forked", "its_own"])
def looked(request: pytest.FixtureRequest) -> Looked:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Looked)
    return found


@asynccontextmanager
async def begun(looked: Looked, code: str) -> AsyncIterator[tuple[str, Talk]]:
    """A kernel that is told to run this, and a page that is connected to it."""
    kernel = looked.session.kernel()
    async with talking(looked.session, kernel) as talk:
        asked = await talk.runs(f"print('begun')\n{code}")
        await talk.answered(asked, until="stream")
        yield kernel, talk


@pytest.mark.parametrize(
    "code",
    ["while True: pass", "import time\nwhile True: print(time.sleep(0.1))", "!sleep 1000"],
    ids=["computes in silence", "prints", "waits for a program"],
)
async def test_a_kernel_that_executes_is_busy_with_its_page_closed_until_it_is_done(looked: Looked, code: str) -> None:
    async with begun(looked, code) as (kernel, _):
        pass
    assert (await looked.until(lambda use: not use.pages)).busy == 1
    post(looked.session, f"api/kernels/{kernel}/interrupt")
    await looked.until(lambda use: not use.busy)


PRINTS = """
import threading, time
def say():
    while not over.wait(0.05): print("still here")
over = threading.Event()
threading.Thread(target=say).start()
"""


async def test_an_open_page_and_output_of_an_idle_kernel_are_no_use(looked: Looked) -> None:
    async with begun(looked, PRINTS) as (_, talk):
        before = await looked.until(lambda use: not use.busy and use.pages == 1)
        await talk.ask("kernel_info_request", {})
        for _ in range(5):
            await talk.heard("stream")
        for path in ("api/kernels", "api/sessions", "api/terminals", "api/contents?content=1", "api/kernelspecs"):
            looked.session.get(path).raise_for_status()
        await layout_written(looked)
        after = await looked.use()
        assert (after.busy, after.pages, after.used_at) == (0, 1, before.used_at)
        assert (await talk.run("over.set()")).reply["status"] == "ok"
        assert (await looked.use()).used_at > before.used_at


async def layout_written(looked: Looked) -> None:
    """As an open Lab does every ten seconds, whether anybody is there or not."""
    workspace = {"data": {}, "metadata": {"id": "default"}}
    async with httpx.AsyncClient(trust_env=False, headers=looked.session.headers) as client:
        answer = await client.put(looked.session.base + "lab/api/workspaces/default", json=workspace)
        assert answer.status_code in {204, 404}, "there is none where there is no Lab"


async def test_what_somebody_wants_is_use(looked: Looked) -> None:
    before = await looked.use()
    body: dict[str, Any] = {"type": "file", "format": "text", "content": "mine"}
    answer = httpx.put(
        looked.session.base + "api/contents/mine.txt", headers=looked.session.headers, json=body, trust_env=False
    )
    answer.raise_for_status()
    saved = await looked.use()
    assert saved.used_at > before.used_at
    open_page(looked.session)
    assert (await looked.use()).used_at > saved.used_at


async def test_who_may_not_ask_is_told_nothing_and_uses_nothing(looked: Looked) -> None:
    before = await looked.use()
    for method in ("GET", "POST"):
        answer = httpx.request(method, looked.session.base + "api/kernels", trust_env=False)
        assert answer.status_code == 403
        assert "x-perijove-use" not in answer.headers
    assert await looked.use() == before


async def test_a_job_in_a_terminal_is_use_until_it_ends_and_one_behind_its_shell_is_none(looked: Looked) -> None:
    terminal = post(looked.session, "api/terminals").json()["name"]
    async with looked.connected(f"terminals/websocket/{terminal}") as channel:
        await channel.send(json.dumps(["stdin", "for i in $(seq 100000); do echo $i; sleep 0.2; done | cat\r"]))
        await looked.until(lambda use: use.pages == 1)
    await looked.until(lambda use: not use.pages)
    await looked.until_jobs(2)
    async with looked.connected(f"terminals/websocket/{terminal}") as channel:
        await channel.send(json.dumps(["stdin", "\x03"]))
        await looked.until_jobs(0)
        await channel.send(json.dumps(["stdin", "while sleep 0.1; do echo behind; done & echo beg''un\r"]))
        await _heard(channel, "begun")
        await looked.until_jobs(0)
        before = await looked.use()
        for _ in range(3):
            await _heard(channel, "behind")
        assert (await looked.use()).used_at == before.used_at


async def _heard(channel: ClientConnection, word: str) -> None:
    async with asyncio.timeout(60):
        while word not in str(await channel.recv()):
            continue


async def test_an_app_is_used_while_a_page_is_connected_to_it(its_own: Looked) -> None:
    answer = its_own.session.get("app/")
    assert (answer.status_code, answer.text) == (200, "an app"), answer.text
    before = await its_own.use()
    async with its_own.connected("app/talk") as channel:
        assert await channel.recv() == "open"
        use = await its_own.use()
        assert (use.apps, use.pages) == (1, 0)
        await channel.send("close")
        await its_own.until(lambda use: not use.apps)
    assert (await its_own.use()).used_at > before.used_at
