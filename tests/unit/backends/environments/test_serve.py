"""The launcher's end: a server that is over ends its session, whatever its threads still do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perijove.backends.environments import serve

RUN = """
import importlib.util, sys, threading
spec = importlib.util.spec_from_file_location("serve", sys.argv[1])
serve = importlib.util.module_from_spec(spec)
spec.loader.exec_module(serve)
def launch():
    threading.Thread(target=threading.Event().wait).start()
    print("served")
    END
serve.run(launch)
"""


@pytest.mark.parametrize(
    ("end", "status", "says"),
    [
        pytest.param("return", 0, "", id="is over"),
        pytest.param("sys.exit()", 0, "", id="leaves"),
        pytest.param("sys.exit(3)", 3, "", id="leaves with a status"),
        pytest.param("sys.exit('no port')", 1, "no port\n", id="leaves with words"),
        pytest.param("raise ValueError('broken')", 1, "ValueError: broken\n", id="breaks"),
    ],
)
def test_a_server_that_is_over_ends_though_a_thread_waits(end: str, status: int, says: str) -> None:
    command = [sys.executable, "-c", RUN.replace("END", end), str(serve.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (status, "served\n")
    assert done.stderr.endswith(says)
    assert bool(done.stderr) is bool(says)
