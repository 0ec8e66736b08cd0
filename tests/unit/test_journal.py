"""Following the journal: from any point, for as long as one likes, in any number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import Entry, Event, Failed, Logged, Phase, Ready, SessionEnded, SessionLogged
from perijove.domain.failures import INTERRUPTED
from perijove.domain.nouns import EndReason
from perijove.domain.state import State
from perijove.journal import BATCH, Journal, ends
from tests.fakes.world import FakeClock

LAUNCH = "launch/1"
END = Ready("repo-1", "/user/repo-1/")


def line(number: int) -> Logged:
    return Logged(Phase.BUILDING, f"line {number}")


@pytest.fixture
def journal(state: State) -> Iterator[Journal]:
    ledger = SqliteLedger(state.database)
    yield Journal(ledger, FakeClock(time=1000.0))
    ledger.close()


async def followed(journal: Journal, subject: str = LAUNCH, after: int = 0) -> list[Event]:
    async with asyncio.timeout(5):
        return [entry.event async for entry in journal.follow(subject, after)]


async def test_a_subject_that_is_over_is_read_to_its_end(journal: Journal) -> None:
    for event in (line(1), line(2), END):
        journal.append(LAUNCH, event)
    assert await followed(journal) == [line(1), line(2), END]


async def test_a_reader_who_was_there_before_hears_the_rest_only(journal: Journal) -> None:
    first = journal.append(LAUNCH, line(1))
    journal.append(LAUNCH, line(2))
    journal.append(LAUNCH, END)
    assert await followed(journal, after=first.seq) == [line(2), END]


async def test_a_reader_who_saw_the_end_hears_nothing_more(journal: Journal) -> None:
    journal.append(LAUNCH, line(1))
    last = journal.append(LAUNCH, END)
    assert await followed(journal, after=last.seq) == []


async def test_what_comes_is_heard_when_it_comes_by_every_reader(journal: Journal) -> None:
    readers = [asyncio.create_task(followed(journal)) for _ in range(3)]
    journal.append(LAUNCH, line(1))
    await asyncio.sleep(0)
    journal.append(LAUNCH, line(2))
    await asyncio.sleep(0)
    journal.append(LAUNCH, END)
    assert [await reader for reader in readers] == [[line(1), line(2), END]] * 3


async def test_another_subject_s_events_are_not_heard(journal: Journal) -> None:
    reader = asyncio.create_task(followed(journal))
    await asyncio.sleep(0)
    journal.append("launch/2", line(7))
    journal.append("launch/2", END)
    journal.append("launch/11", line(8))
    journal.append(LAUNCH, END)
    assert await reader == [END]


async def test_more_than_is_read_at_once_is_heard_whole_and_in_order(journal: Journal) -> None:
    told = [line(number) for number in range(2 * BATCH + 3)]
    for event in told:
        journal.append(LAUNCH, event)
    journal.append(LAUNCH, END)
    assert await followed(journal) == [*told, END]


async def test_a_reader_that_leaves_stops_nothing_and_leaves_nothing_behind(journal: Journal) -> None:
    async def first_only() -> Entry:
        reading = journal.follow(LAUNCH)
        try:
            return await anext(aiter(reading))
        finally:
            await reading.aclose()  # type: ignore[attr-defined]  # an async generator

    stays = asyncio.create_task(followed(journal))
    journal.append(LAUNCH, line(1))
    assert (await first_only()).event == line(1)
    journal.append(LAUNCH, END)
    assert await stays == [line(1), END]
    assert not journal._written


async def test_a_reader_that_is_cancelled_while_it_waits_leaves_nothing_behind(journal: Journal) -> None:
    reader = asyncio.create_task(followed(journal))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    assert not journal._written


async def test_a_subject_nobody_wrote_to_yet_is_waited_for(journal: Journal) -> None:
    reader = asyncio.create_task(followed(journal, "session/repo-1"))
    await asyncio.sleep(0)
    assert not reader.done()
    end = SessionEnded("repo-1", EndReason.IDLE, "it was idle", None)
    journal.append("session/repo-1", SessionLogged("repo-1", "hello"))
    journal.append("session/repo-1", end)
    assert await reader == [SessionLogged("repo-1", "hello"), end]


async def test_listeners_are_given_each_entry_once_as_it_stands(journal: Journal) -> None:
    heard: list[Entry] = []
    journal.listeners.append(heard.append)
    entry = journal.append(LAUNCH, END)
    assert heard == [entry]
    assert entry.at == 1000.0
    assert journal.at(entry.seq) == entry


@pytest.mark.parametrize(
    ("event", "terminal"),
    [
        pytest.param(END, True, id="ready"),
        pytest.param(Failed(INTERRUPTED("cut off")), True, id="failed"),
        pytest.param(SessionEnded("s", EndReason.OLD, "old", None), True, id="session ended"),
        pytest.param(line(1), False, id="a line"),
    ],
)
def test_what_ends_a_subject_is_known(event: Event, *, terminal: bool) -> None:
    assert ends(event) is terminal
