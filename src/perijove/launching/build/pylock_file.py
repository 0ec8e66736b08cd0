"""pylock.toml (PEP 751) → a requirements file that asks for just what it holds. Pure. Raises Fail: `build.bad-file`."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping

from packaging.pylock import Package, PackageArchive, PackageVcs, Pylock, PylockValidationError

from perijove.launching.build.lock_indexes import options
from perijove.launching.build.tables import unusable

_ELSEWHERE = re.compile(r"-(?:win32|win_\w+|macosx_\w+)\.whl$")
"""Wheels for other systems: their hashes are nobody's here."""
_SELECTS = re.compile(r"\b(?:extras|dependency_groups)\b")


def requirements(path: str, text: str) -> str:
    """A line a package, with its hashes; before them other indexes than PyPI."""
    try:
        lock = Pylock.from_dict(tomllib.loads(text))
    except RecursionError:
        raise unusable(path, "its tables are nested too deeply", "") from None
    except (ValueError, TypeError, PylockValidationError) as error:
        raise unusable(path, "it is no lock file", str(error)) from error
    groups = tuple(lock.default_groups or ())
    selected = [one for one in lock.packages if _selected(one, groups)]
    indexes = options(path, [one.index for one in selected if one.index])
    return "\n".join([*indexes, *(_line(path, one) for one in selected)])


def _selected(package: Package, groups: tuple[str, ...]) -> bool:
    """Whether it is one of what is installed where nobody asks for extras or groups."""
    if package.marker is None or not _SELECTS.search(str(package.marker)):
        return True
    chosen: Mapping[str, str | frozenset[str]] = {"extras": frozenset(), "dependency_groups": frozenset(groups)}
    return package.marker.evaluate(chosen, context="lock_file")


def _line(path: str, package: Package) -> str:
    marker = "" if package.marker is None or _SELECTS.search(str(package.marker)) else f" ; {package.marker}"
    if package.vcs is not None:
        return f"{package.name} @ {_commit(path, package.vcs)}{marker}"
    if package.archive is not None:
        return f"{package.name} @ {_archive(path, package.archive)}{marker}"
    if package.directory is not None:
        inner = posixpath.join(package.directory.path, package.directory.subdirectory or "")
        return _local(path, inner)
    if package.version is None:
        return f"{package.name}{marker}"
    hashes = "".join(f" --hash=sha256:{found}" for found in _hashes(package))
    return f"{package.name}=={package.version}{marker}{hashes}"


def _hashes(package: Package) -> Iterator[str]:
    for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ())):
        name = file.name or posixpath.basename(file.url or file.path or "")
        if (found := file.hashes.get("sha256")) and not _ELSEWHERE.search(name):
            yield found


def _commit(path: str, vcs: PackageVcs) -> str:
    if vcs.url is None:
        raise unusable(path, "it names a repository by its path", vcs.path or "")
    return f"{vcs.type}+{vcs.url}@{vcs.commit_id}" + (f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else "")


def _archive(path: str, archive: PackageArchive) -> str:
    if archive.url is None:
        return _local(path, archive.path or "")
    found = archive.hashes.get("sha256")
    parts = [
        *([f"sha256={found}"] if found else []),
        *([f"subdirectory={archive.subdirectory}"] * bool(archive.subdirectory)),
    ]
    return archive.url + ("#" + "&".join(parts) if parts else "")


def _local(path: str, inner: str) -> str:
    """A place below the file's own folder, as pip's working folder has it."""
    return f"./{posixpath.normpath(posixpath.join(posixpath.dirname(path), inner))}"
