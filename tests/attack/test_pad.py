"""What a session holds of the machine beside its processes' own pages: each way to it has an end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perijove.backends import statedir
from perijove.backends.pad.client import Pad
from perijove.domain.nouns import EndReason, Overlay
from perijove.domain.state import State
from tests.fakes.confined import MIB, Follower, do, spec, with_less
from tests.fakes.pads import follower, pad, repo

__all__ = ["follower", "pad", "repo"]
pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

LIMIT = 96 * MIB


@pytest.fixture(scope="module")
def state(module_state: State) -> State:
    statedir.prepare(module_state)
    return module_state


PRELUDE = """
import ctypes, mmap, os, resource, signal, socket, sys
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
held = []
def call(name, *arguments):
    made = getattr(libc, name)(*arguments)
    if made in (-1, None):
        raise OSError(ctypes.get_errno(), name)
    return made
def written(fd, size):
    while size > 0:
        size -= os.write(fd, bytes(min(size, MIB)))
def memfd(size):
    held.append(os.memfd_create("x"))
    written(held[-1], size)
    return size
"""
WAYS = {
    "memfds": "step = lambda: memfd(16 * MIB)",
    "memfds-on-their-way": """
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def step():
    size = memfd(16 * MIB)
    socket.send_fds(left, [b"x"], [held[-1]])
    os.close(held.pop())
    return size
""",
    "files-in-memory": """
def step():
    folder = "/tmp" if len(held) % 2 else "/dev/shm"
    held.append(os.open(f"{folder}/{len(held)}", os.O_RDWR | os.O_CREAT))
    written(held[-1], 8 * MIB)
    return 8 * MIB
""",
    "files-without-a-name": """
def step():
    held.append(os.open("/dev/shm/x", os.O_RDWR | os.O_CREAT))
    os.unlink("/dev/shm/x")
    written(held[-1], 8 * MIB)
    return 8 * MIB
""",
    "empty-files-in-memory": """
def step():
    for number in range(1024):
        open(f"/tmp/{len(held)}-{number}", "w").close()
    held.append(0)
    return MIB
""",
    "files-in-dev": """
def step():
    held.append(os.open(f"/dev/{len(held)}", os.O_RDWR | os.O_CREAT))
    written(held[-1], 8 * MIB)
    return 8 * MIB
""",
    "shared-pages": """
def step():
    held.append(mmap.mmap(-1, 16 * MIB))
    held[-1][:] = b"x" * 16 * MIB
    return 16 * MIB
""",
    "shared-pages-let-go": """
def step():
    held.append(mmap.mmap(-1, 16 * MIB))
    held[-1][:] = b"x" * 16 * MIB
    held[-1].madvise(mmap.MADV_DONTNEED)
    return 16 * MIB
""",
    "segments": """
def step():
    size = 16 * MIB
    try:
        key = call("shmget", 0, size, 0o1600)
    except OSError:
        size = 65536
        key = call("shmget", 0, size, 0o1600)
    address = call("shmat", key, None, 0)
    ctypes.memset(address, 1, size)
    libc.shmdt(ctypes.c_void_p(address))
    held.append(key)
    return size
""",
    "messages": """
def step():
    key = call("msgget", 0, 0o1600)
    for _ in range(2):
        call("msgsnd", key, (b"\\1" + bytes(7)) + bytes(8000), 8000, 0o4000)
    return 16000
""",
    "semaphores": """
def step():
    call("semget", 0, 32000, 0o1600)
    return 32000 * 64
""",
    "page-tables": """
NORESERVE = 0x4000
area = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE, prot=mmap.PROT_READ)
def step():
    for _ in range(256):
        area[len(held) * 2 * MIB]
        held.append(0)
    return MIB
""",
    "sockets": """
def step():
    pair = socket.socketpair()
    held.append(pair)
    took = 0
    for end in pair:
        end.setblocking(False)
        try:
            while True:
                took += end.send(bytes(65536))
        except BlockingIOError:
            pass
    return took
""",
    "pipes": """
def step():
    ends = os.pipe()
    held.append(ends)
    os.set_blocking(ends[1], False)
    took = 0
    try:
        while True:
            took += os.write(ends[1], bytes(4096))
    except BlockingIOError:
        return took
""",
}
"""Ways to hold memory that is in no process's own pages; each a `step` that says how many bytes it took."""
HOLD = """
took = 0
more = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100
try:
    while took < GOAL and more:
        took += step()
        more -= 1
    print(took, "all" if more else "no more descriptors", flush=True)
except OSError as error:
    print(took, error, flush=True)
signal.pause()
"""
RUN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
line = child.stdout.readline()
if "Errno" not in line:
    try:
        child.wait(LOOKED)
    except subprocess.TimeoutExpired:
        pass
