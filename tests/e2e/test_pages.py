"""The pages in a browser: Chromium before a real Caddy and the public application, over launches in memory."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from perijove.backends.caddy import Caddy
from perijove.domain import failures
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.events import SessionTroubled
from perijove.domain.nouns import EndReason, SandboxSpec, SessionName
from perijove.domain.ports import Tell
from perijove.domain.state import State
from perijove.routing.table import table
from perijove.web.assets import ASSETS_VERSION, STATIC
from perijove.web.front import public_app
from perijove.web.headers import KEPT_APART
from perijove.web.operator_desk import Examined
from perijove.web.public import Public
from tests.fakes.chromium import CHROMIUM
from tests.fakes.ports import free_port
from tests.fakes.upstream import bound, echo, served
from tests.fakes.world import FakeClock, FakeRepositories, FakeSessions
from tests.unit.web.conftest import FakeDoctor, desk_of
from tests.unit.web.test_operator_page import FOUND
from tests.ways.conftest import ADDRESS, World

LINK = "/v2/gh/owner/repo/HEAD"
WATCH = 5000
"""Milliseconds between two looks of a launch's page at its session."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason=f"{CHROMIUM} is not installed"),
]


class WallClock(FakeClock):
    """Time as it is, since browsers have it too."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SpeakingRepositories(FakeRepositories):
    """Says what it is told to say before it goes on."""

    says: tuple[str, ...] = ()

    async def fetch(self, repo: Any, tell: Tell) -> Any:
        for line in self.says:
            tell(line)
        return await super().fetch(repo, tell)


class ServedSessions(FakeSessions):
    """Sessions with a server that says what it was asked."""

    def __init__(self, sockets: Path) -> None:
        super().__init__()
        self._sockets = sockets
        self._servers: dict[SessionName, AsyncExitStack] = {}

    async def start(self, spec: SandboxSpec) -> None:
        listener = bound(self._sockets / f"{spec.session}.sock")
        stack = self._servers[spec.session] = AsyncExitStack()
        await stack.enter_async_context(served(echo(spec.session), listener))
        await super().start(spec)

    async def stop(self, session: SessionName, reason: EndReason) -> None:
        if stack := self._servers.pop(session, None):
            await stack.aclose()
        await super().stop(session, reason)

    async def close(self) -> None:
        for name in list(self._servers):
            await self.stop(name, EndReason.STOPPED)


@dataclass
class Site:
    """A service as a browser sees it."""

    state: State
    world: World
    sandboxes: ServedSessions
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    public: Public | None = None
    held: float = 1.0
    """Seconds for which a stream that is ready is left open: tests wait for its end."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """The control plane begins to answer."""
        w = self.world
        self.public = Public(
            *(w.launches, w.links, w.sessions, w.sandboxes, w.journal, w.keys, w.clock, lambda: w.settings, w.keeping),
            desk_of(w),
            held=self.held,
        )
        await self._stack.enter_async_context(served(public_app(self.public), bound(self.state.control_socket)))

    async def stop(self) -> None:
        """The control plane answers no more; Caddy does."""
        await self._stack.aclose()

    async def goto(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def in_session(self) -> tuple[str, dict[str, list[str]], dict[str, Any]]:
        """Where the browser ended up: path, query, and what the session's server was asked."""
        await self.page.wait_for_url(re.compile("/user/"))
        parts = urlsplit(self.page.url)
        assert parts.netloc == f"{parts.path.split('/')[2]}.localhost:{urlsplit(self.url).port}"
        return parts.path, parse_qs(parts.query), json.loads(await self.page.inner_text("body"))

    async def fate(self, words: str) -> None:
        """The page says this of its session. Its clock is moved until it has: when it begins to watch nobody sees."""
        told = self.page.locator("#fate")
        async with asyncio.timeout(20):
            while words not in await told.inner_text():
                await self.page.clock.fast_forward(WATCH)

    def keys_to_admin(self) -> str:
        """The key of a new link to the operator's page."""
        assert self.public is not None
        return self.public.desk.service.doors.link_key()

    def launches(self) -> list[int]:
        return [launch.number for launch in self.world.launches.list(100)]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.world.until(condition)


@asynccontextmanager
async def browsing(browser: Browser) -> AsyncIterator[tuple[Page, list[str]]]:
    """A fresh page, and everything it complained about."""
    complaints: list[str] = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield page, complaints


