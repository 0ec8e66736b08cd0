"""What is kept of sessions, as the command shows it."""

from __future__ import annotations

import re

import pytest

from perijove.domain.nouns import EndReason, SessionName
from perijove.sealing import new_key, public_half
from tests.fakes.certificate_desk import Office
from tests.unit.cli.conftest import Shell
from tests.ways.conftest import ADDRESS

KEY = new_key()


async def left(office: Office) -> SessionName:
    """A session that is over, and left a file."""
    w = office.world
    number = w.launches.begin(ADDRESS, "192.0.2.7", key=KEY)
    await w.events(number)
    launch = w.launches.get(number)
    assert launch is not None
    assert launch.session
    w.sandboxes.homes[launch.session] = {"secret-name.ipynb": b"x" * 2048}
    await w.sessions.stop(launch.session, EndReason.IDLE)
    await w.until(lambda: w.sandboxes.all_fetched and not list(w.state.handed.iterdir()))
    return launch.session


@pytest.fixture
def session(perijove: Shell) -> SessionName:
    return perijove.hall.run(left(perijove.hall.office))


def test_it_is_listed_and_described_and_never_its_content(perijove: Shell, session: SessionName) -> None:
    heads, cells = perijove("get", "kept").cells()
    assert heads == ["NAME", "REPOSITORY", "FILES", "SIZE", "UNTIL", "AGE"]
    assert cells[:4] == [session, "github.com/owner/repo", "1", "2K"]
    told = perijove("describe", "kept", session)
    assert told.status == 0
    assert public_half(KEY)[:12] in told.out
    assert "secret-name" not in told.out
    of_session = perijove("describe", "session", session)
    assert re.search(r"^Kept +2 KB$", of_session.out, re.MULTILINE)
    assert perijove("describe", "kept", "nothing").status == 1


def test_what_is_kept_too_long_is_cleaned(perijove: Shell, session: SessionName) -> None:
    world = perijove.hall.office.world
    perijove.hall.do(lambda: world.set(session__keep=1e-9))
    assert "what was kept of 1 session would be removed (2 KB)" in perijove("clean", "--dry-run").out
    assert "what was kept of 1 session removed (2 KB)" in perijove("clean").out
    assert "Nothing to remove" in perijove("clean").out
