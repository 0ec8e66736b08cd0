"""A crowd before a real service: many launches at once, each stopped as soon as it is ready; and a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from perijove.cli.client import Client
from tests.e2e.service import Service

BURN = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1800, 1800))\nwhile True: pass"


@dataclass(frozen=True, slots=True)
class Launched:
    """What a launch came to."""

    events: Sequence[dict[str, Any]]
    seconds: float
    """From the click to Ready or Failed."""

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Its events of a kind, each with `seq` and `at`."""
        return [
            entry["event"] | {"seq": entry["seq"], "at": entry["at"]}
            for entry in self.events
            if entry["event"]["is"] == kind
        ]

    @property
    def failures(self) -> list[str]:
        """Codes of what went wrong on the way, whether it was tried again or not."""
        return [event["failure"]["kind"] for event in (*self.told("Retrying"), *self.told("Failed"))]


def crowd(service: Service, folder: str, count: int, at_once: int) -> list[Launched]:
    """So many launches, so many of them at once."""

    def one(_: int) -> Launched:
        began = time.monotonic()
        events = list(service.launching(folder))
        launched = Launched(events, time.monotonic() - began)
        for ready in launched.told("Ready"):
            Client(service.state).call("DELETE", f"/sessions/{ready['session']}")
        return launched

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def burning(per_processor: int) -> Iterator[None]:
    """Every processor is wanted by so many programs beside ours, at the usual priority and without end."""
    count = per_processor * len(os.sched_getaffinity(0))
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait(10)