@pytest_asyncio.fixture(loop_scope="module")
async def site(state: State, browser: Browser) -> AsyncIterator[Site]:
    world = World(state.root, clock=WallClock())
    world.repositories = SpeakingRepositories(world.repositories.folder)
    sandboxes = world.sandboxes = ServedSessions(state.session_sockets)
    world.set(service__http=(f"127.0.0.1:{free_port()}",))
    caddy = Caddy(state)
    plan: DataPlaneTable = table(world.settings, state, STATIC, ASSETS_VERSION)
    async with browsing(browser) as (page, complaints), world.up():
        site = Site(state, world, sandboxes, page, plan.http[0].replace("127.0.0.1", "http://localhost"), complaints)
        await site.start()
        await caddy.ensure(plan)
        try:
            yield site
        finally:
            await sandboxes.close()
            await site.stop()
            await caddy.close()


async def test_pages_forbid_nothing_that_chromium_warns_of(browser: Browser) -> None:
    async with browsing(browser) as (page, _):
        known = await page.evaluate("document.featurePolicy.features()")
    named = {one.partition("=")[0] for one in KEPT_APART["Permissions-Policy"].split(", ")}
    assert named - set(known) == set()


async def test_from_a_pasted_link_to_the_session(site: Site) -> None:
    await site.page.goto(site.url.replace("localhost", "127.0.0.1"))
    assert site.page.url == f"{site.url}/"
    await site.page.get_by_label("Link to a repository").fill("https://github.com/owner/repo")
    await expect(site.page.locator("#recognised")).to_have_text("GitHub · owner/repo · default branch")
    await site.page.get_by_text("Another branch, or a file to open").click()
    await expect(site.page.locator("#refs option")).to_have_count(3)
    await site.page.get_by_label("File to open").fill("index.ipynb")
    await expect(site.page.locator("#recognised")).to_contain_text("opens index.ipynb")
    share = f"{site.url}{LINK}?urlpath=doc%2Ftree%2Findex.ipynb"
    await expect(site.page.get_by_test_id("launch-url")).to_have_value(share)
    await expect(site.page.get_by_label("Badge for a README")).to_have_value(
        f"[![Binder]({site.url}/badge_logo.svg)]({share})"
    )
    await site.page.keyboard.press("Enter")
    path, query, asked = await site.in_session()
    session = path.split("/")[2]
    assert path == f"/user/{session}/doc/tree/index.ipynb"
    assert query == {"token": [site.world.keys.session_token(session)]}
    assert asked["who"] == session
    assert site.complaints == []


async def test_a_wrong_link_is_told_while_it_is_typed(site: Site) -> None:
    await site.goto("/")
    await site.page.get_by_label("Link to a repository").fill("gh/owner")
    await expect(site.page.locator("#link-error")).to_contain_text("A GitHub link is")
    await expect(site.page.get_by_label("Link to a repository")).to_have_attribute("aria-invalid", "true")
    await expect(site.page.locator("#share")).to_be_hidden()


async def test_the_log_is_shown_as_it_grows_and_is_only_text(site: Site) -> None:
    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    repositories = site.world.repositories
    assert isinstance(repositories, SpeakingRepositories)
    repositories.says, repositories.gate = (evil,), asyncio.Event()
    await site.goto(LINK)
    await expect(site.page.locator("#log")).to_contain_text(evil)
    assert await site.page.locator("#log img, #log script").count() == 0
    await expect(site.page).to_have_title("… gh/owner/repo/HEAD · Perijove")
    await expect(site.page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("working.svg"))
    await expect(site.page.locator(".stages [aria-current]")).to_contain_text("Fetch the repository")
    await expect(site.page.get_by_role("status").first).to_have_text("Fetching the repository's files")
    assert await site.page.get_by_text("This launch's own page").get_attribute("href") == "/launch/1"
    repositories.gate.set()
    await site.in_session()
    assert site.complaints == []


async def test_what_is_nearly_read_is_noted_above_the_log(site: Site) -> None:
    (site.world.repositories.folder / "Requirements.txt").touch()
    site.world.environments.gate = asyncio.Event()
    note = "Requirements.txt is not read: the name that counts is requirements.txt, capitals included"
    await site.goto(LINK)
    await expect(site.page.locator("#notes li")).to_have_text([note])
    await site.page.goto(f"{site.url}/launch/1")
    await expect(site.page.locator("#notes li")).to_have_text([note])
    site.world.environments.gate.set()
    await expect(site.page).to_have_title(re.compile("✓"))
    await expect(site.page.locator("#notes li")).to_have_text([note])
    assert site.complaints == []


