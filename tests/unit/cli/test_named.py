"""Sessions by what people call them, from the terminal."""

from __future__ import annotations

import asyncio

import pytest

from perijove.domain import failures
from perijove.domain.failures import Fail
from perijove.domain.nouns import SessionName
from perijove.launching.start.titles import entitle, title_of
from tests.fakes.certificate_desk import Office
from tests.unit.cli.conftest import Shell
from tests.ways.conftest import ADDRESS

TITLE = "thesis, part 1/2"


async def begun(office: Office) -> SessionName:
    """A session that runs."""
    w = office.world
    number = w.launches.begin(ADDRESS, "192.0.2.7")
    await w.events(number)
    launch = w.launches.get(number)
    assert launch is not None
    assert launch.session
    return launch.session


def test_a_session_is_called_something_by_its_launch(perijove: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("repository")
    assert perijove("launch", str(folder), "--name", " thesis,  part 1/2").status == 0
    (session,) = perijove.hall.office.world.sessions.names
    assert title_of(perijove.hall.office.journal, session) == TITLE
    refused = perijove("launch", str(folder), "--name", "x" * 61)
    assert (refused.status, "cannot be called so" in refused.err) == (1, True)


def test_it_is_stopped_and_described_by_that(perijove: Shell) -> None:
    hall = perijove.hall
    session, other = hall.run(begun(hall.office)), hall.run(begun(hall.office))
    hall.do(lambda: entitle(hall.office.journal, session, TITLE))
    hall.do(lambda: entitle(hall.office.journal, other, TITLE))
    refused = perijove("stop", TITLE)
    assert refused.status == 1
    assert all(one in refused.err.replace("\n", "") for one in (session, other)), "either may be meant"
    hall.do(lambda: entitle(hall.office.journal, other, "another"))
    for words in (("describe", "session"), ("get", "session"), ("logs", "session")):
        assert perijove(*words, TITLE).status == 0
    assert session in perijove("get", "session", TITLE).out
    assert perijove("stop", TITLE).lines == [f"{session} stopped"]
    assert perijove("stop", TITLE).status == 1, "it is called so no more, once it is over"
    assert perijove("stop", other).status == 0


def test_all_are_stopped_side_by_side_and_one_that_cannot_be_holds_up_no_other(perijove: Shell) -> None:
    hall = perijove.hall
    names = [hall.run(begun(hall.office)) for _ in range(3)]
    both, asked = asyncio.Event(), list[int]()

    async def stopped() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise Fail(failures.PAD_DOWN("it is hung", failures.Evidence("pad", "no answer")))
        if len(asked) == 3:
            both.set()
        await asyncio.wait_for(both.wait(), 10)

    hall.office.world.sandboxes.before_stop = stopped
    told = perijove("stop", "all")
    assert told.status == 1
    ended = [name for name, _ in hall.office.world.sandboxes.stopped]
    assert len(ended) == 2
    (left,) = {*names} - {*ended}
    assert {f"{name} stopped" for name in ended} < {*told.lines}
    assert f"{left} is not stopped:" in told.out
    assert "it is hung" in told.out
