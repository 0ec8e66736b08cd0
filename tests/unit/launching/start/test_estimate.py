"""How long a start has to be waited for: said only where starts of late tell it."""

from __future__ import annotations

import pytest

from perijove.domain.events import Queued
from perijove.launching.start.estimate import REMEMBERED, Turnover


@pytest.mark.parametrize(
    ("held", "position", "places", "seconds"),
    [
        pytest.param([], 1, 4, None, id="nothing has started yet"),
        pytest.param([2, 2], 1, 4, None, id="two starts tell nothing"),
        pytest.param([2, 2, 2], 1, 4, 0.5, id="the next of four places"),
        pytest.param([2, 2, 2], 12, 4, 6, id="twelve before it is let in, four at once"),
        pytest.param([2, 2, 60], 4, 4, 2, id="one that was slow is not the rule"),
        pytest.param([2, 2, 2], 3, 0, None, id="no place is held: something else is short"),
        pytest.param([9] * 20 + [1] * 20, 4, 1, 4, id="the last twenty count"),
    ],
)
def test_the_wait_follows_from_the_line_and_from_how_long_places_were_held(
    held: list[float], position: int, places: int, seconds: float | None
) -> None:
    turnover = Turnover()
    for at, one in enumerate(held):
        turnover.freed(at, one)
    assert turnover.wait(position, places, len(held)) == seconds


def test_what_was_long_ago_tells_nothing() -> None:
    turnover = Turnover()
    for _ in range(5):
        turnover.freed(0, 2)
    assert turnover.wait(1, 1, REMEMBERED) == 2
    assert turnover.wait(1, 1, REMEMBERED + 1) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, ", about 1 s"), (12.4, ", about 12 s"), (89, ", about 89 s"), (125, ", about 2 min")],
)
def test_it_is_told_in_words(seconds: float | None, words: str) -> None:
    assert Queued(3, "others start", seconds).about == words
