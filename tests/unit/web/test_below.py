"""Everything below a path of its own: every endpoint, and every link that a page or an answer has."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from perijove.backends.passwords import Entry
from perijove.domain.auth_settings import AuthMethod
from perijove.domain.listening import BASE
from perijove.domain.people import Person
from perijove.web.assets import STATIC
from perijove.web.front import rows
from perijove.web.pages import __file__ as pages_file
from perijove.web.visitors import COOKIE as VISITOR
from tests.unit.web.conftest import PAGES, Web
from tests.unit.web.test_login import KEPT, OURS, PASSWORD, changed
from tests.ways.conftest import World

B = "/binder/"
FILLED = {"spec": "gh/owner/repo/HEAD", "number": "1", "session": "repo-1", "rest": "lab", "path": "a.ipynb"}
ADDRESSED = {"href", "src", "action", "data-events", "data-base", "data-icons", "data-here"}


@pytest.fixture
async def below(tmp_path: Path) -> AsyncIterator[Web]:
    async with Web(World(tmp_path)).up() as web:
        web.world.set(service__base=B)
        yield web


class Links(HTMLParser):
    """All that a page leads to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += [value for name, value in given.items() if name in ADDRESSED]
        if given.get("http-equiv") == "refresh" and "url=" in given["content"]:
            self.found.append(given["content"].partition("url=")[2])


def ours(address: str) -> bool:
    """Whether it leads to this service, and not to another site or within the page."""
    parts = urlsplit(address)
    return (parts.netloc == "hub.test" or not parts.netloc) and parts.path != ""


def leaving(addresses: list[str]) -> list[str]:
    return [one for one in addresses if ours(one) and not urlsplit(one).path.startswith(B)]


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: FILLED.get(part[1], "x"), path)


@pytest.mark.parametrize("base", ["/", "/binder/", "/a/b-c/d.e_f~1/"])
def test_a_path_with_both_slashes_is_a_base(base: str) -> None:
    assert BASE.fullmatch(base)


@pytest.mark.parametrize(
    "base", ["", "binder/", "/binder", "//", "/../", "/a/./", "/-/", "/a b/", "/a%20b/", "/a{b}/", "/*/", "/a\n/"]
)
def test_anything_else_is_none(base: str) -> None:
    assert not BASE.fullmatch(base)


async def launched(web: Web) -> None:
    """A launch that this browser has begun."""
    answer = await web.client.get(f"{B}v2/gh/owner/repo/HEAD", headers=PAGES)
    begin = re.search(r'name="begin" value="([^"]+)"', answer.text)
    assert begin is not None
    await web.client.get(f"{B}v2/gh/owner/repo/HEAD", params={"begin": begin[1]}, headers=PAGES)
    told = await web.client.get(f"{B}api/launches/1/events")
    assert '"phase": "ready"' in told.text


async def test_every_endpoint_answers_below_it_and_none_at_the_root(below: Web) -> None:
    for row in rows(below.public):
        path, method = filled(row.path), row.methods[0]
        asked = {"Accept": "text/event-stream" if path.startswith("/build/") else "text/html"}
        there = await below.client.request(method, f"{B}{path[1:]}", headers=asked)
        assert "no page has this address" not in there.text, path
        if path.startswith("/.well-known/"):
            continue
        root = await below.client.request(method, path, headers=asked)
        if path == "/":
            assert (root.status_code, root.headers["location"]) == (302, B)
        else:
            assert (root.status_code, B in root.text) == (404, True), path
            assert "set-cookie" not in root.headers


async def test_the_path_without_its_slash_leads_to_it(below: Web) -> None:
    assert (await below.get("/binder")).headers["location"] == B
    assert (await below.get("/binderx/")).status_code == 404


@pytest.mark.parametrize("path", ["/%62inder/health", "/binder/../health", "/BINDER/health"])
async def test_another_spelling_of_it_is_not_it(below: Web, path: str) -> None:
    answer = await below.client.send(httpx.Request("GET", httpx.URL("https://hub.test", raw_path=path.encode())))
    assert answer.status_code == 404


async def test_challenges_stay_at_the_root(below: Web) -> None:
    below.answers["a-token"] = "a-token.thumb"
    assert (await below.get("/.well-known/acme-challenge/a-token")).text == "a-token.thumb"


async def test_a_front_that_takes_it_off_is_told_so(below: Web) -> None:
    for path in ("/", "/health"):
        answer = await below.get(path, X_Forwarded_Prefix="/binder")
        assert answer.status_code == 404
        assert "the web server in front takes off" in answer.text


async def test_a_front_that_takes_it_off_and_does_not_say_so_leads_nobody_in_circles(below: Web) -> None:
    led = await below.get("/", **PAGES)
    assert (led.status_code, led.headers["location"]) == (302, B)
    shown, *said = led.headers["set-cookie"].split("; ")
    assert f"Path={B}" in said, "browsers send it there alone"
    answer = await below.get("/", Cookie=shown, **PAGES)
    assert (answer.status_code, "the web server in front takes off" in answer.text) == (404, True)
    assert (await below.get(B, Cookie=shown, **PAGES)).status_code == 200


