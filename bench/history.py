"""A history of ten thousand launches: what pages and commands take over it, and the disk."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from bench.figures import Part, Row
from bench.ours import Bench
from bench.start import seconds_of
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import (
    BuildStarted,
    Built,
    Event,
    Fetched,
    Logged,
    Phase,
    Ready,
    Requested,
    Resolved,
    SessionEnded,
    SessionOpened,
    SessionStarted,
)
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Session

LAUNCHES = 10_000
LINES = 20
"""Of each launch's log."""
PROMPT = 0.3
"""Seconds that a page or a command may take."""


def history(bench: Bench, runs: int) -> Part:
    """The last part: its service's journal is full of launches that never were."""
    part = Part("history", f"A history of {LAUNCHES} launches, {LINES} lines of log each")
    bench.service.stop()
    number = fill(bench.state.database)
    up = bench.up()
    pages = {"the form": "", "a launch's page": f"launch/{number}", "metrics": "metrics", "health": "health"}
    commands: dict[str, tuple[str, ...]] = {"get launches": ("get", "launches"), "get sessions": ("get", "sessions")}
    commands |= {"get launch": ("get", "launch", f"{number}"), "describe launch": ("describe", "launch", f"{number}")}
    with httpx.Client(trust_env=False, timeout=60) as http:
        for name, path in pages.items():
            took = [_seconds(http, f"{bench.service.url}{path}") for _ in range(runs)]
            part.rows.append(Row(name, took, target=PROMPT))
    for name, words in commands.items():
        part.rows.append(
            Row(f"perijove {name}, whole", [seconds_of(bench, *words) for _ in range(runs)], target=PROMPT)
        )
    part.rows.append(Row("/launches of the operator's socket", [_listed(bench) for _ in range(runs)], target=PROMPT))
    part.rows.append(Row("perijove up", [up]))
    part.rows.append(Row("the database", [bench.state.database.stat().st_size / 1024**2], unit="MB"))
    return part


def fill(database: Path) -> int:
    """As many launches that were ready, their sessions over; the last one's number."""
    ledger, now = SqliteLedger(database), time.time()
    try:
        for _ in range(LAUNCHES):
            number = ledger.next_number()
            for subject, event in _launched(number):
                ledger.append(subject, now, event)
    finally:
        ledger.close()
    return number


def _launched(number: int) -> list[tuple[str, Event]]:
    address = RepoAddress("gh", "owner/repo/HEAD", "https://github.com/owner/repo", "HEAD", "repo")
    repo, name = ResolvedRepo(address, f"{number:040x}", "refs/heads/main"), f"repo-{number}"
    line = "Downloading a package of some name (12.3 MiB), as installers say it"
    launch: list[Event] = [
        Requested(address, f"198.51.100.{number % 250}"),
        Resolved(repo),
        Fetched(repo.commit),
        BuildStarted("k" * 32, shared=False),
        *(Logged(Phase.BUILDING, f"{line} {n}") for n in range(LINES)),
        Built("k" * 32, found=False, seconds=12.0),
        SessionStarted(name),
        Ready(name, f"/user/{name}/"),
    ]
    ended = SessionEnded(name, EndReason.IDLE, "nobody used it", None)
    session: list[Event] = [SessionOpened(Session(name, number, repo, "k" * 32, 0)), ended]
    return [(f"launch/{number}", event) for event in launch] + [(f"session/{name}", event) for event in session]


def _seconds(http: httpx.Client, url: str) -> float:
    began = time.monotonic()
    http.get(url).raise_for_status()
    return time.monotonic() - began


def _listed(bench: Bench) -> float:
    began = time.monotonic()
    bench.admin().call("GET", "/launches")
    return time.monotonic() - began
