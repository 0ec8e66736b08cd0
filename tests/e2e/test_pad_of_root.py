"""A pad of root's for a service of another user: whole launches, and nothing that makes that user more than it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from perijove.backends.caddy import Caddy
from perijove.backends.pad.wire import Message, order_of, pack
from perijove.domain import wire
from perijove.domain.nouns import ForeignRun
from perijove.domain.state import State
from tests.e2e.service import BASE, Service, Session, shared_cache, until
from tests.e2e.test_kept import Visitor
from tests.fakes.bases import shared_base
from tests.fakes.confined import ENVIRON, LIMITS, PYTHON, spec
from tests.fakes.git_server import serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can hold sandboxes for another user"),
]
ROOT = Path(__file__).parents[2]
MASTER = 4000


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that everybody can read."""
    folder = Path(tempfile.mkdtemp(prefix="perijove-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def python(place: Path) -> str:
    """An interpreter with Perijove that the service's user can reach; ours may lie in root's home."""
    found = sorted(Path("/usr/bin").glob("python3.1[1-9]"))
    if not found:
        pytest.skip("no python3.11 or newer in /usr/bin: another user cannot reach ours")
    uv, venv = Path(sys.executable).with_name("uv"), place / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", found[0], venv], check=True)
    lock = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", venv / "bin" / "python", *lock], check=True)
    packages = next((venv / "lib").glob("python3.*")) / "site-packages"
    shutil.copytree(ROOT / "src" / "perijove", packages / "perijove", ignore=shutil.ignore_patterns("__pycache__"))
    facts = f"perijove-{version('perijove')}.dist-info"
    shutil.copytree(str(distribution("perijove").locate_file(facts)), packages / facts)
    subprocess.run(["chmod", "-R", "a+rX", venv], check=True)
    return str(venv / "bin" / "python")


@pytest.fixture(scope="module")
def repository(place: Path) -> Path:
    """One that needs a build of a package's own code."""
    folder = place / "repository"
    folder.mkdir()
    (folder / "requirements.txt").write_text("docopt==0.6.2\n")
    (folder / "hello.txt").write_text("hello")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("hello.txt")
    return folder


def rights() -> str:
    """The capabilities that the unit leaves to the pad, as setpriv reads them."""
    unit = (ROOT / "packaging" / "systemd" / "perijove-pad.service").read_text()
    found = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    return ",".join(["-all", *(f"+{word.removeprefix('CAP_').lower()}" for word in " ".join(found).split())])


class PadOfRoot:
    """`perijove pad --for`, as packaging/systemd has it."""

    def __init__(self, state: State, python: str) -> None:
        self.state, self._python = state, python
        self.start()

    def start(self) -> None:
        command = [
            "setpriv",
            "--bounding-set",
            rights(),
            self._python,
            "-m",
            "perijove",
            "pad",
            "--state",
            str(self.state.root),
            "--for",
            str(MASTER),
        ]
        with (self.state.root / "pad.out").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        until(self.state.pad_socket.exists)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def pad(module_state: State, python: str) -> Iterator[PadOfRoot]:
    pad = PadOfRoot(module_state, python)
    yield pad
    pad.stop()
    assert "Traceback" not in (module_state.root / "pad.out").read_text()


@pytest.fixture(scope="module")
def service(pad: PadOfRoot, module_state: State, python: str) -> Iterator[Service]:
    cache = module_state.uv_cache  # its own: what it links must be its own
    subprocess.run(["cp", "-a", f"{shared_cache()}/.", cache], check=True)
    subprocess.run(["chown", "-R", f"{MASTER}:{MASTER}", cache], check=True)
    subprocess.run(["cp", "-a", f"{shared_base().path.parent}/.", module_state.bases], check=True)
    subprocess.run(["chown", "-hR", f"{MASTER}:{MASTER}", module_state.bases], check=True)
    service = Service(module_state, {"PLATFORM_PACKAGES": ",".join(BASE.packages)}, python=python, uid=MASTER).up()
    yield service
    service.stop()


def uids(pid: int) -> set[int]:
    """Real, effective, saved and of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(word) for line in lines if line.startswith("Uid:") for word in line.split()[1:]}


def test_only_the_pad_is_root_and_each_session_is_a_user_of_its_own(
    service: Service, module_state: State, repository: Path, pad: PadOfRoot
) -> None:
    sessions = [service.session(str(repository)) for _ in range(2)]
    assert all(session.answers() for session in sessions)
    owners = [(module_state.sessions / session.name / "own").stat().st_uid for session in sessions]
    assert len({*owners, MASTER, 0}) == 4
    caddy = Caddy(module_state).pid()
    assert service.process is not None
    assert caddy is not None
    assert (uids(service.process.pid), uids(caddy), uids(pad.process.pid)) == ({MASTER}, {MASTER}, {0})
    code = "import docopt, os; print(docopt.__version__, sorted(os.listdir())[-4:], os.access('run', os.X_OK))"
    said = sessions[0].execute(code)
    assert said == "0.6.2 ['hello.txt', 'link', 'requirements.txt', 'run'] True\n"


def test_a_repository_with_an_apt_txt_stands_on_the_masters_base(
    service: Service, module_state: State, place: Path
) -> None:
    folder = place / "with-apt"
    folder.mkdir()
    (folder / "apt.txt").write_text("tree\n")
    session = service.session(str(folder))
    ask = "import subprocess, sys; subprocess.check_output(['tree', '--version'], text=True)[:6], sys.base_prefix"
    assert session.execute(ask) == "('tree v', '/usr')"
    made = [*module_state.bases.glob("*/raw"), *module_state.layers.glob("*/root")]
    assert [path.stat().st_uid for path in made] == [MASTER, MASTER]


def test_what_a_post_build_made_is_the_masters_and_each_session_may_write_over_it(
    service: Service, module_state: State, place: Path
) -> None:
    folder, does = place / "scripted", "set -e; pip uninstall --yes pip; echo made > made; ln -s made link"
    folder.mkdir()
    (folder / "postBuild").write_text(f"{does}; echo x > $VIRTUAL_ENV/x")
    session = service.session(str(folder))
    kernel = session.kernel()
    assert session.execute("open('link').read()", kernel) == "'made\\n'"
    assert "ModuleNotFoundError" in session.execute("import pip; pip.__file__", kernel)
    write = "import sys, comm; open(sys.prefix + '/x', 'a').write('y'); open(comm.__file__, 'a').write('# mine')"
    assert session.execute(write, kernel) == "6"
    (layer,) = module_state.environments.glob("*/layer-0")
    assert (layer / "x").read_text() == "x\n"


def test_a_stop_and_a_start_of_the_service_leave_pad_and_sessions(
    service: Service, repository: Path, pad: PadOfRoot
) -> None:
    session = service.session(str(repository))
    kernel = session.kernel()
    assert session.execute("x = 41", kernel) == ""
    assert service.stop() == 0
    assert pad.process.poll() is None
    service.up()
    assert session.execute("x + 1", kernel) == "42"


def test_what_a_visitor_changed_is_read_as_the_session_and_becomes_the_masters(
    service: Service, module_state: State
) -> None:
    root = Path(tempfile.mkdtemp(prefix="perijove-git-"))
    root.chmod(0o755)
    with serving(root) as server, Visitor(service) as visitor:
        author = server.author("course")
        author.commit({"notebook.ipynb": "{}", "closed/data.csv": "1,2"})
        link = f"v2/git/{quote(server.url('course'), safe='')}/main"
        session, _ = visitor.launch(link)
        session.execute("import os; open('notebook.ipynb', 'w').write('mine'); os.symlink('/etc/shadow', 'shadow')")
        service.cli("stop", session.name)
        assert visitor.zipped(session.name) == {"notebook.ipynb": b"mine"}
        (file,) = module_state.kept.glob("*/*")
        assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (MASTER, 0o600)
        again, log = visitor.launch(link)
        assert "1 file of your last session given back" in log
        ask = "import os; (open('notebook.ipynb').read(), os.stat('notebook.ipynb').st_uid == os.getuid())"
        assert again.execute(ask) == "('mine', True)"


@pytest.mark.parametrize("archive", ["/etc/shadow", "/root", "/dev/zero", "/proc/kmsg", "link"])
def test_what_is_given_back_is_a_file_that_the_master_can_read(
    service: Service, module_state: State, repository: Path, masters: Path, archive: str
) -> None:
    session = service.session(str(repository))
    if archive == "link":
        (masters / "link").symlink_to("/etc/shadow")
        archive = str(masters / "link")
    words = {"archive": archive, "opens": "00" * 32, "same_commit": True}
    answer = asked(module_state, ask="give_back", session=session.name, words=words)
    assert answer["fail"]["kind"] == "session.kept-unreadable"
    service.cli("stop", session.name)


def test_the_folders_belong_to_whom_the_layout_says(service: Service, module_state: State) -> None:
    assert {path.stat().st_uid for path in module_state.of_pad} == {0}
    assert {path.stat().st_uid for path in module_state.of_master} == {MASTER}
    assert (module_state.pad_socket.stat().st_uid, module_state.pad_socket.stat().st_mode & 0o777) == (MASTER, 0o600)
    assert module_state.pad_lock.stat().st_uid == 0
    below = [path for folder in module_state.of_master for path in folder.rglob("*")]
    assert {path.lstat().st_uid for path in below} == {MASTER}, "root writes nothing where the master can write"


ASK = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
stream = line.makefile("rwb")
stream.readline()
stream.write(sys.stdin.buffer.read())
stream.flush()
while True:
    answer = stream.readline()
    if b'"id"' in answer and b'"line"' not in answer:
        break
sys.stdout.buffer.write(answer)
"""


def asked(state: State, **message: object) -> Message:
    """What the pad answers to a compromised service: words that no client of ours sends."""
    done = subprocess.run(
        [PYTHON, "-c", ASK, str(state.pad_socket)],
        input=pack({"id": 1, **message}),
        stdout=subprocess.PIPE,
        user=MASTER,
        group=MASTER,
        extra_groups=(),
        timeout=60,
        check=True,
    )
    answer: Message = json.loads(done.stdout)
    return answer


def order(home_from: Path | None, code: str = "", name: str = "evil") -> Message:
    run = ForeignRun(name, (PYTHON, "-c", code), ENVIRON, (), home_from, "dist", LIMITS, spec("x", ROOT).egress, (), 20)
    told: Message = wire.encode(order_of(run))
    return told


@pytest.fixture
def masters(module_state: State, pad: PadOfRoot) -> Iterator[Path]:
    """A folder of the master's."""
    folder = module_state.store / "its-own"
    folder.mkdir()
    os.chown(folder, MASTER, MASTER)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["/etc", "/root", "link", "/proc/1/cwd"])
def test_a_home_is_made_of_the_masters_own_folders_alone(module_state: State, masters: Path, what: str) -> None:
    folder = Path(what)
    if what == "link":
        folder = masters / "link"
        folder.symlink_to("/etc")
    answer = asked(module_state, ask="start", order=order(folder))
    assert answer["fail"]["kind"] == "start.sandbox-failed"
    assert answer["fail"]["evidence"][0]["where"] == str(folder)
    assert not list(module_state.sessions.glob("evil*"))


@pytest.mark.parametrize("what", ["/etc", "/root", "link", "/proc/1/cwd"])
def test_a_sandbox_owns_the_masters_own_folders_alone(
    module_state: State, masters: Path, pad: PadOfRoot, what: str
) -> None:
    folder = Path(what)
    if what == "link":
        folder = masters / "link"
        folder.symlink_to("/root")
    overlay = {"layers": [str(masters), str(folder)], "target": "/shown"}
    answer = asked(module_state, ask="start", order={**order(None), "overlays": [overlay]})
    assert answer["fail"]["kind"] == "start.sandbox-failed"
    assert not list(module_state.sessions.glob("evil*"))
    assert f"{module_state.sessions}/evil" not in Path(f"/proc/{pad.process.pid}/mounts").read_text()


def test_a_home_holds_nothing_that_the_master_may_not_read(module_state: State, masters: Path) -> None:
    """Such as what a folder was exchanged for while it was copied."""
    (masters / "secret").write_text("root's")
    (masters / "secret").chmod(0o600)
    answer = asked(module_state, ask="run", order=order(masters), result="dist", timeout=20)
    assert answer["fail"]["kind"] == "start.sandbox-failed"
    assert "secret" in answer["fail"]["evidence"][0]["saw"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "", "a/b", "x" * 41])
