"""The clients that people have, as they are published, each before a real service; at the root and below a path."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from perijove.domain.state import State
from tests.e2e.service import Service, Session, running
from tests.fakes import node
from tests.fakes.files_served import served
from tests.fakes.git_server import Server, serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    node.required("clients"),
]
NEAR = "127.0.0.2"
"""Not of those that a session is told to reach without its proxy."""
NBGITPULLER = "nbgitpuller==1.3.0\n"
CODE = "print(6 * 7)"
BOOK = """<!doctype html><title>A book</title>
<script type="text/x-thebe-config">{options}</script><script src="/thebe/lib/index.js"></script>
<pre data-executable="true" data-language="python">{code}</pre>"""
JUNIPER = """async build => {
  const ready = await new Promise((resolve, reject) => {
    const source = new EventSource(build);
    source.onerror = () => reject(new Error("not read"));
    source.onmessage = message => {
      const told = JSON.parse(message.data);
      if (!["ready", "failed"].includes(told.phase)) return;
      source.close();
      resolve(told);
    };
  });
  const headers = {Authorization: `token ${ready.token}`};
  return (await fetch(`${ready.url}api/kernelspecs`, {headers})).json();
}"""
"""A launch followed by a page with what browsers have, and its server asked as juniper asks it."""


@dataclass(frozen=True)
class World:
    """A service, a site whose pages may launch, and one whose pages may not."""

    service: Service
    git: Server
    book: str
    stranger: str
    home: str

    def spec(self, name: str) -> str:
        return f"git/{quote(self.git.url(name, host=NEAR), safe='')}/HEAD"


@pytest.fixture(scope="module", params=["/", "/binder/"])
def world(request: pytest.FixtureRequest, module_state: State, tmp_path_factory: pytest.TempPathFactory) -> Any:
    shelf = tmp_path_factory.mktemp("book")
    (shelf / "thebe").symlink_to(node.installed("clients") / "node_modules/thebe")
    with served(shelf) as book, served(shelf) as other, serving(tmp_path_factory.mktemp("git"), NEAR) as git:
        git.author("ada/plain").commit({"README.md": "hello"})
        git.author("ada/puller").commit({"requirements.txt": NBGITPULLER})
        git.author("ada/moons").commit({"io.md": "# Io\n"})
        services = running(
            module_state,
            SERVICE_BASE=request.param,
            SERVICE_CORS_ALLOW_ORIGIN=book.url,
            REPOSITORIES_PRIVATE_ADDRESSES="yes",
            SESSION_EGRESS_ALLOWED=f"{NEAR}:{git.port}",
        )
        for service in services:
            home = f"http://localhost:{service.port}{request.param}"
            made = World(service, git, book.url, other.url, home)
            repo = {"repo": git.url("ada/plain", host=NEAR), "ref": "HEAD", "binderUrl": home, "repoProvider": "git"}
            options = {"bootstrap": True, "binderOptions": repo, "savedSessionOptions": {"enabled": False}}
            (shelf / "index.html").write_text(BOOK.format(options=json.dumps(options), code=CODE))
            (shelf / "plain.html").write_text("<!doctype html><title>A page</title>")
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(120_000)
    yield page
    await context.close()


async def followed(world: World, spec: str) -> list[dict[str, Any]]:
    """What binderhub-client says of a launch."""
    program = ("clients", "follow_launch.mjs", f"{world.home}build/", spec, "lab/tree/README.md")
    return [json.loads(line) for line in (await asyncio.to_thread(node.ran, *program)).splitlines()]


async def test_binderhub_client_follows_a_launch_to_its_session(world: World, page: Page) -> None:
    told = await followed(world, world.spec("ada/plain"))
    phases = list(dict.fromkeys(one["phase"] for one in told))
    assert phases[0] == "waiting"
    assert phases[-2:] == ["launching", "ready"]
    await page.goto(told[-1]["opened"])
    await expect(page.locator("#jp-top-panel")).to_be_visible(timeout=60_000)
    assert re.search("/user/[^/]+/lab/tree/README.md", page.url)


async def test_binderhub_client_tells_why_a_launch_failed(world: World) -> None:
    told = await followed(world, world.spec("ada/nothing"))
    assert told[-1]["failure"]["code"] == "resolve.repo-not-found"
    assert "The repository was not found: " in told[-1]["message"]


async def test_thebe_runs_the_cell_of_a_book(world: World, page: Page) -> None:
    await page.goto(f"{world.book}/")
    await page.wait_for_function("window.thebe?.session?.kernel?.status === 'idle'")
    await page.get_by_role("button", name="run", exact=True).click()
    await expect(page.locator(".jp-OutputArea-output")).to_have_text("42\n", timeout=60_000)


async def test_a_page_elsewhere_launches_by_what_browsers_have(world: World, page: Page) -> None:
    await page.goto(f"{world.book}/plain.html")
    specs = await page.evaluate(JUNIPER, f"{world.home}build/{world.spec('ada/plain')}")
    assert list(specs["kernelspecs"]) == [specs["default"]]


async def test_a_page_that_is_not_named_launches_nothing(world: World, page: Page) -> None:
    before = world.service.cli("get", "launches")
    await page.goto(f"{world.stranger}/plain.html")
    with pytest.raises(Exception, match="not read"):
        await page.evaluate(JUNIPER, f"{world.home}build/{world.spec('ada/plain')}")
    assert world.service.cli("get", "launches").count("\n") == before.count("\n")


async def test_an_nbgitpuller_link_opens_what_it_pulled(world: World, page: Page) -> None:
    pulled = {"repo": world.git.url("ada/moons", host=NEAR), "branch": "main", "urlpath": "lab/tree/moons/io.md"}
    await page.goto(f"{world.home}v2/{world.spec('ada/puller')}?urlpath={quote(f'git-pull?{urlencode(pulled)}')}")
    await page.wait_for_url(re.compile("/user/[^/]+/lab/tree/moons/io.md"), timeout=500_000)
    await expect(page.get_by_role("tab", name="io.md")).to_be_visible(timeout=60_000)


async def test_a_server_elsewhere_is_used_by_its_address_and_token(world: World) -> None:
    session = Session(str((await asyncio.to_thread(world.service.launch, f"/v2/{world.spec('ada/plain')}"))[-1]["url"]))
    program = ("clients", "run_code.mjs", session.base, session.token, CODE)
    assert await asyncio.to_thread(node.ran, *program) == "42\n"
