"""A service below a path, as it is reached by itself and behind web servers that pass nothing else on to it.

One of them asks for a password, as operators have it who know no other log-in.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect
from websockets.asyncio.client import connect

from perijove.doctor.front.lines import Front, nginx
from perijove.domain.state import State
from tests.e2e.service import Service, Session, executed, running
from tests.fakes import fronts
from tests.fakes.fronts import Doors, running_front, written
from tests.fakes.git_server import serving
from tests.fakes.nginx import missing, running_nginx
from tests.fakes.ports import free_port
from tests.fakes.private_ca import PrivateCa

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
B = "/binder/"
ADA = "ada", "a long engine"
CHALLENGE = "/.well-known/acme-challenge/none"
MARKER = "x-perijove-solver"


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(
        module_state,
        SERVICE_BASE=B,
        SERVICE_BEHIND="127.0.0.1",
        SERVICE_HTTPS="off",
        REPOSITORIES_PRIVATE_ADDRESSES="yes",
    )


@pytest.fixture(scope="module")
def link(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a repository whose environment stands already."""
    with serving(tmp_path_factory.mktemp("git")) as server:
        server.author("owner/repo").commit({"README.md": "hello"})
        link = f"v2/git/{quote(server.url('owner/repo'), safe='')}/HEAD"
        service.cli("stop", service.session(f"/{link}").name)
        yield link


@dataclass
class Visit:
    """A browser's way through a service: all that it asked for, and what it was refused."""

    page: Page
    asked: list[str]
    refused: list[str]

    @classmethod
    def by(cls, page: Page) -> Visit:
        visit = cls(page, [], [])
        page.set_default_timeout(60_000)
        page.on("request", lambda request: visit.asked.append(request.url))
        page.on("websocket", lambda socket: visit.asked.append(socket.url))
        page.on(
            "response",
            lambda answer: visit.refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
        )
        return visit

    async def launched(self, home: str, link: str) -> str:
        """From the front page by a pasted link to Lab: the session's address."""
        await self.page.goto(home)
        await self.page.get_by_label("Link to a repository").fill(link)
        await expect(self.page.get_by_test_id("launch-url")).to_have_value(f"{home}{link}", timeout=60_000)
        await self.page.get_by_role("button", name="Launch").click()
        await self.page.wait_for_url(re.compile(f"{B}user/"), timeout=120_000)
        await expect(self.page.locator("#jp-top-panel")).to_be_visible(timeout=60_000)
        return re.sub("(/user/[^/]+/).*", r"\1", self.page.url)

    async def spoken(self) -> None:
        """A console of Lab's, whose kernel says by a websocket of Lab's own that it is idle."""
        await self.page.locator('.jp-LauncherCard[data-category="Console"]').first.click()
        panel = self.page.get_by_role("contentinfo", name="Bottom Panel")
        await expect(panel).to_contain_text("| Idle", timeout=60_000)

    @property
    def left(self) -> list[str]:
        """What lies elsewhere than below the path."""
        return [one for one in self.asked if one.startswith(("http", "ws")) and not urlsplit(one).path.startswith(B)]


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(ignore_https_errors=True)
    yield context
    await context.close()


async def test_a_browser_asks_for_nothing_outside_of_it(service: Service, context: BrowserContext, link: str) -> None:
    visit = Visit.by(await context.new_page())
    base = await visit.launched(f"http://localhost:{service.port}{B}", link)
    assert urlsplit(base).path.startswith(f"{B}user/repo-")
    await visit.spoken()
    assert visit.left == []
    assert any(f"{B}-/server-" in one for one in visit.asked), "all sessions share what Lab loads"
    assert any(one.startswith("ws") for one in visit.asked)
    told = await context.cookies(base)
    assert told
    assert all(str(one.get("path")).startswith(B) for one in told)


async def test_a_session_ends_and_its_address_leads_back(service: Service, context: BrowserContext, link: str) -> None:
    session = Session(str((await asyncio.to_thread(service.launch, f"/{link}"))[-1]["url"]))
    assert session.base == f"http://127.0.0.1:{service.port}{B}user/{session.name}/"
    assert await asyncio.to_thread(session.execute, "6 * 7") == "42"
    without = httpx.get(session.base.rstrip("/"), trust_env=False)
    assert (without.status_code, without.headers["location"]) == (307, f"{B}user/{session.name}/")
    await asyncio.to_thread(service.cli, "stop", session.name)
    page = await context.new_page()
    answer = await page.goto(session.link)
    assert answer is not None
    assert answer.status == 424
    await page.get_by_role("link", name="Launch again").click()
    await page.wait_for_url(re.compile(f"{B}user/"), timeout=120_000)


