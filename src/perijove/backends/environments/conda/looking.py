"""Whether an unpacked conda package names only files of its own, and what an environment sets. Runs confined.

Raises Fail: `build.bad-package`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from perijove.domain.conda_failures import BAD_PACKAGE
from perijove.domain.failures import Evidence, Fail

LARGEST = 256 * 1024**2
"""Bytes of a file that describes a package."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_ENTRY_POINT = re.compile(r"\s*[\w.+-]{1,200}\s*=\s*[\w.]+\s*:\s*[\w.]+\s*")


def looked_over(package: Path) -> int:
    """How many files it links into an environment."""
    listed = _names(package)
    folders: dict[str, bool] = {}
    for name, link in listed:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts or len(name) > 4000:
            _refuse(package, f"it names the file {name[:200]!r}", name)
        parent = os.path.dirname(name)
        if parent not in folders:
            folders[parent] = _is_folder(package, parent)
        if not folders[parent]:
            _refuse(package, f"{name[:200]} lies behind a link", name)
        _judge(package, name, link=link)
    _entry_points(package)
    return len(listed)


def _names(package: Path) -> list[tuple[str, bool]]:
    """Its files, and whether each is a link."""
    if not _is_folder(package, "info"):
        _refuse(package, "it has no folder info", "info")
    listed = _json(package, "info/paths.json")
    if listed is None:  # as before 2018
        text = _text(package, "info/files") or ""
        placeholders = [
            line.split()[-1].strip("\"'")
            for line in (_text(package, "info/has_prefix") or "").splitlines()
            if line.strip()
        ]
        names = [line for line in text.splitlines() if line.strip()]
        return [(name, os.path.islink(package / name)) for name in [*names, *placeholders]]
    paths = listed.get("paths")
    if not isinstance(paths, list) or not all(
        isinstance(one, dict) and isinstance(one.get("_path"), str) for one in paths
    ):
        _refuse(package, "its paths.json lists no paths", "info/paths.json")
    return [(one["_path"], one.get("path_type") == "softlink") for one in paths]


def _judge(package: Path, name: str, *, link: bool) -> None:
    try:
        mode = os.lstat(package / name).st_mode
    except OSError:
        return  # rattler says that it is missing
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (link and stat.S_ISLNK(mode))):
        _refuse(package, f"{name[:200]} is no file", oct(mode))


def _is_folder(package: Path, name: str) -> bool:
    """Whether each step to it is a folder, and no link."""
    path = package
    for part in PurePosixPath(name).parts:
        path /= part
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return False
        except OSError:
            return True  # nothing is there
    return True


def _entry_points(package: Path) -> None:
    found = (_json(package, "info/link.json") or {}).get("noarch")
    points = found.get("entry_points") if isinstance(found, dict) else None
    for point in points or ():
        if not isinstance(point, str) or not _ENTRY_POINT.fullmatch(point):
            _refuse(package, "it names a program like no program", repr(point))


def _json(package: Path, name: str) -> dict[str, Any] | None:
    text = _text(package, name)
    try:
        found = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        _refuse(package, f"its {name} cannot be read", text or "")
    return found if isinstance(found, dict) else None


def _text(package: Path, name: str) -> str | None:
    path = package / name
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode) or path.stat().st_size > LARGEST:
            _refuse(package, f"its {name} is no file that can be read", name)
        return path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def variables(environment: Path, of_file: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """What packages set by etc/conda/env_vars.d, and then what environment.yml does."""
    found: dict[str, str] = {}
    folder = environment / "etc" / "conda" / "env_vars.d"
    if _is_folder(environment, "etc/conda/env_vars.d") and folder.is_dir():
        for name in sorted(os.listdir(folder)):
            told = (_json(folder, name) or {}) if name.endswith(".json") else {}
            found |= {
                one: value
                for one, value in told.items()
                if isinstance(value, str) and _VARIABLE.fullmatch(one) and "\0" not in value
            }
    return tuple((found | dict(of_file)).items())


def _refuse(package: Path, why: str, saw: str) -> NoReturn:
    raise Fail(BAD_PACKAGE(f"{package.name} cannot be used: {why}", Evidence(package.name, saw[:300])))
