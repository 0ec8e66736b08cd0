"""Strangers who print without end fill no disk: two hundred launches leave a journal within its bounds."""

from __future__ import annotations

from pathlib import Path

from perijove.domain.build_inputs import BuildInputs
from perijove.domain.events import Failed
from perijove.domain.failures import BUILD_TOO_SLOW, Fail
from perijove.domain.nouns import Environment, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.retention import Retention
from tests.fakes.world import FakeEnvironments
from tests.ways.conftest import ADDRESS, World

KIB = 1024
LOG = 64 * KIB


class Talkative(FakeEnvironments):
    """A build that prints four hundred kilobytes and fails."""

    async def build(self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell) -> Environment:
        for number in range(200):
            tell(f"{number} {'x' * 2000}")
        raise Fail(BUILD_TOO_SLOW("it printed and printed"))


async def test_two_hundred_launches_that_print_leave_a_journal_within_its_bounds(tmp_path: Path) -> None:
    world, bound = World(tmp_path, environments=Talkative()), 2 * KIB**2
    world.set(journal__log_size=LOG, journal__keep_size=bound)
    async with world.up():
        largest = 0
        for number in range(1, 201):
            assert isinstance((await world.launched(ADDRESS))[-1], Failed)
            largest = max(largest, world.ledger.size(f"launch/{number}", 0))
        assert 0.8 * LOG < largest < 2 * LOG
        assert world.ledger.held() < 200 * 2 * LOG
        await Retention(world.journal, world.clock, lambda: world.settings.journal, lambda _: False).clean()
        assert world.ledger.held() <= bound
        assert world.launches.get(1) is None
        assert world.launches.get(200) is not None
        assert "was removed from the journal" in world.launches.missing(1).message
    assert sum(path.stat().st_size for path in tmp_path.glob("perijove.db*")) < 1.2 * bound
