"""The pages without JavaScript, and what lies behind them."""

from __future__ import annotations

import asyncio
import html
import re
from dataclasses import replace

import pytest

from perijove.domain import failures
from perijove.domain.events import Logged, Noted, Phase, SessionTroubled
from perijove.domain.launch_options import LaunchOptions
from perijove.domain.nouns import EndReason
from perijove.domain.page_settings import PageSettings
from perijove.domain.request_failures import DRAINED
from perijove.web.limits import LOOKS, LOOKS_PERIOD
from tests.unit.web.conftest import Web, frames
from tests.ways.conftest import ADDRESS

LINK = "/v2/gh/owner/repo/HEAD"


async def page(web: Web, path: str, status: int = 200) -> str:
    answer = await web.get(path, Accept="text/html,*/*")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script>" not in answer.text
    assert not re.search(r"\son\w+=|style=", answer.text)
    return answer.text


async def launched(web: Web) -> tuple[int, str]:
    """A finished launch: its number and its session's name."""
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    launch = web.public.launches.get(number)
    assert launch is not None
    return number, launch.session or ""


async def holding(web: Web, number: int) -> Web:
    """The browser of whoever began a launch."""
    web.client.headers["Cookie"] = f"perijove_launch={web.world.keys.launch_key(number)}"
    return web


async def test_a_link_s_page_begins_what_it_asks_for(web: Web) -> None:
    assert "again=true" not in await page(web, LINK)
    text = await page(web, f"{LINK}?again=true")
    assert re.search(r'data-events="/build/gh/owner/repo/HEAD\?build_token=[^"]*&amp;again=true"', text)
    assert '<input type="hidden" name="again" value="true">' in text
    number, _ = await launched(web)
    token = re.search(r'name="begin" value="([^"]+)"', text)
    assert token
    answer = await web.get(f"{LINK}?begin={token[1]}&again=true", Accept="text/html", Sec_Fetch_Site="same-origin")
    assert answer.status_code == 303
    await web.world.events(number + 1)
    assert web.world.environments.builds == 2


@pytest.mark.parametrize(("urlpath", "script"), [("", "lab"), ("?urlpath=notebooks%2Fa.ipynb", "notebooks")])
async def test_what_the_session_s_page_loads_first_is_fetched_while_it_is_launched(
    web: Web, urlpath: str, script: str
) -> None:
    prefetched = f'<link rel="prefetch" as="script" href="/-/scripts/{script}.js">'
    assert prefetched in await page(web, LINK + urlpath)
    number, _ = await launched(web)
    assert prefetched not in await page(web, f"/launch/{number}{urlpath}"), "it is ready"


async def test_a_launch_that_is_over_can_be_built_anew(web: Web) -> None:
    number, _ = await launched(web)
    await holding(web, number)
    text = await page(web, f"/launch/{number}")
    assert re.search(rf'id="anew" class="button quiet" href="{LINK}\?again=true" >Build anew', text)
    number = web.public.launches.begin(ADDRESS, "x", LaunchOptions(build_only=True))
    await web.world.events(number)
    await holding(web, number)
    text = await page(web, f"/launch/{number}?urlpath=lab")
    assert f'href="{LINK}?urlpath=lab&amp;again=true"' in text
    assert "The environment stands" in text


async def test_a_log_s_colours_are_shown_and_told_beside_its_plain_text(web: Web) -> None:
    web.world.environments.says = ("\x1b[1;31m<b>bad</b>\x1b[0m \x1b]0;title\x07end",)
    number, _ = await launched(web)
    await holding(web, number)
    text = await page(web, f"/launch/{number}")
    assert '<span><span class="sgr-1 sgr-31">&lt;b&gt;bad&lt;/b&gt;</span> end</span></div>' in text
    assert "\n<b>bad</b> end\n" in re.sub("building +", "", (await web.get(f"/launch/{number}/log")).text)
    told = frames((await web.get(f"/api/launches/{number}/events")).text)
    (line,) = [frame.data for frame in told if "colours" in frame.data]
    assert (line["message"], line["colours"]) == ("<b>bad</b> end\n", [[0, "1;31"], [10, ""]])


