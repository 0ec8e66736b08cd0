"""The ports `Sessions` and `KeptWorks` together: what a visitor changed is kept when a session ends, and given back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends.kept import KeptOnDisk
from perijove.domain.failures import Fail
from perijove.domain.keeping import GivenBack, KeepTerms, KeptWork, LeftOut
from perijove.domain.nouns import EndReason
from perijove.domain.ports import Sessions
from perijove.domain.state import State
from perijove.sealing import new_key, public_half
from tests.fakes.confined import MIB, do, spec, until
from tests.fakes.kept_pods import control_plane, home_cluster
from tests.fakes.pads import running_pad
from tests.fakes.world import FakeSessions

KEY = new_key()
TERMS = KeepTerms(public_half(KEY), "github.com/owner/repo", "c" * 40, 8 * MIB, 100)


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    (folder / "data").mkdir(parents=True)
    (folder / "hello.txt").write_text("hello")
    (folder / "data" / "table.csv").write_text("1,2")
    (folder / "link").symlink_to("hello.txt")
    return folder


@pytest.fixture(params=["sandbox", "none", "pod"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def pad(state: State, kind: str) -> AsyncIterator[Sessions]:
    if kind != "pod":
        async with running_pad(state, kind) as pad:
            yield pad
        return
    async with home_cluster(state) as (_, node, kubeconfig), control_plane(state, node, kubeconfig) as sessions:
        yield sessions


@pytest.fixture
def works(state: State, kind: str) -> KeptOnDisk:
    return KeptOnDisk(state, state.keeping if kind == "pod" else state.handed)


async def nothing_left(state: State) -> None:
    """Nothing of a session that is over waits anywhere."""
    places = (state.sessions, state.handed, state.keep_notes, state.keeping, state.unsealed)
    await until(lambda: not [one for place in places if place.exists() for one in place.iterdir()])


async def changed(
    pad: Sessions, state: State, repo: Path, code: str, name: str = "one", terms: KeepTerms = TERMS
) -> None:
    """A session in which this ran, and which is over."""
    await pad.start(spec(name, repo))
    await pad.keep(name, terms)
    told = await do(state, name, f"import os\n{code}\nanswer = 'done'")
    assert told == "done"
    await pad.stop(name, EndReason.IDLE)
    assert list(state.sessions.iterdir()) == []


async def kept(pad: Sessions, works: KeptOnDisk) -> KeptWork:
    """What waits, taken in."""
    (name,) = await pad.kept()
    work = await works.take_in(name)
    assert work is not None
    await pad.fetched(name)
    return work


def unzipped(works: KeptOnDisk, work: KeptWork, key: str = KEY) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(works.zipped(work, key)))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


WORKED = """
open('hello.txt', 'a').write(' world')
os.makedirs('new/deep')
open('new/deep/notebook.ipynb', 'w').write('{}')
os.utime('data/table.csv')
os.makedirs('.cache/pip'); open('.cache/pip/x', 'w').write('x')
os.makedirs('new/__pycache__'); open('new/__pycache__/x.pyc', 'w').write('x')
"""


async def test_what_changed_is_kept_and_nothing_else(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    await changed(pad, state, repo, WORKED)
    work = await kept(pad, works)
    assert (work.session, work.files, work.size) == ("one", 2, 13)
    assert work.left_out == {LeftOut.CACHE: 2}
    assert unzipped(works, work) == {"hello.txt": b"hello world", "new/deep/notebook.ipynb": b"{}"}
    assert await works.all() == await works.of(TERMS.visitor) == [work]
    await nothing_left(state)


async def test_where_nothing_changed_nothing_is_kept(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    await changed(pad, state, repo, "os.utime('hello.txt'); open('.cache', 'w')")
    await nothing_left(state)


async def test_it_is_given_back_where_it_was(pad: Sessions, state: State, repo: Path, works: KeptOnDisk) -> None:
    await changed(pad, state, repo, WORKED)
    work = await kept(pad, works)
    await pad.start(spec("two", repo))
    told = await pad.give_back("two", *await works.opening(work, KEY), same_commit=True)
    assert told == GivenBack(2)
    code = "import os; answer = [open('hello.txt').read(), open('new/deep/notebook.ipynb').read()]"
    assert await do(state, "two", code) == ["hello world", "{}"]
    code = "import os; open('new/deep/notebook.ipynb', 'a'); answer = os.stat('new').st_uid == os.getuid()"
    assert await do(state, "two", code) is True


async def test_the_fake_keeps_and_gives_back_as_the_real_one_does(state: State, repo: Path) -> None:
    sessions, works = FakeSessions(), KeptOnDisk(state)
    sessions.handed = state.handed
    for name, file in (("one", {"new/a.txt": b"mine"}), ("idle", {})):
        await sessions.start(spec(name, repo))
        await sessions.keep(name, TERMS)
        sessions.homes[name] = dict(file)
        await sessions.stop(name, EndReason.IDLE)
    await sessions.keep("gone", TERMS)
    assert await sessions.kept() == ["one"]
    work = await works.take_in("one")
    assert work is not None
    assert (work.visitor, work.repository, work.commit, work.files, work.size) == (
        TERMS.visitor, TERMS.repository, TERMS.commit, 1, 4
    )  # fmt: skip
    await sessions.fetched("one")
    assert await works.take_in("one") is None
    assert unzipped(works, work) == {"new/a.txt": b"mine"}
    await sessions.start(spec("two", repo))
    assert await sessions.give_back("two", *await works.opening(work, KEY), same_commit=True) == GivenBack(1)
    assert sessions.homes["two"] == {"new/a.txt": b"mine"}


async def test_the_disk_alone_does_not_open_it(pad: Sessions, state: State, repo: Path, works: KeptOnDisk) -> None:
    await changed(pad, state, repo, "open('x', 'w').write('all my work ' * 100)")
    work = await kept(pad, works)
    with pytest.raises(Fail) as caught:
        await works.opening(work, new_key())
    assert caught.value.failure.kind.code == "session.kept-unreadable"
    on_disk = b"".join(path.read_bytes() for path in state.root.rglob("*") if path.is_file())
    assert KEY.encode() not in on_disk
    assert b"all my work" not in on_disk
    (file,) = state.kept.glob("*/*")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_what_both_changed_lies_beside(pad: Sessions, state: State, repo: Path, works: KeptOnDisk) -> None:
    await changed(pad, state, repo, WORKED)
    work = await kept(pad, works)
    newer = repo.with_name("newer")
    newer.mkdir()
    (newer / "hello.txt").write_text("hello anew")
    (newer / "new").write_text("a file where a folder was")
    await pad.start(spec("two", newer))
    told = await pad.give_back("two", *await works.opening(work, KEY), same_commit=False)
    assert told == GivenBack(2, ("hello.kept.txt", "new.kept/deep/notebook.ipynb"))
    again = await pad.give_back("two", *await works.opening(work, KEY), same_commit=False)
    assert again == told, "nothing is there twice"
    code = "import os; answer = [sorted(os.listdir()), open('hello.txt').read(), open('hello.kept.txt').read()]"
    assert await do(state, "two", code) == [
        ["hello.kept.txt", "hello.txt", "new", "new.kept"],
        "hello anew",
        "hello world",
    ]


HOSTILE = r"""
os.mkfifo('pipe')
import socket; socket.socket(socket.AF_UNIX).bind('socket')
os.symlink('/etc/passwd', 'out'); os.symlink('/', 'root'); os.symlink('.', 'round')
os.remove('link'); os.symlink('/etc/shadow', 'link')
with open('sparse', 'w') as f: f.truncate(60 << 20)
open('line\nbreak', 'w').write('1')
open(b'caf\xe9', 'w').write('2')
open('.. ', 'w').write('3'); open('C:\\x', 'w').write('4'); open('\x1b[31m', 'w').write('5')
open('closed', 'w').write('6'); os.chmod('closed', 0)
os.mkdir('shut'); open('shut/x', 'w').write('7'); os.chmod('shut', 0)
os.mkdir('n' * 255); open('n' * 255 + '/' + 'm' * 255, 'w').write('8')
at = os.getcwd()
for _ in range(300):
    os.mkdir('d'); os.chdir('d')
