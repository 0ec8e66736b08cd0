"""Who may ask."""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request

from perijove.domain.classes import ClassSettings
from perijove.domain.nouns import EndReason
from perijove.domain.settings import IsolationMode, ServiceSettings
from perijove.web import hosts
from perijove.web.limits import COUNTED, FAILED, TOKEN_USES, BuildTokens, RateWindows
from perijove.web.origins import answered, foreign, unsaid
from perijove.web.requests import client, origin, raw_spec
from tests.unit.web.conftest import PAGES, Web, frames
from tests.ways.conftest import ADDRESS


def request(path: str = "/", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "path": raw, "raw_path": raw.encode(), "query_string": query.encode()}
    return Request({**scope, "headers": named})


def token(web: Web) -> str:
    """Of a new page that shows gh/owner/repo/HEAD."""
    return web.public.gate.tokens.make("gh/owner/repo/HEAD", secrets.token_hex(8))


CLIENTS = [
    pytest.param("192.0.2.7", "192.0.2.7", id="alone"),
    pytest.param("198.51.100.1, 192.0.2.7", "192.0.2.7", id="behind what the client claims"),
    pytest.param("2001:db8::1", "2001:db8::1", id="IPv6"),
    pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 in IPv6"),
    pytest.param("192.0.2.7, nonsense", "unknown", id="nonsense"),
    pytest.param("", "unknown", id="nothing"),
]


@pytest.mark.parametrize(("told", "address"), CLIENTS)
def test_the_client_is_who_caddy_saw(told: str, address: str) -> None:
    assert client(request(x_forwarded_for=told)) == address


SPECS = [
    pytest.param("/build/gh/o/r/HEAD", "gh/o/r/HEAD", id="plain"),
    pytest.param("/v2/git/https%3A%2F%2Fx%2Fy/feature%2Fx/", "git/https%3A%2F%2Fx%2Fy/feature%2Fx", id="encoded"),
    pytest.param("/%62uild/gh/o/r/HEAD", "", id="an address that only decodes to ours"),
    pytest.param("/health", "", id="another page"),
]


@pytest.mark.parametrize(("path", "spec"), SPECS)
def test_the_spec_is_raw(path: str, spec: str) -> None:
    assert raw_spec(request(path)) == spec


def test_the_origin_is_what_the_client_typed() -> None:
    assert origin(request(host="hub.test:8000")) == "http://hub.test:8000"
    for told in ("https", "HTTPS", "https, http", "wss"):
        assert origin(request(host="hub.test", x_forwarded_proto=told)) == "https://hub.test"
    for told in ("http", "http, https", "ws", "httpss", ""):
        assert origin(request(host="hub.test", x_forwarded_proto=told)) == "http://hub.test"


def test_an_address_may_begin_so_many_launches_a_period() -> None:
    windows = RateWindows()

    def begins(whose: str, now: float) -> float:
        if not (wait := windows.wait(whose, now, 2, 60)):
            windows.count(whose, now, 60)
        return wait

    assert [begins("a", now) for now in (0, 10, 20, 59)] == [0, 0, 40, 1]
    assert begins("b", 20) == 0
    assert begins("a", 60) == 0


def test_what_failed_is_given_back_unless_it_is_a_loop() -> None:
    windows = RateWindows()
    for now in range(FAILED * 2):
        assert windows.wait("a", now, 2, 60) == 0
        windows.count("a", now, 60)
        windows.give_back("a", now)
    assert windows.wait("a", 20, 2, 60) == 40
    windows.count("a", 60, 60)
    windows.give_back("a", 3)  # of a window that is over
    windows.count("a", 61, 60)
    assert windows.wait("a", 62, 2, 60) == 58


HOSTS = [
    pytest.param(("hub.test",), "hub.test", 200, id="the name"),
    pytest.param(("hub.test",), "HUB.test:8000", 200, id="the name with a port, shouted"),
    pytest.param(("::1", "[::1]"), "[::1]:8000", 200, id="an IPv6 address"),
    pytest.param(("hub.test",), "evil.test", 421, id="another name"),
    pytest.param((), "localhost:8000", 200, id="this machine, where no name is set"),
    pytest.param((), "evil.test", 421, id="a name that anybody may lead to this machine"),
    pytest.param(("hub.test",), "a/b", 400, id="no name at all"),
]