async def test_a_file_that_was_moved_is_opened_where_it_lies(web: Web) -> None:
    moved = web.world.repositories.folder / "new" / "a.ipynb"
    moved.parent.mkdir()
    moved.touch()
    text = await page(web, f"{LINK}?labpath=a.ipynb")
    (events,) = re.findall(r'data-events="([^"]*)"', text)
    assert events.endswith("&amp;urlpath=doc%2Ftree%2Fa.ipynb")
    (token,) = re.findall(r'name="begin" value="([^"]+)"', text)
    to = (await web.get(f"{LINK}?labpath=a.ipynb&begin={token}", Accept="text/html")).headers["location"]
    number = int(re.findall("[0-9]+", to)[0])
    told = await web.world.events(number)
    assert sum(isinstance(event, Noted) for event in told) == 1
    await holding(web, number)
    text = await page(web, to)
    assert "<li>This commit has no a.ipynb; it has new/a.ipynb, which is opened</li>" in text
    assert re.search(r'id="open" class="button" href="[^"]*/doc/tree/new/a.ipynb\?token=', text)
    assert (await web.get(f"/api/launches/{number}")).json()["urlpath"] == "doc/tree/new/a.ipynb"
    web.client.headers["Cookie"] = ""
    assert "new/a.ipynb" not in (await web.get(f"/api/launches/{number}")).text


@pytest.mark.parametrize("path", ["/", "/v2/gh/octo/hello/HEAD", "/nowhere"])
async def test_a_service_that_takes_no_launches_says_so_on_every_page(web: Web, path: str) -> None:
    before = await web.get(path, Accept="text/html")
    web.world.launches.closed = DRAINED("back at <b>six</b>")
    after = await web.get(path, Accept="text/html")
    assert DRAINED.title not in before.text
    assert f"<strong>{DRAINED.title}:</strong> back at &lt;b&gt;six&lt;/b&gt;. {DRAINED.remedy}" in after.text


async def test_the_form_asks_for_a_link(web: Web) -> None:
    text = await page(web, "/")
    for field in ("link", "ref", "file"):
        assert f'<label for="{field}"' in text
        assert f'name="{field}"' in text


FORMS = [
    pytest.param("link=https://github.com/owner/repo", LINK, id="an address"),
    pytest.param("link=gh/owner/repo/HEAD&ref=dev", "/v2/gh/owner/repo/dev", id="a ref"),
    pytest.param("link=https://github.com/owner/repo&ref=fix%2F%2312", "/v2/gh/owner/repo/fix/%2312", id="an odd ref"),
    pytest.param(
        "link=https://github.com/owner/repo&file=x/a b.ipynb",
        f"{LINK}?urlpath=doc%2Ftree%2Fx%2Fa%2520b.ipynb",
        id="a file",
    ),
    pytest.param("link=gh/owner/repo/HEAD&file=/lab/tree/x", f"{LINK}?urlpath=lab%2Ftree%2Fx", id="an address inside"),
    pytest.param("link=gh/owner/repo/HEAD&file=//evil.test/x", f"{LINK}?urlpath=evil.test%2Fx", id="never outside"),
    pytest.param("link=gh/owner/repo/HEAD&file=/https://evil.test/", LINK, id="never elsewhere"),
]


