"""Dataclasses for values, cheap to define: `__init__` is compiled when the first value is made. Pure.

`dataclasses` compiles six methods of each class as it is defined: of 350 classes a third of all time that the service
imports, and of what a command does; most of them are never made in one process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, **how):
        """As the standard library's, which it is for all but frozen ones with slots."""
        return _value if how == {"frozen": True, "slots": True} else dataclasses.dataclass(cls, **how)


def _value(cls: type[Any]) -> type[Any]:
    made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=True)
    names = [one.name for one in dataclasses.fields(made)]
    values: Callable[[Any], object] = (
        attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)
    )

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        made.__init__ = _compiled(made)
        made.__init__(self, *args, **kwargs)

    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    methods = {
        "__init__": initialize,
        "__eq__": equal,
        "__hash__": lambda self: hash(values(self)),
        "__repr__": _shown,
        "__setattr__": _assigned,
        "__delattr__": _deleted,
    }
    for name, method in methods.items():
        if vars(cls).get(name) is None:
            setattr(made, name, method)
    return made


def _compiled(made: type[Any]) -> Any:
    """What the standard library makes of the same fields."""
    fields: dict[str, Any] = {one.name: one for one in dataclasses.fields(made)}
    body = {"__annotations__": {name: one.type for name, one in fields.items()}, "__doc__": made.__doc__}
    if hasattr(made, "__post_init__"):
        body["__post_init__"] = made.__post_init__
    twin = type(made.__qualname__, (), {**fields, **body})
    return vars(dataclasses.dataclass(twin, repr=False, eq=False, frozen=True))["__init__"]


def _shown(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _assigned(_self: Any, name: str, _value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _deleted(_self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
