"""Files that look as if they described an environment, and are not read: a note for the log each. Pure.

In: names of files where they count and in folders where they do not; out: sentences for the repository's author.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SPELLINGS = (
    *("requirements.txt", "runtime.txt", "environment.yml", "environment.yaml", "apt.txt", "postBuild", "Dockerfile"),
    *("pyproject.toml", "setup.py", "Pipfile", "install.R", "Project.toml"),
)
"""Names that authors write with other capitals, where their own file system makes no difference."""
ALIKE = ("requirements.txt", "runtime.txt", "environment.yml", "apt.txt", "postbuild")
"""Those that stay unread with a letter too many or too few, or with an end that they do not have."""
NEAR = 0.9
"""How much of two names is the same, 1 being all."""
MISPLACED = ("requirements.txt", "environment.yml", "environment.yaml", "apt.txt", "postBuild", "runtime.txt")
"""Names that mean an environment wherever they lie; only the root's and binder/'s are read."""
DESCRIBING = frozenset(
    (*SPELLINGS, "pylock.toml", "setup.cfg", "Pipfile.lock", "start", "DESCRIPTION", "JuliaProject.toml")
)
ELSEWHERE = (
    *("requirements.in", "env.yml", "env.yaml", "conda.yml", "conda.yaml"),
    *("flake.nix", "shell.nix", "Manifest.toml", "Containerfile"),
)
"""Names by which other programs than a Binder know an environment."""
TOOLS = ("poetry", "pdm", "hatch", "flit")
"""Programs whose tables of pyproject.toml name packages in a way of their own."""
MOST = 5
"""Notes on files in other folders."""
_SPELLED = {name.lower(): name for name in SPELLINGS}


def misspelled(folder: str, names: frozenset[str]) -> list[str]:
    """Notes on files of the place that counts whose name is nearly one that is read."""
    found = []
    for path in sorted(names):
        parent, _, name = path.rpartition("/")
        right = _SPELLED.get(name.lower()) or _alike(name.lower())
        if parent == folder.rstrip("/") and right not in {None, name} and f"{folder}{right}" not in names:
            capitals = ", capitals included" if right.lower() == name.lower() else ""
            found.append(f"{path} is not read: the name that counts is {right}{capitals}")
    if not folder and "setup.cfg" in names and not names & {"setup.py", "pyproject.toml"}:
        found.append("setup.cfg alone is not installed: pip wants a setup.py or a pyproject.toml beside it")
    return found


def _alike(name: str) -> str | None:
    """The name that an author has nearly written; None for none."""
    stem = name.removesuffix(".txt").removesuffix(".sh")
    near = difflib.get_close_matches(name, ALIKE, 1, NEAR)
    return _SPELLED[stem if stem in ALIKE else near[0]] if near or stem in ALIKE else None


def hidden_root(folder: str, names: frozenset[str]) -> list[str]:
    """A note where binder/ holds nothing that describes an environment, and so hides what the root says."""
    hidden = sorted(name for name in names if name in DESCRIBING)
    if not folder or not hidden or any(f"{folder}{name}" in names for name in DESCRIBING):
        return []
    return [f"{folder} replaces the root and describes no environment: {', '.join(hidden)} in the root is not read"]


def unnamed(tools: Iterable[str]) -> list[str]:
    """Notes on tables of a pyproject.toml that nothing is installed of."""
    return [
        f"pyproject.toml: packages that [tool.{tool}] names are not installed; those that [project] names would be"
        for tool in TOOLS
        if tool in tools
    ]


def misplaced(folder: str, names: frozenset[str], paths: Iterable[str]) -> list[str]:
    """Notes on other programs' files, and on those in folders that do not count, the uppermost first."""
    others = [folder + name for name in ELSEWHERE if folder + name in names]
    found = sorted(paths, key=lambda path: (path.count("/"), path))[:MOST]
    return [
        *(f"{path} is not read, and nothing else names packages" for path in others),
        *(f"{path} is not read: only the root's and binder/'s are" for path in found),
    ]
