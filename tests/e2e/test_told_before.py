"""What pages of Lab and Notebook say of their session, before its end and after it; what they open first."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Request, async_playwright, expect

from perijove.domain.state import State
from tests.e2e.service import Service, running
from tests.e2e.test_served import NOTEBOOK
from tests.fakes.chromium import CHROMIUM, FLAGS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.same_for_any_user]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PATIENCE = 90_000
"""Milliseconds: the service looks every 20 seconds, and the pages do."""


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    """It says from the first that a session will be stopped: its limits are shorter than what is told before."""
    yield from running(module_state, SESSION_TAB_TIMEOUT="4m", SESSION_IDLE_TIMEOUT="4m", SESSION_DISK="50M")


async def test_pages_are_told_before_they_can_go_on_and_are_told_why_it_is_over(
    service: Service, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    session = service.session(str(tmp_path))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = await browser.new_context()
        pages = [await context.new_page() for _ in range(2)]
        address, _, query = session.link.partition("?")
        for page, path in zip(pages, ("lab", "tree"), strict=True):
            await page.goto(f"{address}{path}?{query}")
        for page in pages:
            bar = page.locator("#perijove [data-kind=ending]")
            will = re.compile("will be stopped in [234] minutes: nobody has used it for a while")
            await expect(bar).to_contain_text(will, timeout=PATIENCE)
            await expect(bar).to_have_attribute("role", "status")
            uses = page.locator("#perijove-status")
            await expect(uses).to_have_text(re.compile(r"Memory 0\.\d of 2 GBDisk \d+ of 50 MB"), timeout=PATIENCE)
            await expect(uses).to_have_attribute("title", re.compile(r"session\.processes: \d+ of 256"))
        fills = "open('large', 'wb').write(bytes(47 << 20))"
        said = await asyncio.to_thread(service.cli, "message", "tests at <10>")
        assert said.endswith(": tests at <10>\n")
        await asyncio.to_thread(session.execute, fills)
        for page in pages:
            told = page.locator("#perijove [data-kind=trouble]")
            await expect(told).to_contain_text("The session's disk is nearly full: its files take 47", timeout=PATIENCE)
            await expect(told).to_contain_text("session.disk")
            await told.get_by_role("button", name="Dismiss").click()
            await expect(told).to_have_count(0)
        assert "session.disk-nearly-full" in await asyncio.to_thread(service.cli, "describe", "session", session.name)
        assert "session.disk-nearly-full" in await asyncio.to_thread(service.cli, "logs", "session", session.name)
        for page in pages:
            told = page.locator("#perijove [data-kind=message]")
            await expect(told.locator("span")).to_have_text("From the operator: tests at <10>", timeout=PATIENCE)
            await expect(told).to_have_attribute("role", "status")
            await told.get_by_role("button", name="Dismiss").click()
            await expect(told).to_have_count(0)
        await pages[0].get_by_role("button", name="Keep it running").click()
        await expect(pages[0].locator("#perijove [data-kind=ending]")).to_have_count(0)
        said = await asyncio.to_thread(service.cli, "stop", "all", "--after", "100s")
        assert said == f"{session.name} will be stopped in 100s\n"
        by_operator = re.compile("will be stopped (in 2 minutes|within a minute): whoever runs this service ends it")
        await expect(pages[0].locator("#perijove")).to_contain_text(by_operator, timeout=PATIENCE)
        await asyncio.to_thread(service.cli, "stop", session.name)
        for page in pages:
            bar = page.locator("#perijove [data-kind=over]")
            await expect(bar).to_contain_text("This session is over: it was stopped", timeout=PATIENCE)
            await expect(bar).to_have_attribute("role", "alert")
            log = bar.get_by_role("link", name="Log of the launch")
            await expect(log).to_have_attribute("href", re.compile(r"^http://localhost:\d+/launch/1$"))
            assert await page.locator(".jp-Dialog").count() == 0, "Jupyter itself says nothing of a connection"
        await browser.close()


async def test_a_notebook_that_the_address_names_is_opened_before_the_layout_is_saved(
    service: Service, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "moons").mkdir()
    (tmp_path / "moons" / "io.ipynb").write_text(json.dumps(NOTEBOOK | {"metadata": {"kernelspec": KERNEL}}))
    address, _, query = service.session(str(tmp_path)).link.partition("?")
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(f"{request.method} {request.url.replace(address, '')}")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page()
        page.on("request", note)
        async with page.expect_request(lambda request: request.method == "PUT" and "/workspaces/" in request.url):
            await page.goto(f"{address}lab/tree/moons/io.ipynb?{query}")
        assert [one for one in asked if "moons/io.ipynb" in one and "content=1" in one], asked
        await expect(page.locator(".jp-DirListing-item")).to_have_count(1, timeout=PATIENCE)
        await expect(page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab")).to_have_text(["io.ipynb"], timeout=PATIENCE)
        assert await page.locator(".jp-Dialog").count() == 0
        await page.goto(f"{address}lab/tree/moons/europa.ipynb")
        await expect(page.locator(".jp-Dialog")).to_contain_text("Could not find path: moons/europa.ipynb")
        await browser.close()


async def test_shutting_down_from_the_menu_ends_the_session_and_is_told_with_the_ways_on(
    service: Service, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    session = service.session(str(tmp_path))
    address, _, query = session.link.partition("?")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page()
        await page.goto(f"{address}lab?{query}")
        await page.locator(".lm-MenuBar-item", has_text="File").click(timeout=PATIENCE)
        await page.locator(".lm-Menu-item[data-command='filemenu:shutdown']").click()
        await page.locator(".jp-Dialog .jp-mod-warn").click()
        bar = page.locator("#perijove [data-kind=over]")
        await expect(bar).to_contain_text("This session is over: it was shut down.", timeout=PATIENCE)
        await expect(bar.get_by_role("link", name="Log of the launch")).to_have_count(1)
        await browser.close()
    assert session.name not in await asyncio.to_thread(service.cli, "get", "sessions")
