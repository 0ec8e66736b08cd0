"""A Caddy that is stopped, or does not answer: seen within five seconds and replaced, with the same addresses."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from perijove.backends.caddy import Caddy
from perijove.domain.failures import DATA_PLANE_DOWN, Failure
from perijove.domain.state import State
from perijove.routing.reconcile import Applier, keep
from perijove.wiring.given import SystemClock
from tests.fakes.confined import until
from tests.fakes.data_plane import plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
SEEN_WITHIN = 5.0
LIMIT = 20.0


@pytest.fixture
async def kept(state: State) -> AsyncIterator[tuple[Caddy, str, list[tuple[float, Failure | None]]]]:
    """A Caddy that is kept, its address, and what was told of it, and when."""
    listen = f"127.0.0.1:{free_port()}"
    table = plain_table(state, listen)
    told: list[tuple[float, Failure | None]] = []
    caddy = Caddy(state)
    async with upstream(state.control_socket, "control", 200):
        keeping = asyncio.create_task(
            keep(
                Applier(caddy, lambda: table),
                asyncio.Event(),
                SystemClock(),
                lambda failure: told.append((time.monotonic(), failure)),
            )
        )
        await until(lambda: len(told) == 1, LIMIT)
        yield caddy, listen, told
        keeping.cancel()
        await asyncio.wait([keeping])
        await caddy.close()


async def test_a_stopped_one_is_replaced(kept: tuple[Caddy, str, list[tuple[float, Failure | None]]]) -> None:
    caddy, listen, told = kept
    first = caddy.pid()
    assert first is not None
    stopped = time.monotonic()
    os.kill(first, signal.SIGSTOP)
    async with httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False, timeout=LIMIT) as client:
        await until(lambda: len(told) == 3, LIMIT)
        (seen, failure), (_, after) = told[1:]
        assert failure is not None
        assert failure.kind is DATA_PLANE_DOWN
        assert "is stopped" in failure.evidence[0].saw
        assert after is None
        assert seen - stopped < SEEN_WITHIN
        assert caddy.pid() not in {None, first}
        assert (await client.get("/")).status_code == 200


async def test_one_that_answers_is_left_alone(kept: tuple[Caddy, str, list[tuple[float, Failure | None]]]) -> None:
    caddy, listen, told = kept
    first = caddy.pid()
    host, port = listen.split(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
    async with httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False, timeout=LIMIT) as client:
        until_then = time.monotonic() + 3 * SEEN_WITHIN / 2
        while time.monotonic() < until_then:
            assert (await client.get("/")).status_code == 200
    for _, writer in silent:
        writer.close()
    assert (caddy.pid(), len(told)) == (first, 1)
