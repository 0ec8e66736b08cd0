"""People who log in by a password: a real service, in a browser and by programs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, expect
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from perijove.domain.state import State
from tests.e2e.service import Service, Session
from tests.fakes import node, oidc
from tests.fakes.device_host import CODE, PENDING, SHORT, DeviceHost, device_host
from tests.fakes.git_server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
PASSWORDS = {"ada": "a long engine", "bob": "another long one", "eve": "who oversees it"}


def user(service: Service, *words: str, password: str = "") -> str:
    """What `perijove user` says."""
    done = subprocess.run(
        [sys.executable, "-m", "perijove", "user", *words, "--state", str(service.state.root)],
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where people have homes: another user's, where the service is root's."""
    path = tmp_path_factory.mktemp("homes")
    if os.geteuid() == 0:
        os.chown(path, 54_321, 54_321)
    return path


@pytest.fixture(scope="module")
def device() -> Iterator[DeviceHost]:
    with device_host() as host:
        yield host


@pytest.fixture(scope="module")
def service(module_state: State, homes: Path, device: DeviceHost) -> Iterator[Service]:
    (module_state.root / "perijove.toml").write_text(f'[auth.device."{device.url}"]\nclient_id = "perijove"\n')
    settings = {"AUTH_METHOD": "password", "REPOSITORIES_PRIVATE_ADDRESSES": "yes", "HOME_PATH": f"{homes}"}
    service = Service(module_state, settings)
    module_state.root.chmod(0o711)
    service.up()
    try:
        user(service, "add", "ada", "--group", "students", password=PASSWORDS["ada"])
        user(service, "add", "bob", password=PASSWORDS["bob"])
        user(service, "add", "eve", "--admin", password=PASSWORDS["eve"])
        yield service
    finally:
        service.stop()


async def logged_in(browser: Browser, service: Service, name: str) -> tuple[BrowserContext, Page]:
    """A browser of its own, from the front page through the form."""
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(30_000)
    await page.goto(service.url.replace("127.0.0.1", "localhost"))
    assert urlsplit(page.url).path == "/login"
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORDS[name])
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_label("Link to a repository")).to_be_visible()
    return context, page


@dataclass(frozen=True)
class Opened:
    """Ada's session, as her browser has it open."""

    context: BrowserContext
    page: Page
    launch: int
    name: str
    port: int

    @property
    def host(self) -> str:
        return f"{self.name}.localhost:{self.port}"

    @property
    def base(self) -> str:
        return f"/user/{self.name}/"

    async def cookies(self) -> dict[str, str]:
        """What her browser shows the session."""
        told = await self.context.cookies(f"http://{self.host}{self.base}")
        return {one["name"]: one["value"] for one in told if "name" in one and "value" in one}


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("git")) as server:
        server.author("owner/repo").commit({"README.md": "hello"})
        yield f"/v2/git/{quote(server.url('owner/repo'), safe='')}/HEAD"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(service: Service, browser: Browser, link: str) -> Opened:
    """From the front page, by logging in, to Lab."""
    context, page = await logged_in(browser, service, "ada")
    await page.goto(f"http://localhost:{service.port}{link}")
    await page.wait_for_url(re.compile("/user/"), timeout=120_000)
    await expect(page.locator("#jp-top-panel")).to_be_visible(timeout=60_000)
    launch = json.loads(await asyncio.to_thread(service.cli, "get", "launches", "-o", "json"))[0]
    return Opened(context, page, launch["number"], launch["session"], service.port)


