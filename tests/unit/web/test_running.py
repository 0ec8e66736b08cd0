"""The sessions that a visitor has running: offered, told, stopped; to them alone."""

from __future__ import annotations

import html
import re

from perijove.domain.events import SessionTitled
from perijove.domain.nouns import EndReason
from perijove.launching.start.titles import MOST, title_of
from tests.unit.web.conftest import PAGES, Web

LINK = "/v2/gh/owner/repo/HEAD"
BEGIN = re.compile(r'name="begin" value="([^"]+)"')


async def begun(web: Web, link: str = LINK, page: str = "") -> str:
    """A session that a browser began by the link's page, which may have been shown before; its name."""
    (token,) = BEGIN.findall(page or (await web.get(link, **PAGES)).text)
    before = {session.name for session in web.world.sessions.live}
    there = await web.get(f"{link}?begin={token}", **PAGES)
    assert there.status_code == 303
    await web.world.until(lambda: len(web.world.sessions.live) > len(before))
    (name,) = {session.name for session in web.world.sessions.live} - before
    return name


def token(web: Web, name: str) -> str:
    return web.world.keys.session_token(name)


async def test_who_opens_a_link_again_is_offered_what_they_have_of_it(web: Web) -> None:
    name, shown = await begun(web), ""
    for spelled in ("/v2/gh/Owner/Repo.git/HEAD", "/v2/git/https%3A%2F%2Fgithub.com%2Fowner%2Frepo/HEAD", LINK):
        shown = (await web.get(f"{spelled}?labpath=a%20b.ipynb", **PAGES)).text
        assert "You have one running" in shown
        assert f"/user/{name}/doc/tree/a%20b.ipynb?token={token(web, name)}" in shown
        assert "data-events" not in shown, "nothing begins by itself"
    (another,) = re.findall(r'href="(\?[^"]*another=true)"', shown)
    page = (await web.get(LINK + html.unescape(another), **PAGES)).text
    assert "data-events" in page
    assert 'data-urlpath="doc/tree/a%20b.ipynb"' in page
    assert await begun(web, page=page) != name


async def test_links_to_others_begin_as_ever_and_so_does_what_asks_for_a_new_one(web: Web) -> None:
    await begun(web)
    links = ("/v2/gh/owner/other/HEAD", "/v2/gh/owner/repo/main", f"{LINK}?fresh=true", f"{LINK}?again=true")
    for link in links:
        assert "data-events" in (await web.get(link, **PAGES)).text
    web.world.set(launching__offer_running=False)
    assert "data-events" in (await web.get(LINK, **PAGES)).text


async def test_nobody_else_is_told_or_stops_it(web: Web) -> None:
    name = await begun(web)
    web.client.cookies.clear()
    for key in ("", "x" * 43, "A" * 43):
        brought = {"Cookie": f"__Host-perijove_visitor={key}"}
        assert "data-events" in (await web.get(LINK, **PAGES, **brought)).text
        assert (await web.get("/launch/running", **brought)).json() == {"sessions": []}
        stopped = await web.client.post(f"/launch/running/{name}/stop", headers=brought)
        assert stopped.status_code == 404
        web.client.cookies.clear()
    assert [session.name for session in web.world.sessions.live] == [name]


async def test_sessions_of_programs_and_of_the_command_line_are_nobody_s(web: Web) -> None:
    await web.build()
    assert web.world.sessions.live
    assert "data-events" in (await web.get(LINK, **PAGES)).text
    assert (await web.get("/launch/running")).json() == {"sessions": []}


async def test_all_that_a_visitor_has_is_told_the_newest_first_and_stopped_by_them(web: Web) -> None:
    first = await begun(web)
    web.world.clock.time += 300
    second = await begun(web, "/v2/gh/owner/other/HEAD")
    told = (await web.get("/launch/running", Accept="application/json")).json()["sessions"]
    assert [(one["name"], one["spec"]) for one in told] == [
        (second, "gh/owner/other/HEAD"), (first, "gh/owner/repo/HEAD"),
    ]  # fmt: skip
    assert told[1]["since"] == "5 min"
    assert told[1]["url"] == f"https://hub.test/user/{first}/?token={token(web, first)}"
    shown = (await web.get("/launch/running", **PAGES)).text
    assert shown.count("Return to it") == 2
    web.world.set(service__cors_allow_origin=("*",))  # who may read answers: a session's page brings the cookies too
    foreign = {"Origin": "https://x.hub.test", "Sec-Fetch-Site": "same-site"}
    assert (await web.client.post(f"/launch/running/{first}/stop", headers=foreign)).status_code == 403
    stopped = await web.client.post(f"/launch/running/{first}/stop")
    assert (stopped.status_code, stopped.headers["location"]) == (303, "/launch/running")
    await web.world.until(lambda: len(web.world.sessions.live) == 1)
    assert web.world.sandboxes.stopped == [(first, EndReason.STOPPED)]
    await web.client.post(f"/launch/running/{second}/stop")
    await web.world.until(lambda: not web.world.sessions.live)
    assert "You have none running" in (await web.get("/launch/running", **PAGES)).text


