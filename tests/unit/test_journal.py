"""Following the journal: from any point, for as long as one likes, in any number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain.bounded_log import CUT, LINE
from perijove.domain.events import (
    Entry,
    Event,
    Failed,
    Logged,
    Phase,
    Ready,
    SessionEnded,
    SessionLogged,
    SessionTroubled,
)
from perijove.domain.failures import INTERRUPTED, KERNEL_MEMORY
from perijove.domain.nouns import EndReason
from perijove.domain.settings import JournalSettings
from perijove.domain.state import State
from perijove.journal import BATCH, ROW, Journal, ends
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
    journal.append(LAUNCH, line(1))
    first = journal.read(LAUNCH)[0]
    journal.append(LAUNCH, line(2))
    journal.append(LAUNCH, END)
    assert await followed(journal, after=first.seq) == [line(2), END]


async def test_a_reader_who_saw_the_end_hears_nothing_more(journal: Journal) -> None:
    journal.append(LAUNCH, line(1))
    journal.append(LAUNCH, END)
    last = journal.read(LAUNCH)[-1]
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
    journal.append(LAUNCH, END)
    entry = journal.read(LAUNCH)[0]
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


def lines_of(journal: Journal, subject: str) -> list[str]:
    """The lines of a subject's log as they are kept."""
    told: list[str] = []
    after = 0
    while entries := journal.read(subject, after):
        told += [entry.event.line for entry in entries if isinstance(entry.event, (Logged, SessionLogged))]
        after = entries[-1].seq
    return told


SAID = (
    pytest.param("launch/1", lambda text: Logged(Phase.FETCHING, text), END, id="git"),
    pytest.param("launch/1", lambda text: Logged(Phase.BUILDING, text), Failed(INTERRUPTED("cut off")), id="uv"),
    pytest.param("launch/1", lambda text: Logged(Phase.LAUNCHING, text), END, id="the server as it starts"),
    pytest.param(
        "session/repo-1", lambda text: SessionLogged("repo-1", text),
        SessionEnded("repo-1", EndReason.OLD, "old", None), id="the server and its kernels",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="short"),
        pytest.param("y" * 100_000, id="long"),
        pytest.param("☃" * 5000, id="wide"),
        pytest.param("\x1b[2J\x00\b" * 1000, id="control characters"),
        pytest.param('"\\' * 1000, id="escaped"),
        pytest.param("\udc80" * 1000, id="no characters"),
    ],
)
@pytest.mark.parametrize(("subject", "make", "end"), SAID)
def test_a_log_without_end_takes_a_bounded_part_of_the_journal(
    journal: Journal, subject: str, make: Callable[[str], Event], end: Event, said: str
) -> None:
    limit = 32 * 1024
    small = Journal(journal.ledger, FakeClock(), lambda: JournalSettings(log_size=limit))
    for number in range(600):
        small.append(subject, make(f"{number} {said}"))
        if number == 300:  # a restart does not begin anew
            small = Journal(journal.ledger, FakeClock(), lambda: JournalSettings(log_size=limit))
    small.append(subject, end)

    lines = lines_of(small, subject)
    assert sum(len(json.dumps(one, ensure_ascii=False).encode()) + ROW for one in lines) < 2.1 * limit
    assert lines[0].split()[0] == "0"
    assert lines[-1].split()[0] == "599"
    note = next(one for one in lines if "are left out here" in one)
    assert lines.index(CUT) < lines.index(note) < len(lines) - 1
    assert all(len(one) <= LINE and "\x1b" not in one for one in lines)
    assert small.ledger.steps(subject)[-1].event == end


def test_what_is_left_out_is_counted(journal: Journal) -> None:
    journal = Journal(journal.ledger, FakeClock(), lambda: JournalSettings(log_size=256 * 1024))
    for number in range(8000):
        journal.append(LAUNCH, line(number))
    journal.append(LAUNCH, END)
    kept = lines_of(journal, LAUNCH)
    numbers = [int(one.split()[1]) for one in kept if one.startswith("line ")]
    gap = next(place for place, number in enumerate(numbers) if place != number)
    assert numbers == [*range(gap), *range(numbers[gap], 8000)]
    assert f"{numbers[gap] - gap:,} lines" in kept[gap + 1]


def test_a_log_that_is_short_enough_is_kept_whole(journal: Journal) -> None:
    for number in range(1000):
        journal.append(LAUNCH, line(number))
    journal.append(LAUNCH, END)
    assert lines_of(journal, LAUNCH) == [f"line {number}" for number in range(1000)]


def test_troubles_without_end_are_bounded_and_do_not_wait_behind_lines(journal: Journal) -> None:
    journal = Journal(journal.ledger, FakeClock(), lambda: JournalSettings(log_size=64 * 1024))
    subject, trouble = "session/repo-1", SessionTroubled("repo-1", KERNEL_MEMORY("x" * 500))
    for number in range(1000):
        journal.append(subject, SessionLogged("repo-1", f"{number} {'y' * 500}"))
    journal.append(subject, trouble)
    assert journal.ledger.steps(subject)[0].event == trouble
    for _ in range(1000):
        journal.append(subject, trouble)
    journal.append(subject, SessionEnded("repo-1", EndReason.OLD, "old", None))
    assert 50 < len(journal.ledger.steps(subject)) < 200
    assert not journal._logs