status = child.poll()
child.kill()
answer = [line, status]
"""
LOOKED = 5
"""Seconds in which the pad, twice a second, sees what is held."""


@pytest.mark.parametrize("way", WAYS)
async def test_memory_has_an_end_however_it_is_held(
    pad: Pad, state: State, repo: Path, follower: Follower, way: str
) -> None:
    """Refused before the limit, or ended beyond it; never held."""
    if way == "shared-pages-let-go" and not (await pad.isolation()).cgroups:
        pytest.skip("only a control group counts them, and none can be made here: platform.memory-not-held says so")
    await pad.start(spec(way, repo, limits=with_less(memory=LIMIT, tmp=3 * LIMIT)))
    code = f"{PRELUDE}\n{WAYS[way]}\n{HOLD.replace('GOAL', str(3 * LIMIT))}"
    try:
        line, status = await do(state, way, f"CODE, LOOKED = {code!r}, {LOOKED}\n{RUN}")
    except ConnectionError:  # the whole session ended
        assert (await follower.ended(way)).reason is EndReason.MEMORY
        return
    if status == -9:
        assert (await follower.troubled(way)).failure.kind.code == "session.kernel-out-of-memory"
    else:
        assert "all" not in line, "it holds three times its limit"
        assert int(line.split()[0]) <= LIMIT, line
    await pad.stop(way, EndReason.STOPPED)


WRITABLE = """
import os
answer = []
for line in open("/proc/self/mountinfo"):
    fields = line.split()
    where, kind = fields[4], fields[fields.index("-") + 1]
    size = os.statvfs(where)
    answer.append([where, kind, os.statvfs(where).f_flag & os.ST_RDONLY == 0, size.f_blocks * size.f_frsize])
"""


async def test_every_mount_that_can_be_written_has_a_bound(pad: Pad, state: State, repo: Path) -> None:
    folder = state.environments / "written"
    folder.mkdir()
    bounded = spec("mounts", repo, limits=with_less(tmp=16 * MIB))
    await pad.start(replace(bounded, overlays=(Overlay((folder,), folder),)))
    mounts = await do(state, "mounts", WRITABLE)
    assert len(mounts) > 8
    for where, kind, writable, size in mounts:
        if not writable or kind in {"proc", "devpts"} or where in HARMLESS:
            continue
        if kind == "tmpfs":
            assert size <= 16 * MIB, where
        else:
            assert where in {"/home/jovyan", str(folder)}, "session.disk bounds both, by quota or watched"
    made = "import os, tempfile; answer = [tempfile.mkdtemp(dir=FOLDER)]"
    for where, *_ in mounts:
        if where in {"/", "/dev", "/dev/pts", "/proc"}:
            assert "raised" in str(await do(state, "mounts", made.replace("FOLDER", repr(where)))), where


HARMLESS = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console")}


async def test_terminals_and_posix_semaphores_work_with_a_dev_that_cannot_be_written(
    pad: Pad, state: State, repo: Path
) -> None:
    await pad.start(spec("works", repo))
    code = """
import multiprocessing, os
pair = os.openpty()
lock = multiprocessing.get_context("fork").Lock()
open("/dev/null", "w").write("x")
answer = [os.ttyname(pair[1]), lock.acquire()]
"""
    assert await do(state, "works", code) == ["/dev/pts/0", True]


@pytest.fixture
def shown(state: State) -> Overlay:
    """An environment, as sessions are shown one."""
    folder = state.environments / "shown"
    (folder / "folder").mkdir(parents=True, exist_ok=True)
    for name in ("file", "folder/other"):
        (folder / name).write_text("as it was")
    return Overlay((folder,), folder)


OVERWRITES = """
import os, shutil
os.chdir(SHOWN)
open("file", "r+").write("CHANGED"); os.chmod("file", 0o777); shutil.rmtree("folder"); open("mine", "w").write("mine")
os.link("file", "another"); os.setxattr("file", "user.mark", b"x"); os.rename("another", "third")
answer = sorted(os.listdir())
"""
FOUND = "import os; answer = [sorted(os.listdir(SHOWN)), open(SHOWN + '/file').read(), os.listxattr(SHOWN + '/file')]"


async def test_what_is_written_over_an_environment_reaches_nobody(
    pad: Pad, state: State, repo: Path, shown: Overlay
) -> None:
    for name in ("writer", "reader"):
        await pad.start(replace(spec(name, repo), overlays=(shown,)))
    begin = f"SHOWN = {str(shown.target)!r}\n"
    assert await do(state, "writer", begin + OVERWRITES) == ["file", "mine", "third"]
    assert await do(state, "reader", begin + FOUND) == [["file", "folder"], "as it was", []]
    (folder,) = shown.layers
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "folder", "other"]
    assert (folder / "file").read_text() == "as it was"
    assert (folder / "file").stat().st_mode & 0o777 != 0o777
    for name in ("writer", "reader"):
        await pad.stop(name, EndReason.STOPPED)
    assert not {"writer", "reader"} & {path.name for path in state.sessions.iterdir()}


TRICKS = """
import os, stat
def tried(act, *given, **named):
    try:
        act(*given, **named)
    except OSError:
        return "refused"
    return "done"
os.chdir(SHOWN)
answer = [
    tried(os.mknod, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    tried(os.mknod, "disk", stat.S_IFBLK | 0o666, os.makedev(8, 0)),
    tried(os.mknod, "gone", stat.S_IFCHR, 0),
    tried(os.setxattr, ".", "trusted.overlay.opaque", b"y"),
    tried(os.setxattr, ".", "security.capability", b"\\1\\0\\0\\2" + b"\\xff" * 16),
    tried(os.chown, "file", 0, 0),
]
tried(os.setxattr, "folder", "user.overlay.opaque", b"y")
tried(os.setxattr, "file", "user.overlay.redirect", b"/etc/shadow")
answer += [os.listdir("folder"), open("file").read(), os.path.exists("/proc/self/root" + SHOWN + "/../own")]
"""


async def test_an_overlay_gives_no_device_and_hides_no_mark(pad: Pad, state: State, repo: Path, shown: Overlay) -> None:
    await pad.start(replace(spec("tricks", repo), overlays=(shown,)))
    found = await do(state, "tricks", f"SHOWN = {str(shown.target)!r}\n{TRICKS}")
    assert found == [*["refused"] * 6, ["other"], "as it was", False]
