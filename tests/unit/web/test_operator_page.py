"""The operator's page."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from perijove.domain import failures
from perijove.domain.events import Logged, Phase
from perijove.domain.failures import Fail
from perijove.web.operator_desk import Examined
from perijove.web.operator_doors import COOKIE, LINK, STAY
from perijove.web.operator_page import HAPPENED, READERS, OperatorPage
from tests.fakes.certificate_desk import records
from tests.unit.web.conftest import FakeDoctor, Web
from tests.unit.web.test_pages import launched, page
from tests.ways.conftest import OTHER

SESSIONS = "*.run.test"


@pytest.fixture
async def desk(web: Web) -> Web:
    """A service whose sessions have hosts of their own, and a browser that its operator's link let in."""
    web.world.set(service__session_hosts=(SESSIONS,))
    answer = await web.get(f"/admin?key={web.public.desk.service.doors.link_key()}", Accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    kept = answer.headers["set-cookie"]
    assert kept.endswith(f"; Path=/admin; HttpOnly; SameSite=Strict; Max-Age={STAY:.0f}; Secure")
    web.client.headers["Cookie"] = kept.partition(";")[0]
    return web


async def posted(web: Web, path: str, **fields: str) -> httpx.Response:
    return await web.client.post(path, data=fields, headers={"Origin": "https://hub.test"})


async def test_it_shows_what_runs_and_how_launches_ended(desk: Web) -> None:
    number, session = await launched(desk)
    desk.world.repositories.fails = [failures.REF_NOT_FOUND("there is no branch dev")]
    desk.public.launches.begin(desk.public.launches.list(1)[0].address, "192.0.2.7")
    await desk.world.events(number + 1)
    text = await page(desk, "/admin")
    assert f"<code>{session}</code>" in text
    assert "owner/repo" in text
    assert "Of the last 2, 1 went well." in text
    assert "resolve.ref-not-found" in text
    assert '<rect class="bad"' in text
    assert desk.world.keys.session_token(session) not in text


async def test_it_says_that_room_is_not_known_where_nobody_knows_it(desk: Web) -> None:
    desk.world.sandboxes.left = replace(desk.world.sandboxes.left, memory=None, processors=None)
    assert (await page(desk, "/admin")).count("<dd>not known</dd>") == 2


async def test_it_shows_who_waits_for_what_and_how_busy_each_session_is(desk: Web) -> None:
    desk.world.set(launching__total_quota=1)
    await launched(desk)
    numbers = [desk.public.launches.begin(OTHER, "192.0.2.7") for _ in range(2)]
    await desk.world.until(lambda: [one.state for one in desk.public.launches.in_hand()] == ["waiting"] * 2)
    text = await page(desk, "/admin")
    rows = re.findall(r"<tr><td>(\d)</td><td>(\d+), other</td><td>192.0.2.7</td>", text)
    assert rows == [("1", str(numbers[0])), ("2", str(numbers[1]))]
    assert "<dt>In the queue</dt><dd>2</dd>" in text
    assert "<td>0.0</td>" in text
    for number in numbers:
        desk.public.launches.cancel(number)


async def test_it_shows_certificates_over_time(desk: Web, tmp_path: Path) -> None:
    found = records(tmp_path, desk.world.clock.now())
    object.__setattr__(desk.public.desk, "certificates", lambda: found)
    text = await page(desk, "/admin")
    assert text.count('class="plot time"') == len(found)
    assert "wiki.example.org over time" in text


async def test_sessions_are_stopped_one_by_repository_or_all_now_or_later(desk: Web) -> None:
    _, one = await launched(desk)
    for fields in ({"session": "another-1"}, {"repository": "owner/another"}, {}):
        assert (await posted(desk, "/admin/stop", **fields)).status_code == 303
    assert [session.name for session in desk.world.sessions.live] == [one]
    await posted(desk, "/admin/stop", session=one)
    await desk.world.until(lambda: not desk.world.sessions.live)
    for fields in ({"repository": "owner/repo"}, {"all": "all"}):
        await launched(desk)
        await posted(desk, "/admin/stop", **fields)
        await desk.world.until(lambda: not desk.world.sessions.live)
    _, later = await launched(desk)
    await posted(desk, "/admin/stop", all="all", minutes="10")
    assert [session.name for session in desk.world.sessions.live] == [later]
    assert (await posted(desk, "/admin/stop", all="all", minutes="-1")).status_code == 400
    assert (await posted(desk, "/admin/stop", words="x" * 20_000)).status_code == 400


async def test_launches_are_closed_with_words_and_opened_again(desk: Web) -> None:
    await posted(desk, "/admin/close", words="back <soon>")
    assert "back &lt;soon&gt;" in await page(desk, "/")
    assert "back &lt;soon&gt;" in await page(desk, "/admin")
    await posted(desk, "/admin/close", open="open")
    assert desk.public.launches.closed is None


async def test_a_message_is_on_all_pages_until_it_is_taken_back(desk: Web) -> None:
    await posted(desk, "/admin/message", words="tests at <10>", minutes="30")
    for path in ("/", "/admin", "/launch/running"):
        assert "tests at &lt;10&gt;" in await page(desk, path), path
    assert (await posted(desk, "/admin/message", words="x", minutes="for ever")).status_code == 400
    await posted(desk, "/admin/message")
    assert "tests at" not in await page(desk, "/")
    await posted(desk, "/admin/message", words="soon over", minutes="1")
    await desk.world.clock.sleep(61)
    assert "soon over" not in await page(desk, "/")


async def test_it_is_told_when_something_happens_for_as_long_as_it_may_be_open(desk: Web) -> None:
    operator = OperatorPage(desk.public)
    headers = [(name.lower().encode(), value.encode()) for name, value in desk.client.headers.items()]
    asked = Request(
        {"type": "http", "method": "GET", "path": "/admin/events", "query_string": b""}
        | {"headers": [(b"host", b"hub.test"), *headers]}
    )
    before = len(desk.world.journal.listeners)
    happenings = operator._happenings(asked)
    told = asyncio.create_task(anext(happenings))
    await asyncio.sleep(0)
    desk.world.journal.append("launch/1", Logged(Phase.BUILDING, "a line is nothing to show"))
    await asyncio.sleep(0)
    assert not told.done()
    await launched(desk)
    assert await told == HAPPENED
    await desk.world.clock.sleep(STAY + 1)
    with pytest.raises(StopAsyncIteration):
        await anext(happenings)
    assert len(desk.world.journal.listeners) == before


async def test_no_more_pages_are_told_than_carry_it(desk: Web) -> None:
    operator = OperatorPage(desk.public)
    with ExitStack() as pages:
        for _ in range(READERS):
            pages.enter_context(operator._seat())
        with pytest.raises(Fail, match="operator's pages are open"):
            await operator.events(Request({"type": "http", "method": "GET", "path": "/admin/events", "headers": []}))
    assert operator._readers == 0


FOUND: dict[str, Any] = {
    "code": "platform.file-too-open", "title": "A key that others can read", "cause": "mode <644>", "owner": "operator",
    "subject": "a file", "remedy": "Close it.", "evidence": [{"where": "<stat>", "saw": "0644"}], "commands": ["chmod"],
    "foreseen": False, "explains": [],
}  # fmt: skip


async def test_it_shows_what_the_doctor_found_and_has_it_look_and_mend(desk: Web) -> None:
    doctor = desk.public.desk.doctor
    assert isinstance(doctor, FakeDoctor)
    assert "Examine now" in await page(desk, "/admin")
    await posted(desk, "/admin/examine")
    doctor.last = Examined(desk.world.clock.now(), [FOUND], ["chmod 600 '<a>'"])
    text = await page(desk, "/admin")
    assert "mode &lt;644&gt;" in text
    assert "chmod 600 &#39;&lt;a&gt;&#39;" in text
    (planned,) = re.findall('name="fixes" value="([0-9a-f]+)"', text)
    for fields in ({"fixes": planned}, {"sure": "yes"}, {"fixes": "0" * 16, "sure": "yes"}):
        await posted(desk, "/admin/fix", **fields)
    assert doctor.asked == [""], "nobody agreed to just this"
    await posted(desk, "/admin/fix", fixes=planned, sure="yes")
    assert doctor.asked == ["", planned]
    doctor.busy, doctor.last = True, Examined(0, (), (), "it did not end")
    text = await page(desk, "/admin")
    assert "It is looking." in text
    assert "it did not end" in text
    assert "/admin/fix" not in text


async def test_a_link_is_good_once_and_for_a_while(desk: Web) -> None:
    doors = desk.public.desk.service.doors
    key = doors.link_key()
    assert doors.enter(key)
    assert not doors.enter(key)
    old = doors.link_key()
    await desk.world.clock.sleep(LINK + 1)
    assert not doors.enter(old)
    for wrong in ("", "x", key.replace(key[-4:], "0000"), f"{'9' * 13}.a.b"):
        assert not doors.enter(wrong)
    del desk.client.headers["Cookie"]
    assert "start.admin-closed" in await page(desk, f"/admin?key={old}", 403)


async def test_a_cookie_is_good_for_a_while_and_hidden_by_none_of_its_name(desk: Web) -> None:
    right = desk.client.headers["Cookie"]
    desk.client.headers["Cookie"] = f"{COOKIE}=x; {right}"
    await page(desk, "/admin")
    await desk.world.clock.sleep(STAY + 1)
    await page(desk, "/admin", 403)


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}=9999999999.a.{'0' * 32}", f"{COOKIE}=é"])
async def test_nobody_else_sees_or_does_anything(desk: Web, cookie: str) -> None:
    _, session = await launched(desk)
    headers = {b"Cookie": cookie.encode(), b"Accept": b"text/html"}
    for path in ("/admin", "/admin?key", "/admin?key=", "/admin?key=x", "/admin?key=&key=x", "/admin/events?key=x"):
        assert (await desk.client.get(path, headers=headers)).status_code == 403, path
    for path in ("/admin/stop", "/admin/close", "/admin/message", "/admin/examine", "/admin/fix", "/admin/stop?key=x"):
        fields = {"all": "all", "words": "x", "minutes": "9"}
        assert (await desk.client.post(path, data=fields, headers=headers)).status_code == 403
    assert [one.name for one in desk.world.sessions.live] == [session]
    assert desk.public.launches.closed is None
    assert desk.world.sessions.announcing.now is None


