from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perijove.backends.sqlite import SqliteLedger
from perijove.domain import failures, request_failures, server_failures
from perijove.domain.activity import Ending, ServerUse
from perijove.domain.events import (
    Entry,
    Event,
    Failed,
    Fetched,
    Logged,
    Noted,
    Phase,
    Queued,
    Ready,
    Requested,
    Resolved,
    Retrying,
    SessionEnded,
    SessionLogged,
    SessionTroubled,
)
from perijove.domain.failures import Failure
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import EndReason, ResolvedRepo, Room
from perijove.domain.wire import encode
from perijove.launching.start.sessions import LOOKS_AT_ONCE
from perijove.launching.way import FETCHES
from tests.fakes.world import (
    CrashingSessions,
    FakeSessions,
    FullDiskSessions,
    OutgrownSessions,
    StarvedSessions,
)
from tests.ways.conftest import ADDRESS, OTHER, World, names

WHOLE = [
    "Requested",
    "Resolved",
    "Logged",
    "Fetched",
    "BuildStarted",
    "Logged",
    "Built",
    "SessionStarted",
    "Logged",
    "Ready",
]


async def test_hosts_that_never_answer_hold_up_nobody_but_the_visitor_who_named_them(world: World) -> None:
    answers = world.repositories.gate = asyncio.Event()
    async with world.up():
        theirs = [world.launches.begin(ADDRESS, f"2001:db8::{n + 1:x}") for n in range(2 * FETCHES)]
        await world.until(lambda: _states(world, theirs) == ["fetching"] * FETCHES + ["resolving"] * FETCHES)
        waiting = [entry.event for entry in world.journal.read(f"launch/{theirs[-1]}", 0, 9)]
        assert waiting[-1] == Logged(Phase.FETCHING, "Waiting for others of your 8 launches that are being fetched")
        other = world.launches.begin(OTHER, "2001:db8:0:1::1")
        await world.until(lambda: _states(world, [other]) == ["fetching"])
        answers.set()
        for number in (*theirs, other):
            assert isinstance((await world.events(number))[-1], Ready)


def _states(world: World, numbers: list[int]) -> list[str]:
    return [launch.state for number in numbers if (launch := world.launches.get(number))]


async def test_a_launch_is_told_from_link_to_ready(world: World) -> None:
    async with world.up():
        events = await world.launched()
        assert names(events) == WHOLE
        ready = events[-1]
        assert isinstance(ready, Ready)
        assert ready.path == f"/user/{ready.session}/"
        spec = world.sandboxes.specs[ready.session]
        environ = dict(spec.environ)
        assert environ["JUPYTER_TOKEN"] == world.keys.session_token(ready.session)
        assert environ["JUPYTER_TOKEN"] not in "".join(spec.command)
        assert f"--ServerApp.base_url={ready.path}" in spec.command
        assert environ["BINDER_REQUEST"] == "v2/gh/owner/repo/HEAD"
        assert environ["BINDER_PERSISTENT_REQUEST"] == f"v2/gh/owner/repo/{'1' * 40}"


async def test_no_event_holds_the_session_s_token(world: World) -> None:
    async with world.up():
        events = await world.launched()
        ready = events[-1]
        assert isinstance(ready, Ready)
        assert world.keys.session_token(ready.session) not in str([encode(event) for event in events])


async def test_a_built_environment_is_found_again(world: World) -> None:
    async with world.up():
        await world.launched()
        events = await world.launched()
        assert "BuildStarted" not in names(events)
        assert world.environments.builds == 1


async def test_a_link_to_a_file_that_was_moved_opens_it_and_says_so(world: World) -> None:
    moved = world.repositories.folder / "notebooks" / "a b.ipynb"
    moved.parent.mkdir()
    moved.touch()
    async with world.up():
        number = world.launches.begin(ADDRESS, "a", LaunchOptions(urlpath="doc/tree/a%20b.ipynb"))
        events = await world.events(number)
        told = Noted(
            "This commit has no a b.ipynb; it has notebooks/a b.ipynb, which is opened",
            "doc/tree/notebooks/a%20b.ipynb",
        )
        assert events[4] == told
        launch = world.launches.get(number)
        assert launch is not None
        assert launch.opened("doc/tree/a%20b.ipynb#top") == told.urlpath
        assert launch.opened("doc/tree/notebooks") == "doc/tree/notebooks", "another link to the same launch"
        there = world.launches.begin(ADDRESS, "a", LaunchOptions(urlpath=told.urlpath))
        assert "Noted" not in names(await world.events(there))


