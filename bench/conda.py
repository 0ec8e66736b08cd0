"""conda environments, cold and warm, beside py-rattler alone with the same packages; and what a second one adds.

The channel is made here, of this machine's CPython and wheels of the package index, and served over loopback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.figures import Part, Row
from bench.ours import Bench
from perijove.backends.environments.conda.conda import ADDED, USUAL
from tests.fakes import conda_channel

SCIENCE = ("numpy",)
LIMIT = 900
MEGABYTE = 1e6
SECOND, SECOND_MB = 1.0, 15.0


def conda(bench: Bench, runs: int, patience: float) -> Part:
    """Cold once, then warm, each time with one package more that no other has: ours, rattler's, and again."""
    part = Part("conda", "conda environments: seconds until it stands, from its solving on", "rattler")
    channels = bench.root / "channels"
    subprocess.run([sys.executable, "-m", "bench.conda", str(channels), str(runs + 1)], check=True, timeout=LIMIT)
    ours, theirs, added, theirs_added, asked_again = [], [], [], [], []
    with conda_channel.served(channels) as (address, asked):
        bench.configure(f'[conda]\nmirrors = {{"conda-forge" = "{address}/conda-forge"}}\n')
        try:
            for run in range(runs + 1):
                machine.quiet(patience)
                specs = ("python", *SCIENCE, f"moon-{run}")
                seconds, environment = bench.built(_repository(bench.root / f"conda-{run}", specs))
                ours.append(seconds)
                added.append(_unshared(environment))
                theirs.append(_alone(bench, f"{address}/conda-forge", (*specs, *ADDED, *USUAL)))
                theirs_added.append(_unshared(bench.root / "alone"))
                before = len(asked)
                bench.stop(bench.launch(str(bench.root / f"conda-{run}"))[0])
                asked_again.append(len(asked) - before)
        finally:
            bench.configure()
    part.rows = [
        Row("numpy, cold cache", ours[:1], theirs[:1]),
        Row("one package more, warm cache", ours[1:], theirs[1:], SECOND),
        Row("what that adds to the disk", added[1:], theirs_added[1:], SECOND_MB, "MB"),
        Row("requests to the channel when it is launched again", asked_again, target=0, unit=""),
    ]
    part.notes.append("Ours comes with bytecode, checks all hashes anew, and its session runs; rattler's does not.")
    return part


def _repository(folder: Path, specs: Sequence[str]) -> str:
    folder.mkdir()
    (folder / "environment.yml").write_text("dependencies:\n" + "".join(f"- {spec}\n" for spec in specs))
    return str(folder)


def _alone(bench: Bench, mirror: str, specs: Sequence[str]) -> float:
    at = bench.root / "alone"
    shutil.rmtree(at, ignore_errors=True)
    words = ("bench.rattler_alone", f"{mirror}/", str(bench.root / "alone-cache"), str(at), *specs)
    ran = subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT)
    return float(ran.stdout)


def _unshared(environment: Path) -> float:
    """Megabytes on disk that no other environment and no cache has."""
    size = 0
    for folder, _, names in os.walk(environment):
        facts = [os.lstat(os.path.join(folder, name)) for name in names]
        size += os.lstat(folder).st_blocks + sum(one.st_blocks for one in facts if one.st_nlink == 1)
    return size * 512 / MEGABYTE


def make(root: Path, moons: int) -> None:
    """A channel with all that is usual, so that nothing is left to uv."""
    fetched = conda_channel.wheels(root / "wheels", *SCIENCE, *ADDED, *USUAL)
    further = [
        conda_channel.Package(f"moon-{number}", noarch="generic", files={f"share/moon-{number}": b"x"})
        for number in range(moons)
    ]
    packages = [conda_channel.cpython(), *map(conda_channel.from_wheel, fetched), *further]
    conda_channel.make(root / "conda-forge", packages)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # rattler dies now and then of its own threads when Python ends
