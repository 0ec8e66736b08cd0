"""A built environment, one launch at a time: from the click to `1+1`, and many at once."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench import machine
from bench.figures import Part, Row
from bench.jupyterhub import Hub
from bench.ours import Bench
from bench.visitor import NotReady, Watch

FIRST_ANSWER, ANSWERED = 0.7, 1.2
"""Targets, in seconds since the click."""
HELD, HELD_ANSWERED = 0.015, 0.05
"""The same where a session is held ready."""
TOTALS = {"told": "ready told", "200": "first 200 of api/status", "kernel": "kernel created", "1+1": "1+1 answered"}
Times = dict[str, list[float]]


def launches(bench: Bench, hub: Hub | None, runs: int, patience: float) -> Part:
    """One after the other: our link, our folder, the peer; and again."""
    part = Part("launches", "Launch of a built environment, one at a time: seconds since the click", "JupyterHub")
    links = {"git": bench.link, "folder": bench.hello}
    totals: dict[str, Times] = {name: defaultdict(list) for name in (*links, "hub")}
    stages: dict[str, Times] = {name: defaultdict(list) for name in links}
    busy = []
    for link in links.values():
        bench.stop(bench.launch(link)[0])  # the environment is built from here on
    for run in range(runs):
        for name, link in links.items():
            busy.append(machine.quiet(patience))
            watch, took = _ours(bench, link)
            _add(totals[name], watch.marks)
            _add(stages[name], took)
        if hub is not None:
            busy.append(machine.quiet(patience))
            _add(totals["hub"], _peers(hub, f"one-{run}").marks)
    held = _held(bench, runs, patience)
    for name, said in (("git", "Git over HTTP"), ("folder", "local folder")):
        part.rows += [Row(f"{said}: {stage}", values) for stage, values in stages[name].items()]
        for stage, label in TOTALS.items():
            target = {"200": FIRST_ANSWER, "1+1": ANSWERED}.get(stage)
            part.rows.append(Row(f"{said}, in all: {label}", totals[name][stage], totals["hub"][stage], target))
    for stage, label in TOTALS.items():
        target = {"200": HELD, "1+1": HELD_ANSWERED}.get(stage)
        part.rows.append(Row(f"session held ready, in all: {label}", held[stage], totals["hub"][stage], target))
    part.notes.append("Stages are the journal's: asked is since the click, each other one since the stage before it.")
    part.notes.append(f"Busy share of the machine before each launch: at most {max(busy):.0%}.")
    return part


def _held(bench: Bench, runs: int, patience: float) -> Times:
    """Launches that find a session ready."""
    times: Times = defaultdict(list)
    bench.configure(ready=1)
    for _ in range(2):  # that is often
        bench.stop(bench.launch(bench.link)[0])
    for _ in range(runs):
        bench.until_ready()
        machine.quiet(patience)
        _add(times, _ours(bench, bench.link)[0].marks)
    bench.configure()
    return times


def _ours(bench: Bench, link: str) -> tuple[Watch, dict[str, float]]:
    session, watch = bench.launch(link)
    bench.visitor.uses(session, watch)
    took = bench.stages(session, watch.began)
    bench.stop(session)
    return watch, took


def _peers(hub: Hub, name: str) -> Watch:
    watch = Watch()
    try:
        session = hub.launch(name)
        watch.mark("told")
        hub.visitor.uses(session, watch)
    finally:
        hub.remove(name)
    return watch


def _add(times: Times, marks: dict[str, float]) -> None:
    for stage, seconds in marks.items():
        times[stage].append(seconds)


def concurrent(bench: Bench, hub: Hub | None, at_once: int, patience: float) -> Part:
    """So many visitors click at the same moment."""
    part = Part("concurrent", f"{at_once} launches at once: seconds from the click to the first 200", "JupyterHub")

    def ours(_: int) -> None:
        bench.visitor.first_answer(bench.launch(bench.link)[0])

    def peers(number: int) -> None:
        assert hub is not None
        hub.visitor.first_answer(hub.launch(f"many-{number}"))

    bench.stop(bench.launch(bench.link)[0])
    machine.quiet(patience)
    cpu = processor_seconds(bench)
    seconds, failures = together(ours, at_once)
    cpu = {name: used - cpu[name] for name, used in processor_seconds(bench).items()}
    for row in bench.admin().call("GET", "/sessions"):
        bench.admin().call("DELETE", f"/sessions/{row['name']}")
    theirs: list[float] = []
    theirs_failed: list[str] = []
    if hub is not None:
        machine.quiet(patience)
        theirs, theirs_failed = together(peers, at_once)
        for number in range(at_once):
            hub.remove(f"many-{number}")
    part.rows = [
        Row("first 200", seconds, theirs),
        Row("last of them", [max(seconds, default=0)], [max(theirs)] if theirs else []),
        Row("failures", [len(failures)], [len(theirs_failed)] if hub else [], 0, ""),
        *(Row(f"processor time of {name}", [used]) for name, used in cpu.items()),
    ]
    part.notes += [f"failed: {why}" for why in (*failures, *theirs_failed)]
    return part


def processor_seconds(bench: Bench) -> dict[str, float]:
    """Processor seconds of the service's own processes so far."""
    used = {}
    for name, processes in bench.own_processes().items():
        used[name] = sum(times.user + times.system for times in (process.cpu_times() for process in processes))
    return used


def together(launch: Callable[[int], None], count: int) -> tuple[list[float], list[str]]:
    """Seconds of those that succeeded, words of those that did not."""
    start = threading.Barrier(count)
    seconds: list[float] = []
    failures: list[str] = []

    def one(number: int) -> None:
        start.wait(30)
        began = time.monotonic()
        try:
            launch(number)
        except (NotReady, OSError) as error:
            failures.append(str(error))
        else:
            seconds.append(time.monotonic() - began)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(one, number) for number in range(count)]:
            done.result(300)
    return seconds, failures
