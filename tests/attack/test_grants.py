"""Sessions that belong to people are opened by a grant alone: real Caddy, before it whoever has none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import httpx
import pytest
from websockets.asyncio.client import connect

from perijove.backends.caddy import Caddy
from perijove.backends.grants import GrantFolder
from perijove.domain.keys import Keys
from perijove.domain.state import State
from tests.fakes.data_plane import begun_anew, plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
KEYS = Keys(b"s" * 32)
TOKEN = KEYS.session_token("one")


@dataclass
class Front:
    port: int
    client: httpx.AsyncClient
    grants: GrantFolder

    async def asked(self, session: str = "one", path: str = "", **headers: str) -> dict[str, object]:
        """What whoever answered was asked."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.get(f"/user/{session}/{path}", headers=named)
        told: dict[str, object] = answer.json()
        return told

    async def who(self, session: str = "one", path: str = "", **headers: str) -> object:
        return (await self.asked(session, path, **headers))["who"]


@pytest.fixture
async def front(state: State) -> AsyncIterator[Front]:
    port = free_port()
    grants = GrantFolder(state.grants, KEYS)
    table = replace(plain_table(state, f"127.0.0.1:{port}"), grants=state.grants)
    caddy = Caddy(state)
    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)
        await stack.enter_async_context(client)
        await stack.enter_async_context(upstream(state.control_socket, "control"))
        for name in ("one", "two"):
            await stack.enter_async_context(upstream(state.session_sockets / f"{name}.sock", name))
        try:
            await caddy.ensure(table)
            yield Front(port, client, grants)
        finally:
            await caddy.close()


async def test_nothing_but_the_session_s_own_grant_opens_it(front: Front) -> None:
    mine, other = front.grants.give("one", "ada"), front.grants.give("two", "ada")
    assert await front.who(Cookie=f"a=b; perijove_grant={mine}; c=d") == "one"
    assert await front.who("two", Cookie=f"perijove_grant={other}") == "two"
    assert await front.who(path=f"?token={TOKEN}") == "control"
    assert await front.who(Authorization=f"token {TOKEN}") == "control"
    for wrong in (
        other, "", "none", ".", "..", "/", "*", "?" * 48, f"{mine}/", f"./{mine}", f"../one/{mine}", f"../two/{other}",
        f"{mine[:-1]}*", f"[{mine[0]}]{mine[1:]}", mine.upper().replace("0", "O"), f"{mine}0", f"%2e%2e/two/{other}",
        "{http.regexp.session.1}", "0" * 48,
    ):  # fmt: skip
        assert await front.who(Cookie=f"perijove_grant={wrong}") == "control", wrong
        assert await front.who(Authorization=f"token {TOKEN}.{wrong}") == "control", wrong


async def test_a_cookie_that_another_session_s_host_set_hides_no_grant(front: Front) -> None:
    mine, tossed = front.grants.give("one", "ada"), "0" * 48
    shown = f"perijove_grant={tossed}; __Host-perijove_grant={mine}; perijove_grant={tossed}"
    assert await front.who(Cookie=shown) == "one"
    assert await front.who("two", Cookie=f"__Host-perijove_grant={mine}") == "control"


async def test_a_grant_that_is_withdrawn_opens_nothing_more(front: Front) -> None:
    mine, theirs = front.grants.give("one", "ada"), front.grants.give("one", "bob")
    front.grants.withdraw("ada")
    assert await front.who(Cookie=f"perijove_grant={mine}") == "control"
    assert await front.who(Cookie=f"perijove_grant={theirs}") == "one"
    front.grants.keep({"two"})
    assert await front.who(Cookie=f"perijove_grant={theirs}") == "control"


async def test_programs_show_a_grant_behind_the_session_s_token(front: Front) -> None:
    grant = front.grants.give("one", "ada")
    asked = await front.asked(Authorization=f"token {TOKEN}.{grant}")
    assert asked["who"] == "one"
    headers = asked["headers"]
    assert isinstance(headers, dict)
    assert headers["authorization"] == f"token {TOKEN}"


