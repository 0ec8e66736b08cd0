"""What goes wrong with a session's server, as its user reads it: in the stream, in the log, on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from perijove.backends import statedir
from perijove.domain.state import State
from tests.e2e.service import Service, running, until

pytestmark = pytest.mark.e2e
CONFIG = ".jupyter/jupyter_server_config.py"
FILLS = """
import sys
try:
    for number in range(400):
        with open(f"/home/jovyan/fill-{number}", "wb") as file:
            file.write(bytes(1024**2))
            file.flush()
except OSError as error:
    print("OSError:", error, file=sys.stderr, flush=True)
    import os
    os._exit(1)
import time
time.sleep(600)
"""
SERVERS = [
    pytest.param(
        "import os\nprint('licence server not found', flush=True)\nos._exit(3)\n",
        "start.server-crashed",
        ["exit code 3", "licence server not found"],
        id="crash",
    ),
    pytest.param(
        "import time\nprint('waiting for the licence server', flush=True)\ntime.sleep(600)\n",
        "start.server-hangs",
        ["waiting for the licence server"],
        id="hang",
    ),
    pytest.param(
        "x = bytearray(2 * 1024**3)\nx[::4096] = b'x' * len(x[::4096])\n", "start.out-of-memory", [], id="memory"
    ),
    pytest.param(FILLS, "start.disk-full", [], id="disk"),
    pytest.param("import nosuch_qzx\n", "start.server-crashed", ["No module named 'nosuch_qzx'"], id="no such import"),
    pytest.param("c.ServerApp.x = (\n", "start.server-crashed", ["was never closed"], id="no Python"),
]


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(
        module_state,
        SESSION_STALL_TIMEOUT="2s",
        SESSION_START_TIMEOUT="40s",
        SESSION_MEMORY="500M",
        SESSION_DISK="50M",
        SESSION_PROCESSES="60",
    )


def repository(folder: Path, config: str) -> str:
    path = folder / CONFIG
    path.parent.mkdir()
    path.write_text(config)
    return str(folder)


@pytest.mark.parametrize(("config", "code", "words"), SERVERS)
def test_a_server_that_does_not_come_up_is_told_with_its_cause(
    service: Service, tmp_path: Path, config: str, code: str, words: list[str]
) -> None:
    event: dict[str, Any] = service.launch(repository(tmp_path, config), fails=True)[-1]["event"]
    failure = event["failure"]
    assert failure["kind"] == code
    assert all(word in failure["cause"] for word in words)
    assert failure["evidence"]
    assert failure["remedy"]
    assert service.cli("get", "sessions") == ""
    until(lambda: not list(service.state.sessions.iterdir()))


def test_a_configuration_of_an_extension_that_cannot_be_read_is_told(service: Service, tmp_path: Path) -> None:
    (tmp_path / "jupyter_notebook_config.py").write_text("import nosuch_qzx\n")
    failure = service.launch(str(tmp_path), fails=True)[-1]["event"]["failure"]
    assert "No module named 'nosuch_qzx'" in failure["cause"]


def test_what_the_service_says_of_the_server_wins_over_its_configuration(service: Service, tmp_path: Path) -> None:
    own = "c.IdentityProvider.token = 'mine'\nc.ServerApp.base_url = '/mine/'\nc.ServerApp.certfile = '/nowhere.pem'\n"
    own += "c.ServerApp.port = 9999\nc.ServerApp.ip = '*'\n"
    assert service.session(repository(tmp_path, own)).answers()


def test_a_kernel_killed_for_memory_is_told_and_the_session_goes_on(service: Service, tmp_path: Path) -> None:
    session = service.session(repository(tmp_path, ""))
    # Its end is not told over the channel: it answers first.
    grows = "x = bytearray(2 * 1024**3); x[::4096] = b'x' * len(x[::4096])"
    with suppress(ConnectionClosed, TimeoutError):
        session.execute(f"import threading; threading.Timer(0.2, exec, [{grows!r}]).start()", limit=10)
    until(lambda: "session.kernel-out-of-memory" in service.cli("logs", "session", session.name))
    assert session.execute("1+1") == "2"
    number = json.loads(service.cli("get", "session", session.name, "-o", "json"))["launch"]
    key = statedir.keys(service.state).launch_key(number)
    with httpx.Client(timeout=10, trust_env=False, follow_redirects=True) as visitor:
        page = visitor.get(f"{service.url}launch/{number}?key={key}").text
    assert "killed for memory" in page


def test_too_many_processes_are_told_and_the_next_kernel_is_refused_in_words(service: Service, tmp_path: Path) -> None:
    session = service.session(repository(tmp_path, ""))
    fills = (
        "import threading\ntry:\n    while True: threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "except RuntimeError as error: print(error)"
    )
    assert "can't start new thread" in session.execute(fills, limit=30)
    until(lambda: "session.too-many-processes" in service.cli("logs", "session", session.name))
    assert "session.too-many-processes" in service.cli("describe", "session", session.name)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        session.kernel()
    assert refused.value.response.status_code == 503
    assert "of the 60 that it may have" in refused.value.response.json()["message"]


def test_a_full_disk_is_told(service: Service, tmp_path: Path) -> None:
    session = service.session(repository(tmp_path, ""))
    said = session.execute(
        "for n in range(100):\n    with open(f'/home/jovyan/f{n}', 'wb') as f:\n        f.write(bytes(1024**2))",
        limit=30,
    )
    assert said == "" or "No space left" in said or "quota" in said.lower()
    until(lambda: "session.disk-full" in service.cli("logs", "session", session.name))