async def test_what_is_printed_and_looked_at_lies_below_it(service: Service) -> None:
    up = service.log.read_text()
    assert f"Perijove is up at http://127.0.0.1:{service.port}{B}" in up
    assert f"location {B} {{" in up
    assert f"{B}admin?key=" in service.cli("admin")
    assert f"http://127.0.0.1:{service.port}{B}" in service.cli("status")
    outside = httpx.get(f"http://127.0.0.1:{service.port}/health", trust_env=False)
    assert (outside.status_code, B in outside.text) == (404, True)
    assert MARKER in httpx.get(f"http://127.0.0.1:{service.port}{CHALLENGE}", trust_env=False).headers


@pytest.mark.parametrize("name", ["nginx", "HAProxy", "Apache", "Caddy"])
async def test_behind_a_web_server_that_passes_nothing_else_on(
    service: Service, link: str, tmp_path: Path, name: str
) -> None:
    if why := fronts.missing(name):
        pytest.skip(why)
    tmp_path.chmod(0o755)
    leaf = PrivateCa(tmp_path).leaf("localhost")
    doors = Doors("127.0.0.1", free_port(), free_port(), "localhost", f"127.0.0.1:{service.port}", leaf, B)
    text = written(name, doors, tmp_path)
    with running_front(name, tmp_path, text, doors.address, doors.http, doors.https):
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
            challenge = await client.get(f"http://localhost:{doors.http}{CHALLENGE}")
            assert MARKER in challenge.headers
            plain = await client.get(f"http://localhost:{doors.http}{B}v2/x")
            assert (plain.status_code, plain.headers["location"]) == (301, f"https://localhost:{doors.https}{B}v2/x")
            home = f"https://localhost:{doors.https}{B}"
            assert (await client.get(f"{home}versions")).status_code == 200
            beside = await client.get(f"https://localhost:{doors.https}/versions")
            assert "perijove" not in beside.text
            ready = await built(client, home, link)
            assert ready["url"].startswith(f"{home}user/repo-")
            assert ready["binder_launch_host"] == home
            assert await computed(client, ready["url"], ready["token"]) == "42"
            await client.post(f"{ready['url']}api/shutdown", headers={"Authorization": f"token {ready['token']}"})


async def built(client: httpx.AsyncClient, home: str, link: str) -> dict[str, Any]:
    """The last event of a launch, as clients of the Binder protocol ask for it."""
    build, headers = home + link.replace("v2/", "build/", 1), {"Accept": "text/event-stream"}
    async with client.stream("GET", build, headers=headers) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            told: dict[str, Any] = json.loads(line.partition(": ")[2]) if line.startswith("data:") else {}
            if told.get("phase") in ("ready", "failed"):
                return told
    raise AssertionError("the stream ended before the launch did")


async def computed(client: httpx.AsyncClient, base: str, token: str) -> str:
    """What a kernel says, by its websocket."""
    headers, trusting = {"Authorization": f"token {token}"}, ssl._create_unverified_context()
    kernel = (await client.post(f"{base}api/kernels", json={"name": "python3"}, headers=headers)).json()["id"]
    address = f"{base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    async with connect(address, proxy=None, ssl=trusting, additional_headers=headers) as channel:
        return await executed(channel, "6 * 7")


@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_lab_works_behind_a_password_of_the_front_s(
    service: Service, browser: Browser, link: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "htpasswd").write_text(f"{ADA[0]}:{{PLAIN}}{ADA[1]}\n")
    port, written = free_port(), nginx(Front(("localhost",), f"127.0.0.1:{service.port}", base=B))
    first, passing = written.partition("\n")[0], written[written.index(f"location {B}") :]
    asks = f"auth_basic course; auth_basic_user_file {tmp_path}/htpasswd;"
    text = f"{first}\nserver {{ listen 127.0.0.1:{port}; {asks} {passing}"
    with running_nginx(tmp_path, text):
        home = f"http://localhost:{port}{B}"
        assert httpx.get(home, trust_env=False).status_code == 401
        context = await browser.new_context(http_credentials={"username": ADA[0], "password": ADA[1]})
        visit = Visit.by(await context.new_page())
        await visit.launched(home, link)
        visit.refused.clear()
        await visit.spoken()
        assert [one for one in visit.refused if one.startswith("401")] == []
        told = await visit.page.evaluate("document.getElementById('jupyter-config-data').textContent")
        assert json.loads(told)["token"] == ""
        await context.close()