def test_a_name_is_no_path(module_state: State, pad: PadOfRoot, name: str) -> None:
    answer = asked(module_state, ask="start", order=order(None) | {"name": name})
    assert answer["fail"]["kind"] == "start.sandbox-failed"


@pytest.mark.parametrize("result", ["../../../../../../etc", "/etc", "..", ""])
def test_a_result_is_taken_from_the_home_alone(module_state: State, pad: PadOfRoot, result: str) -> None:
    answer = asked(module_state, ask="run", order=order(None), result=result, timeout=20)
    assert answer["fail"]["kind"] == "start.sandbox-failed"
    assert list(module_state.handed.iterdir()) == []


def test_a_result_lies_where_the_pad_puts_it_and_goes_with_its_asker(module_state: State, pad: PadOfRoot) -> None:
    target = Path("/etc/perijove-test-evil")
    code = "import os; os.mkdir('dist'); open('dist/passwd', 'w').write('x')"
    told: dict[str, Any] = {"ask": "run", "order": order(None, code), "result": "dist", "timeout": 20}
    assert asked(module_state, **told, into=str(target))["ok"]["ran"]["status"] == 0
    assert not target.exists()
    until(lambda: not list(module_state.handed.iterdir()))


def test_a_bind_of_what_only_root_reads_gives_a_sandbox_nothing(module_state: State, pad: PadOfRoot) -> None:
    told = order(None, "print(open('/shown').read())")
    told["mounts"] = [{"source": "/etc/shadow", "target": "/shown"}]
    answer = asked(module_state, ask="run", order=told, result="dist", timeout=20)
    assert answer["ok"]["ran"]["status"] == 1 if "ok" in answer else answer["fail"]["kind"] == "start.sandbox-failed"


