"""Which requests reach a session, at which host, by whom: real Caddy, with what browsers and programs send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
import pytest

from perijove.backends.caddy import Caddy
from perijove.domain.data_plane import DataPlaneTable
from perijove.domain.state import State
from tests.fakes.data_plane import begun_anew, plain_table
from tests.fakes.ports import free_port
from tests.fakes.upstream import upstream

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user]
LIMIT = 20.0
OWN = "binder.test"
LOCAL, WILDCARD, LIST = ("*.localhost",), ("*.run.test",), ("s1.test", "s2.test")
SESSIONS = ("one", "two", "one--s1", "two--s2", "old--s9")
PERSON = {"Accept": "text/html,*/*;q=0.8"}
BROWSER = PERSON | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site", "Origin": "https://book.test", "Cookie": "a=b"}


@dataclass
class Front:
    caddy: Caddy
    table: DataPlaneTable
    client: httpx.AsyncClient

    async def has(self, hosts: tuple[str, ...], **more: object) -> None:
        """Sessions have these hosts from now on."""
        await begun_anew(self.caddy, replace(self.table, session_hosts=hosts, **more))  # type: ignore[arg-type]

    async def ask(self, host: str, path: str, headers: dict[str, str], method: str = "GET") -> httpx.Response:
        """An answer to whoever asked for this host, by the port that all have."""
        return await self.client.request(method, path, headers={"Host": f"{host}:81", **headers})

    async def who(self, host: str, path: str, headers: dict[str, str] | None = None) -> str:
        """Who answers; the status where Caddy does."""
        answer = await self.ask(host, path, headers or {})
        told = answer.headers["content-type"] == "application/json"
        return str(answer.json()["who"]) if told else f"{answer.status_code}"


@pytest.fixture
async def front(state: State) -> AsyncIterator[Front]:
    listen = f"127.0.0.1:{free_port()}"
    table = replace(plain_table(state, listen), hosts=(OWN,))
    (state.root / "x.css").write_text("a {}")
    caddy = Caddy(state)
    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(base_url=f"http://{listen}", trust_env=False, timeout=LIMIT)
        await stack.enter_async_context(client)
        await stack.enter_async_context(upstream(state.control_socket, "control"))
        for name in SESSIONS:
            await stack.enter_async_context(upstream(state.session_sockets / f"{name}.sock", name))
        try:
            yield Front(caddy, table, client)
        finally:
            await caddy.close()


@pytest.mark.parametrize(
    ("hosts", "host", "session", "other"),
    [
        pytest.param(LOCAL, "one.localhost", "one", "two", id="loopback"),
        pytest.param(WILDCARD, "one.run.test", "one", "two", id="wildcard"),
        pytest.param(LIST, "s1.test", "one--s1", "two--s2", id="list"),
    ],
)
async def test_a_session_s_host_serves_that_session_and_nothing_of_ours(
    front: Front, hosts: tuple[str, ...], host: str, session: str, other: str
) -> None:
    await front.has(hosts)
    for headers in ({}, PERSON, BROWSER):
        assert await front.who(host, f"/user/{session}/lab?token=t", headers) == session
        assert await front.who(host, f"/user/{other}/lab", headers) == "404"
        for path in ("/", "/v2/gh/o/r/HEAD", "/launch/1", "/build/gh/o/r/HEAD", "/api/launches/1", "/health", "/user/"):
            assert await front.who(host, path, headers) == "404", path
    assert await front.who(host, "/.well-known/acme-challenge/x") == "control"
    assert (await front.ask(host, "/-/v1/x.css", {})).text == "a {}"
    static = await front.ask(host, "/-/server-0123456789abcdef/main.js?v=1", {})
    assert static.headers["location"] == f"//{OWN}:81/-/server-0123456789abcdef/main.js?v=1"
    assert (await front.ask(host, f"/user/{session}?a=b", {})).headers["location"] == f"/user/{session}/?a=b"
    assert await front.who(host.upper(), f"/user/{other}/") == "404"
    assert "content-security-policy" not in (await front.ask(host, f"/user/{session}/", {})).headers


async def test_a_session_that_is_over_is_told_at_its_host_by_the_control_plane(front: Front) -> None:
    await front.has(WILDCARD)
    assert await front.who("gone.run.test", "/user/gone/lab", BROWSER) == "control"
    await front.has(LIST)
    assert await front.who("s1.test", "/user/gone--s1/lab", BROWSER) == "control"
    assert await front.who("s1.test", "/user/gone--s2/lab", BROWSER) == "404"


@pytest.mark.parametrize(
    ("hosts", "session", "there"),
    [
        pytest.param(LOCAL, "one", "one.localhost", id="loopback"),
        pytest.param(WILDCARD, "one", "one.run.test", id="wildcard"),
        pytest.param(LIST, "one--s1", "s1.test", id="list"),
    ],
)
async def test_the_service_s_host_leads_people_on_and_serves_programs(
    front: Front, hosts: tuple[str, ...], session: str, there: str
) -> None:
    await front.has(hosts, cors_allow_origin=("https://book.test",))
    path = f"/user/{session}/lab/a%20b?token=t&x=%2F"
    for headers in (PERSON, BROWSER, BROWSER | {"Sec-Fetch-Dest": "iframe"}):
        answer = await front.ask(OWN, path, headers)
        assert (answer.status_code, answer.headers["location"]) == (307, f"//{there}:81{path}")
    for mode in ("no-cors", "same-origin"):
        assert await front.who(OWN, path, FETCH | {"Sec-Fetch-Mode": mode}) == "403"
    assert await front.who(OWN, path, FETCH | {"Sec-Fetch-Site": "same-origin"}) == "403"
    assert (await front.ask(OWN, path, BROWSER, "POST")).status_code == 403
    for headers in ({}, {"Cookie": "a=b"}, FETCH):
        answer = await front.ask(OWN, path, headers)
        assert answer.json()["who"] == session
        assert answer.headers["content-security-policy"] == "sandbox"
        assert ("cookie" in answer.json()["headers"]) == (headers == {"Cookie": "a=b"})


async def test_no_address_leads_to_a_host_that_is_no_session_s(front: Front) -> None:
    await front.has(LIST)
    for path in ("/user/one--evil/", "/user/one--s1.evil/", "/user/--s1/", "/user//evil--s1/", "/user/one--s1@evil/"):
        location = (await front.ask(OWN, path, PERSON)).headers.get("location", "")
        assert urlsplit(location).netloc in ("", "s1.test:81"), path
    assert await front.who(OWN, "/user/old--s9/") == "old--s9", "one of before the names were changed"
    await front.has(WILDCARD)
    for path in ("/user/one.evil/", "/user/one@evil/", "/user/one%2eevil/", "/user/ONE/"):
        assert "location" not in (await front.ask(OWN, path, PERSON)).headers, path


async def test_the_service_s_own_name_below_the_wildcard_stays_its_own(front: Front) -> None:
    await front.has(("*.test",))
    assert await front.who(OWN, "/") == "control"
    assert await front.who("one.test", "/user/one/") == "one"


async def test_without_a_certificate_a_session_s_host_says_so_and_nothing_else(front: Front) -> None:
    await front.has(WILDCARD, redirects=True)
    assert await front.who("one.run.test", "/user/one/") == "control"
    assert await front.who("one.run.test", "/") == "404"
    assert await front.who("one.run.test", "/.well-known/acme-challenge/x") == "control"


async def test_without_hosts_of_their_own_sessions_are_served_by_the_service_s(front: Front) -> None:
    await front.has(())
    for headers in ({}, PERSON, BROWSER):
        answer = await front.ask(OWN, "/user/one/", headers)
        assert answer.json()["who"] == "one"
        assert "content-security-policy" not in answer.headers
