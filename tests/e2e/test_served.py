"""What Perijove's own server has imported before it is forked: all that its start and a first page need."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from perijove.backends.environments import server as own
from tests.e2e.service import first

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]

PREPARED = """
import os, sys, types
program = types.ModuleType("program")
program.__file__ = sys.argv[1]
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), program.__dict__)
del sys.argv[0]
program.prepare()
before = set(sys.modules)
threads = len(os.listdir("/proc/self/task"))
def run(launch):
    launch()
    print("LATE", threads, *sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
program.run = run
program.main()
"""
ASKED = (
    *("api/status", "lab", "lab/tree/a.ipynb", "tree", "notebooks/a.ipynb", "api/contents/?content=1", "api/me"),
    *("api/contents/a.ipynb?content=1", "api/kernelspecs", "lab/api/settings", "lab/api/translations/en"),
    *("lab/api/workspaces/default", "api/terminals", "api/sessions", "api/nbconvert", "api/kernels"),
)
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@contextmanager
def served(folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Its server as `serve.py` runs it, prepared first, and a client that it knows."""
    environment = min(path for path in first().tools.glob("server-*") if (path / "bin/python").exists())
    (folder / "a.ipynb").write_text(json.dumps(NOTEBOOK))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "sock"))
        listener.listen()
        environ = {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8", "JUPYTER_TOKEN": "token"}
        environ["PERIJOVE_KERNEL_AHEAD"] = "1"
        environ["PERIJOVE_SOCKET_FD"] = f"{listener.fileno()}"
        options = [*own.OPTIONS, own.SHARED, "--ServerApp.base_url=/user/x/", f"--ServerApp.root_dir={folder}"]
        python = [str(environment / "bin/python"), "-I", "-c", PREPARED, str(own.HERE / "serve.py"), "lab", *options]
        passed = [listener.fileno()]
        process = subprocess.Popen(python, env=environ, pass_fds=passed, stdout=subprocess.PIPE, text=True)
    transport = httpx.HTTPTransport(uds=str(folder / "sock"))
    headers = {"Authorization": "token token"}
    client = httpx.Client(transport=transport, base_url="http://localhost/user/x/", headers=headers, timeout=60)
    try:
        with client:
            yield client, process
    finally:
        process.kill()
        process.wait()


def test_nothing_is_imported_that_was_not_before_the_fork(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process):
        for path in ASKED:
            assert client.get(path).status_code in {200, 302}, path
        process.terminate()
        words, _ = process.communicate(timeout=30)
    late = next(line for line in words.splitlines() if line.startswith("LATE")).split()[1:]
    assert late == ["1"], "one thread, and no module"