async def test_a_file_in_a_person_s_home_is_no_commit_s(world: World) -> None:
    async with world.up():
        options = LaunchOptions(urlpath="lab/tree/home/mine.ipynb")
        for path, person, missed in (("", "ada", True), ("/homes", "", True), ("/homes", "ada", False)):
            world.set(home__path=path)
            events = await world.events(world.launches.begin(ADDRESS, "a", options, person=person))
            assert ("Noted" in names(events)) is missed


async def test_a_launch_that_wishes_for_no_session_ends_with_its_environment(world: World) -> None:
    async with world.up():
        number = world.launches.begin(ADDRESS, "a", LaunchOptions(build_only=True))
        events = await world.events(number)
        assert names(events) == [*WHOLE[: WHOLE.index("Built") + 1], "Prepared"]
        assert world.sandboxes.specs == {}
        launch = world.launches.get(number)
        assert launch is not None
        assert (launch.state, launch.session, launch.ended_at is not None) == ("built", None, True)
        assert "BuildStarted" not in names(await world.launched())


async def test_a_launch_builds_anew_once_where_that_is_wished(world: World) -> None:
    async with world.up():
        await world.launched()
        events = await world.events(world.launches.begin(ADDRESS, "a", LaunchOptions(again=True)))
        assert names(events) == WHOLE
        assert world.environments.builds == 2
        assert "BuildStarted" not in names(await world.launched())


async def test_a_session_that_is_tried_again_is_not_built_anew_again(world: World) -> None:
    world.sandboxes = CrashingSessions()
    async with world.up():
        events = await world.events(world.launches.begin(ADDRESS, "a", LaunchOptions(again=True)))
        assert names(events).count("BuildStarted") == 1
        assert world.environments.builds == 1


async def test_two_launches_of_one_commit_share_one_build(world: World) -> None:
    world.environments.gate = asyncio.Event()
    async with world.up():
        first, second = world.launches.begin(ADDRESS, "a"), world.launches.begin(ADDRESS, "b")
        await world.until(lambda: all(state(world, number) == "building" for number in (first, second)))
        world.environments.gate.set()
        assert isinstance((await world.events(first))[-1], Ready)
        assert isinstance((await world.events(second))[-1], Ready)
        assert world.environments.builds == 1


def state(world: World, number: int) -> str:
    launch = world.launches.get(number)
    assert launch is not None
    return launch.state if "BuildStarted" in names([e.event for e in world.journal.read(f"launch/{number}")]) else ""


BROKEN = [
    pytest.param("resolve", failures.REF_NOT_FOUND("no branch x"), id="resolve"),
    pytest.param("fetch", failures.TOO_LARGE("3 GB"), id="fetch"),
    pytest.param("build", failures.CONFLICT("a and b"), id="build"),
]


@pytest.mark.parametrize(("step", "failure"), BROKEN)
async def test_a_step_that_fails_ends_the_launch_with_its_failure(world: World, step: str, failure: Failure) -> None:
    where = {
        "resolve": world.repositories.fails,
        "fetch": world.repositories.fetch_fails,
        "build": world.environments.fails,
    }
    where[step].append(failure)
    async with world.up():
        events = await world.launched()
        assert events[-1] == Failed(failure)
        assert sum(isinstance(event, (Ready, Failed)) for event in events) == 1
        launch = world.launches.get(1)
        assert launch is not None
        assert (launch.state, launch.failure) == ("failed", failure)


async def test_what_trying_again_can_help_is_tried_again_and_told(world: World) -> None:
    trouble = failures.HOST_UNREACHABLE("it is away")
    world.repositories.fails[:] = [trouble, trouble]
    async with world.up():
        events = await world.launched()
        assert [event for event in events if isinstance(event, Retrying)] == [
            Retrying(trouble, 2.0),
            Retrying(trouble, 5.0),
        ]
        assert isinstance(events[-1], Ready)
        assert world.clock.slept[:2] == [2.0, 5.0]


