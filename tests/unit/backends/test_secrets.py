"""Secrets on disk: rights, damage, full disks, and a process that is killed at any step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.backends.secrets import DiskSecrets
from perijove.domain.certificate_failures import FILE_UNREADABLE, KEY_MISMATCH
from perijove.domain.certificates import Issuer, IssuerKind, Secret
from perijove.domain.failures import DISK_FULL, STATE_UNUSABLE, Fail, Failure, Kind
from perijove.domain.state import State
from tests.fakes.private_ca import PrivateCa
from tests.fakes.world import FakeClock

HOST, ORDER = "binder.example.org", "binder.example.org-1"
CAMPUS = Issuer("campus", IssuerKind.ACME, "https://ca.example.org/dir")


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path / "ca")


def on(state: State) -> DiskSecrets:
    return DiskSecrets(state, FakeClock(time.time()))


def kept(state: State, ca: PrivateCa, order: str = ORDER, host: str = HOST) -> Secret:
    secrets = on(state)
    secret = secrets.stage(order, host, ca.signed(secrets.request(order, host)), CAMPUS, CAMPUS.directory)
    secrets.keep(secret)
    return secret


def refused(kind: Kind, act: Callable[[], object]) -> Failure:
    with pytest.raises(Fail) as caught:
        act()
    assert caught.value.failure.kind is kind
    return caught.value.failure


def test_only_their_owner_may_read_them_whatever_the_umask_is(state: State, ca: PrivateCa) -> None:
    before = os.umask(0o000)
    try:
        kept(state, ca)
        on(state).request("binder.example.org-2", HOST)
    finally:
        os.umask(before)
    modes = {path: path.lstat().st_mode & 0o777 for path in state.secrets.rglob("*") if not path.is_symlink()}
    assert set(modes.values()) == {0o700, 0o600}
    assert {path.name for path, mode in modes.items() if mode == 0o600} == {"tls.crt", "tls.key", "secret.json"}


def test_files_are_where_other_servers_find_them(state: State, ca: PrivateCa) -> None:
    secret = kept(state, ca, "*.example.org-1", "*.example.org")
    folder = state.secrets / "_wildcard.example.org"
    assert secret.chain == folder / secret.revision / "tls.crt"
    assert (folder / "current").readlink() == Path(secret.revision)
    assert (folder / "current" / "tls.key").read_bytes() == secret.key.read_bytes()
    kept(state, ca, "2001:db8::1-1", "2001:db8::1")
    assert (state.secrets / "2001_db8__1" / "current").is_symlink()


@pytest.mark.parametrize("host", ["../../etc", "..", ".", "a/b", "a\0b", "current/../x"])
def test_no_name_leads_out_of_the_folder(state: State, host: str) -> None:
    secrets = on(state)
    assert secrets.current(host) is None
    assert secrets.staged(host, "20260101-0123456789abcdef") is None
    assert secrets.staged(HOST, "../" + host) is None
    before = sorted(state.root.rglob("*"))
    secrets.drop(host, host)
    assert sorted(state.root.rglob("*")) == before


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "secret.json"])
@pytest.mark.parametrize("content", [None, b"", b"my thesis", b"\xff\xfe"], ids=["gone", "empty", "a text", "bytes"])
def test_a_damaged_secret_is_told_by_its_file(state: State, ca: PrivateCa, name: str, content: bytes | None) -> None:
    secret = kept(state, ca)
    path = secret.chain.with_name(name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    told = refused(FILE_UNREADABLE, lambda: on(state).current(HOST))
    assert told.evidence[0].where == str(path)
    refused(FILE_UNREADABLE, lambda: on(state).keep(secret))


def test_a_current_secret_that_is_gone_is_told_and_not_taken_for_none(state: State, ca: PrivateCa) -> None:
    shutil.rmtree(kept(state, ca).chain.parent)
    refused(FILE_UNREADABLE, lambda: on(state).current(HOST))
    link = state.secrets / HOST / "current"
    link.unlink()
    link.write_text("a file")
    assert "current" in refused(FILE_UNREADABLE, lambda: on(state).current(HOST)).evidence[0].where


def test_another_s_key_beside_a_chain_is_told(state: State, ca: PrivateCa) -> None:
    secret = kept(state, ca)
    secret.key.write_bytes(kept(state, ca, "www-1", "www.example.org").key.read_bytes())
    refused(KEY_MISMATCH, lambda: on(state).current(HOST))


def test_a_damaged_secret_is_replaced_when_its_chain_is_taken_again(state: State, ca: PrivateCa) -> None:
    made = ca.leaf(HOST)
    chain, key = made.chain.read_bytes(), made.key.read_bytes()
    secret = on(state).take(HOST, chain, key, "files")
    on(state).keep(secret)
    secret.key.write_bytes(b"")
    assert on(state).take(HOST, chain, key, "files") == secret == on(state).current(HOST)


def test_a_secret_that_is_served_is_left_alone_when_its_chain_is_taken_again(state: State, ca: PrivateCa) -> None:
    made = ca.leaf(HOST)
    secret = on(state).take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "files")
    before = secret.key.stat().st_ino, secret.key.stat().st_mtime_ns
    on(state).take(HOST, made.chain.read_bytes(), made.key.read_bytes(), "files")
    assert (secret.key.stat().st_ino, secret.key.stat().st_mtime_ns) == before


def test_a_state_directory_that_cannot_be_written_is_told(state: State) -> None:
    state.secrets.parent.mkdir(exist_ok=True)
    state.secrets.write_text("a file")
    told = refused(STATE_UNUSABLE, lambda: on(state).request(ORDER, HOST))
    assert str(state.secrets) in told.evidence[0].where


FULL = """
import json, sys, time
from pathlib import Path
from perijove.backends.secrets import DiskSecrets
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.fakes.world import FakeClock

