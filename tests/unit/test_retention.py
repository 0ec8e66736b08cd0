"""What the journal no longer keeps: by age, by bytes, whole subjects, and never what somebody needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain.events import (
    Announced,
    Event,
    Failed,
    Logged,
    Phase,
    Ready,
    Requested,
    SessionEnded,
    SessionOpened,
)
from perijove.domain.failures import INTERRUPTED
from perijove.domain.nouns import EndReason, RepoAddress, ResolvedRepo, Session
from perijove.domain.settings import JournalSettings
from perijove.domain.state import State
from perijove.journal import Journal
from perijove.retention import STEP, Retention
from tests.fakes.world import FakeClock

DAY = 86400.0
ADDRESS = RepoAddress("gh", "o/r/HEAD", "https://h/o/r", "HEAD", "r")
SESSION = Session("repo-1", 1, ResolvedRepo(ADDRESS, "1" * 40, ""), "k" * 32, 1.0)
FAILED = Failed(INTERRUPTED("cut off"))


class Shelf:
    """A journal whose time is ours."""

    def __init__(self, state: State) -> None:
        self.ledger = SqliteLedger(state.database)
        self.clock = FakeClock(time=1000 * DAY)
        self.journal = Journal(self.ledger, self.clock)
        self.file = state.database

    def launch(self, number: int, *, days_ago: float, lines: int = 10, end: Event | None = FAILED) -> None:
        at, self.clock.time = self.clock.time, self.clock.time - days_ago * DAY
        self.journal.append(f"launch/{number}", Requested(ADDRESS, "local"))
        for line in range(lines):
            self.journal.append(f"launch/{number}", Logged(Phase.BUILDING, f"{line} {'x' * 500}"))
        if end is not None:
            self.journal.append(f"launch/{number}", end)
        self.clock.time = at

    def retention(self, needed: Callable[[str], bool] = lambda _: False, **wish: float) -> Retention:
        settings = JournalSettings(**{"keep_age": 0, "keep_size": 0, **wish})  # type: ignore[arg-type]
        return Retention(self.journal, self.clock, lambda: settings, needed)

    @property
    def kept(self) -> list[str]:
        return [one.subject for one in self.ledger.oldest(0, 10_000)]


@pytest.fixture
def shelf(state: State) -> Iterator[Shelf]:
    shelf = Shelf(state)
    yield shelf
    shelf.ledger.close()


async def test_what_is_too_old_goes_and_the_rest_stays(shelf: Shelf) -> None:
    for number, days in enumerate((100, 95, 89, 1), 1):
        shelf.launch(number, days_ago=days)
    before = shelf.kept
    would = await shelf.retention(keep_age=90 * DAY).clean(dry_run=True)
    assert dict(would.subjects) == {"launch": 2}
    assert would.size > 2 * 10 * 500
    assert shelf.kept == before
    went = await shelf.retention(keep_age=90 * DAY).clean()
    assert went.subjects == would.subjects
    assert shelf.kept == ["launch/3", "launch/4"]
    assert dict((await shelf.retention(keep_age=90 * DAY).clean()).subjects) == {}


async def test_the_oldest_go_while_there_is_too_much_and_the_file_shrinks(shelf: Shelf) -> None:
    for number in range(1, 41):
        shelf.launch(number, days_ago=1, lines=100)
    bound = 1024**2
    assert shelf.ledger.held() > 2 * bound
    would = await shelf.retention(keep_size=bound).clean(dry_run=True)
    await shelf.retention(keep_size=bound).clean()
    assert shelf.ledger.held() <= bound
    assert shelf.file.stat().st_size <= bound * 1.2
    left = [int(name.partition("/")[2]) for name in shelf.kept]
    assert left == [*range(left[0], 41)], "the newest stay, whole"
    assert abs(would.subjects["launch"] - (left[0] - 1)) <= 4
    assert len(shelf.ledger.read(f"launch/{left[0]}", 0, 1000)) == 102


async def test_who_is_in_progress_or_needed_stays_however_old_and_large(shelf: Shelf) -> None:
    shelf.launch(1, days_ago=400, end=Ready("repo-1", "/user/repo-1/"))
    shelf.journal.append("session/repo-1", SessionOpened(SESSION))
    shelf.launch(2, days_ago=400, end=None)
    shelf.launch(3, days_ago=300)
    await shelf.retention(lambda subject: subject == "launch/1", keep_age=DAY, keep_size=1).clean()
    assert shelf.kept == ["launch/1", "session/repo-1", "launch/2"]
    shelf.journal.append("session/repo-1", SessionEnded("repo-1", EndReason.IDLE, "idle", None))
    shelf.journal.append("launch/2", FAILED)
    await shelf.retention(keep_age=DAY, keep_size=1).clean()
    assert shelf.kept == []


async def test_nothing_goes_where_nothing_is_bounded(shelf: Shelf) -> None:
    shelf.launch(1, days_ago=4000, lines=500)
    assert dict((await shelf.retention().clean()).subjects) == {}
    assert shelf.kept == ["launch/1"]


async def test_others_have_their_turn_after_each_step(shelf: Shelf) -> None:
    shelf.launch(1, days_ago=100, lines=10 * STEP)
    await shelf.retention(keep_age=DAY).clean()
    assert len(shelf.clock.slept) > 10
    assert shelf.kept == []


async def test_cut_off_midway_it_goes_on_the_next_time(shelf: Shelf) -> None:
    shelf.launch(1, days_ago=100, lines=10 * STEP)
    cleaning = asyncio.create_task(shelf.retention(keep_age=DAY).clean())
    while len(shelf.ledger.read("launch/1", 0, 10_000)) > 8 * STEP:
        await asyncio.sleep(0)
    cleaning.cancel()
    await asyncio.wait([cleaning])
    assert shelf.kept == ["launch/1"]
    assert shelf.ledger.unfinished("launch/") == []
    await shelf.retention(keep_age=DAY).clean()
    assert shelf.kept == []
    assert not shelf.ledger.read("launch/1", 0, 10)


async def test_a_reader_of_what_goes_comes_to_an_end(shelf: Shelf) -> None:
    shelf.launch(1, days_ago=100, lines=3)
    reading = shelf.journal.follow("launch/1")
    first = await anext(aiter(reading))
    await shelf.retention(keep_age=DAY).clean()
    async with asyncio.timeout(5):
        assert [entry async for entry in shelf.journal.follow("launch/1", after=first.seq)] == []


async def test_of_what_happened_to_a_certificate_the_last_of_each_kind_stays(shelf: Shelf) -> None:
    for day in range(200):
        shelf.clock.time += DAY
        shelf.journal.append("certificate/a.example.org", Logged(Phase.BUILDING, f"{day}"))
    await shelf.retention(keep_age=90 * DAY).clean()
    left = shelf.journal.read("certificate/a.example.org")
    assert len(left) == 1 + 90
    shelf.clock.time += 1000 * DAY
    await shelf.retention(keep_age=90 * DAY).clean()
    assert [entry.event for entry in shelf.journal.read("certificate/a.example.org")] == [
        Logged(Phase.BUILDING, "0"), Logged(Phase.BUILDING, "199"),
    ]  # fmt: skip


async def test_of_old_messages_of_the_operator_the_last_stays(shelf: Shelf) -> None:
    for number in range(5):
        shelf.clock.time += 1
        shelf.journal.append("operator/message", Announced(f"{number}", shelf.clock.time, shelf.clock.time + 1))
    shelf.clock.time += 100 * DAY
    await shelf.retention(keep_age=DAY).clean()
    told = [entry.event for entry in shelf.journal.read("operator/message")]
    assert [event.text for event in told if isinstance(event, Announced)] == ["0", "4"]
