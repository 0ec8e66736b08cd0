"""Sessions as pods as `wiring` joins them: a real registry, and an API that speaks the wire protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments.system.bases import Base
from perijove.backends.pad.client import Pad
from perijove.domain.engine_settings import EngineKind, EngineSettings
from perijove.domain.keys import Keys
from perijove.domain.settings import Settings
from perijove.domain.state import State
from perijove.wiring.pods import LOOK_EVERY, cluster_engine
from tests.fakes.docker_registry import DockerRegistry, needs_registry, running_registry
from tests.fakes.session_cluster import NAMESPACE, session_cluster, status
from tests.fakes.world import FakeClock

pytestmark = [needs_registry, pytest.mark.same_for_any_user]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def base(tmp_path: Path) -> Callable[[], Base | None]:
    """Stands when it is looked for the third time."""
    for part in ("raw", "root"):
        (tmp_path / "base" / part / "etc").mkdir(parents=True)
    stands = Base("key", tmp_path / "base", "trixie", 1, "2.41", "3.13.5", "/usr/bin/python3", "/usr", 0.0)
    answers = [None, None, stands]
    return lambda: answers.pop(0)


@pytest.mark.parametrize("enforces", [True, False])
async def test_policies_are_tried_once_there_is_a_base_and_nobody_has_a_session(
    tmp_path: Path, state: State, registry: DockerRegistry, base: Callable[[], Base | None], enforces: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    engine_settings = EngineSettings(EngineKind.KUBERNETES, NAMESPACE, registry=f"{registry.address}/perijove")
    async with session_cluster(tmp_path) as (cluster, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        cluster.enforces = enforces
        pad = Pad(state, Settings().session.isolation)
        engine = cluster_engine(state, Settings(engine=engine_settings), pad, ConfinedCalls(), Keys(b"s" * 32))
        clock = FakeClock()
        await engine.try_policies(base, clock)
        await engine.cluster.close()
        assert clock.slept == [LOOK_EVERY] * 2
        assert bool((await engine.sessions.isolation()).open_policies) is not enforces
        assert cluster.asked.count("POST pods") == 1


async def test_what_keeps_it_from_being_known_or_removed_is_told_and_costs_nothing_else(
    tmp_path: Path, state: State, base: Callable[[], Base | None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    engine_settings = EngineSettings(EngineKind.KUBERNETES, NAMESPACE, registry="127.0.0.1:9/perijove")
    async with session_cluster(tmp_path) as (cluster, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        cluster.faults.append(lambda asked: status(500, "InternalError", "etcd"))
        pad = Pad(state, Settings().session.isolation)
        engine = cluster_engine(state, Settings(engine=engine_settings), pad, ConfinedCalls(), Keys(b"s" * 32))
        await engine.sweep()
        await engine.try_policies(base, FakeClock())
        await engine.cluster.close()
    told = capsys.readouterr().err
    assert "what was left in the cluster is not removed" in told
    assert "it is not known whether network policies hold" in told
