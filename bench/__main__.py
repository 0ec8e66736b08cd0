"""`python -m bench`: run the parts that are asked for, print their tables, write their numbers."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import figures, machine
from bench.browser import browser
from bench.builds import builds
from bench.certificates import certificates
from bench.classroom import classroom
from bench.conda import conda
from bench.crowd import crowds
from bench.failures import failures
from bench.faults import faults
from bench.figures import Part
from bench.growth import growth
from bench.history import history
from bench.jupyterhub import Hub, beside
from bench.kernels import kernels
from bench.launches import concurrent, launches
from bench.layers import layers
from bench.memory import memory
from bench.ours import Bench, prepared
from bench.pods import pods
from bench.readers import readers
from bench.start import start
from bench.system import system
from bench.visitor import visiting

PARTS = (
    "launches",
    "concurrent",
    "crowd",
    "classroom",
    "readers",
    "growth",
    "memory",
    "kernels",
    "browser",
    "builds",
    "conda",
    "layers",
    "system",
    "failures",
    "start",
    "certificates",
    "faults",
    "history",
    "pods",
)
PEERED = {"launches", "concurrent", "memory", "start"}
out = Console(width=max(120, Console().width))
err = Console(stderr=True, soft_wrap=True)


def options(words: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="of " + ",".join(PARTS))
    parser.add_argument("--runs", type=int, default=10, help="launches of each kind (10)")
    parser.add_argument("--at-once", type=int, default=20, help="launches at the same moment (20)")
    parser.add_argument("--crowd", type=int, default=200, help="launches of the crowd, 60 of them at once (200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--peer-venv", type=Path, default=Path(".venv-peer"), metavar="DIR", help="has JupyterHub")
    parser.add_argument("--quiet-wait", type=float, default=5, metavar="S", help="wait so long for an idle machine")
    asked = parser.parse_args(words)
    asked.only = [part.strip() for part in asked.only.split(",")]
    if unknown := set(asked.only) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return asked


def measured(part: str, bench: Bench, hub: Hub | None, asked: argparse.Namespace) -> Part:
    """One part, run."""
    few, patience = max(1, min(asked.runs, 5)), asked.quiet_wait
    ways: dict[str, Callable[[], Part]] = {
        "launches": lambda: launches(bench, hub, asked.runs, patience),
        "concurrent": lambda: concurrent(bench, hub, asked.at_once, patience),
        "crowd": lambda: crowds(bench, asked.crowd, min(asked.crowd, 60), patience),
        "classroom": lambda: classroom(bench, patience),
        "readers": lambda: readers(bench, bench.root / "read", patience),
        "growth": lambda: growth(bench, asked.crowd, patience),
        "memory": lambda: memory(bench, hub, few),
        "kernels": lambda: kernels(bench, asked.runs, patience),
        "browser": lambda: browser(bench, few, patience),
        "builds": lambda: builds(bench, few, patience),
        "conda": lambda: conda(bench, few, patience),
        "layers": lambda: layers(bench, patience),
        "system": lambda: system(patience),
        "failures": lambda: failures(bench, max(1, min(asked.runs, 3)), tell),
        "start": lambda: start(bench, hub, few, patience),
        "certificates": lambda: certificates(few, patience, asked.peer_venv.absolute(), tell),
        "faults": lambda: faults(few, tell),
        "history": lambda: history(bench, few),
        "pods": lambda: pods(bench, few, patience),
    }
    return ways[part]()


def tell(line: str) -> None:
    """Progress, for whoever waits."""
    err.print(f"  {line}", style="dim", markup=False, highlight=False)


def main() -> int:
    """Everything that was asked for; 0 when all of it could be measured."""
    asked = options(sys.argv[1:])
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is started is compiled once, as it is anywhere
    parts, facts = [], machine.facts()
    with visiting() as visitor, prepared(visitor) as bench:
        tell(f"starting Perijove on {bench.state.root}: the first start installs the Jupyter server")
        facts["first_start"] = round(bench.up(), 2)
        peer = asked.peer_venv.absolute() if PEERED & set(asked.only) else Path()
        with beside(peer, bench.root / "hub", visitor) as hub:
            for name in asked.only:
                tell(f"{name} …")
                began = time.monotonic()
                part = measured(name, bench, hub, asked)
                if hub is None and name in PEERED:
                    part.peer = ""
                    part.notes.append("No peer: make bench PEER=1 installs JupyterHub beside it.")
                tell(f"{name}: {time.monotonic() - began:.0f} s")
                parts.append(part)
                show(part)
    out.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), style="dim")
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": facts, "parts": [figures.as_json(part) for part in parts]}, indent=1)
        )
    return 0


def show(part: Part) -> None:
    """A part as a table, its notes below."""
    out.print(figures.table(part))
    for note in part.notes:
        out.print(f"  {note}", style="dim", markup=False, highlight=False)
    out.print()


if __name__ == "__main__":
    sys.exit(main())
