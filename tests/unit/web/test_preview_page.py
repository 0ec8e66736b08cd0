"""The notebook that a launch's link names, in a frame of its page."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator

import pytest

from perijove.domain.launch_options import LaunchOptions
from tests.unit.web.conftest import PAGES, Web
from tests.unit.web.test_pages import holding
from tests.ways.conftest import ADDRESS

CELL = {"cell_type": "markdown", "source": "# Hello <script>"}


@pytest.fixture
async def gate(web: Web) -> AsyncIterator[asyncio.Event]:
    """Environments are made for as long as it is closed."""
    folder = web.world.repositories.folder / "sub"
    folder.mkdir()
    (folder / "a.ipynb").write_text(json.dumps({"cells": [CELL]}))
    web.world.environments.gate = gate = asyncio.Event()
    yield gate
    gate.set()


async def begun(web: Web, urlpath: str = "doc/tree/sub/a.ipynb") -> int:
    """A launch that waits for its environment."""
    number = web.public.launches.begin(ADDRESS, "x", LaunchOptions(urlpath=urlpath))
    await web.world.until(lambda: (launch := web.public.launches.get(number)) is not None and launch.builds)
    return number


@pytest.mark.parametrize("urlpath", ["doc/tree/sub/a.ipynb", "lab/tree/A.ipynb"], ids=["named", "moved"])
@pytest.mark.usefixtures("gate")
async def test_it_is_shown_in_a_sandbox_while_its_environment_is_made(web: Web, urlpath: str) -> None:
    number = await begun(web, urlpath)
    await holding(web, number)
    page = (await web.get(f"/launch/{number}", **PAGES)).text
    assert f'<iframe sandbox title="The notebook as it was saved" src="/launch/{number}/preview">' in page
    assert '<h2 id="preview-title">sub/a.ipynb</h2>' in page
    answer = await web.get(f"/launch/{number}/preview", **PAGES)
    assert answer.status_code == 200
    assert "<h1>Hello &lt;script&gt;</h1>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; ")
    assert policy.endswith("frame-ancestors 'self'")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("gate")
async def test_nobody_else_sees_it(web: Web) -> None:
    number = await begun(web)
    answer = await web.get(f"/launch/{number}/preview", **PAGES)
    assert answer.status_code == 403
    assert "Hello" not in answer.text
    assert "iframe" not in (await web.get(f"/launch/{number}", **PAGES)).text
    web.world.set(service__open_logs=True)
    assert "Hello" in (await web.get(f"/launch/{number}/preview", **PAGES)).text


async def test_once_the_launch_is_over_there_is_nothing_to_wait_with(web: Web, gate: asyncio.Event) -> None:
    number = await begun(web)
    await holding(web, number)
    gate.set()
    await web.world.events(number)
    assert "iframe" not in (await web.get(f"/launch/{number}", **PAGES)).text
    answer = await web.get(f"/launch/{number}/preview", **PAGES)
    assert (answer.status_code, "Hello" in answer.text) == (200, False)
    assert answer.headers["content-security-policy"].startswith("sandbox; ")


@pytest.mark.parametrize("query", ["", "?urlpath=lab", "?labpath=a.py"])
async def test_only_a_notebook_has_a_frame(web: Web, query: str) -> None:
    assert "iframe" not in (await web.get(f"/v2/gh/owner/repo/HEAD{query}", **PAGES)).text
    page = (await web.get("/v2/gh/owner/repo/HEAD?labpath=a.ipynb", **PAGES)).text
    assert re.search(r'<section id="preview"[^>]* hidden>', page), "until it has to be waited for"


@pytest.mark.usefixtures("gate")
async def test_pages_that_may_hold_ours_hold_it_too(web: Web) -> None:
    web.world.set(service__frame_ancestors=("https://book.test",))
    number = await begun(web)
    await holding(web, number)
    policy = (await web.get(f"/launch/{number}/preview", **PAGES)).headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' https://book.test")
