"""What visitors leave in sessions, from the end of one to the beginning of the next."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perijove.domain.events import Event, Logged, Ready
from perijove.domain.keeping import KeptWork
from perijove.domain.launch_options import NO_OPTIONS, LaunchOptions
from perijove.domain.nouns import EndReason, RepoAddress, SessionName
from perijove.sealing import new_key, public_half
from tests.ways.conftest import ADDRESS, OTHER, World, names

KEY = new_key()
MIB = 1024**2
SPELLED = RepoAddress(
    "git", "https%3A%2F%2Fgithub.com%2Fowner%2Frepo.git/dev", "https://github.com/owner/repo.git", "dev", "repo"
)


async def began(
    w: World, key: str = KEY, address: RepoAddress = ADDRESS, options: LaunchOptions = NO_OPTIONS
) -> list[Event]:
    return await w.events(w.launches.begin(address, "192.0.2.7", options, key))


def session(events: list[Event]) -> SessionName:
    assert isinstance(events[-1], Ready), events
    return events[-1].session


async def left(w: World, name: SessionName, **files: bytes) -> KeptWork | None:
    """What is kept of a session that ends with these files changed."""
    w.sandboxes.homes[name] = {**w.sandboxes.homes.get(name, {}), **files}
    await w.sessions.stop(name, EndReason.IDLE)
    await w.until(lambda: w.sandboxes.all_fetched and not list(w.state.handed.iterdir()))
    return next((work for work in await w.keeping.all() if work.session == name), None)


async def test_the_next_session_of_the_repository_gets_it_back_however_it_is_spelled(world: World) -> None:
    async with world.up() as w:
        first = session(await began(w))
        work = await left(w, first, notebook=b"mine")
        assert work is not None
        assert (work.visitor, work.repository) == (public_half(KEY), "github.com/owner/repo")
        events = await began(w, address=SPELLED)
        assert w.sandboxes.homes[session(events)] == {"notebook": b"mine"}
        lines = [event.line for event in events if isinstance(event, Logged)]
        assert "1 file of your last session given back" in lines


async def test_what_a_visitor_made_themselves_is_not_missed_in_the_commit(world: World) -> None:
    opened = LaunchOptions(urlpath="lab/tree/notebook")
    async with world.up() as w:
        assert "Noted" in names(await began(w, options=opened))
        await left(w, session(await began(w)), notebook=b"mine")
        assert "Noted" not in names(await began(w, options=opened))
        assert "Noted" in names(await began(w, options=replace(opened, fresh=True)))


@pytest.mark.parametrize(
    ("key", "address", "options"),
    [
        pytest.param(new_key(), ADDRESS, NO_OPTIONS, id="another visitor"),
        pytest.param("", ADDRESS, NO_OPTIONS, id="nobody known"),
        pytest.param(KEY, OTHER, NO_OPTIONS, id="another repository"),
        pytest.param(KEY, ADDRESS, LaunchOptions(fresh=True), id="nothing is wished back"),
    ],
)
async def test_nobody_else_and_nothing_else_gets_it(
    world: World, key: str, address: RepoAddress, options: LaunchOptions
) -> None:
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        assert session(await began(w, key, address, options)) not in w.sandboxes.homes
        assert len(await w.keeping.all()) == 1


async def test_work_that_goes_on_is_kept_once(world: World) -> None:
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        second = session(await began(w))
        await left(w, second, more=b"more")
        (work,) = await w.keeping.all()
        assert (work.session, work.files) == (second, 2)


async def test_work_that_began_afresh_leaves_the_earlier_one(world: World) -> None:
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        await left(w, session(await began(w, options=LaunchOptions(fresh=True))), other=b"other")
        assert len(await w.keeping.all()) == 2
        assert w.sandboxes.homes == {}
        assert list(w.sandboxes.homes.get(session(await began(w)), ())) == ["other"], "the newest"


async def test_what_nobody_owns_is_not_kept_and_neither_where_the_operator_keeps_nothing(world: World) -> None:
    async with world.up() as w:
        assert await left(w, session(await began(w, key="")), notebook=b"mine") is None
        world.set(session__keep=0.0)
        assert await left(w, session(await began(w)), notebook=b"mine") is None


async def test_it_is_kept_for_its_time_and_no_longer(world: World) -> None:
    world.set(session__keep=100.0)
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        w.clock.time += 99
        assert len(await w.keeping.all()) == 1
        w.clock.time += 1
        assert await w.keeping.all() == []
        assert session(await began(w)) not in w.sandboxes.homes
        assert len(await w.keeping.clean(dry_run=True)) == 1
        assert len(await w.works.all()) == 1
        await w.keeping.clean()
        assert await w.works.all() == []
        assert list(w.state.kept.iterdir()) == []


async def test_of_too_much_the_oldest_goes(world: World) -> None:
    world.set(session__keep_per_visitor=2 * MIB, session__keep_total=2 * MIB)
    async with world.up() as w:
        for size in (4, 5, 6):
            await left(w, session(await began(w, options=LaunchOptions(fresh=True))), notebook=b"x" * size)
            w.clock.time += 1
        assert [work.size for work in await w.keeping.all()] == [6, 5]
        await left(w, session(await began(w, new_key())), notebook=b"y" * 7)
        assert [work.size for work in await w.keeping.all()] == [7, 6]


async def test_what_waits_when_the_service_comes_back_is_taken_in(world: World) -> None:
    async with world.up() as w:
        name = session(await began(w))
    world.sandboxes.homes[name] = {"notebook": b"mine"}
    await world.sandboxes.stop(name, EndReason.IDLE)
    assert await world.works.all() == []
    async with world.up() as w:
        await w.until(lambda: w.sandboxes.all_fetched and not list(w.state.handed.iterdir()))
        (work,) = await w.keeping.all()
        assert work.session == name


async def test_what_nobody_can_read_goes_with_its_time(world: World) -> None:
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        (file,) = w.state.kept.glob("*/*")
        file.with_name("damaged.kept").write_bytes(b"x")
        file.with_name(".half.kept").write_bytes(file.read_bytes())
        w.clock.time = file.stat().st_mtime
        await w.keeping.clean()
        assert sorted(path.name for path in w.state.kept.glob("*/*")) == [".half.kept", "damaged.kept"]
        w.clock.time += w.settings.session.keep + 10
        await w.keeping.clean()
        assert list(w.state.kept.iterdir()) == []


async def test_a_file_that_does_not_open_is_told_and_the_session_goes_on(world: World) -> None:
    async with world.up() as w:
        await left(w, session(await began(w)), notebook=b"mine")
        (file,) = w.state.kept.glob("*/*")
        file.write_bytes(re.sub(rb'"once": "..', b'"once": "zz', file.read_bytes()))
        events = await began(w)
        assert isinstance(events[-1], Ready)
        told = [event.line for event in events if isinstance(event, Logged)]
        assert any("What was kept of a session cannot be read" in line for line in told)
