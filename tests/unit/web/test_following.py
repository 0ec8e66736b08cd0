"""A launch told to its readers: silence too, each event encoded once, every reader with a seat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from perijove.domain.events import Entry, Logged, Phase, Ready, Requested
from perijove.domain.failures import Fail
from perijove.journal import BATCH, Journal
from perijove.web.following import told
from perijove.web.frames import Frames
from perijove.web.readers import IN_ALL, PER_LAUNCH, PER_VISITOR, Readers
from perijove.web.stream import KEEPALIVE, Reader
from tests.unit.web.conftest import Web
from tests.unit.web.conftest import frames as parsed
from tests.ways.conftest import ADDRESS, World

LAUNCH = "launch/7"


class CountingJournal(Journal):
    """Counts the entries that were read for somebody."""

    read_so_far = 0

    def read(self, subject: str, after: int = 0, limit: int = BATCH) -> Sequence[Entry]:
        entries = super().read(subject, after, limit)
        self.read_so_far += len(entries)
        return entries


def reader(web: Web, *, key: str = "", log: bool = True, origin: str = "https://hub.test") -> Reader:
    return Reader(f"{origin}/", 7, key, web.world.keys.session_token, f"{origin}/user/{{}}/".format, log=log)


def reading(web: Web, who: Reader, after: int = 0, every: float = 20) -> AsyncGenerator[bytes, None]:
    return told(web.public, who, after, every)


async def test_a_silent_launch_is_kept_alive_and_loses_nothing(web: Web) -> None:
    web.world.journal.append(LAUNCH, Requested(ADDRESS, "x"))
    heard = []
    async with asyncio.timeout(5):
        async for text in reading(web, reader(web), every=0.01):
            heard.append(text)
            if heard.count(KEEPALIVE) == 3 and heard[-1] == KEEPALIVE:
                web.world.journal.append(LAUNCH, Ready("s", "/user/s/"))
    assert [frame.data["phase"] for frame in parsed(b"".join(heard).decode())] == ["waiting", "ready"]


async def test_a_stream_of_the_protocol_is_left_open_after_ready_and_one_of_ours_is_not(tmp_path: Path) -> None:
    async with Web(World(tmp_path), held=0.2).up() as web, asyncio.timeout(10):
        for path, is_held in (("/build/gh/owner/repo/HEAD", True), ("/api/launches/1/events", False)):
            answer = await web.get(path, Accept="text/event-stream")
            assert parsed(answer.text)[-1].data["phase"] == "ready"
            assert answer.text.endswith(KEEPALIVE.decode()) is is_held
        last = parsed(answer.text)[-1].id
        answer = await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream", Last_Event_ID=last)
        assert answer.status_code == 204


async def test_a_held_stream_is_kept_alive_for_its_time(web: Web) -> None:
    (ready,) = [one for one in await web.build() if one.data["phase"] == "ready"]
    heard = [part async for part in told(web.public, replace(reader(web), number=1), 0, every=0.01, held=0.05)]
    assert parsed(b"".join(heard).decode())[-1].data["phase"] == ready.data["phase"]
    assert heard[-5:] == [KEEPALIVE] * 5


async def test_a_launch_that_failed_is_told_and_that_is_all(tmp_path: Path) -> None:
    async with Web(World(tmp_path), held=3600).up() as web, asyncio.timeout(10):
        web.world.set(launching__banned=("gh/owner/*",))
        answer = await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream")
    assert parsed(answer.text)[-1].data["phase"] == "failed"


async def test_a_reader_that_leaves_leaves_nothing_behind(web: Web) -> None:
    web.world.journal.append(LAUNCH, Requested(ADDRESS, "x"))
    source = reading(web, reader(web))
    assert b"Launch 7" in await anext(source)
    waiting = asyncio.ensure_future(anext(source))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    await source.aclose()
    with web.world.journal.bell(LAUNCH) as bell:
        web.world.journal.append(LAUNCH, Ready("s", "/user/s/"))
        assert bell.is_set()


async def test_each_event_is_read_and_encoded_once_for_all_who_read_the_same(web: Web) -> None:
    journal = CountingJournal(web.world.ledger, web.world.clock)
    object.__setattr__(web.public, "journal", journal)
    object.__setattr__(web.public, "frames", Frames(journal))
    lines = 2 * BATCH + 10
    journal.append(LAUNCH, Requested(ADDRESS, "x"))
    for number in range(lines):
        journal.append(LAUNCH, Logged(Phase.BUILDING, f"line {number}"))

    async def heard(who: Reader, after: int) -> list[int]:
        text = b"".join([part async for part in reading(web, who, after)]).decode()
        return [int(frame.id) for frame in parsed(text)]

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = [group.create_task(heard(reader(web, origin=f"https://{n}.test"), after=25 * n)) for n in range(40)]
        await asyncio.sleep(0)
        journal.append(LAUNCH, Logged(Phase.BUILDING, "while they wait"))
        journal.append(LAUNCH, Ready("s", "/user/s/"))
    for n, task in enumerate(listening):
        seqs = task.result()
        assert seqs[0] == max(1, 25 * n + 1)
        assert all(next_ == seq + 1 for seq, next_ in pairwise(seqs))
        assert seqs[-1] == lines + 3
    assert journal.read_so_far <= 2 * (lines + 3)


async def test_each_reader_is_told_by_the_address_they_came_by(web: Web) -> None:
    web.world.journal.append(LAUNCH, Ready("s", "/user/s/"))
    for origin in ("https://a.test", "https://b.test"):
        (last,) = [part async for part in reading(web, reader(web, key="k", origin=origin))]
        assert parsed(last.decode())[0].data["url"] == f"{origin}/user/s/"
    (last,) = [part async for part in reading(web, reader(web, log=False))]
    assert b"/user/s/" not in last


async def test_what_is_kept_of_launches_is_bounded(web: Web) -> None:
    keeping = Frames(web.world.journal, kept=200_000)
    for number in range(1, 41):
        for _ in range(20):
            web.world.journal.append(f"launch/{number}", Logged(Phase.BUILDING, "x" * 1000))
        chunk = keeping.chunk(
            Reader(
                "https://hub.test/",
                number,
                "",
                web.world.keys.session_token,
                "https://hub.test/user/{}/".format,
                log=True,
            ),
            0,
        )
        assert len(chunk.frames) == 20
        assert keeping.size <= 200_000
    assert keeping.size > 100_000


def test_strangers_never_take_the_seats_of_those_who_began_a_launch() -> None:
    seats = Readers()
    taken = [seats.seat(1, f"192.0.2.{n}", holds=False) for n in range(PER_LAUNCH)]
    with pytest.raises(Fail, match="follow this launch already"):
        seats.seat(1, "198.51.100.1", holds=False)
    with seats.seat(1, "198.51.100.1", holds=True), seats.seat(2, "198.51.100.1", holds=False):
        pass
    with taken.pop():
        pass
    seats.seat(1, "198.51.100.1", holds=False)


def test_a_visitor_and_all_of_them_have_so_many_seats_and_give_them_back() -> None:
    seats = Readers()
    theirs = [seats.seat(n, "192.0.2.1", holds=True) for n in range(PER_VISITOR)]
    with pytest.raises(Fail, match="launches from your address"):
        seats.seat(9999, "192.0.2.1", holds=True)
    others = [seats.seat(n, f"10.0.0.{n}", holds=True) for n in range(IN_ALL - PER_VISITOR)]
    with pytest.raises(Fail, match=f"{IN_ALL} follow launches already"):
        seats.seat(9999, "192.0.2.2", holds=True)
    for seat in (*theirs, *others):
        with seat:
            pass
    assert seats.taken == 0


async def test_whoever_finds_no_seat_is_told_when_to_come_back_and_begins_nothing(web: Web) -> None:
    web.world.repositories.gate = asyncio.Event()
    number = web.public.launches.begin(ADDRESS, "x")
    seats = [web.public.readers.seat(number, "203.0.113.1", holds=False) for _ in range(PER_LAUNCH)]
    answer = await web.get(f"/api/launches/{number}/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["failure"]["code"] == "start.too-many-readers"
    seats += [web.public.readers.seat(n, "192.0.2.7", holds=True) for n in range(100, 100 + PER_VISITOR)]
    (only,) = await web.build()
    assert only.data["failure"]["code"] == "start.too-many-readers"
    assert [launch.number for launch in web.public.launches.list(10)] == [number]
