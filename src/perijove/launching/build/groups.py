"""Dependency groups of a pyproject.toml (PEP 735), those that `uv sync` installs by default → requirements. Pure.

Raises Fail: `build.bad-file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from perijove.launching.build.tables import unusable

PATH = "pyproject.toml"
DEFAULT = ("dev",)
"""Where `tool.uv.default-groups` names none."""
MOST = 5000
"""Requirements of all groups."""


def default_groups(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of groups that are installed where nobody asks for any."""
    groups = _groups(table)
    tool = table.get("tool")
    settings = tool.get("uv") if isinstance(tool, dict) else None
    named = settings.get("default-groups") if isinstance(settings, dict) else None
    if named is None:
        return tuple(name for name in DEFAULT if name in groups)
    if named == "all":
        return tuple(groups)
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise unusable(PATH, "tool.uv.default-groups is no list of names", repr(named))
    return tuple(map(canonicalize_name, named))


def requirements(table: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """What these groups hold, those that they include in their place."""
    groups = _groups(table)
    found: list[str] = []
    for name in names:
        for line in _lines(groups, name, ()):
            found.append(line)
            if len(found) > MOST:
                raise unusable(PATH, f"its groups hold more than {MOST} requirements", repr(name))
    return found


def _lines(groups: Mapping[str, Any], name: str, within: tuple[str, ...]) -> Iterator[str]:
    entries = groups.get(name)
    if not isinstance(entries, list):
        raise unusable(PATH, f"there is no dependency group {name[:100]}", repr(entries))
    if name in within:
        raise unusable(PATH, f"the dependency group {name} includes itself", repr(entries))
    for entry in entries:
        match entry:
            case str() if "\n" not in entry.strip():
                yield entry.strip()
            case {"include-group": str(other)} if len(entry) == 1:
                yield from _lines(groups, canonicalize_name(other), (*within, name))
            case _:
                raise unusable(PATH, f"the dependency group {name} holds what is no requirement", repr(entry))


def _groups(table: Mapping[str, Any]) -> dict[str, Any]:
    found = table.get("dependency-groups", {})
    if not isinstance(found, dict):
        raise unusable(PATH, "dependency-groups is not a table", repr(found))
    return {canonicalize_name(name): entries for name, entries in found.items()}
