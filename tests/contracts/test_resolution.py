"""The port `Environments`: a commit stays as it was resolved, and equal sets of packages are one environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from perijove.backends.environments import UvEnvironments
from perijove.backends.environments.environments import Waits
from perijove.domain.failures import INDEX_UNDATED, INDEX_UNREACHABLE, INSTALL_FAILED, NO_SUCH_PACKAGE, Fail
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentPlan,
    FollowLock,
    InstallRequirements,
    PythonRequest,
    PythonSource,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.ports import Place
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.in_process import InProcess
from tests.fakes.package_index import Index, served, wheel

pytestmark = pytest.mark.same_for_any_user
REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
FREE = "fieldpkg"
PINNED = "fieldpkg==1.0"


@pytest.fixture
async def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Index]:
    async with served(tmp_path / "index") as index:
        monkeypatch.setenv("UV_INDEX", index.url)
        release(index, "1.0")
        yield index


def release(index: Index, version: str) -> None:
    wheel(index.folder, "fieldpkg", version, f"version = {version!r}\n", record=f"fieldpkg.py,sha256={version},1\n")


class World:
    """Commits of one repository, each built as it is launched."""

    def __init__(self, environments: UvEnvironments, folder: Path, foreign: UnconfinedForeignCode) -> None:
        self.environments = environments
        self.foreign = foreign
        self.folder = folder
        self.repo = replace(REPO, address=replace(REPO.address, url=str(folder)))
        self.told: list[str] = []

    def plan(self, text: str) -> EnvironmentPlan:
        return EnvironmentPlan(
            PythonRequest("", PythonSource.DEFAULT), (InstallRequirements("requirements.txt", text),)
        )

    async def built(
        self, commit: str = "a", text: str = FREE, *, again: bool = False, place: Place = nullcontext
    ) -> Environment:
        made = self.folder.stat().st_mtime
        (self.folder / "requirements.txt").write_text(text)
        os.utime(self.folder, (made, made))
        checkout = Checkout(replace(self.repo, commit=commit * 40), self.folder)
        inputs = await self.environments.inputs(self.plan(text), checkout, self.told.append, again=again)
        return await self.environments.build(inputs, checkout.repo, self.told.append, place)

    async def found(self, commit: str = "a", text: str = FREE) -> Environment | None:
        checkout = Checkout(replace(self.repo, commit=commit * 40), self.folder)
        inputs = await self.environments.inputs(self.plan(text), checkout, self.told.append)
        return await self.environments.resolved(inputs)


@pytest.fixture(scope="module")
def furnished(module_state: State, uv_cache: Path) -> State:
    """One for all, since a server of ours has to stand in it first."""
    for folder, mode in (module_state.of_pad | module_state.of_master | module_state.in_store).items():
        folder.mkdir(mode, exist_ok=True)
    module_state.uv_cache.rmdir()
    module_state.uv_cache.symlink_to(uv_cache)
    return module_state


@pytest.fixture
def world(furnished: State, tmp_path: Path) -> World:
    """A repository of its own."""
    (tmp_path / "checkout").mkdir()
    foreign = UnconfinedForeignCode()
    environments = UvEnvironments(furnished, BuildSettings(), foreign, InProcess())
    return World(environments, tmp_path / "checkout", foreign)


def version(environment: Environment) -> str:
    (found,) = environment.path.glob("lib/python*/site-packages/fieldpkg-*.dist-info")
    return found.name.removeprefix("fieldpkg-").removesuffix(".dist-info")


async def test_a_commit_stays_as_it_was_resolved_and_a_new_one_is_resolved_anew(world: World, index: Index) -> None:
    first = await world.built("a")
    release(index, "2.0")
    assert await world.built("a") == first
    assert version(first) == "1.0"
    assert version(await world.built("b")) == "2.0"
    assert await world.built("a") == first


async def test_what_was_resolved_needs_no_network(world: World, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await world.built("a")
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert await world.built("a") == first
    with pytest.raises(Fail) as caught:
        await world.built("b")
    assert caught.value.failure.kind is INDEX_UNREACHABLE


async def test_a_commit_is_resolved_anew_where_somebody_asks_for_it(world: World, index: Index) -> None:
    first = await world.built("a")
    release(index, "2.0")
    again = await world.built("a", again=True)
    assert (version(first), version(again)) == ("1.0", "2.0")
    assert await world.found("a") == again


async def test_an_equal_set_is_shared_whatever_asks_for_it(world: World, index: Index) -> None:
    first = await world.built("a", FREE)
    assert await world.built("b", f"{PINNED}  # as it is") == first
    assert "An environment of just these packages stands already: it is used" in world.told
    (packages,) = [one.packages for one in await world.environments.stored() if one.key == first.key]
    assert "fieldpkg==1.0" in packages
    assert await world.found("b", PINNED) == first


async def test_a_set_that_stands_waits_for_no_build_and_another_one_does(world: World, index: Index) -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def place() -> AsyncIterator[None]:
        entered.append("a place")
        yield

    first = await world.built("a", FREE)
    assert await world.built("b", PINNED, place=place) == first
    assert entered == []
    release(index, "3.0")  # of which no other test has an environment
    assert await world.built("c", FREE, place=place) != first
    assert entered == ["a place"]


async def test_a_build_that_waits_until_the_cache_has_been_cleaned_says_so(world: World, index: Index) -> None:
    """That takes minutes where much lies there and the disk is slow."""
    async with asyncio.timeout(120):
        async with world.environments._cache:  # as `tidy` does
            building = asyncio.create_task(world.built("a", FREE), name="a build")
            while "Waiting until the cache of packages has been cleaned" not in world.told:
                await asyncio.sleep(0.01)
        await building


async def test_what_is_waited_for_is_not_counted_in_a_build_s_limit() -> None:
    async with asyncio.timeout(30) as limit:
        before = limit.when()
        assert before is not None

        @asynccontextmanager
        async def place() -> AsyncIterator[None]:
            assert limit.when() is None
            yield

        async with Waits(limit, place, asyncio.Semaphore()).placed():
            after = limit.when()
            assert after is not None
            assert after >= before


async def test_what_is_resolved_asks_no_network(world: World, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await world.built("a")
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    index.asked.clear()
    assert await world.found("a") == first
    assert await world.built("a") == first
    assert index.asked == []


async def test_an_environment_that_was_cleaned_away_is_made_as_it_was(world: World, index: Index) -> None:
    first = await world.built("a")
    release(index, "2.0")
    await world.environments.remove(first.key)
    assert await world.found("a") is None
    assert (await world.built("a")).key == first.key


async def test_what_is_not_to_be_had_any_more_is_resolved_anew_and_that_is_told(world: World, index: Index) -> None:
    first = await world.built("a")
    (index.folder / "fieldpkg-1.0-py3-none-any.whl").unlink()
    release(index, "2.0")
    await world.environments.remove(first.key)
    assert version(await world.built("a")) == "2.0"
    assert "What this commit was resolved to before is not to be had any more: it is resolved anew" in world.told


async def test_a_new_release_on_another_index_is_a_new_commits(
    world: World, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_INDEX")
    text = f"--extra-index-url {index.url}\nfieldpkg"
    first = await world.built("a", text)
    release(index, "2.0")
    assert await world.built("a", text) == first
    assert version(await world.built("b", text)) == "2.0"


async def test_a_package_that_is_built_the_same_twice_is_shared(world: World) -> None:
    (world.folder / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='mine', version='1', py_modules=['m'])"
    )
    (world.folder / "m.py").write_text("x = 1\n")
    first = await world.built("a", ".")
    assert await world.built("b", ".") == first
    (world.folder / "m.py").write_text("x = 2\n")
    assert (await world.built("c", ".")).key != first.key


async def test_an_operator_can_have_a_commit_get_what_was_there_when_it_was_made(world: World) -> None:
    world.environments.apply(BuildSettings(exclude_newer=True))
    made = datetime(2023, 12, 15, tzinfo=UTC).timestamp()
    os.utime(world.folder, (made, made))
    environment = await world.built("a", "idna\ndocopt")
    packages = [one.name for one in environment.path.glob("lib/python*/site-packages/*.dist-info")]
    assert {"idna-3.6.dist-info", "docopt-0.6.2.dist-info"} <= set(packages)
    assert "Only packages that were there when this commit was made are taken: until 2023-12-15T00:00:00Z" in world.told


async def test_an_index_that_does_not_tell_when_it_got_its_packages_is_told_as_that(world: World, index: Index) -> None:
    world.environments.apply(BuildSettings(exclude_newer=True))
    assert index.url
    for commit, text in (("a", FREE), ("b", PINNED)):
        with pytest.raises(Fail) as caught:
            await world.built(commit, text)
        assert caught.value.failure.kind is INDEX_UNDATED
        assert caught.value.failure.cause == "it does not for fieldpkg-1.0-py3-none-any.whl"


async def test_a_package_that_there_was_not_when_the_commit_was_made_is_told_with_the_time(world: World) -> None:
    world.environments.apply(BuildSettings(exclude_newer=True))
    made = datetime(2005, 1, 1, tzinfo=UTC).timestamp()
    os.utime(world.folder, (made, made))
    with pytest.raises(Fail) as caught:
        await world.built("a", "docopt")
    assert caught.value.failure.kind is NO_SUCH_PACKAGE
    assert caught.value.failure.cause == "docopt had no version that fits before 2005-01-01T00:00:00Z"


async def test_what_a_post_build_installs_was_there_too(world: World) -> None:
    (world.folder / "postBuild").write_text("env\n")
    checkout = Checkout(world.repo, world.folder)
    inputs = await world.environments.inputs(
        replace(world.plan(""), post_build="postBuild"), checkout, world.told.append
    )
    inputs = replace(inputs, wanted=replace(inputs.wanted, published_before="2100-01-01T00:00:00Z"))
    await world.environments.build(inputs, checkout.repo, world.told.append)
    assert {"PIP_UPLOADED_PRIOR_TO=2100-01-01T00:00:00Z", "UV_EXCLUDE_NEWER=2100-01-01T00:00:00Z"} <= {*world.told}


async def test_a_resolution_that_cannot_be_read_is_made_anew(world: World, furnished: State, index: Index) -> None:
    first = await world.built("a")
    for path in furnished.resolutions.iterdir():
        path.write_text("{")
    assert await world.found("a") is None
    assert await world.built("a") == first


def locked(index: Index, digest: str) -> str:
    address = f"{index.url.rpartition('/')[0]}/fieldpkg-1.0-py3-none-any.whl"
    return (
        f'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "fieldpkg"\nversion = "1.0"\n'
        f'index = "{index.url}"\nwheels = [{{ url = "{address}", hashes = {{ sha256 = "{digest}" }} }}]\n'
    )


async def test_a_lock_s_packages_come_from_the_index_that_it_names_and_are_those_of_its_hashes(
    world: World, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_INDEX")
    release(index, "2.0")
    plan = EnvironmentPlan(PythonRequest("", PythonSource.DEFAULT), (FollowLock("pylock.toml"),))
    digest = sha256((index.folder / "fieldpkg-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    for commit, written in (("a", digest), ("b", "0" * 64)):
        (world.folder / "pylock.toml").write_text(locked(index, written))
        checkout = Checkout(replace(world.repo, commit=commit * 40), world.folder)
        inputs = await world.environments.inputs(plan, checkout, world.told.append)
        if written == digest:
            assert version(await world.environments.build(inputs, checkout.repo, world.told.append)) == "1.0"
            continue
        with pytest.raises(Fail) as caught:
            await world.environments.build(inputs, checkout.repo, world.told.append)
        assert caught.value.failure.kind is INSTALL_FAILED
        assert "another one than its hash names" in caught.value.failure.cause


@pytest.mark.parametrize(
    ("digest", "comes"),
    [
        pytest.param("49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491", True, id="right"),
        pytest.param("0" * 64, False, id="wrong"),
    ],
)
async def test_sources_are_held_to_the_hash_that_stands_for_them(world: World, digest: str, comes: bool) -> None:
    line = f"docopt==0.6.2 --hash=sha256:{digest}"
    if comes:
        assert installed(await world.built("a", line), "docopt") == ["docopt==0.6.2"]
        return
    with pytest.raises(Fail) as caught:
        await world.built("a", line)
    assert caught.value.failure.kind is INSTALL_FAILED
    assert "another one than its hash names" in caught.value.failure.cause


def installed(environment: Environment, name: str) -> list[str]:
    found = environment.path.glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return [f"{name}=={path.name.removeprefix(f'{name}-').removesuffix('.dist-info')}" for path in found]
