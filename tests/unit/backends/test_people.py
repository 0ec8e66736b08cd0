"""What is kept of people: passwords, log-ins and grants on disk."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from perijove.backends.grants import GrantFolder
from perijove.backends.logins import MOST, LoginFolder
from perijove.backends.passwords import AT_ONCE, LONGEST, WAITING, Entry, PasswordFile, matches, stored
from perijove.domain.auth_failures import LOGIN_CROWD, PEOPLE_UNREADABLE
from perijove.domain.failures import STATE_UNUSABLE, Fail, Kind
from perijove.domain.keys import Keys
from perijove.domain.people import Person, among
from perijove.domain.state import State
from tests.fakes.passwords import cheap
from tests.fakes.small_disk import on_small_disk

KEYS = Keys(b"s" * 32)
ADA = Person("ada", frozenset({"students"}))


def refused(kind: Kind, act: Callable[[], object]) -> Fail:
    with pytest.raises(Fail) as caught:
        act()
    assert caught.value.failure.kind is kind
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> PasswordFile:
    return PasswordFile(lambda: tmp_path / "people")


def added(file: PasswordFile, person: Person, password: str = "a long engine") -> None:
    entry = Entry(person, cheap(password))
    file.change(lambda entries: entries.update({person.name: entry}))


async def test_a_person_is_known_by_name_and_password(file: PasswordFile) -> None:
    added(file, ADA)
    added(file, Person("eve", admin=True))
    assert file.person("ada") == ADA
    assert file.person("eve") == Person("eve", admin=True)
    assert await file.right("ada", "a long engine")
    for name, password in (
        ("ada", "a long engine "),
        ("ada", ""),
        ("eve", "another"),
        ("bob", ""),
        ("", "a long engine"),
    ):
        assert not await file.right(name, password)
    assert not await file.right("ada", "x" * (LONGEST + 1))


async def test_what_is_written_is_seen_at_once_and_a_new_password_is_another_proof(file: PasswordFile) -> None:
    assert (file.person("ada"), file.proof("ada")) == (None, "")
    added(file, ADA)
    before = file.proof("ada")
    added(file, ADA, "another one")
    assert file.proof("ada") not in ("", before)
    file.change(lambda entries: entries.clear())
    assert (file.person("ada"), file.proof("ada")) == (None, "")


def test_the_file_is_its_owner_s_and_holds_no_password(file: PasswordFile) -> None:
    before = os.umask(0)
    try:
        added(file, ADA)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert "engine" not in file.path.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights that a link could use")
def test_root_changes_it_with_its_owner_s_rights_and_follows_no_link_of_theirs(state: State) -> None:
    os.chown(state.control, 4000, 4000)
    file, roots = PasswordFile(lambda: state.people), state.root / "roots"
    added(file, ADA)
    assert {path.stat().st_uid for path in state.control.iterdir()} == {4000}
    roots.write_text("whole")
    roots.chmod(0o600)
    lock = state.people.with_name(f".{state.people.name}.lock")
    lock.unlink()
    lock.symlink_to(roots)
    refused(STATE_UNUSABLE, lambda: added(file, Person("eve")))
    assert (roots.stat().st_uid, roots.read_text(), set(file.entries())) == (0, "whole", {"ada"})
    assert os.geteuid() == os.getegid() == 0


def test_many_who_change_it_at_once_lose_nothing(file: PasswordFile) -> None:
    entry = Entry(ADA, cheap("a long engine"))

    def add(name: str) -> None:
        file.change(lambda entries: entries.update({name: Entry(Person(name), entry.stored)}))

    many = [threading.Thread(target=add, args=(f"p{n}",)) for n in range(20)]
    for one in many:
        one.start()
    for one in many:
        one.join(20)
    assert set(file.entries()) == {f"p{n}" for n in range(20)}


@pytest.mark.parametrize(
    "line",
    [
        "ada",
        "ada::",
        "a da:::scrypt$15$8$3$AAAA$AAAA",
        "ada::boss:scrypt$15$8$3$AAAA$AAAA",
        "ada:::sha1$15$8$3$AAAA$AAAA",
        "ada:::scrypt$63$8$3$AAAA$AAAA",
        "ada:::scrypt$15$8$3$A*AA$AAAA",
        "ada:::scrypt$15$8$3$$",
        "ada:st udents::scrypt$15$8$3$AAAA$AAAA",
    ],
)
def test_a_line_that_nobody_wrote_is_told_by_its_number(file: PasswordFile, line: str) -> None:
    file.path.write_text(f"# people\n\n{line}\n")
    error = refused(PEOPLE_UNREADABLE, file.entries)
    assert error.failure.evidence[0].saw == "line 3"


def test_a_file_that_cannot_be_read_is_told(file: PasswordFile) -> None:
    file.path.mkdir()
    refused(PEOPLE_UNREADABLE, file.entries)
    file.path.rmdir()
    file.path.write_bytes(b"\xff\xfe")
    refused(PEOPLE_UNREADABLE, file.entries)


async def test_a_crowd_waits_and_a_larger_one_is_told_to_come_again(file: PasswordFile) -> None:
    tries = [asyncio.create_task(file.right("ada", "")) for _ in range(WAITING + 1)]
    done, _ = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    failed = [one.exception() for one in done if one.exception()]
    assert [one.failure.kind for one in failed if isinstance(one, Fail)] == [LOGIN_CROWD]
    for one in tries:
        one.cancel()
    await asyncio.wait(tries)
    assert AT_ONCE < WAITING


def test_a_password_is_kept_differently_each_time_and_matches() -> None:
    kept = [stored("pässword") for _ in range(2)]
    assert kept[0] != kept[1]
    assert not any("pässword" in one for one in kept)
    assert matches("pässword", kept[0])
    assert not matches("password", kept[0])


def test_a_login_outlives_a_restart_and_ends(tmp_path: Path) -> None:
    logins = LoginFolder(tmp_path / "logins")
    secret = logins.begin(ADA, 1000.0, "proof")
    (found := LoginFolder(tmp_path / "logins")).begin(Person("bob"), 1000.0, "")
    login = found.find(secret)
    assert login is not None
    assert (login.person, login.expires, login.proof) == (ADA, 1000.0, "proof")
    assert secret not in "".join(path.read_text() + path.name for path in (tmp_path / "logins").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "logins").iterdir()} == {0o600}
    found.end(login)
    assert found.find(secret) is None
    assert LoginFolder(tmp_path / "logins").find(secret) is None


def test_of_one_person_s_logins_the_oldest_give_way(tmp_path: Path) -> None:
    logins = LoginFolder(tmp_path / "logins")
    other = logins.begin(Person("bob"), 1.0, "")
    secrets = [logins.begin(ADA, 1000.0 + n, "") for n in range(MOST + 1)]
    assert [bool(logins.find(secret)) for secret in secrets] == [False] + [True] * MOST
    assert logins.find(other) is not None
    assert len(list((tmp_path / "logins").iterdir())) == MOST + 1


def test_what_a_crash_left_is_forgotten(tmp_path: Path) -> None:
    logins = LoginFolder(tmp_path / "logins")
    secret = logins.begin(ADA, 1000.0, "")
    (path,) = (tmp_path / "logins").iterdir()
    path.with_name(f".{path.name}.aside").write_bytes(path.read_bytes()[:20])
    path.with_name("0" * 64).write_bytes(path.read_bytes()[:20])
    path.with_name("1" * 64).write_bytes(path.read_bytes())
    again = LoginFolder(tmp_path / "logins")
    assert [login.person for login in again.all()] == [ADA]
    assert again.find(secret) is not None


def test_a_grant_opens_its_session_alone(tmp_path: Path) -> None:
    grants = GrantFolder(tmp_path / "grants", KEYS)
    grant = grants.give("one", "ada")
    assert grants.give("one", "ada") == grant
    assert grants.holds("one", grant)
    assert not any(grants.holds(name, grant) for name in ("two", "", "..", "."))
    assert not any(grants.holds("one", other) for other in ("", ".", "..", "../one", "none", grant[:-1]))
    grants.keep({"one"})
    assert GrantFolder(tmp_path / "grants", KEYS).holds("one", grant)
    grants.withdraw("bob")
    assert grants.holds("one", grant)
    grants.withdraw("ada")
    assert not grants.holds("one", grant)


def test_who_is_meant_by_a_list() -> None:
    assert among(ADA, ("bob", "ada"))
    assert among(ADA, ("@students",))
    assert not among(ADA, ("students", "@ada", "@staff", ""))
    assert not among(Person("students"), ("@students",))


FULL = """
import sys
from pathlib import Path
from perijove.backends.logins import LoginFolder
from perijove.backends.passwords import Entry, PasswordFile, stored
from perijove.domain.failures import Fail
from perijove.domain.people import Person

root = Path(sys.argv[1])
file, logins = PasswordFile(lambda: root / "people"), LoginFolder(root / "l")
add = lambda name: file.change(lambda entries: entries.update({name: Entry(Person(name), stored("a long engine"))}))
add("ada")
secret = logins.begin(Person("ada"), 1.0, "")
with (root / "fill").open("wb", buffering=0) as fill:
    try:
        while True:
            fill.write(bytes(4096))
    except OSError:
        pass
for act in (lambda: add("bob"), lambda: logins.begin(Person("bob"), 1.0, "")):
    try:
        act()
    except Fail as error:
        print(error.failure.kind.code)
print(*file.entries(), *(login.person.name for login in LoginFolder(root / "l").all()))
logins.end(logins.find(secret))
(root / "fill").unlink()
add("bob")
print(*file.entries())
"""


def test_a_full_disk_is_told_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    command = [*on_small_disk(tmp_path, 128 * 1024), sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["platform.disk-full", "platform.disk-full", "ada ada", "ada bob"], done.stderr
