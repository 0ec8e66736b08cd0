"""People who log in: who is let in, to what, and what else a browser could be made to do."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from perijove.backends.passwords import AT_ONCE, WAITING, Entry, PasswordFile
from perijove.domain import auth_failures as codes
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.classes import ClassSettings
from perijove.domain.failures import Kind
from perijove.domain.people import Person
from perijove.web.login import OF_BOTH, OF_VISITOR, SLOWED
from tests.fakes.passwords import cheap
from tests.unit.web.conftest import PAGES, STREAMS, Web, frames
from tests.ways.conftest import ADDRESS

PASSWORD = "a long engine"
KEPT = cheap(PASSWORD)
PEOPLE = (Person("ada", frozenset({"students"})), Person("bob"), Person("eve", admin=True))
OURS = {"Origin": "https://hub.test", "Sec-Fetch-Site": "same-origin"}
HTTPS = {"X-Forwarded-Proto": "https"}
LOGIN, GRANT = "__Host-perijove_login", "perijove_grant"


def passwords(web: Web) -> PasswordFile:
    assert web.public.people is not None
    assert isinstance(web.public.people.passwords, PasswordFile)
    return web.public.people.passwords


def changed(web: Web, people: dict[str, Entry]) -> None:
    """These may log in from now on."""

    def change(entries: dict[str, Entry]) -> None:
        entries.clear()
        entries.update(people)

    passwords(web).change(change)


@pytest.fixture
async def people(web: Web) -> Web:
    """Three people may log in."""
    web.world.set(auth__method=AuthMethod.PASSWORD)
    changed(web, {one.name: Entry(one, KEPT) for one in PEOPLE})
    return web


async def tried(web: Web, name: str, password: str = PASSWORD, there: str = "/", **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    form = {"name": name, "password": password, "next": there}
    return await web.client.post("/login", data=form, headers={**PAGES, **OURS, **named})


async def cookie(web: Web, name: str) -> str:
    """What somebody's browser shows from now on."""
    answer = await tried(web, name)
    assert answer.status_code == 303
    web.client.cookies.clear()
    return f"{LOGIN}={answer.cookies[LOGIN]}"


async def code(web: Web, path: str, **headers: str) -> str:
    """Of the failure; `` where there is none."""
    answer = await web.get(path, **headers)
    return answer.json()["failure"]["code"] if answer.is_error else ""


async def test_without_log_in_nothing_is_asked_and_nothing_is_set(web: Web) -> None:
    answer = await web.get("/", **PAGES)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert (await web.get("/login", **PAGES)).status_code == 404
    assert (await tried(web, "ada")).status_code == 404


async def test_whoever_is_unknown_is_led_to_the_form_and_back(people: Web) -> None:
    answer = await people.get("/v2/gh/owner/repo/HEAD?urlpath=lab%2Ftree", **PAGES)
    assert answer.status_code == 303
    there = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert there == "/v2/gh/owner/repo/HEAD?urlpath=lab%2Ftree"
    answer = await tried(people, "ada", there=there)
    assert answer.headers["location"].startswith("/login?next=")
    shown = answer.headers["set-cookie"]
    for part in ("Path=/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=604800"):
        assert f"; {part}" in shown
    answer = await people.get(answer.headers["location"], Cookie=shown.partition(";")[0], **PAGES)
    assert (answer.status_code, answer.headers["location"]) == (303, there)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "there",
    ["//evil.test", "/\\evil.test", "https://evil.test", "/\t/evil.test", "evil.test", "/a\\b", "", "/ x", "/\r\nX: y"],
)
async def test_nobody_is_led_elsewhere(people: Web, there: str) -> None:
    shown = await cookie(people, "ada")
    answer = await people.client.get("/login", params={"next": there}, headers={"Cookie": shown, **PAGES})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_programs_are_told_what_is_wanted(people: Web) -> None:
    for path in ("/", "/launch/1", "/api/launches/1", "/api/launches/1/events", "/api/link?link=x", "/open/x"):
        answer = await people.get(path)
        assert (answer.status_code, answer.json()["failure"]["code"]) == (401, codes.LOGIN_NEEDED.code)
    (event,) = await people.build()
    assert event.data["failure"]["code"] == codes.LOGIN_NEEDED.code
    assert people.world.launches.list(10) == []
    for path in ("/health", "/versions", "/badge.svg", "/robots.txt"):
        assert (await people.get(path)).status_code == 200


