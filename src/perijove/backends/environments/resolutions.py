"""What a commit's packages were resolved to: it stays so, until somebody asks for it anew. Synchronous.

One file for each commit and what it asks for, beside which environments come and go; another one for the conda packages
that were decided on before.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perijove import durable
from perijove.domain.build_inputs import BuildInputs, Package
from perijove.domain.nouns import EnvironmentKey

KEPT = 20_000
"""The latest used."""
_LINE = re.compile(r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.!+_-]+")


@dataclass(frozen=True, slots=True)
class Resolution:
    """As it was last made."""

    name: str
    """Of the build; another one where another interpreter, or another version of ours, would make it."""
    turn: int
    environment: EnvironmentKey
    lines: tuple[str, ...]
    """Packages of the index with their versions, which a build that is to be the same takes again."""


def read(folder: Path, inputs: BuildInputs) -> Resolution | None:
    """None where it was never resolved; it counts as used now."""
    found = recalled(folder, inputs.question)
    try:
        lines = tuple(line for line in found["lines"] if _LINE.fullmatch(line))
        return Resolution(str(found["name"]), int(found["turn"]), str(found["environment"]), lines)
    except (KeyError, TypeError, ValueError):
        return None


def write(folder: Path, inputs: BuildInputs, environment: EnvironmentKey, packages: Iterable[Package]) -> None:
    """From now on it is resolved so. Raises OSError."""
    lines = tuple(one.line for one in packages if not one.built and _LINE.fullmatch(one.line))
    keep(folder, inputs.question, asdict(Resolution(inputs.name, inputs.turn, environment, lines)))


def recalled(folder: Path, question: str) -> dict[str, Any]:
    """What a question's answer was, empty where there is none; it counts as used now."""
    path = folder / f"{question}.json"
    try:
        found = json.loads(path.read_bytes())
        os.utime(path)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(folder: Path, question: str, answer: dict[str, Any]) -> None:
    """Raises OSError."""
    durable.write(folder / f"{question}.json", json.dumps(answer).encode())


def tidy(folder: Path, kept: int = KEPT) -> None:
    """Forget what nobody has asked for longest."""
    held = sorted(folder.glob("*.json"), key=lambda path: -path.stat().st_mtime)
    for path in held[kept:]:
        path.unlink()
