"""A repository that would put its code into another one's environment, or have the service carry more than it may."""

from __future__ import annotations

import asyncio
import os
import signal
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments import UvEnvironments
from perijove.backends.git import GitRepositories
from perijove.backends.pad.client import Pad
from perijove.domain import failures
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.failures import Evidence, Fail, Owner, Retry
from perijove.domain.nouns import Environment, ForeignRun, RepoAddress, ResolvedRepo
from perijove.domain.ports import Tell
from perijove.domain.ran import Ran
from perijove.domain.settings import BuildSettings, RepositoriesSettings
from perijove.domain.state import State
from perijove.launching.build.reading import detected
from tests.fakes.package_index import Index, served, wheel
from tests.fakes.pads import furnished_pad

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MIB = 1024**2
SMALL = BuildSettings(environment_size=60 * MIB, environment_files=5000)
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


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class World:
    """Launches up to the point where the environment stands."""

    def __init__(self, state: State, foreign: Pad | Nothing, confined: ConfinedCalls, build: BuildSettings) -> None:
        self.confined = confined
        self.repositories = GitRepositories(state, RepositoriesSettings(), False, confined)
        self.environments = UvEnvironments(state, build, foreign, confined)

    async def inputs(self, folder: Path) -> tuple[BuildInputs, ResolvedRepo]:
        repo = await self.repositories.resolve(RepoAddress("local", folder.name, str(folder), "", folder.name))
        checkout = await self.repositories.fetch(repo, print)
        return await self.environments.inputs(detected(checkout.path).plan, checkout, print), repo

    async def built(self, folder: Path, tell: Tell = print) -> Environment:
        inputs, repo = await self.inputs(folder)
        return await self.environments.build(inputs, repo, tell)


def module(environment: Environment, name: str) -> str:
    (found,) = environment.path.glob(f"lib/python*/site-packages/{name}.py")
    return found.read_text()


@pytest.fixture
async def pad(module_state: State) -> AsyncIterator[Pad]:
    async with furnished_pad(module_state) as pad:
        yield pad


@pytest.fixture
def confined(module_state: State, pad: Pad) -> Iterator[ConfinedCalls]:
    confined = ConfinedCalls()
    confined.let_through(module_state.checkouts)
    yield confined
    confined.close()


@pytest.fixture
def world(module_state: State, pad: Pad, confined: ConfinedCalls) -> World:
    return World(module_state, pad, confined, BuildSettings())


@pytest.fixture
def small(module_state: State, pad: Pad, confined: ConfinedCalls) -> World:
    return World(module_state, pad, confined, SMALL)


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
    genuine = await world.built(repository(tmp_path / "three", {"requirements.txt": "six==1.17.0\npip\n"}))
    (record,) = genuine.path.glob("lib/python*/site-packages/six-1.17.0.dist-info/RECORD")
    match way:
        case "find-links":
            wheel(attacker / "wheels", name, "1.17.0", EVIL, record=record.read_text())
            repository(attacker, {"requirements.txt": "--no-index\n--find-links ./wheels\nsix==1.17.0\n"})
        case "a wheel":
            wheel(attacker, name, "1.17.0", EVIL, record=record.read_text())
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

    async def run(self, run: ForeignRun, into: Path, tell: Tell) -> Ran:
        self.runs.append(run)
        raise Fail(failures.BUILD_BROKE("nothing is built here", Evidence("test", run.name)))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"requirements.txt": "docopt==0.6.1"}, id="a package of the index"),
        pytest.param({"requirements.txt": "-r more.txt", "more.txt": "docopt==0.6.0"}, id="an included file"),
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
    walked = World(module_state, nothing, world.confined, BuildSettings())
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
        (folder / path).write_text(f"{before}\n# changed\n")
        other, _ = await walked.inputs(folder)
        assert other.name != inputs.name, path
        (folder / path).write_text(before)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    async with served(tmp_path / "index") as index:
        yield index


def zeros(folder: Path, name: str) -> Path:
    """A small wheel of many zeros."""
    path = wheel(folder, name, "1.0", "")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{name}_data/{number}", bytes(50 * MIB))
    return path


def empties(folder: Path, name: str) -> Path:
    """A small wheel of many files."""
    path = wheel(folder, name, "1.0", "")
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(50_000):
            archive.writestr(f"{name}_data/{number % 100}/{number}", b"")
    return path


def used(state: State) -> tuple[int, int]:
    """Bytes and names below a state directory, where others use the disk as well."""
    found = [path.lstat() for path in state.root.rglob("*")]
    return sum(512 * one.st_blocks for one in found), len(found)


