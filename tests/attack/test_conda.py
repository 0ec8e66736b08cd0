"""Hostile conda packages: what they name outside of themselves is neither read nor written, and the service goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments.conda import Conda
from perijove.backends.environments.conda.asked import Linked
from perijove.backends.environments.installer import Room
from perijove.domain import conda_failures, failures
from perijove.domain.build_inputs import CondaPackages
from perijove.domain.conda_settings import CondaSettings
from perijove.domain.confinement import Identity
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import Checkout, InstallConda, RepoAddress, ResolvedRepo
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
ROOM = Room(size=64 * 1024**2, files=1000)


@pytest.fixture
def confined() -> Iterator[ConfinedCalls]:
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.fixture
def conda(state: State, confined: ConfinedCalls, small_channels: str) -> Conda:
    mirrors = {name: f"{small_channels}/{name}" for name in ("conda-forge", "hostile")}
    return Conda(state, confined, BuildSettings(), CondaSettings(mirrors=mirrors))


async def decided(conda: Conda, *specs: str) -> CondaPackages:
    step = InstallConda("environment.yml", ("conda-forge", "hostile"), specs)
    return await conda.decided(step, Checkout(REPO, Path("/")), print, again=False)


async def linked(conda: Conda, packages: CondaPackages, name: str = "one") -> Linked:
    work = conda.state.environments / name
    work.mkdir()
    conda.confined.hand_over(work, Identity.INSTALLER)
    return await conda.link(packages, work / "env", conda.state.environments / "final", ROOM, print)


async def refused(conda: Conda, *specs: str) -> Failure:
    with pytest.raises(Fail) as caught:
        await linked(conda, await decided(conda, *specs))
    return caught.value.failure


def outside(state: State) -> set[str]:
    """All that lies in the store beside the cache and the build's own folder."""
    kept = ("store/conda-cache", "store/resolutions", "store/environments/one")
    paths = (str(path.relative_to(state.root)) for path in state.root.rglob("*"))
    return {path for path in paths if not path.startswith(kept)}


@pytest.mark.parametrize(
    "name",
    [
        *("absolute", "above", "beside", "behind-a-link", "is-a-link", "info-behind-a-link"),
        *("odd-build", "odd-program", "python=3.99"),
    ],
)
async def test_a_package_that_names_what_is_not_its_own_is_refused_by_name(conda: Conda, name: str) -> None:
    before = outside(conda.state)
    told = await refused(conda, name)
    assert told.kind.code == conda_failures.BAD_PACKAGE.code, (told.cause, told.evidence)
    assert name.replace("hostile::", "").replace("=", "-") in told.cause
    assert outside(conda.state) == before
    assert not Path("/tmp/perijove-was-here").exists()
    assert not list((conda.state.environments / "one").glob("env/**/passwd"))
    assert not list((conda.state.conda_cache / "packages").glob(f"{name}-*"))


@pytest.mark.parametrize("name", ["many-files", "large"])
async def test_a_package_that_unpacks_to_more_than_it_may_is_its_authors(conda: Conda, name: str) -> None:
    told = await refused(conda, name)
    assert told.kind.code == failures.BUILD_TOO_LARGE.code, (told.cause, told.evidence)


async def test_a_package_whose_folder_leads_out_of_the_environment_is_refused(conda: Conda) -> None:
    told = await refused(conda, "links-out")
    assert told.kind.code == conda_failures.BAD_PACKAGE.code, (told.cause, told.evidence)
    assert "share/jupyter/kernels/python3 leads out of it" in told.cause


async def test_a_package_that_is_not_what_its_channel_lists_is_refused(conda: Conda) -> None:
    packages = await decided(conda, "moon")
    digest = packages.lock.partition("sha256: ")[2][:64]
    told = replace(packages, lock=packages.lock.replace(digest, "0" * 64))
    with pytest.raises(Fail) as caught:
        await linked(conda, told)
    assert caught.value.failure.kind.code == conda_failures.BAD_PACKAGE.code
    assert "not what its channel lists" in caught.value.failure.cause


async def test_a_package_from_another_host_is_not_fetched(conda: Conda) -> None:
    packages = await decided(conda, "moon")
    elsewhere = replace(packages, lock=packages.lock.replace("https://conda.anaconda.org/", "http://127.0.0.1:1/"))
    with pytest.raises(Fail) as caught:
        await linked(conda, elsewhere)
    assert caught.value.failure.kind.code == conda_failures.BAD_PACKAGE.code


async def test_what_was_changed_in_the_cache_is_not_linked(conda: Conda) -> None:
    packages = await decided(conda, "moon")
    await linked(conda, packages)
    (readme,) = conda.state.conda_cache.glob("packages/python-*/lib/python*/site-packages/README")
    readme.unlink()
    readme.write_text("poison")
    await linked(conda, packages, "two")
    (seen,) = (conda.state.environments / "two" / "env").glob("lib/python*/site-packages/README")
    assert seen.read_text() == ""
