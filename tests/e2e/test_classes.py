"""A class with real parts: closed, then prepared when it opens, its sessions held ready and with its own limits."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, Session, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SECRET = "a secret of some length"
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


def write(service: Service, prepare: str) -> None:
    """Its settings: a class that opens at this moment."""
    service.config.write_text(
        f'[[class]]\nname = "term"\nrepositories = ["{HELLO}"]\nseats = 2\nmemory = "700M"\nready = 1\n'
        f'prepare = "{prepare}"\n[launching]\npush_secret_file = "{service.state.root}/push-secret"\n'
    )


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    service = Service(module_state)
    secret = service.state.root / "push-secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    write(service, "2037-01-11 09:30")
    try:
        yield service.up()
    finally:
        service.stop()


def test_pushes_come_through_to_whoever_judges_them(service: Service) -> None:
    push = {"repository": {"clone_url": "https://github.com/owner/repo.git"}}
    said = [
        httpx.post(f"{service.url}hooks/prepare", json=push, headers=headers, trust_env=False, timeout=20)
        for headers in ({}, {"X-Gitlab-Token": SECRET})
    ]
    codes = [(answer.status_code, answer.json()["failure"]["code"]) for answer in said]
    assert codes == [(403, "start.push-not-signed"), (404, "platform.no-such-object")]


def term(service: Service) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(service.cli("get", "class", "term", "-o", "json"))
    return told


def test_a_class_is_prepared_when_it_opens_and_its_people_find_a_session_that_answers(service: Service) -> None:
    assert (term(service)["state"], term(service)["ready"]) == ("closed", 0)
    assert "not prepared" in service.cli("describe", "class", "term")
    write(service, f"{datetime.now().astimezone():%Y-%m-%d %H:%M}")
    assert service.process is not None
    service.process.send_signal(signal.SIGHUP)
    until(lambda: term(service)["ready"] == 1, 200)
    assert f"v2/local{HELLO}: built by launch" in service.cli("describe", "class", "term")
    events = service.launch(HELLO)
    times = {entry["event"]["is"]: entry["at"] for entry in events}
    assert times["Ready"] - times["SessionStarted"] < 0.1
    session = Session(str(events[-1]["url"]))
    assert session.execute("import os; print(os.environ['MEM_LIMIT'])").strip() == str(700 * 1024**2)
    assert (term(service)["taken"], term(service)["seats"]) == (1, 2)
