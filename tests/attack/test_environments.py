"""A repository that would put its code into another one's environment, or have the service carry more than it may."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.git import GitRepositories
from perijove.backends.pad.client import Pad
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.failures import Evidence, Fail
from perijove.domain.nouns import Environment, ForeignRun, RepoAddress, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.domain.settings import BuildSettings, RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.build.reading import detected
from perijove.wiring.given import SystemClock
from tests.e2e.service import furnish

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EVIL = "attacked = True\n"
PIP = "[global]\nno-index = true\nfind-links = /home/jovyan/evil\n"
SETUP = "from setuptools import setup\nsetup(name='{name}', version='{version}', py_modules=['{name}'])\n"
PLANTED = {
    ".config/pip/pip.conf": PIP,
    ".pip/pip.conf": PIP,
    ".pydistutils.cfg": "[easy_install]\nfind_links = /home/jovyan/evil\n[build_py]\nbuild_lib = /home/jovyan/evil\n",
    ".gitconfig": '[url "/home/jovyan/evil/"]\n\tinsteadOf = https://\n',
    ".netrc": "default login attacker password attacker\n",
    ".cargo/config.toml": "[source.crates-io]\nreplace-with = 'evil'\n[source.evil]\ndirectory = '/home/jovyan/evil'\n",
    ".config/uv/uv.toml": 'no-index = true\nfind-links = ["/home/jovyan/evil"]\n',
    "sitecustomize.py": EVIL,
    "setup.cfg": "[options]\npy_modules = evil\n",
}
"""What programs that build packages read in the home they are given."""


def wheel(folder: Path, name: str, version: str, code: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class World:
    """Launches up to the point where the environment stands."""

    def __init__(self, state: State, foreign: Pad | Nothing, confined: ConfinedCalls) -> None:
        self.confined = confined
        self.repositories = GitRepositories(state, RepositoriesSettings(), private_addresses=False)
        self.environments = UvEnvironments(state, BuildSettings(), foreign, confined, SystemClock())

    async def inputs(self, folder: Path) -> tuple[BuildInputs, ResolvedRepo]:
        repo = await self.repositories.resolve(RepoAddress("local", folder.name, str(folder), "", folder.name))
        checkout = await self.repositories.fetch(repo, print)
        return await self.environments.inputs(detected(checkout.path).plan, checkout, print), repo

    async def built(self, folder: Path) -> Environment:
        inputs, repo = await self.inputs(folder)
        return await self.environments.build(inputs, repo, print)


def module(environment: Environment, name: str) -> str:
    (found,) = environment.path.glob(f"lib/python*/site-packages/{name}.py")
    return found.read_text()


@pytest.fixture
async def world(module_state: State) -> AsyncIterator[World]:
    if not module_state.store.exists():
        furnish(module_state)
    statedir.prepare(module_state)
    pad, confined = Pad(module_state), ConfinedCalls()
    confined.let_through(module_state.checkouts)
    await pad.ensure()
    yield World(module_state, pad, confined)
    confined.close()
    await pad.close(stop=True)


async def test_files_in_one_repository_do_not_decide_how_packages_of_the_index_are_built(
    world: World, tmp_path: Path
) -> None:
    attacker = repository(tmp_path / "one", {**PLANTED, "requirements.txt": "docopt==0.6.2\n"})
    wheel(attacker / "evil", "docopt", "0.6.2", EVIL)
    victim = repository(tmp_path / "two", {"requirements.txt": "docopt==0.6.2\n"})
    first, second = await world.built(attacker), await world.built(victim)
    assert first.key == second.key, "what both may read is the same, and so is what they share"
    assert "attacked" not in module(second, "docopt")
    assert '__version__ = "0.6.2"' in module(second, "docopt").replace("'", '"')


async def test_wheels_of_one_repository_are_not_found_by_another(world: World, tmp_path: Path) -> None:
    text = "--no-index\n--find-links ./wheels\nmyown==1.0\n"
    for name in ("one", "two"):
        wheel(tmp_path / name / "wheels", "myown", "1.0", f"said = {name!r}\n")
        repository(tmp_path / name, {"requirements.txt": text})
    first, second = [await world.built(tmp_path / name) for name in ("one", "two")]
    assert (module(first, "myown"), module(second, "myown")) == ("said = 'one'\n", "said = 'two'\n")


@pytest.mark.parametrize("way", ["find-links", "a wheel", "a package"])
async def test_a_package_of_the_index_is_never_the_repositorys_of_the_same_name_and_version(
    world: World, tmp_path: Path, way: str
) -> None:
    attacker, name = tmp_path / "one", "six"
    match way:
        case "find-links":
            wheel(attacker / "wheels", name, "1.17.0", EVIL)
            repository(attacker, {"requirements.txt": "--no-index\n--find-links ./wheels\nsix==1.17.0\n"})
        case "a wheel":
            wheel(attacker, name, "1.17.0", EVIL)
            repository(attacker, {"requirements.txt": "./six-1.17.0-py3-none-any.whl\n"})
        case _:
            repository(attacker, {"setup.py": SETUP.format(name=name, version="1.17.0"), "six.py": EVIL})
    victim = repository(tmp_path / "two", {"requirements.txt": "six==1.17.0\n"})
    assert module(await world.built(attacker), name) == EVIL, "it may have in its own environment what it wants"
    assert "attacked" not in module(await world.built(victim), name)


class Nothing:
    """A ForeignCode that builds nothing, and remembers what it was given."""

    def __init__(self) -> None:
        self.runs: list[ForeignRun] = []

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> int:
        self.runs.append(run)
        raise Fail(failures.BUILD_BROKE("nothing is built here", Evidence("test", run.name)))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"requirements.txt": "docopt==0.6.2"}, id="a package of the index"),
        pytest.param({"requirements.txt": "-r more.txt", "more.txt": "docopt==0.6.2"}, id="an included file"),
        pytest.param({"requirements.txt": "git+https://127.0.0.1/nothing"}, id="an address"),
        pytest.param({"requirements.txt": "-e ./part", "part/setup.py": ""}, id="a part of it"),
        pytest.param({"requirements.txt": "--find-links ./wheels\nsix"}, id="another place for packages"),
        pytest.param({"setup.py": "", "pyproject.toml": ""}, id="its own package"),
    ],
)
async def test_every_file_that_a_build_can_see_is_in_the_name(
    module_state: State, world: World, tmp_path: Path, files: dict[str, str]
) -> None:
    nothing = Nothing()
    walked = World(module_state, nothing, world.confined)
    folder = repository(tmp_path / "walked", {**PLANTED, **files})
    inputs, repo = await walked.inputs(folder)
    with pytest.raises(Fail, match="nothing is built here"):
        await walked.environments.build(inputs, repo, print)
    (run,) = nothing.runs
    for mount in run.mounts:
        assert not mount.source.is_relative_to(module_state.checkouts), "only the home is the repository's"
    seen = (
        [path.relative_to(run.home_from) for path in run.home_from.rglob("*") if path.is_file()]
        if run.home_from
        else []
    )
    assert bool(seen) is inputs.wanted.reads_repository
    for path in seen:
        before = (folder / path).read_text()
        (folder / path).write_text(f"{before}# changed\n")
        other, _ = await walked.inputs(folder)
        assert other.key != inputs.key, path
        (folder / path).write_text(before)
