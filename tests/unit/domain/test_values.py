"""A value is what the standard library's frozen dataclass with slots is, but for when its initializer is compiled."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field, fields, replace
from typing import Any

import pytest

from perijove.domain import values


def defined(dataclass: Any) -> dict[str, Any]:
    """The same classes by one decorator or the other."""

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True)
    class One:
        """One."""

        number: float

    @dataclass(frozen=True, slots=True)
    class Many:
        name: str
        hidden: str = field(repr=False, default="h")
        parts: list[int] = field(default_factory=list)
        last: bool = field(default=False, kw_only=True)

        def __post_init__(self) -> None:
            object.__setattr__(self, "name", self.name.upper())

        @property
        def half(self) -> str:
            return self.name[: len(self.name) // 2]

    @dataclass(frozen=True, slots=True)
    class More(Many):
        more: int = 3

    @dataclass(frozen=True, slots=True)
    class Own:  # noqa: PLW1641  its hash is made, as the standard library does
        a: int
        b: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.a == other.a

        def __repr__(self) -> str:
            return "own"

    return {one.__name__: one for one in (Nothing, One, Many, More, Own)}


OURS, THEIRS = defined(values.dataclass), defined(dataclasses.dataclass)
MADE: list[tuple[str, Callable[[Any], Any]]] = [
    ("Nothing", lambda made: made()),
    ("One", lambda made: made(1.5)),
    ("One", lambda made: made(number=float("nan"))),
    ("Many", lambda made: made("name")),
    ("Many", lambda made: made("name", "x", [1], last=True)),
    ("More", lambda made: made("name", more=4)),
    ("More", lambda made: replace(made("name"), hidden="other")),
    ("Own", lambda made: made(1, 2)),
]


def outcome(ask: Callable[[], Any]) -> Any:
    """What came of it, by its words."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  whatever the standard library raises
        return type(error), str(error)


ASKED: dict[str, Callable[[Any], Any]] = {
    "shown": repr,
    "fields": lambda one: [(each.name, getattr(one, each.name), each.type, each.kw_only) for each in fields(one)],
    "matched": lambda one: type(one).__match_args__,
    "assigned": lambda one: setattr(one, fields(one)[0].name, 2),
    "deleted": lambda one: delattr(one, fields(one)[0].name),
    "without a dict": lambda one: hasattr(one, "__dict__"),
    "equal": lambda one: (one == replace(one), one == object(), one != replace(one)),
    "hashed": lambda one: hash(one) == hash(replace(one)),
    "as a dict": dataclasses.asdict,
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("name", "make"), MADE)
def test_a_value_does_what_the_standard_librarys_does(name: str, make: Callable[[Any], Any], asked: str) -> None:
    ours, theirs = make(OURS[name]), make(THEIRS[name])
    said, expected = outcome(lambda: ASKED[asked](ours)), outcome(lambda: ASKED[asked](theirs))
    assert repr(said) == repr(expected)


@pytest.mark.parametrize("given", [(), (1,), (1, 2, 3, 4, 5, 6), {"unknown": 1}])
@pytest.mark.parametrize("name", OURS)
def test_what_is_no_value_is_refused_in_the_same_words(name: str, given: tuple[int, ...] | dict[str, int]) -> None:
    def made(classes: dict[str, Any]) -> Any:
        return classes[name](**given) if isinstance(given, dict) else classes[name](*given)

    assert repr(outcome(lambda: made(OURS))) == repr(outcome(lambda: made(THEIRS)))


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        OURS["One"](1).number = 2


def test_nothing_is_compiled_until_a_value_is_made() -> None:
    program = """
import sys
from perijove.domain.values import dataclass
compiled = []
sys.addaudithook(lambda event, told: compiled.append(event) if event == "compile" else None)
@dataclass(frozen=True, slots=True)
class Pair:
    '''Two.'''
    left: "int"
    right: "int" = 2
assert not compiled
first = Pair(1)
assert compiled, "or nobody hears of it"
compiled.clear()
assert Pair(1) == first
assert not compiled
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