async def test_a_wrong_password_and_a_wrong_name_are_told_alike(people: Web) -> None:
    answers = [await tried(people, name, "wrong") for name in ("ada", "nobody", "<b>", "")]
    assert {answer.status_code for answer in answers} == {403}
    assert all(codes.LOGIN_WRONG.code in answer.text and "set-cookie" not in answer.headers for answer in answers)
    assert "<b>" not in answers[2].text


async def test_guesses_are_slowed_for_the_name_and_its_visitor_and_for_nobody_else(people: Web) -> None:
    for _ in range(OF_BOTH):
        assert (await tried(people, "ada", "wrong")).status_code == 403
    answer = await tried(people, "ada")
    assert (answer.status_code, codes.LOGIN_SLOWED.code in answer.text) == (429, True)
    assert 0 < int(answer.headers["retry-after"]) <= SLOWED
    assert (await tried(people, "bob")).status_code == 303
    assert (await tried(people, "ada", X_Forwarded_For="198.51.100.9")).status_code == 303
    people.world.clock.time += SLOWED
    assert (await tried(people, "ada")).status_code == 303


async def test_who_comes_in_a_crowd_has_guessed_nothing(people: Web) -> None:
    assert WAITING < OF_VISITOR, "a class behind one address is told of its crowd, and not of guesses"
    async with AsyncExitStack() as checked:
        for _ in range(AT_ONCE):
            await checked.enter_async_context(passwords(people)._turns)
        crowd = [asyncio.create_task(passwords(people).right("bob", "")) for _ in range(WAITING)]
        await asyncio.sleep(0)
        for _ in range(OF_BOTH):
            answer = await tried(people, "ada")
            assert (answer.status_code, codes.LOGIN_CROWD.code in answer.text) == (503, True)
        for one in crowd:
            one.cancel()
        await asyncio.wait(crowd)
    assert (await tried(people, "ada")).status_code == 303


