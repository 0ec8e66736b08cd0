"""Values of this package as JSON and back, by their types alone. Pure.

A value of a union (an event) carries its class's name under `is`; a failure's kind is its code. What a service's answer
tells as its failure, or that there is none, is read here for all who ask it.
"""

from __future__ import annotations

import json
import types
from collections.abc import Collection, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from perijove.domain import (
    auth_failures,
    certificate_failures,
    cluster_failures,
    cluster_ground_failures,
    cluster_session_failures,
    cluster_tls_failures,
    conda_failures,
    egress_failures,
    events,
    front_failures,
    keeping_failures,
    nouns,
    people_failures,
    registry_failures,
    request_failures,
    server_failures,
    service_failures,
    site_failures,
    system_failures,
)
from perijove.domain.failures import BUG, CATALOGUE, NOT_UP, Evidence, Failure, Kind

_ROWS = (
    auth_failures, certificate_failures, cluster_failures, cluster_ground_failures, cluster_session_failures,
    cluster_tls_failures, conda_failures, egress_failures, front_failures, keeping_failures, people_failures,
    registry_failures, request_failures, server_failures, service_failures, site_failures, system_failures,
)  # fmt: skip
"""Imported for what stands in the catalogue by them."""
_EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(events.Event)}
_NAMED = _EVENTS | {kind.__name__: kind for kind in get_args(nouns.Step)}
"""Members of unions."""
_SCALARS: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


def encode(value: Any) -> Any:
    """A JSON value. Mappings, tuples, enums, paths and dataclasses of this package are understood."""
    if isinstance(value, Kind):
        return value.code
    if is_dataclass(value) and not isinstance(value, type):
        told = {field.name: encode(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, **told} if type(value).__name__ in _NAMED else told
    if isinstance(value, (tuple, list, set, frozenset)):
        return [encode(part) for part in value]
    if isinstance(value, dict):
        return {str(key): encode(part) for key, part in value.items()}
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def decode_event(data: dict[str, Any]) -> events.Event:
    """The event that `encode` made. Raises ValueError, TypeError or KeyError for anything else."""
    made: events.Event = decode(_EVENTS[data["is"]], data)
    return made


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def decode(hint: Any, data: Any) -> Any:
    """A value of the type `hint` from what `encode` made of it. Unknown keys are left out, so that old data is read."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return decode(args[0], data)
    if origin in (Union, types.UnionType):
        chosen = next((arg for arg in args if arg is not type(None)), None)
        named = _NAMED.get(data.get("is", "")) if isinstance(data, dict) else None
        return None if data is None else decode(named if named in args else chosen, data)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(decode(args[0], part) for part in data)
        return tuple(decode(arg, part) for arg, part in zip(args, data, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: decode(args[1], part) for key, part in data.items()}
    if isinstance(origin, type) and issubclass(origin, Collection):
        parts = (decode(args[0], part) for part in data)
        return frozenset(parts) if issubclass(origin, Set) else list(parts)
    if hint is Kind:
        return CATALOGUE.get(data, BUG)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(
            **{field.name: decode(hints[field.name], data[field.name]) for field in fields(hint) if field.name in data}
        )
    if isinstance(hint, type) and issubclass(hint, (Enum, Path)):
        return hint(data)
    if hint in _SCALARS and not isinstance(data, _SCALARS[hint]):
        raise TypeError(f"{type(data).__name__} in the place of {hint.__name__}")
    return data


def refusal(where: str, text: str) -> Failure:
    """The failure that a service's answer tells."""
    try:
        failure: Failure = decode(Failure, json.loads(text)["failure"])
    except (ValueError, LookupError, TypeError):
        return NOT_UP("what answers there is another version of it", Evidence(where, text[:300]))
    return failure


def unanswered(socket: object, error: Exception, *, silent: bool) -> Failure:
    """Why there is no answer at the operator's socket; `silent`: somebody has it, and says nothing in time."""
    seen = Evidence(str(socket), str(error) or repr(error))
    if silent:
        return service_failures.NOT_ANSWERING("it says nothing at its admin socket", seen)
    return NOT_UP("nothing answers at its admin socket", seen)