async def test_no_page_leads_out_of_it(below: Web) -> None:
    await launched(below)
    seen: dict[str, list[str]] = {}
    for row in rows(below.public):
        if "GET" not in row.methods or row.path in ("/build/{spec:path}", "/metrics"):
            continue
        answer = await below.client.get(B + filled(row.path)[1:], headers=PAGES)
        if "location" in answer.headers:
            seen[row.path] = [answer.headers["location"]]
        elif answer.headers.get("content-type", "").startswith("text/html"):
            seen[row.path] = Links(answer.text).found
    assert {path: left for path, found in seen.items() if (left := leaving(found))} == {}
    assert {"/", "/v2/{spec:path}", "/launch/{number:int}", "/launch/running", "/user/{session}", "/kept"} <= set(seen)
    asked = sum(len([one for one in found if ours(one)]) for found in seen.values())
    assert asked > 60, "pages do have links"


async def test_the_pages_of_people_who_log_in_lead_nowhere_else(below: Web) -> None:
    apart = {"service__session_hosts": ("*.run.test",)}
    below.world.set(auth__method=AuthMethod.PASSWORD, auth__admins=("ada",), **apart)
    changed(below, {"ada": Entry(Person("ada"), KEPT)})
    sent = await below.client.get(f"{B}kept", headers=PAGES)
    assert sent.headers["location"] == f"{B}login?next=%2Fkept"
    form = await below.client.get(sent.headers["location"], headers=PAGES)
    assert (form.status_code, leaving(Links(form.text).found)) == (200, [])
    data = {"name": "ada", "password": PASSWORD, "next": "/open/repo-1?at=lab"}
    answer = await below.client.post(f"{B}login", data=data, headers={**PAGES, **OURS})
    assert urlsplit(answer.headers["location"]).path == f"{B}login"
    going_on = await below.client.get(answer.headers["location"], headers=PAGES)
    assert f"{B}open/repo-1?at=lab" in Links(going_on.text).found
    await launched(below)
    for path in ("", "you", "admin", "launch/1", "launch/running", "kept"):
        page = await below.client.get(B + path, headers=PAGES)
        assert page.status_code == 200
        assert leaving(Links(page.text).found) == [], path
    refused = await below.client.get(f"{B}login", params={"next": "//elsewhere.test/"}, headers=PAGES)
    assert refused.headers["location"] == B


async def test_answers_to_programs_lead_nowhere_else(below: Web) -> None:
    await launched(below)
    link = (await below.get(f"{B}api/link?link=owner/repo")).json()
    assert link["path"] == f"{B}v2/gh/owner/repo/HEAD"
    assert link["link"] == f"https://hub.test{B}v2/gh/owner/repo/HEAD"
    assert link["markdown"] == f"[![Binder](https://hub.test{B}badge_logo.svg)]({link['link']})"
    record = (await below.client.get(f"{B}api/launches/1")).json()
    assert (record["link"], record["log"]) == (f"{B}v2/gh/owner/repo/HEAD", f"{B}launch/1")
    assert record["persistent_link"].startswith(f"{B}v2/gh/owner/repo/")
    assert record["url"].startswith(f"https://hub.test{B}user/repo-")
    answer = await below.get(f"{B}build/gh/owner/repo/HEAD", Accept="text/event-stream")
    assert f'"url": "https://hub.test{B}user/repo-' in answer.text
    assert f'"binder_launch_host": "https://hub.test{B}"' in answer.text
    running = (await below.client.get(f"{B}launch/running", headers={"Accept": "application/json"})).json()
    assert all(one["url"].startswith(f"https://hub.test{B}user/") for one in running["sessions"])
    robots = (await below.get(f"{B}robots.txt")).text
    assert re.findall(r"Disallow: (\S+)", robots) == [
        f"{B}{path}" for path in ("build/", "user/", "launch/", "kept", "api/")
    ]


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_cookies_are_sent_below_it_alone(below: Web, scheme: str) -> None:
    below.world.set(service__hosts=())
    answer = await below.client.get(
        f"{B}v2/gh/owner/repo/HEAD", headers={**PAGES, "X-Forwarded-Proto": scheme, "Host": "localhost"}
    )
    paths = {one.partition("=")[0]: re.findall(r"Path=([^;]*)", one) for one in answer.headers.get_list("set-cookie")}
    # RFC 6265bis, 4.1.3.2: browsers take no other path of these.
    assert paths == ({f"__Host-{VISITOR}": ["/"]} if scheme == "https" else {VISITOR: [f"{B}kept"]})


async def test_a_session_s_server_and_what_opens_it_are_below_it(below: Web) -> None:
    await launched(below)
    spec: Any = next(iter(below.world.sandboxes.specs.values()))
    told = dict(spec.environ)
    assert f"--ServerApp.base_url={B}user/{spec.session}/" in spec.command
    assert (told["JUPYTERHUB_BASE_URL"], told["JUPYTERHUB_SERVICE_PREFIX"]) == (B, f"{B}user/{spec.session}/")
    assert told["BINDER_LAUNCH_HOST"] == f"https://hub.test{B}"
    live = below.public.sessions.live[0]
    assert live.path == f"{B}user/{live.name}/"


def test_no_template_and_no_script_names_a_path_of_the_root() -> None:
    files = [*(Path(pages_file).parent / "templates").glob("*.html"), *STATIC.glob("*.js")]
    rooted = re.compile(r"""(?:(?:href|src|action)=|url=|fetch\(|=\s*|\()["'`]/(?!/)""")
    found = [f"{file.name}: {line.strip()}" for file in files for line in file.read_text().splitlines()
             if rooted.search(line) and "replace(/" not in line]  # fmt: skip
    assert files
    assert found == []
