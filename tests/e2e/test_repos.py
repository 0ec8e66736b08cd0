"""Every repository below `tests/repos/` and `examples/` is built, then verified from inside a sandbox.

A case has the repository's files and, beside them, `verify`, a program that looks at what came of it; or `fails`: the
failure's code, and on each further line what it says. Either may have `told`: on each line what the log says.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.pad.client import Pad
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.failures import NO_WHEEL, Fail
from perijove.domain.nouns import Checkout, Egress, Environment, ForeignRun, Limits, RepoAddress, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.launching.build.reading import detected
from perijove.launching.start.sandbox import HOME
from tests.e2e.service import BASE
from tests.fakes.bases import shared_base
from tests.fakes.pads import furnished_pad

ROOT = Path(__file__).parents[2]
REPOS = ROOT / "tests" / "repos"
CASES = sorted(path.parent for path in REPOS.glob("*/verify"))
FAILING = sorted(path.parent for path in REPOS.glob("*/fails"))
GB = 1024**3

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True, slots=True)
class World:
    """What all cases share: they only add to it."""

    state: State
    pad: Pad
    confined: ConfinedCalls


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(module_state: State) -> AsyncIterator[World]:
    async with furnished_pad(module_state) as pad:
        with closing(ConfinedCalls()) as confined:
            confined.let_through(module_state.checkouts)
            yield World(module_state, pad, confined)


async def built(
    world: World, repository: Path, conda: CondaSettings | None = None, tell: Tell = print
) -> tuple[Checkout, Environment]:
    repo = ResolvedRepo(RepoAddress("local", repository.name, str(repository), "", repository.name), "a" * 40, "")
    checkout = Checkout(repo, world.state.checkouts / f"{repository.parent.name}-{repository.name}")
    shutil.copytree(repository, checkout.path, symlinks=True, dirs_exist_ok=True)
    if any(repository.rglob("apt.txt")):
        shared_base()
    environments = UvEnvironments(world.state, BuildSettings(), world.pad, world.confined, conda, BASE)
    found = detected(checkout.path)
    for note in found.notes:
        tell(note)
    await environments.prepare(print)
    inputs = await environments.inputs(found.plan, checkout, tell)
    return checkout, await environments.build(inputs, repo, tell)


async def run(world: World, checkout: Checkout, environment: Environment, into: Path, *command: str) -> tuple[int, str]:
    """A command in the sandbox that a session would have, with a copy of the repository as its home."""
    lines: list[str] = []
    told = {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "PERIJOVE_SERVED_BY": str(Path(environment.command[0]).parents[1]),
        "PERIJOVE_SERVE": " ".join(environment.command[:3]),
    }
    ran = await world.pad.run(
        ForeignRun(
            name="verify",
            command=command,
            environ=(*environment.environ, *told.items()),
            mounts=environment.mounts,
            overlays=environment.overlays,
            root=environment.root,
            home_from=environment.home or checkout.path,
            result="none",
            limits=Limits(2 * GB, 2.0, 256, GB, GB),
            egress=Egress.NONE,
            egress_allowed=(),
            timeout=120,
        ),
        into,
        lines.append,
    )
    return ran.status, "\n".join(lines)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
async def test_the_environment_is_what_the_repository_asks_for(
    world: World, case: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lines: list[str] = []
    checkout, environment = await built(world, case, conda_of(case, request), lines.append)
    status, said = await run(world, checkout, environment, tmp_path, str(environment.path / "bin/python"), "verify")
    assert status == 0, said
    assert_told(case, lines)


@pytest.mark.parametrize("case", FAILING, ids=lambda path: path.name)
async def test_what_cannot_be_built_is_told_as_what_it_is(
    world: World, case: Path, request: pytest.FixtureRequest
) -> None:
    lines: list[str] = []
    with pytest.raises(Fail) as caught:
        await built(world, case, conda_of(case, request), lines.append)
    failure = caught.value.failure
    code, *says = (case / "fails").read_text().splitlines()
    whole = "\n".join([failure.message, *(f"{seen.where}: {seen.saw}" for seen in failure.evidence)])
    assert (failure.kind.code, [text for text in says if text not in whole]) == (code, []), whole
    assert failure.evidence
    assert_told(case, lines)
    assert [line for line in (*whole.splitlines(), *lines) if str(world.state.root) in line] == [], "nobody's business"


def conda_of(case: Path, request: pytest.FixtureRequest) -> CondaSettings | None:
    """A channel of our own, where it is needed."""
    described = any(path.name.startswith(("environment.y", "pixi")) for path in case.rglob("*"))
    return request.getfixturevalue("conda_settings") if described else None


def assert_told(case: Path, lines: list[str]) -> None:
    told = case / "told"
    wanted = told.read_text().splitlines() if told.exists() else []
    assert [text for text in wanted if not any(text in line for line in lines)] == [], "\n".join(lines)


async def test_equal_sets_of_conda_s_and_pip_s_packages_are_one_environment(
    world: World, tmp_path: Path, conda_settings: CondaSettings
) -> None:
    keys, told = [], list[str]()
    for name, line in (("first", "six==1.16.0"), ("second", "six >= 1.16, < 1.17  # the same")):
        (tmp_path / name).mkdir()
        text = f"channels: [conda-forge]\ndependencies:\n  - numpy\n  - pip:\n    - {line}\n"
        (tmp_path / name / "environment.yml").write_text(text)
        keys.append((await built(world, tmp_path / name, conda_settings, told.append))[1].key)
    assert keys[0] == keys[1]
    assert told.count("An environment of just these packages stands already: it is used") == 1


@pytest.mark.parametrize(
    ("example", "code"),
    [
        ("hello", "import ipykernel"),
        ("requirements", "import numpy, pandas, matplotlib.pyplot; pandas.read_csv('planets.csv')"),
        ("project", "import orbits; print(orbits.Orbit(75_600e3, 8_100_000e3).period(orbits.JUPITER))"),
    ],
    ids=["hello", "requirements", "project"],
)
async def test_the_examples_work(world: World, example: str, code: str, tmp_path: Path) -> None:
    checkout, environment = await built(world, ROOT / "examples" / example)
    python = str(environment.path / "bin/python")
    status, said = await run(world, checkout, environment, tmp_path, python, "-c", code)
    assert status == 0, said


async def test_scripts_of_an_environment_run_where_it_was_moved_to(world: World, tmp_path: Path) -> None:
    checkout, environment = await built(world, ROOT / "examples" / "hello")
    status, said = await run(
        world, checkout, environment, tmp_path, "/bin/sh", "-c", "pip --version && jupyter --paths"
    )
    assert status == 0, said
    assert str(environment.path) in said


async def test_pins_of_another_time_get_a_python_that_has_builds_for_them_or_are_told(
    world: World, tmp_path: Path
) -> None:
    lines: list[str] = []
    failure = None
    try:
        checkout, environment = await built(world, REPOS / "old-pins", tell=lines.append)
    except Fail as fail:  # on a machine that has no Python 3.6 to 3.9
        failure = fail.failure
    if failure is not None:
        assert failure.kind is NO_WHEEL
        assert "numpy 1.19.5 has no build for Python 3." in failure.message
        assert "runtime.txt" in failure.message
        return
    code = "import sys, numpy; assert sys.version_info < (3, 10) and numpy.__version__ == '1.19.5', sys.version"
    status, said = await run(world, checkout, environment, tmp_path, str(environment.path / "bin/python"), "-c", code)
    assert status == 0, said
    assert any("is taken: numpy==1.19.5 has no build for 3." in line for line in lines), lines
