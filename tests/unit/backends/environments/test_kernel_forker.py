"""What forks kernels: whom it refuses, what it notices, when it ends. Forked kernels themselves: tests/e2e."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from perijove.backends.environments import kernel_forker

FILE = Path(str(kernel_forker.__file__))


@pytest.mark.parametrize(
    ("file", "hides"),
    [
        pytest.param("json.py", True, id="a module"),
        pytest.param("socket.abi3.so", True, id="a compiled module"),
        pytest.param("json/__init__.py", True, id="a package"),
        pytest.param("ipykernel_launcher.py", True, id="the launcher itself"),
        pytest.param("json/schema.py", False, id="a part of a namespace"),
        pytest.param("json", False, id="a file without an ending"),
        pytest.param("json.txt", False, id="a text"),
        pytest.param("moons.py", False, id="a module of another name"),
    ],
)
def test_what_hides_a_module_is_seen(tmp_path: Path, file: str, hides: bool) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert kernel_forker.hidden_by(str(tmp_path)) == (file.partition("/")[0] if hides else "")


def test_what_is_installed_or_written_over_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zz_orbit.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    __import__("zz_orbit")
    seen = [kernel_forker.looked()]
    assert kernel_forker.looked() == seen[0]
    (tmp_path / "zz_orbit.py").write_text("days = 14")
    seen.append(kernel_forker.looked())
    (tmp_path / "another.py").touch()
    seen.append(kernel_forker.looked())
    del sys.modules["zz_orbit"]
    assert seen[0] != seen[1] != seen[2]


def said(command: list[str], pipe: tuple[socket.socket, socket.socket]) -> str:
    """What it tells the server until it ends."""
    ours, theirs = pipe
    with ours:
        with theirs:
            done = subprocess.Popen([*command, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        ours.settimeout(30)
        told = ours.recv(65536).decode()
        assert done.wait(30) == 0
    return told


def test_an_environment_without_ipykernel_is_refused() -> None:
    pipe = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told = json.loads(said([sys.executable, str(FILE)], pipe))
    assert told == {"refused": "ModuleNotFoundError: No module named 'ipykernel'"}


SERVING = f"""
import importlib.util, socket, sys
spec = importlib.util.spec_from_file_location("forker", {str(FILE)!r})
forker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forker)
forker.UNUSED = 0.01
"""


def test_it_ends_when_nobody_wants_a_kernel() -> None:
    code = f"{SERVING}\nforker.serve(socket.socket(fileno=int(sys.argv[1])), False, {{}})"
    assert said([sys.executable, "-c", code], socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)) == ""


def test_one_that_is_held_waits_for_ever_until_its_session_is_somebodys() -> None:
    code = f"""{SERVING}
import select, types
def waiting(*given):
    server.send(repr(given[-1]).encode())
    return select.select(*given)
forker.select = types.SimpleNamespace(select=waiting)
server = socket.socket(fileno=int(sys.argv[1]))
forker.serve(server, True, {{}})
"""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            done = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()])
        ours.settimeout(30)
        assert ours.recv(100) == b"None"
        ours.send(b"{}")
        assert ours.recv(100) == b"0.01"
        assert done.wait(30) == 0


def test_pythons_from_3_6_on_can_read_it() -> None:
    assert ast.parse(FILE.read_text(), feature_version=(3, 6)).body