@pytest.mark.parametrize(("query", "to"), FORMS)
async def test_the_form_leads_to_the_launch_link(web: Web, query: str, to: str) -> None:
    answer = await web.get(f"/?{query}", Accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (303, to)


async def test_the_form_says_what_is_wrong_with_a_link_and_keeps_it(web: Web) -> None:
    text = await page(web, "/?link=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", 400)
    assert "resolve." in text
    assert "&lt;script&gt;alert(1)" in text


async def test_what_a_link_means_is_told_while_it_is_typed(web: Web) -> None:
    told = (await web.get("/api/link?link=https://github.com/owner/repo&file=index.ipynb")).json()
    assert told["path"] == f"{LINK}?urlpath=doc%2Ftree%2Findex.ipynb"
    assert told["link"] == f"https://hub.test{told['path']}"
    assert told["markdown"] == f"[![Binder](https://hub.test/badge_logo.svg)]({told['link']})"
    assert (told["host"], told["repository"], told["ref"], told["opens"]) == (
        "GitHub",
        "owner/repo",
        "HEAD",
        "index.ipynb",
    )
    told = (await web.get("/api/link?link=https://github.com/owner/repo/tree/feature/x/notebooks")).json()
    assert told["path"] == "/v2/gh/owner/repo/feature/x?urlpath=lab%2Ftree%2Fnotebooks"
    wrong = await web.get("/api/link?link=gh/owner")
    assert wrong.status_code == 400
    assert wrong.json()["failure"]["code"] == "resolve.bad-link"


async def test_opening_a_launch_link_begins_nothing_by_itself(web: Web) -> None:
    text = await page(web, LINK)
    assert "/build/gh/owner/repo/HEAD?build_token=" in text
    assert web.public.launches.list(10) == []


async def test_a_launch_link_works_without_javascript(web: Web) -> None:
    text = await page(web, f"{LINK}?urlpath=lab/tree/x.ipynb")
    begin = re.search(r'name="begin" value="([^"]+)"', text)
    assert begin is not None
    answer = await web.get(f"{LINK}?begin={begin[1]}&urlpath=lab/tree/x.ipynb", Accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (303, "/launch/1?urlpath=lab%2Ftree%2Fx.ipynb")
    assert (await page(web, answer.headers["location"])).count('http-equiv="refresh"') == 1
    await web.world.events(1)
    text = await page(web, answer.headers["location"])
    session = web.public.launches.list(1)[0].session
    token = web.world.keys.session_token(session or "")
    assert f'href="https://hub.test/user/{session}/lab/tree/x.ipynb?token={token}"' in text
    assert 'http-equiv="refresh"' not in text


async def test_nobody_else_s_page_can_begin_a_launch(web: Web) -> None:
    await page(web, f"{LINK}?begin=9999999999.{'0' * 32}")
    assert web.public.launches.list(10) == []


BAD_LINKS = [
    pytest.param("/v2/gh/owner/repo", 400, "Did you mean", id="no ref"),
    pytest.param("/v2/zz/owner/repo/HEAD", 404, "This kind of link is not served here", id="no such provider"),
]


@pytest.mark.parametrize(("path", "status", "says"), BAD_LINKS)
async def test_a_bad_launch_link_says_what_is_wrong(web: Web, path: str, status: int, says: str) -> None:
    assert says in await page(web, path, status)


async def test_without_the_key_a_launch_tells_how_far_it_is_and_no_more(web: Web) -> None:
    number, session = await launched(web)
    told = (await web.get(f"/api/launches/{number}")).json()
    assert set(told) == {"number", "state", "stage", "started_at", "ended_at", "failure"}
    assert told["state"] == "ready"
    texts = [
        await page(web, f"/launch/{number}"),
        (await web.get(f"/api/launches/{number}/events")).text,
        (await web.get(f"/launch/{number}/log")).text,
        await page(web, f"/launch/{number}/log", 403),
        await page(web, f"/user/{session}x/", 424),
        str(told),
    ]
    names = (session, "owner/repo", "1" * 40, "k" * 32, "192.0.2", "Server running")
    for text in texts:
        assert not [name for name in names if name in text]
    assert "in the browser that began it" in texts[0]
    assert frames(texts[1])[-1].data["phase"] == "ready"
    assert "start.log-closed" in texts[2]


async def test_a_failure_s_code_is_for_all_and_its_cause_for_whoever_began_the_launch(web: Web) -> None:
    web.world.repositories.fails = [failures.REPO_FORBIDDEN("owner/repo asked for a password")]
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    for text in (await page(web, f"/launch/{number}"), (await web.get(f"/api/launches/{number}")).text):
        assert failures.REPO_FORBIDDEN.code in text
        assert "owner/repo" not in text
    assert "owner/repo asked for a password" in await page(await holding(web, number), f"/launch/{number}")


async def test_a_key_is_taken_from_the_address_into_a_cookie_of_its_launch(web: Web) -> None:
    number, session = await launched(web)
    key = web.world.keys.launch_key(number)
    for path in (f"/launch/{number}", f"/launch/{number}/log"):
        answer = await web.get(f"{path}?key={key}&urlpath=lab", Accept="text/html")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?urlpath=lab")
        for cookie in answer.headers.get_list("set-cookie"):
            assert cookie.endswith("; HttpOnly; SameSite=Lax; Secure")
    assert {cookie.path for cookie in web.client.cookies.jar} == {f"/api/launches/{number}", f"/launch/{number}"}
    token = web.world.keys.session_token(session)
    text = await page(web, f"/launch/{number}")
    assert f'href="https://hub.test/user/{session}/?token={token}"' in text
    assert key not in text
    assert "Launching server..." in (await web.get(f"/launch/{number}/log")).text
    told = (await web.get(f"/api/launches/{number}")).json()
    assert (told["url"], told["token"]) == (f"https://hub.test/user/{session}/", token)
    events = frames((await web.get(f"/api/launches/{number}/events")).text)
    assert events[-1].data["token"] == token
    assert events[-1].id.endswith(f".{key}")


async def test_a_wrong_key_leaves_the_address_too_and_opens_nothing(web: Web) -> None:
    number, _ = await launched(web)
    answer = await web.get(f"/launch/{number}?key={'0' * 24}", Accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/launch/{number}")
    assert "set-cookie" not in answer.headers


async def test_a_cookie_that_a_session_tossed_hides_nothing_and_opens_nothing(web: Web) -> None:
    number, _ = await launched(web)
    key, other = web.world.keys.launch_key(number), web.world.keys.launch_key(number + 1)
    for cookies in (f"perijove_launch=x; perijove_launch={key}", f"perijove_launch={key}; perijove_launch=x"):
        assert "token" in (await web.get(f"/api/launches/{number}", Cookie=cookies)).json()
    for cookies in (f"perijove_launch={other}", "perijove_launch=", f"x={key}", f"perijove_launch=é{key}"):
        answer = await web.client.get(f"/api/launches/{number}", headers={b"Cookie": cookies.encode()})
        assert "token" not in answer.json()


async def test_the_operator_may_open_logs_of_public_repositories(web: Web) -> None:
    number, session = await launched(web)
    web.world.set(service__open_logs=True)
    text = await page(web, f"/launch/{number}")
    assert "Launching server..." in text
    assert web.world.keys.session_token(session) not in text
    told = (await web.get(f"/api/launches/{number}")).json()
    assert (told["state"], told["session"]["state"]) == ("ready", "open")
    assert "token" not in told
    assert "192.0.2" not in str(told)


@pytest.mark.parametrize("why", ["a folder of the operator's", "opened by the operator's credentials", "not yet known"])
async def test_open_logs_never_opens_what_is_not_known_to_be_public(web: Web, why: str) -> None:
    web.world.set(service__open_logs=True)
    web.world.repositories.private = why.startswith("opened")
    if why.startswith("not"):
        web.world.repositories.fails = [failures.REPO_FORBIDDEN("owner/repo asked for a password")]
    number = web.public.launches.begin(replace(ADDRESS, provider="local" if why.startswith("a") else "gh"), "x")
    await web.world.events(number)
    session = web.public.launches.list(1)[0].session or "none"
    for path in (f"/launch/{number}", f"/api/launches/{number}", f"/api/launches/{number}/events", f"/user/{session}/"):
        assert "owner/repo" not in (await web.get(path, Accept="text/html")).text
    assert (await web.get(f"/launch/{number}/log")).status_code == 403


async def test_programs_bring_the_key_in_the_address(web: Web) -> None:
    number, session = await launched(web)
    key = web.world.keys.launch_key(number)
    told = (await web.get(f"/api/launches/{number}?key={key}")).json()
    assert (told["url"], told["token"]) == (f"https://hub.test/user/{session}/", web.world.keys.session_token(session))
    assert frames((await web.get(f"/api/launches/{number}/events?key={key}")).text)[-1].id.endswith(f".{key}")


async def test_a_launch_s_events_are_replayed_from_where_the_reader_was(web: Web) -> None:
    number, _ = await launched(web)
    address = f"/api/launches/{number}/events"
    everything = frames((await web.get(address)).text)
    assert everything[-1].data["phase"] == "ready"
    assert "token" not in everything[-1].data
    assert frames((await web.get(address, Last_Event_ID=everything[2].id)).text) == everything[3:]
    assert frames((await web.get(f"{address}?after={everything[2].id}")).text) == everything[3:]
    assert (await web.get(address, Last_Event_ID=everything[-1].id)).status_code == 204


async def test_log_lines_are_text_whatever_they_say(web: Web) -> None:
    number, _ = await launched(web)
    await holding(web, number)
    evil = '<img src=x onerror="alert(1)">'
    web.world.journal.append(f"launch/{number}", Logged(Phase.BUILDING, evil))
    answer = await web.get(f"/launch/{number}", Accept="text/html")
    assert "&lt;img src=x" in answer.text
    assert "<img src=x" not in answer.text
    plain = await web.get(f"/launch/{number}/log")
    assert evil in plain.text
    assert plain.headers["content-type"].startswith("text/plain")


async def test_notes_for_the_author_stand_on_the_launch_s_page_for_whoever_may_read_its_log(web: Web) -> None:
    (web.world.repositories.folder / "Requirements.txt").touch()
    (web.world.repositories.folder / "<b>").mkdir()
    (web.world.repositories.folder / "<b>" / "apt.txt").touch()
    number, _ = await launched(web)
    notes = [
        "Requirements.txt is not read: the name that counts is requirements.txt, capitals included",
        "<b>/apt.txt is not read: only the root's and binder/'s are",
    ]
    assert 'class="notes"' in await page(web, f"/launch/{number}")
    assert "is not read" not in await page(web, f"/launch/{number}")
    assert "is not read" not in (await web.get(f"/api/launches/{number}")).text
    text = await page(await holding(web, number), f"/launch/{number}")
    shown = re.findall("<li>([^<]* is not read[^<]*)</li>", text)
    assert [html.unescape(note) for note in shown] == notes
    told = (await web.get(f"/api/launches/{number}")).json()
    assert told["notes"] == notes


async def test_a_failed_launch_s_page_says_why_and_what_to_do(web: Web) -> None:
    seen = failures.Evidence("<git>", "fatal: <nothing>")
    web.world.repositories.fails = [failures.REF_NOT_FOUND("there is no branch dev", seen)]
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    text = await page(await holding(web, number), f"/launch/{number}")
    for says in (
        "The branch, tag or commit was not found",
        "There is no branch dev.",
        "You can put this right",
        "HEAD is always the default branch",
        "&lt;git&gt;",
        "fatal: &lt;nothing&gt;",
        f'href="{LINK}"',
        "resolve.ref-not-found",
    ):
        assert says in text


async def test_whoever_began_a_launch_can_give_it_up_and_nobody_else(web: Web) -> None:
    web.world.repositories.gate = asyncio.Event()
    number = web.public.launches.begin(ADDRESS, "x")
    refused = await web.client.post(f"/launch/{number}/cancel", headers={"Accept": "text/html"})
    assert (refused.status_code, failures.CATALOGUE["start.cancel-closed"].title in refused.text) == (403, True)
    await holding(web, number)
    assert f'action="/launch/{number}/cancel" >' in await page(web, f"/launch/{number}")
    foreign = await web.client.post(f"/launch/{number}/cancel", headers={"Origin": "https://evil.test"})
    assert (foreign.status_code, foreign.json()["failure"]["code"]) == (403, "start.foreign-page")
    assert (await web.get(f"/launch/{number}/cancel")).status_code == 405
    assert web.public.launches.running == {number}
    for _ in range(2):
        done = await web.client.post(f"/launch/{number}/cancel", headers={"Origin": "https://hub.test"})
        assert (done.status_code, done.headers["location"]) == (303, f"/launch/{number}")
        await web.world.events(number)
    launch = web.public.launches.get(number)
    assert launch
    assert launch.failure
    assert launch.failure.kind.code == "start.cancelled"
    text = await page(web, f"/launch/{number}")
    assert ">Launch again</a>" in text
    assert f'action="/launch/{number}/cancel" hidden>' in text
    web.world.repositories.gate.set()
    assert await launched(web), "others begin as before"


async def test_a_failed_launch_s_page_marks_its_stage_and_offers_what_its_owner_can_do(web: Web) -> None:
    web.world.environments.fails = [failures.CONFLICT("a==1 and a==2", failures.Evidence("uv", "error: a"))]
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    assert '<li data-stage="building" class="broken"' in await page(web, f"/launch/{number}"), "to strangers as well"
    told = (await web.get(f"/api/launches/{number}")).json()
    assert (told["state"], told["stage"]) == ("failed", "building")
    text = await page(await holding(web, number), f"/launch/{number}")
    assert '<li data-stage="building" class="broken"' in text
    assert text.count("a==1 and a==2.") == 2, "once for the visitor, once in what is to be copied"
    assert "Copy this for the author" in text
    assert 'href="https://github.com/owner/repo/issues/new?title=The%20requirements' in text
    assert "Launch again once it is mended" in text
    assert "Change the link" not in text


async def test_a_link_that_was_wrong_can_be_changed_where_it_was_pasted(web: Web) -> None:
    web.world.repositories.fails = [failures.REF_NOT_FOUND("there is no branch dev")]
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    text = await page(await holding(web, number), f"/launch/{number}")
    assert 'href="/?change=gh%2Fowner%2Frepo%2FHEAD">Change the link' in text
    assert 'value="gh/owner/repo/HEAD"' in await page(web, "/?change=gh%2Fowner%2Frepo%2FHEAD")


async def test_what_is_in_trouble_for_a_while_is_launched_again(web: Web) -> None:
    web.world.set(launching__retries=0)
    web.world.repositories.fails = [failures.HOST_UNREACHABLE("host.test does not answer")]
    number = web.public.launches.begin(ADDRESS, "x")
    await web.world.events(number)
    text = await page(await holding(web, number), f"/launch/{number}")
    assert 'class="button" href="/v2/gh/owner/repo/HEAD" >Launch again</a>' in text
    assert "Open an issue" not in text


async def test_a_launch_s_page_says_how_long_its_repository_s_launches_take(web: Web) -> None:
    assert "usually" not in await page(web, LINK)
    await launched(web)
    assert "usually" in await page(web, LINK)


@pytest.mark.parametrize("path", ["/launch/99", "/api/launches/99", f"/launch/{'9' * 40}"])
async def test_a_launch_that_never_was_is_404(web: Web, path: str) -> None:
    answer = await web.get(path, Accept="text/html" if path.startswith("/launch") else "application/json")
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/launch/{}", "/launch/{}/log", "/api/launches/{}", "/api/launches/{}/events"])
async def test_a_launch_that_is_no_longer_kept_says_so(web: Web, path: str) -> None:
    number, _ = await launched(web)
    while not web.world.ledger.drop(f"launch/{number}", 100):
        pass
    answer = await web.get(
        path.format(number), Accept="text/html" if path.startswith("/launch") else "application/json"
    )
    assert answer.status_code == 410
    assert failures.NO_LONGER_KEPT.title in answer.text
    assert f"aunch {number} was removed from the journal" in answer.text
    assert (await web.get(path.format(number + 1))).status_code == 404


async def test_a_dead_session_says_why_it_ended_and_offers_to_launch_again(web: Web) -> None:
    number, session = await launched(web)
    oom = failures.KERNEL_MEMORY("a kernel used more than 2 GB")
    web.world.journal.append(f"session/{session}", SessionTroubled(session, oom))
    await web.world.sandboxes.stop(session, EndReason.IDLE)
    await web.world.until(lambda: not web.world.sessions.live)
    token = web.world.keys.session_token(session)
    text = await page(web, f"/user/{session}/lab/tree/x.ipynb?token={token}&reset", 424)
    assert "It was stopped (idle)." in text
    assert oom.message in text
    assert f'href="{LINK}?urlpath=lab%2Ftree%2Fx.ipynb%3Freset%3D"' in text
    assert f'href="/launch/{number}?urlpath=lab%2Ftree%2Fx.ipynb%3Freset%3D"' in text
    assert token not in text
    log = (await (await holding(web, number)).get(f"/launch/{number}/log")).text
    assert f"session    {oom.message}\nsession    The session is over: it was stopped (idle)\n" in log
    answer = await web.get(f"/user/{session}/api/kernels", Accept="*/*", Authorization=f"token {token}")
    assert answer.status_code == 424
    assert answer.json()["launch_again"] == LINK
    assert answer.json()["session"]["reason"] == "idle"
    posted = await web.client.post(f"/user/{session}/api/kernels", content=b"{}")
    assert posted.status_code == 424


async def test_a_stranger_is_told_that_a_session_is_over_and_no_more(web: Web) -> None:
    number, session = await launched(web)
    for still_open in (True, False):
        if not still_open:
            await web.world.sandboxes.stop(session, EndReason.IDLE)
            await web.world.until(lambda: not web.world.sessions.live)
        text = await page(web, f"/user/{session}/lab?token=old", 503 if still_open else 424)
        told = (await web.get(f"/user/{session}/api/kernels", Authorization="token old")).json()
        assert (told["session"], told["launch_again"], told["log"]) == (None, None, f"/launch/{number}")
        assert not [name for name in ("(idle)", "owner/repo") if name in text + str(told)]
    assert f'href="/launch/{number}?urlpath=lab"' in text


async def test_a_session_nobody_knows_is_424_too(web: Web) -> None:
    assert "it is over, or never was" in await page(web, "/user/never-was/", 424)
    told = (await web.get("/user/never-was/", Accept="application/json")).json()
    assert told["launch_again"] is None
    assert told["message"].startswith("Binder not found: "), "as mybinder.org's monitoring knows it"


async def test_a_session_that_runs_but_does_not_answer_is_not_called_over(web: Web) -> None:
    _, session = await launched(web)
    answer = await web.get(f"/user/{session}/lab", Accept="text/html")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert "over" not in answer.text.partition("<main")[2].partition("</main")[0]


async def test_a_session_that_ended_is_no_longer_offered(web: Web) -> None:
    number, session = await launched(web)
    await web.world.sandboxes.stop(session, EndReason.OLD)
    await web.world.until(lambda: not web.world.sessions.live)
    text = await page(await holding(web, number), f"/launch/{number}")
    assert "token=" not in text
    assert "The session is over" in text
    assert f'href="{LINK}"' in text


async def test_branches_are_offered_and_a_host_is_asked_for_one_visitor_only_so_often(web: Web) -> None:
    told = (await web.get("/api/refs?link=owner/repo")).json()
    assert told == {"branches": ["main", "feature/x"], "tags": ["v1"]}
    for _ in range(LOOKS):
        told = (await web.get("/api/refs?link=owner/repo")).json()
    assert told == {"branches": [], "tags": []}
    told = (await web.get("/api/link?link=https://github.com/owner/repo/tree/feature/x")).json()
    assert told["ref"] == "feature"
    await web.world.clock.sleep(LOOKS_PERIOD)
    assert (await web.get("/api/refs?link=owner/repo")).json()["branches"]


async def test_a_repository_that_does_not_exist_has_no_branches_to_offer(web: Web) -> None:
    web.world.repositories.fails = [failures.REPO_NOT_FOUND("no")]
    assert (await web.get("/api/refs?link=owner/repo")).status_code == 404


async def test_the_front_page_says_what_the_operator_says_and_has_an_example_that_may_be_launched(web: Web) -> None:
    assert 'href="/v2/gh/binder-examples/requirements/HEAD">binder-examples/requirements</a>' in await page(web, "/")
    said = PageSettings(text="For <students>.", banner="Down & up", example="gh/o/r/main", contact="a@b.test")
    web.world.settings = replace(web.world.settings, page=said)
    text = await page(web, "/")
    for says in ("For &lt;students&gt;.", "Down &amp; up", 'href="/v2/gh/o/r/main"', 'href="mailto:a@b.test">Contact'):
        assert says in text
    assert "Down &amp; up" in await page(web, "/nosuch", 404)
    for example, banned in (("", ()), ("gh/o/r/main", ("gh/o/",)), ("no link", ())):
        web.world.settings = replace(web.world.settings, page=replace(said, example=example))
        web.world.set(launching__banned=banned)
        assert "an example" not in await page(web, "/")