@pytest.mark.parametrize(("hosts", "host", "status"), HOSTS)
async def test_the_service_answers_to_its_names_only(web: Web, hosts: tuple[str, ...], host: str, status: int) -> None:
    web.world.set(service__hosts=hosts)
    answer = await web.get("/", Host=host, Accept="text/html")
    assert answer.status_code == status
    assert ("start.wrong-host" in answer.text) is (status == 421)


@pytest.mark.parametrize(
    "path", ["/v2/gh/owner/repo/..%2F..%2F..%2F..%2F..%2Fuser/x/", "/build/gh/o/..%2F..%2F..%2Fuser/x/", "/"]
)
@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("hub.test", "*.run.test"), "x.RUN.test:81"),
        (("", ""), "x.localhost"),
        (("hub.test", "s1.hub.test"), "s1.hub.test"),
    ],
)
async def test_no_page_of_ours_has_a_session_s_origin(web: Web, names: tuple[str, str], host: str, path: str) -> None:
    """Caddy looks at `/v2/..%2fuser/x` as at `/user/x`, and passes it on as it came."""
    service, sessions = names
    web.world.set(service__hosts=(service,) * bool(service), service__session_hosts=(sessions,) * bool(sessions))
    headers = {"Host": host, "Sec-Fetch-Site": "same-origin", **PAGES}
    answer = await web.client.send(
        httpx.Request("GET", httpx.URL("https://hub.test").copy_with(raw_path=path.encode()), headers=headers)
    )
    assert "start.wrong-host" in answer.text
    assert (await web.get("/user/x/", Host=host)).status_code == 424
    assert web.public.launches.in_hand() == []


async def test_probes_may_come_by_any_name(web: Web) -> None:
    web.world.set(service__hosts=("hub.test",))
    assert (await web.get("/health", Host="10.0.0.1:8000")).status_code == 200


async def test_a_banned_network_is_refused_everywhere_but_at_probes(web: Web) -> None:
    web.world.set(launching__banned_networks={"192.0.2.0/24": "example"})
    page = await web.get("/", Accept="text/html")
    assert page.status_code == 403
    assert "Requests from example are not allowed" in page.text
    (only,) = await web.build()
    assert (only.data["status_code"], only.data["failure"]["code"]) == (403, "start.client-banned")
    assert (await web.get("/health")).status_code == 200
    assert (await web.get("/versions")).status_code == 200
    elsewhere = await web.get("/", X_Forwarded_For="198.51.100.1")
    assert elsewhere.status_code == 200


async def test_too_many_launches_are_told_when_the_next_is_possible(web: Web) -> None:
    web.world.set(launching__rate_limit=2, launching__rate_period=60.0)
    assert [(await web.build())[-1].data["phase"] for _ in range(3)] == ["ready", "ready", "failed"]
    failure = (await web.build())[-1].data
    assert failure["status_code"] == 429
    assert failure["failure"]["code"] == "start.rate-limited"
    assert failure["failure"]["retry"] == "after"
    assert 0 < failure["failure"]["after"] <= 60
    assert f"the next is possible in {math.ceil(failure['failure']['after'])} seconds" in failure["failure"]["cause"]
    answer = await web.get("/build/gh/owner/repo/HEAD", Accept="text/event-stream")
    (only,) = frames(answer.text)
    assert int(answer.headers["Retry-After"]) == math.ceil(only.data["failure"]["after"])
    others = await web.build(X_Forwarded_For="198.51.100.1")
    assert others[-1].data["phase"] == "ready"


async def test_a_class_behind_one_address_gets_in_at_once_whatever_it_comes_by_and_a_stranger_not_for_ever(
    web: Web,
) -> None:
    async with asyncio.TaskGroup() as clicks:
        clicking = [clicks.create_task(web.build()) for _ in range(60)]
    assert [click.result()[-1].data["phase"] for click in clicking] == ["ready"] * 60
    more = [(await web.build())[-1].data["phase"] for _ in range(16)]
    assert more == ["ready"] * 15 + ["failed"]