async def test_a_key_of_another_kind_opens_nothing(desk: Web) -> None:
    spec = "link/x"
    build = desk.world.keys.build_token(spec, "n", desk.world.clock.now(), 100)
    assert not desk.public.desk.service.doors.enter(build)
    link = desk.public.desk.service.doors.link_key()
    desk.client.headers["Cookie"] = f"{COOKIE}={link}"
    await page(desk, "/admin", 403)


async def test_another_site_s_page_does_nothing_by_the_operator_s_browser(desk: Web) -> None:
    await launched(desk)
    for origin in ("https://evil.test", "https://a-1.run.test", "null"):
        for path in ("/admin/stop", "/admin/message", "/admin/examine", "/admin/fix"):
            fields = {"all": "all", "words": "x", "minutes": "9"}
            answer = await desk.client.post(path, data=fields, headers={"Origin": origin})
            assert answer.status_code == 403, (path, origin)
    assert desk.world.sessions.announcing.now is None
    assert desk.world.sessions.live


async def test_it_is_not_served_where_sessions_share_its_origin(desk: Web) -> None:
    desk.world.set(service__session_hosts=("off",))
    assert "start.admin-shared" in await page(desk, "/admin", 403)
    key = desk.public.desk.service.doors.link_key()
    assert "start.admin-shared" in await page(desk, f"/admin?key={key}", 403)


async def test_what_strangers_named_is_only_text(desk: Web) -> None:
    desk.public.launches.closed = failures.DISK_FULL("<script>alert(1)</script>")
    assert "&lt;script&gt;alert(1)" in await page(desk, "/admin")