async def test_right_passwords_are_not_counted(people: Web) -> None:
    for _ in range(OF_BOTH + 2):
        assert (await tried(people, "ada")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://x.run.hub.test", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": ""},
    ],
)
async def test_other_sites_pages_log_nobody_in_or_out(people: Web, headers: dict[str, str]) -> None:
    assert (await people.client.post("/login", data={"name": "ada"}, headers=headers)).status_code == 403
    shown = await cookie(people, "ada")
    assert (await people.client.post("/logout", headers={"Cookie": shown, **headers})).status_code == 403
    assert (await people.get("/", Cookie=shown)).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_log_in_counts_for_nothing_where_another_sites_page_asks(people: Web, site: str) -> None:
    shown = await cookie(people, "ada")
    people.world.set(service__cors_allow_origin=("https://book.test",))
    for origin in ("https://evil.test", "https://book.test"):
        asked = {"Cookie": shown, "Origin": origin, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"}
        assert await code(people, "/api/launches/1", **asked) == codes.LOGIN_NEEDED.code
        told = frames((await people.get("/build/gh/owner/repo/HEAD", **asked, **STREAMS)).text)
        assert [one.data["phase"] for one in told] == ["failed"]
    followed = {"Cookie": shown, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", **PAGES}
    assert (await people.get("/", **followed)).status_code == 200
    assert people.world.launches.list(10) == []


async def test_a_form_without_end_is_refused(people: Web) -> None:
    answer = await people.client.post("/login", content=b"a=" + b"x" * 20_000, headers=OURS)
    assert answer.json()["failure"]["code"] == "start.bad-request"
    answer = await people.client.post("/login", content=b"&".join([b"a=1"] * 20), headers=OURS)
    assert answer.json()["failure"]["code"] == "start.bad-request"
    answer = await people.client.post("/login", content=b"name=\xff", headers=OURS)
    assert answer.json()["failure"]["code"] == "start.bad-request"


async def launched(web: Web, shown: str, path: str = "gh/owner/repo/HEAD") -> int:
    told = await web.build(path, Cookie=shown)
    assert told[-1].data["phase"] == "ready", told[-1]
    return web.world.launches.list(1)[0].number


async def test_a_launch_is_its_person_s_and_admins_see_it(people: Web) -> None:
    ada, bob, eve = [await cookie(people, name) for name in ("ada", "bob", "eve")]
    people.world.set(service__open_logs=True)
    number = await launched(people, ada)
    assert people.world.launches.whose(number) == "ada"
    told = (await people.get(f"/api/launches/{number}", Cookie=ada)).json()
    assert told["token"]
    key = people.world.keys.launch_key(number)
    for path in (
        f"/launch/{number}",
        f"/launch/{number}/log",
        f"/api/launches/{number}",
        f"/api/launches/{number}/events",
    ):
        assert await code(people, path, Cookie=bob) == codes.NOT_YOURS.code
        assert await code(people, f"{path}?key={key}", Cookie=f"{bob}; perijove_launch={key}") == codes.NOT_YOURS.code
        assert await code(people, path, Cookie=f"perijove_launch={key}") == codes.LOGIN_NEEDED.code
        assert (await people.get(path, Cookie=eve)).status_code == 200
    told = (await people.get(f"/api/launches/{number}", Cookie=eve)).json()
    assert (told["link"], "token" in told) == ("/v2/gh/owner/repo/HEAD", False)
    last = people.world.journal.read(f"launch/{number}", 0)[-1].seq
    resumed = {"Last-Event-ID": f"{last - 1}.{key}", **STREAMS}
    assert [
        one.data["phase"] for one in frames((await people.get("/build/gh/owner/repo/HEAD", Cookie=ada, **resumed)).text)
    ] == ["ready"]
    again = frames((await people.get("/build/gh/owner/repo/HEAD", Cookie=bob, **resumed)).text)
    assert people.world.launches.whose(people.world.launches.list(1)[0].number) == "bob", again


async def opened(web: Web, shown: str, name: str) -> httpx.Response:
    """What a browser ends up with that follows a link to a session; it keeps its cookies."""
    browser = httpx.AsyncClient(transport=web.client._transport, base_url="https://hub.test", follow_redirects=False)
    key, _, value = shown.partition("=")
    browser.cookies.set(key, value, domain="hub.test")
    headers = {**PAGES, "X-Forwarded-Proto": "https", "Sec-Fetch-Mode": "navigate"}
    answer = await browser.get(f"/user/{name}/lab?token=guessed&x=1", headers=headers)
    for _ in range(6):
        if "location" not in answer.headers or GRANT in answer.headers.get("set-cookie", ""):
            break
        answer = await browser.get(answer.headers["location"], headers=headers)
    return answer


async def test_a_session_is_opened_by_its_person_alone(people: Web) -> None:
    ada, bob, eve = [await cookie(people, name) for name in ("ada", "bob", "eve")]
    await launched(people, ada)
    (session,) = people.world.sessions.live
    answer = await opened(people, ada, session.name)
    token = people.world.keys.session_token(session.name)
    assert answer.headers["location"] == f"/user/{session.name}/lab?x=1&token={token}"
    given = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(GRANT))
    for part in (f"Path=/user/{session.name}/", "HttpOnly", "SameSite=Lax", "Secure"):
        assert f"; {part}" in given
    for shown in (bob, eve):
        answer = await opened(people, shown, session.name)
        assert (answer.status_code, codes.NOT_YOURS.code in answer.text) == (403, True)
    answer = await people.get(f"/user/{session.name}/api/status?token={token}", Authorization=f"token {token}")
    assert (answer.status_code, answer.json()["failure"]["code"]) == (401, codes.LOGIN_NEEDED.code)


async def test_at_a_host_of_its_own_a_session_s_cookie_is_one_that_no_other_host_can_set(people: Web) -> None:
    people.world.set(service__session_hosts=("*.run.test",), service__hosts=("hub.test",))
    ada = await cookie(people, "ada")
    await launched(people, ada)
    (session,) = people.world.sessions.live
    there = f"https://{session.name}.run.test"
    sent = await people.client.get(f"{there}/user/{session.name}/lab", headers=PAGES | HTTPS)
    browser = sent.headers["set-cookie"].partition(";")[0]
    led = await people.client.get(sent.headers["location"], headers={"Cookie": ada, **PAGES, **HTTPS})
    assert led.headers["location"].startswith(there)
    answer = await people.client.get(led.headers["location"], headers={"Cookie": browser, **PAGES, **HTTPS})
    given = next(one for one in answer.headers.get_list("set-cookie") if GRANT in one)
    assert given.startswith(f"__Host-{GRANT}=")
    assert "; Path=/;" in given
    assert "; Secure" in given
    granted = {"Cookie": given.partition(";")[0], **HTTPS}
    failed = await people.client.get(f"{there}/user/{session.name}/x", headers=granted)
    assert codes.LOGIN_NEEDED.code not in failed.text, "it is known here too"


async def test_a_ticket_is_good_once_for_the_browser_that_was_sent(people: Web) -> None:
    ada = await cookie(people, "ada")
    await launched(people, ada)
    (session,) = people.world.sessions.live
    first = await people.get(f"/user/{session.name}/", **PAGES)
    sent = first.headers["set-cookie"].partition(";")[0]
    people.client.cookies.clear()
    back = (await people.get(first.headers["location"], Cookie=ada, **PAGES)).headers["location"]
    answer = await people.get(back, **PAGES)
    assert (answer.status_code, codes.LOGIN_NOT_KEPT.code in answer.text) == (400, True)
    people.client.cookies.clear()
    answer = await people.get(back, Cookie=sent, **PAGES)
    assert "/open/" in answer.headers["location"], "it was spent"
    people.client.cookies.clear()
    back = (await people.get(first.headers["location"], Cookie=ada, **PAGES)).headers["location"]
    people.world.clock.time += 61
    answer = await people.get(back, Cookie=sent, **PAGES)
    assert "/open/" in answer.headers["location"], "it is too old"


async def test_what_the_command_line_launched_is_opened_by_admins(people: Web) -> None:
    ada, eve = [await cookie(people, name) for name in ("ada", "eve")]
    await people.world.launched(ADDRESS)
    (session,) = people.world.sessions.live
    assert GRANT in (await opened(people, eve, session.name)).headers["set-cookie"]
    assert (await opened(people, ada, session.name)).status_code == 403


async def test_log_outs_removals_and_new_passwords_close_what_was_open(people: Web) -> None:
    assert people.public.people is not None
    grants, logins = people.public.people.grants, people.public.people.logins
    for change in ("log-out", "password", "removal", "age"):
        changed(people, {"ada": Entry(PEOPLE[0], KEPT)})
        ada = await cookie(people, "ada")
        number = await launched(people, ada)
        session = people.world.launches.get(number)
        assert session is not None
        assert session.session is not None
        answer = await opened(people, ada, session.session)
        given = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(GRANT))
        grant = given.partition(";")[0].partition("=")[2]
        assert grants.holds(session.session, grant)
        if change == "log-out":
            assert (await people.client.post("/logout", headers={"Cookie": ada, **OURS})).status_code == 303
        elif change == "password":
            changed(people, {"ada": Entry(PEOPLE[0], cheap("something else"))})
        elif change == "removal":
            changed(people, {})
        else:
            people.world.clock.time += people.world.settings.auth.login_lifetime
        assert await code(people, "/", Cookie=ada) == codes.LOGIN_NEEDED.code, change
        people.public.gate.identity.sweep(people.world.sessions.names)
        assert not grants.holds(session.session, grant), change
        assert logins.all() == []