@pytest.mark.parametrize("bomb", [zeros, empties], ids=["bytes", "files"])
@pytest.mark.parametrize("way", ["of the repository", "of an index"])
async def test_a_wheel_that_unpacks_to_more_than_it_may_is_its_authors(
    small: World,
    module_state: State,
    tmp_path: Path,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    bomb: Callable[[Path, str], Path],
    way: str,
) -> None:
    if way == "of an index":
        monkeypatch.setenv("UV_INDEX", index.url)
        path = bomb(index.folder, "bomb")
        folder = repository(tmp_path / "one", {"requirements.txt": "bomb==1.0\n"})
    else:
        path = bomb(tmp_path / "one", "bomb")
        folder = repository(tmp_path / "one", {"requirements.txt": f"./{path.name}\n"})
    assert path.stat().st_size < 10 * MIB
    size, files = used(module_state)
    with pytest.raises(Fail) as caught:
        await small.built(folder)
    assert caught.value.failure.kind is failures.BUILD_TOO_LARGE
    assert not list(module_state.environments.glob(".*"))
    size_then, files_then = used(module_state)
    assert size_then < size + 200 * MIB
    assert files_then < files + 20_000


async def test_a_source_that_explodes_in_the_compiler_is_left_uncompiled(world: World, tmp_path: Path) -> None:
    deep = "".join(f"{' ' * n}try:\n{' ' * (n + 1)}{'a();' * 12}a()\n{' ' * n}finally:\n" for n in range(18))
    path = wheel(tmp_path / "one", "bomb", "1.0", f"{deep}{' ' * 18}a()\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("harmless.py", "x = 1\n")
    told: list[str] = []
    environment = await world.built(repository(tmp_path / "one", {"requirements.txt": f"./{path.name}\n"}), told.append)
    (packages,) = environment.path.glob("lib/python*/site-packages")
    assert list(packages.glob("__pycache__/harmless.*.pyc"))
    assert not list(packages.glob("__pycache__/bomb.*.pyc"))
    assert "Left uncompiled, since it takes too much: bomb.py" in told


async def test_what_a_wheel_brings_where_files_of_ours_belong_is_no_mistake_of_ours(
    world: World, tmp_path: Path
) -> None:
    path = wheel(tmp_path / "one", "foo", "1.0", "")
    with zipfile.ZipFile(path, "a") as archive:
        for name in (
            *("first/a.py", "first/__pycache__", "second/b.py", "third.py"),
            *(f"second/__pycache__/b.cpython-3{minor}.pyc/x" for minor in range(8, 20)),
            "foo-1.0.data/data/perijove.json/x",
        ):
            archive.writestr(name, "")
    environment = await world.built(repository(tmp_path / "one", {"requirements.txt": f"./{path.name}\n"}))
    assert await world.environments.find(environment.key) is not None
    (packages,) = environment.path.glob("lib/python*/site-packages")
    assert list(packages.glob("__pycache__/third.*.pyc"))


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("bar @ {url}/bar-1.0-py3-none-any.whl", id="an address in the metadata"),
        pytest.param("bar @ file:///etc/passwd", id="a file in the metadata"),
    ],
)
async def test_what_a_wheel_asks_for_is_never_fetched_by_the_service(
    world: World, tmp_path: Path, index: Index, asked: str
) -> None:
    wheel(index.folder, "bar", "1.0", EVIL)
    path = wheel(tmp_path / "one", "foo", "1.0", "", f"Requires-Dist: {asked.format(url=index.url)}\n")
    with pytest.raises(Fail) as caught:
        await world.built(repository(tmp_path / "one", {"requirements.txt": f"./{path.name}\n"}))
    assert caught.value.failure.kind.owner is not Owner.US
    assert index.asked == []


async def test_an_option_within_a_requirement_leads_nowhere(world: World, tmp_path: Path, index: Index) -> None:
    line = f"six==1.17.0 --global-option=x --extra-index-url {index.url}\n"
    environment = await world.built(repository(tmp_path / "one", {"requirements.txt": line}))
    assert "attacked" not in module(environment, "six")
    assert index.asked == []


async def test_a_uv_that_the_machine_ends_is_not_its_authors(
    world: World, tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", index.url)
    folder = repository(tmp_path / "one", {"requirements.txt": "silent-package\n"})
    build = asyncio.create_task(world.built(folder), name="build")
    async with asyncio.timeout(60):
        await index.waits.wait()
    (uv,) = [pid for pid in descendants(os.getpid()) if Path(f"/proc/{pid}/comm").read_text() == "uv\n"]
    os.kill(uv, signal.SIGKILL)
    with pytest.raises(Fail) as caught:
        await build
    assert caught.value.failure.kind is failures.KILLED
    assert caught.value.failure.kind.retry is Retry.BACKOFF


def descendants(pid: int) -> list[int]:
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]
