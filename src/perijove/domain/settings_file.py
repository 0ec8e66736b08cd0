"""The settings file's text: in which line each setting stands, and settings as it takes them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from perijove.domain.classes import ClassSettings
from perijove.domain.parsing import quantity
from perijove.domain.settings_layers import names

_HEADER = re.compile(r"\s*\[\[?([^\[\]#]+)\]")
_KEY = re.compile(r"\s*([\w.\"' -]+?)\s*=")
WIDTH = 80
"""Columns; a list that is longer has a line for each of its parts."""
CLASSES = "launching.classes"
"""In the file they are tables of their own: `[[class]]`."""


def lines(text: str) -> Mapping[str, int]:
    """The line in which each table and each key stands first, by its dotted name, counted from 1."""
    found: dict[str, int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = named = _parts(header[1])
        elif key := _KEY.match(line):
            named = (*table, *_parts(key[1]))
        else:
            continue
        for end in range(1, len(named) + 1):
            found.setdefault(".".join(named[:end]), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def written(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a settings file that says all this: rows of `name`, `value` as JSON, and `source`, which is a comment.

    Read again it is the same settings.
    """
    kinds, opened = {name: hint for name, (_, _, hint) in names().items()}, ""
    classes: Sequence[Mapping[str, Any]] = ()
    for row in rows:
        table, _, name = row["name"].partition(".")
        if row["name"] == CLASSES:
            classes = row["value"]
            continue
        if table != opened:
            yield from (("",) if opened else ())
            yield f"[{table}]"
            opened = table
        comment = "" if row["source"] == "default" else f"  # {row['source']}"
        yield f"{name} = {value(row['value'], kinds.get(row['name']), len(name) + 3)}{comment}"
    for one in classes:
        yield from ("", "[[class]]", *class_lines(one))


def class_lines(said: Mapping[str, Any]) -> Iterator[str]:
    """What is said of a class, a line a key."""
    kinds = get_type_hints(ClassSettings, include_extras=True)
    yield from (f"{key} = {value(part, kinds.get(key))}" for key, part in said.items() if part is not None)


def value(raw: Any, hint: Any = None, indent: int = 0) -> str:
    """A value in TOML, with its unit where its type has one: `"2G"`, `"30m"`; `indent` columns stand before it."""
    if get_origin(hint) is Annotated and isinstance(raw, (int, float)):
        number = quantity(raw, get_args(hint)[1])
        return _text(number) if number[-1].isalpha() else number
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, (int, float)):
        return f"{raw:g}" if isinstance(raw, float) and raw.is_integer() else str(raw)
    if isinstance(raw, (list, tuple)):
        parts = [value(part) for part in raw]
        flat = f"[{', '.join(parts)}]"
        return flat if len(flat) + indent <= WIDTH else "[\n" + "".join(f"  {part},\n" for part in parts) + "]"
    if isinstance(raw, Mapping):
        told = [f"{_text(key)} = {value(part)}" for key, part in raw.items() if part is not None]
        return f"{{ {', '.join(told)} }}" if told else "{}"
    return _text(str(raw))


def _text(text: str) -> str:
    """A basic string of TOML, which is one of JSON but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