async def test_a_reload_resumes_and_starts_nothing(site: Site) -> None:
    site.world.repositories.gate = asyncio.Event()
    await site.goto(LINK)
    await expect(site.page.locator("#log")).to_contain_text("Launch 1")
    await site.page.reload()
    await expect(site.page.locator("#log")).to_contain_text("Launch 1")
    site.world.repositories.gate.set()
    path, _, _ = await site.in_session()
    assert site.launches() == [1]
    await site.goto(f"{LINK}?urlpath=lab/tree/a.ipynb")
    await site.page.get_by_role("link", name="Return to it").click()
    again, _, _ = await site.in_session()
    assert again == f"{path}lab/tree/a.ipynb"
    assert site.launches() == [1]


async def test_who_has_one_running_may_begin_another_see_both_on_the_front_page_and_stop_one(site: Site) -> None:
    await site.goto(LINK)
    first, _, _ = await site.in_session()
    await site.goto(LINK)
    await expect(site.page).to_have_title("You have one running · Perijove")
    await site.page.get_by_role("link", name="Start another beside it").click()
    second, _, _ = await site.in_session()
    assert second != first
    await site.goto("/")
    running = site.page.locator("#running")
    await expect(running).to_contain_text("You have 2 sessions running")
    await running.get_by_role("link", name="gh/owner/repo/HEAD").first.click()
    assert (await site.in_session())[0] == second
    await site.goto("/")
    await running.get_by_role("link", name="Stop one").click()
    await site.page.get_by_role("button", name="Stop it").first.click()
    await expect(site.page.get_by_role("link", name="Return to it")).to_have_count(1)
    assert [session.name for session in site.world.sessions.live] == [first.split("/")[2]]
    assert site.complaints == []


async def test_a_launch_link_opened_after_its_session_ended_launches_anew(site: Site) -> None:
    await site.goto(LINK)
    path, _, _ = await site.in_session()
    await site.sandboxes.stop(path.split("/")[2], EndReason.IDLE)
    await site.until(lambda: not site.world.sessions.live)
    await site.goto(LINK)
    again, _, _ = await site.in_session()
    assert again != path
    assert site.launches() == [2, 1]


HOSTILE = [
    pytest.param("http://evil.test/x", "", id="another site"),
    pytest.param("//evil.test/x", "evil.test/x", id="another site without a scheme"),
    pytest.param("javascript:alert(1)", "", id="a script"),
    pytest.param("..%2f..%2fapi/repoproviders", "", id="out of the session"),
    pytest.param("%5c%5cevil.test", "", id="backslashes"),
    pytest.param("git-pull?repo=https%3A%2F%2Fx%2Fy&branch=main", "git-pull", id="a query of its own"),
]


@pytest.mark.parametrize(("urlpath", "opens"), HOSTILE)
async def test_a_link_opens_nothing_but_its_session(site: Site, urlpath: str, opens: str) -> None:
    await site.goto(f"{LINK}?urlpath={urlpath.replace('?', '%3F').replace('&', '%26')}")
    path, query, _ = await site.in_session()
    session = path.split("/")[2]
    assert path == f"/user/{session}/{opens}"
    assert query["token"] == [site.world.keys.session_token(session)]


async def test_a_failure_says_why_and_what_to_do_and_can_be_tried_again(site: Site) -> None:
    seen = failures.Evidence("git ls-remote", "<b>fatal</b>: could not read Username")
    site.world.repositories.fails = [failures.REPO_FORBIDDEN("GitHub asked for a password", seen)]
    await site.goto(LINK)
    box = site.page.locator(".failure")
    await expect(box.get_by_role("heading", level=2)).to_have_text("The repository's host refused us")
    await expect(box).to_contain_text("GitHub asked for a password.")
    await expect(box).to_contain_text("You can put this right. Make it public")
    await expect(box).to_contain_text("<b>fatal</b>: could not read Username")
    await expect(site.page).to_have_title("✗ gh/owner/repo/HEAD · Perijove")
    await expect(site.page.locator(".stages .broken")).to_contain_text("Fetch the repository")
    assert site.page.url == f"{site.url}/launch/1"
    before = await site.page.inner_text("main")
    await site.page.reload()
    assert await site.page.inner_text("main") == before
    await site.page.get_by_role("link", name="Launch again").click()
    await site.in_session()
    assert site.launches() == [2, 1]
    assert site.complaints == []


