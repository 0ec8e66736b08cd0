"""Failures told: seconds from the happening to the word of it, and the words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import Part, Row
from bench.ours import Bench
from bench.visitor import NotReady

TOLD_WITHIN = 1.0
STALL = 3.0
"""`session.stall_timeout` here: what hangs is told to hang after so long, and that is not counted."""
HAPPENED = re.compile(r"bench-happened (\d+\.\d+)")
SETTINGS = f"[session]\nstall_timeout = {STALL}\ndisk = '32M'\ntmp = '16M'\n"

_HAPPENS = """
import os, sys, time
def happens():
    print("bench-happened", time.time(), flush=True)
"""
CRASH = """
happens()
print("ModuleNotFoundError: No module named 'licence'", file=sys.stderr, flush=True)
os._exit(1)
"""
HANG = """
happens()
print("waiting for a licence server that never answers", flush=True)
time.sleep(3600)
"""
# Where a home is a disk of its own, writing fails; where it is watched, the server is ended.
DISK = """
for number in range(64):
    if number == 8:
        happens()
    try:
        with open(os.path.expanduser(f"~/data-{number}"), "wb") as file:
            file.write(bytes(4 * 1024 * 1024))
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
time.sleep(3600)
"""
SPACE = """
try:
    with open("/tmp/data", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024 * 1024))
except OSError as error:
    happens()
    print(error, file=sys.stderr, flush=True)
    os._exit(1)
"""


@dataclass(frozen=True, slots=True)
class Ill:
    """A repository whose server comes to harm as it reads its configuration."""

    name: str
    what: str
    config: str
    code: str
    allowed: float = 0
    """Seconds it may go on by the settings; not counted."""


ILLS = (
    Ill("crash", "server crashes at start", CRASH, "start.server-crashed"),
    Ill("hang", f"server hangs, after stall_timeout = {STALL:g} s", HANG, "start.server-hangs", STALL),
    Ill("disk", "server outgrows session.disk", DISK, "start.disk-full"),
    Ill("space", "server finds no space left", SPACE, "start.disk-full"),
)


def failures(bench: Bench, runs: int, tell: Callable[[str], None]) -> Part:
    """Each ill server some times, under settings of its own."""
    part = Part("failures", "Failures told: seconds from the happening to the failed event")
    bench.configure(SETTINGS)
    try:
        for ill in ILLS:
            tell(ill.what)
            seconds, words = [], ""
            for run in range(runs):
                took, words = _once(bench, ill, run)
                seconds.append(took)
            part.rows.append(Row(ill.what, seconds, target=TOLD_WITHIN))
            part.notes.append(f"{ill.what}: {words}")
    finally:
        bench.configure()
    return part


def _once(bench: Bench, ill: Ill, run: int) -> tuple[float, str]:
    """Raises NotReady when it was not told as it should be."""
    folder = bench.root / "ills" / f"{ill.name}-{run}"
    config = folder / ".jupyter" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True)
    config.write_text(_HAPPENS + ill.config)
    began = time.time()
    events = bench.failed(str(folder))
    last = events[-1]
    failure = last["event"].get("failure", {})
    if failure.get("kind") != ill.code:
        raise NotReady(f"{ill.what}: told as {last['event']}")
    happened = next(
        (float(seen[1]) for entry in events if (seen := HAPPENED.search(entry["event"].get("line", "")))), began
    )
    return last["heard"] - happened - ill.allowed, f"{failure['kind']}: {failure['cause']}"
