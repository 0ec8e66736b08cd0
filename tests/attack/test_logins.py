"""Logging in at a provider, as somebody would who wants another's log-in: real provider, our public application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from perijove.domain import auth_failures as codes
from perijove.domain.auth_settings import AuthMethod
from perijove.web.oidc_login import OF_VISITOR, PENDING
from tests.fakes import node, oidc
from tests.fakes.oidc import SECRET, OidcServer
from tests.unit.web.conftest import PAGES, Web
from tests.ways.conftest import World

pytestmark = [pytest.mark.e2e, pytest.mark.same_for_any_user, node.required("oidc_provider")]
PEOPLE = {name: {"email": f"{name}@example.org", "email_verified": True} for name in ("ada", "eve")}
LOGIN, AWAY = "__Host-perijove_login", "__Host-perijove_away"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc.provider("https://hub.test/login/back", people=PEOPLE) as server:
        yield server


@pytest.fixture
async def web(tmp_path: Path, server: OidcServer) -> AsyncIterator[Web]:
    (tmp_path / "secret").write_text(SECRET)
    async with Web(World(tmp_path)).up() as web:
        web.world.clock.time = time.time()
        web.world.set(
            auth__method=AuthMethod.OIDC, auth__oidc_issuer=server.issuer, auth__oidc_client_id="perijove",
            auth__oidc_client_secret_file=str(tmp_path / "secret"),
        )  # fmt: skip
        yield web


async def sent(web: Web, there: str = "/") -> tuple[str, str]:
    """To the provider: the address, and the browser's cookie."""
    answer = await web.client.get("/login/start", params={"next": there}, headers=PAGES)
    assert answer.status_code == 303, answer.text
    web.client.cookies.clear()
    return answer.headers["location"], answer.headers["set-cookie"].partition(";")[0]


async def back(web: Web, address: str, cookie: str, **headers: str) -> httpx.Response:
    answer = await web.get(address.removeprefix("https://hub.test"), Cookie=cookie, **PAGES, **headers)
    web.client.cookies.clear()
    return answer


async def test_somebody_goes_to_the_provider_and_comes_back_logged_in(web: Web, server: OidcServer) -> None:
    page = await web.get("/v2/gh/owner/repo/HEAD", **PAGES)
    page = await web.get(page.headers["location"], **PAGES)
    assert 'href="/login/start?next=/v2/gh/owner/repo/HEAD"' in page.text
    address, cookie = await sent(web, "/v2/gh/owner/repo/HEAD")
    answer = await back(web, server.log_in(address, "ada"), cookie)
    shown = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(LOGIN)).partition(";")[0]
    answer = await web.get(answer.headers["location"], Cookie=shown, **PAGES)
    assert answer.headers["location"] == "/v2/gh/owner/repo/HEAD"
    assert "ada@example.org" in (await web.get("/", Cookie=shown, **PAGES)).text
    web.world.set(auth__oidc_client_id="another")
    assert (await web.get("/", Cookie=shown)).status_code == 401


async def test_nobody_is_logged_in_by_an_answer_that_another_browser_fetched(web: Web, server: OidcServer) -> None:
    address, eves_own = await sent(web)
    eves = server.log_in(address, "eve")
    _, adas = await sent(web)
    set_by_a_session = eves_own.removeprefix("__Host-")
    for cookie in ("", f"{AWAY}=", adas, f"{adas}; {set_by_a_session}"):
        answer = await back(web, eves, cookie)
        assert (answer.status_code, LOGIN in str(answer.headers)) == (400, False)
        assert codes.LOGIN_STALE.code in answer.text


async def test_an_answer_is_good_once_and_for_a_while(web: Web, server: OidcServer) -> None:
    address, cookie = await sent(web)
    there = server.log_in(address, "ada")
    assert (await back(web, there, cookie)).status_code == 303
    assert codes.LOGIN_STALE.code in (await back(web, there, cookie)).text
    address, cookie = await sent(web)
    there = server.log_in(address, "ada")
    web.world.clock.time += PENDING + 1
    assert codes.LOGIN_STALE.code in (await back(web, there, cookie)).text


async def test_what_the_provider_says_of_a_failure_is_only_text(web: Web) -> None:
    address, cookie = await sent(web)
    state = httpx.URL(address).params["state"]
    said = {"state": state, "error": "access_denied", "error_description": "<script>alert(1)</script>"}
    answer = await back(web, str(httpx.URL("/login/back", params=said)), cookie)
    assert (answer.status_code, codes.LOGIN_REFUSED.code in answer.text) == (403, True)
    assert "<script>alert" not in answer.text


async def test_a_visitor_is_sent_so_many_times(web: Web) -> None:
    for _ in range(OF_VISITOR):
        await sent(web)
    answer = await web.get("/login/start", **PAGES)
    assert (answer.status_code, codes.LOGIN_SLOWED.code in answer.text) == (429, True)


async def test_without_a_provider_there_is_no_way_to_it(web: Web) -> None:
    web.world.set(auth__method=AuthMethod.PASSWORD)
    for path in ("/login/start", "/login/back?state=x&code=y"):
        assert (await web.get(path)).status_code == 404
