"""A backup holds what is to be kept and nothing else; restored it is whole, or nothing has changed."""

from __future__ import annotations

import gzip
import io
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.backup import restoring, writing
from perijove.backends.backup.contents import Copied
from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Logged, Phase
from perijove.domain.failures import ALREADY_UP, STATE_UNUSABLE, Fail, Kind
from perijove.domain.service_failures import BACKUP_UNREADABLE, STATE_OCCUPIED
from perijove.domain.state import State
from tests.e2e.service import until
from tests.fakes.small_disk import on_small_disk

US = (os.geteuid(), os.getegid())
ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights that a link could use")


@pytest.fixture
def kept(state: State) -> State:
    """A state directory with something of everything."""
    statedir.keys(state)
    with closing(SqliteLedger(state.database)) as ledger:
        ledger.append("launch/1", 1.0, Logged(Phase.BUILDING, "a line"))
    revision = state.secrets / "a.example" / "1"
    revision.mkdir(parents=True, mode=0o700)
    (revision / "tls.key").write_bytes(b"key")
    (revision / "tls.key").chmod(0o600)
    (revision.parent / "current").symlink_to("1")
    (revision / ".tls.crt.aside").write_bytes(b"half of it")
    for made_again in (state.caddy / "lock", state.control / ".cache" / "uv", state.store / "environments" / "e"):
        made_again.mkdir(parents=True)
    state.free_disk.write_text("1 2")
    return state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar.gz"


def backup(state: State, file: Path) -> Path:
    writing.write(state, file.with_name("none.toml"), file)
    return file


@ROOT_ALONE
def test_root_reads_with_the_rights_of_the_service_s_user(kept: State, file: Path) -> None:
    """Whatever stands there by the time that it is read: here a second name for a file of root's."""
    os.chown(kept.control, 4000, 4000)
    for folder, folders, names in os.walk(kept.control):
        for name in (*folders, *names):
            os.chown(Path(folder, name), 4000, 4000, follow_symlinks=False)
    roots = kept.root / "roots"
    roots.write_bytes(b"of root's alone")
    roots.chmod(0o600)
    backup(kept, file)
    os.link(roots, kept.control / "mine")
    with pytest.raises(Fail) as caught:
        backup(kept, file)
    assert caught.value.failure.kind is STATE_UNUSABLE
    assert os.geteuid() == os.getegid() == 0


def restore(file: Path, state: State, *, replace: bool = False) -> Copied:
    return restoring.restore(state, file.with_name("perijove.toml"), file, US, replace=replace)


def names(file: Path) -> set[str]:
    with tarfile.open(file) as archive:
        return set(archive.getnames())


