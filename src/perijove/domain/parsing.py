"""A raw value, from a file, a variable or a flag, as the type of its setting. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, get_args, get_origin, get_type_hints

UNITS = {"size": {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}}
UNITS["seconds"] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""What each letter behind a number stands for, by the kind of quantity."""


def parsed(hint: Any, raw: Any) -> Any:
    """A raw value as the type of its field. Raises ValueError with words that follow the setting's name."""
    origin = get_origin(hint)
    if origin is Annotated:
        base, unit = get_args(hint)
        return _quantity(base, unit, raw)
    if origin is tuple and is_dataclass(inner := get_args(hint)[0]):
        return _listed(inner, raw)
    if origin is tuple:
        if isinstance(raw, str):
            raw = [part for part in re.split(r"[,\s]+", raw) if part]
        if not isinstance(raw, (list, tuple)) or not all(isinstance(part, str) for part in raw):
            raise ValueError("must be a list of texts")
        return tuple(parsed(get_args(hint)[0], part) for part in raw)
    if origin is not None and issubclass(origin, Mapping):
        inner = get_args(hint)[1]
        if is_dataclass(inner):
            return _tables(inner, raw)
        if isinstance(raw, str):
            raw = dict(part.split("=", 1) for part in raw.split(",") if "=" in part)
        if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
            raise ValueError("must be a table of texts")
        return raw
    if issubclass(hint, StrEnum):
        if raw not in list(hint):
            raise ValueError(f"must be one of {', '.join(hint)}")
        return hint(raw)
    return _scalar(hint, raw)


def _tables(inner: Any, raw: Any) -> Any:
    """Named tables of settings."""
    if not isinstance(raw, dict) or not all(isinstance(table, dict) for table in raw.values()):
        raise ValueError("must be tables, written in the settings file")
    return {name: _table(inner, name, table) for name, table in raw.items()}


def _listed(inner: Any, raw: Any) -> Any:
    """Tables one after the other, each of which says its own name."""
    if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
        raise ValueError("must be tables, written in the settings file")
    return tuple(_table(inner, str(table.get("name", "")), table) for table in raw)


def _table(inner: Any, name: str, table: Mapping[str, Any]) -> Any:
    hints, values = get_type_hints(inner, include_extras=True), {}
    if unknown := table.keys() - hints.keys():
        raise ValueError(f"has no {', '.join(sorted(unknown))} (in {name}); it knows {', '.join(hints)}")
    for key, value in table.items():
        try:
            values[key] = parsed(hints[key], value)
        except ValueError as error:
            raise ValueError(f"of {name}: {key} {error}") from error
    return inner(**values)


def _quantity(base: type, unit: str, raw: Any) -> Any:
    """A number with a unit."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]?)", str(raw).strip().removesuffix("B").removesuffix("i"))
    letter = (match[2].upper() if unit == "size" else match[2].lower()) if match else "?"
    if match is None or letter not in UNITS[unit]:
        example = "512M" if unit == "size" else "10m"
        raise ValueError(f"must be a number, perhaps with a unit of {' '.join(filter(None, UNITS[unit]))}: {example}")
    return base(float(match[1]) * UNITS[unit][letter])


def quantity(number: float, unit: str) -> str:
    """As it is written, by the largest unit of which it is a whole number: `2G`, `30m`, `90`."""
    for letter, scale in sorted(UNITS[unit].items(), key=lambda one: -one[1]):
        if letter and number >= scale and number % scale == 0:
            return f"{int(number // scale)}{letter}"
    return str(int(number) if number == int(number) else number)


def _scalar(hint: type, raw: Any) -> Any:
    """A plain text, number or truth value."""
    if hint is bool:
        if str(raw).lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        return str(raw).lower() == "true"
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise ValueError(f"must be a {'text' if hint is str else 'number'}")
    if hint is str:
        return str(raw)
    try:
        value = hint(raw)
    except ValueError:
        raise ValueError("must be a number") from None
    if value < 0:
        raise ValueError("must not be negative")
    return value


def bracketed(host: str) -> str:
    """A name or an address as it stands before a port: `[::1]` (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:8000`, `[::1]:8000` or `:8000` → host and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be ADDRESS:PORT, like 127.0.0.1:8000")
    if host and host != "localhost":
        try:
            ip_address(host)
        except ValueError:
            raise ValueError("must begin with an IP address, like 127.0.0.1:8000") from None
    return host, int(port)
