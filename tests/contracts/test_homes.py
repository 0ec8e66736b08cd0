"""People's homes: made, looked at, never waited for; shown in sessions as theirs, and to no other."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from perijove.backends.homes import HomesOnDisk, looking
from perijove.backends.pad import person_home, spawning
from perijove.backends.pad.client import Pad
from perijove.backends.pad.master import Master
from perijove.domain.failures import Fail, Failure
from perijove.domain.nouns import EndReason
from perijove.domain.people_failures import HOME_COVERED, HOME_NOT_MAPPED, HOME_SILENT, HOME_UNUSABLE
from perijove.domain.settings import HomeSettings
from perijove.domain.state import State
from tests.fakes import hanging_fs
from tests.fakes.confined import do, spec
from tests.fakes.pads import running_pad

OWNER = 54_321
"""Whose homes are where the service is root's."""


@pytest.fixture
def homes_path() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="homes-"))
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, OWNER, OWNER)
    yield path
    shutil.rmtree(path)


def homes(path: Path, quota: int = 0, limit: float = 20) -> HomesOnDisk:
    return HomesOnDisk(lambda: HomeSettings(f"{path}", quota, limit))


async def refused(found: HomesOnDisk, person: str = "ada") -> Failure:
    with pytest.raises(Fail) as caught:
        await found.ready(person)
    return caught.value.failure


async def test_a_home_is_made_for_its_person_alone_and_measured(homes_path: Path) -> None:
    assert await HomesOnDisk(HomeSettings).ready("ada") is None
    home = await homes(homes_path).ready("ada")
    assert home is not None
    assert home.path == homes_path / "ada"
    facts = home.path.stat()
    assert (facts.st_mode & 0o777, facts.st_uid) == (0o700, OWNER if os.geteuid() == 0 else os.geteuid())
    (home.path / "data").write_bytes(bytes(3 * 1024**2))
    again = await homes(homes_path, 2 * 1024**2).ready("ada")
    assert again is not None
    assert "3 MB used, of 2 MB that it may have at most (home.full)" in again.told
    assert again.used >= 3 * 1024**2


