"""kill -9 of a control plane before each of its changes: nobody's work in a pod is lost, none is there twice."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from perijove.domain.events import SessionEnded
from perijove.domain.nouns import EndReason
from perijove.domain.state import State
from perijove.launching.start.sessions import subject
from perijove.sealing import new_key, public_half
from tests.contracts.test_kept_work import unzipped
from tests.fakes.confined import until
from tests.fakes.kept_pods import home_cluster
from tests.fakes.killed_plane import lived, plane

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
FEWEST = 30
"""Changes that a session's life takes."""


async def test_wherever_it_is_killed_the_next_one_has_all_work_once_and_nothing_else(
    state: State, tmp_path: Path
) -> None:
    key, repo = new_key(), state.root / "repo"
    repo.mkdir()
    (repo / "hello.txt").write_text("hello")
    async with home_cluster(state) as (cluster, node, config):
        node.homes["zero"] = repo
        assert await lived(state, config, 0, "zero", 1, key, repo, "open('mine', 'w').write('mine')")
        shutil.copytree(state.kept, tmp_path / "before")
        for before in itertools.count(1):
            name, number = f"one-{before}", before + 1
            (tmp_path / "progress").write_text(str(before))
            node.homes[name] = repo
            shutil.rmtree(state.kept)
            shutil.copytree(tmp_path / "before", state.kept)
            whole = await lived(state, config, before, name, number, key, repo, "open('more', 'w').write('more')")
            async with plane(state, config) as second:
                await second.begin()
                if name in second.keeper.names:
                    await second.keeper.stop(name, EndReason.IDLE)
                await second.over()
                works = await second.works.all()
                found = {work.session: unzipped(second.works, work, key) for work in works}
                both = {name: {"mine": b"mine", "more": b"more"}}
                unworked = [{"zero": {"mine": b"mine"}}, {name: {"mine": b"mine"}}]
                worked = (state.root / f"{name}-worked").exists()
                assert found in ([both] if worked else [both, *unworked]), before
                assert {work.visitor for work in works} == {public_half(key)}
                assert not [*state.kept.rglob(".*")], before
                await until(lambda: not [one for one in cluster.things if one[0] in {"pods", "secrets"}])
                told = [one.event for one in second.journal.read(subject(name))]
                assert len([one for one in told if isinstance(one, SessionEnded)]) == bool(told), before
            if whole:
                break
    assert before > FEWEST
