"""Blank sessions, with real sandboxes: of no repository, altered by nobody, and the first one's that is launched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path

import httpx
import pytest

from perijove.domain.failures import Fail
from perijove.domain.state import State
from tests.e2e.service import Service, until

FORKED = "'kernel_forker' in open('/proc/self/cmdline').read()"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def repository(folder: Path, name: str) -> str:
    """One that asks for nothing, as all of this module do: they have one environment."""
    made = folder / name
    (made / ".hidden").mkdir(parents=True)
    (made / "own.txt").write_text(name)
    (made / ".hidden" / "file").write_text(name)
    (made / "link").symlink_to("own.txt")
    for path in (made, *made.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return str(made)


@pytest.fixture(scope="module")
def service(module_state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(module_state, {"LAUNCHING_READY": "2"}, holds_ready=True).up()
    folder = tmp_path_factory.mktemp("first")
    folder.chmod(0o755)
    try:
        for name in ("one", "two"):
            service.cli("stop", service.session(repository(folder, name)).name)
        yield service
    finally:
        service.stop()


def blank(service: Service) -> set[str]:
    return {path.stem for path in (service.state.root / "s").glob("session-*.sock")} - listed(service)


def listed(service: Service) -> set[str]:
    return {row["name"] for row in json.loads(service.cli("get", "sessions", "-o", "json"))}


def ready(service: Service) -> bool:
    """Whether one of them has answered."""
    lines = httpx.get(f"{service.url}metrics", timeout=20, trust_env=False).text.splitlines()
    return bool(blank(service)) and "perijove_sessions_ready 0.0" not in lines


def test_the_next_repository_of_the_environment_gets_it_with_all_that_is_its_own(
    service: Service, tmp_path: Path
) -> None:
    until(lambda: ready(service), 120)
    waiting = blank(service)
    tmp_path.chmod(0o755)
    link = repository(tmp_path, "three")
    session = service.session(link)
    assert session.name in waiting
    assert session.execute(FORKED) == "True", "no page was opened"
    code = "import os, json; print(json.dumps([sorted(os.listdir()), os.readlink('link'), dict(os.environ)]))"
    names, target, environ = json.loads(session.execute(code))
    assert {".hidden", "link", "own.txt"} <= set(names)
    assert target == "own.txt"
    assert environ["BINDER_REPO_URL"] == environ["BINDER_REF_URL"] == link
    assert environ["JUPYTERHUB_USER"] == session.name
    assert environ["JUPYTERHUB_SERVICE_PREFIX"] == f"/user/{session.name}/"
    shown = {entry["name"] for entry in session.get("api/contents/").json()["content"]}
    assert shown == {"link", "own.txt"}
    assert session.execute("print(open('own.txt').read(), open('.hidden/file').read())").split() == ["three", "three"]
    mine = "open('own.txt', 'a').write('!'); import os; print(os.stat('own.txt').st_uid == os.getuid())"
    assert session.execute(mine).strip() == "True"
    assert (Path(link) / "own.txt").read_text() == "three"
    assert "Jupyter Server" in service.cli("logs", "session", session.name)
    service.cli("stop", session.name)


def test_nobody_alters_it_before_it_is_handed_out(service: Service, tmp_path: Path) -> None:
    until(lambda: ready(service), 120)
    waiting = blank(service)
    told = {"X-Perijove-Variables": json.dumps({"BINDER_REPO_URL": "https://attacker.example"})}
    with httpx.Client(trust_env=False, timeout=20) as client:
        for name, headers in product(waiting, (told, told | {"Authorization": f"token {min(waiting)}"})):
            base = f"{service.url}user/{name}/"
            written = client.put(f"{base}api/contents/planted.txt", headers=headers, json={"type": "file"})
            asked = client.get(f"{base}api/kernels", headers=headers)
            begun = client.post(f"{base}api/terminals", headers=headers)
            assert {written.status_code, asked.status_code, begun.status_code} <= {401, 403, 404}
    tmp_path.chmod(0o755)
    session = service.session(repository(tmp_path, "four"))
    assert session.name in waiting
    assert session.execute(
        "import os; print('planted.txt' in os.listdir(), os.environ['BINDER_REPO_URL'])"
    ).split() == [
        "False",
        str(tmp_path / "four"),
    ]
    service.cli("stop", session.name)


def test_two_at_once_get_two(service: Service, tmp_path: Path) -> None:
    until(lambda: ready(service), 120)
    tmp_path.chmod(0o755)
    links = [repository(tmp_path, name) for name in ("five", "six")]
    with ThreadPoolExecutor(2) as pool:
        sessions = list(pool.map(service.session, links))
    assert len({(session.name, session.token) for session in sessions}) == 2
    assert [session.execute("print(open('own.txt').read())").strip() for session in sessions] == ["five", "six"]
    for session in sessions:
        service.cli("stop", session.name)


def test_a_server_of_it_that_a_repository_would_have_set_is_started(service: Service, tmp_path: Path) -> None:
    until(lambda: ready(service), 120)
    tmp_path.chmod(0o755)
    link = repository(tmp_path, "configured")
    (Path(link) / "jupyter_server_config.py").write_text("c.ServerApp.tornado_settings = {'headers': {'X-Own': 'yes'}}")
    (Path(link) / "jupyter_server_config.py").chmod(0o644)
    waiting, session = blank(service), service.session(link)
    assert session.name not in waiting
    assert session.get("api/status").headers["X-Own"] == "yes"
    service.cli("stop", session.name)


def test_one_that_is_being_filled_when_the_service_is_killed_is_ended(service: Service, tmp_path: Path) -> None:
    until(lambda: ready(service), 120)
    tmp_path.chmod(0o755)
    link = repository(tmp_path, "large")
    with (Path(link) / "large").open("wb") as file:
        file.truncate(100 * 1024**2)
    waiting = blank(service)
    with suppress(Fail):
        for entry in service.launching(link):
            if entry["event"]["is"] == "Built":
                service.kill()
    service.up()
    until(lambda: waiting.isdisjoint(path.stem for path in (service.state.root / "s").glob("*.sock")), 30)
    assert listed(service) == set()
    assert service.session(link).answers()
