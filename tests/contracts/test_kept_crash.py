"""kill -9 of the pad at each moment of keeping and giving back: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from perijove.backends.kept import KeptOnDisk
from perijove.backends.pad.client import Pad
from perijove.domain.failures import Fail
from perijove.domain.keeping import GivenBack, KeepTerms, KeptWork
from perijove.domain.nouns import EndReason
from perijove.domain.state import State
from perijove.sealing import new_key, public_half
from tests.contracts.test_sessions_port import pad_process
from tests.fakes.confined import MIB, do, spec, until

KEY = new_key()
TERMS = KeepTerms(public_half(KEY), "github.com/owner/repo", "c" * 40, 64 * MIB, 100)
LARGE = 24 * MIB
"""Bytes that take a while to be kept."""
MOMENTS: dict[str, Callable[[State], object]] = {
    "while it runs": lambda state: True,
    "when it has ended": lambda state: not (state.session_sockets / "one.sock").exists(),
    "while it is kept": lambda state: (state.handed / ".one.kept").exists(),
    "when it is kept": lambda state: (state.handed / "one.kept").exists(),
}


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    return folder


def kill(state: State) -> None:
    """kill -9 of the pad alone: what it forked to keep or give back may go on for a moment."""
    os.kill(pad_process(state), signal.SIGKILL)


async def kept(pad: Pad, state: State) -> tuple[KeptOnDisk, KeptWork]:
    """What waits, taken in, once there is no home left."""
    works = KeptOnDisk(state)
    async with asyncio.timeout(30):
        (name,) = await pad.kept()
    work = await works.take_in(name)
    assert work is not None
    await pad.fetched(name)
    await until(lambda: not list(state.sessions.iterdir()), 30)
    assert list(state.handed.iterdir()) == []
    assert not [*state.keep_notes.glob("*"), *state.home_disks.glob("*")]
    return works, work


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_pad_that_is_killed_loses_nothing(state: State, repo: Path, moment: str) -> None:
    first = Pad(state)
    await first.start(spec("one", repo))
    await first.keep("one", TERMS)
    code = f"import os; open('large', 'wb').write(os.urandom({LARGE})); open('hello.txt', 'a').write('!'); answer = 1"
    assert await do(state, "one", code) == 1
    stopping = None if moment == "while it runs" else asyncio.create_task(first.stop("one", EndReason.IDLE))
    await until(lambda: MOMENTS[moment](state), 30)
    kill(state)
    if stopping is not None:
        with suppress(Fail):  # it may have been quicker
            await stopping
    await first.close(stop=True)
    pad = Pad(state)
    await pad.ensure()
    try:
        works, work = await kept(pad, state)
        assert (work.session, work.files) == ("one", 2)
        with zipfile.ZipFile(io.BytesIO(b"".join(works.zipped(work, KEY)))) as archive:
            assert archive.read("hello.txt") == b"hello!"
            assert archive.getinfo("large").file_size == LARGE
    finally:
        await pad.close(stop=True)


async def test_a_pad_that_is_killed_while_it_gives_back_leaves_the_work_where_it_was(state: State, repo: Path) -> None:
    first = Pad(state)
    await first.start(spec("one", repo))
    await first.keep("one", TERMS)
    assert await do(state, "one", f"import os; open('large', 'wb').write(os.urandom({LARGE})); answer = 1") == 1
    await first.stop("one", EndReason.IDLE)
    works, work = await kept(first, state)
    opening = await works.opening(work, KEY)
    await first.start(spec("two", repo))
    giving = asyncio.create_task(first.give_back("two", *opening, same_commit=True))
    home = Path(f"/proc/{pad_process(state)}/root{state.sessions}/two/own/home")  # in its mount namespace
    await until(lambda: list(home.glob(".perijove-*")))
    kill(state)
    with pytest.raises(Fail):
        await giving
    await first.close(stop=True)
    pad = Pad(state)
    await pad.ensure()
    try:
        assert await works.all() == [work]
        await pad.start(spec("three", repo))
        assert await pad.give_back("three", *opening, same_commit=True) == GivenBack(1)
        assert await do(state, "three", "import os; answer = sorted(os.listdir())") == ["hello.txt", "large"]
    finally:
        await pad.close(stop=True)


async def test_a_service_that_is_killed_between_taking_and_telling_takes_the_same_again(
    state: State, repo: Path
) -> None:
    pad = Pad(state)
    await pad.start(spec("one", repo))
    await pad.keep("one", TERMS)
    assert await do(state, "one", "open('mine', 'w').write('mine'); answer = 1") == 1
    await pad.stop("one", EndReason.IDLE)
    works = KeptOnDisk(state)
    try:
        for _ in range(2):
            assert await pad.kept() == ["one"]
            assert await works.take_in("one") is not None
        await pad.fetched("one")
        assert len(await works.all()) == 1
        assert await works.take_in("one") is None
    finally:
        await pad.close(stop=True)
