"""The port `Environments`: the same questions to every implementation, and those only a real one can answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.environments import UvEnvironments
from perijove.domain import failures
from perijove.domain.failures import Fail, Kind
from perijove.domain.nouns import (
    Checkout,
    Environment,
    EnvironmentPlan,
    InstallProject,
    InstallRequirements,
    PythonRequest,
    PythonSource,
    RepoAddress,
    ResolvedRepo,
)
from perijove.domain.ports import Environments, Tell
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from tests.fakes.foreign import UnconfinedForeignCode
from tests.fakes.in_process import InProcess
from tests.fakes.world import FakeEnvironments

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
ANY = PythonRequest("", PythonSource.DEFAULT)
NOTHING = EnvironmentPlan(ANY, ())


def requiring(text: str) -> EnvironmentPlan:
    return EnvironmentPlan(ANY, (InstallRequirements("requirements.txt", text),))


async def built(
    environments: Environments, plan: EnvironmentPlan, checkout: Checkout, tell: Tell = lambda _: None
) -> Environment:
    return await environments.build(await environments.inputs(plan, checkout, tell), checkout.repo, tell)


@pytest.fixture
def foreign() -> UnconfinedForeignCode:
    return UnconfinedForeignCode()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(REPO, tmp_path)


@pytest.fixture
def real(state: State, uv_cache: Path, foreign: UnconfinedForeignCode) -> UvEnvironments:
    state.uv_cache.rmdir()
    state.uv_cache.symlink_to(uv_cache)
    return UvEnvironments(state, BuildSettings(), foreign, InProcess())


@pytest.fixture(params=["fake", "uv"])
def environments(request: pytest.FixtureRequest) -> Environments:
    if request.param == "fake":
        return FakeEnvironments()
    found: UvEnvironments = request.getfixturevalue("real")
    return found


async def test_what_is_built_is_found_listed_and_forgotten(environments: Environments, checkout: Checkout) -> None:
    lines: list[str] = []
    inputs = await environments.inputs(NOTHING, checkout, lines.append)
    assert len(inputs.name) == 32
    assert await environments.resolved(inputs) is None
    built = await environments.build(inputs, REPO, lines.append)
    key = built.key
    assert lines
    assert await environments.find(key) == built
    assert await environments.resolved(await environments.inputs(NOTHING, checkout, lines.append)) == built
    assert [stored.key for stored in await environments.stored()] == [key]
    await environments.remove(key)
    await environments.remove(key)
    assert await environments.find(key) is None
    assert await environments.resolved(inputs) is None
    assert await environments.stored() == []


async def test_what_is_usual_is_left_out_where_it_does_not_fit_and_that_is_told(
    real: UvEnvironments, checkout: Checkout, state: State
) -> None:
    (checkout.path / "limits.txt").write_text("ipywidgets<0.1")
    lines: list[str] = []
    key = (await built(real, requiring("six==1.17.0\n-c limits.txt"), checkout, lines.append)).key
    assert [line for line in lines if line.startswith("Left out, for it does not fit")]
    assert not [line for line in lines if "No solution found" in line], "nothing that they ask for is at fault"
    assert not list((state.environments / key).glob("lib/python*/site-packages/ipywidgets"))
    key = (await built(real, requiring("six==1.17.0\nrequests<2.30"), checkout)).key
    (requests,) = (state.environments / key).glob("lib/python*/site-packages/requests-*.dist-info")
    assert requests.name.startswith("requests-2.29")
    assert list((state.environments / key).glob("lib/python*/site-packages/ipywidgets"))


async def test_what_is_asked_for_anew_is_not_resolved_yet(environments: Environments, checkout: Checkout) -> None:
    first = await environments.inputs(NOTHING, checkout, print)
    await environments.build(first, REPO, print)
    again = await environments.inputs(NOTHING, checkout, print, again=True)
    assert again.name != first.name
    assert await environments.resolved(again) is None
    assert await environments.resolved(first) is not None, "until it is built, the one before it counts"
    await environments.build(again, REPO, print)
    assert (await environments.inputs(NOTHING, checkout, print)).name == again.name


async def test_a_name_is_a_function_of_what_goes_in(real: UvEnvironments, checkout: Checkout) -> None:
    async def name(plan: EnvironmentPlan, commit: str = "a" * 40, url: str = "https://h/o/r") -> str:
        repo = replace(REPO, commit=commit, address=replace(REPO.address, url=url))
        return (await real.inputs(plan, Checkout(repo, checkout.path), lambda _: None)).name

    six = requiring("six")
    assert await name(six) == await name(six) == await name(requiring("six  # says who?"))
    assert await name(six) != await name(six, "b" * 40)
    assert await name(six) != await name(six, url="https://h/o/other")
    assert await name(six) != await name(requiring("six==1.16"))


async def test_a_wish_that_is_bent_is_told(real: UvEnvironments, checkout: Checkout) -> None:
    lines: list[str] = []
    wish = PythonRequest("==3.99.*", PythonSource.RUNTIME_TXT)
    await real.inputs(EnvironmentPlan(wish, ()), checkout, lines.append)
    assert "Python 3.99" in lines[0]


async def test_its_files_are_shared_with_the_cache_and_compiled(
    real: UvEnvironments, checkout: Checkout, state: State
) -> None:
    plan = requiring("six==1.17.0")
    key = (await built(real, plan, checkout)).key
    (six,) = (state.environments / key).glob("lib/python*/site-packages/six.py")
    assert six.stat().st_nlink > 1
    (bytecode,) = six.parent.glob("__pycache__/six.*.pyc")
    assert bytecode.stat().st_nlink > 1
    (stored,) = await real.stored()
    assert six.stat().st_size < stored.size < 100 * 1024**2
    assert stored.made_from == "gh/o/r/HEAD at aaaaaaa"
    await real.remove(key)
    other = requiring("six==1.17.0 # once more")
    key = (await built(real, other, checkout)).key
    assert (state.environments / key / bytecode.relative_to(bytecode.parents[4])).exists()


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        pytest.param("nosuch-qzx", failures.NO_SUCH_PACKAGE, "nosuch-qzx", id="no such package"),
        pytest.param("os\njson\nsix", failures.NO_SUCH_PACKAGE, "os and json come with Python", id="modules of Python"),
        pytest.param("sklearn", failures.BUILD_BROKE, "package is deprecated, use 'scikit-learn'", id="sklearn"),
        pytest.param("pywin32==306", failures.NO_WHEEL, "pywin32 306 has no build for Linux", id="Windows alone"),
        pytest.param("pywin32", failures.NO_WHEEL, 'sys_platform == "win32"', id="Windows alone, of any version"),
        pytest.param("tensorflow-metal==1.1.0", failures.NO_WHEEL, "has no build for Linux", id="macOS alone"),
        pytest.param("six==99.1", failures.NO_SUCH_PACKAGE, "six==99.1", id="no such version"),
        pytest.param("six==1.16.0\nsix==1.17.0", failures.CONFLICT, "six==1.16.0", id="conflict"),
        pytest.param("six\nnumpy 1.2", failures.BAD_FILE, "requirements.txt, line 2", id="no requirement"),
        pytest.param("nosuch @ file:./nowhere", failures.BAD_FILE, "does not exist", id="no such folder"),
    ],
)
async def test_what_cannot_be_installed_is_told_as_its_kind_and_leaves_nothing(
    real: UvEnvironments, checkout: Checkout, state: State, text: str, kind: Kind, says: str
) -> None:
    plan, lines = requiring(text), list[str]()
    with pytest.raises(Fail) as caught:
        await built(real, plan, checkout, lines.append)
    assert caught.value.failure.kind is kind
    assert says in f"{caught.value.failure.cause} {caught.value.failure.remedy}"
    assert len([line for line in lines if "No solution found" in line]) <= 1, "said once"
    assert list(state.environments.iterdir()) == []


async def test_a_python_for_which_all_pins_have_builds_is_taken_and_told(
    real: UvEnvironments, checkout: Checkout, state: State
) -> None:
    lines: list[str] = []
    wish = PythonRequest(">=3.8", PythonSource.REQUIRES_PYTHON)
    plan = EnvironmentPlan(wish, (InstallRequirements("requirements.txt", "markupsafe==2.0.1\ndocopt==0.6.2"),))
    inputs = await real.inputs(plan, checkout, lines.append)
    if not any(other.minor in {"3.8", "3.9", "3.10"} for other in inputs.others):
        pytest.skip("this machine has no Python of 3.8 to 3.10, for which MarkupSafe 2.0.1 has builds")
    environment = await real.build(inputs, checkout.repo, lines.append)
    assert environment.python.rpartition(".")[0] in {"3.8", "3.9", "3.10"}
    minor = inputs.interpreter.minor
    assert f"is taken: markupsafe==2.0.1 has no build for {minor}" in "\n".join(lines)
    assert list((state.environments / environment.key).glob("lib/python*/site-packages/docopt.py"))


async def test_an_index_that_does_not_answer_is_told_as_such(
    real: UvEnvironments, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(Fail) as caught:
        await built(real, requiring("six"), checkout)
    assert caught.value.failure.kind is failures.INDEX_UNREACHABLE


async def test_an_index_that_is_down_is_not_a_package_without_a_build(
    real: UvEnvironments, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inputs = await real.inputs(NOTHING, checkout, print)
    (tmp_path / "work").mkdir()
    python = (inputs.interpreter.version, inputs.interpreter, tmp_path / "work")
    assert await real.uv.has_wheels(["six==1.17.0"], *python)
    assert not await real.uv.has_wheels(["pywin32==306"], *python)
    assert not await real.uv.has_wheels(["six==99.1"], *python)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(Fail) as caught:
        await real.uv.has_wheels(["six==1.16.0"], *python)
    assert caught.value.failure.kind is failures.INDEX_UNREACHABLE


async def test_a_package_whose_build_breaks_is_told_with_its_last_words(
    real: UvEnvironments, checkout: Checkout, foreign: UnconfinedForeignCode
) -> None:
    (checkout.path / "setup.py").write_text("raise SystemExit('the build of this one is broken')")
    plan = EnvironmentPlan(ANY, (InstallProject("."),))
    with pytest.raises(Fail) as caught:
        await built(real, plan, checkout)
    assert caught.value.failure.kind is failures.BUILD_BROKE
    assert "the build of this one is broken" in caught.value.failure.evidence[0].saw
    (run,) = foreign.runs
    assert run.egress_allowed == BuildSettings().hosts


async def test_a_build_that_takes_too_long_ends_and_leaves_nothing(
    state: State, checkout: Checkout, foreign: UnconfinedForeignCode
) -> None:
    slow = UvEnvironments(state, BuildSettings(timeout=0.05), foreign, InProcess())
    with pytest.raises(Fail) as caught:
        await built(slow, requiring("six"), checkout)
    assert caught.value.failure.kind is failures.BUILD_TOO_SLOW
    assert list(state.environments.iterdir()) == []


async def test_a_cancelled_build_leaves_nothing(real: UvEnvironments, checkout: Checkout, state: State) -> None:
    began = asyncio.Event()
    task = asyncio.create_task(built(real, requiring("six"), checkout, lambda _: began.set()), name="build")
    async with asyncio.timeout(60):
        await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(state.environments.iterdir()) == []


async def test_what_an_interrupted_build_left_is_swept(real: UvEnvironments, state: State) -> None:
    (state.environments / f".{'k' * 32}.1" / "env").mkdir(parents=True)
    (state.tools / ".server-0.1").mkdir()
    await real.prepare(lambda _: None)
    assert list(state.environments.iterdir()) == []
    assert not list(state.tools.glob(".*"))
