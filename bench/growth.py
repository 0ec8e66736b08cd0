"""What each further session costs: launches a second, and memory, while sessions become more and more."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from tests.e2e.service import Session

STEPS = (1, 10, 50, 100, 200)
AT_ONCE = 10
SMALL = "[session]\nmemory = 134217728\ndisk = 67108864\n"
"""Sessions that the machine has room for: none of them computes."""
SETTLES = 5.0
"""Seconds after which servers that answered are idle."""


def growth(bench: Bench, most: int, patience: float) -> Part:
    """Sessions of one repository, ten clicks at a time, none of them stopped before the last is measured."""
    part = Part("growth", f"Sessions that run at once, idle, {AT_ONCE} clicks at a time")
    bench.configure(SMALL)
    machine.quiet(patience)
    running: list[Session] = []
    for step in (step for step in STEPS if step <= most):
        further = step - len(running)
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running += pool.map(lambda _: bench.launch(bench.hello)[0], range(further))
        rate = further / (time.monotonic() - began)
        time.sleep(SETTLES)
        sessions = [machine.megabytes(processes) for processes in bench.sandboxes()]
        service = sum(machine.megabytes(processes) for processes in bench.own_processes().values())
        part.rows += [
            Row(f"{step}: launches a minute", [60 * rate], unit=""),
            Row(f"{step}: a session", sessions, unit="MB"),
            Row(f"{step}: the service", [service], unit="MB"),
        ]
    for session in running:
        bench.stop(session)
    bench.configure()
    return part
