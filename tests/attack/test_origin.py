"""A malicious repository in a visitor's browser: it reaches neither our pages nor the visitor's other sessions.

Real Chromium, Jupyter and Caddy. The repository's server has handlers of its own, whose page tries everything that
pages of one origin may do to one another.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, async_playwright

from perijove.domain.state import State
from tests.e2e.service import Service, Session, running, until
from tests.fakes.chromium import CHROMIUM, FLAGS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.same_for_any_user,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"{CHROMIUM} is not installed"),
]
VICTIM = str(Path(__file__).parents[2] / "examples" / "hello")
CONFIG = '''
from jupyter_server.serverapp import ServerApp
from tornado.web import RequestHandler

WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", event => event.waitUntil(clients.claim()));
addEventListener("fetch", event => event.respondWith(
    new Response("<title>PWNED</title><h1>PWNED</h1>", {headers: {"Content-Type": "text/html"}})));
"""


class Evil(RequestHandler):
    def get(self, what):
        self.set_header("Service-Worker-Allowed", "/")
        self.set_header("Clear-Site-Data", '"*"')
        self.set_header("Strict-Transport-Security", "max-age=99999999; includeSubDomains")
        self.set_header("Access-Control-Allow-Origin", self.request.headers.get("Origin", "*"))
        self.set_header("Access-Control-Allow-Credentials", "true")
        self.add_header("Set-Cookie", "tossed=by-header; Path=/")
        parent = self.request.host_name.partition(".")[2]
        self.add_header("Set-Cookie", "tossed-far=by-header; Path=/; Domain=" + parent)
        self.set_header("Content-Type", "text/javascript" if what == "worker.js" else "text/html")
        self.write(WORKER if what == "worker.js" else "<title>evil</title>")


def with_evil(app, begin=ServerApp.init_webapp):
    begin(app)
    app.web_app.add_handlers(".*$", [(app.base_url + "evil/(.*)", Evil)])


