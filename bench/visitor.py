"""A visitor with a stopwatch: clicks a link, waits for the first answer, and has a kernel say what 1+1 is.

The same visitor speaks to us and to the peer, so that what the client costs is the same in both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.e2e.service import Session

PATIENCE = 90.0
"""Seconds after which a launch counts as failed."""


class NotReady(Exception):
    """A launch failed; the message says why."""


@dataclass(slots=True)
class Watch:
    """Seconds since the click, by stage."""

    began: float = field(default_factory=time.time)
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, stage: str) -> None:
        self.marks[stage] = time.time() - self.began


class Visitor:
    """One HTTP client for all, made beforehand: making one costs 20 ms, which are nobody's launch."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=200)
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE, limits=limits)

    def clicks(self, url: str) -> Session:
        """Follow a launch's event stream to its end. Raises NotReady."""
        ends = time.monotonic() + PATIENCE
        with self.http.stream("GET", url, headers={"Accept": "text/event-stream"}) as answer:
            for data in frames(answer, ends):
                if data["phase"] == "ready":
                    return Session(f"{data['url']}?token={data['token']}")
                if data["phase"] == "failed":
                    raise NotReady(data["message"].strip())
        raise NotReady(f"the stream of {url} ended early with status {answer.status_code}")

    def first_answer(self, session: Session) -> None:
        """Until `api/status` says 200. Raises NotReady."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            answer = self.http.get(session.base + "api/status", headers=session.headers)
            if answer.status_code == 200:
                return
            time.sleep(0.02)
        raise NotReady(f"{session.base} still answers {answer.status_code}")

    def kernel(self, session: Session) -> str:
        """A new kernel's id."""
        answer = self.http.post(session.base + "api/kernels", headers=session.headers, json={"name": "python3"})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def uses(self, session: Session, watch: Watch) -> None:
        """First answer, kernel, `1+1`; marked as they come. Raises NotReady."""
        self.first_answer(session)
        watch.mark("200")
        kernel = self.kernel(session)
        watch.mark("kernel")
        said = session.execute("1+1", kernel, limit=PATIENCE)
        if said != "2":
            raise NotReady(f"1+1 is {said[:200]}")
        watch.mark("1+1")


def frames(answer: httpx.Response, ends: float) -> Iterator[dict[str, Any]]:
    """What stands behind `data:` in an event stream, until the clock (monotonic) says `ends`. Raises NotReady."""
    for line in answer.iter_lines():
        if time.monotonic() > ends:
            raise NotReady(f"not ready after {PATIENCE:.0f} s")
        if line.startswith("data:"):
            yield json.loads(line[5:])


@contextmanager
def visiting() -> Iterator[Visitor]:
    """A visitor, and then no open connections."""
    visitor = Visitor()
    try:
        yield visitor
    finally:
        visitor.http.close()
