"""The repository's files as these tests read them. In: the working tree. Out: paths, texts, syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "perijove"


def modules(below: Path = PACKAGE) -> Iterator[Path]:
    """All Python files below a folder, in order."""
    return iter(sorted(below.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(), str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's syntax tree."""
    return tuple(ast.walk(tree(path)))


def document(name: str) -> str:
    """A text of docs/."""
    return (ROOT / "docs" / name).read_text()


def name_of(path: Path) -> str:
    """A path as people write it: below the repository."""
    return str(path.relative_to(ROOT))


def published() -> list[Path]:
    """What a clone holds: every file that git tracks, or would, and that is not ignored; all files where git is not."""
    if not (ROOT / ".git").exists():
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
