"""Servers that are forked: as started ones to whoever looks, with nothing of one another, and none lost by a kill."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from perijove.backends import statedir
from perijove.backends.pad import processes
from perijove.backends.pad.client import Pad
from perijove.backends.pad.fork_sandbox import RIGHTS, SCRIPT
from perijove.backends.pad.fork_server import KEPT
from perijove.backends.pad.forked_server import differences
from perijove.domain.nouns import EndReason, Mount, SandboxSpec
from perijove.domain.state import State
from tests.e2e.service import furnish
from tests.fakes.confined import ENVIRON, MIB, PREPARED, PYTHON, SERVER, Follower, do, forkable, spec, until, with_less
from tests.fakes.pads import follower, pad, repo

__all__ = ["follower", "pad", "repo"]
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

NUMBERS = count()


@pytest.fixture(scope="module")
def state(module_state: State) -> State:
    furnish(module_state)
    statedir.prepare(module_state)
    return module_state


@pytest_asyncio.fixture(loop_scope="module")
async def forked(pad: Pad, state: State, repo: Path) -> SandboxSpec:
    """A session whose server is forked: there is a fork server for it."""
    return await forkable(pad, spec("forked", repo), state.environments / "program")


async def begun(pad: Pad, session: SandboxSpec) -> str:
    """One such session, by its name."""
    name = f"one-{next(NUMBERS)}"
    await pad.start(replace(session, session=name))
    return name


async def is_forked(state: State, name: str) -> bool:
    """Its parent is nobody whom it can see."""
    return bool(await do(state, name, "import os; answer = os.getppid() == 0"))


def fork_servers(state: State) -> list[int]:
    """Those of this state directory's pad, by their process ids."""
    return [pid for pid in _by_words(SCRIPT) if _is_below_pad(pid, state)]