def test_no_user_but_the_master_and_root_is_answered(module_state: State, pad: PadOfRoot) -> None:
    module_state.pad_socket.chmod(0o666)
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(module_state.pad_socket)!r}); "
    try:
        said = subprocess.run([PYTHON, "-c", code + "print(s.recv(99))"], stdout=subprocess.PIPE, user=4321, check=True)
    finally:
        module_state.pad_socket.chmod(0o600)
    assert said.stdout == b"b''\n"


def test_root_does_not_run_the_service_of_another_user(service: Service, module_state: State) -> None:
    command = [sys.executable, "-m", "perijove", "up", "--state", str(module_state.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "platform.state-unusable" in done.stderr
    assert "systemctl start perijove" in done.stderr


def test_the_service_starts_no_pad_of_its_own_and_goes_on_with_the_next_one(
    service: Service, repository: Path, pad: PadOfRoot
) -> None:
    """The last one here: all sessions end."""
    session = service.session(str(repository))
    pad.stop()
    until(lambda: "ended" in service.cli("logs", "session", session.name))
    for told in service.launching(str(repository)):
        if told["event"]["is"] == "Retrying":
            failure = told["event"]["failure"]
            assert failure["kind"] == "platform.pad-down"
            assert "systemctl start perijove-pad" in failure["remedy"]
            pad.start()
    assert told["event"]["is"] == "Ready"
    assert Session(str(told["url"])).answers()


def test_an_unprivileged_pad_serves_nobody_else(place: Path, python: str) -> None:
    root = place / "theirs"
    root.mkdir()
    os.chown(root, MASTER, MASTER)
    command = [python, "-m", "perijove", "pad", "--state", str(root), "--for", "root"]
    done = subprocess.run(
        command, capture_output=True, text=True, user=MASTER, group=MASTER, extra_groups=(), cwd="/", check=False
    )
    assert done.returncode == 1
    assert "only root may hold sandboxes for another user" in done.stderr