async def test_what_is_refused_or_fails_does_not_count(web: Web) -> None:
    web.world.set(launching__rate_limit=1, launching__banned=("gh/banned/",), launching__retries=0)
    for path in ("gh/owner", "xy/owner/repo/HEAD", "gh/banned/repo/HEAD", "gh/banned/repo/HEAD"):
        assert (await web.build(path))[-1].data["phase"] == "failed"
    assert [(await web.build())[-1].data["phase"] for _ in range(2)] == ["ready", "failed"]


async def test_a_class_has_limits_of_its_own_whoever_its_people_are_and_others_keep_theirs(web: Web) -> None:
    term = ClassSettings("term", ("https://github.com/owner/repo",), seats=60, until="2037-01-01 00:00")
    web.world.set(launching__classes=(term,), launching__rate_limit=1, launching__per_visitor_launches=2)
    spellings = ("gh/owner/repo/HEAD", "git/https%3A%2F%2Fgithub.com%2FOwner%2Frepo.git/HEAD")
    clicked = await asyncio.gather(*(web.build(spellings[number % 2]) for number in range(60)))
    assert [told[-1].data["phase"] for told in clicked] == ["ready"] * 60
    assert [(await web.build("gh/owner/other/HEAD"))[-1].data["phase"] for _ in range(2)] == ["ready", "failed"]

    web.world.set(launching__classes=(replace(term, rate_limit=60),))
    refused = (await web.build(X_Forwarded_For="198.51.100.1"))[-1].data["failure"]
    assert refused["code"] == "start.rate-limited"
    assert "60 launches of the class term in 60 minutes" in refused["cause"]
    web.world.set(launching__classes=(replace(term, until="1970-01-02 00:00"),))
    assert (await web.build())[-1].data["failure"]["code"] == "start.rate-limited", "closed: as all others"


BOOK = {"Origin": "https://book.test", "Sec_Fetch_Site": "cross-site"}


async def test_a_class_that_reads_a_book_behind_one_address_has_limits_of_its_own(web: Web) -> None:
    web.world.set(service__cors_allow_origin=("https://book.test",), launching__rate_limit=1)
    assert [(await web.build(**BOOK))[-1].data["phase"] for _ in range(20)] == ["ready"] * 20
    assert [(await web.build())[-1].data["phase"] for _ in range(2)] == ["ready", "failed"]
    web.world.set(launching__origin_rate_limit=20)
    refused = (await web.build(**BOOK))[-1].data["failure"]
    assert refused["code"] == "start.rate-limited"
    assert "20 launches of pages of https://book.test at your address" in refused["cause"]
    assert (await web.build(**BOOK, X_Forwarded_For="198.51.100.1"))[-1].data["phase"] == "ready"


async def test_readers_of_a_book_and_others_at_their_address_have_sessions_of_their_own(web: Web) -> None:
    web.world.set(service__cors_allow_origin=("https://book.test",), launching__per_visitor_quota=2)
    told = [(await web.build(**headers))[-1].data["phase"] for headers in (BOOK, BOOK, BOOK, {}, {}, {})]
    assert told == ["ready", "ready", "failed"] * 2


async def test_where_every_origin_is_allowed_new_names_bring_no_new_limit(web: Web) -> None:
    web.world.set(service__cors_allow_origin=("*",), launching__origin_rate_limit=2)
    told = [(await web.build(Origin=f"https://{n}.test", Sec_Fetch_Site="cross-site"))[-1].data for n in range(3)]
    assert [last["phase"] for last in told] == ["ready", "ready", "failed"]


async def test_builds_without_a_launch_are_counted_by_themselves(web: Web) -> None:
    web.world.set(launching__rate_limit=1, launching__build_rate_limit=2, launching__per_visitor_quota=1)
    only = "gh/owner/repo/HEAD?build_only=true"
    assert (await web.build())[-1].data["phase"] == "ready"
    assert [(await web.build(only))[-1].data["phase"] for _ in range(3)] == ["ready", "ready", "failed"]
    failure = (await web.build(only))[-1].data["failure"]
    assert failure["code"] == "start.rate-limited"
    assert "2 launches of your address in 60 minutes" in failure["cause"]


