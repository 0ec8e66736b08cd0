"""A Python that this machine does not have, as a package of conda's. In: a plan. Out: the same with it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from perijove.backends.environments.interpreters import OLDEST
from perijove.domain.build_inputs import Interpreter
from perijove.domain.nouns import EnvironmentPlan, InstallConda, PythonRequest, PythonSource

CHANNEL = "conda-forge"


def with_python(plan: EnvironmentPlan, installed: Sequence[Interpreter]) -> EnvironmentPlan | None:
    """The plan with its Python from conda-forge; None where one that is installed will do, or none is served."""
    wanted = SpecifierSet(plan.python.specifier)
    if any(wanted.contains(one.version) for one in installed) or _too_old(wanted):
        return None
    spec = plan.python.specifier.removeprefix("==")
    step = InstallConda(str(plan.python.source), (CHANNEL,), (f"python {spec}",))
    return replace(plan, python=PythonRequest("", PythonSource.DEFAULT), steps=(step, *plan.steps))


def _too_old(wanted: SpecifierSet) -> bool:
    """Whether an exact version is meant that is older than all that are served."""
    exact = [Version(one.version.removesuffix(".*")) for one in wanted if one.operator in ("==", "===")]
    return any(one.release[:2] < OLDEST for one in exact)
