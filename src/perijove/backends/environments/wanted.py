"""An EnvironmentPlan → what uv is told to install, and what has to be built from sources first.

Reads the repository's included requirements files; never hands uv a file or folder of the repository.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import EnvironmentPlan, InstallProject, InstallRequirements
from perijove.launching.build.reading import read
from perijove.launching.build.requirements import Asks, Line, lines

DEEPEST = 20
"""Requirements files that may include one another."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to be built in a sandbox: pip's words for it, without extras, and the extras."""

    words: str
    extras: str
    """`[dev]`, or ``."""
    said: str
    """As the repository has it."""


@dataclass(slots=True)
class Wanted:
    """All that a plan asks for."""

    packages: list[str] = field(default_factory=list)
    """Requirements, from the operator's index."""
    constraints: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """Requirements files with options that only pip, in a sandbox, is given: other indexes, other ways to build."""
    prereleases: bool = False

    def line_for(self, name: str) -> str:
        """The requirement that was written for a package, or its bare name."""
        for line in self.packages:
            if (named := re.match(r"[A-Za-z0-9][\w.-]*", line)) and normalized(named[0]) == normalized(name):
                return re.split(r"\s--", line)[0].strip()
        return name


def normalized(name: str) -> str:
    """A package's name as the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def gather(plan: EnvironmentPlan, root: Path) -> Wanted:
    """What the plan's steps ask for. Raises Fail: `build.bad-file`."""
    wanted = Wanted()
    for step in plan.steps:
        match step:
            case InstallProject(path=path):
                wanted.sources.append(Source(path, "", "the repository's own package"))
            case InstallRequirements(path=path, text=text):
                _file(wanted, root, [path], lines(path, text))
    return wanted


def _file(wanted: Wanted, root: Path, files: list[str], content: Iterable[Line]) -> None:
    for line in content:
        _take(wanted, root, files, line)


def _take(wanted: Wanted, root: Path, files: Sequence[str], line: Line) -> None:
    path = files[-1]
    match line.asks:
        case Asks.PACKAGE:
            wanted.packages.append(line.text)
        case Asks.LOCAL:
            wanted.sources.append(_local(root, path, line))
        case Asks.REMOTE:
            wanted.sources.append(Source(*_split(line.value), line.text))
        case Asks.INCLUDE:
            inner = _inside(path, line, posixpath.join(posixpath.dirname(path), line.value))
            if inner in files or len(files) > DEEPEST:
                raise _bad(path, line, "includes itself")
            _file(wanted, root, [*files, inner], lines(inner, read(root, inner)))
        case Asks.CONSTRAIN:
            inner = _inside(path, line, posixpath.join(posixpath.dirname(path), line.value))
            wanted.constraints += [c.text for c in lines(inner, read(root, inner)) if c.asks is Asks.PACKAGE]
        case Asks.ELSEWHERE:
            if files[0] not in wanted.elsewhere:
                wanted.elsewhere.append(files[0])
        case Asks.FLAG:
            wanted.prereleases |= line.text.startswith("--pre")


def _local(root: Path, path: str, line: Line) -> Source:
    words, extras = _split(line.value)
    words = words.removeprefix("file:")
    inner = _inside(path, line, words)
    if not (root / inner).exists():
        raise _bad(path, line, f"names {words}, which does not exist")
    return Source("." if inner == "." else f"./{inner}", extras, line.text)


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