async def test_one_household_of_ipv6_is_one_address(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    assert (await web.build(X_Forwarded_For="2001:db8::1"))[-1].data["phase"] == "ready"
    assert (await web.build(X_Forwarded_For="2001:db8::2"))[-1].data["phase"] == "failed"
    assert (await web.build(X_Forwarded_For="2001:db8:0:1::1"))[-1].data["phase"] == "ready"


async def test_a_page_of_ours_has_a_limit_of_its_own_for_what_it_shows(web: Web) -> None:
    web.world.set(launching__rate_limit=1, launching__page_rate_limit=2)
    page = "gh/owner/repo/HEAD?build_token="
    assert [(await web.build(page + token(web)))[-1].data["phase"] for _ in range(2)] == ["ready", "ready"]
    third = (await web.build(page + token(web)))[-1].data
    assert (third["failure"]["code"], third["status_code"]) == ("start.rate-limited", 429)
    other = f"gh/owner/other/HEAD?build_token={token(web)}"
    assert [(await web.build(other))[-1].data["phase"] for _ in range(2)] == ["ready", "failed"]


async def test_one_page_begins_a_few_launches_and_then_counts_as_a_program(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    page = f"gh/owner/repo/HEAD?build_token={token(web)}"
    told = [(await web.build(page))[-1].data["phase"] for _ in range(TOKEN_USES + 2)]
    assert told == ["ready"] * (TOKEN_USES + 1) + ["failed"]
    late = token(web)
    web.world.clock.time += 601
    assert (await web.build(f"gh/owner/repo/HEAD?build_token={late}"))[-1].data["phase"] == "failed"


def test_what_is_counted_is_bounded(web: Web) -> None:
    windows, tokens = RateWindows(), BuildTokens(web.world.keys, web.world.clock)
    for number in range(COUNTED + 10):
        windows.count(str(number), 0, 60)
        assert tokens.spend(tokens.make("s", str(number)), "s")
    assert windows.wait(str(COUNTED + 9), 0, 1, 60) == 60
    assert windows.wait("0", 0, 1, 60) == 0
    assert tokens.spend(tokens.make("s", "0"), "s")


async def test_resuming_is_not_counted(web: Web) -> None:
    web.world.set(launching__rate_limit=1)
    first = await web.build()
    for _ in range(3):
        assert (await web.build(Last_Event_ID=first[0].id))[-1].data["phase"] == "ready"


async def test_one_visitor_has_so_many_sessions_at_once_and_others_have_theirs(web: Web) -> None:
    web.world.set(launching__per_visitor_quota=2)
    told = [(await web.build(X_Forwarded_For=f"2001:db8::{n}"))[-1].data for n in range(3)]
    assert [last["phase"] for last in told] == ["ready", "ready", "failed"]
    assert (told[-1]["failure"]["code"], told[-1]["status_code"]) == ("start.too-many-at-once", 429)
    assert (await web.build(X_Forwarded_For="2001:db8:0:1::1"))[-1].data["phase"] == "ready"
    await web.world.sandboxes.stop(told[0]["url"].split("/")[-2], EndReason.STOPPED)
    await web.world.until(lambda: len(web.world.sessions.live) == 2)
    assert (await web.build(X_Forwarded_For="2001:db8::1"))[-1].data["phase"] == "ready"


async def test_one_visitor_has_so_many_launches_in_progress(web: Web) -> None:
    web.world.set(launching__per_visitor_launches=2)
    web.world.repositories.gate = asyncio.Event()
    for _ in range(2):
        web.public.launches.begin(ADDRESS, "192.0.2.7")
    assert (await web.build())[-1].data["failure"]["code"] == "start.too-many-at-once"
    web.world.repositories.gate.set()
    await web.world.until(lambda: not web.public.launches.running)
    assert (await web.build())[-1].data["phase"] == "ready"


CROSS = {"sec_fetch_site": "cross-site"}
WHOSE = [
    pytest.param({}, (), "", id="a program"),
    pytest.param({"sec_fetch_site": "same-origin"}, (), "", id="our page"),
    pytest.param({"sec_fetch_site": "none"}, (), "", id="opened by hand"),
    pytest.param({"origin": "http://hub.test"}, (), "", id="our page, told by its origin alone"),
    pytest.param({"origin": "https://hub.test", "sec_fetch_site": "same-origin"}, (), "", id="a proxy hides https"),
    pytest.param({"origin": "https://hub.test"}, (), "https://hub.test", id="another scheme"),
    pytest.param({"origin": "https://evil.test", **CROSS}, (), "https://evil.test", id="another site"),
    pytest.param({"origin": "https://evil.test"}, (), "https://evil.test", id="another site, by plain http"),
    pytest.param(CROSS, (), "another site", id="another site that needs no answer"),
    pytest.param({"sec_fetch_site": "same-site"}, (), "another site", id="a session's host"),
    pytest.param({"origin": "http://hub.test", **CROSS}, (), "http://hub.test", id="our origin from elsewhere"),
    pytest.param({"origin": "null", **CROSS}, (), "null", id="a page without an origin"),
    pytest.param({"origin": "null", **CROSS}, ("*",), "", id="everybody is allowed"),
    pytest.param({"origin": "https://b.test", **CROSS}, ("https://a.test", "https://b.test"), "", id="it is allowed"),
    pytest.param(CROSS, ("https://a.test",), "another site", id="allowed, but it does not say who it is"),
    pytest.param(
        {"origin": "https://a.test.evil.test", **CROSS},
        ("https://a.test",),
        "https://a.test.evil.test",
        id="a longer name",
    ),
]


@pytest.mark.parametrize(("headers", "allowed", "whose"), WHOSE)
def test_whose_page_asks_is_what_its_browser_says(
    headers: dict[str, str], allowed: tuple[str, ...], whose: str
) -> None:
    assert foreign(request(host="hub.test", **headers), allowed) == whose


def test_only_a_browser_that_says_nothing_of_its_page_is_suspected() -> None:
    browser = {"user_agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    assert unsaid(request(**browser))
    for more in ({"origin": "http://hub.test"}, {"sec_fetch_site": "same-origin"}, {"user_agent": "curl/8.5"}):
        assert not unsaid(request(**{**browser, **more}))


def test_a_page_is_told_its_own_origin_where_it_may_read() -> None:
    assert answered("https://b.test", ("https://a.test", "https://b.test")) == "https://b.test"
    assert answered("https://b.test", ("*",)) == "*"
    assert answered("https://b.test", ("https://a.test",)) == ""


PLACES = [
    pytest.param(
        ServiceSettings(),
        "localhost 127.0.0.1 127.8.9.1 ::1 a1.localhost",
        "lab7.test lab7 192.0.2.1 evil.test localhost.evil.test ",
        id="on loopback",
    ),
    pytest.param(
        ServiceSettings(http=("0.0.0.0:80",)),
        "localhost 192.0.2.1 2001:db8::1 lab7 lab7.test lab7.local",
        "evil.test lab8 lab7.evil.test ",
        id="on the network",
    ),
    pytest.param(ServiceSettings(behind=("192.0.2.1",)), "192.0.2.1 lab7", "hub.test", id="behind a server, unnamed"),
    pytest.param(
        ServiceSettings(hosts=("hub.test", "*.run.test")),
        "hub.test a.run.test",
        "localhost 127.0.0.1 lab7 a.b.run.test run.test",
        id="named",
    ),
]


@pytest.mark.parametrize(("service", "ours", "others"), PLACES)
def test_it_answers_to_names_that_nobody_else_can_lead_to_it(service: ServiceSettings, ours: str, others: str) -> None:
    assert [hosts.refusal(name, service, "Lab7.test") for name in ours.split(" ")] == [None] * len(ours.split(" "))
    assert None not in [hosts.refusal(name, service, "Lab7.test") for name in others.split(" ")]


async def test_another_site_s_page_begins_nothing(web: Web) -> None:
    begin = token(web)
    evil = {"Origin": "https://evil.test", "Sec_Fetch_Site": "cross-site"}
    for path in ("gh/owner/repo/HEAD", f"gh/owner/repo/HEAD?build_token={begin}"):
        (only,) = await web.build(path, **evil)
        assert (only.data["failure"]["code"], only.data["status_code"]) == ("start.foreign-page", 403)
    (only,) = await web.build(User_Agent="Mozilla/5.0")
    assert only.data["failure"]["code"] == "start.foreign-page"
    answer = await web.get(f"/v2/gh/owner/repo/HEAD?begin={begin}", Accept="text/html", Sec_Fetch_Site="cross-site")
    assert answer.status_code == 200
    assert web.public.launches.list(10) == []
    web.world.set(service__cors_allow_origin=("https://book.test", "https://evil.test"))
    assert (await web.build(**evil))[-1].data["phase"] == "ready"


async def test_traefik_s_word_for_a_websocket_by_https_is_understood(web: Web) -> None:
    for said, code in (("wss", 424), ("https", 424), ("ws", 503), ("http", 503)):
        answer = await web.get("/user/gone-1/api/kernels/x/channels", X_Forwarded_Proto=said)
        assert answer.status_code == code, said


async def test_a_page_of_ours_begins_by_plain_http_too(web: Web) -> None:
    browser = {"User_Agent": "Mozilla/5.0", "X_Forwarded_Proto": "http"}
    web.world.set(service__hosts=("hub.test",), service__https=("off",))
    told = await web.build(f"gh/owner/repo/HEAD?build_token={token(web)}", **browser)
    assert told[-1].data["phase"] == "ready"
    again = await web.build("gh/owner/repo/HEAD?build_token=old", Last_Event_ID=told[0].id, **browser)
    assert again[-1].data["phase"] == "ready"


async def test_without_a_sandbox_only_our_own_page_launches_and_asks_whoever_comes_from_elsewhere(web: Web) -> None:
    web.world.set(session__isolation=IsolationMode.NONE)
    (only,) = await web.build()
    assert only.data["failure"]["code"] == "start.foreign-page"
    for site in ("none", "same-origin"):
        answer = await web.get("/v2/gh/owner/repo/HEAD", Accept="text/html", Sec_Fetch_Site=site)
        assert "/build/gh/owner/repo/HEAD?build_token=" in answer.text
    for site in ("cross-site", "same-site", ""):
        answer = await web.get("/v2/gh/owner/repo/HEAD", Accept="text/html", Sec_Fetch_Site=site)
        assert 'data-events=""' in answer.text
        assert "will run as you" in answer.text
        assert "noscript" not in answer.text
    told = await web.build(f"gh/owner/repo/HEAD?build_token={token(web)}", Sec_Fetch_Site="same-origin")
    assert told[-1].data["phase"] == "ready"


LED = [
    pytest.param({"Host": "127.0.0.1:8000"}, "//localhost:8000/v2/gh/o%2Fx/r/HEAD?urlpath=lab%2Fx", id="by an address"),
    pytest.param({"Host": "[::1]:8000"}, "//localhost:8000/v2/gh/o%2Fx/r/HEAD?urlpath=lab%2Fx", id="of IPv6"),
    pytest.param({"Host": "127.0.0.1"}, "//localhost/v2/gh/o%2Fx/r/HEAD?urlpath=lab%2Fx", id="without a port"),
    pytest.param({"Host": "localhost:8000"}, "", id="by the name"),
    pytest.param({"Host": "127.0.0.1:8000", "Sec_Fetch_Mode": "cors"}, "", id="a page's script"),
    pytest.param({"Host": "127.0.0.1:8000", "Sec_Fetch_Mode": ""}, "", id="a program"),
]


@pytest.mark.parametrize(("headers", "there"), LED)
async def test_browsers_on_loopback_are_led_to_the_name_that_sessions_lead_back_to(
    web: Web, headers: dict[str, str], there: str
) -> None:
    web.world.set(service__hosts=())
    path = "/v2/gh/o%2Fx/r/HEAD?urlpath=lab%2Fx"
    answer = await web.get(path, **{"Accept": "text/html", "Sec_Fetch_Mode": "navigate", **headers})
    assert answer.headers.get("location", "") == there
    assert (answer.status_code == 307) is bool(there)
    web.world.set(service__session_hosts=("off",))
    answer = await web.get(path, **{"Accept": "text/html", "Sec_Fetch_Mode": "navigate", **headers})
    assert answer.status_code != 307