async def test_a_launch_that_fails_is_told_with_what_the_machine_has_to_do_with_it_and_tried_again_as_itself(
    world: World,
) -> None:
    async def full(_: Failure) -> Failure:
        return failures.DISK_FULL("0 bytes are free")

    world.explain = full
    world.repositories.fails[:] = [failures.HOST_UNREACHABLE("it is away")] * 10
    async with world.up():
        events = await world.launched()
        told = [event.failure for event in events if isinstance(event, (Retrying, Failed))]
        assert told == [failures.DISK_FULL("0 bytes are free")] * (world.settings.launching.retries + 1)


async def test_trying_again_ends(world: World) -> None:
    trouble = failures.HOST_UNREACHABLE("it is away")
    world.repositories.fails[:] = [trouble] * 10
    async with world.up():
        events = await world.launched()
        assert events[-1] == Failed(trouble)
        assert sum(isinstance(event, Retrying) for event in events) == world.settings.launching.retries


async def test_a_banned_repository_is_refused_before_anything_is_fetched(world: World) -> None:
    world.set(launching__banned=("gh/owner/.*",))
    async with world.up():
        events = await world.launched()
        assert names(events) == ["Requested", "Failed"]
        assert isinstance(events[-1], Failed)
        assert events[-1].failure.kind is failures.NOT_ALLOWED


async def test_a_bug_is_told_as_a_bug_with_its_place(world: World) -> None:
    class Broken(FakeSessions):
        async def start(self, spec: object) -> None:
            raise ZeroDivisionError("division by zero")

    world.sandboxes = Broken()
    async with world.up():
        failure = (await world.launched())[-1]
        assert isinstance(failure, Failed)
        assert failure.failure.kind is failures.BUG
        assert "ZeroDivisionError in" in failure.failure.cause
        assert "Broken.start" in failure.failure.cause


CRASHES = [
    pytest.param(CrashingSessions(), server_failures.SERVER_CRASHED, "No module named 'jupyterlab'", id="crash"),
    pytest.param(FullDiskSessions(), failures.START_DISK, "No space left on device", id="disk full"),
    pytest.param(OutgrownSessions(), failures.START_DISK, "ended with exit code 1", id="disk outgrown"),
    pytest.param(StarvedSessions(), server_failures.START_MEMORY, "exit code 1", id="out of memory"),
]


@pytest.mark.parametrize(("sandboxes", "kind", "words"), CRASHES)
async def test_a_server_that_dies_is_told_with_its_last_words(
    world: World, sandboxes: FakeSessions, kind: failures.Kind, words: str
) -> None:
    world.sandboxes = sandboxes
    async with world.up():
        events = await world.launched()
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.kind is kind
        assert words in failed.failure.cause
        assert failed.failure.evidence
        session = next(entry for entry in world.journal.ledger.subjects("session/", 5))
        assert isinstance([e.event for e in world.journal.read(session)][-1], SessionEnded)
        assert not world.queue.places


async def test_a_launch_waits_for_room_and_is_told_its_position(world: World) -> None:
    world.set(launching__total_quota=1)
    async with world.up():
        ready = (await world.launched())[-1]
        assert isinstance(ready, Ready)
        waiting = [world.launches.begin(OTHER, "a"), world.launches.begin(OTHER, "b")]
        await world.until(lambda: len(world.queue.positions) == 2)
        second = [e.event for e in world.journal.read(f"launch/{waiting[1]}")][-1]
        assert isinstance(second, Queued)
        assert second.position == 2
        assert "allows 1" in second.why
        await world.sessions.stop(ready.session, EndReason.STOPPED)
        next_ready = (await world.events(waiting[0]))[-1]
        assert isinstance(next_ready, Ready)
        await world.until(
            lambda: [e.event for e in world.journal.read(f"launch/{waiting[1]}")][-1] == Queued(1, second.why)
        )
        await world.sessions.stop(next_ready.session, EndReason.STOPPED)
        assert isinstance((await world.events(waiting[1]))[-1], Ready)


