"""Makes the README's picture anew: `pytest tests/e2e/picture.py`, which no other run collects."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.test_pages import Site, SpeakingRepositories, site

__all__ = ["site"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = Path(__file__).parents[2] / "docs" / "launch.png"
LARGEST = 100_000
"""Bytes."""
FETCHED = ("remote: Enumerating objects: 28, done.", "From https://github.com/binder-examples/requirements")
BUILT = (
    "Using CPython 3.11.7",
    "Resolved 15 packages in 812ms",
    " + contourpy==1.3.3",
    " + matplotlib==3.10.8",
    " + numpy==2.3.5",
    " + pandas==2.3.3",
    " + seaborn==0.13.2",
)


async def test_the_picture(site: Site) -> None:
    assert isinstance(site.world.repositories, SpeakingRepositories)
    site.world.repositories.says = FETCHED
    site.world.environments.says = BUILT
    site.world.environments.gate = asyncio.Event()
    await site.page.set_viewport_size({"width": 960, "height": 640})
    await site.goto("/v2/gh/binder-examples/requirements/HEAD")
    await expect(site.page.locator("main")).to_contain_text("seaborn")
    drawn = await site.page.screenshot()
    assert len(drawn) < LARGEST
    PICTURE.write_bytes(drawn)
    site.world.environments.gate.set()