async def refused_launch(web: Web, shown: str, path: str = "gh/owner/repo/HEAD") -> str:
    """The code of the failure of who may not launch; `` for whoever may."""
    last = (await web.build(path, Cookie=shown))[-1].data
    return last["failure"]["code"] if last["phase"] == "failed" else ""


async def test_who_may_launch_what(people: Web) -> None:
    ada, bob = [await cookie(people, name) for name in ("ada", "bob")]
    no: Kind = codes.NOT_FOR_YOU
    people.world.set(auth__allowed=("@students",))
    assert (await refused_launch(people, ada), await refused_launch(people, bob)) == ("", no.code)
    people.world.set(auth__allowed=(), auth__repositories={"gh/owner/": "bob"})
    encoded = "git/https%3A%2F%2Fgithub.com%2FOwner%2Frepo.git/HEAD"
    assert (await refused_launch(people, ada), await refused_launch(people, ada, encoded)) == (no.code, no.code)
    assert (await refused_launch(people, bob), await refused_launch(people, ada, "gh/else/repo/HEAD")) == ("", "")
    term = ClassSettings("term", ("gh/owner/repo/HEAD",), seats=5, who=("@students",))
    people.world.set(auth__repositories={}, launching__classes=(term,))
    assert (await refused_launch(people, ada), await refused_launch(people, bob)) == ("", no.code)
    page = await people.get("/v2/gh/owner/repo/HEAD?another=true", Cookie=bob, **PAGES)
    token = page.text.partition('name="begin" value="')[2].partition('"')[0]
    assert await code(people, f"/v2/gh/owner/repo/HEAD?begin={token}", Cookie=bob) == no.code


