"""Environment builds, warm and cold, beside bare `uv venv` and `uv pip install` of the same packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uv

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from bench.visitor import NotReady
from perijove.backends.environments.installing import ALWAYS, USUAL

WISHES = {"nothing": (), "numpy, pandas, matplotlib": ("numpy", "pandas", "matplotlib")}
OURS = (*ALWAYS, *USUAL)
"""What every environment of ours holds, so that the peer installs the same."""
WARM_SCIENCE = 2.0
LIMIT = 600
COMPILED = 2
"""How often the peer compiles: it takes long, and the same each time."""


def builds(bench: Bench, runs: int, patience: float) -> Part:
    """Cold once, then warm: ours, theirs, theirs with bytecode, and again."""
    part = Part("builds", "Environment builds: seconds until it stands", "bare uv")
    for wish, packages in WISHES.items():
        science = bool(packages)
        ours, theirs, compiled = list[float](), list[float](), list[float]()
        for run in range(runs + 1):
            machine.quiet(patience)
            if run == 0:
                _empty(bench.state.uv_cache)
                _empty(bench.root / "bare-cache")
            ours.append(_ours(bench, packages, f"{len(packages)}-{run}"))
            theirs.append(_bare(bench, packages, ()))
            if science and 0 < run <= COMPILED:
                compiled.append(_bare(bench, packages, ("--compile-bytecode",)))
        part.rows += [
            Row(f"{wish}, cold cache", ours[:1], theirs[:1]),
            Row(f"{wish}, warm cache", ours[1:], theirs[1:], WARM_SCIENCE if science else None),
        ]
        if compiled:
            part.rows.append(Row(f"{wish}, warm cache, peer compiles bytecode", ours[1:], compiled))
    part.notes.append("Ours comes with bytecode; bare uv's does not, so that its first import pays for it.")
    return part


def _ours(bench: Bench, packages: Sequence[str], name: str) -> float:
    """Seconds a launch spent building. A line that no Python follows makes the environment another one."""
    folder = bench.root / "wishes" / name
    folder.mkdir(parents=True)
    other = f"bench-{name}-{os.getpid()}; python_version < '3'"
    (folder / "requirements.txt").write_text("\n".join([other, *packages, ""]))
    session, _ = bench.launch(str(folder))
    number = bench.admin().call("GET", f"/sessions/{session.name}")["launch"]
    bench.stop(session)
    for entry in bench.events(number):
        if entry["event"]["is"] == "Built" and not entry["event"]["found"]:
            return float(entry["event"]["seconds"])
    raise NotReady(f"launch {number} built nothing")


def _bare(bench: Bench, packages: Sequence[str], options: Sequence[str]) -> float:
    """Seconds that uv takes by itself, with a cache of its own on the same file system."""
    at = bench.root / "bare"
    environ = {**os.environ, "UV_CACHE_DIR": str(bench.root / "bare-cache"), "UV_NO_PROGRESS": "1"}
    if "PIP_INDEX_URL" in environ:
        environ.setdefault("UV_DEFAULT_INDEX", environ["PIP_INDEX_URL"])
    program, python = uv.find_uv_bin(), str(at / "bin" / "python")
    shutil.rmtree(at, ignore_errors=True)
    began = time.monotonic()
    for words in (
        ("venv", "--quiet", "--no-project", "--python", sys.executable, str(at)),
        ("pip", "install", "--quiet", "--only-binary", ":all:", "--python", python, *options, *OURS, *packages),
    ):
        subprocess.run([program, *words], check=True, env=environ, timeout=LIMIT, cwd=bench.root)
    return time.monotonic() - began


def _empty(folder: Path) -> None:
    """Nothing in it, as on the first day."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