async def test_no_memory_is_a_place_in_the_queue_and_no_error(world: World) -> None:
    world.sandboxes.left = Room(100 * 1024**2, 100 * 1024**3, 1_000_000, 2)
    async with world.up():
        number = world.launches.begin(ADDRESS, "a")
        await world.until(lambda: len(world.queue.positions) == 1)
        world.sandboxes.left = Room(8 * 1024**3, 100 * 1024**3, 1_000_000, 2)
        world.sessions.over()
        assert isinstance((await world.events(number))[-1], Ready)


async def test_waiting_for_room_ends(world: World) -> None:
    world.set(launching__total_quota=1, launching__queue_timeout=0.05, launching__retries=0)
    async with world.up():
        await world.launched()
        failed = (await world.launched())[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.kind is failures.WAITED_TOO_LONG
        assert not world.queue.positions


async def test_a_full_queue_turns_away(world: World) -> None:
    world.set(launching__total_quota=1, launching__queue_length=1, launching__retries=0)
    async with world.up():
        await world.launched()
        world.launches.begin(OTHER, "a")
        await world.until(lambda: len(world.queue.positions) == 1)
        failed = (await world.launched())[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.kind is failures.QUEUE_FULL


async def test_a_launch_goes_on_when_nobody_reads_it(world: World) -> None:
    async with world.up():
        number = world.launches.begin(ADDRESS, "a")
        reader = world.journal.follow(f"launch/{number}")
        await anext(reader)
        await reader.aclose()  # type: ignore[attr-defined]
        assert isinstance((await world.events(number))[-1], Ready)


async def test_a_reader_that_comes_back_is_told_the_rest_and_starts_nothing(world: World) -> None:
    async with world.up():
        number = world.launches.begin(ADDRESS, "a")
        entries = [entry async for entry in world.journal.follow(f"launch/{number}")]
        rest = [entry async for entry in world.journal.follow(f"launch/{number}", entries[3].seq)]
        assert rest == entries[4:]
        assert [e async for e in world.journal.follow(f"launch/{number}", entries[-1].seq)] == []
        assert len(world.launches.list(10)) == 1


async def test_a_session_that_dies_later_is_told_in_its_own_log(world: World) -> None:
    async with world.up():
        ready = (await world.launched())[-1]
        assert isinstance(ready, Ready)
        trouble = failures.KERNEL_MEMORY("2 GB were used up")
        world.sandboxes.tell(SessionLogged(ready.session, "kernel started"))
        world.sandboxes.tell(SessionTroubled(ready.session, trouble))
        world.sandboxes.tell(SessionEnded(ready.session, EndReason.EXITED, "killed", -9))
        await world.until(lambda: not world.sessions.live)
        assert names([entry.event for entry in world.journal.read(f"session/{ready.session}")]) == [
            "SessionOpened",
            "SessionLogged",
            "SessionTroubled",
            "SessionTroubled",
            "SessionEnded",
        ]


async def test_a_launch_cut_off_by_a_restart_is_told_so_and_its_build_is_taken_up_again(world: World) -> None:
    before = SqliteLedger(world.folder / "perijove.db")
    number = before.next_number()
    before.append(f"launch/{number}", 1.0, Requested(ADDRESS, "a"))
    before.append(f"launch/{number}", 2.0, Resolved(ResolvedRepo(ADDRESS, "1" * 40, "refs/heads/main")))
    before.append(f"launch/{number}", 3.0, Fetched("1" * 40))
    before.close()
    async with world.up():
        failed = (await world.events(number))[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.kind is failures.INTERRUPTED
        assert "building" in failed.failure.cause
        await world.until(lambda: world.environments.builds == 1)


async def test_sessions_of_before_a_restart_go_on_and_the_lost_ones_are_told(world: World) -> None:
    async with world.up():
        first, second = (await world.launched())[-1], (await world.launched())[-1]
        assert isinstance(first, Ready)
        assert isinstance(second, Ready)
    del world.sandboxes.specs[second.session]
    world.sandboxes.specs["unknown-1"] = world.sandboxes.specs[first.session]
    async with world.up():
        assert [session.name for session in world.sessions.live] == [first.session]
        last = [entry.event for entry in world.journal.read(f"session/{second.session}")][-1]
        assert isinstance(last, SessionEnded)
        assert last.reason is EndReason.PAD_LOST
        assert ("unknown-1", EndReason.FAILED_START) in world.sandboxes.stopped


async def test_a_session_in_use_goes_on_and_an_idle_one_is_stopped(world: World) -> None:
    world.set(session__idle_timeout=100.0, session__max_age=0.0)
    world.sandboxes.server_use = ServerUse(1, 0, 0, 0)
    async with world.up():
        await world.launched()
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: world.clock.time > 1_005_000)
        world.sandboxes.server_use, world.sandboxes.jobs = ServerUse(0, 0, 0, 0), 1
        await world.until(lambda: world.clock.time > 1_010_000)
        assert world.sessions.live
        world.sandboxes.jobs = 0
        await world.until(lambda: not world.sessions.live)
        assert world.sandboxes.stopped[-1][1] is EndReason.IDLE
        told = world.sandboxes.told.ending
        assert told is not None
        assert told.reason is EndReason.IDLE, "its pages could say so before"
        assert told.at < world.clock.time
        culling.cancel()


async def test_an_old_session_is_stopped_however_busy(world: World) -> None:
    world.set(session__idle_timeout=0.0, session__max_age=1000.0)
    world.sandboxes.server_use = ServerUse(1, 1, 1, 2_000_000)
    async with world.up():
        await world.launched()
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: not world.sessions.live)
        assert world.sandboxes.stopped[-1][1] is EndReason.OLD
        assert world.clock.time > 1_001_000
        culling.cancel()


async def test_a_session_that_the_operator_has_stopped_later_is_told_of_it_first(world: World) -> None:
    world.set(session__idle_timeout=0.0, session__max_age=0.0, session__tab_timeout=0.0)
    world.sandboxes.server_use = ServerUse(1, 1, 1, 2_000_000)
    async with world.up():
        await world.launched()
        (session,) = world.sessions.live
        world.sessions.stop_later(session.name, 600)
        culling = asyncio.create_task(world.sessions.cull())
        begun = world.clock.time
        await world.until(lambda: world.sandboxes.told.ending is not None)
        assert world.sandboxes.told.ending == Ending(begun + 600, EndReason.STOPPED)
        await world.until(lambda: not world.sessions.live)
        assert world.sandboxes.stopped[-1][1] is EndReason.STOPPED
        assert world.clock.time > begun + 600
        world.sessions.stop_later(session.name, 600)
        culling.cancel()


async def test_a_service_that_drains_takes_no_more_launches(world: World) -> None:
    async with world.up():
        await world.launches.drain(0)
        with pytest.raises(failures.Fail) as caught:
            world.launches.begin(ADDRESS, "a")
        assert caught.value.failure.kind is request_failures.DRAINING


async def test_a_service_that_is_closed_takes_no_launches_until_it_is_opened(world: World) -> None:
    async with world.up():
        world.launches.closed = request_failures.DRAINED("back at six")
        with pytest.raises(failures.Fail) as caught:
            world.launches.begin(ADDRESS, "a")
        assert caught.value.failure == world.launches.closed
        world.launches.closed = None
        assert world.launches.begin(ADDRESS, "a") == 1


async def test_two_launches_at_once_do_not_see_the_same_room(world: World) -> None:
    world.set(launching__total_quota=1)
    async with world.up():
        first, second = world.launches.begin(ADDRESS, "a"), world.launches.begin(OTHER, "b")
        await world.until(lambda: len(world.queue.positions) == 1)
        await world.until(lambda: len(world.sessions.live) == 1)
        ready = [n for n in (first, second) if (launch := world.launches.get(n)) and launch.state == "ready"]
        assert len(ready) == 1
        assert len(world.sandboxes.specs) == 1


async def test_a_full_disk_is_told_and_the_service_goes_on(world: World) -> None:
    async with world.up():
        running = (await world.launched())[-1]
        assert isinstance(running, Ready)
        world.journal.ledger = FullLedger(world.ledger, free=4)
        failed = (await world.launched())[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.kind is failures.DISK_FULL
        with pytest.raises(failures.Fail):
            world.launches.begin(ADDRESS, "a")
        world.sandboxes.tell(SessionEnded(running.session, EndReason.EXITED, "ended", 1))
        await world.until(lambda: not world.sessions.live)
        world.journal.ledger = world.ledger
        assert isinstance((await world.launched())[-1], Ready)


class FullLedger:
    """A ledger whose disk takes `free` more events."""

    def __init__(self, ledger: SqliteLedger, free: int) -> None:
        self._ledger = ledger
        self._free = free

    def append(self, subject: str, at: float, event: Event) -> Entry:
        if self._free == 0:
            raise failures.Fail(failures.DISK_FULL("an event could not be written down"))
        self._free -= 1
        return self._ledger.append(subject, at, event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


async def test_a_pad_that_is_away_for_a_moment_does_not_end_the_watch_over_idle_sessions(world: World) -> None:
    class Away(FakeSessions):
        away = True

        async def stop(self, session: str, reason: EndReason) -> None:
            if self.away:
                self.away = False
                raise failures.Fail(failures.PAD_DOWN("it is being restarted"))
            await super().stop(session, reason)

    world.sandboxes = Away()
    world.set(session__idle_timeout=0.0, session__max_age=1000.0)
    async with world.up():
        await world.launched()
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: not world.sessions.live)
        assert not culling.done()
        culling.cancel()


async def test_servers_that_hang_delay_no_look_at_others_and_few_are_asked_at_once(world: World) -> None:
    class Hung(FakeSessions):
        asked = 0
        hung = LOOKS_AT_ONCE - 1

        async def use(self, session: str, base_url: str, *of: Any) -> ServerUse:
            self.asked += 1
            if self.asked <= self.hung:
                await asyncio.Event().wait()
            return ServerUse(0, 0, 0, 0)

    world.sandboxes = sandboxes = Hung()
    world.set(session__idle_timeout=1.0, session__max_age=0.0)
    async with world.up():
        for _ in range(LOOKS_AT_ONCE + 3):
            await world.launched()
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: len(world.sessions.live) == sandboxes.hung)
        culling.cancel()
        await asyncio.wait({culling})
        sandboxes.asked, sandboxes.hung = 0, 2 * LOOKS_AT_ONCE
        for _ in range(LOOKS_AT_ONCE):
            await world.launched()
        culling = asyncio.create_task(world.sessions.cull())
        await world.until(lambda: sandboxes.asked == LOOKS_AT_ONCE)
        for _ in range(100):
            await asyncio.sleep(0)
        assert sandboxes.asked == LOOKS_AT_ONCE
        culling.cancel()


async def test_a_session_that_ended_while_the_service_was_away_is_told_with_its_reason(world: World) -> None:
    async with world.up():
        ready = (await world.launched())[-1]
        assert isinstance(ready, Ready)
    del world.sandboxes.specs[ready.session]
    ended = SessionEnded(ready.session, EndReason.MEMORY, "it reached its 2 GB", -9)
    world.sandboxes.missed = [ended]
    async with world.up():
        assert not world.sessions.live
        assert [entry.event for entry in world.journal.read(f"session/{ready.session}")][-1] == ended


async def test_a_session_that_cannot_be_written_down_leaves_nothing(world: World) -> None:
    async with world.up():
        await world.launched()
        # Requested, Resolved, Logged, Fetched and Built still find room, SessionOpened does not.
        world.journal.ledger = FullLedger(world.ledger, free=5)
        await world.launched()
        assert len(world.sandboxes.specs) == 1
        assert not world.queue.places
        world.journal.ledger = world.ledger
        world.sessions.told_stopped()
        assert len(world.ledger.subjects("session/", 10)) == 1


async def test_sessions_begun_at_once_get_different_hosts(world: World) -> None:
    world.set(service__hosts=("b.example",), service__session_hosts=("s1.b.example", "s2.b.example"))
    async with world.up():
        ends = [events[-1] for events in await asyncio.gather(world.launched(), world.launched())]
        labels = {end.session.partition("--")[2] for end in ends if isinstance(end, Ready)}
        assert labels == {"s1", "s2"}
        assert {session.name for session in world.sessions.live} == {e.session for e in ends if isinstance(e, Ready)}
