"""A pad of a test's own, stopped with all that it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from perijove.backends import statedir
from perijove.backends.pad.client import Pad
from perijove.domain.state import State
from tests.e2e.service import furnish
from tests.fakes.confined import Follower


@asynccontextmanager
async def running_pad(state: State, isolation: str = "sandbox") -> AsyncIterator[Pad]:
    """Nothing went wrong in it without being told."""
    pad = Pad(state, isolation)
    await pad.ensure()
    yield pad
    await pad.close(stop=True)
    words = (state.logs / "pad.log").read_text()
    assert "Traceback" not in words, words


@asynccontextmanager
async def furnished_pad(state: State) -> AsyncIterator[Pad]:
    """Where environments are built, with what a first start installs."""
    if not state.store.exists():
        furnish(state)
    statedir.prepare(state)
    async with running_pad(state) as pad:
        yield pad


@pytest.fixture(scope="module")
def repo(state: State) -> Path:
    """A repository without files, for all tests of a module."""
    folder = state.checkouts / "repo"
    folder.mkdir()
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pad(state: State) -> AsyncIterator[Pad]:
    """One for all tests of a module."""
    async with running_pad(state) as pad:
        yield pad


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def follower(pad: Pad) -> AsyncIterator[Follower]:
    """Of the module's pad."""
    follower = Follower(pad)
    yield follower
    await follower.close()