async def test_what_is_no_home_is_told(homes_path: Path) -> None:
    (homes_path / "file").touch()
    (homes_path / "link").symlink_to("/etc")
    for person, words in (("file", "no folder"), ("link", "no folder")):
        failure = await refused(homes(homes_path), person)
        assert (failure.kind, words in failure.evidence[0].saw) == (HOME_UNUSABLE, True)
    assert (await refused(homes(homes_path), "../etc")).kind is HOME_UNUSABLE
    failure = await refused(homes(homes_path / "missing"))
    assert (failure.kind, "No such file" in failure.evidence[0].saw) == (HOME_UNUSABLE, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a root's folder to refuse")
async def test_root_makes_no_home_that_would_be_root_s(homes_path: Path) -> None:
    os.chown(homes_path, 0, 0)
    failure = await refused(homes(homes_path))
    assert (failure.kind, "belongs to root" in failure.evidence[0].saw) == (HOME_UNUSABLE, True)
    assert list(homes_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to somebody else")
async def test_root_gives_away_nothing_that_a_link_in_the_place_of_a_home_leads_to(
    homes_path: Path, tmp_path: Path
) -> None:
    (homes_path / "ada").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"directory|symbolic"):
        looking.give(f"{homes_path}/ada", homes_path.stat())
    assert tmp_path.stat().st_uid == 0


@pytest.mark.skipif(not hanging_fs.possible(), reason="no root, or no /dev/fuse")
async def test_a_file_system_that_hangs_is_told_and_one_process_waits_for_it(homes_path: Path) -> None:
    found = homes(homes_path, limit=1)
    with hanging_fs.hanging(homes_path):
        before = time.monotonic()
        failure = await refused(found)
        assert (failure.kind, "within 1 seconds" in failure.cause) == (HOME_SILENT, True)
        failure = await refused(found, "bob")
        assert "has not come back" in failure.evidence[0].saw, "no second process waits"
        with pytest.raises(Fail):
            await found.look()
        assert time.monotonic() - before < 15, "nobody waits for what hangs"
    home = None
    async with asyncio.timeout(30):
        while home is None:  # once it answers again, so does the next look
            try:
                home = await found.ready("ada")
            except Fail as fail:
                assert fail.failure.kind is HOME_SILENT  # noqa: PT017
            await asyncio.sleep(0.01)
    assert home.path == homes_path / "ada"


async def test_what_waits_in_a_child_of_the_pad_is_left_after_its_limit_and_leaves_no_zombie() -> None:
    before = children()
    with pytest.raises(TimeoutError):
        await spawning.in_child(signal.pause, 0.05)
    async with asyncio.timeout(10):
        while children() - before:
            await asyncio.sleep(0.01)


def children() -> set[int]:
    """Of this process, those too that have ended and were not waited for."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture
async def pad(state: State) -> AsyncIterator[Pad]:
    async with running_pad(state) as pad:
        yield pad


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    return folder


async def test_two_sessions_have_their_person_s_home_and_its_files_outlive_them(
    pad: Pad, state: State, repo: Path, homes_path: Path
) -> None:
    found = homes(homes_path)
    ada, bob = [home.path for name in ("ada", "bob") if (home := await found.ready(name))]
    await pad.start(replace(spec("one", repo), person_home=ada))
    await pad.start(replace(spec("two", repo), person_home=ada))
    await pad.start(replace(spec("three", repo), person_home=bob))
    write = (
        "open('/home/jovyan/home/notes', 'w').write('mine'); import os; answer = os.stat('/home/jovyan/home').st_uid"
    )
    assert await do(state, "one", write) == 1000
    read = "answer = open('/home/jovyan/home/notes').read()"
    assert await do(state, "two", read) == "mine"
    assert await do(state, "three", "import os; answer = os.listdir('/home/jovyan/home')") == []
    set_uid = "import os; os.chmod('/home/jovyan/home/notes', 0o4755); answer = 1"
    assert await do(state, "one", set_uid) == 1
    for name in ("one", "two", "three"):
        await pad.stop(name, EndReason.STOPPED)
    assert list(state.sessions.iterdir()) == []
    assert (ada / "notes").read_text() == "mine"
    assert (ada / "notes").stat().st_uid == ada.stat().st_uid
    assert list(bob.iterdir()) == []


async def test_a_file_in_its_place_is_told(pad: Pad, state: State, repo: Path, homes_path: Path) -> None:
    (repo / "home").symlink_to("/etc")
    home = await homes(homes_path).ready("ada")
    assert home is not None
    with pytest.raises(Fail) as caught:
        await pad.start(replace(spec("one", repo), person_home=home.path))
    assert caught.value.failure.kind is HOME_COVERED
    assert list(state.sessions.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can show what is not its own")
async def test_the_pad_shows_no_session_what_is_root_s(pad: Pad, state: State, repo: Path) -> None:
    with pytest.raises(Fail) as caught:
        await pad.start(replace(spec("one", repo), person_home=Path("/etc")))
    assert caught.value.failure.kind is HOME_UNUSABLE
    assert list(state.sessions.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user's service")
@pytest.mark.parametrize(("uid", "gid"), [(OWNER + 1, OWNER), (OWNER, OWNER + 1), (0, 0)])
async def test_root_shows_another_user_s_service_nothing_but_what_is_that_user_s(
    homes_path: Path, uid: int, gid: int
) -> None:
    os.chown(homes_path, uid, gid)
    with pytest.raises(Fail) as caught:
        await person_home.show(homes_path, os.getpid(), 200_500, Master(OWNER, OWNER))
    assert caught.value.failure.kind is HOME_UNUSABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system that maps no users")
async def test_a_file_system_that_maps_no_users_is_told(homes_path: Path) -> None:
    """As NFS; this one is BPF's, which is another user's by an option."""
    mount = ("mount", "-t", "bpf", "-o", f"uid={OWNER},gid={OWNER}", "none", f"{homes_path}")
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel has no such file system with an owner")
    try:
        with pytest.raises(Fail) as caught:
            await person_home.show(homes_path, os.getpid(), 200_500, Master(OWNER, OWNER))
    finally:
        subprocess.run(("umount", f"{homes_path}"), check=True)
    assert caught.value.failure.kind is HOME_NOT_MAPPED