state, chain, key = State(Path(sys.argv[1])), Path(sys.argv[2]).read_bytes(), Path(sys.argv[3]).read_bytes()
secrets, told = DiskSecrets(state, FakeClock(time.time())), []
secret = secrets.take("binder.example.org", chain, key, "files")
secrets.keep(secret)
try:
    (state.root / "noise").write_bytes(bytes(4 << 20))
except OSError:
    pass
for act in (
    lambda: secrets.request("binder.example.org-1", "binder.example.org"),
    lambda: secrets.take("binder.example.org", chain, key, "import"),
):
    try:
        act()
    except Fail as fail:
        told.append([fail.failure.kind.code, fail.failure.evidence[0].saw])
print(json.dumps([told, secrets.current("binder.example.org") == secret]))
"""


def test_a_full_disk_is_told_and_the_current_secret_stays(state: State, ca: PrivateCa) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    made = ca.leaf(HOST)
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() != 0 else []
    mount = 'mount -t tmpfs -o size=1m,mode=711 tmpfs "$0" && exec "$@"'
    argv = ["unshare", *own, "--mount", "sh", "-c", mount, str(state.root)]
    argv += [sys.executable, "-c", FULL, str(state.root), str(made.chain), str(made.key)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=with_tests())
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()[-200:]}")
    told, stays = json.loads(done.stdout)
    assert [code for code, _ in told] == [DISK_FULL.code, DISK_FULL.code]
    assert all("No space left on device" in saw for _, saw in told)
    assert stays


KILLED = """
import json, os, signal, sys, time
from pathlib import Path
from perijove.backends.secrets import DiskSecrets
from perijove.domain.certificates import Issuer, IssuerKind
from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.fakes.private_ca import PrivateCa
from tests.fakes.world import FakeClock

HOST = "binder.example.org"
FILES = ("open", "os.", "shutil.")
root, ca = Path(sys.argv[1]), PrivateCa(Path(sys.argv[2]))
issuer, clock = Issuer("campus", IssuerKind.ACME, "https://ca.example.org/dir"), FakeClock(time.time())

def attempt(secrets, order):
    secret = secrets.stage(order, HOST, ca.signed(secrets.request(order, HOST)), issuer, issuer.directory)
    secrets.keep(secret)
    return secret

def killed_at(step, state):
    # Kills a process of its own as it is about to do its step-th thing with a file below the state directory.
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = [step]
    def hook(event, arguments):
        if event.startswith(FILES) and str(state.root) in str(arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    attempt(DiskSecrets(state, clock), HOST + "-3")
    os._exit(0)

steps, wrong = 0, []
while True:
    state = State(root / str(steps))
    secrets = DiskSecrets(state, clock)
    first, second = attempt(secrets, HOST + "-1"), attempt(secrets, HOST + "-2")
    steps += 1
    died = killed_at(steps, state)
    after = DiskSecrets(state, clock)
    try:
        before = after.current(HOST)
        if died and before != second and before.revision in (first.revision, second.revision):
            wrong.append([steps, "an older one became current"])
        taken_up = attempt(after, HOST + "-3")
        whole = sorted(one.name for one in (state.secrets / HOST).iterdir() if not one.is_symlink())
        if after.current(HOST) != taken_up:
            wrong.append([steps, "it could not be taken up"])
        if not {taken_up.revision} <= set(whole) or len(whole) > 3:
            wrong.append([steps, whole])
        for one in whole:
            after.staged(HOST, one)
    except Fail as fail:
        wrong.append([steps, fail.failure.message])
    if not died:
        break
print(json.dumps([steps, wrong]))
"""


def test_killed_at_any_step_nothing_is_half_there_and_the_attempt_can_be_taken_up(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(tmp_path / "states"), str(tmp_path / "ca")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=100, env=with_tests())
    steps, wrong = json.loads(done.stdout)
    assert steps > 20, "each file that is written takes several"
    assert wrong == []


def with_tests() -> dict[str, str]:
    """An environment in which a process of its own finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[3]), *filter(None, sys.path)))}
