"""environment.yml → which conda packages, from which channels, and what pip adds. Pure.

In: its text; out: the plan's steps, and notes for the author. Raises Fail: `build.bad-file`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from perijove.domain.nouns import InstallConda, InstallRequirements, Step
from perijove.launching.build.tables import unusable

NAMES = ("environment.yml", "environment.yaml")
"""The first that is there counts."""
IGNORED = (
    *("requirements.txt", "Pipfile", "Pipfile.lock", "setup.py", "pyproject.toml", "runtime.txt"),
    *("conda-lock.yml", "pixi.toml", "pixi.lock"),
)
"""Files that count no more where one of `NAMES` stands beside them."""
MOST = 5000
"""Packages that one file may name."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")


def conda_steps(path: str, text: str) -> tuple[list[Step], list[str]]:
    """The conda packages first, then what pip adds to them."""
    content, lines = _loaded(path, text)
    notes: list[str] = []
    if content.get("prefix") is not None:
        notes.append(f"{path}: prefix is not followed")
    channels, specs, pips = content.get("channels"), [], []
    for position, entry in enumerate(_listed(path, content, "dependencies")):
        match entry:
            case str() if entry.strip():
                specs.append(entry.strip())
            case {"pip": pip} if len(entry) == 1:
                pips += _pip(path, pip, lines.get(position, ()))
            case _:
                raise unusable(path, "dependencies holds what is neither a package nor a list for pip", repr(entry))
    if len(specs) > MOST:
        raise unusable(path, f"it names more than {MOST} packages", f"{len(specs)}")
    named = tuple(_channel(path, one) for one in _listed(path, {"channels": channels}, "channels"))
    steps: list[Step] = [InstallConda(path, named, tuple(specs), _variables(path, content.get("variables")))]
    if pips:
        steps.append(InstallRequirements(path, _placed(pips)))
    return steps, notes


def _loaded(path: str, text: str) -> tuple[dict[str, Any], dict[int, Sequence[int]]]:
    """What the file says, and at which lines the entries of pip's lists stand, by their lists' positions."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line, letter = text.count("\n", 0, error.position) + 1, chr(error.character)
        raise unusable(path, f"line {line} holds {letter!r}, which YAML does not take", str(error)) from error
    try:
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except RecursionError:
        raise unusable(path, "it is nested too deeply", text) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # also keys and dates that are none
        raise unusable(path, "it is not YAML", str(error)) from error
    finally:
        loader.dispose()
    if content is None:
        return {}, {}
    if not isinstance(content, dict):
        raise unusable(path, f"it holds a {type(content).__name__}, not names with values", text)
    return content, _pip_lines(node)


def _pip_lines(node: Any) -> dict[int, Sequence[int]]:
    found: dict[int, Sequence[int]] = {}
    for key, value in node.value:
        if key.value == "dependencies" and isinstance(value, yaml.SequenceNode):
            for position, entry in enumerate(value.value):
                inner = entry.value[0][1] if isinstance(entry, yaml.MappingNode) and entry.value else None
                if isinstance(inner, yaml.SequenceNode):
                    found[position] = [line.start_mark.line for line in inner.value]
    return found


def _listed(path: str, content: dict[str, Any], name: str) -> list[Any]:
    found = content.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise unusable(path, f"{name} is not a list", repr(found))
    return found


def _pip(path: str, found: Any, lines: Sequence[int]) -> list[tuple[int, str]]:
    """What a list for pip holds, each with its line."""
    if found is None:
        return []
    entries = found if isinstance(found, list) else [found]
    if not all(isinstance(one, str) and "\n" not in one.strip() for one in entries):
        raise unusable(path, "pip is not a list of requirements", repr(found))
    where = lines if len(lines) == len(entries) else range(len(entries))
    return [(line, one.strip()) for line, one in zip(where, entries, strict=True)]


def _placed(entries: Sequence[tuple[int, str]]) -> str:
    """A requirements file whose lines have the numbers that they have in environment.yml."""
    text: list[str] = []
    for line, entry in entries:
        text += [""] * (line - len(text))
        text.append(entry)
    return "\n".join(text)


def _channel(path: str, found: Any) -> str:
    if not isinstance(found, str) or not re.fullmatch(r"[^\s\\?#]{1,300}", found.strip()):
        raise unusable(path, "channels holds what is no channel", repr(found))
    return found.strip()


def _variables(path: str, found: Any) -> tuple[tuple[str, str], ...]:
    if found is None:
        return ()
    if not isinstance(found, dict):
        raise unusable(path, "variables is not a table", repr(found))
    told = []
    for name, value in found.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or isinstance(value, (dict, list)):
            raise unusable(path, "variables holds what is no variable", repr((name, value)))
        if "\0" in (text := "" if value is None else str(value)) or len(text) > 32_000:
            raise unusable(path, f"the variable {name} has a value that none may have", repr(text))
        told.append((name, text))
    return tuple(told)