open('x', 'w').write('9'); os.chdir(at)
os.link('hello.txt', 'hard')
"""


async def test_a_hostile_home_costs_nothing_and_reaches_nothing(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    await changed(pad, state, repo, HOSTILE)
    work = await kept(pad, works)
    files = unzipped(works, work)
    found = sorted(files.values())
    expected = [b"1", b"2", b"3", b"4", b"5", b"8", b"hello"]
    assert found == expected if work.left_out.get(LeftOut.CLOSED) else found == sorted([*expected, b"6", b"7"])
    assert work.left_out[LeftOut.LINK] == 4
    assert work.left_out[LeftOut.SPECIAL] == 2
    assert work.left_out[LeftOut.LARGE] == 1
    assert work.left_out[LeftOut.DEEP] == 1
    for name in files:
        assert not set(name) & set("\n\\:\x1b\udce9")
        assert not any(part.strip(". ") == "" for part in name.split("/"))
    await pad.start(spec("two", repo))
    told = await pad.give_back("two", *await works.opening(work, KEY), same_commit=True)
    assert told.files == len(files)
    code = "import os; answer = [open(b'caf\\xe9').read(), open('line\\nbreak').read(), open('hard').read()]"
    assert await do(state, "two", code) == ["2", "1", "hello"]


async def test_it_is_bounded_in_bytes_and_files_and_that_is_told(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    code = "[open(f'f{n}', 'w').write('x' * n) for n in range(10)]; open('large', 'w').write('x' * 200)"
    await changed(pad, state, repo, code, terms=replace(TERMS, size=100, files=5))
    work = await kept(pad, works)
    assert (work.files, work.left_out) == (5, {LeftOut.LARGE: 1, LeftOut.MANY: 5})
    assert sorted(unzipped(works, work)) == ["f0", "f1", "f2", "f3", "f4"]
    await changed(pad, state, repo, "open('large', 'w').write('x' * 200)", terms=replace(TERMS, size=100))
    work = await kept(pad, works)
    assert (work.files, work.left_out) == (0, {LeftOut.LARGE: 1})


ENDS = [
    pytest.param("os.kill(os.getpid(), 9)", id="killed"),
    pytest.param("os._exit(3)", id="exits"),
    # It stays: where no control group counts, somebody has to see it.
    pytest.param("x = bytearray(1 << 30); import time; time.sleep(100)", id="killed for memory"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["sandbox", "none"])
async def test_however_it_ends_it_is_kept(pad: Sessions, state: State, repo: Path, works: KeptOnDisk, end: str) -> None:
    await pad.start(spec("one", repo))
    await pad.keep("one", TERMS)
    with pytest.raises(ConnectionError):
        await do(state, "one", f"import os; open('mine', 'w').write('mine'); {end}")
    work = await kept(pad, works)
    assert unzipped(works, work) == {"mine": b"mine"}


async def test_links_in_the_new_home_are_not_followed(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    await changed(pad, state, repo, "os.mkdir('out'); open('out/x', 'w').write('x'); open('file', 'w').write('y')")
    work = await kept(pad, works)
    elsewhere = state.root / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    (repo / "out").symlink_to(elsewhere)
    (repo / "file").symlink_to(elsewhere / "file")
    await pad.start(spec("two", repo))
    told = await pad.give_back("two", *await works.opening(work, KEY), same_commit=False)
    assert told == GivenBack(2, ("file.kept", "out.kept/x"))
    assert list(elsewhere.iterdir()) == []


async def test_where_the_new_home_has_no_room_the_rest_is_told(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    code = "open('small', 'w').write('x'); open('large', 'wb').write(os.urandom(6 << 20))"
    await changed(pad, state, repo, code)
    work = await kept(pad, works)
    (repo / "filled").write_bytes(bytes(1 << 20))
    narrow = replace(spec("two", repo), limits=replace(spec("two", repo).limits, disk=4 * MIB))
    await pad.start(narrow)
    told = await pad.give_back("two", *await works.opening(work, KEY), same_commit=True)
    assert told == GivenBack(1, no_room=1)


async def test_a_damaged_file_is_told_and_gives_nothing_that_is_not_its_own(
    pad: Sessions, state: State, repo: Path, works: KeptOnDisk
) -> None:
    await changed(pad, state, repo, "open('x', 'wb').write(os.urandom(300_000))")
    work = await kept(pad, works)
    path, opens = await works.opening(work, KEY)
    whole = path.read_bytes()
    await pad.start(spec("two", repo))
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:-100] + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(Fail) as caught:
            await pad.give_back("two", path, opens, same_commit=True)
        assert caught.value.failure.kind.code == "session.kept-unreadable"
        with pytest.raises(Fail):
            b"".join(works.zipped(work, KEY))
