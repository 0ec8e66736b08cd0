"""Every repository below `tests/repos/` and `examples/` is built, then verified from inside a sandbox."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from perijove.backends.confined.client import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.pad.client import Pad
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.nouns import Checkout, Egress, Environment, ForeignRun, Limits, RepoAddress, ResolvedRepo
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.launching.build.reading import detected
from perijove.launching.start.sandbox import HOME
from perijove.wiring.given import SystemClock
from tests.fakes.pads import furnished_pad

ROOT = Path(__file__).parents[2]
CASES = sorted(path.parent for path in (ROOT / "tests" / "repos").glob("*/verify"))
GB = 1024**3

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
async def pad(module_state: State) -> AsyncIterator[Pad]:
    async with furnished_pad(module_state) as pad:
        yield pad


async def built(
    pad: Pad, state: State, repository: Path, conda: CondaSettings | None = None
) -> tuple[Checkout, Environment]:
    repo = ResolvedRepo(RepoAddress("local", repository.name, str(repository), "", repository.name), "a" * 40, "")
    checkout = Checkout(repo, state.checkouts / repository.name)
    shutil.copytree(repository, checkout.path, dirs_exist_ok=True)
    with closing(ConfinedCalls()) as confined:
        confined.let_through(state.checkouts)
        environments = UvEnvironments(state, BuildSettings(), pad, confined, SystemClock(), conda)
        await environments.prepare(print)
        inputs = await environments.inputs(detected(repository).plan, checkout, print)
        return checkout, await environments.build(inputs, repo, print)


async def run(pad: Pad, checkout: Checkout, environment: Environment, into: Path, *command: str) -> tuple[int, str]:
    """A command in the sandbox that a session would have, with a copy of the repository as its home."""
    lines: list[str] = []
    told = {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "PERIJOVE_SERVED_BY": str(Path(environment.command[0]).parents[1]),
        "PERIJOVE_SERVE": " ".join(environment.command[:3]),
    }
    ran = await pad.run(
        ForeignRun(
            name="verify",
            command=command,
            environ=(*environment.environ, *told.items()),
            mounts=environment.mounts,
            overlays=environment.overlays,
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
    pad: Pad, module_state: State, case: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    conda = request.getfixturevalue("conda_settings") if (case / "environment.yml").exists() else None
    checkout, environment = await built(pad, module_state, case, conda)
    status, said = await run(pad, checkout, environment, tmp_path, str(environment.path / "bin/python"), "verify")
    assert status == 0, said


@pytest.mark.parametrize(
    ("example", "code"),
    [
        ("hello", "import ipykernel"),
        ("requirements", "import numpy, pandas, matplotlib.pyplot; pandas.read_csv('planets.csv')"),
        ("project", "import orbits; print(orbits.Orbit(75_600e3, 8_100_000e3).period(orbits.JUPITER))"),
    ],
    ids=["hello", "requirements", "project"],
)
async def test_the_examples_work(pad: Pad, module_state: State, example: str, code: str, tmp_path: Path) -> None:
    checkout, environment = await built(pad, module_state, ROOT / "examples" / example)
    python = str(environment.path / "bin/python")
    status, said = await run(pad, checkout, environment, tmp_path, python, "-c", code)
    assert status == 0, said


async def test_scripts_of_an_environment_run_where_it_was_moved_to(
    pad: Pad, module_state: State, tmp_path: Path
) -> None:
    checkout, environment = await built(pad, module_state, ROOT / "examples" / "hello")
    status, said = await run(pad, checkout, environment, tmp_path, "/bin/sh", "-c", "pip --version && jupyter --paths")
    assert status == 0, said
    assert str(environment.path) in said
