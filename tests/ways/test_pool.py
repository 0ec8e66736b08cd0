"""Sessions held ready: for whom, handed out to one, given up for a launch, and never anybody's before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from perijove.domain.events import Event, Ready, SessionEnded, SessionLogged, SessionOpened, SessionStarted
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import Room, SandboxSpec
from perijove.launching.start.pool import AGE
from tests.fakes.world import CrashingSessions, FakeSessions
from tests.ways.conftest import ADDRESS, OTHER, World, names

MB = 1024**2


async def asked_often(world: World) -> None:
    """Twice within the hour."""
    await world.launched()
    await world.launched()
    await world.way.pool.renew()


def session_of(events: list[Event]) -> str:
    ready = events[-1]
    assert isinstance(ready, Ready)
    return ready.session


async def test_the_third_launch_of_a_repository_gets_a_session_that_answers_already(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
        before = len(world.sandboxes.specs)
        events = await world.launched()
        assert session_of(events) == held
        assert len(world.sandboxes.specs) == before
        assert [name for name in names(events) if name.startswith(("Session", "Queued"))] == ["SessionStarted"]


async def test_a_session_that_answers_elsewhere_is_none_of_them_and_asks_for_none(world: World) -> None:
    elsewhere = LaunchOptions(served_at="/user/ada/")
    async with world.up():
        for _ in range(3):
            name = session_of(await world.events(world.launches.begin(ADDRESS, "hub/ada", elsewhere)))
        assert world.sessions.live[-1].path == "/user/ada/"
        assert "--ServerApp.base_url=/user/ada/" in world.sandboxes.specs[name].command
        await world.way.pool.renew()
        assert world.way.pool.held == []
        await asked_often(world)
        (held,) = world.way.pool.held
        assert session_of(await world.events(world.launches.begin(ADDRESS, "hub/ada", elsewhere))) != held


async def test_one_that_is_held_is_nobodys_and_one_that_is_handed_out_is_its_launchs(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
        assert held not in [session.name for session in world.sessions.live]
        assert world.sessions.held == {held}
        world.sandboxes.tell(SessionLogged(held, "Jupyter Server is running"))
        await world.until(lambda: bool(world.sessions._watches[held].lines))
        assert world.journal.read(f"session/{held}") == []

        number = world.launches.begin(ADDRESS, "192.0.2.9")
        assert session_of(await world.events(number)) == held
        session = next(session for session in world.sessions.live if session.name == held)
        assert session.launch == number
        assert [entry.event for entry in world.journal.read(f"session/{held}")] == [
            SessionOpened(session),
            SessionLogged(held, "Jupyter Server is running"),
        ]
        assert world.sessions.held == set()


async def test_a_link_that_is_spelled_otherwise_finds_it_too_and_is_told_as_it_was_spelled(world: World) -> None:
    spelled = replace(ADDRESS, provider="git", spec="…/HEAD", url=ADDRESS.url.replace("owner", "Owner") + ".git")
    async with world.up():
        await world.launched()
        await world.launched(spelled)
        await world.way.pool.renew()
        (held,) = world.way.pool.held
        assert session_of(await world.launched()) == held
        await world.way.pool.renew()
        (held,) = world.way.pool.held
        assert session_of(await world.launched(spelled)) == held
        assert next(session for session in world.sessions.live if session.name == held).repo.address == spelled


async def test_each_is_handed_out_once(world: World) -> None:
    world.set(launching__ready=3)
    async with world.up():
        for _ in range(12):
            await world.launched()
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 3
        numbers = [world.launches.begin(ADDRESS, "a") for _ in range(6)]
        got = [session_of(await world.events(number)) for number in numbers]
        assert len(set(got)) == 6


async def test_another_commit_reference_or_setting_gets_none_of_them(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
        other_ref = replace(ADDRESS, spec="owner/repo/main", ref="main")
        assert session_of(await world.launched(other_ref)) != held
        world.set(session__memory=512 * MB)
        assert session_of(await world.launched()) != held
        await world.way.pool.renew()
        assert held not in world.sandboxes.specs
        assert len(world.way.pool.held) == 1


async def test_they_give_way_to_a_launch_that_has_no_room(world: World) -> None:
    class Tight(FakeSessions):
        """Each sandbox takes 300 MB."""

        async def room(self) -> Room:
            return replace(await super().room(), memory=(2400 - 300 * len(self.specs)) * MB)

    world.sandboxes = Tight()
    async with world.up():
        await asked_often(world)
        assert len(world.way.pool.held) == 1
        for left in (1, 1, 1, 0):  # 1500, 1200, 900, 600 MB are free before each, and it takes 768
            session_of(await world.launched(OTHER))
            assert len(world.way.pool.held) == left
        await world.way.pool.renew()
        assert not world.way.pool.held


@pytest.mark.parametrize(("megabytes", "told"), [(8000, "held"), (1100, "page")], ids=["much memory", "little memory"])
async def test_one_that_is_held_imports_what_kernels_need_where_memory_allows(
    world: World, megabytes: int, told: str
) -> None:
    async with world.up():
        await world.launched()
        await world.launched()
        world.sandboxes.left = replace(world.sandboxes.left, memory=megabytes * MB)
        await world.way.pool.renew()
        (held,) = world.way.pool.held
        asked = {name: dict(spec.environ)["PERIJOVE_KERNEL_AHEAD"] for name, spec in world.sandboxes.specs.items()}
        assert asked.pop(held) == told
        assert set(asked.values()) == {"page"}
        assert session_of(await world.launched()) == held


async def test_a_quota_is_of_a_repository_however_it_is_spelled(world: World) -> None:
    world.set(launching__per_repo_quota=1, launching__queue_timeout=0.01)
    async with world.up():
        await world.launched()
        spelled = replace(ADDRESS, provider="git", spec="…/HEAD", url=ADDRESS.url + ".git")
        assert names(await world.launched(spelled))[-1] == "Failed"
        assert names(await world.launched(OTHER))[-1] == "Ready"


async def test_a_quota_holds_for_those_that_are_ready_too(world: World) -> None:
    async with world.up():
        await asked_often(world)
        world.set(launching__per_repo_quota=2, launching__queue_timeout=0.01)
        events = await world.launched()
        assert names(events)[-1] == "Failed"
        assert len(world.way.pool.held) == 1


async def test_none_is_started_while_a_launch_waits_or_starts(world: World) -> None:
    async with world.up():
        await world.launched()
        await world.launched()
        place = world.queue.places
        place.add(object())  # type: ignore[arg-type]
        await world.way.pool.renew()
        assert not world.way.pool.held
        place.clear()
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 1


async def test_what_does_not_start_is_not_tried_again_before_a_launch(world: World) -> None:
    class Second(CrashingSessions):
        """The first two answer, the third crashes."""

        async def start(self, spec: SandboxSpec) -> None:
            await (super().start(spec) if self.starts >= 2 else FakeSessions.start(self, spec))
            self.starts += 1

        async def status(self, *args: object) -> object:  # type: ignore[override]
            if self.starts > 2:
                raise ConnectionRefusedError
            return await FakeSessions.status(self, *args)  # type: ignore[arg-type]

        starts = 0

    world.sandboxes = crashing = Second()
    async with world.up():
        await asked_often(world)
        assert crashing.starts == 3
        assert not world.way.pool.held
        await world.way.pool.renew()
        assert crashing.starts == 3


async def test_a_mistake_while_one_is_started_ends_nothing_else(world: World) -> None:
    class Mistaken(FakeSessions):
        """The third start meets a bug."""

        starts = 0

        async def start(self, spec: SandboxSpec) -> None:
            self.starts += 1
            if self.starts == 3:
                raise ZeroDivisionError
            await super().start(spec)

    world.sandboxes = sandboxes = Mistaken()
    async with world.up():
        holding = asyncio.create_task(world.way.pool.run())
        await world.launched()
        await world.launched()
        await world.until(lambda: sandboxes.starts == 3)
        await world.launched()
        await world.launched()
        await world.until(lambda: len(world.way.pool.held) == 1)
        holding.cancel()
        await asyncio.wait({holding})


async def test_one_that_died_is_not_handed_out(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
        await world.sandboxes.stop(held, "exited")  # type: ignore[arg-type]
        await world.until(lambda: held not in world.sessions.names)
        events = await world.launched()
        assert session_of(events) != held
        assert any(isinstance(event, SessionStarted) for event in events)
        assert not [entry for entry in world.journal.read(f"session/{held}") if isinstance(entry.event, SessionEnded)]


async def test_old_ones_are_made_anew(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
        world.clock.time += AGE / 2
        await world.launched(OTHER)
        world.clock.time += AGE / 2 + 1
        await world.way.pool.renew()
        assert held not in [*world.way.pool.held, *world.sandboxes.specs]


async def test_those_of_before_a_restart_are_ended(world: World) -> None:
    async with world.up():
        await asked_often(world)
        (held,) = world.way.pool.held
    async with world.up():
        assert held not in world.sandboxes.specs
        assert len(world.sessions.live) == 2
