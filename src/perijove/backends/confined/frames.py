"""How a call and its answer are written: JSON, a line each. Pure.

A call says in one short message what `process` needs before it forks; the rest, strangers' texts included, only its
child reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args, get_origin, get_type_hints

from perijove.domain import wire
from perijove.domain.confinement import Bounds, Identity
from perijove.domain.failures import Evidence, Failure

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summons:
    """What is known before the fork."""

    module: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Call:
    """What the child is told."""

    module: str
    name: str
    given: tuple[Any, ...]
    """As JSON; decoded by the function's own type hints."""
    bounds: Bounds
    tells: bool


def call_of(function: Callable[..., Any], given: tuple[object, ...], bounds: Bounds, *, tells: bool) -> Call:
    """Raises ValueError for what is no function at the top of a module."""
    if not function.__qualname__.isidentifier():
        raise ValueError(f"{function.__module__}:{function.__qualname__} cannot be called by its name")
    return Call(function.__module__, function.__qualname__, tuple(wire.encode(one) for one in given), bounds, tells)


def function_of(call: Call) -> Callable[..., Any]:
    """The function a call names. Raises ImportError, AttributeError."""
    function: Callable[..., Any] = getattr(import_module(call.module), call.name)
    return function


def arguments(function: Callable[..., Any], given: tuple[Any, ...]) -> list[Any]:
    """What it was given, as it takes it."""
    hints = get_type_hints(function)
    names = function.__code__.co_varnames[: len(given)]
    return [wire.decode(hints[name], value) for name, value in zip(names, given, strict=True)]


def answer_of(function: Callable[..., Any], value: Any) -> Any:
    """Its answer, by its type hint; whoever wrote it is not believed to have kept to that. Raises ValueError."""
    hint = get_type_hints(function)["return"]
    if hint is type(None):
        return None
    try:
        return wire.decode(hint, value)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no {get_origin(hint) or hint}{list(get_args(hint)) or ''}: {error}") from error


def pack(frame: Frame) -> bytes:
    """One line."""
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def write_failure(failure: Failure) -> Frame:
    return {"fail": wire.encode(failure)}


def read_failure(told: Any) -> Failure:
    """Raises ValueError for what is none."""
    try:
        failure: Failure = wire.decode(Failure, told)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no failure: {error}") from error
    evidence = tuple(Evidence(seen.where[:300], seen.saw[:8000]) for seen in failure.evidence[:20])
    return Failure(failure.kind, failure.cause[:2000], evidence, failure.remedy[:2000], failure.after)
