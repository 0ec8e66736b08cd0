"""What is made late is made once, by whoever asks it first."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from perijove.wiring.lazy import lazy


def test_it_is_made_once_when_it_is_first_asked() -> None:
    made: list[SimpleNamespace] = []

    def make() -> SimpleNamespace:
        made.append(SimpleNamespace(answer=len(made)))
        return made[-1]

    part = lazy(make)
    assert made == []
    assert (part.answer, part.answer, len(made)) == (0, 0, 1)


def test_what_is_needed_is_made_at_once() -> None:
    part = SimpleNamespace()
    assert lazy(lambda: part, needed=True) is part


def test_whoever_asks_gets_what_making_it_raises_and_the_next_one_tries_again() -> None:
    tries: list[str] = []

    def make() -> str:
        tries.append("")
        if len(tries) == 1:
            raise OSError("no such file")
        return "made"

    part = lazy(make)
    with pytest.raises(OSError, match="no such file"):
        part.upper()
    assert part.upper() == "MADE"


def test_an_attribute_that_making_it_misses_is_told_as_that() -> None:
    def make() -> SimpleNamespace:
        return SimpleNamespace(value=SimpleNamespace().gone)

    with pytest.raises(AttributeError, match="gone"):
        lazy(make).value  # noqa: B018


def test_what_a_part_does_not_have_late_has_neither() -> None:
    with pytest.raises(AttributeError):
        lazy(lambda: "text").missing  # type: ignore[attr-defined]  # noqa: B018
