"""What strangers' code can reach from where it really runs: a kernel in a session of a real service."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, Session, running

pytestmark = pytest.mark.e2e
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


@pytest.fixture(scope="module")
def victim(service: Service) -> Session:
    session = service.session(HELLO)
    session.execute("open('/home/jovyan/secret', 'w').write('the victim’s')")
    return session


@pytest.fixture(scope="module")
def attacker(service: Service, victim: Session) -> tuple[Session, str]:
    session = service.session(HELLO)
    return session, session.kernel()


def answer(attacker: tuple[Session, str], code: str) -> Any:
    """The value of the last expression of some code, run in the attacker's kernel."""
    session, kernel = attacker
    said = session.execute(code, kernel)
    try:
        return ast.literal_eval(said)
    except (SyntaxError, ValueError):
        return said


def test_no_socket_or_file_of_the_service_or_of_another_session_is_there(
    service: Service, victim: Session, attacker: tuple[Session, str]
) -> None:
    state = service.state
    paths = [
        state.control_socket,
        state.admin_socket,
        state.pad_socket,
        state.caddy_socket,
        state.secret,
        state.database,
    ]
    paths += [
        state.session_sockets / f"{victim.name}.sock",
        state.sessions / victim.name,
        state.checkouts,
        state.uv_cache,
    ]
    code = f"import os\n[path for path in {[str(path) for path in paths]!r} if os.path.lexists(path)]"
    assert answer(attacker, code) == []
    assert answer(attacker, "import os\nos.path.exists('/home/jovyan/secret')") is False


def test_no_process_of_another_can_be_seen_or_touched(attacker: tuple[Session, str]) -> None:
    code = """
import os
found = []
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            command = open(f"/proc/{name}/cmdline").read()
        except OSError:  # it has ended
            continue
        found.append(command.split("\\0")[0].rpartition("/")[2])
sorted(set(found))
"""
    assert all(name.startswith(("python", "bwrap", "sh")) for name in answer(attacker, code))


TRIES = """
import socket
def attempt(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return "connected"
    except OSError as error:
        return type(error).__name__
"""


def test_neither_the_host_s_loopback_nor_the_network_can_be_reached(
    service: Service, attacker: tuple[Session, str]
) -> None:
    targets = [("127.0.0.1", service.port), ("169.254.169.254", 80), ("10.0.0.1", 443), ("192.0.2.1", 80)]
    reached = answer(attacker, f"{TRIES}\n[attempt(*target) for target in {targets!r}]")
    assert all(outcome != "connected" for outcome in reached), reached


def test_the_proxy_leads_to_no_private_address(service: Service, attacker: tuple[Session, str]) -> None:
    code = f"""
import os, urllib.request, urllib.error
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""
def fetch(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{"http": os.environ["http_proxy"]}}))
    try:
        return opener.open(url, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
[fetch(url) for url in ("http://127.0.0.1:{service.port}/", "http://localhost:{service.port}/", "http://169.254.169.254/")]
"""
    assert answer(attacker, code) == [403, 403, 403]


CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def refused(number, *arguments):
    wrapped = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    return libc.syscall(number, *wrapped) == -1
dict(
    mount=refused(165, b"none", b"/tmp", b"tmpfs", 0, 0),
    unshare=refused(272, 0x10000000),
    setns=refused(308, 0, 0),
    ptrace=refused(101, 16, 1, 0, 0),
    vsock=refused(41, 40, 1, 0),
    keyctl=refused(250, 0, -3, 1),
    bpf=refused(321, 0, 0, 0),
    io_uring=refused(425, 1, 0),
)
"""


def test_no_namespace_mount_or_other_way_out_can_be_made(attacker: tuple[Session, str]) -> None:
    refused = answer(attacker, CALLS)
    assert refused == dict.fromkeys(refused, True)


def test_interpreter_server_and_system_cannot_be_written(attacker: tuple[Session, str]) -> None:
    code = """
import sys, os
def writable(folder):
    try:
        open(os.path.join(folder, "x"), "w").close()
        return True
    except OSError:
        return False
server = os.environ["JUPYTER_CONFIG_PATH"]
shared = (server, sys.base_prefix, "/usr", "/etc", "/", "/opt", "/var")
[folder for folder in shared if writable(folder)]
"""
    assert answer(attacker, code) == []


def test_another_session_s_server_asks_for_its_own_token(victim: Session, attacker: tuple[Session, str]) -> None:
    headers = {"Authorization": f"token {attacker[0].token}"}
    assert httpx.get(victim.base + "api/contents", headers=headers, timeout=20, trust_env=False).status_code == 403


def test_a_session_s_secrets_stand_in_no_command_line_and_no_log(
    service: Service, attacker: tuple[Session, str]
) -> None:
    token = attacker[0].token.encode()
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any("perijove up" in line for line in lines)
    assert not [line for line in lines if token.decode() in line]
    logs = [path for path in service.state.logs.iterdir() if path.is_file()]
    assert logs
    assert not [path for path in (*logs, service.log) if token in path.read_bytes()]
    assert token.decode() not in service.cli("logs", "session", attacker[0].name)


def test_a_kernel_has_pip(attacker: tuple[Session, str]) -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', '--version'], capture_output=True)"
    assert answer(attacker, f"{code}.returncode") == 0
