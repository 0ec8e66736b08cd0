"""Which Python has builds of what is pinned: another that is installed here, or what an author is told to ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from perijove.backends.environments.uv import Uv
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs, Interpreter
from perijove.domain.failures import Failure

KNOWN = tuple(f"3.{minor}" for minor in range(6, 15))
"""Versions of Python that are asked about."""


async def other(uv: Uv, unfit: Sequence[str], inputs: BuildInputs, work: Path) -> Interpreter | None:
    """The best of the other interpreters for which all of `unfit` have wheels."""
    for interpreter in inputs.others:
        if await uv.has_wheels(unfit, interpreter.version, inputs.interpreter, work):
            return interpreter
    return None


async def no_wheel(uv: Uv, unfit: str, seen: Failure, interpreter: Interpreter, work: Path) -> Failure:
    """`seen`, as what it is where a package was built for other Pythons or systems alone."""
    having = [v for v in KNOWN if await uv.has_wheels([unfit], v, interpreter, work)]
    name = re.split(r"[\s\[<>=!~;]", unfit, maxsplit=1)[0]
    said = unfit.replace("==", " ")
    if having:
        cause = f"{said} has no build for Python {interpreter.minor}; it has for {_range(having)}"
        remedy = f"Write `python-{having[-1]}` into runtime.txt, or ask for a newer {name}."
        return failures.NO_WHEEL(cause, *seen.evidence, remedy=remedy)
    if not any("no wheels with a matching" in evidence.saw for evidence in seen.evidence):
        return seen
    cause = f"{said} has no build for Linux"
    tags = " ".join(evidence.saw for evidence in seen.evidence)
    match "macosx_" in tags, bool(re.search(r"\bwin(?:32|_\w+)", tags)):
        case True, False:
            marker, where = 'sys_platform == "darwin"', "macOS installs"
        case False, True:
            marker, where = 'sys_platform == "win32"', "Windows installs"
        case _:  # uv names systems only where a build is for this Python
            marker, where = 'sys_platform != "linux"', "other systems install"
    remedy = f"Remove it, or write `{unfit}; {marker}`, so that only {where} it."
    return failures.NO_WHEEL(cause, *seen.evidence, remedy=remedy)


def _range(versions: Sequence[str]) -> str:
    first, last = versions[0], versions[-1]
    minors = [int(version.partition(".")[2]) for version in versions]
    if len(versions) > 2 and minors == list(range(minors[0], minors[-1] + 1)):
        return f"{first} to {last}"
    return " and ".join([", ".join(versions[:-1]), last] if len(versions) > 1 else versions)
