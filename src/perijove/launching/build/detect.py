"""Files → EnvironmentPlan: which steps, in which order, on which Python. Pure.

In: the names of a repository's files at its root and in `binder/` or `.binder/`, and the text of those in `READ`.
Raises Fail: `build.bad-file`, `build.unsupported-file`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from perijove.domain import failures
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import (
    EnvironmentPlan,
    FollowLock,
    InstallProject,
    InstallRequirements,
    InstallSystem,
    PythonRequest,
    PythonSource,
    Step,
)
from perijove.launching.build import apt_file, conda_file, conda_locks, tables
from perijove.launching.build.groups import default_groups
from perijove.launching.build.groups import requirements as of_groups
from perijove.launching.build.leftovers import listed
from perijove.launching.build.near_misses import hidden_root, misplaced, misspelled, unnamed
from perijove.launching.build.poetry_lock import poetry_python
from perijove.launching.build.tables import unusable

FOLDERS = ("binder", ".binder")
"""Either replaces the root for all files that describe the environment."""
READ = (
    *("requirements.txt", "runtime.txt", ".python-version", "pyproject.toml", apt_file.NAME),
    *conda_file.NAMES,
)
"""Names whose text `detect` looks at."""

UNSUPPORTED = (
    *("Dockerfile", "Project.toml", "JuliaProject.toml", "REQUIRE", "default.nix", "DESCRIPTION", "install.R"),
    *("Pipfile", "Pipfile.lock", "requirements3.txt"),
)
"""Files that would change the environment and are not understood yet."""
UNREAD = ("renv.lock",)
"""Locks that no Binder follows: beside the files that are, and alone."""
DESCRIBING = ("requirements.txt", "pyproject.toml", "setup.py")
"""Files beside which a Binder follows none of conda's locks."""
ANY_PYTHON = PythonRequest("", PythonSource.DEFAULT)
"""Conda decides on it."""
LONGEST_SPECIFIER = 300
"""Characters; each clause is compared with all versions that there may be."""
_LARGE_NUMBER = re.compile(r"[0-9]{10}")
_FOLLOWED = ("pylock.toml", "uv.lock", "poetry.lock")
"""Lock files, the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Detected:
    """The plan, and what the repository's author should know about how it was read: lines for the log."""

    plan: EnvironmentPlan
    notes: tuple[str, ...]


def to_read(names: frozenset[str]) -> frozenset[str]:
    """Of a repository's files, those whose text `detect` looks at. Raises Fail: `build.bad-file`."""
    prefixes = ("", *(f"{folder}/" for folder in FOLDERS))
    lock = _conda_lock(_folder(names), names)
    return names & {*(prefix + name for prefix in prefixes for name in READ), lock}


def detect(
    names: frozenset[str], texts: Mapping[str, str], elsewhere: Iterable[str] = (), platform: str = "linux-64"
) -> Detected:
    """The plan of a repository.

    `names`: paths of all files at the root and in the folders; `texts`: those of `to_read`, by the same paths;
    `elsewhere`: paths of files in other folders whose names would mean an environment; `platform`: of sessions.
    """
    folder = _folder(names)
    conda = next((folder + name for name in conda_file.NAMES if folder + name in names), "")
    if conda:
        left = names - {folder + name for name in conda_file.IGNORED}
        _refuse_unsupported(folder, left, {})
        return _conda(conda, folder, names, texts)
    _refuse_unsupported(folder, names, texts)
    if of_conda := _conda_lock(folder, names):
        return _conda_locked(of_conda, folder, names, texts, platform)
    lock, notes = _lock(folder, names)
    unread = [folder + name for name in (*conda_locks.READERS, *UNREAD) if folder + name in names]
    notes += [f"{path} is not followed: versions are chosen afresh" for path in unread]
    notes += [*misspelled(folder, names), *hidden_root(folder, names)]
    steps = _system(folder, texts)
    requirements = folder + "requirements.txt"
    if requirements in names:
        steps.append(InstallRequirements(requirements, texts[requirements]))
    if lock:
        steps.append(FollowLock(lock))
    requires_python = ""
    if not folder:
        project, requires_python = _project(names, texts, notes, lock, listed=requirements in names)
        steps += project
    elif names & {"pyproject.toml", "setup.py"}:
        notes.append(f"The repository's own package is not installed, because {folder} replaces the root")
    if all(isinstance(step, InstallSystem) for step in steps):
        notes += misplaced(folder, names, elsewhere)
    request = _python_request(folder, texts, requires_python, notes)
    return Detected(EnvironmentPlan(request, tuple(steps), *_scripts(folder, names)), tuple(notes))


