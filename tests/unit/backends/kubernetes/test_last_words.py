"""What of a server's end was told before, and how much is kept for knowing it."""

from __future__ import annotations

import pytest

from perijove.backends.kubernetes.last_words import LETTERS, LINES, LastWords


@pytest.mark.parametrize(
    ("told", "end", "new"),
    [
        ((), ("a", "b"), ("a", "b")),
        (("a", "b"), ("a", "b"), ()),
        (("a", "b"), ("b", "c"), ("c",)),
        (("first", "b"), ("rst", "b", "c"), ("c",)),
        (("a", "b"), ("c", "d"), ("c", "d")),
        (("tick",), ("tick", "tick"), ("tick",)),
        (("a",), (), ()),
    ],
    ids=["nothing told", "all told", "cut", "cut within a line", "much came between", "the same again", "no end"],
)
def test_what_is_new_is_told(told: tuple[str, ...], end: tuple[str, ...], new: tuple[str, ...]) -> None:
    words = LastWords()
    words.begin("one")
    assert tuple(words.told("one", line) for line in told) == told
    assert words.untold("one", end) == new
    assert words.untold("one", end) == end, "nothing is kept of one that is over"


@pytest.mark.parametrize(("length", "kept"), [(1, LINES), (1000, 3), (2 * LETTERS, 1)])
def test_no_more_is_kept_than_an_end_may_repeat(length: int, kept: int) -> None:
    words = LastWords()
    words.begin("one")
    for _ in range(1000):
        words.told("one", "x" * length)
    assert len(words._told["one"]) == kept
    words.untold("one", ())
    words.told("one", "after its end")
    assert not words._told