async def test_a_session_that_is_over_is_not_offered(web: Web) -> None:
    name = await begun(web)
    await web.world.sessions.stop(name, EndReason.IDLE)
    await web.world.until(lambda: not web.world.sessions.live)
    assert "data-events" in (await web.get(LINK, **PAGES)).text


async def test_a_link_with_a_name_begins_a_session_of_that_name_or_leads_back_to_it(web: Web) -> None:
    named = f"{LINK}?session_name=my%20%20thesis"
    page = (await web.get(named, **PAGES)).text
    assert "session_name=my+thesis" in html.unescape(page), "the page's own launch asks for it"
    (begin,) = BEGIN.findall(page)
    assert (await web.get(f"{named}&begin={begin}", **PAGES)).status_code == 303
    await web.world.until(lambda: len(web.world.sessions.live) == 1)
    thesis = web.world.sessions.live[0].name
    await web.world.until(lambda: title_of(web.world.journal, thesis) == "my thesis")
    assert "my thesis" in (await web.get(named, **PAGES)).text
    assert "data-events" in (await web.get(f"{LINK}?session_name=other", **PAGES)).text
    told = (await web.get("/launch/running")).json()["sessions"]
    assert [(one["name"], one["title"]) for one in told] == [(thesis, "my thesis")]


async def test_a_session_is_renamed_by_its_visitor_alone_and_keeps_its_name_over_a_restart(web: Web) -> None:
    name, ours = await begun(web), {"Origin": "https://hub.test", "Sec-Fetch-Site": "same-origin"}
    path = f"/launch/running/{name}/rename"
    assert (await web.client.post(path, data={"title": "thesis"}, headers={"Origin": "https://evil.test"})).is_error
    answer = await web.client.post(path, data={"title": " <b>thesis "}, headers=ours)
    assert (answer.status_code, title_of(web.world.journal, name)) == (303, "<b>thesis")
    page = (await web.get("/launch/running", **PAGES)).text
    assert ("&lt;b&gt;thesis" in page, "<b>thesis" in page) == (True, False)
    for wrong in ("x" * 61, "a\u202eb", "a\x1b[2J"):
        assert (await web.client.post(path, data={"title": wrong}, headers=ours)).status_code == 400
    web.client.cookies.clear()
    assert (await web.client.post(path, data={"title": "mine"}, headers=ours)).status_code == 404
    assert title_of(web.world.journal, name) == "<b>thesis"
    assert SessionTitled(name, "<b>thesis") in [one.event for one in web.world.ledger.steps(f"session/{name}")]


async def test_whoever_renames_a_session_without_end_fills_no_journal(web: Web) -> None:
    name, ours = await begun(web), {"Origin": "https://hub.test", "Sec-Fetch-Site": "same-origin"}
    path = f"/launch/running/{name}/rename"
    again = [await web.client.post(path, data={"title": "thesis"}, headers=ours) for _ in range(3)]
    assert [answer.status_code for answer in again] == [303] * 3
    answers = [await web.client.post(path, data={"title": f"t{one}"}, headers=ours) for one in range(MOST)]
    assert [answer.status_code for answer in answers] == [303] * (MOST - 1) + [400]
    assert "renamed no more often" in answers[-1].text
    titled = [one for one in web.world.ledger.steps(f"session/{name}") if isinstance(one.event, SessionTitled)]
    assert (len(titled), title_of(web.world.journal, name)) == (MOST, f"t{MOST - 2}")


async def test_a_name_that_no_list_can_show_begins_nothing(web: Web) -> None:
    assert (await web.get(f"{LINK}?session_name={'x' * 61}", **PAGES)).status_code == 400
    (event,) = await web.build("gh/owner/repo/HEAD?session_name=a%0a%e2%80%aeb")
    assert event.data["failure"]["code"] == "start.bad-request"
    assert web.world.sessions.live == []
