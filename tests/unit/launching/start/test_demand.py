"""How many sessions are held ready, for whom, and what comes of it on mornings as they are."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

import pytest

from perijove.domain.nouns import Room
from perijove.domain.settings import LaunchingSettings, SessionSettings
from perijove.launching.start.demand import AHEAD, REMEMBERED, SIZE, affordable, ahead, most_asked, ready_wanted

MB, GB = 1024**2, 1024**3
ROOM = Room(8 * GB, 100 * GB, 1_000_000, 2)
NOW = 10_000.0
BLANK = "blank"
MEMORY = 1024 * MB
"""What is kept free, and room for two real launches."""


@pytest.mark.parametrize(
    ("launches", "most", "wanted"),
    [
        pytest.param({}, 4, {}, id="nobody came"),
        pytest.param({"a": [NOW]}, 4, {}, id="once is not often"),
        pytest.param({"a": [NOW - 1800, NOW]}, 4, {"a": 1}, id="twice within the hour"),
        pytest.param({"a": [NOW - REMEMBERED - 1, NOW]}, 4, {}, id="the first is too long ago"),
        pytest.param({"a": [NOW - n for n in range(30)]}, 100, {"a": 10}, id="one every two seconds"),
        pytest.param({"a": [NOW - n for n in range(30)]}, 4, {"a": 4}, id="no more than may be"),
        pytest.param({"a": [NOW] * 2, "b": [NOW - 1] * 3}, 1, {"b": 1}, id="who came more often comes first"),
        pytest.param(
            {"a": [NOW - 30 * n for n in range(20)], "b": [NOW - n for n in range(12)]}, 4, {"a": 1, "b": 3},
            id="a crowd does not take it all",
        ),
        pytest.param({"a": [NOW, NOW]}, 0, {}, id="none may be held"),
    ],
)  # fmt: skip
def test_what_is_held_follows_what_was_asked_for(
    launches: dict[str, list[float]], most: int, wanted: dict[str, int]
) -> None:
    assert ready_wanted(launches, NOW, most) == wanted


@pytest.mark.parametrize(
    ("launches", "most", "wanted"),
    [
        pytest.param({}, 4, [], id="nobody came"),
        pytest.param({"a": [NOW]}, 4, [], id="once is not often"),
        pytest.param({"a": [NOW - REMEMBERED - 1, NOW]}, 4, [], id="the first is too long ago"),
        pytest.param({"a": [NOW] * 2, "b": [NOW - 1800] * 3}, 4, ["b", "a"], id="who came more often comes first"),
        pytest.param({"a": [NOW] * 2, "b": [NOW - 1800] * 3}, 1, ["b"], id="no more than may be"),
        pytest.param({"b": [NOW] * 2, "a": [NOW - 9] * 2}, 1, ["a"], id="of equals the first by name"),
        pytest.param({"a": [NOW - 9] * 2, "b": [NOW] * 2}, 1, ["a"], id="in any order"),
        pytest.param({"a": [NOW] * 2}, 0, [], id="none"),
    ],
)  # fmt: skip
def test_what_was_asked_for_most(launches: dict[str, list[float]], most: int, wanted: list[str]) -> None:
    assert most_asked(launches, NOW, most) == wanted


@pytest.mark.parametrize(
    ("launches", "most", "wanted"),
    [
        pytest.param({"a": [NOW]}, 4, {}, id="one repository is not several"),
        pytest.param({"a": [NOW], "b": [NOW - 1800]}, 4, {"blank": 1}, id="two, once each"),
        pytest.param({"a": [NOW], "b": [NOW - REMEMBERED - 1]}, 4, {}, id="the other one is too long ago"),
        pytest.param({"a": [NOW], "other": [NOW]}, 4, {}, id="what it cannot serve does not count"),
        pytest.param({"a": [NOW, NOW], "b": [NOW]}, 4, {"a": 1, "blank": 1}, id="one of them often"),
        pytest.param({"a": [NOW, NOW], "b": [NOW]}, 1, {"a": 1}, id="what was asked for comes first"),
        pytest.param(
            {"a": [NOW - n for n in range(30)], "b": [NOW]}, 100, {"a": 10, "blank": 1},
            id="launches that are served otherwise do not count",
        ),
        pytest.param({f"a{n}": [NOW - 2 * n] for n in range(30)}, 100, {"blank": 10}, id="another every two seconds"),
        pytest.param({f"a{n}": [NOW - 2 * n] for n in range(30)}, 0, {}, id="none may be held"),
    ],
)  # fmt: skip
def test_blank_ones_are_held_for_what_several_repositories_have_in_common(
    launches: dict[str, list[float]], most: int, wanted: dict[str, int]
) -> None:
    alike = {"blank": [key for key in launches if key != "other"]}
    assert ready_wanted(launches, NOW, most, alike) == wanted


@pytest.mark.parametrize(
    ("memory", "held", "most"),
    [
        pytest.param(1024 * MB + 4 * SIZE, 0, 4, id="four that wait"),
        pytest.param(1024 * MB, 0, 0, id="room for two real ones and nothing more"),
        pytest.param(1024 * MB + SIZE, 0, 1, id="and for one that waits"),
        pytest.param(1024 * MB + SIZE, 2, 3, id="and for one more beside two"),
        pytest.param(1024 * MB - 1, 3, 0, id="too little: those that wait go"),
    ],
)
def test_no_more_are_held_than_memory_allows_beside_real_launches(memory: int, held: int, most: int) -> None:
    room = replace(ROOM, memory=memory)
    assert affordable(room, held, LaunchingSettings(ready=4), SessionSettings()) == most


@pytest.mark.parametrize(
    ("memory", "setting", "may"),
    [
        pytest.param(MEMORY + SIZE + AHEAD, True, True, id="room for it"),
        pytest.param(MEMORY + SIZE + AHEAD - 1, True, False, id="room for one that has imported nothing"),
        pytest.param(8 * GB, False, False, id="the operator does not want it"),
    ],
)
def test_what_kernels_need_is_imported_where_memory_allows(memory: int, setting: bool, may: bool) -> None:
    session = replace(SessionSettings(), kernel_ahead=setting)
    assert ahead(replace(ROOM, memory=memory), LaunchingSettings(), session) == may


def served_at_once(
    arrivals: list[tuple[float, str]], most: int, seconds: float, *, one_environment: bool = False
) -> float:
    """Which part of launches found a session ready, where one is made at a time, in so many seconds."""
    launches: dict[str, list[float]] = {}
    ready: dict[str, int] = {}
    hits, free_at, made = 0, 0.0, list[tuple[float, str]]()
    for at, key in arrivals:
        while made and made[0][0] <= at:
            _, done = heapq.heappop(made)
            ready[done] = ready.get(done, 0) + 1
        if found := next((one for one in (key, BLANK) if ready.get(one)), ""):
            ready[found] -= 1
            hits += 1
        launches.setdefault(key, []).append(at)
        wanted = ready_wanted(launches, at, most, {BLANK: list(launches)} if one_environment else {})
        for kind, count in wanted.items():
            for _ in range(count - ready.get(kind, 0) - sum(coming == kind for _, coming in made)):
                free_at = max(free_at, at) + seconds
                heapq.heappush(made, (free_at, kind))
    return hits / len(arrivals)


@pytest.mark.parametrize(
    ("arrivals", "most", "least"),
    [
        pytest.param(
            sorted((7200 * random.Random(seed).random() ** 0.5, "course") for seed in range(200)), 4, 0.95,
            id="a course that trickles in over two hours",
        ),
        pytest.param([(n / 2, "course") for n in range(60)], 8, 0.9, id="a class of sixty within half a minute"),
        pytest.param(
            sorted((3600 * random.Random(seed).random(), f"repo-{seed % 4}") for seed in range(120)), 4, 0.85,
            id="four repositories at once",
        ),
        pytest.param([(60.0 * n, f"repo-{n}") for n in range(60)], 4, 0.0, id="sixty repositories once each"),
    ],
)  # fmt: skip
def test_most_launches_of_what_is_asked_for_often_find_one_ready(
    arrivals: list[tuple[float, str]], most: int, least: float
) -> None:
    assert served_at_once(arrivals, most, 0.5) >= least


MORNINGS = [
    pytest.param([(60.0 * n, f"repo-{n}") for n in range(60)], 4, 0.95, id="sixty repositories once each"),
    pytest.param([(n / 2, f"repo-{n}") for n in range(60)], 8, 0.9, id="sixty people with a fork each"),
    pytest.param(
        sorted((7200 * random.Random(seed).random(), f"commit-{seed // 50}") for seed in range(200)), 4, 0.95,
        id="a course whose notebooks change four times",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arrivals", "most", "least"), MORNINGS)
def test_most_launches_of_one_environment_find_a_blank_one(
    arrivals: list[tuple[float, str]], most: int, least: float
) -> None:
    assert served_at_once(arrivals, most, 0.5, one_environment=True) >= least


def test_nothing_is_held_for_what_comes_once_each() -> None:
    assert ready_wanted({f"repo-{n}": [NOW - n] for n in range(60)}, NOW, 4) == {}
