"""Whose each folder of a state directory is, and that root is led nowhere by whom it serves."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.backends.pad import home
from perijove.backends.pad.footing import find
from perijove.backends.pad.master import Master, named, ourselves, settle
from perijove.domain.failures import SANDBOX_FAILED, STATE_UNUSABLE, Fail, Failure
from perijove.domain.state import State

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can serve another user")
OTHER = Master(4000, 4000)


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="perijove-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def refused(state: State, asked: Master | None) -> Failure:
    with pytest.raises(Fail) as caught:
        settle(state, asked)
    assert caught.value.failure.kind is STATE_UNUSABLE
    return caught.value.failure


def test_whoever_is_served_by_nobody_else_is_its_own_master(place: Path) -> None:
    state = State(place / "perijove")
    assert settle(state, None) == ourselves()
    folders = {**state.of_pad, **state.of_master}
    assert {path: path.stat().st_mode & 0o777 for path in folders} == folders
    assert settle(state, None) == ourselves(), "and stays it"


@needs_root
def test_the_master_is_known_by_what_belongs_to_it(place: Path) -> None:
    state = State(place / "perijove")
    assert settle(state, OTHER) == OTHER
    assert {path.stat().st_uid for path in state.of_pad} == {0}
    assert {path.stat().st_uid for path in state.of_master} == {4000}
    assert (state.session_sockets.stat().st_gid, state.handed.stat().st_gid) == (4000, 4000)
    assert settle(state, None) == OTHER


@needs_root
@pytest.mark.parametrize("name", ["run", "store", "control", "log", "sessions", "pad", "s", "handed"])
def test_a_link_in_a_folders_place_is_not_followed(place: Path, name: str) -> None:
    (place / "perijove").mkdir()
    target = place / "target"
    target.mkdir(mode=0o700)
    (place / "perijove" / name).symlink_to(target)
    refused(State(place / "perijove"), OTHER)
    assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o700)


@needs_root
def test_what_another_user_put_where_the_pads_programs_lie_is_not_used(place: Path) -> None:
    state = State(place / "perijove")
    state.root.mkdir()
    state.pad.mkdir()
    os.chown(state.root, 4000, 4000)
    os.chown(state.pad, 4000, 4000)
    failure = refused(state, OTHER)
    assert failure.evidence[0].where == str(state.pad)
    assert state.root.stat().st_uid == 0


@needs_root
@pytest.mark.parametrize(("owner", "mode"), [(4000, 0o755), (0, 0o777)], ids=["a user's", "everybody's"])
def test_a_state_directory_that_can_be_exchanged_is_refused(place: Path, owner: int, mode: int) -> None:
    place.chmod(mode)
    os.chown(place, owner, owner)
    assert refused(State(place / "perijove"), OTHER).evidence[0].where == str(place)


@needs_root
def test_sandboxes_of_another_user_never_run_as_root(place: Path) -> None:
    state = State(place / "perijove")
    with pytest.raises(Fail) as caught:
        find(state, False, settle(state, OTHER))
    assert caught.value.failure.kind is SANDBOX_FAILED


@needs_root
def test_rights_are_lent_and_given_back() -> None:
    with OTHER.rights():
        assert (os.geteuid(), os.getegid()) == (4000, 4000)
        assert OTHER.other
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
async def test_a_copy_for_another_user_keeps_links_times_and_modes_and_is_its_owners(place: Path) -> None:
    source, copy = place / "source", place / "copy"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "run").write_text("x")
    (source / "sub" / "run").chmod(0o755)
    (source / "dangling").symlink_to("/nowhere")
    (source / "sub" / "closed").mkdir(mode=0o500)
    for path in (source, *source.rglob("*")):
        os.lchown(path, 4000, 4000)
    os.utime(source / "sub" / "run", (1, 1))
    await home.make_home(source, copy, 200_001, OTHER)
    assert sorted(os.listdir(copy)) == ["dangling", "sub"]
    assert (copy / "dangling").readlink() == Path("/nowhere")
    facts = (copy / "sub" / "run").stat()
    assert (facts.st_mode & 0o777, facts.st_mtime) == (0o755, 1)
    assert (copy.stat().st_mode & 0o777, (copy / "sub" / "closed").stat().st_mode & 0o777) == (0o700, 0o500)
    assert {path.lstat().st_uid for path in (copy, *copy.rglob("*"))} == {200_001}


@pytest.mark.parametrize("result", ["..", "/etc", "a/../../b", ""])
async def test_a_result_lies_below_the_home(tmp_path: Path, result: str) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(Fail) as caught:
        await home.take_out(tmp_path / "home", result, tmp_path / "into", 100, ourselves())
    assert caught.value.failure.kind is SANDBOX_FAILED


@pytest.mark.parametrize(("user", "uid"), [("root", 0), ("0", 0), ("4321", 4321)])
def test_a_master_is_named_by_name_or_number(user: str, uid: int) -> None:
    assert named(user) == Master(uid, uid)


def test_a_user_that_is_not_there_is_nobodys_master() -> None:
    with pytest.raises(LookupError):
        named("nobody-of-this-name")