async def test_an_environment_is_built_anew_by_a_button_where_a_launch_failed_and_where_it_did_not(site: Site) -> None:
    site.world.environments.fails = [failures.CONFLICT("a==1 and a==2")]
    await site.goto(LINK)
    await expect(site.page.get_by_role("link", name="Launch again")).to_be_visible()
    await site.page.get_by_role("link", name="Build anew").click()
    await site.in_session()
    assert (site.world.environments.builds, site.world.environments.turn) == (2, 1)
    await site.goto("/launch/2")
    await site.page.get_by_role("link", name="Build anew").click()
    await site.in_session()
    assert (site.world.environments.builds, site.world.environments.turn) == (3, 2)
    assert site.launches() == [3, 2, 1]
    assert site.complaints == []


async def test_the_own_page_of_a_launch_is_live_for_anybody_and_leads_nobody_in(site: Site) -> None:
    site.world.repositories.gate = asyncio.Event()
    number = site.world.launches.begin(ADDRESS, "somebody else")
    await site.goto(f"/launch/{number}")
    await expect(site.page.get_by_role("heading", level=1)).to_contain_text(f"Launch {number}")
    site.world.repositories.gate.set()
    await expect(site.page.locator("#status")).to_have_text("It is ready")
    await expect(site.page.get_by_text("Open the session")).to_be_hidden()
    assert "/user/" not in site.page.url
    await expect(site.page.get_by_text("told in the browser that began it")).to_be_visible()
    await expect(site.page.locator("#log")).to_be_hidden()
    assert "owner/repo" not in await site.page.content()
    assert site.complaints == []


async def test_a_launch_s_key_is_in_no_address_and_no_script_reads_it(site: Site) -> None:
    site.world.repositories.gate = asyncio.Event()
    asked: list[tuple[str, str]] = []
    site.page.on("request", lambda one: asked.append((one.url, one.headers.get("referer", ""))))
    await site.goto(LINK)
    await expect(site.page.locator("#log")).to_contain_text("Launch 1")
    key = site.world.keys.launch_key(1)
    kept = (
        "JSON.stringify([document.cookie, Object.entries(sessionStorage), Object.entries(localStorage), location.href])"
    )
    assert key not in await site.page.evaluate(kept)
    await site.page.get_by_text("This launch's own page").click()
    await expect(site.page.locator("#log")).to_contain_text("Launch 1")
    await site.page.reload()
    site.world.repositories.gate.set()
    await expect(site.page.get_by_text("Open the session")).to_be_visible()
    assert key not in str([await site.page.evaluate(kept), await site.page.content(), *asked])
    assert [one for one in asked if "/api/launches/1/events" in one[0]], "the page followed its launch by the cookie"
    await site.page.get_by_text("Open the session").click()
    _, _, session = await site.in_session()
    assert key not in str(session), "its cookie is not for sessions"
    await site.goto(f"/launch/1?key={key}")
    assert site.page.url == f"{site.url}/launch/1"


async def test_what_happens_to_a_session_is_told_on_its_launch_s_page(site: Site) -> None:
    await site.goto(LINK)
    path, _, _ = await site.in_session()
    session = path.split("/")[2]
    await site.page.clock.install()
    await site.goto("/launch/1")
    oom = failures.KERNEL_MEMORY("a kernel used more than 2 GB")
    site.world.journal.append(f"session/{session}", SessionTroubled(session, oom))
    await site.fate("a kernel used more than 2 GB")
    await site.sandboxes.stop(session, EndReason.IDLE)
    await site.fate("The session is over: it was stopped (idle).")
    await expect(site.page.get_by_role("link", name="Launch again")).to_be_visible()


async def test_a_control_plane_that_comes_back_is_found_again(site: Site) -> None:
    site.world.repositories.gate = asyncio.Event()
    await site.goto(LINK)
    await expect(site.page.locator("#log")).to_contain_text("Launch 1")
    await site.stop()
    await expect(site.page.locator("#status")).to_contain_text("Nothing is lost")
    await site.start()
    site.world.repositories.gate.set()
    await site.in_session()
    assert site.launches() == [1]