async def test_who_may_not_launch_a_repository_is_not_told_its_branches(people: Web) -> None:
    ada, bob = [await cookie(people, name) for name in ("ada", "bob")]
    people.world.set(auth__repositories={"gh/owner/": "bob"})
    asked = "/api/refs?link=https://github.com/Owner/repo/tree/feature/x"
    assert (await people.get(asked, Cookie=bob)).json()["branches"] == ["main", "feature/x"]
    assert await code(people, asked, Cookie=ada) == codes.NOT_FOR_YOU.code
    meant = asked.replace("refs", "link")
    refs = [(await people.get(meant, Cookie=one)).json()["ref"] for one in (ada, bob)]
    assert refs == ["feature", "feature/x"]


async def test_a_person_has_so_many_sessions_wherever_they_are(people: Web) -> None:
    people.world.set(auth__sessions=1)
    ada, bob = [await cookie(people, name) for name in ("ada", "bob")]
    assert await refused_launch(people, ada) == ""
    elsewhere = await people.build(Cookie=ada, X_Forwarded_For="198.51.100.9")
    assert elsewhere[-1].data["failure"]["code"] == "start.too-many-at-once"
    assert await refused_launch(people, bob) == ""


async def test_the_web_server_in_front_says_who_asks(web: Web) -> None:
    web.world.set(
        auth__method=AuthMethod.HEADER,
        service__behind=("10.0.0.7",),
        auth__groups_header="X-Groups",
        auth__admins=("@staff",),
    )
    assert await code(web, "/") == codes.FRONT_SILENT.code
    assert await code(web, "/", **{"X-Forwarded-User": "a, <b>"}) == codes.NAME_UNUSABLE.code
    twice = [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "eve")]
    assert (await web.client.get("/", headers=twice)).json()["failure"]["code"] == codes.FRONT_SILENT.code
    told = await web.build(**{"X-Forwarded-User": "ada"})
    number = web.world.launches.list(1)[0].number
    assert (told[-1].data["phase"], web.world.launches.whose(number)) == ("ready", "ada")
    assert await code(web, f"/api/launches/{number}", **{"X-Forwarded-User": "bob"}) == codes.NOT_YOURS.code
    assert await code(web, f"/api/launches/{number}", **{"X-Forwarded-User": "bob", "X-Groups": "x, staff"}) == ""
    assert (await web.get("/login", **{"X-Forwarded-User": "ada"})).status_code == 404


async def test_a_file_of_people_that_is_broken_lets_nobody_in(people: Web) -> None:
    ada = await cookie(people, "ada")
    passwords(people).path.write_text("broken\n")
    assert await code(people, "/", Cookie=ada) == codes.PEOPLE_UNREADABLE.code
    assert (await tried(people, "ada")).status_code == 500


async def token(web: Web, shown: str, program: str = "a script") -> str:
    """One that a person makes for a program."""
    answer = await web.client.post("/you/tokens", data={"program": program}, headers={"Cookie": shown, **PAGES, **OURS})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return answer.text.partition('<code id="token">')[2].partition("<")[0]


