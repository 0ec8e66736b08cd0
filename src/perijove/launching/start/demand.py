"""How many sessions to hold ready for whom: what was asked for lately, and how much memory is left. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from perijove.domain.nouns import Room
from perijove.domain.settings import LaunchingSettings, SessionSettings

REMEMBERED = 3600.0
"""Seconds after which a launch says nothing any more about the next one."""
OFTEN = 2
"""Launches within that time from which a repository counts as asked for often, and repositories from which what they
have in common does."""
CROWD, STREAM = 60.0, 600.0
"""Seconds over which launches are counted: a class that clicks now, and a link that many follow."""
REFILLED = 20.0
"""Seconds in which what was handed out stands again on a busy machine; until then it is the stock that serves."""
SIZE = 64 * 1024**2
"""Bytes of memory that one takes at most while nobody uses it."""
AHEAD = 64 * 1024**2
"""Bytes beside that where it has imported what kernels need."""

Key = TypeVar("Key")


def ready_wanted(
    launches: Mapping[Key, Sequence[float]],
    now: float,
    most: int,
    alike: Mapping[Key, Collection[Key]] = MappingProxyType({}),
) -> Mapping[Key, int]:
    """How many to hold for each key, at most `most` for all; those that are the likeliest to be used come first.

    `launches`: when each was launched, in Unix seconds, in any order. `alike`: blank ones, and which keys each of them
    can serve. They are held where several keys were launched lately, for those of which none are held by themselves.
    """
    ages = {key: [now - at for at in times] for key, times in launches.items()}
    expected = {key: _expected(ages[key]) if _lately(ages[key]) >= OFTEN else 0 for key in launches}
    counts = {key: len(launches[key]) for key in launches}
    for blank, keys in alike.items():
        unserved = [age for key in keys if not expected[key] for age in ages[key]]
        several = sum(_lately(ages[key]) > 0 for key in keys) >= OFTEN
        expected[blank], counts[blank] = (_expected(unserved) if several else 0), len(unserved)
    wanted = dict.fromkeys(expected, 0)
    for _ in range(most):
        key = max(expected, key=lambda key: (expected[key] / (wanted[key] + 1), counts[key]), default=None)
        if key is None or wanted[key] + 1 > expected[key]:
            break
        wanted[key] += 1
    return {key: count for key, count in wanted.items() if count}


def most_asked(launches: Mapping[str, Sequence[float]], now: float, most: int) -> list[str]:
    """What is asked for often, at most `most`: those of most launches first, of equals the first by name."""
    counts = {name: _lately([now - at for at in times]) for name, times in launches.items()}
    often = [name for name, count in counts.items() if count >= OFTEN]
    return sorted(often, key=lambda name: (-counts[name], name))[:most]


def _lately(ages: Sequence[float]) -> int:
    return sum(age <= REMEMBERED for age in ages)


def _expected(ages: Sequence[float]) -> float:
    """How many launches to be ready for, of what was launched so many seconds ago, and is asked for often."""
    rate = max(sum(age <= window for age in ages) / window for window in (CROWD, STREAM))
    return max(1, rate * REFILLED)


def affordable(room: Room, held: int, launching: LaunchingSettings, session: SessionSettings) -> int:
    """How many memory allows in all, where `held` are: room for two real launches stays free at any time.

    Where nobody knows it, those that find no place are given up one by one.
    """
    if room.memory is None:
        return launching.ready
    spare = room.memory - launching.keep_memory - 2 * session.memory_reserved
    return held + spare // SIZE if spare > 0 else 0


def ahead(room: Room, launching: LaunchingSettings, session: SessionSettings) -> bool:
    """Whether memory allows that the next one imports what kernels need, before anybody has it."""
    if room.memory is None:
        return session.kernel_ahead
    spare = room.memory - launching.keep_memory - 2 * session.memory_reserved
    return session.kernel_ahead and spare >= SIZE + AHEAD


def shares(count: int, among: Sequence[Key]) -> Mapping[Key, int]:
    """As many of each as can be, those that come first one more."""
    return {key: count // len(among) + (place < count % len(among)) for place, key in enumerate(among)}