def _by_words(words: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words.encode() in command and not command[0].endswith(b"bwrap"):
                found.append(int(name))
    return found


def _is_below_pad(pid: int, state: State) -> bool:
    """Whether the pad of this state directory is among its forebears."""
    while pid > 1:
        process = processes.look(pid)
        if process is None:
            return False
        try:
            if os.fsencode(state.root) in Path(f"/proc/{process.parent}/cmdline").read_bytes().split(b"\0"):
                return True
        except OSError:
            return False
        pid = process.parent
    return False


FACTS = """
import ctypes, os, resource, signal, sys
def status():
    lines = (line.partition(":") for line in open("/proc/self/status"))
    return {name: value.strip() for name, _, value in lines}
told = ("Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
        "SigIgn", "SigBlk", "ShdPnd", "Cpus_allowed", "CoreDumping")
answer = {name: value for name, value in status().items() if name in told}
limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
answer |= {name: resource.getrlimit(getattr(resource, name)) for name in limits}
answer["folder"] = os.getcwd()
answer["standard"] = [os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in range(3)]
answer["leads"] = [os.getsid(0) == os.getpid() or os.getpid() < 4, os.getpgrp() != 0]
answer["dumpable"] = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
for file in ("oom_score_adj", "comm", "timerslack_ns", "personality", "mountinfo", "cgroup", "uid_map", "gid_map"):
    try:
        answer[file] = open(f"/proc/self/{file}").read()
    except OSError as error:
        answer[file] = error.errno
answer["loginuid"] = os.path.exists("/proc/self/loginuid") and open("/proc/self/loginuid").read()
answer["variables"] = [sorted(set(os.environ) - {"PERIJOVE_SOCKET_FD", "PWD", "LC_CTYPE"})]
shown = dict(word.partition("=")[::2] for word in open("/proc/self/environ").read().split(chr(0)) if word)
answer["shown"] = sorted(set(shown) - {"PERIJOVE_SOCKET_FD", "PWD"})
answer["nice"] = os.nice(0)
answer["handled"] = [str(signal.getsignal(number)) for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP)]
answer["options"] = sys.flags.isolated
"""


async def test_a_forked_server_looks_as_a_started_one_does(pad: Pad, state: State, forked: SandboxSpec) -> None:
    names = [await begun(pad, one) for one in (forked, replace(forked, server=()))]
    assert [await is_forked(state, name) for name in names] == [True, False]
    mine, theirs = [await do(state, name, FACTS) for name in names]
    for facts in (mine, theirs):  # whose numbers differ from one sandbox to the next
        facts["mountinfo"] = sorted(line.split()[4] for line in facts["mountinfo"].splitlines())
        facts["cgroup"] = len(facts["cgroup"].splitlines())
    assert mine == theirs
    commands = [await do(state, name, "answer = open('/proc/self/cmdline').read().rstrip(chr(0))") for name in names]
    assert commands[0] == commands[1]
    seen = [next(one for one in await pad.running() if one.session == name).processes for name in names]
    assert seen[0] == seen[1] + 1, "the command that holds the sandbox"
    for name in names:
        await pad.stop(name, EndReason.STOPPED)


DRAWN = """
import os, random, secrets, ssl, tempfile, uuid
answer = [random.random(), str(uuid.uuid4()), str(uuid.uuid1()), ssl.RAND_bytes(16).hex(), os.urandom(16).hex(),
          secrets.token_hex(8), next(tempfile._get_candidate_names()), random.SystemRandom().random()]
"""


async def test_two_servers_of_one_fork_server_draw_other_numbers(pad: Pad, state: State, forked: SandboxSpec) -> None:
    names = [await begun(pad, forked) for _ in range(2)]
    drawn = [await do(state, name, DRAWN) for name in names]
    assert all(one != other for one, other in zip(*drawn, strict=True)), drawn
    for name in names:
        await pad.stop(name, EndReason.STOPPED)


SEARCH = """
import re
found = set()
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        begin, end = (int(number, 16) for number in line.split()[0].split("-"))
        if "r" in line.split()[1] and not line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
            memory.seek(begin)
            try:
                found |= set(re.findall(rb"token-[0-9]-[0-9a-f]{16}", memory.read(end - begin)))
            except OSError:
                continue
answer = sorted(word.decode() for word in found)
"""


async def test_its_memory_holds_nothing_of_another_session(pad: Pad, state: State, forked: SandboxSpec) -> None:
    tokens = [f"token-{number}-{os.urandom(8).hex()}" for number in range(3)]
    names = []
    for token in tokens:
        environ = (*ENVIRON, ("JUPYTER_TOKEN", token))
        names.append(await begun(pad, replace(forked, environ=environ, command=(*forked.command, token))))
    for name, token in zip(names, tokens, strict=True):
        assert await is_forked(state, name)
        assert await do(state, name, SEARCH, 60) == [token]
    (server,) = fork_servers(state)
    if os.geteuid() == 0:
        assert not any(token.encode() in _memory(server) for token in tokens)
    for name in names:
        await pad.stop(name, EndReason.STOPPED)


def _memory(pid: int) -> bytes:
    content = b""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if "rw" in line.split()[1]:
                memory.seek(begin)
                content += memory.read(end - begin)
    return content


async def test_a_fork_server_has_what_it_needs_and_no_more(state: State, forked: SandboxSpec) -> None:
    (pid,) = fork_servers(state)
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    bits = {"CAP_SYS_ADMIN": 21, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == sum(1 << bits[right] for right in RIGHTS)
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip(), status["Threads"].strip()) == ("1", "2", "1")
    assert set(status["Uid"].split()) != {"0"}
    for name in ("user", "mnt", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    rows = [[int(field) for field in line.split()] for line in Path(f"/proc/{pid}/uid_map").read_text().splitlines()]
    assert all(inside == outside != 0 for inside, outside, _ in rows)
    root = Path(f"/proc/{pid}/root")
    assert not (root / str(state.root).lstrip("/")).exists()
    assert sorted(path.name for path in (root / "proc").iterdir()) == ["self"]
    assert list((root / "home/jovyan").iterdir()) == []
    held = [os.readlink(path).partition(":")[0] for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert sorted(kind for kind in held if kind.startswith("socket")) == ["socket"], held


async def test_its_end_is_told_as_a_started_ones(
    pad: Pad, state: State, forked: SandboxSpec, follower: Follower
) -> None:
    ends = {
        "import sys; print('my last words'); sys.exit(7)": (EndReason.EXITED, 7),
        "import os; os.abort()": (EndReason.EXITED, -signal.SIGABRT),
        "1 / 0": (EndReason.EXITED, 1),
        "pass": (EndReason.EXITED, 0),
        "x = bytearray(400 << 20)\nimport time\ntime.sleep(100)": (EndReason.MEMORY, -signal.SIGKILL),
    }
    for code, (reason, status) in ends.items():
        small = replace(forked, limits=with_less(memory=100 * MIB), command=(*forked.command[:3], code))
        name = await begun(pad, small)
        ended = await follower.ended(name)
        assert (ended.reason, ended.exit_code) == (reason, status), (code, ended)
        if "last words" in code:
            assert follower.lines(name) == ["my last words"]
        if "1 / 0" in code:
            assert follower.lines(name)[-1] == "ZeroDivisionError: division by zero"
    assert await _nothing_is_left(pad, state)


async def _nothing_is_left(pad: Pad, state: State) -> bool:
    """No session, no trace, and no child of the pad's that has ended and whose end nobody took."""
    await until(lambda: not list(state.sessions.iterdir()))
    assert await pad.running() == []
    (holder,) = [pid for pid in _by_words("perijove.backends.pad.process") if _is_pad(pid, state)]
    await until(
        lambda: not any((one := processes.look(pid)) and one.state == "Z" for pid in processes.children(holder))
    )
    return True


def _is_pad(pid: int, state: State) -> bool:
    return os.fsencode(state.root) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


HOG = "x = bytearray(400 << 20)\nimport time\ntime.sleep(100)"


async def test_a_process_of_it_that_is_killed_for_memory_is_told_and_it_lives(
    pad: Pad, state: State, forked: SandboxSpec, follower: Follower
) -> None:
    name = await begun(pad, replace(forked, limits=with_less(memory=100 * MIB)))
    code = f"import subprocess, sys; answer = subprocess.run([sys.executable, '-c', {HOG!r}]).returncode"
    assert await do(state, name, code) == -9
    assert (await follower.troubled(name, 5)).failure.kind.code == "session.kernel-out-of-memory"
    assert (await pad.status(name, "/", "", 5)).kernels == 2
    await pad.stop(name, EndReason.STOPPED)


async def test_a_dead_fork_server_takes_no_session_along_and_loses_no_start(
    pad: Pad, state: State, forked: SandboxSpec, follower: Follower
) -> None:
    before = await begun(pad, forked)
    for pid in fork_servers(state):
        os.kill(pid, signal.SIGKILL)
    at_once = await begun(pad, forked)
    assert (await pad.status(at_once, "/", "", 5)).kernels == 2
    assert (await pad.status(before, "/", "", 5)).kernels == 2
    assert follower.ends(before) == []
    await until(lambda: bool(fork_servers(state)), 20)
    async with asyncio.timeout(20):
        while not await is_forked(state, later := await begun(pad, forked)):
            await pad.stop(later, EndReason.STOPPED)
    for name in (before, at_once, later):
        await pad.stop(name, EndReason.STOPPED)
    assert await _nothing_is_left(pad, state)


async def test_kills_at_any_moment_lose_no_start(pad: Pad, state: State, repo: Path) -> None:
    """Of the fork server and of what it has forked, which is outside or inside already."""
    forked = await forkable(pad, spec("killed", repo), state.environments / "killed")
    drawn = random.Random(2026)
    ways: list[bool] = []

    async def killing() -> None:
        while True:
            await asyncio.sleep(drawn.uniform(0, 0.25))
            for pid in fork_servers(state):
                os.kill(pid, signal.SIGKILL)

    killer = asyncio.create_task(killing(), name="kills")
    try:
        for _ in range(12):
            names = await asyncio.gather(*(begun(pad, forked) for _ in range(2)))
            for name in names:
                assert (await pad.status(name, "/", "", 20)).kernels == 2
                ways.append(await is_forked(state, name))
                await pad.stop(name, EndReason.STOPPED)
    finally:
        killer.cancel()
        await asyncio.wait([killer])
    assert len(ways) == 24
    last = await begun(pad, forked)
    await pad.stop(last, EndReason.STOPPED)  # by which all is taken that a killed fork server has left
    assert await _nothing_is_left(pad, state)


async def test_what_cannot_be_forked_from_is_told_and_its_sessions_are_started(
    pad: Pad, state: State, repo: Path
) -> None:
    program = state.environments / "bad"
    program.mkdir(mode=0o755)
    shown = Mount(program, Path("/opt/bad"))
    thread = "import time, threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    for name, instead, told in (
        ("threads", f"{thread}\n    import json", "2 threads"),
        ("broken", "import no_such_thing, json", "no_such_thing"),
    ):
        (program / f"{name}.py").write_text(PREPARED.replace("import json", instead))
        command = (PYTHON, "-I", f"/opt/bad/{name}.py", SERVER)
        session = replace(spec("bad", repo, mounts=(shown,)), command=command, server=(shown,))
        assert told in await pad.warm(session)
        assert told in (await pad.isolation()).started
        started = await begun(pad, session)
        assert (await pad.status(started, "/", "", 10)).kernels == 2
        assert not await is_forked(state, started)
        await pad.stop(started, EndReason.STOPPED)


async def test_whatever_is_not_as_in_the_sandbox_is_seen_from_outside(
    pad: Pad, state: State, forked: SandboxSpec
) -> None:
    """The last look before a server runs: what is wrong is told, each thing by its name."""
    names = [await begun(pad, forked) for _ in range(2)]
    servers = set(_by_words("/opt/program/program.py")) - set(fork_servers(state))
    one, other = (pid for pid in servers if _is_below_pad(pid, state))
    uid = Path(f"/proc/{one}").stat().st_uid
    assert differences(one, one, uid).startswith("PPid is")
    assert "Uid is" in differences(one, one, uid + 1)
    seen = differences(one, other, uid)
    assert all(f"its {name} namespace is another" in seen for name in ("user", "mnt", "pid", "net", "ipc", "uts"))
    assert ("its control group is another" in seen) == bool((await pad.isolation()).cgroups)
    own = differences(os.getpid(), os.getpid(), os.getuid())
    assert "Seccomp is 0" in own
    assert ("CapEff is" in own) == (os.geteuid() == 0)
    for name in names:
        await pad.stop(name, EndReason.STOPPED)


async def test_there_are_no_more_fork_servers_than_a_few(pad: Pad, state: State, repo: Path) -> None:
    for number in range(KEPT + 1):
        await forkable(pad, spec("few", repo), state.environments / f"few-{number}")
    await until(lambda: len(fork_servers(state)) == KEPT)


async def test_a_dead_pad_takes_fork_servers_and_sessions_along(
    pad: Pad, state: State, forked: SandboxSpec, follower: Follower
) -> None:
    """The last of this file: another pad has taken its place."""
    name = await begun(pad, forked)
    assert await is_forked(state, name)
    (holder,) = [pid for pid in _by_words("perijove.backends.pad.process") if _is_pad(pid, state)]
    held = [pid for pid in _by_words("/opt/program/program.py") if _is_below_pad(pid, state)]
    assert len(held) == 2, "the fork server and the session's"
    supervised = asyncio.create_task(pad.supervise())
    os.kill(holder, signal.SIGKILL)
    assert (await follower.ended(name)).reason is EndReason.PAD_LOST
    supervised.cancel()
    await asyncio.wait([supervised])
    await until(lambda: not any((look := processes.look(pid)) and look.state != "Z" for pid in held))
