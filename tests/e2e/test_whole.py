"""The whole way with real parts: `perijove up`, a link, a sandbox, Jupyter, a kernel over its websocket."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from perijove.cli.client import Client
from perijove.domain.state import State
from tests.e2e.service import Service, Session, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HELLO = str(Path(__file__).parents[2] / "examples" / "hello")


@pytest.fixture(scope="module")
def service(module_state: State) -> Iterator[Service]:
    (module_state.root / "perijove.toml").write_text('[service]\ntitle = "Orbit"\n')
    yield from running(module_state)


def test_from_a_link_to_a_kernel_that_answers(service: Service) -> None:
    told = service.cli("launch", HELLO, "--json").splitlines()
    session = Session(str(json.loads(told[-1])["url"]))
    assert session.execute("1+1") == "2"
    names = {entry["name"] for entry in session.get("api/contents/").json()["content"]}
    assert names >= {path.name for path in Path(HELLO).iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize(("page", "core"), [("lab", "jlab_core"), ("tree", "notebook_core")])
def test_what_pages_of_sessions_load_has_one_address_for_all_of_them(service: Service, page: str, core: str) -> None:
    session = service.session(HELLO)
    told = re.search(r"<script id=.jupyter-config-data.[^>]*>(.*?)</script>", session.get(page).text)
    assert told
    static = json.loads(told.group(1))["fullStaticUrl"]
    waiting = httpx.get(f"{service.url}v2/gh/o/r/HEAD?urlpath={page}", trust_env=False).text
    assert f'<link rel="prefetch" as="script" href="{static}/{core}.' in waiting
    files = [path.name for path in (service.state.tools / static.split("/")[2] / "share" / "static").iterdir()]
    main = next(name for name in files if name.startswith(core) and name.endswith(".js"))
    answer = httpx.get(f"{service.url}{static.lstrip('/')}/{main}", timeout=20, trust_env=False)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.content) > 1_000_000
    assert int(answer.headers["content-length"]) < 700_000


def test_a_session_s_token_is_needed(service: Service) -> None:
    session = service.session(HELLO)
    assert httpx.get(session.base + "api/contents", timeout=20, trust_env=False).status_code == 403


def test_the_commands_show_what_runs_and_stop_it(service: Service) -> None:
    session = service.session(HELLO)
    rows = json.loads(service.cli("get", "sessions", "-o", "json"))
    row = next(row for row in rows if row["name"] == session.name)
    assert row["memory"] > 10 * 1024**2
    assert session.name in service.cli("get", "sessions", "-o", "wide")
    assert session.name in service.cli("describe", "session", session.name)
    assert "Jupyter Server" in service.cli("logs", "session", session.name)
    launches = json.loads(service.cli("get", "launches", "-o", "json"))
    assert launches[0]["session"] == session.name
    assert launches[0]["state"] == "ready"
    environments = json.loads(service.cli("get", "environments", "-o", "json"))
    assert row["environment"] in {environment["key"] for environment in environments}
    service.cli("stop", session.name)
    gone = session.get("lab")
    assert gone.status_code == 424
    assert "launch" in gone.text.lower()
    assert session.name not in service.cli("get", "sessions")


def test_what_is_not_there_is_said_and_fails(service: Service) -> None:
    service.cli("stop", "nobody-1", status=1)
    service.cli("describe", "launch", "99999", status=1)
    service.cli("get", "session", "nobody-1", status=1)


def test_a_launch_that_fails_says_why_and_exits_with_one(service: Service, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    *_, last = service.cli("launch", str(tmp_path), "--json", status=1).splitlines()
    failure = json.loads(last)["event"]["failure"]
    assert failure["kind"] == "build.unsupported-file"
    assert "Dockerfile" in failure["cause"]


def test_settings_are_read_again_on_sighup_and_bad_ones_change_nothing(service: Service) -> None:
    assert service.process is not None
    service.config.write_text('[service]\ntitle = "Orbit"\n[launching]\nbanned = ["gh/bad/.*"]\n')
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "gh/bad" in service.cli("settings"))
    assert str(service.config) in service.cli("settings")
    failure = service.launch("gh/bad/repo/HEAD", fails=True)[-1]["event"]["failure"]
    assert failure["kind"] == "start.not-allowed"
    service.config.write_text("[service]\ntitle = 5\n[session]\nmemory = 'much'\n")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: b"settings not reloaded" in service.log.read_bytes())
    assert f"{service.config}:4" in service.log.read_text()
    assert "gh/bad" in service.cli("settings")
    assert service.session(HELLO).answers()


def test_every_line_of_the_log_is_json_of_one_shape(service: Service) -> None:
    session = service.session(HELLO)
    service.cli("stop", session.name)
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    address = f"{session.base}api/events/subscribe?token={session.token}"
    assert httpx.get(address, headers=upgrade, timeout=20, trust_env=False).status_code == 424
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert not [line for line in lines if not {"event", "level", "timestamp"} <= line.keys()]
    assert f"Perijove is up at {service.url}" in [line["event"] for line in lines]
    said = [line["event"] for line in lines]
    assert not [one for one in said if "websocket" in one.lower() or one != one.strip()]


def test_twenty_launches_at_once_all_get_ready(service: Service) -> None:
    with ThreadPoolExecutor(20) as pool:
        sessions = list(pool.map(service.session, [HELLO] * 20))
    assert len({session.name for session in sessions}) == 20
    assert all(session.answers() for session in sessions)
    client = Client(service.state)
    for session in sessions:
        client.call("DELETE", f"/sessions/{session.name}")
    until(lambda: not any(session.answers() for session in sessions))


def test_cleaning_removes_what_nobody_uses_and_keeps_what_runs(service: Service, tmp_path: Path) -> None:
    assert service.process is not None
    service.config.write_text('[build]\nkeep_free = "100T"\n')
    service.process.send_signal(signal.SIGHUP)
    until(lambda: 'keep_free = "100T"' in service.cli("settings"))
    in_use = service.session(HELLO)
    (tmp_path / "requirements.txt").write_text("six\n")
    service.cli("stop", service.session(str(tmp_path)).name)
    service.session(HELLO)
    before = json.loads(service.cli("get", "environments", "-o", "json"))
    assert "would be removed" in service.cli("clean", "--dry-run")
    assert len(json.loads(service.cli("get", "environments", "-o", "json"))) == len(before)
    assert "removed" in service.cli("clean")
    left = [row["key"] for row in json.loads(service.cli("get", "environments", "-o", "json"))]
    assert left == [json.loads(service.cli("get", "session", in_use.name, "-o", "json"))["environment"]]
    assert in_use.execute("1+1") == "2"
    assert service.session(str(tmp_path)).answers()


def test_who_finds_no_disk_has_what_nobody_uses_removed_and_is_told_what_is_short(
    service: Service, tmp_path: Path
) -> None:
    assert service.process is not None
    (tmp_path / "requirements.txt").write_text("toolz\n")
    service.cli("stop", service.session(str(tmp_path)).name)
    service.session(HELLO)
    before = {row["key"] for row in json.loads(service.cli("get", "environments", "-o", "json"))}
    service.config.write_text('[build]\nkeep_free = "100T"\n[launching]\nkeep_disk = "100T"\nqueue_timeout = "1s"\n')
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "100T" in service.cli("settings"))
    failure = service.launch(HELLO, fails=True)[-1]["event"]["failure"]
    assert failure["kind"] == "start.no-room"
    assert "of disk are free" in failure["evidence"][0]["saw"]
    assert "store/tools" in [evidence["where"] for evidence in failure["evidence"][1:]]
    left = {row["key"] for row in json.loads(service.cli("get", "environments", "-o", "json"))}
    in_use = {row["environment"] for row in json.loads(service.cli("get", "sessions", "-o", "json"))}
    assert before > left >= in_use
