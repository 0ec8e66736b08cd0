"""Which conda packages are decided on, and what is told where none fit: by rattler itself, channels on loopback."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.environments.conda import Conda
from perijove.domain import conda_failures, failures
from perijove.domain.build_inputs import CondaPackages
from perijove.domain.conda_settings import AnacondaChannels, CondaSettings
from perijove.domain.failures import Fail, Failure, Kind
from perijove.domain.nouns import Checkout, InstallConda, RepoAddress, ResolvedRepo
from perijove.domain.settings import BuildSettings
from perijove.domain.state import State
from perijove.launching.build.conda_locks import locked_steps
from tests.fakes.ports import free_port

pytestmark = pytest.mark.same_for_any_user

REPO = ResolvedRepo(RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r"), "a" * 40, "refs/heads/main")
NAMES = ("conda-forge", "other", "hostile")


@pytest.fixture(scope="module")
def confined() -> Iterator[ConfinedCalls]:
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.fixture
def conda(state: State, confined: ConfinedCalls, small_channels: str) -> Conda:
    mirrors = {name: f"{small_channels}/{name}" for name in NAMES}
    return Conda(state, confined, BuildSettings(), CondaSettings(mirrors=mirrors))


async def decided(
    conda: Conda,
    *specs: str,
    channels: tuple[str, ...] = ("conda-forge",),
    commit: str = "a" * 40,
    again: bool = False,
) -> CondaPackages:
    lines: list[str] = []
    step = InstallConda("environment.yml", channels, specs)
    found = await conda.decided(step, Checkout(replace(REPO, commit=commit), Path("/")), lines.append, again=again)
    print("\n".join(lines))
    return found


async def refused(conda: Conda, *specs: str, channels: tuple[str, ...] = ("conda-forge",)) -> Failure:
    with pytest.raises(Fail) as caught:
        await decided(conda, *specs, channels=channels)
    return caught.value.failure


def packages(found: CondaPackages) -> dict[str, str]:
    pairs = re.findall(r"^- conda: .*/([^/]+)-([^-/]+)-[^-/]+\.tar\.bz2$", found.lock, re.MULTILINE)
    return dict(pairs)


@pytest.mark.parametrize(
    ("specs", "python"),
    [
        pytest.param((), "3.12.4", id="none is named"),
        pytest.param(("python",), "3.12.4", id="any"),
        pytest.param(("python=3.11",), "3.11.9", id="one"),
        pytest.param(("python = 3.11.9 = 0",), "3.11.9", id="a build, with blanks"),
        pytest.param(("python=3.11.9=0",), "3.11.9", id="a build"),
        pytest.param(("python>=3.8,<3.12",), "3.11.9", id="a range"),
        pytest.param(("python=3.8.*|>=3.13",), "3.13.1", id="one or the other"),
        pytest.param(("old",), "3.8.20", id="none is named, and a package knows one alone"),
        pytest.param(("Old=1.16",), "3.8.20", id="another case"),
    ],
)
async def test_the_python_is_what_the_file_asks_for(conda: Conda, specs: tuple[str, ...], python: str) -> None:
    found = await decided(conda, *specs)
    assert found.python == python
    assert {"ipykernel", "pip"} <= packages(found).keys()


async def test_a_lock_is_kept_to_the_build_and_its_hash(conda: Conda) -> None:
    moon = "https://conda.anaconda.org/conda-forge/noarch/moon-1.0-0.tar.bz2"
    (step,) = locked_steps("conda-linux-64.lock", f"@EXPLICIT\n{moon}\n", "linux-64")
    assert isinstance(step, InstallConda)
    assert packages(await decided(conda, *step.specs, channels=step.channels))["moon"] == "1.0"
    (step,) = locked_steps("conda-linux-64.lock", f"@EXPLICIT\n{moon}#{'ab' * 32}\n", "linux-64")
    assert isinstance(step, InstallConda)
    told = await refused(conda, *step.specs, channels=step.channels)
    assert told.kind is failures.NO_SUCH_PACKAGE
    assert "ababab" in told.cause


async def test_what_every_binder_has_is_there_where_it_fits(conda: Conda, capsys: pytest.CaptureFixture[str]) -> None:
    assert packages(await decided(conda, "moon"))["requests"] == "2.0"
    assert packages(await decided(conda, "requests=1"))["requests"] == "1.0"
    assert "requests" not in packages(await decided(conda, "old-web"))
    assert "Left out, for it does not fit with what the file asks for: ipywidgets, " in capsys.readouterr().out


async def test_the_first_channel_counts_before_the_newest_version(conda: Conda) -> None:
    assert packages(await decided(conda, "moon", channels=("conda-forge", "other")))["moon"] == "2.0"
    assert packages(await decided(conda, "moon", channels=("other", "conda-forge")))["moon"] == "9.0"


async def test_a_package_can_name_its_channel(conda: Conda) -> None:
    assert packages(await decided(conda, "other::moon"))["moon"] == "9.0"
    assert packages(await decided(conda, "conda-forge::moon", channels=("other", "nodefaults")))["moon"] == "2.0"


async def test_defaults_are_what_the_operator_says(conda: Conda) -> None:
    assert packages(await decided(conda, "moon", channels=("defaults",)))["moon"] == "2.0"
    conda.settings = replace(conda.settings, defaults=AnacondaChannels.REFUSE)
    told = await refused(conda, "moon", channels=("defaults",))
    assert told.kind is conda_failures.CHANNEL_REFUSED
    assert "Anaconda's terms" in told.cause


@pytest.mark.parametrize(
    ("specs", "kind", "says"),
    [
        pytest.param(("needs-one", "needs-two"), failures.CONFLICT, "no set of conda packages", id="conflict"),
        pytest.param(("nonesuch>=3",), failures.NO_SUCH_PACKAGE, "nonesuch >=3", id="unknown"),
        pytest.param(("moon=7",), failures.NO_SUCH_PACKAGE, "moon", id="unknown version"),
        pytest.param(("needs-nothing-there",), failures.CONFLICT, "nowhere", id="needs what is unknown"),
        pytest.param(("needs-cuda",), failures.CONFLICT, "__cuda", id="needs what a session has not"),
        pytest.param(
            ("appnope=0.1.2=py39h6e9494a_1",), conda_failures.WRONG_PLATFORM, "osx-64 only", id="another platform's"
        ),
        pytest.param(("numpy=>2",), failures.BAD_FILE, "numpy=>2", id="no spec"),
    ],
)
async def test_where_no_packages_fit_it_is_told_why(
    conda: Conda, specs: tuple[str, ...], kind: Kind, says: str
) -> None:
    told = await refused(conda, *specs)
    assert (told.kind.code, says in told.cause) == (kind.code, True), (told.cause, told.evidence)


async def test_what_a_session_has_can_be_said(conda: Conda) -> None:
    conda.settings = replace(conda.settings, virtual_packages=("__cuda=12.4",))
    assert "needs-cuda" in packages(await decided(conda, "needs-cuda"))


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        pytest.param("nosuch-channel", conda_failures.NO_SUCH_CHANNEL, id="none of this name"),
        pytest.param("down", conda_failures.CHANNEL_UNREACHABLE, id="its host does not answer"),
        pytest.param("http://169.254.169.254/latest", conda_failures.CHANNEL_REFUSED, id="the operator's network"),
        pytest.param("file:///etc", conda_failures.CHANNEL_REFUSED, id="a folder"),
        pytest.param("./channel", conda_failures.CHANNEL_REFUSED, id="a folder of the repository"),
        pytest.param("https://a:b@conda.anaconda.org/x", conda_failures.CHANNEL_REFUSED, id="with a password"),
    ],
)
async def test_a_channel_that_is_not_there_or_not_open_is_told(
    conda: Conda, small_channels: str, channel: str, kind: Kind
) -> None:
    mirrors = {
        **conda.settings.mirrors,
        "nosuch-channel": f"{small_channels}/nosuch",
        "down": f"http://127.0.0.1:{free_port()}/t/tk-secret/down",
    }
    conda.settings = replace(conda.settings, mirrors=mirrors)
    told = await refused(conda, "moon", channels=(channel,))
    assert told.kind.code == kind.code, (told.cause, told.evidence)
    assert "tk-secret" not in f"{told}"


async def test_a_commit_stays_as_it_was_decided_without_a_network(conda: Conda) -> None:
    first = await decided(conda, "moon")
    down = {name: f"http://127.0.0.1:{free_port()}/" for name in NAMES}
    conda.settings = replace(conda.settings, mirrors=down)
    assert await decided(conda, "moon") == first
    with pytest.raises(Fail):
        await decided(conda, "moon", commit="b" * 40)
    with pytest.raises(Fail):
        await decided(conda, "moon", again=True)
    assert await decided(conda, "moon") == first, "what was decided counts until something else is"


def test_nothing_of_the_service_loads_rattler() -> None:
    ask = "import sys, perijove.wiring.service, perijove.wiring.launching; print('rattler' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", ask], text=True) == "False\n"
