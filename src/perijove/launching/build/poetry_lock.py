"""poetry.lock and the pyproject.toml beside it → requirements as `poetry install` has them, and what limits them. Pure.

The project says what is wanted: its own dependencies and those of its groups that are not optional. The lock says in
which versions, for these and for all that they need. Raises Fail: `build.bad-file`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from perijove.launching.build import tables
from perijove.launching.build.groups import default_groups
from perijove.launching.build.groups import requirements as of_groups
from perijove.launching.build.lock_indexes import options
from perijove.launching.build.tables import unusable

PROJECT = "pyproject.toml"
Table = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,100}[A-Za-z0-9])?")


def poetry_requirements(path: str, lock: str, project: str) -> tuple[str, str]:
    """Requirements, other indexes than PyPI before them, and constraints: a line each."""
    packages = [one for one in _list(tables.read(path, lock).get("package")) if isinstance(one, dict)]
    table = tables.read(PROJECT, project)
    locked = {canonicalize_name(str(one.get("name"))): one for one in packages}
    wanted = [line for name, entry in _wanted(table) for line in _lines(locked, name, entry)]
    declared = _table(table, "project").get("dependencies")
    wanted += [str(one) for one in _list(declared)]
    wanted += of_groups(table, default_groups(table))
    counted = Counter(canonicalize_name(str(one.get("name"))) for one in packages)
    limits = [line for one in packages for line in _limit(path, one, counted)]
    sources = [_table(one, "source") for one in packages]
    indexes = options(path, [source.get("url") for source in sources if source.get("type") == "legacy"])
    return "\n".join([*indexes, *wanted]), "\n".join(limits)


def poetry_python(table: Table) -> str:
    """The Pythons that a project of poetry's is for, as a version specifier; `` for any."""
    wish = _table(_table(_table(table, "tool"), "poetry"), "dependencies").get("python", "")
    if not isinstance(wish, str):
        return ""
    parts = [_specifier(part.strip()) for part in wish.split(",")]
    return ",".join(part for part in parts if part) if "||" not in wish else ""


def _specifier(text: str) -> str:
    """`^3.9` → `>=3.9,<4`, `~3.10` → `>=3.10,<3.11`; others as PEP 440 has them."""
    found = re.fullmatch(r"([\^~])\s*([0-9]{1,4})(?:\.([0-9]{1,4}))?(\.[0-9]{1,4})?", text)
    if found:
        sign, major, minor, _ = found.groups()
        last = f"{major}.{int(minor) + 1}" if sign == "~" and minor else str(int(major) + 1)
        return f">={text[1:].strip()},<{last}"
    if re.fullmatch(r"[0-9.]+(?:\.\*)?", text):
        return f"=={text}"
    return "" if text == "*" else text.replace(" ", "")


def _wanted(table: Table) -> Iterator[tuple[str, Any]]:
    """What the project's own tables ask for, by name."""
    poetry = _table(_table(table, "tool"), "poetry")
    groups = [group for group in _table(poetry, "group").values() if isinstance(group, dict)]
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [_table(group, "dependencies") for group in groups if group.get("optional") is not True]
    for dependencies in tables:
        for name, entry in dependencies.items():
            if name.lower() != "python":
                yield from ((name, one) for one in (entry if isinstance(entry, list) else [entry]))


def _lines(locked: Mapping[NormalizedName, Table], name: str, entry: Any) -> Iterator[str]:
    """One dependency; which version is the lock's affair."""
    if not _NAME.fullmatch(name):
        raise unusable(PROJECT, "a dependency is named like no package", name)
    details = entry if isinstance(entry, dict) else {}
    if details.get("optional") is True:
        return
    extras = [str(one) for one in _list(details.get("extras"))]
    words = f"{name}[{','.join(extras)}]" if extras else name
    source = _table(locked.get(canonicalize_name(name), {}), "source")
    match source.get("type"):
        case "git":
            below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
            words += f" @ git+{source.get('url')}@{source.get('resolved_reference')}{below}"
        case "url":
            words += f" @ {source.get('url')}"
        case "directory" | "file":
            yield f"{words} @ ./{source.get('url')}"
            return
    markers = details.get("markers")
    yield f"{words} ; {markers}" if isinstance(markers, str) and markers else words


def _limit(path: str, package: Table, counted: Counter[NormalizedName]) -> Iterator[str]:
    """A package of an index in its version; one of several only where it says when it is the one."""
    name, version, markers = (package.get(key) for key in ("name", "version", "markers"))
    if not isinstance(name, str) or not isinstance(version, str) or not _NAME.fullmatch(name):
        raise unusable(path, "it holds a package without a name or a version", repr(package))
    if _table(package, "source").get("type", "legacy") != "legacy":
        return
    marked = f" ; {markers}" if isinstance(markers, str) and markers else ""
    if counted[canonicalize_name(name)] > 1 and not marked:
        return
    files = [one for one in _list(package.get("files")) if isinstance(one, dict)]
    hashes = [f" --hash={one.get('hash')}" for one in files]
    yield f"{name}=={version}{marked}{''.join(hashes)}"


def _table(table: Table, name: str) -> Table:
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []
