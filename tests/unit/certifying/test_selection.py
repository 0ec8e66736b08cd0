from __future__ import annotations

import pytest

from perijove.certifying.selection import NOTHING, PATIENCE, PATIENCE_SERVED, Served, askable, worth

NOW = 100_000.0
A, B, C = "a.example", "b.example", "c.example"
ALL = (A, B, C)


@pytest.mark.parametrize(
    ("well", "refused", "asked"),
    [
        pytest.param(ALL, {}, ALL, id="nobody was refused"),
        pytest.param((A, C), {}, (A, C), id="those that are well"),
        pytest.param(ALL, {B: [NOW - 60]}, (A, C), id="one was refused a minute ago"),
        pytest.param(ALL, {B: [NOW - 3601]}, ALL, id="one was refused an hour ago"),
        pytest.param((A,), {A: [NOW - 60] * 3}, (A,), id="the only one, some tries left"),
        pytest.param((A,), {A: [NOW - 60] * 4}, (), id="the only one, no try left"),
        pytest.param((A, B), {A: [NOW - 60] * 4, B: [NOW - 60]}, (B,), id="all were refused, one may be tried"),
        pytest.param((), {}, (), id="none is well"),
    ],
)
def test_who_may_be_asked_for(well: tuple[str, ...], refused: dict[str, list[float]], asked: tuple[str, ...]) -> None:
    assert askable(well, refused, NOW) == asked


def stands(*names: str, left: float = 0.9, due: bool = False) -> Served:
    return Served(frozenset(names), left, due)


@pytest.mark.parametrize(
    ("asked", "served", "waited", "now"),
    [
        pytest.param(ALL, NOTHING, 0, True, id="all of them: at once"),
        pytest.param(ALL, stands(*ALL), 0, True, id="all of them, whatever stands"),
        pytest.param((), NOTHING, 1e6, False, id="none: never"),
        pytest.param((A, B), NOTHING, PATIENCE - 1, False, id="some, none is served: the others have some seconds"),
        pytest.param((A, B), NOTHING, PATIENCE, True, id="some, none is served: after them"),
        pytest.param((A, B), stands(A), PATIENCE, False, id="one more: the others have an hour"),
        pytest.param((A, B), stands(A), PATIENCE_SERVED, True, id="one more: after it"),
        pytest.param((A, B), stands(A, B), 1e6, False, id="no more than stands: never"),
        pytest.param((A, B), stands(A, B, due=True), PATIENCE, True, id="what stands is due"),
        pytest.param((A, B), stands(*ALL, due=True), 1e6, False, id="one would be lost: not yet"),
        pytest.param((A, B), stands(*ALL, due=True, left=0.1), 0, True, id="one would be lost, and time runs out"),
    ],
)
def test_whether_some_are_worth_an_order(asked: tuple[str, ...], served: Served, waited: float, *, now: bool) -> None:
    assert worth(asked, ALL, served, waited) is now
