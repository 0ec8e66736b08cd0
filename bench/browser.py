"""What a visitor's browser needs from the click to the cells of a notebook: Chromium, with and without a cache."""

from __future__ import annotations

import time
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from bench.visitor import PATIENCE

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PAGES = {"Lab": "lab/tree/hello.ipynb", "Notebook 7": "notebooks/hello.ipynb"}
CELL = ".jp-Notebook .jp-Cell"


def browser(bench: Bench, runs: int, patience: float) -> Part:
    """Each page in a browser that has seen nothing, then in the same one again, whose cache has the scripts."""
    part = Part("browser", "From the click to the cells of a notebook, in Chromium")
    with sync_playwright() as chrome, chrome.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium:
        for name, page in PAGES.items():
            part.rows += _rows(bench, chromium, name, page, runs, patience)
    return part


def _rows(bench: Bench, chromium: Browser, name: str, page: str, runs: int, patience: float) -> list[Row]:
    took: dict[str, list[float]] = {"first": [], "second": []}
    for _ in range(runs):
        with chromium.new_context() as context:
            for values in took.values():
                machine.quiet(patience)
                values.append(_seen(bench, context, page))
    return [Row(f"{name}: {which} session in that browser", values) for which, values in took.items()]


def _seen(bench: Bench, context: BrowserContext, page: str) -> float:
    with context.new_page() as tab:
        began = time.monotonic()
        tab.goto(f"{bench.service.url}v2/git/{quote(bench.link, safe='')}/main?urlpath={quote(page)}")
        tab.wait_for_selector(CELL, timeout=PATIENCE * 1000)
        took = time.monotonic() - began
        name = tab.url.split("/user/")[1].split("/")[0]
    bench.admin().call("DELETE", f"/sessions/{name}")
    return took
