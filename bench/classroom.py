"""A class: all click the same link at once, and all keep their sessions."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from bench import machine
from bench.figures import Part, Row
from bench.launches import processor_seconds, together
from bench.ours import Bench

ROOM = "queue_length = 1000\nper_visitor_launches = 0\nper_visitor_quota = 0\n"
"""A visitor's own limits are for classes of 60; here one machine clicks for all."""
SIZES = (60, 200)


def classroom(bench: Bench, patience: float) -> Part:
    """Of a built environment; the seconds are from the click to ready."""
    part = Part("classroom", "A class clicks at once and stays: seconds from the click to ready")
    bench.stop(bench.launch(bench.link)[0])
    bench.configure(ROOM)
    for size in SIZES:
        machine.quiet(patience)
        before = sum(processor_seconds(bench).values())
        seconds, failures = together(lambda _: _stays(bench), size)
        own = sum(processor_seconds(bench).values()) - before
        sessions = [_used(session) for session in bench.sandboxes()]
        part.rows += [
            Row(f"{size} at once: ready", seconds),
            Row(f"{size} at once: last of them", [max(seconds, default=0)]),
            Row(f"{size} at once: failures", [len(failures)], target=0, unit=""),
            Row(f"{size} at once: processor time of the service, each", [own / size]),
            Row(f"{size} at once: processor time of a session so far", sessions),
        ]
        part.notes += [f"{size} at once: {why}" for why in sorted(set(failures))]
        for row in bench.admin().call("GET", "/sessions"):
            bench.admin().call("DELETE", f"/sessions/{row['name']}")
    bench.configure()
    return part


def _stays(bench: Bench) -> None:
    bench.launch(bench.link)


def _used(processes: Iterable[psutil.Process]) -> float:
    used = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used
