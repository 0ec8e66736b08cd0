"""The port `DataPlane`: the same questions to every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from perijove.backends.caddy import Caddy
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.failures import PORT_TAKEN, Fail
from perijove.domain.ports import DataPlane
from perijove.domain.state import State
from tests.fakes.data_plane import FakeDataPlane, plain_table
from tests.fakes.ports import free_port, listening
from tests.fakes.upstream import upstream

LIMIT = 20.0


@pytest.fixture
def table(state: State) -> DataPlaneTable:
    assets = state.root / "assets"
    assets.mkdir(mode=0o755)
    (assets / "a.css").write_text("a {}")
    return plain_table(state, f"127.0.0.1:{free_port()}", assets)


@pytest.fixture(params=["fake", "caddy"])
async def plane(request: pytest.FixtureRequest, state: State) -> AsyncIterator[DataPlane]:
    plane: DataPlane = FakeDataPlane() if request.param == "fake" else Caddy(state)
    yield plane
    await plane.close()


async def _ended(plane: DataPlane) -> bool:
    """Whether it has ended, asked without waiting."""
    try:
        async with asyncio.timeout(0.2):
            await plane.ended()
    except TimeoutError:
        return False
    return True


async def test_one_that_was_never_started_has_ended(plane: DataPlane) -> None:
    assert await _ended(plane)


async def test_it_runs_until_it_is_closed(plane: DataPlane, table: DataPlaneTable) -> None:
    await plane.ensure(table)
    assert not await _ended(plane)
    await plane.close()
    assert await _ended(plane)


async def test_closing_twice_is_closing_once(plane: DataPlane, table: DataPlaneTable) -> None:
    await plane.ensure(table)
    await plane.close()
    await plane.close()


async def test_ensuring_again_changes_nothing(plane: DataPlane, table: DataPlaneTable) -> None:
    await plane.ensure(table)
    await plane.ensure(table)
    assert not await _ended(plane)


async def test_a_waiter_hears_of_its_end(plane: DataPlane, table: DataPlaneTable) -> None:
    await plane.ensure(table)
    waiting = asyncio.create_task(plane.ended())
    await asyncio.sleep(0)
    assert not waiting.done()
    await plane.close()
    async with asyncio.timeout(LIMIT):
        await waiting


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_address_in_use_is_a_failure_that_names_the_holder(
    plane: DataPlane, table: DataPlaneTable, scheme: str
) -> None:
    with listening() as port:
        if isinstance(plane, FakeDataPlane):
            plane.taken.add(f"127.0.0.1:{port}")
        there = (f"127.0.0.1:{port}",)
        wanted = replace(table, http=there) if scheme == "http" else replace(table, https=there)
        with pytest.raises(Fail) as raised:
            await plane.ensure(wanted)
        assert raised.value.failure.kind is PORT_TAKEN
        assert "(process " in raised.value.failure.cause
        assert await _ended(plane)
    await plane.ensure(table)


async def test_it_serves_what_the_table_says(state: State, table: DataPlaneTable) -> None:
    """Only for those that really serve."""
    caddy = Caddy(state)
    async with upstream(state.control_socket, "control"):
        await caddy.ensure(table)
        try:
            async with httpx.AsyncClient(base_url=f"http://{table.http[0]}", trust_env=False) as client:
                assert (await client.get("/anything")).json()["who"] == "control"
        finally:
            await caddy.close()
