"""What a session can reach from inside its sandbox: itself, what it was shown, and nothing else.

An attacker session runs Python of ours with all that a kernel has; beside it runs a victim, and around both the host.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from perijove.backends import statedir
from perijove.backends.pad.client import Pad
from perijove.domain.nouns import Egress, EndReason, Mount
from perijove.domain.state import State
from tests.e2e.service import furnish
from tests.fakes.bases import shared_base
from tests.fakes.confined import MIB, Follower, do, forkable, spec, until
from tests.fakes.pads import pad

__all__ = ["pad"]
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Inside = Callable[[str], Coroutine[Any, Any, Any]]
NAMES = (f"one-{number}" for number in count())


@pytest.fixture(scope="module")
def state(module_state: State) -> State:
    furnish(module_state)
    statedir.prepare(module_state)
    return module_state


@pytest.fixture(scope="module")
def repo(state: State) -> Path:
    folder = state.checkouts / "repo"
    folder.mkdir()
    (folder / "secret.txt").write_text("the victim's file")
    return folder


@pytest.fixture(scope="module", params=["host-forked", "host-started", "base-forked", "host-blank"])
def made(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Whose system the sandboxes see, and how their servers come there."""
    system, _, way = str(request.param).partition("-")
    return system, way


@pytest.fixture(scope="module")
def stands_on(made: tuple[str, str]) -> str:
    """Whose system the sandboxes see."""
    return made[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def inside(pad: Pad, state: State, repo: Path, made: tuple[str, str]) -> AsyncIterator[Inside]:
    """Runs Python in the attacker's sandbox, beside a victim's; one for all tests, which leave it as it was."""
    shown = state.environments / "shown"
    shown.mkdir(mode=0o755, exist_ok=True)
    (shown / "file").write_text("shown")
    system, way = made
    root = shared_base().root if system == "base" else ()
    beside = (Mount(shown, Path("/opt/shown")),)
    for name, mounts in (("victim", ()), ("attacker", beside)):
        session = replace(spec(name, repo, mounts=mounts), root=root)
        if way != "started":
            session = await forkable(pad, session, state.environments / "forked")
        await pad.start(replace(session, home_from=None) if way == "blank" else session)
        if way == "blank":
            await pad.fill(name, repo)
        assert await do(state, name, "import os; answer = os.getppid() == 0") == (way != "started")
    yield lambda code: do(state, "attacker", code)
    for name in ("victim", "attacker"):
        await pad.stop(name, EndReason.STOPPED)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def online(pad: Pad, state: State, repo: Path) -> Inside:
    """Runs Python in a sandbox that may reach the public web."""
    await pad.start(spec("online", repo, egress=Egress.PUBLIC))
    return lambda code: do(state, "online", code)


async def test_it_is_nobody_special(inside: Inside) -> None:
    code = """
def facts(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return {line.split(":")[0]: line.split(":")[1].strip() for line in lines}
import os
answer = [os.getuid(), os.uname().nodename, facts("self"), facts(1)]
"""
    uid, host, own, first = await inside(code)
    assert (uid, host) == (1000, "perijove")
    for facts in (own, first):
        assert facts["CapEff"] == facts["CapPrm"] == facts["CapInh"] == facts["CapAmb"] == "0" * 16
        assert facts["NoNewPrivs"] == "1"
        assert facts["Seccomp"] == "2"
    assert own["CapBnd"] == "0" * 16


async def test_it_knows_which_system_it_runs_on(inside: Inside, stands_on: str) -> None:
    code = "import os.path, platform; answer = [os.path.exists('/etc/os-release'), platform.freedesktop_os_release()]"
    there, told = await inside(code)
    assert there
    if stands_on == "host":
        assert told == platform.freedesktop_os_release()
    else:
        assert told["VERSION_CODENAME"] == "trixie"


async def test_it_sees_no_processes_but_its_own(inside: Inside) -> None:
    pids = await inside("import os; answer = [int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert len(pids) <= 3
    assert max(pids) < 100


async def test_its_first_process_shows_nothing_of_the_host(inside: Inside, state: State) -> None:
    cmdline, environ = await inside("answer = [open(f'/proc/1/{n}').read() for n in ('cmdline', 'environ')]")
    assert environ == ""
    assert str(state.root) not in cmdline
    assert "the-session-secret" not in cmdline


async def test_it_holds_no_descriptor_but_its_words_and_its_socket(inside: Inside) -> None:
    code = """
import os
answer = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        answer[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        pass
"""
    held = [target for fd, target in (await inside(code)).items() if int(fd) > 2]
    assert all(target.startswith("socket:") for target in held), held
    assert len(held) == 2, "the listening socket and this very connection"


async def test_no_path_of_the_state_directory_exists_inside(inside: Inside, state: State, repo: Path) -> None:
    paths = [state.root, state.session_sockets / "victim.sock", state.sessions / "victim" / "own" / "home", repo]
    paths += [state.pad]
    paths += [state.pad_socket, state.control_socket, state.caddy_socket, state.admin_socket, state.secret]
    code = f"import os; answer = [os.path.lexists(path) for path in {[str(path) for path in paths]!r}]"
    assert await inside(code) == [False] * len(paths)


async def test_the_hosts_folders_are_not_shown(inside: Inside, stands_on: str) -> None:
    paths = ["/root/.ssh", "/home/jovyan/../root/x"]
    paths += ["/etc/shadow", "/sys", "/var/lib", "/boot"] if stands_on == "host" else ["/sys/kernel"]
    assert await inside(f"import os; answer = [os.path.lexists(path) for path in {paths}]") == [False] * len(paths)


async def test_no_socket_of_the_host_can_be_found(inside: Inside) -> None:
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0perijove-isolation-test")
    abstract.listen()
    with abstract:
        code = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0perijove-isolation-test")
    answer = "connected"
except OSError as error:
    answer = [error.errno, "isolation-test" in open("/proc/net/unix").read()]
"""
        assert await inside(code) == [111, False]


@pytest.mark.parametrize("address", ["127.0.0.1", "own", "169.254.169.254", "10.0.0.1", "192.0.2.1"])
async def test_no_address_outside_can_be_reached(inside: Inside, address: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        host = _own_address() if address == "own" else address
        code = f"""
import socket
try:
    socket.create_connection(({host!r}, {port}), 2)
    answer = "connected"
except OSError as error:
    answer = error.errno
"""
        assert await inside(code) in {111, 101, 113}, "refused, or no way there"


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback's")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [(40, 1, 0), (17, 3, 0), (38, 5, 0), (16, 3, 12), (2, 3, 1), (2, 1, 132), (31, 1, 0), (15, 3, 2), (44, 3, 0)],
    ids=["vsock", "packet", "alg", "netfilter", "raw", "sctp", "bluetooth", "key", "xdp"],
)
async def test_sockets_that_reach_around_the_network_are_refused(
    inside: Inside, family: int, kind: int, protocol: int
) -> None:
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def attempt(family):
    ctypes.set_errno(0)
    made = libc.syscall(41, ctypes.c_long(family), ctypes.c_long({kind}), ctypes.c_long({protocol}))
    return made if made >= 0 else -ctypes.get_errno()
answer = [attempt({family}), attempt({family} | 1 << 32)]
"""
    assert os.uname().machine == "x86_64", "system call numbers of this test"
    assert all(made in {-1, -93, -97} for made in await inside(code))


CALLS = {
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "umount2": (166, b"/usr", 2),
    "unshare-user": (272, 0x10000000),
    "unshare-net": (272, 0x40000000),
    "clone-user": (56, 0x10000011, 0, 0, 0, 0),
    "clone-net": (56, 0x40000011, 0, 0, 0, 0),
    "setns": (308, 0, 0),
    "chroot": (161, b"/tmp"),
    "pivot_root": (155, b"/", b"/tmp"),
    "ptrace": (101, 16, 1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "pidfd_getfd": (438, 3, 0, 0),
    "keyctl": (250, 0, -3, 1),
    "add_key": (248, b"user", b"x", b"y", 1, -3),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 1),
    "io_uring_setup": (425, 1, 0),
    "open_by_handle_at": (304, 3, 0, 0),
    "fsopen": (430, b"tmpfs", 0),
    "open_tree": (428, -100, b"/", 1),
    "move_mount": (429, -100, b"/", -100, b"/tmp", 0),
    "mount_setattr": (442, -100, b"/", 0, 0, 0),
    "init_module": (175, 0, 0, b""),
    "kexec_load": (246, 0, 0, 0, 0),
    "syslog": (103, 3, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "tiocsti": (16, 0, 0x5412, b"x"),
    "tiocsti-high-bits": (16, 0, 0x100005412, b"x"),
    "tioclinux": (16, 0, 0x541C, b"\x02"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_system_calls_that_reach_beyond_are_refused(inside: Inside, call: str) -> None:
    number, *arguments = CALLS[call]
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
wrapped = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in {arguments!r}]
answer = [libc.syscall({number!r}, *wrapped), ctypes.get_errno()]
"""
    assert await inside(code) == [-1, 1], "EPERM, whatever the arguments"


async def test_clone3_is_not_there_so_that_libc_falls_back(inside: Inside) -> None:
    code = "import ctypes; l = ctypes.CDLL(None, use_errno=True); answer = [l.syscall(435, 0, 0), ctypes.get_errno()]"
    assert await inside(code) == [-1, 38]


async def test_threads_and_subprocesses_work_all_the_same(inside: Inside) -> None:
    code = """
import concurrent.futures, multiprocessing, subprocess
with concurrent.futures.ThreadPoolExecutor() as pool:
    answer = [pool.submit(sum, [1, 2]).result(), subprocess.run(["echo", "x"], capture_output=True, text=True).stdout]
with multiprocessing.get_context("fork").Pool(2) as pool:
    answer.append(pool.map(abs, [-1, -2]))
"""
    assert await inside(code) == [3, "x\n", [1, 2]]


@pytest.mark.parametrize("path", ["/x", "/usr/x", "/etc/x", "/etc/passwd", "/opt/shown/x", "/opt/shown/file", "/run/x"])
async def test_nothing_outside_its_home_can_be_written(inside: Inside, path: str) -> None:
    answer = await inside(f"open({path!r}, 'a').write('x')")
    assert "Read-only" in answer or "Permission denied" in answer


async def test_what_it_was_shown_can_be_read(inside: Inside) -> None:
    assert await inside("answer = open('/opt/shown/file').read()") == "shown"


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
async def test_memory_folders_are_limited(inside: Inside, folder: str) -> None:
    code = f"""
import os
try:
    open("{folder}/big", "wb").write(bytes({17 * MIB}))
finally:
    os.remove("{folder}/big")
"""
    answer = await inside(code)
    assert "No space left" in answer


async def test_only_harmless_devices_are_there(inside: Inside) -> None:
    devices = set(await inside("import os; answer = os.listdir('/dev')"))
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "core", "console"}
    assert devices - {"stdin", "stdout", "stderr"} <= harmless


async def test_terminals_can_be_opened(inside: Inside) -> None:
    code = "import os; pair = os.openpty(); answer = os.ttyname(pair[1]); [os.close(end) for end in pair]"
    assert await inside(code) == "/dev/pts/0"


async def test_its_words_can_be_reopened_but_no_file_of_the_host_is_behind_them(inside: Inside) -> None:
    code = "import os; open('/dev/stderr', 'w').write('x\\n'); answer = os.readlink('/proc/self/fd/2')"
    assert (await inside(code)).startswith("pipe:")


async def test_it_cannot_become_another(inside: Inside) -> None:
    assert "Invalid argument" in await inside("import os; os.setuid(0)"), "there is no uid 0 in its namespace"
    assert "not permitted" in await inside("import os; os.mknod('disk', 0o60600, os.makedev(254, 0))")


async def test_its_secrets_stand_on_no_command_line(inside: Inside) -> None:
    await inside("answer = 1")
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            assert b"the-session-secret" not in words or b"pytest" in words


async def test_sessions_of_root_have_uids_of_their_own(inside: Inside, state: State) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give uids away")
    homes = [state.sessions / name for name in ("victim", "attacker")]
    owners = {home.stat().st_uid for home in homes}
    assert len(owners) == 2
    assert min(owners) >= 200_000
    assert {home.stat().st_mode & 0o777 for home in homes} == {0o700}


async def test_links_in_its_home_lead_nobody_astray_when_it_ends(
    pad: Pad, state: State, repo: Path, inside: Inside
) -> None:
    await pad.start(spec("leaves", repo))
    code = f"""
import os
os.symlink({str(state.root)!r}, "root"); os.symlink({str(repo)!r}, "repo"); os.symlink("/", "slash")
os.makedirs("a/b/c"); open("a/b/c/file", "w").close(); os.chmod("a/b", 0)
answer = 1
"""
    assert await do(state, "leaves", code) == 1
    await pad.stop("leaves", EndReason.STOPPED)
    assert not (state.sessions / "leaves").exists()
    assert (repo / "secret.txt").read_text() == "the victim's file"
    assert (await pad.status("victim", "/", "", 5)).kernels == 2


class Web:
    """A small web server on the host's loopback."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="module")
async def web() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    yield web
    server.close()


FETCH = """
import urllib.request, urllib.error
try:
    answer = [200, urllib.request.urlopen(URL, timeout=10).read().decode()]
except urllib.error.HTTPError as error:
    answer = [error.code, error.read().decode()]
"""
TUNNEL = """
import socket
s = socket.create_connection(("127.0.0.1", 3128), 10)
s.sendall(b"CONNECT TARGET HTTP/1.1\\r\\n\\r\\n")
head = s.recv(1000)
answer = head.decode()
if b" 200 " in head:
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = s.recv(1000).decode()
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.0.0.0/8"])
async def test_what_the_operator_allows_can_be_reached(pad: Pad, state: State, repo: Path, web: Web, name: str) -> None:
    one = next(NAMES)
    await pad.start(spec(one, repo, egress=Egress.PUBLIC, allowed=(f"{name}:{web.port}",)))
    host = "127.0.0.1" if "/" in name else name
    fetch = FETCH.replace("URL", repr(f"http://{host}:{web.port}/path?q=1"))
    fetch = f"import os; os.environ['no_proxy'] = os.environ['NO_PROXY'] = ''\n{fetch}"
    assert await do(state, one, fetch) == [200, "ok"]
    assert web.seen[0].startswith(b"GET /path?q=1 HTTP/1.1\r\n")
    assert b"proxy" not in web.seen[0].lower()
    assert (await do(state, one, TUNNEL.replace("TARGET", f"{host}:{web.port}"))).endswith("ok")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("127.0.0.1:80", "not a public address"),
        ("localhost:443", "not a public address"),
        ("169.254.169.254:80", "not a public address"),
        ("10.0.0.1:443", "not a public address"),
        ("[::1]:443", "not a public address"),
        ("[::ffff:127.0.0.1]:443", "not a public address"),
        ("[64:ff9b::7f00:1]:443", "not a public address"),
        ("2130706433:80", "not a public address"),
        ("0x7f.1:80", "not a public address"),
        ("1.1.1.1:22", "only the ports 80 and 443"),
        ("own:443", "not a public address|belongs to this machine"),
    ],
)
async def test_what_is_not_the_public_web_is_refused_in_words(online: Inside, target: str, reason: str) -> None:
    target = target.replace("own", _own_address()) if target.startswith("own") else target
    answer = await online(TUNNEL.replace("TARGET", target))
    assert answer.startswith("HTTP/1.1 403 Forbidden")
    assert any(text in answer for text in reason.split("|")), answer


async def test_without_egress_there_is_no_proxy(inside: Inside) -> None:
    assert "refused" in await inside(TUNNEL.replace("TARGET", "example.org:443"))


async def test_a_proxy_that_dies_is_replaced_and_sessions_do_not_notice(
    pad: Pad, state: State, repo: Path, web: Web
) -> None:
    one = next(NAMES)
    await pad.start(spec(one, repo, egress=Egress.NONE, allowed=(f"127.0.0.1:{web.port}",)))
    tunnel = TUNNEL.replace("TARGET", f"127.0.0.1:{web.port}")
    assert (await do(state, one, tunnel)).endswith("ok")
    os.kill(_proxy(state), 9)
    assert (await do(state, one, tunnel)).endswith("ok")


async def test_the_proxy_of_root_has_no_rights(online: Inside, state: State) -> None:
    await online(TUNNEL.replace("TARGET", "127.0.0.1:80"))
    facts = Path(f"/proc/{_proxy(state)}/status").read_text()
    assert "CapEff:\t0000000000000000" in facts
    assert "NoNewPrivs:\t1" in facts
    assert "Uid:\t0" not in facts


def _proxy(state: State) -> int:
    """The egress proxy's process id: a child of this state directory's pad."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            above = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"perijove.backends.pad.egress" in words and os.fsencode(state.root) in above:
            return int(folder.name)
    raise AssertionError("no proxy runs")


async def test_what_a_session_does_not_reach_stands_in_its_log(pad: Pad, state: State, repo: Path) -> None:
    one = next(NAMES)
    follower = Follower(pad)
    await pad.start(spec(one, repo, egress=Egress.PUBLIC))
    for _ in range(3):
        answer = await do(state, one, TUNNEL.replace("TARGET", "10.0.0.1:443"))
        assert answer.startswith("HTTP/1.1 403 Forbidden (10.0.0.1 is 10.0.0.1, which is not a public address")
    told = "Perijove's egress proxy: 10.0.0.1 is 10.0.0.1, which is not a public address"
    await until(lambda: [line for line in follower.lines(one) if line.startswith(told)])
    assert len([line for line in follower.lines(one) if "egress proxy" in line]) == 1, "told once"
    await follower.close()