def _system(folder: str, texts: Mapping[str, str]) -> list[Step]:
    path = folder + apt_file.NAME
    step = apt_file.system_step(path, texts[path]) if path in texts else None
    return [step] if step else []


def _conda(path: str, folder: str, names: frozenset[str], texts: Mapping[str, str]) -> Detected:
    """environment.yml describes all of it but the system beneath."""
    steps, notes = conda_file.conda_steps(path, texts[path])
    steps = [*_system(folder, texts), *steps]
    ignored = [name for name in conda_file.IGNORED if folder + name in names]
    if ignored:
        notes.insert(0, f"{path} is followed, so these are not: {', '.join(ignored)}")
    notes += misspelled(folder, names)
    return Detected(EnvironmentPlan(ANY_PYTHON, tuple(steps), *_scripts(folder, names)), tuple(notes))


def _conda_locked(path: str, folder: str, names: frozenset[str], texts: Mapping[str, str], platform: str) -> Detected:
    """So does one of conda's locks."""
    steps = (*_system(folder, texts), *conda_locks.locked_steps(path, texts[path], platform))
    others = [name for name in conda_locks.READERS if folder + name in names and folder + name != path]
    said = [f"{path} is followed, so these are not: {', '.join(others)}"] if others else []
    said += misspelled(folder, names)
    return Detected(EnvironmentPlan(ANY_PYTHON, steps, *_scripts(folder, names)), tuple(said))


def _conda_lock(folder: str, names: frozenset[str]) -> str:
    """Of conda's locks the one that counts, or `` where a Binder follows none."""
    if any(folder + name in names for name in (*conda_file.NAMES, *DESCRIBING)):
        return ""
    return next((folder + name for name in conda_locks.READERS if folder + name in names), "")


def _lock(folder: str, names: frozenset[str]) -> tuple[str, list[str]]:
    """The lock file that is followed, or ``, and notes on the others."""
    there = [name for name in (*_FOLLOWED, "pdm.lock") if folder + name in names]
    alone = bool(folder) or "pyproject.toml" not in names
    may = [name for name in _FOLLOWED if name in there and not (alone and name != "pylock.toml")]
    listed = f"{folder}requirements.txt"
    lock = may[0] if may and listed not in names else ""
    why = "versions are chosen afresh" if not lock else f"{folder}{lock} is"
    why = f"{listed} is" if listed in names else why
    return f"{folder}{lock}" if lock else "", [
        f"{folder}{name} is not followed: {why}" for name in there if name != lock
    ]


def _scripts(folder: str, names: frozenset[str]) -> tuple[str, str]:
    """What is run once the environment stands, and what starts the server; `` for none."""
    post_build, start = (folder + name if folder + name in names else "" for name in ("postBuild", "start"))
    return post_build, start


def _folder(names: frozenset[str]) -> str:
    """`binder/`, `.binder/`, or `` for the root."""
    there = [f"{folder}/" for folder in FOLDERS if any(name.startswith(f"{folder}/") for name in names)]
    if len(there) > 1:
        cause = "Both binder/ and .binder/ describe the environment; only one of them may"
        raise Fail(failures.BAD_FILE(cause, *(Evidence(folder, "exists") for folder in there)))
    return there[0] if there else ""


def _refuse_unsupported(folder: str, names: frozenset[str], texts: Mapping[str, str]) -> None:
    """All of them at once, so that an author does not meet one after the other."""
    there = [folder + name for name in UNSUPPORTED if folder + name in names]
    evidence = [Evidence(path, "exists") for path in there]
    causes = [f"{listed(there)} {'is' if len(there) == 1 else 'are'} not supported"] if there else []
    runtime = folder + "runtime.txt"
    asked = re.match(r"\s*(?!python-)([A-Za-z]{1,40})-[0-9]", texts.get(runtime, ""))
    if asked:
        evidence.append(Evidence(runtime, texts[runtime].strip()[:200]))
        causes.append(f"{runtime} asks for {asked[1]}")
    if causes:
        raise Fail(failures.UNSUPPORTED_FILE("; ".join(causes), *evidence))