async def test_an_event_source_left_alone_starts_one_launch_and_stops(site: Site) -> None:
    """As thebe does it: nobody closes it, and a browser comes back by itself until it is told 204."""
    await site.goto("/")
    phases = await site.page.evaluate(
        """path => new Promise(resolve => {
            const phases = [], source = new EventSource(path);
            source.onmessage = message => phases.push(JSON.parse(message.data).phase);
            source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(phases); };
        })""",
        "/build/gh/owner/repo/HEAD",
    )
    assert phases[-1] == "ready"
    assert phases.count("ready") == 1
    assert site.launches() == [1]


async def test_a_dead_session_s_page_leads_to_a_new_one_at_the_same_place(site: Site) -> None:
    await site.goto(f"{LINK}?urlpath=lab/tree/x.ipynb")
    path, _, _ = await site.in_session()
    session = path.split("/")[2]
    await site.sandboxes.stop(session, EndReason.IDLE)
    await site.until(lambda: not site.world.sessions.live)
    await site.page.reload()
    await expect(site.page.get_by_role("heading", level=1)).to_have_text("This session is over")
    await expect(site.page.get_by_role("link", name="Launch again")).to_be_visible()
    await site.goto(f"{path}")
    await site.page.get_by_role("link", name="Why it ended").click()
    await expect(site.page.locator("#fate")).to_have_text("The session is over: it was stopped (idle).")
    await site.page.get_by_role("link", name="Launch again").click()
    await site.page.wait_for_url(lambda url: "/user/" in url and session not in url)
    assert urlsplit(site.page.url).path.endswith("/lab/tree/x.ipynb")


async def test_the_stage_that_failed_is_the_one_that_is_marked(site: Site) -> None:
    site.world.environments.fails = [failures.CONFLICT("a==1 and a==2", failures.Evidence("uv", "error: a==1"))]
    await site.goto(LINK)
    await expect(site.page.locator(".stages .broken")).to_contain_text("Build the environment")
    await expect(site.page.locator(".stages .done")).to_contain_text("Fetch the repository")
    await site.page.get_by_text("Copy this for the author").click()
    await expect(site.page.get_by_label("All there is to know of it")).to_have_value(re.compile("build.conflict"))
    assert site.complaints == []


async def test_a_refusal_is_told_on_the_link_s_page_itself(site: Site) -> None:
    site.world.set(launching__page_rate_limit=1)
    await site.goto(LINK)
    await site.in_session()
    await site.page.evaluate("sessionStorage.clear()")
    await site.goto(f"{LINK}?urlpath=x&another=true")
    await expect(site.page.locator(".failure h2")).to_have_text("Too many launches from your address")
    await expect(site.page.get_by_role("link", name="Launch again")).to_be_visible()


async def test_a_launch_is_given_up_by_its_button_and_its_log_is_searched(site: Site) -> None:
    repositories = site.world.repositories
    assert isinstance(repositories, SpeakingRepositories)
    repositories.says, repositories.gate = ("one needle", "hay", "another Needle"), asyncio.Event()
    await site.goto(LINK)
    await expect(site.page.locator("#log")).to_contain_text("another Needle")
    await site.page.get_by_label("Search the log").fill("needle")
    await expect(site.page.locator("#found")).to_have_text("2 lines")
    await expect(site.page.get_by_text("hay", exact=True)).to_be_hidden()
    cancel = site.page.get_by_role("button", name="Cancel")
    await expect(cancel).to_have_accessible_description(re.compile("^What is being built is built to its end"))
    await cancel.click()
    await expect(site.page.locator(".failure h2")).to_have_text("This launch was given up")
    assert site.page.url == f"{site.url}/launch/1"
    assert site.world.launches.running == set()
    await expect(site.page.get_by_role("link", name="Download")).to_have_attribute("download", "launch-1.txt")
    assert site.complaints == []


