"""The service's own start, and its commands'."""

from __future__ import annotations

import subprocess
import sys
import time

from bench import machine
from bench.figures import Part, Row
from bench.jupyterhub import Hub
from bench.ours import Bench


def start(bench: Bench, hub: Hub | None, runs: int, patience: float) -> Part:
    """Stop and start again on the same state; then commands against the running service."""
    part = Part("start", "The service: seconds from exec to “is up”, and its commands", "JupyterHub")
    ups, stops, hubs = [], [], []
    for _ in range(runs):
        began = time.monotonic()
        bench.service.stop()
        stops.append(time.monotonic() - began)
        machine.quiet(patience)
        ups.append(bench.up())
        if hub is not None:
            hub.stop()
            machine.quiet(patience)
            hubs.append(hub.up())
    part.rows = [
        Row("perijove up, warm", ups, hubs),
        Row("stop", stops),
        Row("perijove get sessions, whole", [seconds_of(bench, "get", "sessions") for _ in range(runs)]),
        Row("perijove launch, exec to the launch begun", [_begun(bench) for _ in range(runs)], target=0.3),
    ]
    return part


def seconds_of(bench: Bench, *words: str) -> float:
    """Of a command, from exec to its end."""
    began = time.monotonic()
    bench.service.cli(*words)
    return time.monotonic() - began


def _begun(bench: Bench) -> float:
    """From exec to the journal's Requested."""
    began = time.time()
    command = [sys.executable, "-m", "perijove", "launch", bench.hello, "--json", "--state", str(bench.state.root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    launch = bench.admin().call("GET", "/launches")[0]
    bench.admin().call("DELETE", f"/sessions/{launch['session']}")
    return float(launch["started_at"]) - began
