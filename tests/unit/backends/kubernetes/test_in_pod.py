"""The first process of a pod, as a real one, by its text alone."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from perijove import giving
from perijove.backends.kubernetes import in_pod
from tests.fakes.ports import free_port

MADE = 315_532_800
TEXT, GIVING = (Path(str(one.__file__)).read_text() for one in (in_pod, giving))
IDLE = "import time; print('up', flush=True); time.sleep(100)"


@dataclass
class Pod:
    process: subprocess.Popen[str]
    url: str
    home: Path

    def ask(self, method: str, query: str = "", token: bytes = b"secret", content: bytes = b"") -> httpx.Response:
        """It says of each answer that nothing follows by this connection."""
        given: Any = {"headers": {b"Authorization": b"Bearer " + token}, "content": content}
        answer = httpx.request(method, f"{self.url}/{query}", **given, trust_env=False, timeout=30)
        assert answer.headers["Connection"] == "close"
        return answer

    def get(self, query: str = "") -> httpx.Response:
        return self.ask("GET", query)

    def files(self, query: str = "") -> dict[str, bytes]:
        return unpacked(self.get(query).content)

    def told(self, query: str = "") -> Any:
        return json.loads(self.get(query).headers["Perijove-Files"])

    def put(self, tar: bytes) -> Any:
        return self.ask("PUT", "?room=100&same_commit=1", content=tar).json()


Start = Callable[..., Pod]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts one, with further words, whose home has two files of an image."""
    began = list[Pod]()

    def started(*words: str, code: str = IDLE, python: str = sys.executable, program: str = TEXT) -> Pod:
        home, port = tmp_path / "home", free_port()
        (home / "data").mkdir(parents=True)
        for path in ("read.md", "data/table.csv"):
            (home / path).write_text("as it was")
            os.utime(home / path, (MADE, MADE))
        told = [f"files={port}", f"folder={home}", f"made={MADE}"]
        told += ["top=.cache/.local", "names=__pycache__", *words]
        command = [python, "-Ic", program, *told, "--", "/usr/bin/python3", "-c", code]
        environ = {**os.environ, in_pod.TOKEN: "secret", in_pod.GIVING: GIVING, "TEXT": TEXT}
        process = subprocess.Popen(
            command, env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        began.append(Pod(process, f"http://127.0.0.1:{port}", home))
        return began[-1]

    yield started
    for pod in began:
        with suppress(ProcessLookupError):
            os.killpg(pod.process.pid, signal.SIGKILL)
        pod.process.communicate()


def unpacked(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as files:
        assert all(one.isreg() for one in files)
        return {one.name: (files.extractfile(one) or io.BytesIO()).read() for one in files}


def packed(*members: tuple[str, bytes] | tuple[str, bytes, str] | tarfile.TarInfo) -> bytes:
    """A tar of files by their names, with what they may replace, and of whatever else."""
    told = io.BytesIO()
    with tarfile.open(fileobj=told, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for one in members:
            info = tarfile.TarInfo(one[0]) if isinstance(one, tuple) else one
            content = one[1] if isinstance(one, tuple) else b""
            info.pax_headers = {in_pod.WAS: one[2]} if isinstance(one, tuple) and len(one) == 3 else {}
            info.size, info.mtime = len(content), 1_000_000_000
            tar.addfile(info, io.BytesIO(content))
    return told.getvalue()


@pytest.mark.parametrize("text", [TEXT, GIVING], ids=["in_pod", "giving"])
def test_its_text_is_one_argument_for_any_python_from_3_9_on(text: str) -> None:
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {str(name).partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert len(text.encode()) < 128 * 1024, "MAX_ARG_STRLEN"


def test_what_changed_is_handed_out_and_nothing_else(start: Start) -> None:
    pod = start()
    assert pod.files() == {}
    (pod.home / "read.md").write_text("mine")
    (pod.home / "new/__pycache__").mkdir(parents=True)
    (pod.home / "new/__pycache__/x.pyc").write_text("x")
    (pod.home / ".cache").mkdir()
    (pod.home / "data/table.csv").rename(pod.home / "data/moved.csv")
    (pod.home / os.fsdecode(b"caf\xe9")).write_text("name")
    assert pod.files() == {"read.md": b"mine", "data/moved.csv": b"as it was", os.fsdecode(b"caf\xe9"): b"name"}
    told = pod.told()
    assert (told["files"], told["left_out"], told["status"]) == (3, {"CACHE": 2}, None)


@pytest.mark.parametrize("token", ["x", "secre", "secrets", "sécret"])
def test_nobody_is_answered_without_the_token(start: Start, token: str) -> None:
    pod = start("stay=60")
    for method in ("GET", "PUT"):
        answer = pod.ask(method, token=token.encode())
        assert (answer.status_code, answer.content) == (401, b"")


def test_the_command_does_not_get_the_token_but_its_socket(start: Start) -> None:
    port = free_port()
    code = f"""
import os, socket
assert "{in_pod.TOKEN}" not in os.environ
listener = socket.socket(fileno=int(os.environ["{in_pod.SOCKET}"]))
print("up", flush=True)
listener.accept()[0].sendall(b"served")
"""
    pod = start(f"port={port}", code=code)
    with socket.create_connection(("127.0.0.1", port)) as line:
        assert line.recv(100) == b"served"
    assert pod.process.wait(20) == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("import os; os.abort()", 134)],
    ids=["exits", "killed", "aborts"],
)
def test_it_ends_with_the_command_s_status(start: Start, code: str, status: int) -> None:
    assert start("stay=60", code=f"print('up', flush=True); {code}").process.wait(20) == status


def test_a_wish_to_end_is_passed_on(start: Start) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True); signal.pause()"
    pod = start("stay=60", code=code)
    assert pod.files() == {}
    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(20) == 3


LAST = f"""
import os, socket
listener = socket.socket(fileno=int(os.environ["{in_pod.SOCKET}"]))
print("up", flush=True)
listener.accept()
open("last", "w").write("last")
"""


def test_one_that_was_asked_before_stays_until_the_last_is_fetched(start: Start) -> None:
    port = free_port()
    pod = start("stay=60", f"port={port}", code=LAST)
    assert pod.files() == {}
    socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(subprocess.TimeoutExpired):
        pod.process.wait(1)
    assert pod.ask("GET", token=b"wrong").status_code == 401
    assert pod.files() == {"last": b"last"}
    assert pod.process.wait(20) == 0


def test_where_requests_wait_they_are_answered_once_the_command_has_ended(start: Start) -> None:
    port = free_port()
    pod = start("stay=60", "waits=", f"port={port}", code=f"{LAST}raise SystemExit(3)")
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(pod.get)
        socket.create_connection(("127.0.0.1", port)).close()
        told = answer.result(20)
    assert (unpacked(told.content), json.loads(told.headers["Perijove-Files"])["status"]) == ({"last": b"last"}, 3)
    assert pod.process.wait(20) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="another uid has processes of its own alone")
