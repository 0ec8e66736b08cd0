"""Blank sessions: held for an environment that several repositories have, and filled for one launch, or of no use."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from perijove.domain.events import Event, Ready
from perijove.domain.failures import SANDBOX_FAILED, Fail
from perijove.domain.nouns import Mount, RepoAddress, SessionName
from tests.fakes.world import FakeSessions
from tests.ways.conftest import ADDRESS, OTHER, World, names

THIRD = RepoAddress("gh", "owner/third/HEAD", "https://github.com/owner/third", "HEAD", "third")
FOURTH = replace(THIRD, spec="owner/fourth/HEAD", url="https://github.com/owner/fourth", name="fourth")
MB = 1024**2


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.environments.server = (Mount(Path("/server"), Path("/server")),)
    return world


async def held_blank(world: World) -> SessionName:
    """The one that waits once two repositories of one environment were launched."""
    await world.launched(ADDRESS)
    await world.launched(OTHER)
    await world.way.pool.renew()
    (held,) = world.way.pool.held
    return held


def session_of(events: list[Event]) -> str:
    ready = events[-1]
    assert isinstance(ready, Ready), ready
    return ready.session


async def test_a_repository_that_nobody_asked_for_gets_one_with_its_own_files(world: World) -> None:
    async with world.up():
        held = await held_blank(world)
        spec = world.sandboxes.specs[held]
        assert spec.home_from is None
        said = str(spec)
        assert not [word for word in ("owner", "other", "BINDER") if word in said + held]
        events = await world.launched(THIRD)
        assert session_of(events) == held
        assert [name for name in names(events) if name.startswith(("Session", "Queued"))] == ["SessionStarted"]
        assert world.sandboxes.specs[held].home_from == world.folder / "repository"
        variables = world.sandboxes.variables[held]
        assert variables["BINDER_REPO_URL"] == THIRD.url
        assert variables["BINDER_REQUEST"] == "v2/gh/owner/third/HEAD"
        assert len(variables) == 5
        (session,) = [session for session in world.sessions.live if session.name == held]
        assert session.repo.address == THIRD
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 1
        assert held not in world.way.pool.held


async def test_one_repository_alone_gets_none(world: World) -> None:
    async with world.up():
        await world.launched(ADDRESS)
        await world.launched(ADDRESS)
        await world.way.pool.renew()
        (held,) = world.way.pool.held
        assert world.sandboxes.specs[held].home_from is not None


async def test_none_are_begun_that_a_pad_of_before_could_not_fill(world: World) -> None:
    world.sandboxes.fills = False
    async with world.up():
        await world.launched(ADDRESS)
        await world.launched(OTHER)
        await world.way.pool.renew()
        assert world.way.pool.held == []
        world.sandboxes.fills = True  # it was restarted
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 1


async def test_two_at_once_get_two(world: World) -> None:
    world.set(launching__ready=1)
    async with world.up():
        held = await held_blank(world)
        numbers = [world.launches.begin(address, "a") for address in (THIRD, FOURTH)]
        got = [session_of(await world.events(number)) for number in numbers]
        assert len(set(got)) == 2
        assert held in got
        assert len(world.sandboxes.variables) == 1


@pytest.mark.parametrize("name", ["jupyter_server_config.py", ".jupyter", "labconfig", ".local"])
async def test_a_repository_whose_files_a_server_reads_at_its_start_gets_none(world: World, name: str) -> None:
    async with world.up():
        held = await held_blank(world)
        (world.folder / "repository" / name).mkdir()
        assert session_of(await world.launched(THIRD)) != held
        assert world.way.pool.held == [held]


async def test_one_of_other_limits_gets_none(world: World) -> None:
    async with world.up():
        held = await held_blank(world)
        world.set(session__memory=512 * MB)
        assert session_of(await world.launched(THIRD)) != held
        await world.way.pool.renew()
        assert held not in world.sandboxes.specs


async def test_an_environment_with_a_server_of_its_own_has_none(world: World) -> None:
    world.environments.server = ()
    async with world.up():
        for address in (ADDRESS, OTHER, THIRD):
            await world.launched(address)
        await world.way.pool.renew()
        assert world.way.pool.held == []


async def test_a_quota_holds_for_them_too(world: World) -> None:
    async with world.up():
        await held_blank(world)
        await world.launched(THIRD)
        await world.way.pool.renew()
        world.set(launching__per_repo_quota=1, launching__queue_timeout=0.01)
        assert names(await world.launched(THIRD))[-1] == "Failed"
        assert len(world.way.pool.held) == 1


async def test_they_give_way_to_launches(world: World) -> None:
    async with world.up():
        held = await held_blank(world)
        assert await world.way.pool.give_way("github.com/owner/third")
        assert held not in world.sandboxes.specs
        assert not await world.way.pool.give_way("github.com/owner/third")


class Refusing(FakeSessions):
    """Blank ones cannot be filled, or do not listen afterwards."""

    def __init__(self, error: Exception, *, at_fill: bool) -> None:
        super().__init__()
        self.error, self.at_fill = error, at_fill

    async def fill(self, session: SessionName, home_from: Path) -> None:
        if self.at_fill:
            raise self.error
        await super().fill(session, home_from)

    async def set_variables(self, *given: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "at_fill"),
    [
        pytest.param(Fail(SANDBOX_FAILED("its home was changed")), True, id="its home was changed"),
        pytest.param(ConnectionResetError(), False, id="its server has died"),
        pytest.param(TimeoutError(), False, id="its server hangs"),
    ],
)
async def test_where_one_cannot_be_filled_it_is_ended_and_another_is_started(
    world: World, error: Exception, at_fill: bool
) -> None:
    world.sandboxes = Refusing(error, at_fill=at_fill)
    async with world.up():
        held = await held_blank(world)
        assert session_of(await world.launched(THIRD)) != held
        assert held not in world.sandboxes.specs
        assert held not in world.sessions.names
        assert not world.queue.busy
        assert world.journal.read(f"session/{held}") == []


class Hanging(FakeSessions):
    """Filling one takes for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.filling = asyncio.Event()

    async def fill(self, session: SessionName, home_from: Path) -> None:
        self.filling.set()
        await asyncio.Event().wait()


async def test_nothing_is_left_of_one_whose_launch_is_given_up_or_whose_service_is_cut_off(world: World) -> None:
    world.sandboxes = hanging = Hanging()
    async with world.up():
        held = await held_blank(world)
        world.launches.begin(THIRD, "a")
        async with asyncio.timeout(10):
            await hanging.filling.wait()
        assert world.queue.busy
        assert held in world.sandboxes.specs
    assert held not in world.sandboxes.specs
    assert not world.queue.busy


async def test_where_the_environment_of_several_kinds_is_gone_none_is_held_and_nothing_is_a_bug(world: World) -> None:
    async with world.up():
        for address in (ADDRESS, ADDRESS, OTHER, THIRD):
            await world.launched(address)
        world.environments.built.clear()
        await world.way.pool.renew()
        assert world.way.pool.held == []
        await held_blank(world)


async def test_one_that_does_not_last_is_not_made_again_before_a_launch(world: World) -> None:
    async with world.up():
        held = await held_blank(world)
        await world.sandboxes.stop(held, "exited")  # type: ignore[arg-type]
        await world.until(lambda: held not in world.sessions.names)
        await world.way.pool.renew()
        await world.way.pool.renew()
        assert world.way.pool.held == []
        await world.launched(THIRD)
        await world.launched(OTHER)
        await world.way.pool.renew()
        assert len(world.way.pool.held) == 2, "one of the repository that was launched twice, and a blank one"
