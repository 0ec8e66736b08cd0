"""The port `Environments` with conda: what two environments have in common is there once, bytecode included."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.confinement import READING, Bounds
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentPlan,
    InstallConda,
    InstallRequirements,
    PythonRequest,
    PythonSource,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.ports import Tell
from perijove.domain.settings import BuildSettings, FetchPythons
from perijove.domain.state import State
from tests.fakes import conda_channel
from tests.fakes.foreign import UnconfinedForeignCode

T = TypeVar("T")
pytestmark = pytest.mark.same_for_any_user

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
FEW = 15 * 1024**2
"""Bytes that an environment of packages that others hold may take."""


class Counted(ConfinedCalls):
    """Remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def run(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *given: object,
        bounds: Bounds = READING,
        tell: Tell | None = None,
    ) -> T:
        self.asked.append(function.__name__)
        return await super().run(function, *given, bounds=bounds, tell=tell)


@pytest.fixture
def confined() -> Iterator[Counted]:
    with closing(Counted()) as calls:
        yield calls


@pytest.mark.timeout(900)  # its packages are made first
async def test_a_second_environment_takes_only_what_is_new(
    state: State, confined: Counted, conda_settings: CondaSettings, tmp_path: Path
) -> None:
    for folder in (state.store, *state.in_store):
        confined.let_through(folder)
    foreign = UnconfinedForeignCode()
    environments = UvEnvironments(state, BuildSettings(), foreign, confined, conda_settings)
    await environments.prepare(print)

    async def built(commit: str, *specs: str) -> Environment:
        step = InstallConda("environment.yml", ("conda-forge",), specs)
        checkout = Checkout(replace(REPO, commit=commit * 40), tmp_path)
        plan = EnvironmentPlan(PythonRequest("", PythonSource.DEFAULT), (step,))
        inputs = await environments.inputs(plan, checkout, print)
        return await environments.build(inputs, checkout.repo, print)

    def modules(environment: Environment) -> dict[str, Path]:
        (packages,) = environment.path.glob("lib/python*/site-packages")
        return {str(path.relative_to(packages)): path for path in packages.rglob("*.pyc")}

    first = modules(await built("a"))
    runs = len(foreign.runs)
    assert len(first) > 500
    confined.asked.clear()
    second = await built("b", "six")
    assert confined.asked == ["solved", "linked"], "uv is not asked, for nothing is left to it"
    (compiled,) = foreign.runs[runs:]
    assert compiled.name.startswith("compile-")
    shared = modules(second)
    assert all(shared[name].samefile(path) for name, path in first.items())
    assert [name.partition(".")[0] for name in shared.keys() - first] == ["__pycache__/six"]
    paths = [path for path in (second.path, *second.path.rglob("*")) if not path.is_symlink()]
    assert sum(path.stat().st_blocks * 512 for path in paths if path.is_dir() or path.stat().st_nlink == 1) < FEW

    await environments.remove(second.key)
    await built("c", "six")
    assert len(foreign.runs) == runs + 1


async def test_a_python_that_is_not_here_is_fetched_where_the_operator_allows_it(
    state: State, confined: Counted, tmp_path: Path
) -> None:
    for folder in (state.store, *state.in_store):
        confined.let_through(folder)
    version, channel = f"{sys.version_info.major}.{sys.version_info.minor}.99", tmp_path / "channels" / "conda-forge"
    await asyncio.to_thread(conda_channel.make, channel, [conda_channel.cpython(version)])
    wish = PythonRequest(f"=={version}", PythonSource.RUNTIME_TXT)
    plan = EnvironmentPlan(wish, (InstallRequirements("requirements.txt", "six==1.16.0"),))
    checkout, told = Checkout(REPO, tmp_path), list[str]()
    with conda_channel.served(tmp_path / "channels") as (address, _):
        conda = CondaSettings(mirrors={"conda-forge": f"{address}/conda-forge"})
        allowed = BuildSettings(fetch_pythons=FetchPythons.CONDA)
        environments = UvEnvironments(state, allowed, UnconfinedForeignCode(), confined, conda)
        await environments.prepare(print)
        inputs = await environments.inputs(plan, checkout, told.append)
        environment = await environments.build(inputs, checkout.repo, told.append)
        environments.apply(BuildSettings(), conda)
        bent = await environments.inputs(plan, checkout, told.append)
    assert f"Python =={version} (runtime.txt) is not installed here: it comes from conda-forge" in told
    assert [path.name for path in environment.path.glob("conda-meta/python-*.json")] == [f"python-{version}-0.json"]
    asked = (environment.path / "bin/python", "-I", "-c", "import six, ipykernel; print(six.__version__)")
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "1.16.0\n"
    assert bent.wanted.conda is None, "nothing is fetched that nobody allowed"