def asked(opened: Opened, path: str, host: str = "", **headers: str) -> httpx.Response:
    """An answer to whoever asks the session's own host."""
    named = {"Host": host or opened.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.get(f"http://127.0.0.1:{opened.port}{path}", headers=named, timeout=20, trust_env=False)


async def test_a_person_s_session_works_in_their_browser_by_websockets_too(opened: Opened) -> None:
    shown = await opened.cookies()
    assert set(shown) >= {"perijove_grant"}
    kernel = await opened.page.evaluate(
        """async (base) => {
             const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1];
             const answer = await fetch(`${base}api/kernels`, {method: "POST", headers: {"X-XSRFToken": xsrf}});
             return (await answer.json()).id;
           }""",
        opened.base,
    )
    said = await opened.page.evaluate(
        """([base, kernel]) => new Promise((done) => {
             const socket = new WebSocket(`ws://${location.host}${base}api/kernels/${kernel}/channels`);
             socket.onopen = () => done("open");
             socket.onerror = () => done("refused");
           })""",
        [opened.base, kernel],
    )
    assert said == "open"


async def test_neither_its_address_nor_its_token_opens_it_for_anybody_else(service: Service, opened: Opened) -> None:
    link = json.loads(await asyncio.to_thread(service.cli, "get", "session", opened.name, "-o", "json"))["url"]
    token = link.partition("token=")[2]
    for headers in ({}, {"Authorization": f"token {token}"}):
        for host in ("", f"localhost:{opened.port}"):
            answer = asked(opened, f"{opened.base}api/status?token={token}", host, **headers)
            assert (answer.status_code, answer.json()["failure"]["code"]) == (401, "start.login-needed")
    address = f"ws://{opened.host}{opened.base}api/kernels/k/channels?token={token}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, proxy=None, host="127.0.0.1", port=opened.port)
    assert refused.value.response.status_code == 401


async def test_somebody_else_who_is_logged_in_is_told_that_it_is_not_theirs(
    service: Service, opened: Opened, browser: Browser
) -> None:
    context, page = await logged_in(browser, service, "bob")
    answer = await page.goto(f"http://{opened.host}{opened.base}lab?token=guessed")
    assert answer is not None
    assert answer.status == 403
    await expect(page.locator(".code")).to_have_text("start.not-yours")
    for path in (f"/launch/{opened.launch}", f"/launch/{opened.launch}/log"):
        answer = await page.goto(f"http://localhost:{opened.port}{path}")
        assert answer is not None
        assert answer.status == 403
    told = await page.evaluate(f"fetch('/api/launches/{opened.launch}/events').then((answer) => answer.status)")
    assert told == 403
    await context.close()


async def test_the_command_line_and_the_doctor_open_what_is_nobody_s(service: Service) -> None:
    folder = str(Path(__file__).parents[2] / "examples" / "hello")
    session = await asyncio.to_thread(service.session, folder)
    assert await asyncio.to_thread(session.execute, "6 * 7") == "42"
    in_address = await asyncio.to_thread(httpx.get, f"{session.base}api/status?token={session.token}", trust_env=False)
    assert in_address.status_code == 401
    await asyncio.to_thread(service.cli, "stop", session.name)


async def test_an_admin_reads_its_log_and_does_not_open_it(service: Service, opened: Opened, browser: Browser) -> None:
    context, page = await logged_in(browser, service, "eve")
    await page.goto(f"http://localhost:{opened.port}/launch/{opened.launch}")
    await expect(page.locator("#log")).to_contain_text("Server running at")
    await expect(page.get_by_role("link", name="Open the session")).to_be_hidden()
    answer = await page.goto(f"http://{opened.host}{opened.base}")
    assert answer is not None
    assert answer.status == 403
    await context.close()


async def test_sessions_go_on_while_the_control_plane_is_away_and_logins_outlive_it(
    service: Service, opened: Opened
) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in (await opened.cookies()).items())
    await asyncio.to_thread(service.kill)
    assert asked(opened, f"{opened.base}api/status", Cookie=cookies).status_code == 200
    assert asked(opened, f"{opened.base}api/status").status_code == 503
    await asyncio.to_thread(service.up)
    await opened.page.goto(f"http://localhost:{opened.port}/launch/{opened.launch}")
    await expect(opened.page.get_by_role("link", name="Open the session")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_its_pages_can_be_read_by_everybody_on_a_phone_and_need_no_script(
    service: Service, browser: Browser, scheme: Literal["light", "dark"], device: DeviceHost
) -> None:
    async def fine() -> None:
        broken = (await Axe().run(page)).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in broken] == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert await page.locator("h1").count() == 1

    context = await browser.new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page = await context.new_page()
    page.set_default_timeout(30_000)
    await page.goto(f"http://localhost:{service.port}/you")
    await fine()
    for password in ("wrong", PASSWORDS["bob"]):
        await page.get_by_label("Name", exact=True).fill("bob")
        await page.get_by_label("Password", exact=True).fill(password)
        await page.get_by_role("button", name="Log in").click()
        await fine()
    await expect(page.get_by_role("heading", name="bob")).to_be_visible()
    await page.get_by_label("What it is for").fill("a script with a name")
    await page.get_by_role("button", name="Make a token").click()
    await expect(page.locator("#token")).to_be_visible()
    await fine()
    device.say(CODE | {"interval": 1})
    await page.get_by_role("button", name=f"Get a token from {device.url.partition('://')[2]}").click()
    await expect(page.locator("#code")).to_have_text("WDJB-MJHT")
    await fine()
    device.say(PENDING, SHORT)  # a script asks; without one the button does
    await expect(page.get_by_role("button", name="Remove the token for http://127.0.0.1")).to_be_visible()
    await fine()
    await page.goto(f"http://localhost:{service.port}/")
    await fine()
    await context.close()


