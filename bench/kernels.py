"""Kernels that are started beside kernels that are forked, in the same sessions."""

from __future__ import annotations

import time

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from tests.e2e.kernels import open_page
from tests.e2e.service import Session

LOADS = 2.0
"""Seconds that a browser takes for Lab's page, its scripts and its first look at the files."""


def kernels(bench: Bench, runs: int, patience: float) -> Part:
    """In each session first one before any page was opened, which is started, then one after, which is forked."""
    part = Part("kernels", "A kernel, from asking for it to `1+1`, and what a session with it holds", "started")
    took: dict[str, list[float]] = {"started": [], "forked": []}
    held: dict[str, list[float]] = {"started": [], "page": [], "forked": [], "two": []}
    bench.configure("[session]\nkernel_ahead = true\n")
    for _ in range(runs):
        machine.quiet(patience)
        session, _ = bench.launch(bench.link)
        bench.visitor.first_answer(session)
        kernel = _answers(bench, session, took["started"])
        held["started"].append(_holds(bench))
        _end(bench, session, kernel)
        open_page(session)
        time.sleep(LOADS)
        held["page"].append(_holds(bench))
        _answers(bench, session, took["forked"])
        held["forked"].append(_holds(bench))
        _answers(bench, session, [])
        held["two"].append(_holds(bench))
        bench.stop(session)
    bench.configure()
    part.rows = [
        Row("1+1, since the kernel was asked for", took["forked"], took["started"]),
        Row("session with a page and no kernel", held["page"], unit="MB"),
        Row("session with a kernel", held["forked"], held["started"], unit="MB"),
        Row("session with two kernels", held["two"], unit="MB"),
    ]
    return part


def _answers(bench: Bench, session: Session, took: list[float]) -> str:
    began = time.monotonic()
    kernel = bench.visitor.kernel(session)
    assert session.execute("1+1", kernel) == "2"
    took.append(time.monotonic() - began)
    return kernel


def _end(bench: Bench, session: Session, kernel: str) -> None:
    answer = bench.visitor.http.delete(f"{session.base}api/kernels/{kernel}", headers=session.headers)
    answer.raise_for_status()


def _holds(bench: Bench) -> float:
    (processes,) = bench.sandboxes()
    return machine.megabytes(processes)
