"""What every test may ask for."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from perijove.domain.conda_settings import CondaSettings
from perijove.domain.state import State
from tests.e2e.service import shared_cache
from tests.fakes import conda_channel

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Hundreds of our own processes are started, and each would compile itself, as each run of pytest would all tests;
    # the checkout stays as clean.
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(Path(sys.prefix) / "bytecode")
    sys.dont_write_bytecode = False


# Looking again and again through all that tests import for what nobody refers to took a fifth of the quick ones' time.
gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Name a mark of ours: such tests touch no sandbox, no other uid, no right of root's and no file of an operator's.

    `.ci/unprivileged` leaves them to the run as root.
    """
    config.addinivalue_line("markers", "same_for_any_user: proves the same whoever runs it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NO_SKIPPED_E2E is set, an end-to-end test that skips fails: a skipped proof is none."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPPED_E2E") and item.get_closest_marker("e2e"):
        report.outcome = "failed"
        report.longrepr = f"skipped where no test may skip: {report.longrepr}"
    return report


@pytest.fixture
def state() -> Iterator[State]:
    """A fresh state directory that a session's own uid can pass through, which pytest's own folders forbid."""
    root = Path(tempfile.mkdtemp(prefix="perijove-"))
    root.chmod(0o711)
    state = State(root)
    for folder, mode in (state.of_pad | state.of_master | state.in_store).items():
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    yield state
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def empty_state() -> Iterator[State]:
    """As `state`, without its folders: a service makes them itself."""
    root = Path(tempfile.mkdtemp(prefix="perijove-"))
    root.chmod(0o711)
    yield State(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def module_state() -> Iterator[State]:
    """As `empty_state`, for all tests of a module."""
    root = Path(tempfile.mkdtemp(prefix="perijove-"))
    root.chmod(0o711)
    yield State(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def uv_cache() -> Path:
    """uv's cache for a whole test run: link a state's own to it, so that packages are fetched and compiled once."""
    return shared_cache()


def _channels(which: str) -> Iterator[str]:
    root = Path(tempfile.mkdtemp(prefix="perijove-channels-"))
    words = [sys.executable, "-m", "tests.fakes.conda_channel", which, str(root)]
    subprocess.run(words, check=True, cwd=Path(__file__).parents[1])
    with conda_channel.served(root) as (address, _):
        yield address
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def conda_channels() -> Iterator[str]:
    """The address of conda channels of our own, of which one is as conda-forge."""
    yield from _channels("channels")


@pytest.fixture(scope="session")
def small_channels() -> Iterator[str]:
    """The same with packages without content."""
    yield from _channels("small")


@pytest.fixture
def conda_settings(conda_channels: str) -> CondaSettings:
    """As an operator sets them who mirrors conda-forge."""
    return CondaSettings(mirrors={name: f"{conda_channels}/{name}" for name in ("conda-forge", "planets")})
