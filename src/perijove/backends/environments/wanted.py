"""An EnvironmentPlan → what uv is told to install, and what has to be built from sources first.

Reads the repository's included requirements files; never hands uv a file or folder of the repository, nor an option.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perijove.domain import failures
from perijove.domain.build_inputs import Source, Wanted
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import (
    EnvironmentPlan,
    FollowLock,
    InstallConda,
    InstallProject,
    InstallRequirements,
    InstallSystem,
)
from perijove.launching.build.poetry_lock import PROJECT, poetry_requirements
from perijove.launching.build.pylock_file import requirements as pylock_requirements
from perijove.launching.build.reading import LARGEST_LOCK, read
from perijove.launching.build.requirements import Asks, Line, lines

DEEPEST = 20
"""Requirements files that may include one another."""
_HASH = re.compile(r"--hash[= ](sha(?:256|384|512):[0-9a-f]+)")


@dataclass(slots=True)
class _Gathered:
    packages: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    elsewhere: bool = False
    """Whether options name other places, or other ways to build."""
    prereleases: bool = False
    base: str = ""
    """The folder that local paths start from: pip's working folder."""


def lines_for(lines: Iterable[str], name: str) -> Sequence[str]:
    """The requirements that were written for a package: those that pin it, or else the first, or its bare name."""
    named = ((re.match(r"[A-Za-z0-9][\w.-]*", line), line) for line in lines)
    found = [line for of, line in named if of and canonicalize_name(of[0]) == canonicalize_name(name)]
    pinned = [line for line in found if "==" in re.split(r";| --", line, maxsplit=1)[0]]
    # The same version may stand there with its hashes and without.
    return [line for line in pinned if " --hash" in line] or list(dict.fromkeys(pinned)) or found[:1] or [name]


def gather(plan: EnvironmentPlan, root: Path) -> Wanted:
    """What the plan's steps ask for. Raises Fail: `build.bad-file`."""
    found = _Gathered()
    for step in plan.steps:
        match step:
            case InstallProject(path=path):
                _add(found, Source(path, "", "the repository's own package", local=True))
            case InstallSystem():  # apt decides on them
                continue
            case InstallConda(path=path):  # rattler decides on its packages
                found.base = posixpath.dirname(path)
            case InstallRequirements(path=path, text=text):
                _file(found, root, [path], lines(path, text))
            case FollowLock(path=path):
                wanted, limits = _locked(root, path)
                _file(found, root, [path], lines(path, wanted))
                found.constraints += [_requirement(path, limit) for limit in lines(path, limits)]
    return Wanted(
        tuple(found.packages),
        tuple(found.constraints),
        tuple(found.sources),
        tuple(found.options) if found.elsewhere else (),
        found.prereleases,
    )


def _locked(root: Path, path: str) -> tuple[str, str]:
    """A lock file as requirements, and as constraints."""
    text = read(root, path, LARGEST_LOCK)
    if posixpath.basename(path) == "poetry.lock":
        return poetry_requirements(path, text, read(root, PROJECT))
    return pylock_requirements(path, text), ""


def _file(found: _Gathered, root: Path, files: list[str], content: Iterable[Line]) -> None:
    for line in content:
        _take(found, root, files, line)


def _take(found: _Gathered, root: Path, files: Sequence[str], line: Line) -> None:
    path = files[-1]
    match line.asks:
        case Asks.PACKAGE:
            found.packages.append(_requirement(path, line))
        case Asks.LOCAL:
            _add(found, _local(root, path, line, found.base))
        case Asks.REMOTE:
            found.sources.append(Source(*_split(line.value), line.text, local=False))
        case Asks.INCLUDE:
            inner = _inside(path, line, posixpath.join(posixpath.dirname(path), line.value))
            if inner in files or len(files) > DEEPEST:
                raise _bad(path, line, "includes itself")
            _file(found, root, [*files, inner], lines(inner, read(root, inner)))
        case Asks.CONSTRAIN:
            inner = _inside(path, line, posixpath.join(posixpath.dirname(path), line.value))
            for limit in lines(inner, read(root, inner)):
                if limit.asks is Asks.PACKAGE:
                    found.constraints.append(_requirement(inner, limit))
        case Asks.ELSEWHERE:
            found.elsewhere = True
            found.options.append(_option(root, path, line, found.base))
        case Asks.FLAG:
            found.prereleases |= line.text.startswith("--pre")
            found.options.append(line.text)


def _add(found: _Gathered, source: Source) -> None:
    """A folder of the repository is built once, with all extras: `-e .[dev]` is often its own package as well."""
    for place, other in enumerate(found.sources):
        if other.local and other.words == source.words:
            both = f"{other.extras},{source.extras}"
            extras = dict.fromkeys(name for part in re.split(r"[\[\],]", both) if (name := part.strip()))
            found.sources[place] = replace(other, extras=f"[{','.join(extras)}]" if extras else "")
            return
    found.sources.append(source)


def _option(root: Path, path: str, line: Line, base: str) -> str:
    """As pip reads it in the repository's folder: packages in a folder of the repository's are found from there."""
    if not line.text.startswith(("-f", "--find-links")) or "://" in line.value:
        return line.text
    words = line.value.removeprefix("file:")
    beside = posixpath.join(posixpath.dirname(path), words)
    inner = beside if (root / beside).exists() else posixpath.join(base, words)
    return f"--find-links ./{_inside(path, line, inner)}"


def _local(root: Path, path: str, line: Line, base: str) -> Source:
    words, extras = _split(line.value)
    words = words.removeprefix("file:")
    inner = _inside(path, line, posixpath.join(base, words))
    if not (root / inner).exists():
        raise _bad(path, line, f"names {words}, which does not exist")
    return Source("." if inner == "." else f"./{inner}", extras, line.text, local=True)


def _requirement(path: str, line: Line) -> str:
    """A requirement as uv gets it: written anew from what was understood, for uv follows options within a line too."""
    requirement = Requirement(re.split(r"\s--", line.text, maxsplit=1)[0].strip())
    if requirement.url:
        raise _bad(path, line, "names an address in a way that cannot be followed here")
    return " ".join([str(requirement), *(f"--hash={found}" for found in _HASH.findall(line.text))])


def _split(words: str) -> tuple[str, str]:
    """A path or address, and the extras at its end; those before an `@` stay where they are."""
    found = re.fullmatch(r"(?P<words>[^\s\[]+)(?P<extras>\[[\w\s,.-]+\])", words)
    return (found["words"], found["extras"]) if found else (words, "")


def _inside(path: str, line: Line, inner: str) -> str:
    normal = posixpath.normpath(inner)
    if "://" in inner or posixpath.isabs(normal) or normal.split("/")[0] == "..":
        raise _bad(path, line, "refers to something outside of the repository")
    return normal


def _bad(path: str, line: Line, why: str) -> Fail:
    where = f"{path}:{line.number}"
    return Fail(failures.BAD_FILE(f"{path}, line {line.number} {why}", Evidence(where, line.text[:300])))
