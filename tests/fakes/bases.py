"""The test run's base, and environments that may stand on it. As a program: prepares one in a state directory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.environments.system import bootstrap
from perijove.backends.environments.system.bases import NOTE, Base, choice, chosen
from perijove.backends.pad import trees
from perijove.domain.confinement import Identity
from perijove.domain.ports import ForeignCode
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.domain.system_settings import PlatformSettings
from tests.e2e.service import BASE, first
from tests.fakes.pads import running_pad

SHARED = "TESTS_BASE"
"""Names a folder where one process of a test run leaves its base for the others, whoever they run as: `.ci/run`."""


def environments_of(
    state: State, foreign: ForeignCode, confined: ConfinedCalls, settings: PlatformSettings = BASE
) -> UvEnvironments:
    """As the service has them."""
    confined.hand_over(state.uv_cache, Identity.INSTALLER)
    return UvEnvironments(state, BuildSettings(), foreign, confined, None, settings)


@cache
def shared_base() -> Base:
    """Prepared by whoever asks first; it stands in all state directories that are furnished."""
    with _alone() as packed:
        if packed is not None and packed.exists():
            _bring(packed)
        elif bootstrap.program() is None:
            pytest.skip(f"{bootstrap.PROGRAM} is not installed")
        else:
            words = [sys.executable, "-m", "tests.fakes.bases", str(first().root)]
            subprocess.run(words, check=True, cwd=Path(__file__).parents[2])
        base = chosen(first(), BASE)
        assert base is not None
        if packed is not None and not packed.exists():
            _leave(base, packed)
    return base


@contextmanager
def _alone() -> Iterator[Path | None]:
    """No other process of the run is at it; where one may have left it."""
    if SHARED not in os.environ:
        yield None
        return
    folder = Path(os.environ[SHARED])
    with (folder / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / f"{choice(first(), BASE).name}.tar"


def _bring(packed: Path) -> None:
    bases = first().bases
    with tempfile.TemporaryDirectory(dir=bases, prefix=".brought-") as aside:
        subprocess.run(["tar", "-xpf", packed, "-C", aside, "--no-same-owner"], check=True)
        for path in Path(aside).iterdir():
            path.rename(bases / path.name)


def _leave(base: Base, packed: Path) -> None:
    """As one folder, for only who made it can make the marks of its layers."""
    with tempfile.TemporaryDirectory(dir=packed.parent) as aside:
        inside, made = Path(aside) / "base", Path(aside) / packed.name
        merged(base, inside / base.key / "raw")
        (inside / base.key / "root").mkdir()
        shutil.copy(base.path / NOTE, inside / base.key)
        shutil.copy(choice(first(), BASE), inside)
        subprocess.run(["tar", "-cf", made, "-C", inside, *os.listdir(inside)], check=True)
        made.rename(packed)


def merged(base: Base, into: Path) -> Path:
    """A base's layers as one folder."""
    into.mkdir(parents=True)
    copying = trees.Copying(trees.Allowance(2**62, 2**62), applied=True)
    for layer in base.root:
        opened = os.open(layer, os.O_RDONLY | os.O_DIRECTORY)
        try:
            copying.copy(opened, into)
        finally:
            os.close(opened)
    return into


async def _prepare(state: State) -> None:
    async with running_pad(state) as pad:
        with closing(ConfinedCalls()) as confined:
            await environments_of(state, pad, confined).systems.bases.ready(print)


if __name__ == "__main__":
    asyncio.run(_prepare(State(Path(sys.argv[1]))))
