"""A server of repositories, an operator's home, and the real implementation."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.backends.confined import ConfinedCalls
from perijove.backends.git import GitRepositories
from perijove.domain.settings import RepositoriesSettings
from perijove.domain.state import State
from tests.fakes.git_server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Path(tempfile.mkdtemp(prefix="git-server-"))) as running:
        yield running


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The operator's home, where their git configuration lies; this process has no other."""
    folder = Path(tempfile.mkdtemp(prefix="operator-"))
    for name in [name for name in os.environ if name.startswith("GIT_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def confined_calls() -> Iterator[ConfinedCalls]:
    calls = ConfinedCalls()
    yield calls
    calls.close()


@pytest.fixture
def confined(confined_calls: ConfinedCalls, state: State) -> ConfinedCalls:
    """What runs git."""
    confined_calls.let_through(state.checkouts)
    return confined_calls


@pytest.fixture
def repositories(state: State, confined: ConfinedCalls, home: Path) -> GitRepositories:
    return GitRepositories(state, RepositoriesSettings(), True, confined)
