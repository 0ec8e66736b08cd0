"""The port `Sessions`: what the pad does, sandboxed and bare, and what the fake must do too where it can."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.pad.client import Pad
from perijove.backends.pad.footing import mark
from perijove.domain.events import SessionEnded
from perijove.domain.failures import PAD_DOWN, Fail, Failure
from perijove.domain.nouns import Egress, EndReason
from perijove.domain.service_failures import PAD_SILENT
from perijove.domain.state import State
from perijove.domain.way_out import WayOut
from tests.fakes.confined import LIMITS, MIB, ONCE_ASKED, PYTHON, SERVER, Follower, do, spec, until, with_less
from tests.fakes.pads import running_pad
from tests.fakes.web_proxy import web_proxy
from tests.fakes.world import FakeSessions


@pytest.fixture
def repo(state: State) -> Path:
    folder = state.root / "repo"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello")
    (folder / "link").symlink_to("/etc/hostname")
    return folder


@pytest.fixture(params=["sandbox", "none"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def pad(state: State, isolation: str) -> AsyncIterator[Pad]:
    async with running_pad(state, isolation) as pad:
        yield pad


@pytest.fixture
async def follower(pad: Pad) -> AsyncIterator[Follower]:
    follower = Follower(pad)
    yield follower
    await follower.close()


def traces(state: State) -> list[Path]:
    return [*state.sessions.iterdir(), *state.session_sockets.iterdir()]


def pad_process(state: State) -> int:
    """The process id of the pad of this state directory."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"perijove.backends.pad.process" in words and os.fsencode(state.root) in words:
                return int(folder.name)
    raise AssertionError("no pad runs")


