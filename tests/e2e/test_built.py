"""Environments that are built for tomorrow, and built anew: from the command to what a session finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from perijove.domain.state import State
from tests.e2e.service import Service, furnish, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NOBODY = "http://127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    yield from running(module_state)


def repository(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return str(folder)


def running_in(service: Service) -> set[str]:
    return {row["name"] for row in json.loads(service.cli("get", "sessions", "-o", "json"))}


def names(events: list[dict[str, dict[str, str]]]) -> list[str]:
    return [event["event"]["is"] for event in events]


def test_what_is_built_anew_is_another_run_of_its_script(service: Service, tmp_path: Path) -> None:
    link = repository(tmp_path, postBuild="date +%N > made")
    ask = "open('made').read().strip()"
    first = service.session(link)
    assert "built: the next launch finds it" in service.cli("build", "--again", link)
    second = service.session(link)
    assert first.execute(ask) != second.execute(ask)
    assert service.session(link).execute(ask) == second.execute(ask)


def test_a_failure_leaves_status_1(service: Service, tmp_path: Path) -> None:
    said = service.cli("build", repository(tmp_path, requirements_txt="numpy 1.2"), status=1)
    assert "build.bad-file" in said


def test_where_no_service_runs_there_is_one_for_that_long(empty_state: State, tmp_path: Path) -> None:
    alone = Service(empty_state)
    furnish(empty_state)
    alone.config.write_text(f'[service]\nhttp = ["127.0.0.1:{alone.port}"]\nhttps = ["off"]\n')
    link = repository(tmp_path, requirements_txt="six==1.16.0")
    assert "built: the next launch finds it" in alone.cli("build", link, "--config", str(alone.config))
    assert "platform.not-up" in alone.cli("get", "sessions", status=1) + alone.told[-1]


def test_what_was_built_yesterday_is_launched_without_a_network(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = repository(tmp_path, requirements_txt="six==1.16.0")
    sessions = running_in(service)
    assert "built: the next launch finds it" in service.cli("build", link)
    assert running_in(service) == sessions
    (launch, *_) = json.loads(service.cli("get", "launches", "-o", "json"))
    assert launch["state"] == "built"
    assert "\n  six==1.16.0\n" in service.cli("describe", "environment", launch["environment"])
    service.stop()  # the last test, for its network does not come back
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOBODY)
    monkeypatch.setenv("UV_INDEX_URL", NOBODY)
    service.up()
    events = service.launch(link)
    assert "BuildStarted" not in names(events)
    assert events[-1]["event"]["is"] == "Ready"
