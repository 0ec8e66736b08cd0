"""The disk is full while an environment is made: told as the operator's, nothing is half-made, and then all is well.

The state directory lies on a small file system in a mount namespace of the maker's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.e2e.service import first
from tests.fakes.bases import shared_base
from tests.fakes.small_disk import on_small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
KINDS = ("packages", "postBuild", "conda", "apt")
SIZE = 3 << 30
CODE = """
import asyncio, json, shutil, sys
from contextlib import closing
from pathlib import Path
from perijove.backends import statedir
from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.failures import Fail
from perijove.domain.nouns import *
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from tests.e2e.service import BASE
from tests.fakes.pads import running_pad

MIB = 1 << 20
LEFT = {"packages": 8, "postBuild": 16, "conda": 8, "apt": 4}
STEPS = {
    "packages": (InstallRequirements("requirements.txt", "numpy"),),
    "postBuild": (),
    "conda": (InstallConda("environment.yml", ("conda-forge",), ("python",)),),
    "apt": (InstallSystem("apt.txt", ("graphviz",)),),
}

def fill(state, left):
    with (state.root / "filler").open("wb") as file:
        while (more := shutil.disk_usage(state.root).free - left) > 0:
            file.write(bytes(min(more, MIB)))
            file.flush()

def remains(state):
    folders = (*state.in_store, state.sessions, state.root / "handed")
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return [str(path) for path in found if path.name.startswith(".") or path.parent in folders[-2:]]

async def built(environments, kind, checkout):
    plan = EnvironmentPlan(PythonRequest("", PythonSource.DEFAULT), STEPS[kind], "postBuild" * (kind == "postBuild"))
    inputs = await environments.inputs(plan, checkout, print)
    return await environments.build(inputs, checkout.repo, print)

async def main():
    root, repository, conda, kind = sys.argv[1:]
    state = State(Path(root))
    statedir.prepare(state)
    settings = CondaSettings(mirrors={"conda-forge": conda})
    repo = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "")
    checkout = Checkout(repo, Path(repository))
    async with running_pad(state) as pad:
        with closing(ConfinedCalls()) as confined:
            for folder in (state.store, *state.in_store):
                confined.let_through(folder)
            environments = UvEnvironments(state, BuildSettings(), pad, confined, settings, BASE)
            await environments.prepare(print)
            if kind == "postBuild":
                await built(environments, "packages", checkout)
            fill(state, LEFT[kind] * MIB)
            try:
                told = (await built(environments, kind, checkout)).key
            except Fail as fail:
                told = [fail.failure.kind.code, fail.failure.message]
            left = remains(state)
            (state.root / "filler").unlink()
            environment = await built(environments, kind, checkout)
    print("TOLD" + json.dumps([told, left, environment.path.is_dir()]))

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_the_operators_and_then_all_is_well(
    state: State, tmp_path: Path, conda_channels: str, kind: str
) -> None:
    (tmp_path / "postBuild").write_text("head -c 90000000 /dev/zero > zeros\n")
    shared_base()
    # On one file system, as uv would have it; bases are only read.
    copied = f"cp -a {first().uv_cache} {first().tools} {state.store}"
    furnished = (f"mkdir -m 711 {state.store}", copied, f"ln -s {first().bases} {state.store}")
    argv = [*on_small_disk(state.root, SIZE, *furnished), sys.executable, "-c", CODE]
    argv += [str(state.root), str(tmp_path), f"{conda_channels}/conda-forge", kind]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), *sys.path))}
    maker = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=environ)
    words, _ = await maker.communicate()
    told, left, stands = json.loads(words.decode().rpartition("TOLD")[2])
    assert told[0] == "build.disk-full", told
    assert left == []
    assert stands
