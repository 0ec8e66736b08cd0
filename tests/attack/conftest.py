"""How long fuzz runs last: a minute with one seed in `make test`, longer with seeds of their own in `make attack`."""

from __future__ import annotations

import os
import random

import pytest

from tests.e2e.git.conftest import confined, confined_calls, home, server

__all__ = ["attack_seconds", "chance", "confined", "confined_calls", "home", "server"]


@pytest.fixture(scope="session")
def attack_seconds() -> float:
    """Seconds of one whole fuzz run."""
    return float(os.environ.get("ATTACK_SECONDS", "60"))


@pytest.fixture(scope="session")
def chance() -> random.Random:
    """What draws the attacks: the same each time, unless a longer run was asked for; the seed is printed."""
    seed = random.SystemRandom().randrange(2**32) if "ATTACK_SECONDS" in os.environ else 11
    print(f"\nseed of the attacks: {seed}")
    return random.Random(seed)
