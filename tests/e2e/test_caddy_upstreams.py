"""Sessions that listen at an address each: a real Caddy finds it by the session's name, with no other configuration."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from websockets.asyncio.client import connect

from perijove.backends.caddy import Caddy
from perijove.backends.caddy.upstreams import UpstreamFolder
from perijove.domain.state import State
from tests.fakes.data_plane import plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import echo, served, upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
LIMIT = 20.0


@pytest.fixture
def upstreams(state: State) -> UpstreamFolder:
    return UpstreamFolder(state.upstreams)


@pytest.fixture
async def client(state: State, upstreams: UpstreamFolder) -> AsyncIterator[httpx.AsyncClient]:
    assets = state.root / "assets"
    assets.mkdir(mode=0o755)
    listen = f"127.0.0.1:{free_port()}"
    caddy = Caddy(state)
    async with (
        upstream(state.control_socket, "control", 418),
        httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False, timeout=LIMIT) as client,
    ):
        await caddy.ensure(replace(plain_table(state, listen, assets), upstreams=state.upstreams))
        try:
            yield client
        finally:
            await caddy.close()


def listener(family: int = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(family)
    made.bind((host, 0))
    return made


def address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def test_a_session_is_found_by_its_name_as_soon_as_it_has_an_address(
    client: httpx.AsyncClient, upstreams: UpstreamFolder
) -> None:
    path = "/user/one/lab/tree/a%20b?x=1&y=%2F"
    assert (await client.get(path)).status_code == 418, "the control plane says why"
    one, other = listener(), listener()
    for bound in (one, other):
        bound.listen()
    async with served(echo("one"), one), served(echo("other"), other):
        upstreams.lead("one", address(one))
        upstreams.lead("other", address(other))
        told = (await client.get(path)).json()
        assert (told["who"], told["raw_path"], told["query"]) == ("one", "/user/one/lab/tree/a%20b", "x=1&y=%2F")
        assert (await client.get("/user/other/")).json()["who"] == "other"
        async with connect(f"ws://{client.base_url.host}:{client.base_url.port}/user/one/ws", proxy=None) as channel:
            await channel.send("hello")
            assert "hello" in str(await channel.recv())
        upstreams.lead("one", address(other))
        assert (await client.get("/user/one/")).json()["who"] == "other", "another pod of its name"
        upstreams.lead("one", "")
        assert (await client.get("/user/one/")).status_code == 418
        upstreams.keep([])
        assert (await client.get("/user/other/")).status_code == 418


async def test_a_request_that_comes_before_its_server_listens_waits(
    client: httpx.AsyncClient, upstreams: UpstreamFolder
) -> None:
    bound = listener()
    upstreams.lead("early", address(bound))
    asking = asyncio.create_task(client.post("/user/early/api/kernels", content=b"body"))
    done, _ = await asyncio.wait({asking}, timeout=0.5)
    assert not done
    bound.listen()
    async with served(echo("early"), bound):
        async with asyncio.timeout(LIMIT):
            answer = (await asking).json()
    assert (answer["who"], answer["body"]) == ("early", "body")


async def test_an_address_of_the_newer_kind_is_one_too(client: httpx.AsyncClient, upstreams: UpstreamFolder) -> None:
    bound = listener(socket.AF_INET6, "::1")
    bound.listen()
    async with served(echo("six"), bound):
        upstreams.lead("six", address(bound))
        assert (await client.get("/user/six/")).json()["who"] == "six"


@pytest.mark.parametrize("path", ["/user/../", "/user/*/", "/user/%2e%2e/"])
async def test_no_path_of_a_visitor_leads_elsewhere(
    client: httpx.AsyncClient, upstreams: UpstreamFolder, state: State, path: str
) -> None:
    bound = listener()
    bound.listen()
    async with served(echo("other"), bound):
        upstreams.lead("other", address(bound))
        (state.control / address(bound)).touch()
        assert (await client.get(path)).status_code == 418
