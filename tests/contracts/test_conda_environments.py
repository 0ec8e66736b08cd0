"""The port `Environments` with conda: what two environments have in common is there once, bytecode included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentPlan,
    InstallConda,
    PythonSource,
    PythonWish,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from tests.fakes.foreign import UnconfinedForeignCode

pytestmark = pytest.mark.same_for_any_user

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
FEW = 15 * 1024**2
"""Bytes that an environment of packages that others hold may take."""


@pytest.fixture
def confined() -> Iterator[ConfinedCalls]:
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.mark.timeout(900)  # its packages are made first
async def test_a_second_environment_takes_only_what_is_new(
    state: State, confined: ConfinedCalls, conda_settings: CondaSettings, tmp_path: Path
) -> None:
    for folder in (state.store, *state.in_store):
        confined.let_through(folder)
    foreign = UnconfinedForeignCode()
    environments = UvEnvironments(state, BuildSettings(), foreign, confined, conda_settings)
    await environments.prepare(print)

    async def built(commit: str, *specs: str) -> Environment:
        step = InstallConda("environment.yml", ("conda-forge",), specs)
        checkout = Checkout(replace(REPO, commit=commit * 40), tmp_path)
        plan = EnvironmentPlan(PythonWish("", PythonSource.DEFAULT), (step,))
        inputs = await environments.inputs(plan, checkout, print)
        return await environments.build(inputs, checkout.repo, print)

    def modules(environment: Environment) -> dict[str, Path]:
        (packages,) = environment.path.glob("lib/python*/site-packages")
        return {str(path.relative_to(packages)): path for path in packages.rglob("*.pyc")}

    first = modules(await built("a"))
    runs = len(foreign.runs)
    assert len(first) > 500
    second = await built("b", "six")
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
