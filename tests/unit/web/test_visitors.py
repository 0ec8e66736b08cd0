"""Which visitor comes again."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

from starlette.requests import Request
from starlette.responses import Response

from perijove.domain.events import Requested
from perijove.sealing import new_key, public_half
from perijove.web.visitors import COOKIE as BY_HTTP
from perijove.web.visitors import LASTS, PATHS, hold
from tests.unit.web.conftest import STREAMS, Web

LINK = "/v2/gh/owner/repo/HEAD"
COOKIE = f"__Host-{BY_HTTP}"


def requested(web: Web, number: int) -> Requested:
    event = web.public.journal.read(f"launch/{number}", 0, 1)[0].event
    assert isinstance(event, Requested)
    return event


async def test_a_link_s_page_has_the_browser_keep_a_key_that_no_script_sees(web: Web) -> None:
    (cookie,) = (await web.get(LINK)).headers.get_list("set-cookie")
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.endswith(f"; Path=/; Max-Age={LASTS}; HttpOnly; SameSite=Lax; Secure")


async def test_no_session_s_page_puts_another_key_in_its_place(web: Web) -> None:
    """A page below the service's name can set cookies for that, of any name but `__Host-` ones."""
    mine, authors = new_key(), new_key()
    for brought in (f"{BY_HTTP}={authors}", f"{BY_HTTP}={authors}; {COOKIE}={mine}; {BY_HTTP}={authors}"):
        await web.build(**STREAMS, Cookie=brought)
    assert [requested(web, number).visitor for number in (1, 2)] == ["", public_half(mine)]


def test_without_https_the_cookie_is_kept_too_for_paths_that_no_session_has() -> None:
    scope = {"type": "http", "headers": [(b"host", b"localhost:8000"), (b"x-forwarded-proto", b"http")]}
    cookies = hold(Response(), Request(scope)).headers.getlist("set-cookie")
    assert [SimpleCookie(one)[BY_HTTP]["path"] for one in cookies] == list(PATHS)
    assert not any("/user/x/".startswith(path) for path in PATHS)
    assert not any("Secure" in cookie for cookie in cookies)
    assert len({SimpleCookie(one)[BY_HTTP].value for one in cookies}) == 1


async def test_a_visitor_keeps_their_key_and_another_has_another(web: Web) -> None:
    key = new_key()
    again = await web.get(LINK, Cookie=f"{COOKIE}={key}")
    assert {SimpleCookie(one)[COOKIE].value for one in again.headers.get_list("set-cookie")} == {key}
    web.client.cookies.clear()
    other = await web.get(LINK)
    assert key not in str(other.headers)


async def test_what_is_no_key_of_ours_is_replaced(web: Web) -> None:
    for given in ("", "mine", "x" * 4000):
        answer = await web.get(LINK, Cookie=f"{COOKIE}={given}")
        web.client.cookies.clear()
        values = {SimpleCookie(one)[COOKIE].value for one in answer.headers.get_list("set-cookie")}
        assert re.fullmatch("[A-Za-z0-9_-]{43}", values.pop()), given


async def test_a_launch_knows_its_visitor_by_the_public_half_alone(web: Web) -> None:
    key = new_key()
    await web.build(**STREAMS, Cookie=f"{COOKIE}={key}")
    assert requested(web, 1).visitor == public_half(key)
    journal = [entry.event for entry in web.public.journal.read("launch/1", 0)]
    assert key not in repr(journal)
    await web.build(**STREAMS)
    assert requested(web, 2).visitor == ""