def groups(state: State) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/perijove-{mark(state)}/*/"))


async def test_a_session_starts_answers_and_stops(pad: Pad, state: State, repo: Path, follower: Follower) -> None:
    await pad.start(spec("one", repo))
    status = await pad.status("one", "/user/one/", "token", 5)
    assert (status.connections, status.kernels) == (1, 2)
    use = await pad.use("one", "/user/one/", "token", 5)
    assert (use.busy, use.apps, use.pages, use.used_at) == (1, 0, 6, status.last_activity)
    assert [running.session for running in await pad.running()] == ["one"]
    await pad.stop("one", EndReason.IDLE)
    assert await pad.running() == []
    ended = await follower.ended("one")
    assert ended == SessionEnded("one", EndReason.IDLE, "nobody used it", None)
    assert "the server is up" in follower.lines("one")


async def test_the_fake_tells_an_end_as_the_real_one_does(state: State, repo: Path) -> None:
    sessions = FakeSessions()
    follower = Follower(sessions)
    await asyncio.sleep(0)
    await sessions.start(spec("one", repo))
    assert [running.session for running in await sessions.running()] == ["one"]
    await sessions.stop("one", EndReason.IDLE)
    assert await sessions.running() == []
    assert (await follower.ended("one")).reason is EndReason.IDLE
    await follower.close()


async def test_stopping_leaves_nothing_behind(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    seconds = 20_000 + os.getpid()
    await do(state, "one", f"import subprocess; subprocess.Popen(['sleep', '{seconds}']); answer = 1")
    assert traces(state)
    await pad.stop("one", EndReason.STOPPED)
    assert traces(state) == []
    assert groups(state) == []
    assert not any(_holds(folder, b"sleep\x00%d" % seconds) for folder in Path("/proc").iterdir())


def _holds(folder: Path, words: bytes) -> bool:
    try:
        return folder.name.isdigit() and words in (folder / "cmdline").read_bytes()
    except OSError:
        return False


async def test_stopping_what_is_gone_does_nothing(pad: Pad) -> None:
    await pad.stop("nobody", EndReason.STOPPED)


async def test_the_home_is_a_writable_copy_with_links_as_links(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    code = "import os; open('hello.txt', 'w').write('changed'); answer = [sorted(os.listdir()), os.readlink('link')]"
    assert await do(state, "one", code) == [["hello.txt", "link"], "/etc/hostname"]
    assert (repo / "hello.txt").read_text() == "hello"
    assert (repo / "link").is_symlink()


async def test_two_sessions_of_one_name_are_refused(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    with pytest.raises(Fail) as caught:
        await pad.start(spec("one", repo))
    assert caught.value.failure.kind.code == "start.sandbox-failed"
    assert (await pad.status("one", "/", "", 5)).kernels == 2


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "A", "x" * 41], ids=["up", "slash", "empty", "upper", "long"])
async def test_a_name_that_could_be_a_path_is_refused(pad: Pad, repo: Path, name: str) -> None:
    with pytest.raises(Fail) as caught:
        await pad.start(spec(name, repo))
    assert caught.value.failure.kind.code == "start.sandbox-failed"


async def test_a_crash_is_told_at_once_after_its_last_words(pad: Pad, repo: Path, follower: Follower) -> None:
    await pad.start(spec("one", repo, "import sys; print('my last words'); sys.exit(7)"))
    ended = await follower.ended("one", 1)
    assert ended == SessionEnded("one", EndReason.EXITED, "its server ended with exit code 7", 7)
    assert follower.lines("one") == ["my last words"]
    assert follower.events[-1] == ended


async def test_a_signal_that_ended_the_server_is_told(pad: Pad, repo: Path, follower: Follower) -> None:
    await pad.start(spec("one", repo, "import os; os.abort()"))
    assert (await follower.ended("one", 1)).exit_code == -signal.SIGABRT


async def test_a_program_that_is_not_there_is_refused(pad: Pad, state: State, repo: Path) -> None:
    with pytest.raises(Fail) as caught:
        await pad.start(replace(spec("one", repo), command=("/no/such/program",)))
    assert caught.value.failure.kind.code == "start.sandbox-failed"
    assert "No such file" in caught.value.failure.evidence[0].saw
    assert traces(state) == []


async def test_a_program_that_ends_at_once_has_run(pad: Pad, repo: Path, follower: Follower) -> None:
    await pad.start(replace(spec("one", repo), command=("/usr/bin/true",)))
    assert (await follower.ended("one", 2)).exit_code == 0


async def test_a_dead_server_refuses_connections(pad: Pad, state: State, repo: Path, follower: Follower) -> None:
    await pad.start(spec("one", repo))
    with pytest.raises(ConnectionError):
        await do(state, "one", "import os; os._exit(1)")
    await follower.ended("one")
    with pytest.raises(ConnectionError):
        await pad.status("one", "/", "", 1)


async def test_a_server_that_does_not_answer_times_out(pad: Pad, repo: Path) -> None:
    await pad.start(spec("one", repo, "import time; time.sleep(100)"))
    with pytest.raises(TimeoutError):
        await pad.status("one", "/", "", 0.3)
    activity = await pad.activity("one")
    assert activity.used < 5
    assert not activity.queued
    assert "sleep" in activity.doing


CROWDED = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nos.fork()\nwhile True: pass"
"""Two processes that want one processor all the time."""


async def test_what_stands_in_line_for_a_processor_is_told_and_what_was_stopped_does_not(
    pad: Pad, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("crowded", repo, CROWDED))
    await pad.start(spec("stopped", repo, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"))
    async with asyncio.timeout(60):
        while (crowded := await pad.activity("crowded")).waited < 0.5 or crowded.used < 0.5:
            await asyncio.sleep(0.1)
        assert crowded.queued
        while (stopped := await pad.activity("stopped")).doing.partition(" ")[0] != "stopped":
            await asyncio.sleep(0.1)
        assert not stopped.queued
    assert follower.ends("stopped") == []


async def test_an_early_request_waits_for_the_server(pad: Pad, repo: Path) -> None:
    await pad.start(spec("one", repo, ONCE_ASKED + SERVER))
    assert (await pad.status("one", "/", "", 5)).kernels == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n\r\n[[]]",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 30_000,
        b"HTTP/1.1 404 Not Found\r\n\r\n{}",
        b"no http at all",
        b"X" * 300_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n[{}]",
        b"",
    ],
    ids=["huge", "list", "deep", "404", "garbage", "endless-head", "endless-length", "nothing"],
)
async def test_a_wicked_answer_is_a_connection_error(state: State, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(reply, state.session_sockets / "one.sock")
    for ask in (Pad(state).status, Pad(state).use):
        with pytest.raises(ConnectionError):
            await ask("one", "/", "token", 5)
    server.close()


KERNEL = b'{"execution_state": "idle", "connections": 1, "last_activity": "2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("head", "pages", "used_at"),
    [
        (b"", 1, 1_767_225_600),
        (b"X-Perijove-Use: used=12.345 pages=3 apps=1\r\n", 3, 12.345),
        (b"x-perijove-use: used=12.345 pages=0 apps=1\r\n", 1, 12.345),
        (b"X-Perijove-Use: used=99999999999999999.000 pages=3 apps=1\r\n", 1, 1_767_225_600),
        (b"X-Perijove-Use: used=nan pages=-3 apps=1\r\n", 1, 1_767_225_600),
    ],
    ids=["does not tell", "tells", "tells of fewer pages than kernels have", "a number too large", "no numbers"],
)
async def test_what_a_server_tells_of_its_use_is_read_within_bounds(
    state: State, head: bytes, pages: int, used_at: float
) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"no_track_activity=1" in await reader.readuntil(b"\r\n\r\n"), "our own look is nobody's use"
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n[" + KERNEL + b"]")
        writer.close()

    server = await asyncio.start_unix_server(reply, state.session_sockets / "one.sock")
    use = await Pad(state).use("one", "/", "token", 5)
    assert (use.busy, use.pages, use.used_at) == (0, pages, used_at)
    server.close()


TERMINAL = """
import os, pty
shell, terminal = pty.fork()
if not shell:
    os.execv("/bin/bash", ["bash", "--norc", "-i"])
os.write(terminal, b"{words}\\n")
import builtins
builtins.terminal = terminal
"""


async def test_a_job_in_the_foreground_of_a_terminal_is_told_and_one_behind_it_is_not(
    pad: Pad, state: State, repo: Path
) -> None:
    await pad.start(spec("one", repo))

    async def jobs(number: int) -> None:
        async with asyncio.timeout(20):
            while (await pad.activity("one")).jobs != number:
                await asyncio.sleep(0.25)

    await do(state, "one", TERMINAL.replace("{words}", "sleep 1000 | sleep 1000"))
    await jobs(2)
    await do(state, "one", r"import builtins, os; os.write(builtins.terminal, b'\x03')")
    await jobs(0)
    said = "sleep 1000 & echo beg''un"
    await do(state, "one", f'import builtins, os; os.write(builtins.terminal, b"{said}\\n")')
    read = "import builtins, os\nseen = b''\nwhile b'begun' not in seen: seen += os.read(builtins.terminal, 4096)"
    await do(state, "one", read)
    await jobs(0)


async def test_every_reader_hears_every_end_once(pad: Pad, repo: Path) -> None:
    followers = [Follower(pad) for _ in range(3)]
    for name in ("one", "two"):
        await pad.start(spec(name, repo, "print('x')"))
    for follower in followers:
        for name in ("one", "two"):
            await follower.ended(name)
            assert len(follower.ends(name)) == 1
            assert follower.lines(name) == ["x"]
        await follower.close()


async def test_a_new_client_finds_what_runs_and_hears_what_ended(state: State, repo: Path, isolation: str) -> None:
    code = f"""
import asyncio, os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.fakes.confined import ONCE_ASKED, spec
from perijove.backends.pad.client import Pad
from perijove.backends.pad.footing import mark
from perijove.domain.state import State
async def main():
    pad = Pad(State(Path({str(state.root)!r})), {isolation!r})
    await pad.ensure()
    for name, code in (("stays", None), ("goes", ONCE_ASKED)):
        await pad.start(spec(name, Path({str(repo)!r}), *([code] if code else [])))
    print("started", flush=True)
    await asyncio.sleep(100)
asyncio.run(main())
"""
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert first.stdout is not None
    assert await first.stdout.readline() == b"started\n"
    first.kill()
    await first.wait()
    with socket.socket(socket.AF_UNIX) as asks:
        asks.connect(str(state.session_sockets / "goes.sock"))
    await until(lambda: not (state.session_sockets / "goes.sock").exists())
    pad = Pad(state, isolation)
    follower = Follower(pad)
    await pad.ensure()
    assert [running.session for running in await pad.running()] == ["stays"]
    assert (await pad.status("stays", "/", "", 5)).kernels == 2
    assert (await follower.ended("goes")).exit_code == 0
    await follower.close()
    await pad.close(stop=True)


async def test_a_lost_pad_ends_its_sessions_and_is_replaced(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    told: list[Failure | None] = []
    supervised = asyncio.create_task(pad.supervise(told.append))
    await pad.start(spec("one", repo))
    inside = (await pad.running())[0]
    assert inside.processes >= 1
    os.kill(pad_process(state), signal.SIGKILL)
    ended = await follower.ended("one")
    assert ended.reason is EndReason.PAD_LOST
    assert await pad.running() == []
    assert traces(state) == []
    await pad.start(spec("one", repo))
    assert (await pad.status("one", "/", "", 5)).kernels == 2
    assert [failure and failure.kind for failure in told] == [None, PAD_DOWN, None], told
    supervised.cancel()
    await asyncio.wait([supervised])


async def test_requests_on_their_way_when_the_pad_dies_fail_in_words(pad: Pad, state: State, repo: Path) -> None:
    os.kill(pad_process(state), signal.SIGSTOP)
    asking = asyncio.create_task(pad.running())
    await asyncio.sleep(0)
    os.kill(pad_process(state), signal.SIGKILL)
    with pytest.raises(Fail) as caught:
        await asking
    assert caught.value.failure.kind.code == "platform.pad-down"


async def test_a_pad_that_hangs_behind_its_socket_is_told_to_whoever_connects(pad: Pad, state: State) -> None:
    second = Pad(state)
    second.greets_within = 0.5
    os.kill(pad_process(state), signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            with pytest.raises(Fail, match="holds its socket, and said nothing") as caught:
                await second.running()
    finally:
        os.kill(pad_process(state), signal.SIGCONT)
    assert caught.value.failure.kind is PAD_SILENT
    assert await second.running() == []
    await second.close(stop=False)
    del caught
    gc.collect()  # what it had left open would be told here


async def test_a_process_killed_for_memory_is_told_and_the_server_lives(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("one", repo, limits=with_less(memory=100 * MIB)))
    hog = "import subprocess, sys; answer = subprocess.run([sys.executable, '-c', HOG]).returncode".replace(
        "HOG", repr("x = bytearray(400 << 20)\nimport time\ntime.sleep(100)")
    )
    assert await do(state, "one", hog) == -9
    troubled = await follower.troubled("one", 2)
    assert troubled.failure.kind.code == "session.kernel-out-of-memory"
    assert any("100 MB" in item.saw for item in troubled.failure.evidence)
    assert (await pad.status("one", "/", "", 5)).kernels == 2
    assert follower.ends("one") == []


async def test_a_server_killed_for_memory_is_told(pad: Pad, repo: Path, follower: Follower) -> None:
    hog = "x = bytearray(400 << 20)\nimport time\ntime.sleep(100)"
    await pad.start(spec("one", repo, hog, with_less(memory=100 * MIB)))
    assert (await follower.ended("one")).reason is EndReason.MEMORY


FILL = "for n in range(COUNT): open(f'NAME{n}', 'wb').write(bytes(10 << 20))\nanswer = 1"


async def fill(state: State, name: str, count: int) -> object:
    """Write files of 10 MiB in the session `one`."""
    return await do(state, "one", FILL.replace("COUNT", f"{count}").replace("NAME", name))


async def test_a_full_disk_is_told(pad: Pad, state: State, repo: Path, follower: Follower) -> None:
    await pad.start(spec("one", repo))
    wrote = await fill(state, "a", 7)
    assert "No space left" in str(wrote) if (await pad.isolation()).disk == "quota" else wrote == 1
    troubled = await follower.troubled("one", code="session.disk-full")
    assert "64 MB allowed" in troubled.failure.evidence[0].saw
    assert (await pad.running())[0].disk > 60 * MIB


async def test_a_disk_that_is_nearly_full_is_told_before_and_again_once_it_was_emptied(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    soon = "session.disk-nearly-full"
    await pad.start(spec("one", repo))
    assert await fill(state, "a", 6) == 1
    troubled = await follower.troubled("one", code=soon)
    assert troubled.failure.cause.endswith("of 64 MB")
    assert "session.disk" in troubled.failure.remedy
    assert await do(state, "one", "import os\nfor n in range(3): os.remove(f'a{n}')\nanswer = 1") == 1
    async with asyncio.timeout(10):
        while (one := await pad.held("one")) is None or one.disk > 40 * MIB:
            await asyncio.sleep(0.05)
    assert await fill(state, "a", 3) == 1
    await until(lambda: len(follower.troubles("one", soon)) == 2)
    assert follower.troubles("one") == follower.troubles("one", soon)


async def test_what_one_session_uses_is_told_with_what_it_may(pad: Pad, repo: Path) -> None:
    await pad.start(spec("one", repo))
    await pad.status("one", "/", "", 10)
    one = await pad.held("one")
    assert one is not None
    assert one.limits == LIMITS
    assert 0 < one.memory < LIMITS.memory
    assert one.processes <= one.threads <= LIMITS.processes
    assert await pad.held("two") is None


async def test_a_session_reaches_the_web_by_the_operator_s_proxy_and_trusts_whom_they_trust(
    pad: Pad, repo: Path, state: State, isolation: str
) -> None:
    if isolation == "none":
        pytest.skip("it has the network of whoever runs the service")

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    trusted = state.authorities
    trusted.write_bytes(b"certificates")
    trusted.chmod(0o644)
    server = await asyncio.start_server(web, "127.0.0.1", 0)
    hosts = {"mirror.example:80": server.sockets[0].getsockname()[1]}
    async with server, web_proxy(hosts, "us:passw0rd") as proxy:
        pad.way_out = WayOut(proxy.url, proxy.url, (), trusted)
        await pad.start(replace(spec("one", repo), egress=Egress.PUBLIC))
        code = "import urllib.request as u; answer = u.urlopen('http://mirror.example/').read().decode()"
        assert await do(state, "one", code) == "hello"
        assert proxy.asked == ["GET http://mirror.example/ HTTP/1.1"]
    seen = "import os; answer = [open(os.environ['SSL_CERT_FILE']).read(), str(dict(os.environ))]"
    told, environ = await do(state, "one", seen)
    assert told == "certificates"
    assert "passw0rd" not in environ


async def test_a_watched_session_that_goes_on_writing_is_ended(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    if (await pad.isolation()).disk == "quota":
        pytest.skip("the kernel stops it instead")
    await pad.start(spec("one", repo))
    assert await fill(state, "a", 7) == 1
    await asyncio.gather(fill(state, "b", 20), return_exceptions=True)
    assert (await follower.ended("one")).reason is EndReason.DISK


async def test_one_file_stops_at_the_disk_limit(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    answer = await do(state, "one", "open('big', 'wb').truncate(100 << 20)")
    assert "File too large" in answer


async def test_a_fork_bomb_is_held_and_told(
    pad: Pad, state: State, repo: Path, isolation: str, follower: Follower
) -> None:
    if isolation == "none" and os.geteuid() != 0:
        pytest.skip("without namespaces and control groups nothing counts the processes of one session")
    await pad.start(spec("one", repo))
    bomb = """
import subprocess
held = []
try:
    for _ in range(200):
        held.append(subprocess.Popen(["sleep", "100"]))
except OSError as error:
    answer = [len(held), error.errno]
"""
    made, errno = await do(state, "one", bomb)
    assert made < LIMITS.processes
    assert errno == 11
    assert (await pad.running())[0].processes <= LIMITS.processes + 1
    troubled = await follower.troubled("one")
    assert troubled.failure.kind.code == "session.too-many-processes"
    assert any(item.saw == f"{LIMITS.processes}" for item in troubled.failure.evidence)


async def test_a_flood_of_words_is_bounded_and_its_last_ones_are_kept(pad: Pad, repo: Path, follower: Follower) -> None:
    flood = "import sys\nfor n in range(20000): print(n)\nprint('y' * 10000, flush=True)\nsys.exit('the end')"
    await pad.start(spec("one", repo, flood))
    await follower.ended("one")
    lines = follower.lines("one")
    assert len(lines) < 6000
    assert max(map(len, lines)) <= 2000
    assert lines[-1] == "the end"


async def test_what_the_machine_has_left_is_told(pad: Pad, state: State) -> None:
    room = await pad.room()
    assert room.memory is not None
    assert 0 < room.memory < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(room.disk - shutil.disk_usage(state.root).free) < 2**30
    assert room.inodes > 0


async def test_the_isolation_says_what_is_real(pad: Pad, isolation: str) -> None:
    facts = await pad.isolation()
    assert facts.sandboxed == (isolation == "sandbox")
    assert facts.own_uid == (isolation == "sandbox" and os.geteuid() == 0)


async def test_a_pad_of_a_service_manager_is_left_running(state: State, repo: Path) -> None:
    argv = [sys.executable, "-m", "perijove.backends.pad.process", "--state", str(state.root)]
    unit = await asyncio.create_subprocess_exec(*argv)
    await until(state.pad_socket.exists)
    pad = Pad(state)
    await pad.start(spec("one", repo))
    await pad.close(stop=True)
    assert unit.returncode is None
    again = Pad(state)
    assert (await again.status("one", "/", "", 5)).kernels == 2
    await again.close(stop=False)
    unit.terminate()
    assert await unit.wait() == 0
    assert traces(state) == []


async def test_a_pad_that_a_start_began_and_gave_up_before_it_answered_is_ended(state: State) -> None:
    statedir.prepare(state)
    pad = Pad(state)
    await pad.begin()
    begun = pad.spawned
    await pad.close(stop=True)
    assert (begun, pad.spawned) == (True, False)
    with pytest.raises(AssertionError, match="no pad runs"):
        pad_process(state)


async def test_a_second_pad_gives_way(pad: Pad, state: State) -> None:
    argv = [sys.executable, "-m", "perijove.backends.pad.process", "--state", str(state.root)]
    second = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    assert await second.wait() == 3
    assert await pad.running() == []


async def test_a_state_directory_with_too_long_a_path_is_refused(state: State, repo: Path) -> None:
    long = State(state.root / ("d" * 70))
    long.root.mkdir(mode=0o711)
    pad = Pad(long)
    with pytest.raises(Fail) as caught:
        await pad.start(spec("x" * 40, repo))
    assert caught.value.failure.kind.code == "platform.state-unusable"
    await pad.close(stop=True)


async def test_the_pad_knows_nobody_but_its_user(pad: Pad, state: State) -> None:
    assert state.pad_socket.stat().st_mode & 0o777 == 0o600
    if os.geteuid() != 0:
        pytest.skip("only root can try it as somebody else")
    state.pad_socket.chmod(0o666)
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(state.pad_socket)!r}); print(s.recv(99))"
    stranger = await asyncio.create_subprocess_exec(PYTHON, "-c", code, stdout=asyncio.subprocess.PIPE, user=4321)
    words, _ = await stranger.communicate()
    assert words == b"b''\n"


async def test_an_end_that_no_reader_heard_waits_for_the_next_client(state: State, repo: Path, isolation: str) -> None:
    first = Pad(state, isolation)
    await first.start(spec("one", repo, "print('x')"))
    await until(lambda: not (state.session_sockets / "one.sock").exists())
    await first.running()
    await first.close(stop=False)
    second = Pad(state, isolation)
    follower = Follower(second)
    await second.ensure()
    assert (await follower.ended("one")).exit_code == 0
    await follower.close()
    await second.close(stop=True)


async def test_processes_that_left_their_parents_end_with_the_session(pad: Pad, state: State, repo: Path) -> None:
    await pad.start(spec("one", repo))
    seconds = 10_000 + os.getpid()  # tells it from those of other tests
    orphan = f"import subprocess; subprocess.run(['sh', '-c', 'setsid sleep {seconds} & exit']); answer = 1"
    assert await do(state, "one", orphan) == 1
    words = b"sleep\x00%d" % seconds
    await until(lambda: any(_holds(folder, words) for folder in Path("/proc").iterdir()))
    await pad.stop("one", EndReason.STOPPED)
    await until(lambda: not any(_holds(folder, words) for folder in Path("/proc").iterdir()))


async def test_a_folder_closed_to_others_hides_nothing_from_the_disk_limit(
    pad: Pad, state: State, repo: Path, follower: Follower
) -> None:
    await pad.start(spec("one", repo))
    write = "import os; os.mkdir('d')\nfor n in range(7): open(f'd/{n}', 'wb').write(bytes(10 << 20))\nos.chmod('d', 0)"
    await do(state, "one", write)
    assert await follower.troubled("one", code="session.disk-full")


async def test_a_pad_of_another_isolation_is_replaced(state: State, repo: Path) -> None:
    bare = Pad(state, "none")
    await bare.start(spec("one", repo))
    sandboxed = Pad(state, "sandbox")
    assert (await sandboxed.isolation()).sandboxed
    assert await sandboxed.running() == []
    assert traces(state) == []
    await sandboxed.close(stop=True)
    await bare.close(stop=True)