def test_one_whose_people_left_no_process_for_a_request_goes_on(start: Start) -> None:
    program = """
import os, resource
resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))
os.setuid(54_321)
exec(os.environ["TEXT"])
"""
    pod = start(python="/usr/bin/python3", program=program)
    for _ in range(2):
        with pytest.raises(httpx.HTTPError):
            pod.get()
    pod.process.terminate()
    assert pod.process.wait(20) == 128 + signal.SIGTERM


def test_it_stays_no_longer_than_it_is_told(start: Start) -> None:
    assert start("stay=0.2", "waits=", code="print('up', flush=True)").process.wait(20) == 0


def test_what_is_put_lies_there_and_over_nothing_that_was_changed(start: Start) -> None:
    pod = start()
    (pod.home / "data/table.csv").write_text("theirs")
    was = hashlib.sha256(b"as it was").hexdigest()
    odd = os.fsdecode(b"caf\xe9")
    tar = packed(("read.md", b"mine", was), ("data/table.csv", b"mine", was), ("new/deep/a", b"a"), (odd, b"b"))
    told = {"files": 4, "beside": [["data", "table.kept.csv"]], "no_room": 0, "refused": 0}
    assert pod.put(tar) == told
    assert [(pod.home / path).read_bytes() for path in ("read.md", "new/deep/a", odd)] == [b"mine", b"a", b"b"]
    assert (pod.home / "data/table.csv").read_text() == "theirs"
    assert (pod.home / "read.md").stat().st_mtime == 1_000_000_000
    assert pod.put(tar) == told, "nothing is there twice"
    assert sorted(pod.files()) == [odd, "data/table.csv", "data/table.kept.csv", "new/deep/a", "read.md"]
    assert pod.put(packed(("large", b"x" * 101)))["no_room"] == 1
    assert not [*pod.home.rglob(".perijove-*")]


def test_what_is_put_reaches_nothing_outside(start: Start, tmp_path: Path) -> None:
    pod = start()
    outside = tmp_path / "outside"
    outside.mkdir()
    (pod.home / "out").symlink_to(outside)
    (pod.home / "file").symlink_to(outside / "file")
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname, device.type = tarfile.SYMTYPE, "/etc/passwd", tarfile.CHRTYPE
    names = ("../up", "/etc/x", "a/../../up", "", "a//b", ".")
    assert pod.put(packed(*((name, b"x") for name in (*names, "out/x", "file")), link, device))["files"] == 2
    assert [*outside.iterdir()] == []
    assert {path.name for path in pod.home.iterdir()} == {"read.md", "data", "out", "out.kept", "file", "file.kept"}
    assert {path.name for path in tmp_path.iterdir()} == {"home", "outside"}


def test_what_is_known_is_not_handed_out_again(start: Start) -> None:
    pod = start()
    (pod.home / "read.md").write_text("mine")
    tag = pod.told()["tag"]
    assert (pod.get(f"?known={tag}").status_code, pod.told(f"?known={tag + 1}")["files"]) == (304, 1)
    (pod.home / "read.md").write_text("more")
    assert pod.files(f"?known={tag}") == {"read.md": b"more"}


def test_one_that_is_slow_or_breaks_off_leaves_nothing_and_the_next_is_answered(start: Start) -> None:
    pod = start()
    host, port = "127.0.0.1", int(pod.url.rpartition(":")[2])
    head = b"PUT / HTTP/1.1\r\nAuthorization: Bearer secret\r\nContent-Length: 99999\r\n\r\n"
    with socket.create_connection((host, port)) as line:
        line.sendall(head + packed(("a", b"x" * 5000))[:4000])
    with socket.create_connection((host, port)) as line:
        line.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (in_pod.HEAD + 1 - 19))
        assert line.recv(100) == b""
    silent, begun = socket.create_connection((host, port)), time.monotonic()
    assert pod.put(packed(("b", b"b")))["files"] == 1
    assert time.monotonic() - begun < in_pod.HEAD_LIMIT + 10
    silent.close()
    assert not (pod.home / "a").exists()
    assert not [*pod.home.rglob(".perijove-*")]