async def test_a_program_launches_and_opens_by_its_person_s_token(people: Web) -> None:
    shown = await cookie(people, "ada")
    secret = await token(people, shown)
    asked = {"Authorization": f"Bearer {secret}"}
    last = (await people.build(**asked))[-1].data
    assert last["phase"] == "ready"
    number, name = last["launch"], people.world.sessions.live[0].name
    assert people.world.launches.whose(number) == "ada"
    opens, _, grant = last["token"].partition(".")
    assert opens == people.world.keys.session_token(name)
    assert people.public.people is not None
    assert people.public.people.grants.holds(name, grant)
    told = (await people.get(f"/api/launches/{number}", Authorization=f"token {secret}")).json()
    assert told["token"] == last["token"]
    assert "." not in (await people.get(f"/api/launches/{number}", Cookie=shown)).json()["token"]
    assert await code(people, "/you", **asked) == "platform.no-such-object", "a token makes no other"
    page = (await people.get("/you", Cookie=shown, **PAGES)).text
    assert ("a script" in page, secret in page) == (True, False)
    made = page.partition('name="token" value="')[2].partition('"')[0]
    bob = await cookie(people, "bob")
    for whose, works in ((bob, True), (shown, False)):
        await people.client.post("/you/tokens/end", data={"token": made}, headers={"Cookie": whose, **OURS})
        assert (await code(people, f"/api/launches/{number}", **asked) == "") is works
    assert not people.public.people.grants.holds(name, grant)


async def test_a_token_is_no_cookie_and_a_cookie_is_no_token(people: Web) -> None:
    shown = await cookie(people, "ada")
    secret = await token(people, shown)
    assert await code(people, "/", Cookie=f"{LOGIN}={secret}") == codes.LOGIN_NEEDED.code
    assert await code(people, "/", Authorization=f"Bearer {shown.partition('=')[2]}") == codes.LOGIN_NEEDED.code
    assert await code(people, "/", Authorization=f"Basic {secret}") == codes.LOGIN_NEEDED.code
    assert await code(people, "/", Authorization=f"Bearer {secret}") == ""
    people.world.clock.time += people.world.settings.auth.token_lifetime
    assert await code(people, "/", Authorization=f"Bearer {secret}") == codes.LOGIN_NEEDED.code


async def test_pages_that_the_operator_allows_launch_by_a_token_and_others_do_not(people: Web) -> None:
    secret = await token(people, await cookie(people, "ada"))
    people.world.set(service__cors_allow_origin=("https://book.test",))
    asked = {"Authorization": f"Bearer {secret}", "Sec-Fetch-Site": "cross-site"}
    assert (await people.build(Origin="https://book.test", **asked))[-1].data["phase"] == "ready"
    assert (await people.build(Origin="https://evil.test", **asked))[-1].data["failure"]["code"] == "start.foreign-page"


async def test_a_person_finds_their_sessions_in_every_browser_and_stops_them(people: Web) -> None:
    ada, elsewhere, bob = [await cookie(people, name) for name in ("ada", "ada", "bob")]
    await launched(people, ada)
    (session,) = people.world.sessions.live
    answer = await people.get("/v2/gh/owner/repo/HEAD", Cookie=elsewhere, **PAGES)
    assert session.name in answer.text
    assert "set-cookie" not in answer.headers
    assert session.name not in (await people.get("/v2/gh/owner/repo/HEAD", Cookie=bob, **PAGES)).text
    path = f"/launch/running/{session.name}/stop"
    for shown, headers, status in ((bob, OURS, 404), (ada, {"Origin": "https://evil.test"}, 401), (ada, OURS, 303)):
        assert people.world.sessions.live
        assert (await people.client.post(path, headers={"Cookie": shown, **headers})).status_code == status
    await people.world.until(lambda: not people.world.sessions.live)


async def test_without_log_in_nothing_is_anybody_s(web: Web) -> None:
    assert (await web.get("/you", **PAGES)).status_code == 404
    assert (await web.client.post("/you/tokens", data={"program": "x"}, headers=OURS)).status_code == 404


