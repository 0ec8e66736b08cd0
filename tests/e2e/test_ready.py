"""Sessions held ready, with real sandboxes: handed out whole, to one each, and to nobody before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, Session, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    service = Service(module_state, {"LAUNCHING_READY": "2"}, holds_ready=True).up()
    try:
        for _ in range(2):
            service.session(HELLO)
        yield service
    finally:
        service.stop()


def held(service: Service) -> int:
    lines = httpx.get(f"{service.url}metrics", timeout=20, trust_env=False).text.splitlines()
    return int(float(next(line for line in lines if line.startswith("perijove_sessions_ready ")).split()[1]))


def sockets(service: Service) -> set[str]:
    """Of all sessions that there are, whosever they are."""
    return {path.stem for path in (service.state.root / "s").glob("*.sock")}


def test_a_launch_gets_one_that_answers_already_with_all_that_is_its_own(service: Service) -> None:
    until(lambda: held(service), 60)
    listed = {row["name"] for row in json.loads(service.cli("get", "sessions", "-o", "json"))}
    before = sockets(service)
    events = service.launch(HELLO)
    session = Session(str(events[-1]["url"]))
    assert session.name in before - listed
    times = {entry["event"]["is"]: entry["at"] for entry in events}
    assert times["Ready"] - times["SessionStarted"] < 0.1
    assert session.execute("import os; print(os.environ['JUPYTERHUB_USER'])").strip() == session.name
    assert session.execute("'kernel_forker' in open('/proc/self/cmdline').read()") == "True", "no page was opened"
    names = {entry["name"] for entry in session.get("api/contents/").json()["content"]}
    assert names >= {path.name for path in Path(HELLO).iterdir() if not path.name.startswith(".")}
    assert "Jupyter Server" in service.cli("logs", "session", session.name)
    assert session.name in service.cli("get", "sessions")
    service.cli("stop", session.name)
    assert session.get("lab").status_code == 424


def test_many_at_once_get_one_each(service: Service) -> None:
    until(lambda: held(service), 60)
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(service.session, [HELLO] * 4))
    assert len({(session.name, session.token) for session in sessions}) == 4
    assert all(session.answers() for session in sessions)


def test_none_is_left_when_the_service_comes_back_from_a_crash(service: Service) -> None:
    until(lambda: held(service), 60)
    known = {row["name"] for row in json.loads(service.cli("get", "sessions", "-o", "json"))}
    assert sockets(service) > known
    service.kill()
    service.up()
    until(lambda: sockets(service) == known, 30)
