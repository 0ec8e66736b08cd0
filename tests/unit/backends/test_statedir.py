"""The state directory: made with the right rights, held by one, its secret kept."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.pad.master import Master, settle
from perijove.domain.failures import ALREADY_UP, STATE_UNUSABLE, Fail, Failure
from perijove.domain.service_failures import SECRET_DAMAGED
from perijove.domain.state import State

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only as root do sessions have uids of their own")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may pass through; the state directory in it is not made yet."""
    folder = Path(tempfile.mkdtemp(prefix="perijove-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def refused(state: State) -> Failure:
    with pytest.raises(Fail) as caught:
        statedir.prepare(state)
    assert caught.value.failure.kind is STATE_UNUSABLE
    return caught.value.failure


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_so_that_sessions_can_pass_but_not_look(place: Path) -> None:
    state = State(place / "perijove")
    before = os.umask(0o077)
    try:
        statedir.prepare(state)
    finally:
        os.umask(before)
    modes = {path.name: f"{mode(path):o}" for path in state.root.rglob("*")}
    assert modes == {
        "sessions": "711", "pad": "755", "s": "710", "handed": "710",
        "run": "711", "store": "711", "control": "700", "log": "700",
        "checkouts": "710", "uv-cache": "700", "conda-cache": "700", "resolutions": "700",
        "image-layers": "700", "decided": "700", "unsealed": "710",
        "environments": "755", "interpreters": "755", "tools": "755",
        "bases": "755", "layers": "755", "apt": "755", "lists": "755", "archives": "755",
    }  # fmt: skip


def test_preparing_it_again_repairs_rights_and_keeps_what_is_there(place: Path) -> None:
    state = State(place)
    statedir.prepare(state)
    (state.environments / "kept").touch()
    state.session_sockets.chmod(0o777)
    statedir.prepare(state)
    assert mode(state.session_sockets) == 0o710
    assert (state.environments / "kept").exists()


@pytest.mark.parametrize("length", [pytest.param(59, id="fits"), pytest.param(60, id="a byte too long")])
def test_its_path_must_leave_room_for_the_names_of_sockets(place: Path, length: int) -> None:
    name = "x" * (length - len(os.fsencode(place)) - 1)
    state = State(place / name)
    assert len(os.fsencode(state.root)) == length
    if length == 59:
        statedir.prepare(state)
    else:
        failure = refused(state)
        assert "too long" in failure.cause
        assert "108 bytes" in failure.evidence[0].saw


def test_a_file_in_its_place_is_named(place: Path) -> None:
    (place / "perijove").write_text("a file")
    assert refused(State(place / "perijove")).evidence[0].where == str(place / "perijove")


def test_a_folder_nobody_may_write_to_is_named() -> None:
    """Not even root makes a folder in /proc."""
    assert "/proc" in refused(State(Path("/proc/perijove"))).evidence[0].where


@needs_root
def test_a_folder_on_the_way_that_sessions_cannot_pass_is_named_with_the_command_that_opens_it(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    failure = refused(State(closed / "perijove"))
    assert failure.evidence[0].where == str(closed)
    assert f"chmod o+x {closed}" in failure.remedy
    closed.chmod(0o701)
    statedir.prepare(State(closed / "perijove"))


HOLDER = """
import sys
from pathlib import Path
from perijove.backends import statedir
from perijove.domain.state import State
statedir.lock(State(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_service_holds_it_and_the_next_is_told_which(state: State) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Fail) as caught:
            statedir.lock(state)
        assert caught.value.failure.kind is ALREADY_UP
        assert str(holder.pid) in caught.value.failure.cause
    finally:
        holder.kill()
        holder.communicate()
    os.close(statedir.lock(state))


def test_its_secret_is_made_once_and_only_its_owner_may_read_it(state: State) -> None:
    token = statedir.keys(state).session_token("repo-1")
    assert mode(state.secret) == 0o600
    assert statedir.keys(state).session_token("repo-1") == token
    assert not [path for path in state.control.iterdir() if path.name.startswith(".secret")]


def test_another_directory_has_another_secret(state: State, place: Path) -> None:
    other = State(place)
    statedir.prepare(other)
    assert statedir.keys(state).secret != statedir.keys(other).secret


@pytest.mark.parametrize(
    ("content", "saw"),
    [
        pytest.param(b"", "0 bytes where 32 belong", id="empty"),
        pytest.param(b"x" * 31, "31 bytes", id="a byte short"),
        pytest.param(b"x" * 33, "33 bytes", id="a byte long"),
        pytest.param(None, "a folder", id="a folder"),
    ],
)
def test_a_damaged_secret_is_not_used_and_its_remedy_works(state: State, content: bytes | None, saw: str) -> None:
    if content is None:
        state.secret.mkdir()
    else:
        state.secret.write_bytes(content)
    with pytest.raises(Fail) as caught:
        statedir.keys(state)
    failure = caught.value.failure
    assert failure.kind is SECRET_DAMAGED
    assert failure.evidence[0].where == str(state.secret)
    assert saw in failure.evidence[0].saw
    subprocess.run(["sh", "-ec", failure.remedy.split("`")[1]], check=True)
    assert len(statedir.keys(state).secret) == 32


def test_a_secret_that_may_not_be_read_is_told_as_such(state: State) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    state.secret.write_bytes(b"x" * 32)
    state.secret.chmod(0)
    with pytest.raises(Fail) as caught:
        statedir.keys(state)
    assert caught.value.failure.kind is STATE_UNUSABLE


def test_launches_are_counted_from_one_until_a_journal_is_lost(state: State) -> None:
    assert statedir.first_number(state) == 1
    statedir.keys(state)
    assert statedir.first_number(state) > 50_000_000


@needs_root
def test_below_roots_pad_its_master_makes_what_is_its_own(place: Path) -> None:
    state, master = State(place / "perijove"), Master(4000, 4000)
    settle(state, master)
    with master.rights():
        statedir.prepare(state)
        os.close(statedir.lock(state))
        statedir.keys(state)
    assert {path.stat().st_uid for path in [*state.in_store, state.secret]} == {4000}
    assert {path.stat().st_uid for path in state.of_pad} == {0}


@needs_root
def test_who_has_no_folders_below_roots_learns_how_to_get_them(place: Path) -> None:
    state = State(place / "perijove")
    state.root.mkdir(mode=0o711)
    with Master(4000, 4000).rights():
        failure = refused(state)
    assert failure.evidence[0].where == str(state.run)
    assert f"perijove pad --state {state.root} --for 4000" in failure.remedy


@needs_root
@pytest.mark.parametrize("uid", [0, 4001])
def test_the_folders_of_another_master_are_left_alone(place: Path, uid: int) -> None:
    state = State(place / "perijove")
    settle(state, Master(4000, 4000))
    with Master(uid, uid).rights():
        failure = refused(state)
    assert "uid 4000" in failure.cause
    assert not list(state.store.iterdir())


def test_a_log_that_grew_too_long_begins_anew_under_its_writer(state: State) -> None:
    log, short = state.logs / "caddy.log", state.logs / "pad.log"
    short.write_text("pad\n")
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (statedir.LOG_LIMIT + 1))
        statedir.bound_logs(state)
        writer.write(b"and on\n")
    assert log.read_bytes() == b"and on\n"
    assert (state.logs / "caddy.log.1").stat().st_size == statedir.LOG_LIMIT + 1
    assert sorted(path.name for path in state.logs.iterdir()) == ["caddy.log", "caddy.log.1", "pad.log"]
    statedir.bound_logs(state)
    assert log.read_bytes() == b"and on\n"
    assert short.read_text() == "pad\n"


def test_what_takes_the_store_s_disk_is_told_the_most_first_and_shared_files_once(tmp_path: Path) -> None:
    state = State(tmp_path)
    for folder, size in ((state.environments / "e", 3 << 20), (state.uv_cache, 2 << 20), (state.checkouts, 100)):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * size)
    (state.uv_cache / "same").hardlink_to(state.environments / "e" / "file")
    told = [(one.where, one.saw) for one in statedir.sizes(state)]
    assert told == [("store/environments", "3 MB"), ("store/uv-cache", "2 MB")]

    told = [(one.where, one.saw) for one in statedir.sizes(state, most=2)]
    assert told == [("store/environments", "at least 3 MB")]


def test_sandboxes_are_shown_the_certificates_of_the_environment_and_no_key(tmp_path: Path) -> None:
    state, named = State(tmp_path / "state"), tmp_path / "ca.pem"
    state.store.mkdir(parents=True)
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    secret = "PRIVATE" + " KEY"
    named.write_text(f"# ours\n{certificate}-----BEGIN {secret}-----\nMIIC\n-----END {secret}-----\n{certificate}")
    assert statedir.authorities(state, {}) is None
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        assert statedir.authorities(state, {variable: str(named)}) == state.authorities
        assert state.authorities.read_text() == certificate * 2
        assert stat.S_IMODE(state.authorities.stat().st_mode) == 0o644
    assert [path.name for path in state.store.iterdir()] == ["authorities.pem"]
    for wrong in (tmp_path / "nothing", tmp_path):
        with pytest.raises(OSError, match=re.escape(str(wrong))):
            statedir.authorities(state, {"SSL_CERT_FILE": str(wrong)})
    named.write_text("words")
    with pytest.raises(OSError, match="no certificate"):
        statedir.authorities(state, {"SSL_CERT_FILE": str(named)})
