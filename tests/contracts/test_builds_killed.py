"""kill -9 of a control plane before each of its changes while a Job builds: nothing is left, the next is whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.environments import store
from perijove.domain.nouns import Overlay
from perijove.domain.state import State
from tests.contracts.test_foreign_code_port import run_of
from tests.fakes.confined import until
from tests.fakes.image_node import ImageNode
from tests.fakes.killed_plane import builds, built
from tests.fakes.session_cluster import Json, session_cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
FEWEST = 8
"""Changes that a build takes beside those of confined processes."""
WRITES = "open('mine', 'w').write('mine'); open('/opt/env/module.py', 'w').write('x = 1')"


class BareNode(ImageNode):
    """Its pods have this machine's system, and an environment to write to."""

    async def root(self, pod: Json, home: Path) -> Sequence[str]:
        home.mkdir()
        return (
            "--ro-bind",
            "/",
            "/",
            *(word for one in ("/home", "/run", "/opt") for word in ("--tmpfs", one)),
            "--dir",
            "/opt/env",
        )


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


async def test_wherever_it_is_killed_nothing_is_left_and_the_next_build_is_whole(state: State, tmp_path: Path) -> None:
    environments, overlay = state.root / "environments", Overlay((tmp_path,), Path("/opt/env"))
    run = replace(run_of(None, WRITES, 60), layers=True, overlays=(overlay,), root=(Path("/"),))
    async with session_cluster(tmp_path) as (cluster, config):
        cluster.container = BareNode(tmp_path).container
        for before in itertools.count(1):
            into = environments / f".{before}" / "env"
            into.mkdir(parents=True)
            whole = await built(state, config, before, run, into)
            again = environments / f"{before}"
            async with builds(config) as second:
                await second.sweep()
                store.sweep(environments)
                await until(lambda: not [one for one in cluster.things if one[0] in {"jobs", "pods", "secrets"}])
                if not whole:
                    await second.run(run, again, print)
                    assert files(again) == {"home/mine": "mine", "layer-0/module.py": "x = 1"}, before
            left = {one.name for one in environments.iterdir()}
            assert left == {f"{one}" for one in range(1, before + (not whole))}, before
            if whole:
                break
    assert before > FEWEST
