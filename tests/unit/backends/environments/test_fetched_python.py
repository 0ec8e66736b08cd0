"""A Python that is not installed comes from conda-forge, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from perijove.backends.environments.conda.fetched_python import with_python
from perijove.domain.build_inputs import Interpreter
from perijove.domain.nouns import EnvironmentPlan, InstallConda, InstallRequirements, PythonRequest, PythonSource

INSTALLED = [Interpreter(version, Path("/usr/bin/python3"), Path("/usr")) for version in ("3.11.7", "3.12.1")]
STEPS = (InstallRequirements("requirements.txt", "six"),)


@pytest.mark.parametrize(
    ("source", "asked", "spec"),
    [
        (PythonSource.RUNTIME_TXT, "==3.8.*", "python 3.8.*"),
        (PythonSource.RUNTIME_TXT, "==3.12.2", "python 3.12.2"),
        (PythonSource.PYTHON_VERSION, "==3.6.*", "python 3.6.*"),
        (PythonSource.REQUIRES_PYTHON, ">=3.7,<3.10", "python >=3.7,<3.10"),
        (PythonSource.REQUIRES_PYTHON, "~=3.13.0", "python ~=3.13.0"),
    ],
)
def test_what_is_not_installed_is_a_package(source: PythonSource, asked: str, spec: str) -> None:
    found = with_python(EnvironmentPlan(PythonRequest(asked, source), STEPS, "postBuild"), INSTALLED)
    step = InstallConda(str(source), ("conda-forge",), (spec,))
    assert found == EnvironmentPlan(PythonRequest("", PythonSource.DEFAULT), (step, *STEPS), "postBuild")


@pytest.mark.parametrize("asked", ["", "==3.11.*", "==3.12.1", ">=3.8", "==2.7.*", "==3.5.*", "==2.7.18"])
def test_what_is_installed_or_never_served_is_left(asked: str) -> None:
    assert with_python(EnvironmentPlan(PythonRequest(asked, PythonSource.RUNTIME_TXT), STEPS), INSTALLED) is None
