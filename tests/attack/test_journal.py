"""A stranger who prints without end fills no disk and makes no page that nobody can load; a damaged journal is told."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import httpx
import pytest

from perijove.cli.client import Client
from perijove.domain.bounded_log import CUT
from perijove.domain.build_inputs import BuildInputs
from perijove.domain.events import Failed
from perijove.domain.failures import BUILD_TOO_SLOW, Fail
from perijove.domain.keys import Keys
from perijove.domain.nouns import Environment, ResolvedRepo
from perijove.domain.ports import Place, Tell
from perijove.domain.state import State
from perijove.retention import Retention
from tests.e2e.service import Service, until
from tests.fakes.world import FakeEnvironments
from tests.ways.conftest import ADDRESS, World

pytestmark = pytest.mark.same_for_any_user

KIB = 1024
LOG = 64 * KIB
FLOOD = """
import os, threading
def flood():
    number = 0
    while True:
        number += 1
        os.write(1, b"%d %s\\x1b[2J\\n" % (number, b"<&" * 900))
threading.Timer(1, flood).start()
"""


class Talkative(FakeEnvironments):
    """A build that prints four hundred kilobytes and fails."""

    async def build(
        self, inputs: BuildInputs, made_for: ResolvedRepo, tell: Tell, place: Place = nullcontext
    ) -> Environment:
        for number in range(200):
            tell(f"{number} {'x' * 2000}")
        raise Fail(BUILD_TOO_SLOW("it printed and printed"))


async def test_two_hundred_launches_that_print_leave_a_journal_within_its_bounds(tmp_path: Path) -> None:
    world, bound = World(tmp_path, environments=Talkative()), 2 * KIB**2
    world.set(journal__log_size=LOG, journal__keep_size=bound)
    async with world.up():
        largest = 0
        for number in range(1, 201):
            assert isinstance((await world.launched(ADDRESS))[-1], Failed)
            largest = max(largest, world.ledger.size(f"launch/{number}", 0))
        assert 0.8 * LOG < largest < 2 * LOG
        assert world.ledger.held() < 200 * 2 * LOG
        await Retention(world.journal, world.clock, lambda: world.settings.journal, lambda _: False).clean()
        assert world.ledger.held() <= bound
        assert world.launches.get(1) is None
        assert world.launches.get(200) is not None
        assert "was removed from the journal" in world.launches.missing(1).message
    assert sum(path.stat().st_size for path in tmp_path.glob("perijove.db*")) < 1.2 * bound


@pytest.fixture
def service(empty_state: State) -> Iterator[Service]:
    service = Service(empty_state, {"JOURNAL_LOG_SIZE": "64K", "JOURNAL_KEEP_AGE": "1s"}).up()
    try:
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.stop()


def said(state: State, subject: str) -> list[str]:
    """What stands in the journal of a subject."""
    with closing(sqlite3.connect(state.database)) as db:
        return [row[0] for row in db.execute("select body from events where subject = ? order by seq", (subject,))]


def page(service: Service, path: str, status: int) -> bytes:
    """What whoever began launch 1 is shown."""
    key = Keys(service.state.secret.read_bytes()).launch_key(1)
    with httpx.Client(follow_redirects=True, trust_env=False, headers={"Accept": "text/html"}, timeout=20) as client:
        answer = client.get(service.url + path, params={"key": key})
    assert answer.status_code == status, answer.text
    return answer.content


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_session_that_prints_without_end_and_a_journal_that_is_damaged_after_it(
    service: Service, tmp_path: Path
) -> None:
    (tmp_path / ".jupyter").mkdir()
    (tmp_path / ".jupyter" / "jupyter_server_config.py").write_text(FLOOD)
    name = str(service.launch(str(tmp_path))[-1]["event"]["session"])
    subject = f"session/{name}"
    until(lambda: any(CUT in one for one in said(service.state, subject)))
    before = len(said(service.state, subject))
    assert name in service.cli("get", "sessions")
    assert len(said(service.state, subject)) == before, "it goes on, and takes no more room"
    assert "1 launch" not in service.cli("clean"), "its session runs"
    service.cli("stop", name)
    until(lambda: "SessionEnded" in said(service.state, subject)[-1])
    lines = said(service.state, subject)
    assert 0.5 * LOG < sum(len(one.encode()) for one in lines) < 1.5 * LOG
    assert any("are left out here" in one for one in lines)
    assert "u001b" not in "".join(lines)
    for path in ("launch/1", "launch/1/log"):
        assert len(page(service, path, 200)) < 8 * LOG
    until(lambda: service.cli("clean") and not said(service.state, "launch/1") + said(service.state, subject))
    page(service, "launch/1", 410)
    service.stop()

    with service.state.database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(service.state.database.stat().st_size - 4096))
    assert service.start().wait(60) == 1
    told = " ".join(service.log.read_text().split())
    assert "platform.journal-damaged" in told
    assert "internal.bug" not in told
    subprocess.run(["sh", "-ec", told.split("`")[1]], check=True)
    service.up()
    assert json.loads(service.cli("get", "launches", "-o", "json")) == []
    begun = Client(service.state).call("POST", "/launches", {"folder": str(tmp_path)})
    assert begun["number"] > 1_000_000, "no key of before opens it"
