"""How many sessions to hold ready for whom: what was asked for lately, and how much memory is left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from perijove.domain.nouns import Room
from perijove.domain.settings import LaunchingSettings, SessionSettings

REMEMBERED = 3600.0
"""Seconds after which a launch says nothing any more about the next one."""
OFTEN = 2
"""Launches within that time from which a repository counts as asked for often."""
CROWD, STREAM = 60.0, 600.0
"""Seconds over which launches are counted: a class that clicks now, and a link that many follow."""
REFILLED = 20.0
"""Seconds in which what was handed out stands again on a busy machine; until then it is the stock that serves."""
SIZE = 64 * 1024**2
"""Bytes of memory that one takes at most while nobody uses it."""

Key = TypeVar("Key")


def ready_wanted(launches: Mapping[Key, Sequence[float]], now: float, most: int) -> Mapping[Key, int]:
    """How many to hold for each key, at most `most` for all; those that are the likeliest to be used come first.

    `launches`: when each was launched, in Unix seconds, in any order.
    """
    expected = {key: _expected([now - at for at in times]) for key, times in launches.items()}
    wanted = dict.fromkeys(launches, 0)
    for _ in range(most):
        key = max(expected, key=lambda key: (expected[key] / (wanted[key] + 1), len(launches[key])), default=None)
        if key is None or wanted[key] + 1 > expected[key]:
            break
        wanted[key] += 1
    return {key: count for key, count in wanted.items() if count}


def _expected(ages: Sequence[float]) -> float:
    """How many launches to be ready for, of one that was launched so many seconds ago."""
    if sum(age <= REMEMBERED for age in ages) < OFTEN:
        return 0
    rate = max(sum(age <= window for age in ages) / window for window in (CROWD, STREAM))
    return max(1, rate * REFILLED)


def affordable(room: Room, held: int, launching: LaunchingSettings, session: SessionSettings) -> int:
    """How many may be held in all, where `held` are: room for two real launches stays free at any time."""
    spare = room.memory - launching.keep_memory - 2 * session.memory_reserved
    return max(0, min(launching.ready, held + spare // SIZE if spare > 0 else 0))