async def test_the_operator_s_page_opens_once_by_its_link_stops_sessions_and_keeps_up(site: Site) -> None:
    await site.goto(LINK)
    await site.in_session()
    key = site.keys_to_admin()
    assert site.public is not None
    doctor = site.public.desk.doctor
    assert isinstance(doctor, FakeDoctor)
    doctor.last = Examined(site.world.clock.now(), [FOUND], ["chmod 600 secret"])
    await site.goto(f"/admin?key={key}")
    await site.page.get_by_role("group").filter(has_text=FOUND["title"]).locator("summary").click()
    assert site.page.url == f"{site.url}/admin", await site.page.inner_text("main")
    row = site.page.get_by_role("row").filter(has_text="owner/repo")
    await expect(row).to_contain_text("127.0.0.1")
    broken = (await Axe().run(site.page)).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in broken] == []
    await site.page.set_viewport_size({"width": 320, "height": 640})
    assert await site.page.evaluate("document.documentElement.scrollWidth") <= 320
    await site.page.get_by_role("button", name="Do it, and look again").click()
    assert doctor.asked == [], "the browser wants it to have been read"
    await site.page.get_by_label("I have read it").check()
    await site.page.get_by_role("button", name="Do it, and look again").click()
    examined = doctor.last
    await site.until(lambda: doctor.asked == [examined.planned])
    shown = await site.page.locator("#words").element_handle()
    await site.page.fill("#words", "back at")
    await site.world.launched()
    two = site.page.locator(".figures div").filter(has_text="Sessions").locator("dd")
    await expect(two).to_have_text("2")
    await expect(site.page.get_by_role("row").filter(has_text="owner/repo")).to_have_count(2)
    assert await site.page.input_value("#words") == "back at", "what is being written stays"
    assert shown is not None
    assert await shown.evaluate("element => element.isConnected"), "the page was not loaded anew"
    for left in (1, 0):
        await row.get_by_role("button", name="Stop").first.click()
        await site.until(lambda: len(site.world.sessions.live) == left)  # noqa: B023
    assert site.complaints == []
    await site.page.context.clear_cookies()
    await site.goto(f"/admin?key={key}")
    await expect(site.page.locator(".failure h2")).to_have_text("This page is the operator's")


PAGES = ["/", LINK, "/launch/1", "/launch/2", "/nosuch", "/user/never-was/"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
async def test_no_page_breaks_a_rule_of_accessibility_or_the_width_of_a_phone(
    site: Site, path: str, scheme: Literal["light", "dark"]
) -> None:
    await site.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await site.page.set_viewport_size({"width": 320, "height": 640})
    evidence = failures.Evidence("uv", "\n".join(["line " + "x" * 400] * 30 + ["error: a"]))
    site.world.environments.fails = [failures.CONFLICT("a==1 and a==2", evidence)]
    await site.goto(LINK)
    await expect(site.page.locator(".failure")).to_be_visible()
    if path == "/launch/2":
        await site.world.events(site.world.launches.begin(ADDRESS, "another"))
    elif path == LINK:
        site.world.repositories.gate = asyncio.Event()
    await site.goto(path)
    broken = (await Axe().run(site.page)).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in broken] == []
    assert await site.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("path", ["/", LINK, "/nosuch", "/user/never-was/"])
async def test_every_page_can_be_used_by_keyboard_and_read_aloud(site: Site, path: str) -> None:
    site.world.repositories.gate = asyncio.Event()
    await site.goto(path)
    unnamed = await site.page.evaluate(
        """() => [...document.querySelectorAll("input:not([type=hidden]), textarea, button, a, img")]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label")
                           || e.hasAttribute("alt"))).map(e => e.outerHTML)"""
    )
    assert unnamed == []
    assert await site.page.locator("h1").count() == 1
    assert await site.page.evaluate("document.documentElement.lang") == "en"
    await site.page.keyboard.press("Tab")
    assert await site.page.evaluate("document.activeElement !== document.body")


async def test_in_a_frame_of_a_site_that_may_a_link_leads_to_its_session_and_in_another_s_nowhere(site: Site) -> None:
    site.world.set(service__frame_ancestors=("http://book.example.net",))
    framing = f"<iframe src='{site.url}{LINK}'></iframe>"
    for book, seen in (("http://book.example.net", '"who"'), ("http://evil.example.net", "")):
        await site.page.route(f"{book}/", lambda route: route.fulfill(body=framing, content_type="text/html"))
        async with site.page.expect_response(re.compile("/v2/")) as linked:
            await site.page.goto(f"{book}/")
        assert (await linked.value).headers["content-security-policy"].count("frame-ancestors http://book.example.net;")
        shown = site.page.frame_locator("iframe").locator("body")
        if seen:
            await expect(shown).to_contain_text(seen)
        else:
            await site.until(lambda: any("frame-ancestors" in said for said in site.complaints))
    assert site.launches() == [1]