ServerApp.init_webapp = with_evil
'''
WORKER = """async scope => {
    try { return (await navigator.serviceWorker.register("worker.js", scope ? {scope} : {})).scope; }
    catch (error) { return error.name; }
}"""
READ = """async url => {
    try { return (await (await fetch(url, {credentials: "include"})).text()).slice(0, 300); }
    catch (error) { return error.name; }
}"""
FRAME = """url => new Promise(resolve => {
    const frame = document.createElement("iframe");
    frame.onload = () => {
        try { resolve(frame.contentDocument.documentElement.outerHTML); } catch (error) { resolve(error.name); }
    };
    frame.src = url;
    document.body.append(frame);
})"""
POST = """async url => {
    try { return (await fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body: "{}"})).type; }
    catch (error) { return error.name; }
}"""
TOSS = """() => {
    const parents = location.hostname.split(".").map((_, at, labels) => labels.slice(at).join("."));
    for (const path of ["/", "/launch", "/v2"]) {
        document.cookie = `tossed=1; path=${path}`;
        for (const parent of parents) document.cookie = `_xsrf=tossed; domain=${parent}; path=${path}`;
    }
    return document.cookie;
}"""
KERNEL = """async base => {
    const xsrf = document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? "";
    const made = await fetch(base + "api/kernels", {method: "POST", body: "{}", headers: {"X-XSRFToken": xsrf}});
    const {id} = await made.json();
    const socket = new WebSocket(base.replace("http", "ws") + `api/kernels/${id}/channels`);
    return await new Promise(resolve => {
        socket.onopen = () => resolve("open"); socket.onerror = () => resolve("no");
    });
}"""
ELSEWHERE = """async ([base, token]) => {
    const headers = {Authorization: `token ${token}`};
    try {
        const made = await fetch(base + "api/kernels", {method: "POST", body: "{}", headers});
        const {id} = await made.json();
        const socket = new WebSocket(base.replace("http", "ws") + `api/kernels/${id}/channels?token=${token}`);
        return await new Promise(resolve => {
            socket.onopen = () => resolve("open"); socket.onerror = () => resolve("no");
        });
    } catch (error) { return error.name; }
}"""
LONG = pytest.mark.long
BOOK = "http://book.example.net"

HOSTS = {
    "loopback": ("", "*.localhost"),
    "wildcard": ('hosts = ["binder.example.org"]\nsession_hosts = ["*.run.example.org"]\n', "*.run.example.org"),
    "list": (
        'hosts = ["binder.example.org"]\nsession_hosts = ["s1.example.org", "s2.example.org", "s3.example.org"]\n',
        "s?.example.org",
    ),
    "off": ('session_hosts = ["off"]\n', ""),
}


@dataclass
class Site:
    """One service, its settings changed from test to test; all its names lead to this machine in the browser."""

    service: Service
    evil: str
    mode: str = "loopback"

    @property
    def url(self) -> str:
        """As visitors know it."""
        name = "binder.example.org" if "binder" in HOSTS[self.mode][0] else "127.0.0.1"
        return f"http://{name}:{self.service.port}"

    def become(self, mode: str) -> None:
        """Have these hosts; returns once Caddy does."""
        self.mode = mode
        self.service.config.write_text(f'[service]\nhttps = ["off"]\ncors_allow_origin = ["{BOOK}"]\n{HOSTS[mode][0]}')
        assert self.service.process is not None
        self.service.process.send_signal(signal.SIGHUP)
        name, asked = "probe--s1", {"Host": urlsplit(self.url).netloc, "Accept": "text/html"}
        host = HOSTS[mode][1].replace("*", name).replace("?", "1")
        leads = f"//{host}:{self.service.port}/user/{name}/" if host else ""

        def leads_there() -> bool:
            answer = httpx.get(f"{self.service.url}user/{name}/", headers=asked, trust_env=False)
            return bool(answer.headers.get("location", "") == leads)

        until(leads_there)
        until(lambda: httpx.get(self.service.url, headers=asked, trust_env=False).status_code == 200)

    def opened(self, session: Session) -> str:
        """Where a browser is at last, for its host: `http://name:port`."""
        _, pattern = HOSTS[self.mode]
        label = session.name.partition("--")[2] if self.mode == "list" else session.name
        host = f"{label}.{pattern.partition('.')[2]}" if pattern else "127.0.0.1"
        return f"http://{host}:{self.service.port}"

    def here(self, session: Session) -> Session:
        """The same as programs on this machine reach it, whatever names mean to them."""
        return Session(f"{self.service.url}user/{session.name}/?token={session.token}")


@pytest.fixture(scope="module")
def site(module_state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    evil = tmp_path_factory.mktemp("evil")
    (evil / ".jupyter").mkdir()
    (evil / ".jupyter" / "jupyter_server_config.py").write_text(CONFIG)
    (module_state.root / "perijove.toml").write_text('[service]\nhttps = ["off"]\n')
    for service in running(module_state):
        yield Site(service, str(evil))


@pytest_asyncio.fixture(loop_scope="module")
async def visitor() -> AsyncIterator[BrowserContext]:
    names = (
        "--disable-features=LocalNetworkAccessChecks,HttpsUpgrades",
        "--host-resolver-rules=MAP *.example.org 127.0.0.1",
        "--unsafely-treat-insecure-origin-as-secure=*.example.org",
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *names])
        yield await browser.new_context()
        await browser.close()


@dataclass
class Two:
    """A visitor with two sessions open, each by its link with the token."""

    victim: Session
    evil: Session
    victim_page: Page
    evil_page: Page


async def opened(site: Site, visitor: BrowserContext) -> Two:
    victim, evil = site.service.session(VICTIM), site.service.session(site.evil)
    pages = []
    for session, place in ((victim, "lab"), (evil, "evil/page")):
        page = await visitor.new_page()
        page.set_default_timeout(30_000)
        await page.goto(f"{site.url}/user/{session.name}/{place}?token={session.token}")
        assert page.url.startswith(f"{site.opened(session)}/user/{session.name}/{place}")
        pages.append(page)
    return Two(victim, evil, *pages)


async def ours(site: Site, visitor: BrowserContext) -> None:
    """Front page and launch pages are as we wrote them, and nobody sits before them."""
    page = await visitor.new_page()
    for path, words in (("/", "live Jupyter"), ("/launch/1", "Launch 1"), ("/v2/gh/owner/..", "did not work")):
        await page.goto(site.url + path)
        assert words in await page.inner_text("h1")
        assert await page.evaluate("async () => (await navigator.serviceWorker?.getRegistrations() ?? []).length") == 0
    await page.close()


@pytest.mark.parametrize("mode", ["loopback", "wildcard", "list"])
async def test_a_session_s_page_reaches_nothing_but_itself(site: Site, visitor: BrowserContext, mode: str) -> None:
    site.become(mode)
    two = await opened(site, visitor)
    evil, victim = two.evil_page, f"{site.opened(two.victim)}/user/{two.victim.name}/"
    assert site.opened(two.evil) != site.opened(two.victim)
    assert await evil.evaluate("navigator.serviceWorker !== undefined")
    for scope in ("/", f"/user/{two.evil.name}/", ""):
        assert await evil.evaluate(WORKER, scope) in ("SecurityError", "TypeError")
    for base in (victim, f"{site.url}/user/{two.victim.name}/"):
        assert await evil.evaluate(READ, base + "api/contents") == "TypeError"
        framed = await evil.evaluate(FRAME, base + "lab")
        assert "token" not in framed
        await evil.evaluate(POST, base + "api/kernels")
    for path in ("/", "/launch/1", "/api/launches/1"):
        assert await evil.evaluate(READ, site.url + path) == "TypeError"
    assert "tossed=1" in await evil.evaluate(TOSS)
    assert site.here(two.victim).get("api/kernels").json() == []
    assert await two.victim_page.evaluate(KERNEL, victim) == "open"
    await ours(site, visitor)
    site.service.cli("stop", two.evil.name)
    await evil.reload()
    assert await evil.inner_text("h1") == "This session is over"
    await ours(site, visitor)
    await two.victim_page.reload()
    assert json.loads(await two.victim_page.evaluate(READ, victim + "api/status"))["kernels"] == 1
    site.service.cli("stop", two.victim.name)


async def test_without_hosts_of_their_own_sessions_share_an_origin_but_nothing_stays(
    site: Site, visitor: BrowserContext
) -> None:
    """What docs/operating.md says of a service without session hosts, both halves of it."""
    site.become("off")
    two = await opened(site, visitor)
    evil = two.evil_page
    for scope in ("/", f"/user/{two.evil.name}/", ""):
        assert await evil.evaluate(WORKER, scope) in ("SecurityError", "TypeError")
    cookies: list[Any] = list(await visitor.cookies())
    assert {cookie["path"] for cookie in cookies} <= {f"/user/{two.evil.name}/", f"/user/{two.victim.name}/"}
    assert "README.md" in await evil.evaluate(READ, f"/user/{two.victim.name}/api/contents/README.md")
    await ours(site, visitor)
    site.service.cli("stop", two.evil.name)
    await ours(site, visitor)
    site.service.cli("stop", two.victim.name)


@pytest.mark.parametrize(
    "mode", ["loopback", "wildcard", *(pytest.param(mode, marks=LONG) for mode in ("list", "off"))]
)
async def test_pages_elsewhere_that_the_operator_allows_use_sessions(
    site: Site, visitor: BrowserContext, mode: str
) -> None:
    site.become(mode)
    session = site.service.session(VICTIM)
    told = urlsplit(session.base)
    for origin, result in ((BOOK, "open"), ("http://evil.example.net", "TypeError")):
        page = await visitor.new_page()
        await page.route(f"{origin}/", lambda route: route.fulfill(body="<title>elsewhere</title>"))
        await page.goto(f"{origin}/")
        assert await page.evaluate(ELSEWHERE, [session.base, session.token]) == result
    named = "example.org" in HOSTS[mode][1]
    assert told.netloc == urlsplit(site.opened(session) if named else site.url).netloc
    program = asyncio.to_thread(site.here(session).execute, "1+1")
    assert await program == "2", "programs go on by the service's own address"
    site.service.cli("stop", session.name)


async def test_links_to_a_session_s_pages_lead_to_its_host_and_back(site: Site, visitor: BrowserContext) -> None:
    site.become("wildcard")
    session = site.service.session(VICTIM)
    page = await visitor.new_page()
    await page.goto(session.link.replace("?", "lab/tree/README.md?"))
    await page.wait_for_selector(".jp-MarkdownViewer, .jp-FileEditor", timeout=60_000)
    assert urlsplit(page.url).netloc == f"{session.name}.run.example.org:{site.service.port}"
    site.service.cli("stop", session.name)
    await page.goto(session.link)
    assert await page.locator("a.home").get_attribute("href") == f"{site.url}/"
    why = await page.get_by_role("link", name="Why it ended").get_attribute("href")
    assert str(why).startswith(f"{site.url}/launch/")
