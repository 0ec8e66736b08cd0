"""Everything that reads a stranger's text is fed what makes readers slow or fail: it is linear, and refuses by name."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.domain.confinement import MIB, READING
from tests.architecture.sources import ROOT
from tests.fakes import readers

pytestmark = pytest.mark.same_for_any_user
LIMIT = 6.0
"""Seconds of processor time for a megabyte; the slowest linear one takes 1.5."""


@pytest.fixture
async def confined(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConfinedCalls]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.mark.parametrize("name", readers.READERS)
async def test_a_reader_is_linear_and_makes_no_mistake(confined: ConfinedCalls, name: str) -> None:
    bounds = replace(READING, cpu=90, seconds=110, memory=1024 * MIB)
    assert await confined.call(readers.tried, name, LIMIT, bounds=bounds) == ()


async def test_drawn_texts_are_read_or_refused(
    confined: ConfinedCalls, chance: random.Random, attack_seconds: float
) -> None:
    """Half of the fuzz run, on both processors; a failure says the text."""
    seconds = attack_seconds / 2
    bounds = replace(READING, cpu=int(seconds) + 30, seconds=6 * seconds + 60, memory=1024 * MIB)
    seeds = [chance.randrange(2**32) for _ in range(2)]
    ended = await asyncio.gather(*(confined.call(readers.fuzzed, seed, seconds, bounds=bounds) for seed in seeds))
    assert [bad for _, found in ended for bad in found] == []
    assert all(count > 100 for count, _ in ended)