async def test_a_program_launches_and_works_by_a_token(
    service: Service, opened: Opened, link: str, homes: Path
) -> None:
    await opened.page.goto(f"http://localhost:{opened.port}/you")
    await opened.page.get_by_label("What it is for").fill("a script")
    await opened.page.get_by_role("button", name="Make a token").click()
    token = await opened.page.locator("#token").inner_text()

    def launched() -> str:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        address = service.url + link.replace("/v2/", "build/")
        with httpx.stream("GET", address, headers=headers, timeout=120, trust_env=False) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and (told := json.loads(line[5:]))["phase"] in ("ready", "failed"):
                    return f"{told['url']}?token={told['token']}"
        raise AssertionError("it ended before")

    session = Session(await asyncio.to_thread(launched))
    assert await asyncio.to_thread(session.execute, "6 * 7") == "42"
    assert await asyncio.to_thread(session.execute, "open('home/notes', 'w').write('mine')") == "4"
    assert (homes / "ada" / "notes").read_text() == "mine", "her home outlives her sessions"
    alone = Session(session.link.rpartition(".")[0])
    assert not await asyncio.to_thread(alone.answers)


async def test_whoever_logs_out_has_closed_their_sessions_in_that_browser(opened: Opened) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in (await opened.cookies()).items())
    assert asked(opened, f"{opened.base}api/status", Cookie=cookies).status_code == 200
    await opened.page.goto(f"http://localhost:{opened.port}/")
    await opened.page.get_by_role("button", name="Log out").click()
    await expect(opened.page.get_by_role("heading", name="Log in")).to_be_visible()
    assert asked(opened, f"{opened.base}api/status", Cookie=cookies).status_code == 401
    await opened.page.goto(f"http://{opened.host}{opened.base}lab")
    await opened.page.get_by_label("Name").fill("ada")
    await opened.page.get_by_label("Password").fill(PASSWORDS["ada"])
    await opened.page.get_by_role("button", name="Log in").click()
    await expect(opened.page.locator("#jp-top-panel")).to_be_visible(timeout=60_000)
    assert asked(opened, f"{opened.base}api/status", Cookie=cookies).status_code == 401


@node.required("oidc_provider")
async def test_from_an_openid_provider_to_a_session(
    service: Service, browser: Browser, link: str, tmp_path: Path
) -> None:
    """The settings are read again; the passwords' log-ins are over, and their sessions are opened by nobody."""
    (tmp_path / "secret").write_text(oidc.SECRET)
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(30_000)
    here = f"http://localhost:{service.port}"
    with oidc.provider(
        f"{here}/login/back", people={"ada": {"email": "ada@example.org", "email_verified": True}}
    ) as there:
        service.stop()
        service.settings |= {
            "AUTH_METHOD": "oidc", "AUTH_OIDC_ISSUER": there.issuer, "AUTH_OIDC_CLIENT_ID": "perijove",
            "AUTH_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        }  # fmt: skip
        await asyncio.to_thread(service.up)
        await page.goto(here + link)
        await page.get_by_role("link", name="Log in").click()
        await page.get_by_placeholder("login").fill("ada")
        await page.get_by_placeholder("password").fill("anything")
        await page.get_by_role("button").click()
        await page.get_by_role("button", name="Continue").click()
        await page.wait_for_url(re.compile("/user/"), timeout=120_000)
        await expect(page.locator("#jp-top-panel")).to_be_visible(timeout=60_000)
    assert "ada@example.org" in await asyncio.to_thread(service.cli, "describe", "launch", "4")
    await context.close()