def test_it_holds_what_is_to_be_kept_and_not_what_is_made_again(kept: State, file: Path) -> None:
    assert names(backup(kept, file)) == {
        "manifest.json", "control", "control/perijove.db", "control/secret", "control/secrets",
        "control/secrets/a.example",
        "control/secrets/a.example/1", "control/secrets/a.example/1/tls.key", "control/secrets/a.example/current",
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_restored_it_is_the_same_with_the_modes_of_keys(kept: State, file: Path, empty_state: State) -> None:
    copied = restore(backup(kept, file), empty_state)
    assert (copied.files, copied.manifest.root) == (3, str(kept.root))
    assert empty_state.secret.read_bytes() == kept.secret.read_bytes()
    with closing(SqliteLedger(empty_state.database)) as ledger:
        (entry,) = ledger.read("launch/1", 0, 9)
    assert entry.event == Logged(Phase.BUILDING, "a line")
    current = empty_state.secrets / "a.example" / "current"
    assert str(current.readlink()) == "1"
    key = current / "tls.key"
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (b"key", 0o600)
    assert empty_state.control.stat().st_mode & 0o777 == 0o700
    assert sorted(one.name for one in empty_state.root.iterdir()) == ["control"]


def test_the_journal_is_of_one_moment_however_much_is_written(kept: State, file: Path, empty_state: State) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(SqliteLedger(kept.database)) as ledger:
            while not stop.is_set():
                ledger.append("launch/2", 1.0, Logged(Phase.BUILDING, "x" * 5000))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            backup(kept, file)
    finally:
        stop.set()
        writer.join()
    restore(file, empty_state)
    with closing(sqlite3.connect(empty_state.database)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        seqs = [row[0] for row in db.execute("select seq from events order by seq")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_backup_that_fails_leaves_the_one_before(kept: State, file: Path) -> None:
    before = backup(kept, file).read_bytes()
    kept.database.write_bytes(b"no journal at all" * 1000)
    with pytest.raises(Fail) as told:
        backup(kept, file)
    assert told.value.failure.kind is STATE_UNUSABLE
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_disk_that_is_too_small_is_told_and_holds_nothing_half(
    command: str, kept: State, file: Path, empty_state: State
) -> None:
    (kept.control / "large").write_bytes(os.urandom(1024**2))
    backup(kept, file)
    small = empty_state.root
    words = [str(small / "b.tar.gz"), "--state", str(kept.root)]
    words = words if command == "backup" else [str(file), "--state", str(small / "state")]
    script = '"$@"; echo "left $?"; find ' + f"{small} -type f"
    ran = subprocess.run(
        [*on_small_disk(small, 2**18), "sh", "-c", script, "sh", sys.executable, "-m", "perijove", command, *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "platform.disk-full" in ran.stderr
    assert ran.stdout.splitlines() == ["left 1"]


def test_what_stands_there_is_never_overwritten(kept: State, file: Path, state: State) -> None:
    backup(kept, file)
    secret = kept.secret.read_bytes()
    with pytest.raises(Fail) as told:
        restore(file, kept)
    assert told.value.failure.kind is STATE_OCCUPIED
    kept.secret.write_bytes(b"y" * 32)
    restore(file, kept, replace=True)
    assert kept.secret.read_bytes() == secret
    (aside,) = kept.root.glob("control.*")
    assert (aside / "secret").read_bytes() == b"y" * 32


def test_while_a_service_runs_nothing_is_restored(kept: State, file: Path) -> None:
    backup(kept, file)
    lock = statedir.lock(kept)
    try:
        with pytest.raises(Fail) as told:
            restore(file, kept, replace=True)
    finally:
        os.close(lock)
    assert told.value.failure.kind is ALREADY_UP


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


MANIFEST = json.dumps({"format": 1, "version": "0.1.0", "at": 1.0, "machine": "m", "root": "/r"}).encode()
FOLDER = member("control", kind=tarfile.DIRTYPE)
OUTSIDE = "/tmp/perijove-was-here"


def archive(*members: tuple[tarfile.TarInfo, bytes], manifest: bytes = MANIFEST) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as written:
        for info, content in (member("manifest.json", manifest), *members):
            written.addfile(info, io.BytesIO(content))
    return whole.getvalue()


FINE = archive(FOLDER, member("control/secret", b"x" * 32))


def test_the_table_s_archive_is_one_but_for_what_is_wrong_with_it(file: Path, empty_state: State) -> None:
    file.write_bytes(FINE)
    assert restore(file, empty_state).files == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(archive(FOLDER, member("control/../../x", b"x")), id="out of the folder"),
        pytest.param(archive(FOLDER, member(OUTSIDE, b"x")), id="an absolute path"),
        pytest.param(archive(FOLDER, member("store/x", b"x")), id="elsewhere in the state directory"),
        pytest.param(archive(FOLDER, member("control/l", kind=tarfile.SYMTYPE, link=OUTSIDE)), id="a link out"),
        pytest.param(archive(FOLDER, member("control/l", kind=tarfile.SYMTYPE, link="..")), id="a link up"),
        pytest.param(
            archive(FOLDER, member("control/l", kind=tarfile.SYMTYPE, link="secret"), member("control/l/x", b"x")),
            id="a file below a link",
        ),
        pytest.param(archive(member("control", kind=tarfile.SYMTYPE, link="x")), id="a link in its place"),
        pytest.param(archive(FOLDER, member("control/h", kind=tarfile.LNKTYPE, link="/etc/passwd")), id="a hard link"),
        pytest.param(archive(FOLDER, member("control/d", kind=tarfile.CHRTYPE)), id="a device"),
        pytest.param(archive(FOLDER, member("control/f", kind=tarfile.FIFOTYPE)), id="a pipe"),
        pytest.param(archive(FOLDER, member("control/a", b"1"), member("control/a", b"2")), id="a name twice"),
        pytest.param(archive(member("control/a", b"1")), id="a file before its folder"),
        pytest.param(archive(FOLDER, member("control/secret", b"x" * 31)), id="no secret"),
        pytest.param(archive(FOLDER, member("control/perijove.db", b"x" * 5000)), id="no journal"),
        pytest.param(archive(), id="nothing in it"),
        pytest.param(archive(FOLDER, manifest=b"{}"), id="no manifest"),
        pytest.param(archive(FOLDER, manifest=b'{"format": 1e999}'), id="a manifest of nonsense"),
        pytest.param(archive(FOLDER, manifest=MANIFEST.replace(b'"format": 1', b'"format": 2')), id="a newer one"),
        pytest.param(FINE[: len(FINE) // 2], id="half of it"),
        pytest.param(FINE[:-8], id="all but its end"),
        pytest.param(FINE[:-8] + bytes([FINE[-8] ^ 1]) + FINE[-7:], id="a bit is another"),
        pytest.param(b"words", id="no archive"),
        pytest.param(b"", id="empty"),
        pytest.param(gzip.compress(b"words"), id="compressed words"),
    ],
)
def test_what_is_no_backup_changes_nothing(content: bytes, file: Path, empty_state: State) -> None:
    file.write_bytes(content)
    with pytest.raises(Fail) as told:
        restore(file, empty_state)
    assert told.value.failure.kind is BACKUP_UNREADABLE
    assert list(empty_state.root.iterdir()) == []
    assert not Path(OUTSIDE).exists()


@pytest.mark.parametrize(("place", "kind"), [("nowhere.tar.gz", STATE_UNUSABLE), (".", STATE_UNUSABLE)])
def test_a_file_that_is_not_there_is_told(place: str, kind: Kind, tmp_path: Path, empty_state: State) -> None:
    with pytest.raises(Fail) as told:
        restore(tmp_path / place, empty_state)
    assert told.value.failure.kind is kind
    assert list(empty_state.root.iterdir()) == []


def test_one_that_is_killed_midway_has_changed_nothing(kept: State, file: Path, empty_state: State) -> None:
    (kept.control / "large").write_bytes(os.urandom(1024**2))
    whole = backup(kept, file).read_bytes()
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "perijove", "restore", str(pipe), "--state", str(empty_state.root)]
    restorer = subprocess.Popen(words)
    try:
        with pipe.open("wb", buffering=0) as written:
            written.write(whole[: len(whole) * 2 // 3])
            unpacked = empty_state.root / ".restoring" / "control" / "large"
            until(unpacked.exists)
    finally:
        restorer.kill()
        restorer.wait()
    assert not empty_state.control.exists()
    restore(file, empty_state)
    assert sorted(one.name for one in empty_state.root.iterdir()) == ["control"]


@pytest.mark.parametrize(
    ("there", "where"),
    [
        pytest.param(None, "perijove.toml", id="where none stands"),
        pytest.param("[service]\n", "perijove.toml.restored", id="beside another"),
        pytest.param('[service]\ntitle = "a"\n', "", id="not where they are the same"),
    ],
)
def test_settings_come_with_it_and_replace_none(
    there: str | None, where: str, kept: State, file: Path, empty_state: State
) -> None:
    config = file.with_name("perijove.toml")
    config.write_text('[service]\ntitle = "a"\n')
    assert writing.write(kept, config, file).settings == str(config)
    config.unlink()
    if there is not None:
        config.write_text(there)
    restored = restore(file, empty_state).settings
    assert restored == (str(config.with_name(where)) if where else "")
    assert not where or config.with_name(where).read_text() == '[service]\ntitle = "a"\n'
    assert config.read_text() == (there or '[service]\ntitle = "a"\n')


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_it_belongs_to_the_user_of_the_service(kept: State, file: Path, empty_state: State) -> None:
    nobody = pwd.getpwnam("nobody")
    restoring.restore(
        empty_state, file.with_name("x"), backup(kept, file), (nobody.pw_uid, nobody.pw_gid), replace=False
    )
    found = [empty_state.control, *empty_state.control.rglob("*")]
    assert {path.lstat().st_uid for path in found} == {nobody.pw_uid}
    assert empty_state.root.stat().st_uid == 0


def test_a_second_one_of_another_machine_s_service_goes_on(kept: State, file: Path, empty_state: State) -> None:
    backup(kept, file)
    shutil.rmtree(kept.root)
    restore(file, empty_state)
    statedir.prepare(empty_state)
    assert statedir.keys(empty_state)