def _project(
    names: frozenset[str], texts: Mapping[str, str], notes: list[str], lock: str, *, listed: bool
) -> tuple[list[Step], str]:
    """The steps for the repository's own package, if it is one, and its `requires-python`.

    `lock`: what says which versions; `listed`: whether requirements.txt says what is needed beside the package.
    """
    table = tables.read("pyproject.toml", texts["pyproject.toml"]) if "pyproject.toml" in names else {}
    project = _table(table, "project")
    requires_python = project.get("requires-python", "") or poetry_python(table)
    if not isinstance(requires_python, str) or not _specifies(requires_python):
        raise unusable("pyproject.toml", "requires-python is no version specifier", repr(requires_python))
    chosen = () if lock or listed else default_groups(table)
    if chosen:
        notes.append(f"pyproject.toml: the dependency groups that uv installs by default are: {', '.join(chosen)}")
    grouped = "\n".join(of_groups(table, chosen))
    steps: list[Step] = [InstallRequirements("pyproject.toml", grouped)] if grouped else []
    dynamic = project.get("dynamic", [])
    if _is_package(names, table) or (isinstance(dynamic, list) and "dependencies" in dynamic):
        return [*steps, InstallProject(".")], requires_python
    if lock or not project:
        notes += [] if lock or listed else unnamed(_table(table, "tool"))
        return steps, requires_python
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(d, str) and "\n" not in d for d in dependencies):
        raise unusable("pyproject.toml", "project.dependencies is not a list of requirements", repr(dependencies))
    notes.append("pyproject.toml has no [build-system]: its dependencies are installed, the project itself is not")
    return [*steps, InstallRequirements("pyproject.toml", "\n".join(dependencies))], requires_python


def _is_package(names: frozenset[str], table: Mapping[str, Any]) -> bool:
    """Whether the repository itself can be installed, and wants to be."""
    tool = _table(table, "tool")
    unwanted = (("uv", "package"), ("poetry", "package-mode"))
    if any(_table(tool, program).get(name) is False for program, name in unwanted):
        return "setup.py" in names
    return "setup.py" in names or "build-system" in table


def _specifies(text: str) -> bool:
    """Whether it is a version specifier (PEP 440), of a length that one has."""
    if len(text) > LONGEST_SPECIFIER or _LARGE_NUMBER.search(text):
        return False
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def _python_request(folder: str, texts: Mapping[str, str], requires_python: str, notes: list[str]) -> PythonRequest:
    """runtime.txt beats .python-version beats requires-python; they may not contradict the last."""
    request = None
    if (path := folder + "runtime.txt") in texts:
        request = PythonRequest(_runtime(path, texts[path], notes), PythonSource.RUNTIME_TXT)
    elif (path := folder + ".python-version") in texts and (version := _python_version(path, texts[path], notes)):
        request = PythonRequest(version, PythonSource.PYTHON_VERSION)
    if request is None:
        source = PythonSource.REQUIRES_PYTHON if requires_python else PythonSource.DEFAULT
        return PythonRequest(requires_python, source)
    if not _agree(request.specifier, requires_python):
        asked = request.specifier.removeprefix("==").removesuffix(".*")
        raise Fail(
            failures.BAD_FILE(
                f"{path} asks for Python {asked}, but pyproject.toml requires {requires_python}",
                Evidence(path, texts[path].strip()[:200]),
                Evidence("pyproject.toml", f"requires-python = {requires_python!r}"),
            )
        )
    return request


def _runtime(path: str, text: str, notes: list[str]) -> str:
    """`python-3.12`, `python-3.12.1`, either with `-YYYY-MM-DD` → `==3.12.*`, `==3.12.1`."""
    content = text.strip()
    found = re.fullmatch(r"python(?:-([0-9]{1,9}(?:\.[0-9]{1,9}){0,2}))?(-[0-9]{4}-[0-9]{2}-[0-9]{2})?", content)
    if found is None or not (found[1] or found[2]):
        raise unusable(path, "it does not say a version like python-3.12", content)
    if found[2]:
        notes.append(f"{path}: the date {found[2][1:]} is not followed")
    return _exactly(found[1]) if found[1] else ""


def _python_version(path: str, text: str, notes: list[str]) -> str:
    """The first line that says something: `3.12`, `3.12.1`, `cpython@3.12`, `python-3.12`."""
    said = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not said:
        return ""
    found = re.fullmatch(r"(?:(?:cpython|python)[@-]?)?([0-9]{1,9}(?:\.[0-9]{1,9}){0,2})", said[0])
    if found is None:
        notes.append(f"{path} says {said[0][:60]!r}, which is no version of CPython: it is not followed")
        return ""
    return _exactly(found[1])


def _exactly(version: str) -> str:
    return f"=={version}" if version.count(".") == 2 else f"=={version}.*"


def _agree(specifier: str, requires_python: str) -> bool:
    """Whether some version satisfies both; whether there is one at all is not asked here."""
    if not requires_python:
        return True
    both = SpecifierSet(specifier) & SpecifierSet(requires_python)
    return any(
        both.contains(f"{major}.{minor}.{patch}") for major in (2, 3) for minor in range(40) for patch in range(40)
    )


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise unusable("pyproject.toml", f"{name} is not a table", repr(found))
    return found