async def test_a_session_is_not_told_what_opens_it_nor_who_is_logged_in(front: Front) -> None:
    grant = front.grants.give("one", "ada")
    secret = "5" * 64
    for cookies in (
        f"_xsrf=1; perijove_grant={grant}; perijove_login={secret}; __Host-perijove_login={secret}; mine=2",
        f"perijove_grant={grant};perijove_login={secret};_xsrf=1; mine=2",
        f"_xsrf=1; mine=2; __Host-perijove_login={secret}; perijove_grant={grant}",
        f"_xsrf=1; __Host-perijove_grant={grant}; mine=2",
    ):
        asked = await front.asked(Cookie=cookies)
        assert asked["who"] == "one"
        assert grant not in json.dumps(asked)
        assert secret not in json.dumps(asked)
        headers = asked["headers"]
        assert isinstance(headers, dict)
        kept = {one.strip() for one in headers["cookie"].split(";") if one.strip()}
        assert kept == {"_xsrf=1", "mine=2"}


async def test_a_session_is_not_told_its_visitor_s_key_where_nobody_logs_in(state: State) -> None:
    port, caddy = free_port(), Caddy(state)
    headers = {"Cookie": "_xsrf=1; __Host-perijove_visitor=mine; perijove_visitor=mine"}
    try:
        async with upstream(state.session_sockets / "one.sock", "one"):
            await caddy.ensure(plain_table(state, f"127.0.0.1:{port}"))
            async with httpx.AsyncClient(trust_env=False) as client:
                asked = (await client.get(f"http://127.0.0.1:{port}/user/one/", headers=headers)).json()
        assert (asked["who"], "mine" in json.dumps(asked), "_xsrf=1" in json.dumps(asked)) == ("one", False, True)
    finally:
        await caddy.close()


async def test_a_websocket_is_opened_by_a_grant_and_by_nothing_else(front: Front) -> None:
    address = f"ws://127.0.0.1:{front.port}/user/one/api/kernels/k/channels?token={TOKEN}"
    grant = front.grants.give("one", "ada")
    async with connect(address, proxy=None, additional_headers={"Cookie": f"perijove_grant={grant}"}) as channel:
        await channel.send("hello")
        assert await channel.recv() == "one: hello"
    for headers in ({}, {"Cookie": "perijove_grant=../one"}):
        async with connect(address, proxy=None, additional_headers=headers) as channel:
            await channel.send("hello")
            assert await channel.recv() == "control: hello"


async def test_a_session_is_not_told_who_its_person_is(state: State) -> None:
    port, grants = free_port(), GrantFolder(state.grants, KEYS)
    table = replace(plain_table(state, f"127.0.0.1:{port}"), front_says=("X-Forwarded-User",), grants=state.grants)
    caddy = Caddy(state)
    headers = {"X-Forwarded-User": "eve", "Cookie": f"perijove_grant={grants.give('one', 'front/eve')}"}
    try:
        async with upstream(state.session_sockets / "one.sock", "one"):
            await caddy.ensure(replace(table, proxies=("127.0.0.0/8",)))
            async with httpx.AsyncClient(trust_env=False) as client:
                asked = (await client.get(f"http://127.0.0.1:{port}/user/one/", headers=headers)).json()
        assert (asked["who"], "x-forwarded-user" in asked["headers"]) == ("one", False)
    finally:
        await caddy.close()


async def test_only_the_web_server_in_front_says_who_somebody_is(state: State) -> None:
    port = free_port()
    named = {"X-Forwarded-User": "eve", "X-Groups": "staff"}
    table = replace(plain_table(state, f"127.0.0.1:{port}"), front_says=tuple(named), grants=state.grants)
    caddy = Caddy(state)
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    try:
        async with client, upstream(state.control_socket, "control"):
            for proxies, kept in (((), False), (("192.0.2.0/24",), False), (("127.0.0.0/8",), True)):
                await begun_anew(caddy, replace(table, proxies=proxies))
                for path in ("/", "/user/one/"):
                    asked = (await client.get(path, headers=named)).json()["headers"]
                    assert ({"x-forwarded-user", "x-groups"} <= set(asked)) is kept
                    assert ({"x-forwarded-user", "x-groups"} & set(asked) != set()) is kept
    finally:
        await caddy.close()