async def test_what_a_person_has_running_is_offered_in_every_browser_of_theirs_and_to_nobody_else(people: Web) -> None:
    link = "/v2/gh/owner/repo/HEAD"
    first = await cookie(people, "ada")
    (begin,) = re.findall(r'name="begin" value="([^"]+)"', (await people.get(link, Cookie=first, **PAGES)).text)
    assert (await people.get(f"{link}?begin={begin}", Cookie=first, **PAGES)).status_code == 303
    await people.world.until(lambda: len(people.world.sessions.live) == 1)
    for name, offered in (("ada", True), ("bob", False)):
        page = (await people.get(link, Cookie=await cookie(people, name), **PAGES)).text
        assert ("You have one running" in page) == offered, name


async def test_admins_open_the_operator_s_page_and_nobody_else_does(people: Web) -> None:
    people.world.set(service__session_hosts=("*.run.test",))
    eve, bob = await cookie(people, "eve"), await cookie(people, "bob")
    assert (await people.get("/admin", Cookie=eve, **PAGES)).status_code == 200
    assert await code(people, "/admin", Cookie=bob) == await code(people, "/admin")
    foreign = {"Cookie": eve, "Origin": "https://x.run.test", "Sec-Fetch-Site": "same-site"}
    assert (await people.client.post("/admin/close", headers=foreign)).status_code == 403
    assert people.world.launches.closed is None


async def test_a_person_gives_and_removes_a_token_for_a_git_host_which_is_never_shown(people: Web) -> None:
    ada, bob = [await cookie(people, name) for name in ("ada", "bob")]
    sent = {"host": "GitHub.com", "secret": " ghp_0123456789 ", "user": ""}
    foreign = {"Cookie": ada, "Origin": "https://evil.test"}
    assert (await people.client.post("/you/hosts", data=sent, headers=foreign)).status_code == 401
    assert people.public.people is not None
    kept = people.public.people.host_tokens
    assert kept.of("ada") == []
    answer = await people.client.post("/you/hosts", data=sent, headers={"Cookie": ada, **OURS})
    assert (answer.status_code, answer.headers["location"]) == (303, "/you")
    (token,) = kept.of("ada")
    assert (token.host, token.secret, token.user) == ("https://github.com", "ghp_0123456789", "oauth2")
    page = (await people.get("/you", Cookie=ada, **PAGES)).text
    assert ("github.com" in page, "ghp_0123456789" in page) == (True, False)
    assert "given" not in (await people.get("/you", Cookie=bob, **PAGES)).text
    for wrong in ({"host": "http://github.com"}, {"host": "a b"}, {"secret": "a\nhost=evil.test"}, {"user": "a b"}):
        answer = await people.client.post("/you/hosts", data={**sent, **wrong}, headers={"Cookie": ada, **OURS})
        assert (answer.status_code, len(kept.of("ada"))) == (400, 1)
        assert "ghp_0123456789" not in answer.text
    for whose, left in ((bob, 1), (ada, 0)):
        gone = {"host": "https://github.com"}
        await people.client.post("/you/hosts/remove", data=gone, headers={"Cookie": whose, **OURS})
        assert len(kept.of("ada")) == left
    await people.client.post("/you/hosts", data=sent, headers={"Cookie": ada, **OURS})
    file = passwords(people).path
    file.rename(aside := file.with_name("aside"))
    people.public.gate.identity.sweep(())
    assert len(kept.of("ada")) == 1, "a list of people that is not there, as one on a disk that is not mounted"
    aside.rename(file)
    changed(people, {"bob": Entry(PEOPLE[1], KEPT)})
    people.public.gate.identity.sweep(())
    assert kept.of("ada") == []


async def test_a_launch_is_resolved_for_its_person_and_what_is_theirs_is_not_held_ready(people: Web) -> None:
    people.world.repositories.persons = True
    last = (await people.build(Cookie=await cookie(people, "ada")))[-1].data
    launch = people.world.launches.get(last["launch"])
    assert launch is not None
    assert launch.repo is not None
    assert (launch.repo.person, launch.repo.private) == ("ada", True)
    people.world.set(launching__ready=5)
    await people.world.way.pool.renew()
    assert people.world.way.pool.held == []
